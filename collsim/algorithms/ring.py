"""All-reduce round a ring: reduce-scatter, then all-gather. Optimal in bandwidth."""

from __future__ import annotations

import numpy as np

from collsim.schedule import Schedule, ScheduleBuilder


def all_gather(ranks: int) -> Schedule:
    """Pass every rank's part round the ring.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.

    Returns
    -------
    Schedule
        ``ranks - 1`` steps in which every rank sends one part to the next rank.

    Examples
    --------
    >>> all_gather(4)
    Schedule(all_gather, custom, ranks=4, chunks=4, steps=3, messages=12)
    """
    plan = ScheduleBuilder("all_gather", ranks, chunks=ranks)
    rank = np.arange(plan.ranks)
    for t in range(plan.ranks - 1):
        plan.copy(step=t, src=rank, dst=(rank + 1) % plan.ranks, chunk=(rank - t) % plan.ranks)
    return plan.build()


def all_reduce(ranks: int) -> Schedule:
    """Pass chunks round the ring, summing once round and spreading the sums once more.

    The vector is cut into as many chunks as there are ranks. In step t of the first half rank r sends
    chunk ``r - t`` to ``r + 1``, which adds its own; after ``ranks - 1`` steps rank r holds chunk
    ``r + 1`` complete. The second half passes the complete chunks on.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.

    Returns
    -------
    Schedule
        ``2 (ranks - 1)`` steps in which every rank sends one chunk.

    Notes
    -----
    P. Patarasuk and X. Yuan, "Bandwidth optimal all-reduce algorithms for clusters of workstations",
    JPDC 69(2), 2009. Chunk b is summed in the order b, b + 1, ..., b + ranks - 1 (modulo ranks).

    Examples
    --------
    >>> all_reduce(4)
    Schedule(all_reduce, custom, ranks=4, chunks=4, steps=6, messages=24)
    """
    plan = ScheduleBuilder("all_reduce", ranks, chunks=ranks)
    ranks = plan.ranks
    rank = np.arange(ranks)
    right = (rank + 1) % ranks
    for t in range(ranks - 1):
        plan.reduce(step=t, src=rank, dst=right, chunk=(rank - t) % ranks)
        plan.copy(step=ranks - 1 + t, src=rank, dst=right, chunk=(rank + 1 - t) % ranks)
    return plan.build()
