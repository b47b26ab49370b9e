"""Exercises of lesson 6: links that messages share."""

from __future__ import annotations

from collsim.catalog import make_schedule
from collsim.lessons.exercise import Choice, Number, Slip
from collsim.placement import place
from collsim.schedule import ScheduleBuilder
from collsim.simulation import simulate
from collsim.topology_files import load_topology


def _pairs(leaf: int, size: str, spines: int = 1, pairs: int | None = None) -> float:
    """Return how long it takes if each rank of one leaf sends a vector to its partner on the other."""
    count = leaf if pairs is None else pairs
    # As in an all-to-all the parts of 2 * leaf ranks; only those of the pairs are sent.
    plan = ScheduleBuilder("broadcast", 2 * leaf)
    plan.copy(step=0, src=list(range(count)), dst=list(range(leaf, leaf + count)))
    network = load_topology(f"leaf-spine:2x{leaf},spines={spines}", bandwidth="10GB/s", latency="1us")
    return simulate(plan.build(), network, nbytes=size).time


def _seconds(algorithm: str, leaf: int, size: str, placement: str = "linear") -> float:
    network = load_topology(f"leaf-spine:2x{leaf},spines=1", bandwidth="10GB/s", latency="1us")
    schedule = make_schedule("all_reduce", algorithm, network.ranks)
    return simulate(schedule, place(network, placement), nbytes=size).time


def _best(leaf: int, size: str) -> str:
    return min(_NAMES, key=lambda name: _seconds(name, leaf, size))


def _slower(leaf: int, size: str) -> float:
    return _seconds("ring", leaf, size, "round-robin") / _seconds("ring", leaf, size)


_NAMES = ("tree", "ring", "halving_doubling")

EXERCISES = (
    Number(
        "Two leaf switches with {leaf} ranks each, joined through one spine: every cable has 10 GB/s and 1 us. Each "
        "rank of one leaf sends {size} to its partner on the other, all at once. How long does it take?",
        "Six messages share the one cable to the spine, so each has a sixth of 10 GB/s; the 4 us of four cables hardly "
        "count.",
        {"leaf": 6, "size": "100MB"},
        answer=_pairs,
        slips=(
            Slip(
                lambda leaf, size: _pairs(leaf, size, pairs=1),
                "So it would be for one message alone. How many cross the cable to the spine?",
            ),
            Slip(
                lambda leaf, size: 2 * _pairs(leaf, size),
                "Up to the spine and down from it: a message does both at the same time.",
            ),
        ),
    ),
    Choice(
        "Two leaf switches with {leaf} ranks each, as in the lesson. Which of these is fastest for {size}?",
        "For so few bytes steps count, and sharing costs little. It has 6 of them, and the ring 14, which all wait for "
        "the message that crosses the spine.",
        {"leaf": 4, "size": "100kB"},
        answer=_best,
        options=_NAMES,
        hints={
            "ring": "That was so for 100 MB. What counts for 100 kB?",
            "tree": "It has few steps, true. But how many whole vectors pass the port of rank 0?",
        },
    ),
    Number(
        "Two leaves with {leaf} ranks each, and the ring with {size}. Somebody has dealt out the ranks in turns: even "
        "ones on one leaf, odd ones on the other (`--placement round-robin`). How many times as long does the "
        "ring take now?",
        "Now all messages of a step cross from leaf to leaf: eight each way over a cable that one had to itself.",
        {"leaf": 8, "size": "100MB"},
        answer=_slower,
        unit="ratio",
        tolerance=0.02,
        slips=(
            Slip(lambda leaf, size: 1.0, "Each rank still sends to the next. But where is the next one now?"),
            Slip(
                lambda leaf, size: 2.0 * leaf,
                "All sixteen messages cross, but half of them one way and half the other way.",
            ),
            Slip(lambda leaf, size: 2.0, "How many messages of a step go from the first leaf to the second?"),
        ),
    ),
)
