"""All-reduce and all-gather in one step: every rank sends all that it has to all others."""

from __future__ import annotations

import numpy as np

from collsim.schedule import Schedule, ScheduleBuilder


def all_reduce(ranks: int) -> Schedule:
    """Send every vector to everybody, and sum everywhere.

    Rank r sends to r - 1, r - 2, ... in this order, so that at any time every rank receives from one other,
    and all ports are busy from beginning to end.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.

    Returns
    -------
    Schedule
        One step with ``ranks (ranks - 1)`` messages of the whole vector.

    Notes
    -----
    The textbook's "naive with all-to-all broadcast". It has the least latency and the most bytes.

    Rank r adds what arrives to its own vector, in the order x_r + x_{r+1} + ... + x_{r+K-1} (indices modulo
    K), which is the order of the ring for block r. **Ranks do not agree bitwise** in floating point, except
    for two ranks: each sum starts with the rank's own vector, so no order of rows could make them agree.
    (A program that stores all K vectors before it sums them in the order of ranks does agree.)

    The j-th message leaves when j - 1 have left and is in the receiver's hands at ``a + j n b``. Each
    addition starts when its message is there and the one before it is done, so that the last ends at
    ``a + (K-1) n b + n g + (K-2) max(0, n g - n b)``.

    Examples
    --------
    >>> import collsim as cs
    >>> all_reduce(4)
    Schedule(all_reduce, custom, ranks=4, chunks=1, steps=1, messages=12)
    >>> cs.execute(all_reduce(3), [[1e16], [1.0], [-1e16]]).ravel().tolist()
    [0.0, 0.0, 1.0]
    """
    plan = ScheduleBuilder("all_reduce", ranks)
    distance = np.repeat(np.arange(1, plan.ranks), plan.ranks)
    src = np.tile(np.arange(plan.ranks), plan.ranks - 1)
    plan.reduce(step=0, src=src, dst=(src - distance) % plan.ranks)
    return plan.build()


def all_gather(ranks: int) -> Schedule:
    """Send one's own part to everybody.

    Rank r sends to r + 1, r + 2, ... in this order, so that at any time every rank receives from one other.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.

    Returns
    -------
    Schedule
        One step with ``ranks - 1`` messages a rank.

    Notes
    -----
    A. Faraj and X. Yuan, "Automatic generation and tuning of MPI collective communication routines", ICS 2005:
    spreading simple; the linear all-gather of MPI libraries. The i-th message leaves a port, and its head
    arrives at the other, ``(i - 1) n/K b`` after the first: one latency is paid for all, ``a + (K-1)/K n b``.

    Examples
    --------
    >>> all_gather(4)
    Schedule(all_gather, custom, ranks=4, chunks=4, steps=1, messages=12)
    """
    plan = ScheduleBuilder("all_gather", ranks, chunks=ranks)
    distance = np.repeat(np.arange(1, plan.ranks), plan.ranks)
    src = np.tile(np.arange(plan.ranks), plan.ranks - 1)
    plan.copy(step=0, src=src, dst=(src + distance) % plan.ranks, chunk=src)
    return plan.build()
