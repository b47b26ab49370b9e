"""Rounding: how far from the exact sum each algorithm's order of summation ends, and what theory allows.

Real vectors go through schedules here, as in `collsim.accuracy`, but in every floating-point format down
to eight bits, for many algorithms at once, and beside the bound that the shape of each summation tree
gives. How an algorithm adds is read off its schedule, not known in advance.
"""

from __future__ import annotations

import hashlib
import inspect
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collsim.accuracy import exact_sums
from collsim.algorithms.table import ADMITS
from collsim.catalog import ALGORITHMS, make_schedule
from collsim.collectives import collective_name, split
from collsim.errors import InputError, unknown
from collsim.replay import execute, replay, verify
from collsim.schedule import Schedule
from collsim.units import parse_count

Array = NDArray[Any]
Record = dict[str, Any]

DTYPES = ("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")
DATA = {
    "normal": "standard normal",
    "uniform": "uniform in [0, 1)",
    "cancelling": "pairs +v, -v of normal values in random places, and a remainder of 1/64 to 1/32",
}
# The collectives that add, with whole vectors at both ends.
SUMMING = ("all_reduce", "reduce", "reduce_scatter", "scan", "exscan")


@dataclass(frozen=True)
class Format:
    """A floating-point format.

    Attributes
    ----------
    dtype : numpy.dtype
        Its type in numpy; those that numpy has not come from ml_dtypes.
    digits : int
        Binary digits of the significand, the leading one included.
    least_exponent : int
        Exponent of the least normal number.
    largest : float
        The largest finite number.
    """

    dtype: np.dtype[Any]
    digits: int
    least_exponent: int
    largest: float

    @property
    def unit(self) -> float:
        """The unit roundoff: half the distance from 1 to the next number."""
        return 2.0**-self.digits

    def ulp(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the distance between neighbours of the format at `values`."""
        exponent = np.where(values == 0, self.least_exponent, np.frexp(values)[1] - 1)
        exponent = np.maximum(exponent, self.least_exponent)
        spacing: NDArray[np.float64] = np.ldexp(1.0, exponent - (self.digits - 1))
        return spacing


def get_format(name: str) -> Format:
    """Return a floating-point format by its name.

    Parameters
    ----------
    name : str
        One of `DTYPES`.

    Raises
    ------
    InputError
        If there is none of that name.

    Examples
    --------
    >>> [get_format(name).unit == 2.0**-digits for name, digits in (("float32", 24), ("bfloat16", 8))]
    [True, True]
    """
    if name not in DTYPES:
        raise unknown("dtype", name, DTYPES)
    if hasattr(np, name):
        info: Any = np.finfo(name)
        dtype = np.dtype(name)
    else:
        import ml_dtypes

        dtype = np.dtype(getattr(ml_dtypes, name))
        info = ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]
    return Format(dtype, int(info.nmant) + 1, int(info.minexp), float(info.max))


def summation_depth(schedule: Schedule) -> NDArray[np.int32]:
    """Return how many additions the longest way has from a term to each chunk's sum.

    Parameters
    ----------
    schedule : Schedule
        Any schedule.

    Returns
    -------
    ndarray of int32, shape (ranks, chunks)
        The height of the tree by which the chunk that each rank ends with was added up.

    Notes
    -----
    The schedule is replayed by the interpreter of `verify` and `execute` with a third algebra: a place
    holds the height of its summation tree, COPY carries it, and REDUCE makes of two heights the larger
    plus one. A term passes through at most that many roundings, so that ``gamma_depth sum|x|`` bounds the
    error of any order of summation (Higham, Accuracy and Stability of Numerical Algorithms, sections 3.1
    and 4.2): K - 1 for one rank that adds all others, ceil(log2 K) for a balanced tree.

    Examples
    --------
    >>> import collsim as cs
    >>> [int(summation_depth(cs.make_schedule("all_reduce", name, ranks=8)).max()) for name in ("ring", "tree")]
    [7, 3]
    """
    height = np.zeros((schedule.ranks, schedule.chunks, 1), dtype=np.int32)
    replay(schedule, height, lambda here, arriving: np.maximum(here, arriving) + 1)
    return height[:, :, 0]


def numerics(
    collective: str = "all_reduce",
    ranks: int = 8,
    *,
    algorithms: Iterable[str] | None = None,
    dtype: str = "float32",
    data: str = "normal",
    elements: int = 1000,
    seed: int = 0,
    other_ranks: int | None = None,
    scale: float | None = None,
    **options: Any,
) -> list[Record]:
    """Measure how exactly each algorithm sums, and whether it does so the same way everywhere.

    Parameters
    ----------
    collective : {"all_reduce", "reduce", "reduce_scatter", "scan", "exscan"}
        What is computed.
    ranks : int
        K, the number of ranks.
    algorithms : iterable of str, optional
        Names, or ``"file.py:function"``; default: all of the collective that work for K ranks.
    dtype : str
        One of `DTYPES`: of the data and of every addition.
    data : {"normal", "uniform", "cancelling"}
        What the vectors are drawn from, see `DATA`. Every rank's vector is different.
    elements : int
        Length of each vector.
    seed : int
        Of the data.
    other_ranks : int, optional
        K', the number of ranks that the result is compared with; default 2 K.
    scale : float, optional
        What the data are multiplied by before they are rounded to the type. By default 1, or where sums of
        magnitudes would come to more than half of the largest number of the type, the power of two that
        keeps them below: then nothing overflows.
    **options
        Of the algorithms, such as ``root=3``.

    Returns
    -------
    list of dict
        One record an algorithm: what was asked for; ``depth``, the most additions on the way from a term to
        a sum; ``max_ulp`` and ``max_abs_error``, the largest error over ranks and elements in units in the
        last place of the exact sum, and as it is; ``relative_error``, the norm of the errors over the norm
        of the exact sums (of the worst rank); ``bound``, the norm of ``gamma_depth sum|x|`` over the same,
        and ``error_over_bound``, the largest quotient of an element's error and bound; ``overflowed``, how
        many results are not finite; ``ranks_agree``, whether all ranks hold the same bits;
        ``same_for_other_ranks``. None where a figure makes no sense: all errors if anything overflowed, the
        bound if depth times the unit roundoff reaches 1, agreement where only one rank has a result,
        ``same_for_other_ranks`` where the algorithm does not work for K' ranks, ranks end with different sums, or
        something overflowed.

    Raises
    ------
    InputError
        If a name is not known, a value is out of range, or the data do not fit into the type.
    VerificationError
        If an algorithm of your own is wrong.

    Notes
    -----
    Errors are against ``math.fsum`` of the inputs as rounded to the type.

    *Same for another K.* Think of max(K, K') fixed vectors, the gradients of as many samples. They are spread
    over the workers in blocks of neighbours, as evenly as possible; each worker adds its block from left
    to right, in the type, and the sums go through the algorithm. The answer is yes if the result has the
    same bits whether K or K' workers share the vectors: that is what reproducibility means to somebody who
    runs one job on another number of workers.

    Examples
    --------
    >>> import collsim as cs
    >>> rows = cs.numerics("all_reduce", 8, algorithms=["ring", "tree"], dtype="bfloat16", data="uniform")
    >>> [(row["algorithm"], row["depth"], row["ranks_agree"], row["same_for_other_ranks"]) for row in rows]
    [('ring', 7, True, False), ('tree', 3, True, True)]
    """
    promised = collective_name(collective)
    if promised not in SUMMING:
        raise InputError(f"{promised} adds nothing up; numerics is for {', '.join(SUMMING)}")
    count, length = parse_count(ranks, "ranks"), parse_count(elements, "elements")
    number_format = get_format(dtype)
    if data not in DATA:
        raise unknown("data", data, DATA)
    start = parse_count(seed, "seed", minimum=0)
    other = 2 * count if other_ranks is None else parse_count(other_ranks, "other_ranks")
    if other == count:
        raise InputError(f"other_ranks must be another number than ranks, got {other} for both")
    names = list(algorithms) if algorithms is not None else _all_that_work(promised, count, options)

    x, factor = _draw(data, count, length, start, number_format, scale)
    samples, _ = _draw(data, max(count, other), length, start, number_format, scale)
    exact: dict[bytes, NDArray[np.float64]] = {}
    records = []
    for name in names:
        schedule = make_schedule(promised, name, count, **options)
        verify(schedule)
        y = _run(schedule, x)
        records.append(
            {
                "collective": promised,
                "algorithm": name,
                "ranks": count,
                "dtype": dtype,
                "data": data,
                "elements": length,
                "seed": start,
                "scale": factor,
                **_errors(schedule, x, y, number_format, exact),
                "ranks_agree": _agreement(schedule, y),
                "other_ranks": other,
                "same_for_other_ranks": _reproduced(schedule, name, samples, other, options),
            }
        )
    return records


def _all_that_work(collective: str, ranks: int, options: dict[str, Any]) -> list[str]:
    """Return the algorithms that admit so many ranks and need no options but those given."""
    names = []
    for (owner, name), row in ALGORITHMS.items():
        needed = [key for key, default in row.options.items() if default is inspect.Parameter.empty]
        if owner != collective or not ADMITS[row.admits](ranks) or not set(needed) <= set(options):
            continue
        if set(options) <= set(row.options):
            names.append(name)
    if not names:
        raise InputError(f"no algorithm of {collective} works for {ranks} ranks with the options {options}")
    return names


def _draw(
    data: str, ranks: int, elements: int, seed: int, number_format: Format, scale: float | None
) -> tuple[Array, float]:
    """Return vectors of the type, shape (ranks, elements), and what they were multiplied by."""
    x = _GENERATORS[data](np.random.default_rng(seed), ranks, elements)
    largest_sum = float(np.abs(x).sum(axis=0).max())
    if scale is None:
        # Half of what fits: partial sums that round up stay representable too.
        factor = 1.0
        while largest_sum * factor > number_format.largest / 2:
            factor /= 2
    else:
        factor = float(scale)
        if not math.isfinite(factor) or factor <= 0:
            raise InputError(f"scale must be a positive number, got {scale!r}")
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = (x * factor).astype(number_format.dtype)
    if not np.isfinite(rounded).all() or not math.isfinite(largest_sum * factor):
        raise InputError(
            f"{data} data times {factor:g} do not fit into {number_format.dtype.name}, whose largest number is "
            f"{number_format.largest:g}: use a smaller scale, or leave it out"
        )
    return rounded, factor


def _normal(rng: np.random.Generator, ranks: int, elements: int) -> Array:
    return rng.standard_normal((ranks, elements))


def _uniform(rng: np.random.Generator, ranks: int, elements: int) -> Array:
    return rng.random((ranks, elements))


def _cancelling(rng: np.random.Generator, ranks: int, elements: int) -> Array:
    """Return columns whose sums are small beside their terms in every type: what is rounded cancels exactly."""
    pairs = (ranks - 1) // 2
    half = rng.standard_normal((pairs, elements))
    # A multiple of 2^-9, the least distance of float8_e4m3fn, so that no type makes it 0.
    remainder = rng.integers(8, 17, (ranks - 2 * pairs, elements)) / 512
    return rng.permuted(np.concatenate([half, -half, remainder]), axis=0)


_GENERATORS: dict[str, Callable[[np.random.Generator, int, int], Array]] = {
    "normal": _normal,
    "uniform": _uniform,
    "cancelling": _cancelling,
}


def _run(schedule: Schedule, x: Array) -> Array:
    # Overflow is reported as a figure, not as a warning.
    with np.errstate(over="ignore", invalid="ignore"):
        return execute(schedule, x)


def _promises(schedule: Schedule, elements: int) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.int64]]]:
    """Yield, for every rank, the contributors of each column of its result, and the chunk that it lies in."""
    collective, ranks, chunks = schedule.collective, schedule.ranks, schedule.chunks
    sizes = collective.cut(ranks, chunks, elements)
    for rank in range(ranks):
        held = collective.outputs(ranks, chunks, rank)
        contributors = np.repeat(collective.after(ranks, chunks, rank), sizes[held], axis=0)
        yield contributors, np.repeat(held, sizes[held])


def _errors(
    schedule: Schedule, x: Array, y: Array, number_format: Format, exact: dict[bytes, NDArray[np.float64]]
) -> Record:
    """Return the figures of one run; `exact` keeps the sums of each set of contributors for the next."""
    depth = summation_depth(schedule)
    wide = x.astype(np.float64)
    figures: dict[str, float] = dict.fromkeys(("max_ulp", "max_abs_error", "relative_error", "bound"), 0.0)
    quotient, deepest, overflowed = 0.0, 0, 0
    done: dict[bytes, tuple[float, ...]] = {}
    for rank, (contributors, chunk) in enumerate(_promises(schedule, x.shape[1])):
        wanted = np.flatnonzero(contributors.any(axis=1))
        if not len(wanted):
            continue
        values = y[rank, wanted].astype(np.float64)
        height = depth[rank, chunk[wanted]]
        deepest = max(deepest, int(height.max()))
        if not np.isfinite(values).all():
            overflowed += int((~np.isfinite(values)).sum())
            continue
        # Ranks that hold the same need no second look.
        parts = (contributors[wanted], wanted, values, height)
        key = hashlib.sha256(b"".join(part.tobytes() for part in parts)).digest()
        if key not in done:
            done[key] = _compare(wide, contributors, wanted, values, height, number_format, exact)
        ulp, absolute, relative, bound, over = done[key]
        largest = (ulp, absolute, relative, bound)
        figures = {name: max(old, new) for (name, old), new in zip(figures.items(), largest, strict=True)}
        quotient = max(quotient, over)
    bounded = deepest * number_format.unit < 1
    shown = {name: value if math.isfinite(value) and not overflowed else None for name, value in figures.items()}
    if not bounded:
        shown["bound"] = None
    usable = bounded and not overflowed and math.isfinite(quotient)
    return {"depth": deepest, **shown, "error_over_bound": quotient if usable else None, "overflowed": overflowed}


def _compare(
    x: NDArray[np.float64],
    contributors: NDArray[np.bool_],
    wanted: NDArray[np.int64],
    values: NDArray[np.float64],
    height: NDArray[np.int32],
    number_format: Format,
    exact: dict[bytes, NDArray[np.float64]],
) -> tuple[float, ...]:
    """Return the largest error of a rank in ulp and as it is, its relative error and bound, the largest error/bound."""
    sums, magnitudes, error = (np.zeros(len(wanted)) for _ in range(3))
    patterns, which = np.unique(contributors[wanted], axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        here = np.flatnonzero(which.ravel() == number)
        terms = x[pattern][:, wanted[here]]
        key = pattern.tobytes() + wanted[here].tobytes()
        if key not in exact:
            exact[key] = exact_sums(terms)
        sums[here] = exact[key]
        magnitudes[here] = np.abs(terms).sum(axis=0)
        if number_format.digits == 53:
            # The exact sum is no double; its difference from a double, rounded once, is.
            error[here] = np.abs(exact_sums(np.concatenate([terms, -values[None, here]])))
        else:
            error[here] = np.abs(values[here] - sums[here])
    roundings = height * number_format.unit
    with np.errstate(divide="ignore", invalid="ignore"):
        bound = np.where(roundings < 1, roundings / (1 - roundings) * magnitudes, np.inf)
        over = np.where(error > 0, error / bound, 0.0)
    norm = float(np.linalg.norm(sums))
    relative, allowed = (
        float(np.linalg.norm(part)) / norm if norm else (math.inf if part.any() else 0.0) for part in (error, bound)
    )
    ulp = float((error / number_format.ulp(sums)).max())
    return ulp, float(error.max()), relative, allowed, float(over.max())


def _result(schedule: Schedule, y: Array) -> tuple[Array, bool] | None:
    """Return the one vector that all ranks together end with, and whether those that share a part agree on it.

    None if ranks are promised different sums.
    """
    result = np.zeros(y.shape[1], dtype=y.dtype)
    filled = np.zeros(y.shape[1], dtype=bool)
    agree = True
    for rank, (contributors, _) in enumerate(_promises(schedule, y.shape[1])):
        wanted = contributors.any(axis=1)
        if not contributors[wanted].all():
            return None
        again = wanted & filled
        agree &= y[rank, again].tobytes() == result[again].tobytes()
        result[wanted & ~filled] = y[rank, wanted & ~filled]
        filled |= wanted
    return result, agree


def _agreement(schedule: Schedule, y: Array) -> bool | None:
    """Return whether all ranks hold the same bits; None if each holds something else, or nothing."""
    found = _result(schedule, y)
    shared = all(contributors.all() for contributors, _ in _promises(schedule, y.shape[1]))
    return found[1] if found is not None and shared else None


def _reproduced(schedule: Schedule, name: str, samples: Array, other: int, options: dict[str, Any]) -> bool | None:
    """Return whether K and K' workers that share the samples get the same bits; None if that makes no sense."""
    try:
        with_others = make_schedule(schedule.collective.name, name, other, **options)
    except InputError:
        return None
    results = []
    for plan in (schedule, with_others):
        edges = split(len(samples), plan.ranks)
        shares = []
        with np.errstate(over="ignore", invalid="ignore"):
            for begin, end in itertools.pairwise(edges.tolist()):
                total = samples[begin].copy()
                for sample in samples[begin + 1 : end]:
                    total = total + sample
                shares.append(total)
        found = _result(plan, _run(plan, np.stack(shares)))
        if found is None or not np.isfinite(found[0].astype(np.float64)).all():
            return None
        results.append(found)
    (here, agree_here), (there, agree_there) = results
    return agree_here and agree_there and here.tobytes() == there.tobytes()
