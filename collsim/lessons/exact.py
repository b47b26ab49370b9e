"""Exercises of lesson 1: contributions, counted once."""

from __future__ import annotations

import numpy as np

from collsim.catalog import make_schedule
from collsim.lessons.exercise import Choice, Number, Slip
from collsim.replay import execute
from collsim.schedule import ScheduleBuilder


def _sum(workers: int) -> float:
    vectors = [[2.0**worker] for worker in range(workers)]
    return float(execute(make_schedule("all_reduce", "ring", workers), vectors)[0, 0])


def _sum_with_one_twice(workers: int, twice: int) -> float:
    """Return what worker 0 ends with if everybody sends to it, and one worker sends two times."""
    plan = ScheduleBuilder("all_reduce", workers)
    plan.reduce(step=0, src=[*range(1, workers), twice], dst=0)
    plan.copy(step=1, src=0, dst=list(range(1, workers)))
    return float(execute(plan.build(), [[2.0**worker] for worker in range(workers)])[0, 0])


def _who_counted_twice(workers: int, found: int) -> float:
    return next(one for one in range(1, workers) if _sum_with_one_twice(workers, one) == found)


def _differing(workers: int) -> str:
    vectors = np.random.default_rng(0).standard_normal((workers, 1000))
    for name in _NAMES:
        summed = execute(make_schedule("all_reduce", name, workers), vectors)
        if not (summed == summed[0]).all():
            return name
    return "none"


_NAMES = ("naive", "ring", "direct")

EXERCISES = (
    Number(
        "Each of {workers} workers, 0 to 5, holds the one number 2^r, where r is its own. After an all-reduce, what "
        "does each of them hold?",
        "1 + 2 + 4 + ... is one less than the next power of two. With such numbers a contribution that is "
        "lost or counted twice can be seen in the sum.",
        {"workers": 6},
        answer=_sum,
        unit="count",
        slips=(
            Slip(lambda workers: sum(range(workers)), "That is the sum of their own numbers r; they hold 2^r."),
            Slip(lambda workers: 2**workers, "Add them up one by one: the last is 2^5, and the first is 1."),
            Slip(lambda workers: 2 ** (workers - 1), "That is what the last one held before."),
            Slip(lambda workers: _sum(workers - 1), "That is the sum of five of them. The workers are 0 to 5."),
        ),
    ),
    Number(
        "The workers 0 to 4 hold 2^r as before, and worker 0 ends with {found} instead of 31: somebody's contribution "
        "was counted twice. Whose? Answer with the number of the worker.",
        "31 and once more 2^{answer}. That is why `verify` need not try all numbers: it is enough to keep, for each "
        "worker and each part of the vector, the set of contributions.",
        {"workers": 5, "found": 39},
        answer=_who_counted_twice,
        unit="count",
        slips=(
            Slip(lambda workers, found: found - _sum(workers), "That is what it held: 2^r. Which r is that?"),
            *(
                Slip(lambda workers, found, one=one: one, f"With worker {one} counted twice it would be {31 + 2**one}.")
                for one in (0, 1, 2, 4)
            ),
        ),
    ),
    Choice(
        "All of these all-reduces are exact but for rounding. Which one leaves {workers} workers with different last "
        "bits?",
        "In `direct` everybody sends to everybody, and each adds in an order of its own, beginning with its own "
        "vector. The others add once, in one place, and copy the sum.",
        {"workers": 8},
        answer=_differing,
        options=(*_NAMES, "none"),
        hints={
            "naive": "In `naive` worker 0 adds everything, and the others get a copy.",
            "ring": "In `ring` each part of the vector is added once, on its way round, and then copied.",
            "none": "Floating-point sums depend on the order of their terms. Who adds in which order?",
        },
    ),
)
