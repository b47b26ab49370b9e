"""Exercises of lesson 5: which is faster, and from where on."""

from __future__ import annotations

import functools
from collections.abc import Callable

from collsim.catalog import make_schedule
from collsim.lessons.exercise import Choice, Number, Slip
from collsim.lessons.setting import NETWORK, latency, seconds, sending
from collsim.simulation import simulate
from collsim.units import parse_bandwidth


@functools.cache
def _crossing(workers: int, **costs: float) -> float:
    """Return the size from which on the ring is faster than the tree, to a byte."""
    settings = {**NETWORK, **costs}
    tree, ring = (make_schedule("all_reduce", name, workers) for name in ("tree", "ring"))
    return _first(lambda n: simulate(tree, nbytes=n, **settings).time > simulate(ring, nbytes=n, **settings).time)


def _first(found: Callable[[int], bool]) -> int:
    low, high = 1, 1
    while not found(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if found(middle) else (middle, high)
    return high


def _rounds(workers: int) -> int:
    return (workers - 1).bit_length()


def _equal(workers: int, tree: int | None = None, sent_by_ring: float | None = None) -> float:
    """Return where the closed forms are equal if somebody counts other rounds, or other bytes."""
    rounds = 2 * _rounds(workers) if tree is None else tree
    vectors = 2 * (workers - 1) / workers if sent_by_ring is None else sent_by_ring
    return (2 * (workers - 1) - rounds) * latency() / ((rounds - vectors) * sending(1))


def _where_it_moves(workers: int, bandwidth: str) -> str:
    before, after = _crossing(workers), _crossing(workers, beta=1 / parse_bandwidth(bandwidth))
    return "larger" if after > before else "smaller" if after < before else "the same"


def _ring_over_tree(workers: int, size: str) -> float:
    return seconds("ring", workers, size) / seconds("tree", workers, size)


EXERCISES = (
    Number(
        "Up to which size is `tree` faster than `ring` on {workers} workers, at 10 GB/s and 5 us? (To 2 %.)",
        "The tree takes 8 (5 us + t), the ring 22 (5 us + t/12), where t is the time of the bytes: they are equal at "
        "70 us = 6.17 t, and t is the size over 10 GB/s.",
        {"workers": 12},
        answer=_crossing,
        unit="size",
        tolerance=0.02,
        slips=(
            Slip(
                lambda workers: _equal(workers, tree=_rounds(workers)),
                "You have counted one half of the tree. The sum comes down again: 4 rounds more.",
            ),
            Slip(
                lambda workers: _equal(workers, sent_by_ring=0),
                "The ring sends bytes too: 22 times a twelfth of the vector.",
            ),
            Slip(
                lambda workers: _equal(workers, tree=2 * (_rounds(workers) - 1)),
                "3 rounds reach 8 workers. There are 12, so the tree has 4 up and 4 down.",
            ),
            Slip(lambda workers: _crossing(8), "That is for 8 workers."),
            Slip(lambda workers: _crossing(16), "That is for 16 workers."),
        ),
    ),
    Choice(
        "{workers} workers as in the lesson, and a network of {bandwidth} instead of 10 GB/s, as slow to begin as "
        "before: where does the size move to up to which the tree is faster?",
        "Bytes cost a tenth, and latencies what they did, so it takes ten times as many bytes to outweigh the "
        "latencies of the ring. The crossing is at a fixed multiple of alpha/beta.",
        {"workers": 8, "bandwidth": "100GB/s"},
        answer=_where_it_moves,
        options=("smaller", "larger", "the same"),
        hints={
            "smaller": "What the ring saves is bytes, and these have become cheap. What do its steps cost?",
            "the same": "The latency is the same, but a byte costs a tenth.",
        },
    ),
    Number(
        "{workers} workers sum a vector of {size}: how many times as long as the tree does the ring take?",
        "The bytes take next to nothing. The ring waits for 62 latencies, the tree for 10.",
        {"workers": 32, "size": "8B"},
        answer=_ring_over_tree,
        unit="ratio",
        tolerance=0.01,
        slips=(
            Slip(lambda workers, size: workers / _rounds(workers), "The ring takes 2 (K - 1) steps, not 2 K."),
            Slip(
                lambda workers, size: (workers - 1) / (2 * _rounds(workers)), "That is one time round. And the copies?"
            ),
            Slip(lambda workers, size: 2 * (workers - 1) / _rounds(workers), "The sum comes down the tree as well."),
            Slip(lambda workers, size: 1 / _ring_over_tree(workers, size), "The other way round."),
        ),
    ),
)
