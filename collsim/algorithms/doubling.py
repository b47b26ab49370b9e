"""All-gather by recursive doubling and reduce-scatter by recursive halving: exchanges with the rank across a bit."""

from __future__ import annotations

import numpy as np

from collsim.algorithms.options import check_power_of_two
from collsim.schedule import Schedule, ScheduleBuilder


def all_gather(ranks: int) -> Schedule:
    """Exchange all that one holds with the rank across bit 0, then across bit 1, and so on.

    Before round d the 2^d ranks that differ in the lower d bits hold the parts of all of them, which are
    neighbours: one message.

    Parameters
    ----------
    ranks : int
        Number of ranks, a power of two.

    Returns
    -------
    Schedule
        ``log2 ranks`` steps in which every rank sends one message.

    Raises
    ------
    InputError
        If the number of ranks is not a power of two.

    Notes
    -----
    R. Thakur, R. Rabenseifner and W. Gropp, "Optimization of collective communication operations in
    MPICH", IJHPCA 19(1), 2005; MPICH ``allgather_intra_recursive_doubling``.

    All ranks are in the same round all the time. K - 1 parts go through every port:
    ``lg(K) a + (K-1)/K n b``.

    Examples
    --------
    >>> all_gather(8)
    Schedule(all_gather, custom, ranks=8, chunks=8, steps=3, messages=24)
    """
    plan = ScheduleBuilder("all_gather", ranks, chunks=ranks)
    check_power_of_two(plan.ranks, "recursive_doubling all_gather", instead="bruck")
    rank = np.arange(plan.ranks)
    for t in range((plan.ranks - 1).bit_length()):
        size = 1 << t
        plan.copy(step=t, src=rank, dst=rank ^ size, chunk=rank & -size, count=size)
    return plan.build()


def reduce_scatter(ranks: int) -> Schedule:
    """Halve the group in each round: send the other half's parts across, and add what comes for one's own.

    A number of ranks K that is not a power of two is folded first. With p the largest power of two in K and
    r = K - p, of the ranks below 2r each even one sends its whole vector to its odd neighbour and drops out;
    the p that remain halve as usual, the odd ones for two parts each, and return a part at the end.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.

    Returns
    -------
    Schedule
        ``log2 p`` steps, and two more if p < ranks.

    Notes
    -----
    R. Thakur, R. Rabenseifner and W. Gropp, "Optimization of collective communication operations in
    MPICH", IJHPCA 19(1), 2005; MPICH ``reduce_scatter_intra_recursive_halving``. The operation
    must commute.

    Halves are unequal when folded. An exchange takes as long as its larger half, which is always the lower
    one: the folded ranks stand below. So the slowest are always those of the lowest group, who also have
    to wait for the fold, ``a + n (b + g)``. Their rounds have halves of m = p/2, p/4, ..., 1 survivors, and
    m + min(m, r) parts: ``a + (m + min(m, r)) n/K (b + g)`` each. The return takes ``a + n/K b``.

    Examples
    --------
    >>> reduce_scatter(8)
    Schedule(reduce_scatter, custom, ranks=8, chunks=8, steps=3, messages=24)
    >>> reduce_scatter(6)
    Schedule(reduce_scatter, custom, ranks=6, chunks=6, steps=4, messages=12)
    """
    plan = ScheduleBuilder("reduce_scatter", ranks, chunks=ranks)
    survivors = 1 << (plan.ranks.bit_length() - 1)
    folded = plan.ranks - survivors
    dropped = 2 * np.arange(folded)
    t = 0
    if folded:
        plan.reduce(step=t, src=dropped, dst=dropped + 1, chunk=0, count=plan.ranks)
        t += 1
    place = np.arange(survivors)
    rank = np.where(place < folded, 2 * place + 1, place + folded)
    # Survivor i answers for the parts from edge[i] up to edge[i + 1].
    edge = np.arange(survivors + 1) + np.minimum(np.arange(survivors + 1), folded)
    half = survivors // 2
    while half:
        partner = place ^ half
        first = partner & -half
        plan.reduce(step=t, src=rank, dst=rank[partner], chunk=edge[first], count=edge[first + half] - edge[first])
        t += 1
        half //= 2
    if folded:
        plan.copy(step=t, src=dropped + 1, dst=dropped, chunk=dropped)
    return plan.build()


def butterfly_reduce_scatter(ranks: int) -> Schedule:
    """Halve the vector with the nearest partners first, then hand the parts to their owners.

    As `reduce_scatter`, but a round goes across bit 0, then bit 1, and so on, while the halves are cut in the same
    order. So the one with number i among those that are left ends with the parts of the number that has the bits of
    i in reverse, and one more exchange puts them right.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.

    Returns
    -------
    Schedule
        ``log2 p + 1`` steps for a power of two p of at least 4, and two more if p < ranks.

    Notes
    -----
    J. L. Traff, "An improved algorithm for (non-commutative) reduce-scatter with an application", EuroPVM/MPI 2005;
    Open MPI ``reduce_scatter_intra_butterfly``, also for its way to fold. Only neighbours are ever added up, ranks or
    runs of them, which is what it was made for: operations that do not commute. Here every rank adds what comes to
    its own, so that they must commute.

    With p the largest power of two in the number of ranks K and r = K - p, fold and halving take as long as in
    `reduce_scatter`. Then a holder of two parts gives the first to the rank that was folded, ``a + n/K b``, and
    after that partners exchange parts, ``a + n/K b``. Of those who are last after the halving, one does both if r > 1,
    and otherwise only one of the two.

    Examples
    --------
    >>> butterfly_reduce_scatter(8)
    Schedule(reduce_scatter, custom, ranks=8, chunks=8, steps=4, messages=28)
    >>> butterfly_reduce_scatter(6)
    Schedule(reduce_scatter, custom, ranks=6, chunks=6, steps=5, messages=14)
    """
    plan = ScheduleBuilder("reduce_scatter", ranks, chunks=ranks)
    bits = plan.ranks.bit_length() - 1
    survivors = 1 << bits
    folded = plan.ranks - survivors
    dropped = 2 * np.arange(folded)
    plan.reduce(step=0, src=dropped, dst=dropped + 1, chunk=0, count=plan.ranks)
    t = int(folded > 0)
    place = np.arange(survivors)
    rank = np.where(place < folded, 2 * place + 1, place + folded)
    # Survivor i answers for the parts from edge[i] up to edge[i + 1].
    edge = np.arange(survivors + 1) + np.minimum(np.arange(survivors + 1), folded)
    held = np.zeros(survivors, dtype=np.int64)  # the first survivor whose parts one still works on
    for bit in range(bits):
        half = survivors >> (bit + 1)
        upper = place >> bit & 1
        sent = held + (1 - upper) * half
        plan.reduce(
            step=t, src=rank, dst=rank[place ^ 1 << bit], chunk=edge[sent], count=edge[sent + half] - edge[sent]
        )
        held = held + upper * half
        t += 1
    two = held < folded
    plan.copy(step=t, src=rank[two], dst=2 * held[two], chunk=edge[held[two]])
    away = held != place
    t += int(folded > 0)
    plan.copy(step=t, src=rank[away], dst=rank[held[away]], chunk=rank[held[away]])
    return plan.build()
