"""Exercises of lesson 11, on the textbook's exercise 1.1.3."""

from __future__ import annotations

from collsim.book.exercise_1_1_3 import ScalingFigures, answer
from collsim.lessons.exercise import Choice, Number, Slip


def _figures(algorithm: str, workers: int, **settings: str) -> ScalingFigures:
    return answer(workers=[workers], algorithms=[algorithm], up_to=max(2, workers), **settings)


def _times(algorithm: str, workers: int, compute: str) -> float:
    return _figures(algorithm, workers, compute=compute).records[0].ratio


def _dominates_from(compute: str, **settings: str) -> float:
    found = _figures("ring", 64, compute=compute, **settings).crossings[0].workers
    return found or 0


def _who_wins(workers: int, bandwidth: str) -> str:
    record = _figures("ring", workers, compute="300ms", bandwidth=bandwidth).records[0]
    return "communication" if record.ratio > 1 else "compute"


EXERCISES = (
    Number(
        "A gradient of 10^9 float32, 10 GB/s, 5 us, and {compute} of compute in a step. How many times the compute "
        "does a naive all-reduce on {workers} workers take?",
        "2 * 31 * 0.4 s = 24.8 s, over 0.3 s.",
        {"workers": 32, "compute": "300ms"},
        answer=lambda workers, compute: _times("naive", workers, compute),
        unit="ratio",
        tolerance=0.01,
        slips=(
            Slip(lambda workers, compute: _times("ring", workers, compute), "That is what the ring takes."),
            Slip(
                lambda workers, compute: _times("naive", workers, compute) / 2, "The sum goes back over the same port."
            ),
            Slip(
                lambda workers, compute: _times("naive", workers, "1s"),
                "That is its time in seconds. How many times 0.3 s is it?",
            ),
        ),
    ),
    Number(
        "With {compute} of compute instead: from which number of workers on does the ring take longer than that?",
        "2(K - 1)/K times 0.4 s is 0.7 s at K = 8, and the 14 latencies of 5 us come on top.",
        {"compute": "700ms"},
        answer=_dominates_from,
        unit="count",
        slips=(
            Slip(
                lambda compute: _dominates_from(compute, latency="0"),
                "Nearly: at K = 8 the bytes take 0.7 s. Is that all that a ring takes?",
            ),
        ),
    ),
    Choice(
        "With a network of {bandwidth} and 300 ms of compute: which takes longer in a step with the ring on {workers} "
        "workers?",
        "One gradient takes 160 ms, less than the compute. But the ring sends nearly two of them: 315.6 ms.",
        {"workers": 64, "bandwidth": "25GB/s"},
        answer=_who_wins,
        options=("communication", "compute"),
        hints={"compute": "One gradient of 4 GB takes 160 ms. How many of them does a worker send?"},
    ),
)
