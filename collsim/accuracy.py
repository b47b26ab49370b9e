"""How exact a result is: real vectors through a schedule, against sums that are rounded once only."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collsim.errors import InputError, VerificationError
from collsim.replay import execute, verify
from collsim.schedule import Schedule
from collsim.units import format_size, parse_count

CHECKED_DTYPES = ("float64", "float32", "float16", "int64", "int32")

# Columns summed at a time by math.fsum, which needs Python floats.
_BLOCK = 1 << 16
# The vectors, the padded state, what is on its way, and the result.
_COPIES = 4


@dataclass(frozen=True)
class Report:
    """What moving real data through a schedule has shown.

    Attributes
    ----------
    verified : bool
        Whether the proof holds: each contribution counted exactly once.
    ranks_agree : bool
        Whether all ranks hold the same bits.
    max_abs_error : float
        Largest absolute difference from the exact sum, over all ranks and elements.
    relative_error : float
        Norm of the difference over the norm of the exact sum (2-norms), of the worst rank.
    max_ulp : float
        Largest difference in units of the last place of the exact sum.
    within_bound : bool
        Whether every difference is within ``gamma_(K-1) sum |x|`` (Higham, Accuracy and Stability of
        Numerical Algorithms, section 4.2), which holds for every order of summation.
    elements : int
        Length of the vectors.
    dtype : str
        Their type.
    fault : str
        What is wrong; empty if nothing.
    """

    verified: bool
    ranks_agree: bool
    max_abs_error: float
    relative_error: float
    max_ulp: float
    within_bound: bool
    elements: int
    dtype: str
    fault: str

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.fault

    def to_dict(self) -> dict[str, Any]:
        """Return the figures under the names of ``collsim run --check --json``; null for what is not finite."""
        figures = {
            "max_abs_error": self.max_abs_error,
            "relative_error": self.relative_error,
            "max_ulp": self.max_ulp,
        }
        return {
            **{name: value if math.isfinite(value) else None for name, value in figures.items()},
            "ranks_agree": self.ranks_agree,
            "verified": self.verified,
        }

    def facts(self) -> dict[str, str | tuple[str, str]]:
        """Return the report for people: name, value and remark of each line."""
        return {
            "verified": ("yes" if self.verified else "NO", "each contribution is counted exactly once"),
            "ranks agree": ("yes" if self.ranks_agree else "NO", "all ranks hold the same bits"),
            "largest error": (f"{self.max_abs_error:.3g}", f"{self.elements} {self.dtype} a rank, against exact sums"),
            "relative error": (f"{self.relative_error:.3g}", "norm of the difference over norm of the exact sum"),
            "in last places": (f"{self.max_ulp:.3g}", "ulp of the exact sum; large where terms cancel"),
            "within bound": ("yes" if self.within_bound else "NO", "gamma_(K-1) sum |x|, for any order of summation"),
        }


def check(schedule: Schedule, nbytes: int, *, dtype: str = "float32", seed: int | str = 0) -> Report:
    """Verify a schedule of all_reduce, sum seeded random vectors with it, and say how exact the sum is.

    Parameters
    ----------
    schedule : Schedule
        What to check.
    nbytes : int
        Bytes of each rank's vector.
    dtype : str
        One of `CHECKED_DTYPES`. Floats are drawn from the standard normal distribution, integers
        evenly from -1000..1000.
    seed : int
        Of the data.

    Returns
    -------
    Report
        The errors, and what is wrong, if anything.

    Raises
    ------
    InputError
        If the size is not a whole number of elements, the vectors do not fit into memory, or the
        collective is not all_reduce.

    Examples
    --------
    >>> import collsim as cs
    >>> report = check(cs.make_schedule("all_reduce", "ring", ranks=4), 4000, dtype="float32")
    >>> report.passed, report.ranks_agree, report.relative_error < 1e-6
    (True, True, True)
    """
    if schedule.collective.name != "all_reduce":
        raise InputError(f"only all_reduce can be checked on real data, got {schedule.collective.name}")
    if dtype not in CHECKED_DTYPES:
        raise InputError(f"dtype must be one of {', '.join(CHECKED_DTYPES)}, got {dtype!r}")
    kind = np.dtype(dtype)
    if nbytes % kind.itemsize:
        raise InputError(f"size of {nbytes} bytes is not a whole number of {dtype} ({kind.itemsize} bytes each)")
    _refuse_too_large(schedule.ranks, nbytes)
    fault = ""
    try:
        verify(schedule)
    except VerificationError as error:
        fault = f"not verified: {error}"
    x = _random_vectors(schedule.ranks, nbytes // kind.itemsize, kind, parse_count(seed, "seed", minimum=0))
    return _report(x, execute(schedule, x), fault)


def exact_sums(x: NDArray[Any]) -> NDArray[np.float64]:
    """Return the sum of each column of `x`, rounded once.

    Parameters
    ----------
    x : ndarray, shape (ranks, elements)
        Floats.

    Returns
    -------
    ndarray of float64, shape (elements,)
        ``math.fsum`` of every column.

    Examples
    --------
    >>> exact_sums(np.array([[1e16], [1.0], [-1e16]]))
    array([1.])
    """
    total = np.empty(x.shape[1])
    for begin in range(0, x.shape[1], _BLOCK):
        columns = x[:, begin : begin + _BLOCK].T.tolist()
        total[begin : begin + _BLOCK] = [math.fsum(column) for column in columns]
    return total


def _report(x: NDArray[Any], y: NDArray[Any], fault: str) -> Report:
    ranks, elements = x.shape
    if x.dtype.kind == "f":
        exact = exact_sums(x)
        error = np.abs(y.astype(np.float64) - exact)
        unit = float(np.finfo(x.dtype).eps) / 2
        bound = (ranks - 1) * unit / (1 - (ranks - 1) * unit) * np.abs(x.astype(np.float64)).sum(axis=0)
        # The sum is rounded to the type in the end, and fsum rounds once itself.
        bound = bound + 2 * unit * np.abs(exact)
        place = np.spacing(np.abs(exact).astype(x.dtype)).astype(np.float64)
    else:
        exact = x.sum(axis=0, dtype=x.dtype).astype(np.float64)
        error = np.abs(y.astype(np.float64) - exact)
        bound = np.zeros(elements)
        place = np.ones(elements)
    within = bool((error <= bound).all())
    if not within and not fault:
        rank, element = np.unravel_index(int(np.argmax(error - bound)), error.shape)
        fault = f"rank {rank}, element {element} is off by {error[rank, element]:.3g}, more than rounding can explain"
    norm = float(np.linalg.norm(exact))
    worst = float(np.sqrt((error**2).sum(axis=1)).max(initial=0.0))
    return Report(
        verified=not fault.startswith("not verified"),
        ranks_agree=bool((y == y[:1]).all()),
        max_abs_error=float(error.max(initial=0.0)),
        relative_error=worst / norm if norm else (0.0 if worst == 0 else math.inf),
        max_ulp=float((error / place).max(initial=0.0)),
        within_bound=within,
        elements=elements,
        dtype=str(x.dtype),
        fault=fault,
    )


def _random_vectors(ranks: int, elements: int, dtype: np.dtype[Any], seed: int) -> NDArray[Any]:
    rng = np.random.default_rng(seed)
    if dtype.kind == "f":
        return rng.standard_normal((ranks, elements)).astype(dtype)
    return rng.integers(-1000, 1001, (ranks, elements)).astype(dtype)


def _refuse_too_large(ranks: int, nbytes: int) -> None:
    needed = _COPIES * ranks * nbytes
    try:
        available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return  # not every platform says; then the allocation itself will
    if needed > available:
        raise InputError(
            f"checking moves real data: {ranks} ranks x {format_size(nbytes)} need about {format_size(needed)} of "
            f"memory and {format_size(available)} are free; use a smaller size (the proof holds for every size)"
        )
