"""Rooted collectives of long vectors, made of two that share the bytes out: scatter and all-gather for a
broadcast (van de Geijn), reduce-scatter and gather for a reduction (Rabenseifner).

Every port carries less than two vectors, where the root of a binomial tree (`tree`) carries lg(K).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from collsim.algorithms.options import check_power_of_two, check_root
from collsim.algorithms.tree import rounds
from collsim.collectives import get_collective
from collsim.schedule import Schedule, ScheduleBuilder
from collsim.units import parse_count


def ring_broadcast(ranks: int, *, root: int = 0) -> Schedule:
    """Scatter the root's vector along a binomial tree, then collect it everywhere round a ring.

    The vector is cut into as many blocks as there are ranks, and block i goes to rank ``root + i`` (modulo
    ranks).

    Parameters
    ----------
    ranks : int
        Number of ranks K, at least 1.
    root : int
        The rank whose vector it is.

    Returns
    -------
    Schedule
        ``ceil(log2 K) + K - 1`` steps.

    Raises
    ------
    InputError
        If `root` is not one of the ranks.

    Notes
    -----
    M. Barnett, L. Shuler, R. van de Geijn, S. Gupta, D. Payne and J. Watts, "Interprocessor collective
    communication library (InterCom)", SHPCC 1994; MPICH's broadcast of long vectors (Thakur, Rabenseifner and
    Gropp, IJHPCA 19(1), 2005). As there, the ring carries every block to every rank, also
    those that a rank has from the scatter already.

    The root takes part in every round of the scatter and sends K - 1 blocks in them; no other rank is later than
    it: ``lg(K) a + (K-1)/K n b``. Then every block goes K - 1 links of the ring, all at the same time, and
    the wait for the root goes round with them: ``(K-1) (a + n/K b)``.

    Examples
    --------
    >>> ring_broadcast(4)
    Schedule(broadcast, custom, ranks=4, chunks=4, steps=5, messages=15)
    """
    plan, step, rank = _scattered(ranks, root)
    block = np.arange(plan.ranks)
    for t in range(plan.ranks - 1):
        plan.copy(step=step + t, src=rank, dst=np.roll(rank, -1), chunk=(block - t) % plan.ranks)
    return plan.build()


def recursive_doubling_broadcast(ranks: int, *, root: int = 0) -> Schedule:
    """Scatter the root's vector along a binomial tree, then collect it everywhere by recursive doubling.

    Parameters
    ----------
    ranks : int
        Number of ranks K, a power of two.
    root : int
        The rank whose vector it is.

    Returns
    -------
    Schedule
        ``2 log2 K`` steps.

    Raises
    ------
    InputError
        If `ranks` is not a power of two, or `root` is not one of the ranks.

    Notes
    -----
    MPICH's broadcast of vectors of medium length (Thakur, Rabenseifner and Gropp, IJHPCA 19(1), 2005). The scatter
    takes ``lg(K) a + (K-1)/K n b``, see `ring_broadcast`; in round t of the all-gather, counted from the root, ranks
    i and i xor 2^t exchange the 2^t blocks that each of them has by then, which takes as long again.

    Examples
    --------
    >>> recursive_doubling_broadcast(4)
    Schedule(broadcast, custom, ranks=4, chunks=4, steps=4, messages=11)
    """
    number = parse_count(ranks, "ranks")
    check_power_of_two(number, "scatter_recursive_doubling_allgather broadcast", instead="scatter_ring_allgather")
    plan, step, rank = _scattered(number, root)
    block = np.arange(number)
    for t in range(number.bit_length() - 1):
        plan.copy(step=step + t, src=rank, dst=rank[block ^ (1 << t)], chunk=block >> t << t, count=1 << t)
    return plan.build()


def rabenseifner_reduce(ranks: int, *, root: int = 0) -> Schedule:
    """Reduce-scatter by recursive halving, then gather the blocks along a binomial tree to the root.

    With p the largest power of two that is not above the number of ranks K, and r = K - p: counted from
    the root, the odd ones of the first 2r ranks send their vector to the even one before them and are done.
    Among the p that are left, numbered from the root again, ranks q and q xor 2^t exchange halves of what
    they are still adding up in round t, and each keeps one. The blocks then go the same way back, those that
    are 2^t from the root sending in the round of that distance.

    Parameters
    ----------
    ranks : int
        Number of ranks K, at least 1.
    root : int
        The rank that ends with the sum.

    Returns
    -------
    Schedule
        ``2 log2 p`` steps, and one more if p < K.

    Raises
    ------
    InputError
        If `root` is not one of the ranks.

    Notes
    -----
    R. Rabenseifner, "Optimization of collective reduction operations", ICCS 2004; MPICH's
    ``reduce_intra_reduce_scatter_gather``, which counts from rank 0 and needs one more message if the root is one of
    those that are folded away. The sum is a balanced tree over the folded pairs, with the bits of recursive doubling
    on the ranks counted from the root.

    A rank into which another folded starts the halving ``a + n (b + g)`` late. The root is one of them, every
    exchange takes both partners equally long, and after the last all ranks have waited for the latest:
    ``log2(p) a + (p-1)/p n (b + g)``. The root takes part in every round of the gather, in which p - 1 blocks
    come to it: ``log2(p) a + (p-1)/p n b``.

    The rank next to the root sends most: (p-1)/p n in the exchanges and then half a vector.

    Examples
    --------
    >>> rabenseifner_reduce(4)
    Schedule(reduce, custom, ranks=4, chunks=4, steps=4, messages=11)
    >>> rabenseifner_reduce(6)
    Schedule(reduce, custom, ranks=6, chunks=4, steps=5, messages=13)
    """
    number = parse_count(ranks, "ranks")
    root = check_root(root, number)
    doublings = number.bit_length() - 1
    power = 1 << doublings
    folded = number - power
    plan = ScheduleBuilder(get_collective("reduce", root=root), number, chunks=power)
    if folded:
        pair = 2 * np.arange(folded) + root
        plan.reduce(step=0, src=(pair + 1) % number, dst=pair % number, count=power)
    step = 1 if folded else 0
    q = np.arange(power)
    rank = (np.where(q < folded, 2 * q, q + folded) + root) % number
    first = np.zeros(power, dtype=np.int64)  # of the blocks that a rank is still adding up
    for t in range(doublings):
        half = power >> (t + 1)
        upper = q >> t & 1
        plan.reduce(step=step + t, src=rank, dst=rank[q ^ (1 << t)], chunk=first + (1 - upper) * half, count=half)
        first += upper * half
    step += doublings
    for t in reversed(range(doublings)):
        sender = q[1 << t : 2 << t]
        held = power >> (t + 1)
        # The blocks that it has collected by now begin at a multiple of their number.
        chunk = first[sender] & -held
        plan.copy(step=step, src=rank[sender], dst=rank[sender - (1 << t)], chunk=chunk, count=held)
        step += 1
    return plan.build()


def _scattered(ranks: int, root: int) -> tuple[ScheduleBuilder, int, NDArray[np.int64]]:
    """Return a broadcast that has scattered a block to every rank, its next step, and the rank of each block."""
    number = parse_count(ranks, "ranks")
    root = check_root(root, number)
    plan = ScheduleBuilder(get_collective("broadcast", root=root), number, chunks=number)
    rank = (np.arange(number) + root) % number
    tree = rounds(number)
    for step, (child, parent) in enumerate(reversed(tree)):
        distance = 1 << (len(tree) - 1 - step)
        # A chunk of a broadcast belongs to nobody, so blocks are numbered from the root and never wrap round.
        size = np.minimum(distance, number - child)
        plan.copy(step=step, src=rank[parent], dst=rank[child], chunk=child, count=size)
    return plan, len(tree), rank
