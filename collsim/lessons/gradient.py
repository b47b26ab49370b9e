"""Exercises of lesson 9, on the textbook's example 1.1.1."""

from __future__ import annotations

import math

import numpy as np

from collsim.book.example_1_1_1 import answer, gradient_sum, regression
from collsim.catalog import make_schedule
from collsim.lessons.exercise import Choice, Number, Slip
from collsim.replay import execute

# Of the data: the figures that are asked for do not depend on how many there are.
_FEW = 2000


def _largest_shard(examples: int, workers: int) -> float:
    # The shards alone; their sums of one feature are quickly done.
    return answer(workers, examples=examples, features=1, algorithms="naive").largest_shard


def _size(features: int) -> float:
    return answer(2, examples=_FEW, features=features, algorithms="naive").size


def _error(dtype: str, workers: int = 8) -> str:
    inputs, targets = regression(_FEW, 50)
    shards = zip(np.array_split(inputs, workers), np.array_split(targets, workers), strict=True)
    partial = np.array([gradient_sum(*shard) for shard in shards])
    whole = partial.sum(axis=0)
    summed = execute(make_schedule("all_reduce", "ring", workers), partial.astype(dtype)).astype(np.float64)
    error = float(np.linalg.norm(summed[0] - whole) / np.linalg.norm(whole))
    return min(_ERRORS, key=lambda text: abs(math.log10(float(text) / error)))


_ERRORS = ("1e-15", "1e-7", "1e-3")

EXERCISES = (
    Number(
        "{examples} examples are shared out among {workers} workers as evenly as can be. How many has the largest "
        "shard?",
        "100 000 is 7 times 14 285, and 5 are left: five workers have one more. Their shards differ, so sums are sent "
        "and not means: the subject of lesson 10.",
        {"examples": 100_000, "workers": 7},
        answer=_largest_shard,
        unit="count",
        slips=(Slip(lambda examples, workers: examples // workers, "So many have the smallest. Some are left over."),),
    ),
    Number(
        "How many bytes is the gradient of a linear model with {features} features, as numbers of float64?",
        "{features} numbers of 8 bytes, whatever the number of examples: that is why one sends gradients and not data.",
        {"features": 200},
        answer=_size,
        unit="size",
        slips=(
            Slip(lambda features: 4 * features, "That would be float32. float64 has 64 bits."),
            Slip(lambda features: 64 * features, "64 bits, not bytes."),
            Slip(lambda features: features, "That is how many numbers. Each has several bytes."),
        ),
    ),
    Choice(
        "The workers send their sums as {dtype} instead of float64. How far, about, is the gradient then off, relative "
        "to the exact one?",
        "float32 has 24 bits, and 2^-24 is 6e-8. The order of summation shows in the same digits.",
        {"dtype": "float32"},
        answer=_error,
        options=_ERRORS,
        hints={
            "1e-15": "That is for float64, which has 53 bits. float32 has 24.",
            "1e-3": "That is for a type with some 10 bits. float32 has 24.",
        },
    ),
)
