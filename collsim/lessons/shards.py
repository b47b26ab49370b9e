"""Exercises of lesson 10, on the textbook's exercise 1.1.2."""

from __future__ import annotations

import numpy as np

from collsim.book.exercise_1_1_2 import answer
from collsim.catalog import make_schedule
from collsim.lessons.exercise import Choice, Number, Slip
from collsim.replay import execute


def _sizes(shards: str) -> list[int]:
    return [int(size) for size in shards.split(" and ")]


def _overweight(shards: str) -> float:
    sizes = _sizes(shards)
    return answer(sizes, features=1).overweight(min(sizes))


def _mean(shards: str, means: str, weighted: bool = True) -> float:
    sizes, own = np.array(_sizes(shards), dtype=float), np.array(_sizes(means), dtype=float)
    weights = sizes if weighted else np.ones(len(sizes))
    # Sums and weights in one all-reduce, as the exercise of the book has it.
    total = execute(make_schedule("all_reduce", "ring", len(sizes)), np.stack([weights * own, weights], axis=1))[0]
    return float(total[0] / total[1])


def _right(shards: str) -> str:
    found = {one.name: one.relative_error < 1e-9 for one in answer(_sizes(shards)).combinations}
    return {(True, True): "both", (True, False): "plain", (False, True): "weighted"}[found["plain"], found["weighted"]]


EXERCISES = (
    Number(
        "Two shards have {shards} examples, and their mean gradients are averaged plainly. How many times its due does "
        "an example of the smaller shard count?",
        "It counts 1/(2 * 10) where 1/1000 is right: N/(K n_i).",
        {"shards": "990 and 10"},
        answer=_overweight,
        unit="ratio",
        slips=(
            Slip(
                lambda shards: max(_sizes(shards)) / min(_sizes(shards)),
                "That is how many times an example of the other shard counts. What is its due?",
            ),
            Slip(
                lambda shards: sum(_sizes(shards)) / min(_sizes(shards)),
                "The shard has half of the say, not all of it.",
            ),
        ),
    ),
    Number(
        "Shards of {shards} examples have the mean gradients {means} (of one parameter). What is the gradient of all "
        "examples?",
        "(300 * 2 + 100 * 6)/400. The workers send n_i times their mean, and n_i.",
        {"shards": "300 and 100", "means": "2 and 6"},
        answer=_mean,
        unit="ratio",
        slips=(
            Slip(
                lambda shards, means: _mean(shards, means, weighted=False),
                "That is the plain average: it gives the smaller shard as much say as the larger.",
            ),
            Slip(lambda shards, means: float(sum(_sizes(means))), "That is the sum of the means."),
        ),
    ),
    Choice(
        "Shards have {shards} examples. Which average of their mean gradients is right: the plain one, or the one "
        "weighted by size?",
        "n_i/N is 1/K for both, so the two are the same.",
        {"shards": "500 and 500"},
        answer=_right,
        options=("plain", "weighted", "both"),
        hints={
            "plain": "True, but it is not the only one: what are the weights n_i/N here?",
            "weighted": "True, but it is not the only one: what are the weights n_i/N here?",
        },
    ),
)
