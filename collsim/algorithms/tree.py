"""All-reduce over a binomial tree: reduce up to the root, then broadcast down."""

from __future__ import annotations

import numpy as np

from collsim.algorithms.options import check_root
from collsim.schedule import Schedule, ScheduleBuilder


def all_reduce(ranks: int, *, root: int = 0) -> Schedule:
    """Reduce along a binomial tree to `root`, then broadcast back along the same edges.

    Counted from the root, rank ``r`` sends its partial sum to ``r - 2^t`` in the round t of its lowest
    set bit; the broadcast takes the rounds in reverse. Works for any number of ranks.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.
    root : int
        Root of the tree.

    Returns
    -------
    Schedule
        ``2 ceil(log2 ranks)`` steps of whole vectors.

    Notes
    -----
    The shape is that of MPICH's binomial reduce and broadcast (Thakur, Rabenseifner and Gropp,
    "Optimization of collective communication operations in MPICH", IJHPCA 19(1), 2005).

    Examples
    --------
    >>> all_reduce(5)
    Schedule(all_reduce, custom, ranks=5, chunks=1, steps=6, messages=8)
    """
    plan = ScheduleBuilder("all_reduce", ranks)
    ranks, root = plan.ranks, check_root(root, plan.ranks)
    rounds = (ranks - 1).bit_length()
    for t in range(rounds):
        child = np.arange(1 << t, ranks, 2 << t)
        parent = child - (1 << t)
        child, parent = (child + root) % ranks, (parent + root) % ranks
        plan.reduce(step=t, src=child, dst=parent)
        plan.copy(step=2 * rounds - 1 - t, src=parent, dst=child)
    return plan.build()
