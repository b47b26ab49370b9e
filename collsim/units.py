"""Quantities: the one place where text becomes seconds, bytes and bytes per second, and back.

Inside collsim everything is in SI units (seconds, bytes, bytes per second, seconds per byte) and a
bare number is taken to be in them. Decimal and binary prefixes are different words (GB = 10^9,
GiB = 2^30), bits are spelt out (Gbit or Gb), and what could mean two things (K, gb, GBs) is refused.
"""

from __future__ import annotations

import math
import numbers
import re
from fractions import Fraction
from typing import Any

from collsim.errors import InputError

Quantity = float | int | str

_DECIMAL = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50}

# Exact factors: 4.1GB is 4 100 000 000 bytes and 5us is the double nearest to 5e-6, which products
# of doubles do not always give.
SIZE_UNITS = {
    **{f"{prefix}B": Fraction(factor) for prefix, factor in {**_DECIMAL, **_BINARY}.items()},
    **{f"{prefix}bit": Fraction(factor, 8) for prefix, factor in {**_DECIMAL, **_BINARY}.items()},
    **{f"{prefix}b": Fraction(factor, 8) for prefix, factor in _DECIMAL.items() if prefix},
}
BANDWIDTH_UNITS = {
    **{f"{unit}/s": factor for unit, factor in SIZE_UNITS.items()},
    **{f"{prefix}bps": Fraction(factor, 8) for prefix, factor in _DECIMAL.items()},
}
TIME_UNITS = {
    "s": Fraction(1),
    "ms": Fraction(1, 10**3),
    **dict.fromkeys(("us", "µs", "μs"), Fraction(1, 10**6)),
    "ns": Fraction(1, 10**9),
    "ps": Fraction(1, 10**12),
}
TIME_PER_BYTE_UNITS = {**TIME_UNITS, **{f"{unit}/B": factor for unit, factor in TIME_UNITS.items()}}

_TEXT = re.compile(r"\s*([+-]?(?:\d+(?:_\d+)*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?)\s*(\S.*?)?\s*")


def parse_size(value: Quantity, what: str = "size") -> int:
    """Return a size in bytes.

    Parameters
    ----------
    value : int, float or str
        Bytes, or text such as ``"4GB"`` (10^9), ``"4MiB"`` (2^20), ``"8Gbit"``.
    what : str
        What the value is called in an error.

    Raises
    ------
    InputError
        If it is negative, not finite, not a whole number of bytes, or its unit is not known.

    Examples
    --------
    >>> parse_size("4MB"), parse_size("4MiB"), parse_size("8Gbit")
    (4000000, 4194304, 1000000000)
    """
    size = _parse(value, what, SIZE_UNITS, "4GB, 4GiB, 512KiB, 8Gbit or a number of bytes")
    if size < 0:
        raise InputError(f"{what} must not be negative, got {value!r}")
    if size.denominator != 1:
        raise InputError(f"{what} must be a whole number of bytes, got {value!r}")
    if size >= 2**63:
        raise InputError(f"{what} must be below 2^63 bytes (about 9 EB), got {value!r}")
    return int(size)


def parse_bandwidth(value: Quantity, what: str = "bandwidth") -> float:
    """Return a bandwidth in bytes per second.

    Parameters
    ----------
    value : int, float or str
        Bytes per second, or text such as ``"10GB/s"`` or ``"200Gbit/s"``.
    what : str
        What the value is called in an error.

    Raises
    ------
    InputError
        If it is not positive, not finite, or its unit is not known.

    Examples
    --------
    >>> parse_bandwidth("10GB/s"), parse_bandwidth("200Gbit/s")
    (10000000000.0, 25000000000.0)
    """
    accepted = "10GB/s, 10GiB/s, 200Gbit/s or a number of bytes per second"
    bandwidth = _as_float(_parse(value, what, BANDWIDTH_UNITS, accepted), value, what)
    if bandwidth <= 0:
        raise InputError(f"{what} must be positive, got {value!r}")
    return bandwidth


def parse_time(value: Quantity, what: str = "time") -> float:
    """Return a time in seconds.

    Parameters
    ----------
    value : int, float or str
        Seconds, or text such as ``"5us"`` or ``"300ms"``.
    what : str
        What the value is called in an error.

    Raises
    ------
    InputError
        If it is negative, not finite, or its unit is not known.

    Examples
    --------
    >>> parse_time("5us"), parse_time("300ms"), parse_time(2)
    (5e-06, 0.3, 2.0)
    """
    return _parse_nonnegative(value, what, TIME_UNITS, "5us, 300ms, 1.5s or a number of seconds")


