"""How exact a result is: real vectors through a schedule, against sums that are rounded once only.

What each rank should end with is worked out from the collective's promise alone, whatever the algorithm.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collsim.errors import InputError, VerificationError
from collsim.memory import refuse_too_large
from collsim.replay import execute, verify
from collsim.schedule import Schedule
from collsim.units import Quantity, format_size, parse_count, parse_size

CHECKED_DTYPES = ("float64", "float32", "float16", "int64", "int32")

# Columns summed at a time by math.fsum, which needs Python floats.
_BLOCK = 1 << 16
# The vectors, what is on its way, and the result; `execute` keeps the state of all chunks besides.
_COPIES = 3
# fsum rounds the exact sum to a double.
_ROUNDED_ONCE = 2.0**-53


@dataclass(frozen=True)
class Report:
    """What moving real data through a schedule has shown.

    Attributes
    ----------
    verified : bool
        Whether the proof holds: each contribution counted exactly once (of a barrier, at least once).
    ranks_agree : bool
        Whether ranks that are promised the same hold the same bits.
    max_abs_error : float
        Largest absolute difference from the exact result, over all ranks and elements.
    relative_error : float
        Norm of the difference over the norm of the exact result (2-norms), of the worst rank.
    max_ulp : float
        Largest difference in units of the last place of the exact result.
    within_bound : bool
        Whether every sum of m terms is within ``gamma_(m-1) sum |x|`` of the exact one (Higham, Accuracy
        and Stability of Numerical Algorithms, section 4.2), which holds for every order of summation, and
        every copy is exact.
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
            "ranks agree": ("yes" if self.ranks_agree else "NO", "ranks that are promised the same hold the same bits"),
            "largest error": (f"{self.max_abs_error:.3g}", f"{self.elements} {self.dtype} a rank, against exact sums"),
            "relative error": (f"{self.relative_error:.3g}", "norm of the difference over norm of the exact result"),
            "in last places": (f"{self.max_ulp:.3g}", "ulp of the exact result; large where terms cancel"),
            "within bound": (
                "yes" if self.within_bound else "NO",
                "gamma_(m-1) sum |x| for any order of summing m terms; copies are exact",
            ),
        }


