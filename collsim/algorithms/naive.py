"""All-reduce through one rank: gather, sum there, send back. The textbook's baseline."""

from __future__ import annotations

import numpy as np

from collsim.algorithms.options import check_root
from collsim.schedule import Schedule, ScheduleBuilder


def all_reduce(ranks: int, *, root: int = 0) -> Schedule:
    """Gather every vector to `root`, sum there in rank order, and send the sum back.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.
    root : int
        The rank that sums.

    Returns
    -------
    Schedule
        Two steps with ranks - 1 messages of the whole vector each, all through the root's port.

    Examples
    --------
    >>> all_reduce(4)
    Schedule(all_reduce, custom, ranks=4, chunks=1, steps=2, messages=6)
    """
    plan = ScheduleBuilder("all_reduce", ranks)
    root = check_root(root, plan.ranks)
    others = np.delete(np.arange(plan.ranks), root)
    plan.reduce(step=0, src=others, dst=root)
    plan.copy(step=1, src=root, dst=others)
    return plan.build()
