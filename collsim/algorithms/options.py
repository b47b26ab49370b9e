"""Checks of the options that several families share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from collsim.errors import InputError, unknown
from collsim.units import parse_count

PARTNERS = ("auto", "shift")


def check_root(root: int, ranks: int) -> int:
    """Return `root` as an int if it is one of `ranks` ranks; raise `InputError` otherwise."""
    number = parse_count(root, "root", minimum=0)
    if number >= ranks:
        raise InputError(f"root must be one of the ranks 0..{ranks - 1}, got {root!r}")
    return number


def check_power_of_two(ranks: int, what: str, *, instead: str) -> None:
    """Raise `InputError` unless `ranks` is a power of two; `instead` is an algorithm that works for any number."""
    if ranks & (ranks - 1):
        raise InputError(f"{what} needs a power of two, got {ranks} ranks; use {instead!r} instead")


def check_even(ranks: int, what: str, *, instead: str) -> None:
    """Raise `InputError` unless `ranks` is even, or 1; `instead` is an algorithm that works for any number."""
    if ranks % 2 and ranks != 1:
        raise InputError(f"{what} needs an even number of ranks, got {ranks} ranks; use {instead!r} instead")


def partners_of_round(rank: NDArray[np.int64], t: int, partners: str) -> NDArray[np.int64]:
    """Return whom each rank sends to in round t = 1, 2, ... of pairwise exchanges.

    With ``"auto"`` it is the rank that differs in the bits of t if the number of ranks is a power of two, so that two
    deal with each other; otherwise, and always with ``"shift"``, the rank that is t further on.
    """
    if partners not in PARTNERS:
        raise unknown("partners", partners, PARTNERS)
    ranks = len(rank)
    return rank ^ t if partners == "auto" and ranks & (ranks - 1) == 0 else (rank + t) % ranks