def check(schedule: Schedule, nbytes: Quantity, *, dtype: str = "float32", seed: int | str = 0) -> Report:
    """Verify a schedule, run it on seeded random vectors, and say how exact what comes out is.

    Parameters
    ----------
    schedule : Schedule
        What to check, of any collective: ranks must end with the sums, or the copies, that it promises.
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
        If the size is not a whole number of elements or does not suit the collective, or the vectors do not
        fit into memory.

    Examples
    --------
    >>> import collsim as cs
    >>> report = check(cs.make_schedule("all_reduce", "ring", ranks=4), 4000, dtype="float32")
    >>> report.passed, report.ranks_agree, report.relative_error < 1e-6
    (True, True, True)
    >>> check(cs.make_schedule("all_gather", "ring", ranks=4), 4000).max_abs_error
    0.0
    """
    size = parse_size(nbytes)
    if dtype not in CHECKED_DTYPES:
        raise InputError(f"dtype must be one of {', '.join(CHECKED_DTYPES)}, got {dtype!r}")
    kind = np.dtype(dtype)
    if size % kind.itemsize:
        raise InputError(f"size of {size} bytes is not a whole number of {dtype} ({kind.itemsize} bytes each)")
    schedule.message_bytes(size, kind.itemsize)  # refuses what does not suit the collective
    _refuse_too_large(schedule, size, kind.itemsize)
    fault = ""
    try:
        verify(schedule)
    except VerificationError as error:
        fault = f"not verified: {error}"
    x = _random_vectors(schedule.ranks, size // kind.itemsize, kind, parse_count(seed, "seed", minimum=0))
    return _report(schedule, x, execute(schedule, x), fault)


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


@dataclass(frozen=True)
class _Promise:
    """A chunk that one or more ranks must end with, of the same contributors: where it stands in their vectors."""

    chunk: int
    size: int
    contributors: tuple[int, ...]
    ranks: NDArray[np.int64]
    first: NDArray[np.int64]

    def of(self, y: NDArray[Any]) -> NDArray[Any]:
        """Return what the ranks have there, shape (ranks that it is promised to, size)."""
        return np.asarray(y[self.ranks[:, None], self.columns])

    @property
    def columns(self) -> NDArray[np.int64]:
        """The elements of each rank's vector, shape (ranks that it is promised to, size)."""
        return np.asarray(self.first[:, None] + np.arange(self.size))


def _promises(schedule: Schedule, sizes: NDArray[np.int64]) -> list[_Promise]:
    ranks, chunks, collective = schedule.ranks, schedule.chunks, schedule.collective
    holders: dict[tuple[int, bytes], list[tuple[int, int]]] = defaultdict(list)
    for rank in range(ranks):
        outputs = collective.outputs(ranks, chunks, rank)
        promised = collective.after(ranks, chunks, rank)
        patterns = np.packbits(promised, axis=1)
        first = np.cumsum(sizes[outputs]) - sizes[outputs]
        for row in np.flatnonzero(promised.any(axis=1) & (sizes[outputs] > 0)).tolist():
            holders[int(outputs[row]), patterns[row].tobytes()].append((rank, int(first[row])))
    found = []
    for (chunk, pattern), places in holders.items():
        who = np.flatnonzero(np.unpackbits(np.frombuffer(pattern, dtype=np.uint8), count=ranks))
        rank_of, first_of = np.array(places, dtype=np.int64).T
        found.append(_Promise(chunk, int(sizes[chunk]), tuple(who.tolist()), rank_of, first_of))
    return found


def _terms(schedule: Schedule, sizes: NDArray[np.int64], x: NDArray[Any]) -> list[dict[int, NDArray[Any]]]:
    """Return, for every rank, its own values of each chunk that its vector consists of."""
    own = []
    for rank, vector in enumerate(x):
        inputs = schedule.collective.inputs(schedule.ranks, schedule.chunks, rank)
        ends = np.cumsum(sizes[inputs]).tolist()
        own.append(
            {
                chunk: vector[end - size : end]
                for chunk, size, end in zip(inputs.tolist(), sizes[inputs].tolist(), ends, strict=True)
            }
        )
    return own


def _exact(terms: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the exact sum of each column, how far from it any order of summation may end, and its last place."""
    count, elements = terms.shape
    if terms.dtype.kind != "f":
        return terms.sum(axis=0, dtype=terms.dtype).astype(np.float64), np.zeros(elements), np.ones(elements)
    exact = exact_sums(terms)
    roundings = (count - 1) * float(np.finfo(terms.dtype).eps) / 2
    gamma = roundings / (1 - roundings) if roundings < 1 else math.inf
    bound = np.zeros(elements)
    if count > 1:
        bound = gamma * np.abs(terms.astype(np.float64)).sum(axis=0) + _ROUNDED_ONCE * np.abs(exact)
    return exact, bound, np.spacing(np.abs(exact).astype(terms.dtype)).astype(np.float64)


def _report(schedule: Schedule, x: NDArray[Any], y: NDArray[Any], fault: str) -> Report:
    sizes = schedule.collective.cut(schedule.ranks, schedule.chunks, x.shape[1])
    own = _terms(schedule, sizes, x)
    # Sums of squares, of the errors and of the exact results of every rank.
    missed, due = np.zeros(schedule.ranks), np.zeros(schedule.ranks)
    largest = largest_ulp = excess = 0.0
    agree, worst = True, ""
    for promise in _promises(schedule, sizes):
        values = promise.of(y)
        exact, bound, place = _exact(np.stack([own[rank][promise.chunk] for rank in promise.contributors]))
        error = np.abs(values.astype(np.float64) - exact)
        error[np.isnan(error)] = math.inf
        agree &= all(row.tobytes() == values[0].tobytes() for row in values[1:])
        largest = max(largest, float(error.max()))
        largest_ulp = max(largest_ulp, float((error / place).max()))
        np.add.at(missed, promise.ranks, (error**2).sum(axis=1))
        np.add.at(due, promise.ranks, (exact**2).sum())
        over = np.where(error > bound, error, 0.0)
        if over.max() > excess:
            holder, element = np.unravel_index(int(np.argmax(over)), over.shape)
            excess = float(over[holder, element])
            worst = (
                f"rank {promise.ranks[holder]}, element {promise.columns[holder, element]} is off by "
                f"{error[holder, element]:.3g}, more than rounding can explain"
            )
    relative = [math.sqrt(e / d) if d else (math.inf if e else 0.0) for e, d in zip(missed, due, strict=True)]
    return Report(
        verified=not fault,
        ranks_agree=agree,
        max_abs_error=largest,
        relative_error=max(relative),
        max_ulp=largest_ulp,
        within_bound=not worst,
        elements=x.shape[1],
        dtype=str(x.dtype),
        fault=fault or worst,
    )


def _random_vectors(ranks: int, elements: int, dtype: np.dtype[Any], seed: int) -> NDArray[Any]:
    rng = np.random.default_rng(seed)
    if dtype.kind == "f":
        return rng.standard_normal((ranks, elements)).astype(dtype)
    return rng.integers(-1000, 1001, (ranks, elements)).astype(dtype)


def _refuse_too_large(schedule: Schedule, nbytes: int, itemsize: int) -> None:
    widest = int(schedule.collective.cut(schedule.ranks, schedule.chunks, nbytes // itemsize).max(initial=0))
    state = schedule.chunks * widest * itemsize
    refuse_too_large(
        schedule.ranks * (_COPIES * nbytes + state),
        f"checking real data, {format_size(nbytes)} on each of {schedule.ranks} ranks,",
        "use a smaller size (the proof holds for every size)",
    )
