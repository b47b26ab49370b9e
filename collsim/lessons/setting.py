"""The network that the lessons share, and one run on it."""

from __future__ import annotations

import functools
from typing import Any

from collsim.catalog import make_schedule
from collsim.results import Result
from collsim.simulation import simulate
from collsim.units import Quantity, parse_size, parse_time, parse_time_per_byte

# The textbook's 10 GB/s; it gives no latency.
NETWORK: dict[str, Any] = {"alpha": "5us", "beta": "0.1ns/B"}


def all_reduce(algorithm: str, ranks: int, size: Quantity, **settings: Any) -> Result:
    """Return the run of one all-reduce, on the network of the lessons unless another is given.

    Examples
    --------
    >>> round(all_reduce("ring", 4, "4GB").time, 9)
    0.60003
    """
    return simulate(make_schedule("all_reduce", algorithm, ranks), nbytes=size, **(settings or NETWORK))


@functools.cache
def seconds(algorithm: str, ranks: int, size: int | str) -> float:
    """Return how long one all-reduce takes on the network of the lessons."""
    return all_reduce(algorithm, ranks, size).time


def alone(size: Quantity) -> float:
    """Return how long one message takes there if nothing is in its way."""
    return latency() + sending(size)


def latency() -> float:
    """Return the latency of a message there."""
    return parse_time(NETWORK["alpha"])


def sending(size: Quantity) -> float:
    """Return how long the bytes of a message take there."""
    return parse_size(size) * parse_time_per_byte(NETWORK["beta"])
