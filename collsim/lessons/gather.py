"""Exercises of lesson 2: everything through one port."""

from __future__ import annotations

import itertools

from collsim.lessons.exercise import Number, Slip
from collsim.lessons.setting import all_reduce, alone, latency, seconds, sending
from collsim.schedule import Op
from collsim.units import parse_size, parse_time


def _received_by_root(workers: int, size: str) -> float:
    result = all_reduce("naive", workers, size)
    into_root = (result.schedule.dst == 0) & (result.schedule.op == Op.REDUCE)
    return float(result.payload[into_root].sum())


def _first_above(size: str, limit: str) -> float:
    return next(workers for workers in itertools.count(2) if seconds("naive", workers, size) > parse_time(limit))


EXERCISES = (
    Number(
        "{workers} workers sum vectors of {size} by `naive`, over ports of 10 GB/s and with a latency of 5 us. How "
        "long does it take?",
        "Four vectors of 100 ms come into worker 0 one after another, and four go out. The two latencies "
        "are 10 us of that.",
        {"workers": 5, "size": "1GB"},
        answer=lambda workers, size: seconds("naive", workers, size),
        slips=(
            Slip(
                lambda workers, size: latency() + (workers - 1) * sending(size),
                "That is the gather. Afterwards everybody must get the sum.",
            ),
            Slip(
                lambda workers, size: 2 * (latency() + workers * sending(size)),
                "Worker 0 need not send its own vector to itself: that is one less.",
            ),
            Slip(
                lambda workers, size: 2 * alone(size),
                "So it would be if all could come in at once. They share the port of worker 0.",
            ),
        ),
    ),
    Number(
        "How many bytes does worker 0 receive in the naive all-reduce of {size} on {workers} workers?",
        "A whole vector from each of the 8 others. Each of these receives one vector, the sum.",
        {"workers": 9, "size": "200MB"},
        answer=_received_by_root,
        unit="size",
        slips=(
            Slip(lambda workers, size: workers * parse_size(size), "Its own vector is there already."),
            Slip(lambda workers, size: parse_size(size), "That is one vector. From how many workers do they come?"),
            Slip(
                lambda workers, size: 2 * (workers - 1) * parse_size(size),
                "That is received and sent together. How much of it comes in?",
            ),
        ),
    ),
    Number(
        "The vector has {size}, the network is the same. What is the smallest number of workers with which `naive` "
        "takes more than {limit}?",
        "Each worker more costs two vectors of 10 ms on the port of worker 0, so 51 workers take 1 s and 10 us. "
        "Latencies decide here, by a hair.",
        {"size": "100MB", "limit": "1s"},
        answer=_first_above,
        unit="count",
        slips=(
            Slip(
                lambda size, limit: _first_above(size, limit) + 1,
                "Nearly: without latencies 51 workers would take 1 s and no more. But there are two.",
            ),
            Slip(
                lambda size, limit: _first_above(size, limit) - 1,
                "2 (K - 1) times 10 ms: is that more than 1 s? Mind the - 1.",
            ),
            Slip(
                lambda size, limit: next(
                    workers for workers in itertools.count(2) if (workers - 1) * sending(size) >= parse_time(limit)
                ),
                "You have counted one way only. The sum goes back over the same port.",
            ),
        ),
    ),
)
