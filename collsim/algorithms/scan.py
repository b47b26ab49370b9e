"""Prefix sums: `linear` passes them from rank to rank, `recursive_doubling` doubles the windows that ranks have
summed. Each with a twin for the exclusive scan, in which a rank's own vector is left out of its result.

A rank has one place for each chunk, which an exclusive scan must not use for its own vector in the end. So
those begin with a shift: every rank gives its vector to the next. What is left is an inclusive scan among the
ranks from 1 on.
"""

from __future__ import annotations

import numpy as np

from collsim.schedule import Schedule, ScheduleBuilder
from collsim.units import parse_count


def linear(ranks: int, *, segments: int = 1) -> Schedule:
    """Pass the sum of all ranks so far on to the next rank, which adds its own vector.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.
    segments : int
        Pieces into which the vector is cut; a rank passes one on while it receives the next.

    Returns
    -------
    Schedule
        ``ranks - 2 + segments`` steps.

    Raises
    ------
    InputError
        If `segments` is not a whole number of at least 1.

    Notes
    -----
    The definition, and Open MPI's linear scan (``coll_base_scan.c``); with segments, a pipeline. Segment k
    leaves rank r in step r + k. Every step takes ``a + n/S (b + g)``: ranks send one segment and receive and
    add another.

    Examples
    --------
    >>> linear(4, segments=3)
    Schedule(scan, custom, ranks=4, chunks=3, steps=5, messages=9)
    """
    plan = ScheduleBuilder("scan", ranks, parse_count(segments, "segments"))
    _pass_on(plan, first=0, step=0)
    return plan.build()


def recursive_doubling(ranks: int) -> Schedule:
    """Send what has been summed so far to the rank 1, 2, 4, ... further on, which adds it to its own.

    After t rounds rank r has the sum of a window, the ``2^t`` ranks up to itself, or of all there are.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.

    Returns
    -------
    Schedule
        ``ceil(log2 ranks)`` steps of whole vectors.

    Notes
    -----
    W. D. Hillis and G. L. Steele, "Data parallel algorithms", CACM 29(12), 1986. The last rank receives, and
    adds, in every round: ``lg(K)(a + n b + n g)``.

    Examples
    --------
    >>> recursive_doubling(6)
    Schedule(scan, custom, ranks=6, chunks=1, steps=3, messages=11)
    """
    plan = ScheduleBuilder("scan", ranks)
    _double_windows(plan, first=0, step=0)
    return plan.build()


def exclusive_linear(ranks: int, *, segments: int = 1) -> Schedule:
    """Shift all vectors by one rank, then pass sums on from rank 1 to the last.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.
    segments : int
        Pieces into which the vector is cut for the passing on; the shift moves whole vectors.

    Returns
    -------
    Schedule
        One step more than `linear` on ``ranks - 1`` ranks.

    Raises
    ------
    InputError
        If `segments` is not a whole number of at least 1.

    Notes
    -----
    Implementations that have a second buffer (Open MPI, ``coll_base_exscan.c``) do without the shift. Time: that
    of the shift, ``a + n b``, and of `linear` on K - 1 ranks.

    Examples
    --------
    >>> exclusive_linear(4)
    Schedule(exscan, custom, ranks=4, chunks=1, steps=3, messages=5)
    """
    plan = ScheduleBuilder("exscan", ranks, parse_count(segments, "segments"))
    _shift(plan)
    _pass_on(plan, first=1, step=1)
    return plan.build()


def exclusive_recursive_doubling(ranks: int) -> Schedule:
    """Shift all vectors by one rank, then double windows among the ranks from 1 on.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.

    Returns
    -------
    Schedule
        One step more than `recursive_doubling` on ``ranks - 1`` ranks.

    Notes
    -----
    As `recursive_doubling`. Time: ``a + n b`` for the shift and ``lg(K - 1)(a + n b + n g)`` for the rest.

    Examples
    --------
    >>> exclusive_recursive_doubling(6)
    Schedule(exscan, custom, ranks=6, chunks=1, steps=4, messages=13)
    """
    plan = ScheduleBuilder("exscan", ranks)
    _shift(plan)
    _double_windows(plan, first=1, step=1)
    return plan.build()


def _shift(plan: ScheduleBuilder) -> None:
    rank = np.arange(plan.ranks - 1)
    plan.copy(step=0, src=rank, dst=rank + 1, count=plan.chunks)


def _pass_on(plan: ScheduleBuilder, first: int, step: int) -> None:
    """Make every rank from `first` on send the sum so far to the next, chunk by chunk, from `step` on."""
    rank = np.arange(first, plan.ranks - 1)
    src, chunk = (grid.ravel() for grid in np.meshgrid(rank, np.arange(plan.chunks), indexing="ij"))
    plan.reduce(step=step + src - first + chunk, src=src, dst=src + 1, chunk=chunk)


def _double_windows(plan: ScheduleBuilder, first: int, step: int) -> None:
    """Make every rank from `first` on sum windows of doubled length in each step from `step` on."""
    for t in range(max(0, plan.ranks - first - 1).bit_length()):
        rank = np.arange(first, plan.ranks - (1 << t))
        plan.reduce(step=step + t, src=rank, dst=rank + (1 << t))
