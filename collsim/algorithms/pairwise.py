"""Reduce-scatter by pairwise exchange: every part goes straight from each rank to its owner."""

from __future__ import annotations

import numpy as np

from collsim.schedule import Schedule, ScheduleBuilder


def reduce_scatter(ranks: int) -> Schedule:
    """Send in step t what one has for the rank t + 1 further on to that rank, which adds it.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.

    Returns
    -------
    Schedule
        ``ranks - 1`` steps in which every rank sends one part, to another rank in each.

    Notes
    -----
    R. Thakur, R. Rabenseifner and W. Gropp, "Optimization of collective communication operations in
    MPICH", IJHPCA 19(1), 2005; MPICH ``reduce_scatter_intra_pairwise``, for large vectors.
    It moves the bytes of the ring, but only own values, never partial sums, and to every rank instead of a
    neighbour. Rank r sums in the order r, r - 1, r - 2, ... (modulo ranks).

    All ranks are in the same step all the time. A step sends n/K bytes and adds them: ``a + n/K (b + g)``.

    Examples
    --------
    >>> reduce_scatter(4)
    Schedule(reduce_scatter, custom, ranks=4, chunks=4, steps=3, messages=12)
    """
    plan = ScheduleBuilder("reduce_scatter", ranks, chunks=ranks)
    rank = np.arange(plan.ranks)
    for t in range(plan.ranks - 1):
        owner = (rank + t + 1) % plan.ranks
        plan.reduce(step=t, src=rank, dst=owner, chunk=owner)
    return plan.build()
