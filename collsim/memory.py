"""How much memory is free: what would not fit is refused with the number, before the machine comes to a halt."""

from __future__ import annotations

import os

from collsim.errors import InputError
from collsim.units import format_size


def available_bytes() -> int | None:
    """Return the bytes of memory that are free, or None where the system does not say."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def refuse_too_large(needed: float, what: str, advice: str) -> None:
    """Raise an `InputError` with both numbers if `needed` bytes are not free.

    Examples
    --------
    >>> refuse_too_large(1000, "this example", "use less")
    """
    available = available_bytes()
    if available is not None and needed > available:
        raise InputError(
            f"{what} would need about {format_size(needed)} of memory, {format_size(available)} are free; {advice}"
        )
