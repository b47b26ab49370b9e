"""Checks of the options that several families share."""

from __future__ import annotations

from collsim.errors import InputError
from collsim.units import parse_count


def check_root(root: int, ranks: int) -> int:
    """Return `root` as an int if it is one of `ranks` ranks; raise `InputError` otherwise."""
    number = parse_count(root, "root", minimum=0)
    if number >= ranks:
        raise InputError(f"root must be one of the ranks 0..{ranks - 1}, got {root!r}")
    return number
