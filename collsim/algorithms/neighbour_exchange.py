"""All-gather among neighbours only, in half as many rounds as the ring: for an even number of ranks."""

from __future__ import annotations

import numpy as np

from collsim.algorithms.options import check_even
from collsim.schedule import Schedule, ScheduleBuilder


def all_gather(ranks: int) -> Schedule:
    """Exchange with the two neighbours in turn, passing on the pair of parts that came last.

    In the first round ranks 2i and 2i + 1 exchange their parts and so hold pair i. From then on a rank turns
    to its other neighbour in every round, and they exchange the pairs that they got last.

    Parameters
    ----------
    ranks : int
        Number of ranks, even (or 1).

    Returns
    -------
    Schedule
        ``ranks / 2`` steps in which every rank sends one message: first one part, then two.

    Raises
    ------
    InputError
        If the number of ranks is odd and not 1.

    Notes
    -----
    J. Chen, L. Zhang, Y. Zhang and W. Yuan, "Performance evaluation of allgather algorithms on terascale
    Linux cluster with fast Ethernet", HPC Asia 2005; Open MPI ``allgather_intra_neighborexchange``.

    All ranks are in the same round all the time. K/2 rounds take ``a`` each, and K - 1 parts go through
    every port: ``K/2 a + (K-1)/K n b``.

    Examples
    --------
    >>> all_gather(6)
    Schedule(all_gather, custom, ranks=6, chunks=6, steps=3, messages=18)
    """
    plan = ScheduleBuilder("all_gather", ranks, chunks=ranks)
    ranks = plan.ranks
    check_even(ranks, "neighbour_exchange all_gather", instead="ring")
    rank = np.arange(ranks)
    if ranks > 1:
        plan.copy(step=0, src=rank, dst=rank ^ 1, chunk=rank)
    latest = rank // 2  # the pair of parts that each rank got last
    for t in range(1, ranks // 2):
        # Even ranks look up in even rounds and down in odd ones, odd ranks the other way.
        partner = (rank + np.where((rank + t) % 2 == 0, 1, -1)) % ranks
        plan.copy(step=t, src=rank, dst=partner, chunk=2 * latest, count=2)
        latest = latest[partner]
    return plan.build()
