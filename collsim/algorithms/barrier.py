"""Barriers: messages without bytes, after which every rank has heard, directly or not, from every other."""

from __future__ import annotations

import numpy as np

from collsim.schedule import Schedule, ScheduleBuilder


def dissemination(ranks: int) -> Schedule:
    """Tell the rank 1, 2, 4, ... further on what has been heard so far.

    After t rounds rank r has heard from the ``2^t`` ranks up to itself, round the circle.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.

    Returns
    -------
    Schedule
        ``ceil(log2 ranks)`` steps in which every rank sends one message.

    Notes
    -----
    D. Hensgen, R. Finkel and U. Manber, "Two algorithms for barrier synchronization", IJPP 17(1), 1988. All
    ranks go through the rounds at the same pace: ``lg(K) a``.

    Examples
    --------
    >>> dissemination(6)
    Schedule(barrier, custom, ranks=6, chunks=1, steps=3, messages=18)
    """
    plan = ScheduleBuilder("barrier", ranks)
    rank = np.arange(plan.ranks)
    for t in range((plan.ranks - 1).bit_length()):
        plan.reduce(step=t, src=rank, dst=(rank + (1 << t)) % plan.ranks)
    return plan.build()


def tree(ranks: int) -> Schedule:
    """Report up a binomial tree to rank 0, which then releases all others down the same tree.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.

    Returns
    -------
    Schedule
        ``2 ceil(log2 ranks)`` steps, one message a rank in either half.

    Notes
    -----
    The binomial form of the combining tree: P.-C. Yew, N.-F. Tzeng and D. Lawrie, "Distributing hot-spot
    addressing in large-scale multiprocessors", IEEE TC 36(4), 1987. Rank 0 takes part in every round of
    either half: ``2 lg(K) a``.

    Examples
    --------
    >>> tree(6)
    Schedule(barrier, custom, ranks=6, chunks=1, steps=6, messages=10)
    """
    plan = ScheduleBuilder("barrier", ranks)
    rounds = (plan.ranks - 1).bit_length()
    for t in range(rounds):
        child = np.arange(1 << t, plan.ranks, 2 << t)
        plan.reduce(step=t, src=child, dst=child - (1 << t))
        plan.copy(step=2 * rounds - 1 - t, src=child - (1 << t), dst=child)
    return plan.build()


def ring(ranks: int) -> Schedule:
    """Tell the next rank, again and again, until what every rank said has gone round.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.

    Returns
    -------
    Schedule
        ``ranks - 1`` steps in which every rank sends one message to the next.

    Notes
    -----
    The ring's all-gather without its data (R. Thakur, R. Rabenseifner and W. Gropp, IJHPCA 19(1), 2005). After
    t steps rank r has heard from the t ranks below it: ``(K - 1) a``.

    Examples
    --------
    >>> ring(6)
    Schedule(barrier, custom, ranks=6, chunks=1, steps=5, messages=30)
    """
    plan = ScheduleBuilder("barrier", ranks)
    rank = np.arange(plan.ranks)
    for t in range(plan.ranks - 1):
        plan.reduce(step=t, src=rank, dst=(rank + 1) % plan.ranks)
    return plan.build()


def double_ring(ranks: int) -> Schedule:
    """Pass one token round the ring twice: once to hear from everyone, once to release everyone.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.

    Returns
    -------
    Schedule
        ``2 ranks`` steps of one message each.

    Notes
    -----
    Open MPI, ``coll_base_barrier.c``, double ring. Each message waits for the one before it: ``2 K a``. The
    last two tell nobody anything new (ranks ``ranks - 1`` and 0 have heard from all in the first round);
    two whole rounds are kept, as in the source.

    Examples
    --------
    >>> double_ring(6)
    Schedule(barrier, custom, ranks=6, chunks=1, steps=12, messages=12)
    """
    plan = ScheduleBuilder("barrier", ranks)
    if plan.ranks > 1:
        step = np.arange(2 * plan.ranks)
        plan.reduce(step=step, src=step % plan.ranks, dst=(step + 1) % plan.ranks)
    return plan.build()
