"""Reduce-scatter and all-gather by pairwise exchange: parts go straight to their owners, or from them to everybody."""

from __future__ import annotations

import numpy as np

from collsim.algorithms.options import partners_of_round
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


def all_gather(ranks: int, *, partners: str = "auto") -> Schedule:
    """Send one's own part to one other rank in each round.

    In round t = 1, 2, ... rank r exchanges parts with ``r XOR t`` if the number of ranks is a power of two, and
    otherwise sends to ``r + t`` and receives from ``r - t``.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.
    partners : {"auto", "shift"}
        ``"auto"`` is as above; with ``"shift"`` powers of two are no exception.

    Returns
    -------
    Schedule
        ``ranks - 1`` steps in which every rank sends its own part, to another rank in each.

    Raises
    ------
    InputError
        If `partners` is not known.

    Notes
    -----
    A. Faraj and X. Yuan, "Automatic generation and tuning of MPI collective communication routines", ICS 2005: their
    pair and ring algorithms, the latter with ``partners="shift"``, which SimGrid has as ``allgather pair`` and
    ``allgather ring``. The bytes of the ring, but every part crosses the network once for each rank, where the ring
    only ever uses the way to a neighbour.

    All ranks are in the same round all the time: ``(K-1) (a + n/K b)``.

    Examples
    --------
    >>> all_gather(4)
    Schedule(all_gather, custom, ranks=4, chunks=4, steps=3, messages=12)
    """
    plan = ScheduleBuilder("all_gather", ranks, chunks=ranks)
    rank = np.arange(plan.ranks)
    for t in range(1, plan.ranks):
        plan.copy(step=t - 1, src=rank, dst=partners_of_round(rank, t, partners), chunk=rank)
    return plan.build()