def parse_time_per_byte(value: Quantity, what: str = "beta") -> float:
    """Return a cost in seconds per byte.

    Parameters
    ----------
    value : int, float or str
        Seconds per byte, or text such as ``"0.1ns/B"``; a bare time such as ``"0.1ns"`` is per byte.
    what : str
        What the value is called in an error.

    Raises
    ------
    InputError
        If it is negative, not finite, or its unit is not known.

    Examples
    --------
    >>> parse_time_per_byte("0.1ns/B"), parse_time_per_byte("0.1ns")
    (1e-10, 1e-10)
    """
    return _parse_nonnegative(value, what, TIME_PER_BYTE_UNITS, "0.1ns/B, 0.1ns or a number of seconds per byte")


def parse_count(value: Any, what: str, *, minimum: int = 1) -> int:
    """Return a whole number of at least `minimum`.

    Parameters
    ----------
    value : int or str
        The number; a float is accepted if it is whole.
    what : str
        What the value is called in an error.
    minimum : int
        The least that is allowed.

    Raises
    ------
    InputError
        If it is not a whole number or too small.

    Examples
    --------
    >>> parse_count("8", "ranks")
    8
    """
    whole = InputError(f"{what} must be a whole number of at least {minimum}, got {value!r}")
    if isinstance(value, bool):
        raise whole
    if isinstance(value, str):
        try:
            value = int(value)
        except ValueError:
            raise whole from None
    if not isinstance(value, numbers.Integral) and not (isinstance(value, numbers.Real) and math.isfinite(value)):
        raise whole
    number = int(value) if isinstance(value, numbers.Integral) else int(float(value))
    if number != value or number < minimum:
        raise whole
    return number


def _parse(value: Any, what: str, units: dict[str, Fraction], accepted: str) -> Fraction:
    """Return the exact value in SI units; the callers say which range is right."""
    if isinstance(value, str):
        match = _TEXT.fullmatch(value)
        if match is None:
            raise InputError(f"{what} {value!r} is not a quantity; write {accepted}")
        unit = match[2]
        if unit and unit not in units:
            raise InputError(f"{what} {value!r} has the unknown unit {unit!r}; write {accepted}")
        if math.isinf(float(match[1])):
            raise InputError(f"{what} must be finite, got {value!r}")
        return Fraction(match[1].replace("_", "")) * (units[unit] if unit else 1)
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise InputError(f"{what} must be a number or text, got {value!r}; write {accepted}")
    if not isinstance(value, numbers.Integral) and not math.isfinite(value):
        raise InputError(f"{what} must be finite, got {value!r}")
    return Fraction(int(value)) if isinstance(value, numbers.Integral) else Fraction(float(value))


def _parse_nonnegative(value: Quantity, what: str, units: dict[str, Fraction], accepted: str) -> float:
    exact = _parse(value, what, units, accepted)
    if exact < 0:
        raise InputError(f"{what} must not be negative, got {value!r}")
    return _as_float(exact, value, what)


def _as_float(exact: Fraction, value: Any, what: str) -> float:
    try:
        return float(exact)
    except OverflowError:
        raise InputError(f"{what} is too large: {value!r}") from None


def format_time(seconds: float) -> str:
    """Return a time for people, with four significant digits.

    Examples
    --------
    >>> format_time(0.70007), format_time(5e-6), format_time(0)
    ('700.1 ms', '5 us', '0 s')
    """
    for factor, unit in ((1, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns")):
        if abs(seconds) >= factor * 0.99995:
            return f"{_digits(seconds / factor)} {unit}"
    return f"{_digits(seconds / 1e-12)} ps" if seconds else "0 s"


def format_size(nbytes: float) -> str:
    """Return a size for people, in decimal units with four significant digits.

    Examples
    --------
    >>> format_size(4e9), format_size(4096), format_size(12)
    ('4 GB', '4.096 kB', '12 B')
    """
    for factor, unit in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(nbytes) >= factor * 0.99995:
            return f"{_digits(nbytes / factor)} {unit}"
    return f"{_digits(nbytes)} B"


def format_bandwidth(bytes_per_second: float) -> str:
    """Return a bandwidth for people: decimal bytes per second.

    Examples
    --------
    >>> format_bandwidth(1.25e9)
    '1.25 GB/s'
    """
    if not math.isfinite(bytes_per_second):
        return "-"
    return f"{format_size(bytes_per_second)}/s"


def _digits(value: float) -> str:
    text = f"{value:.4g}"
    return f"{value:.0f}" if "e" in text else text
