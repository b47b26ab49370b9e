"""Exercises of lesson 7: one worker is late, one is slow."""

from __future__ import annotations

import numpy as np

from collsim.catalog import make_schedule
from collsim.lessons.exercise import Number, Slip
from collsim.lessons.setting import NETWORK, all_reduce
from collsim.overrides import override
from collsim.shapes import star
from collsim.simulation import simulate
from collsim.units import parse_time


def _done(workers: int, size: str, *delays: str) -> float:
    offsets = [*delays, *["0"] * (workers - len(delays))]
    return all_reduce("ring", workers, size, offsets=offsets, **NETWORK).time


def _with_a_slow_port(workers: int, size: str, share: float) -> float:
    network = star(workers, bandwidth="10GB/s", latency="2.5us")
    if share != 1:
        network = override(network, str(workers - 1), bandwidth=f"x{share}")
    return simulate(make_schedule("all_reduce", "ring", workers), network, nbytes=size).time


def _slowdown(workers: int, size: str, share: float) -> float:
    return _with_a_slow_port(workers, size, share) / _with_a_slow_port(workers, size, 1)


def _waiting(computes: str) -> float:
    """Return which part of a step's worker-seconds is spent in waiting for the last worker."""
    starts = [parse_time(f"{one}ms") for one in computes.split(", ")]
    result = all_reduce("ring", len(starts), 0, alpha=0, beta=0, offsets=starts)
    return float(np.mean(result.time - np.array(starts)) / result.time)


EXERCISES = (
    Number(
        "{workers} workers sum vectors of {size} by `ring`, at 10 GB/s and 5 us. One of them comes {late} late and "
        "another one {later}. After what time are all done?",
        "Nothing can be complete before the last one comes, and from then on it takes a whole ring, 35.07 ms. The "
        "other delay passes unseen.",
        {"workers": 8, "size": "200MB", "late": "5ms", "later": "20ms"},
        answer=lambda workers, size, late, later: _done(workers, size, late, later),
        slips=(
            Slip(lambda workers, size, late, later: _done(workers, size), "That is without anybody being late."),
            Slip(
                lambda workers, size, late, later: _done(workers, size) + parse_time(late) + parse_time(later),
                "Both are late at the same time. Do the delays add up?",
            ),
            Slip(
                lambda workers, size, late, later: (
                    _done(workers, size) + (parse_time(late) + parse_time(later)) / workers
                ),
                "A delay is not shared out: who waits for the late one?",
            ),
            Slip(
                lambda workers, size, late, later: _done(workers, size, late),
                "That is without the other one. Who is the last to come?",
            ),
            Slip(lambda workers, size, late, later: parse_time(later), "Then the last one comes. And then?"),
        ),
    ),
    Number(
        "One of {workers} workers on a switch (10 GB/s, 5 us) has a port of {share} times the bandwidth. How many "
        "times as long does a ring all-reduce of {size} take as without it?",
        "In every step that port sends and receives a part, and all wait for it. With seven good ports and a bad one "
        "the ring is as fast as with eight bad ones.",
        {"workers": 8, "size": "100MB", "share": 0.25},
        answer=_slowdown,
        unit="ratio",
        tolerance=0.01,
        slips=(
            Slip(
                lambda workers, size, share: (workers - 1 + 1 / share) / workers,
                "So it would be if the delays were averaged. Who waits for the slow port?",
            ),
            Slip(lambda workers, size, share: 1 / share / workers, "How many parts of the vector pass the slow port?"),
            Slip(lambda workers, size, share: share, "The other way round: less bandwidth takes longer."),
        ),
    ),
    Number(
        "Four workers compute for {computes} ms, and then wait for each other. Which part of their time, all together, "
        "is waiting? (In per cent, or as a fraction.)",
        "The step takes as long as the slowest; the others wait for 100, 90 and 110 ms: 300 ms out of four times 400.",
        {"computes": "300, 310, 290, 400"},
        answer=_waiting,
        unit="share",
        tolerance=0.02,
        slips=(
            Slip(
                lambda computes: _waiting(computes) * 4 / 3,
                "That is for the three that wait. The slowest one works all the time: count it too.",
            ),
            Slip(lambda computes: 1 - _waiting(computes), "That is the part in which they work."),
        ),
    ),
)
