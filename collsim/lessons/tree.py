"""Exercises of lesson 3: rounds of a tree."""

from __future__ import annotations

from collsim.catalog import make_schedule
from collsim.lessons.exercise import Choice, Number, Slip
from collsim.lessons.setting import alone, seconds


def _steps(workers: int) -> int:
    return make_schedule("all_reduce", "tree", workers).steps


def _faster(workers: int, size: str) -> str:
    return min(("naive", "tree"), key=lambda name: seconds(name, workers, size))


EXERCISES = (
    Number(
        "How many steps does the tree take on {workers} workers, up and down together?",
        "With each round the tree reaches twice as many workers: 16 are not enough for 20, so there are 5 rounds up "
        "and 5 down.",
        {"workers": 20},
        answer=_steps,
        unit="count",
        slips=(
            Slip(lambda workers: _steps(workers) / 2, "That is the way up. The sum comes down again."),
            Slip(lambda workers: _steps(16), "4 rounds reach 16 workers. There are 20."),
            Slip(lambda workers: 2 * (workers - 1), "So many messages there are. Those of a round are sent at once."),
        ),
    ),
    Number(
        "{workers} workers sum vectors of {size} by `tree`, over ports of 10 GB/s and with a latency of 5 us. How long "
        "does it take?",
        "5 rounds up and 5 down, each 5 us and 50 ms.",
        {"workers": 32, "size": "500MB"},
        answer=lambda workers, size: seconds("tree", workers, size),
        slips=(
            Slip(
                lambda workers, size: seconds("tree", workers, size) / 2, "That is the way up. The sum comes down too."
            ),
            Slip(lambda workers, size: seconds("naive", workers, size), "That is what `naive` takes."),
            Slip(lambda workers, size: alone(size), "That is one round. How many are there, up and down?"),
            Slip(
                lambda workers, size: 2 * workers * alone(size),
                "One round for each worker? In a round half of those that are left report, all at once.",
            ),
        ),
    ),
    Choice(
        "Which is faster for a vector of {size} on {workers} workers of that network?",
        "The bytes take 0.1 us, so what counts is latency. `naive` waits for two, for all its messages are "
        "on their way at once; the tree waits for eight, one after another. (In this model. Real workers also take "
        "time to begin each message: lesson 5 says where that is.)",
        {"workers": 16, "size": "1kB"},
        answer=_faster,
        options=("naive", "tree"),
        hints={"tree": "True for long vectors. How many latencies does each wait for, one after another?"},
    ),
)
