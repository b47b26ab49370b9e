"""Exercises of lesson 4: the ring."""

from __future__ import annotations

from collsim.catalog import make_schedule
from collsim.lessons.exercise import Number, Slip
from collsim.lessons.setting import all_reduce, alone, latency, seconds, sending
from collsim.units import parse_size


def _steps(workers: int) -> int:
    return make_schedule("all_reduce", "ring", workers).steps


def _sent(workers: int, size: str) -> float:
    return float(all_reduce("ring", workers, size).sent_bytes.max())


EXERCISES = (
    Number(
        "How many steps does the ring take on {workers} workers?",
        "11 until each part has collected every contribution, and 11 until everybody has every part.",
        {"workers": 12},
        answer=_steps,
        unit="count",
        slips=(
            Slip(lambda workers: _steps(workers) / 2, "Then each worker has one part of the sum. And the others?"),
            Slip(lambda workers: 2 * workers, "A part starts where a contribution is already: it needs one step less."),
            Slip(
                lambda workers: workers, "A part starts with one contribution. And afterwards it must go round again."
            ),
        ),
    ),
    Number(
        "{workers} workers sum vectors of {size} by `ring`, over ports of 10 GB/s and with a latency of 5 us. How long "
        "does it take?",
        "14 steps of 500 MB, which take 50 ms and 5 us each.",
        {"workers": 8, "size": "4GB"},
        answer=lambda workers, size: seconds("ring", workers, size),
        slips=(
            Slip(
                lambda workers, size: seconds("ring", workers, size) / 2,
                "That is the first half. The parts of the sum must go round once more: twice as long.",
            ),
            Slip(
                lambda workers, size: 2 * workers * latency() + 2 * sending(size),
                "There are 2 (K - 1) steps, not 2 K.",
            ),
            Slip(
                lambda workers, size: _steps(workers) * alone(size),
                "In a step a worker sends one part, an eighth of the vector.",
            ),
            Slip(
                lambda workers, size: seconds("ring", workers, size) / _steps(workers),
                "That is one step. How many are there?",
            ),
            Slip(
                lambda workers, size: sending(size),
                "So long it takes to send the vector once. How often does an eighth of it leave each worker?",
            ),
        ),
    ),
    Number(
        "How many bytes does each of {workers} workers send in a ring all-reduce of {size}?",
        "8 steps of 200 MB. However many workers there are, it stays below 2 GB.",
        {"workers": 5, "size": "1GB"},
        answer=_sent,
        unit="size",
        slips=(
            Slip(lambda workers, size: _sent(workers, size) / 2, "That is the first half of the steps."),
            Slip(
                lambda workers, size: 2 * parse_size(size), "Nearly: that is what it comes to with very many workers."
            ),
            Slip(
                lambda workers, size: 2 * (workers - 1) * parse_size(size),
                "That is what all send together. It is shared evenly.",
            ),
            Slip(
                lambda workers, size: parse_size(size) / workers,
                "That is one part, and one step. How many steps are there?",
            ),
        ),
    ),
)
