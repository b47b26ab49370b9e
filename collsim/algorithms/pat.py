"""PAT, parallel aggregated trees: NCCL's all-gather and reduce-scatter in few rounds, the longest way with the least.

Fully aggregated, as for small vectors: all that goes to one peer travels as one message. (NCCL splits larger
vectors so that what is under way fits into its buffers.)
"""

from __future__ import annotations

import numpy as np

from collsim.schedule import Ints, Schedule, ScheduleBuilder


def all_gather(ranks: int) -> Schedule:
    """Send every part down a binomial tree of its owner, the farthest ranks first.

    Dimensions go from the highest down. In dimension d rank r sends to ``r - 2^d`` those parts that it holds
    by then, its own and those of the ranks at multiples of 2^(d+1) after it, as far as they are for that
    rank: ``ceil((K - 2^d) / 2^(d+1))`` of them, packed into one message.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1, a power of two or not.

    Returns
    -------
    Schedule
        ``ceil(log2 ranks)`` steps in which every rank sends one message.

    Notes
    -----
    S. Jeaugey, "PAT: a new algorithm for all-gather and reduce-scatter operations at scale", arXiv
    2506.20252; NCCL 2.23, src/include/collectives.h. It is Bruck's algorithm with the dimensions reversed:
    the message over the longest distance carries one part, and half of all parts go to the nearest rank.

    All ranks send and receive the same number of parts in a round. The rounds take ``a`` each, and K - 1
    parts go through every port: ``lg(K) a + (K-1)/K n b``.

    Examples
    --------
    >>> schedule = all_gather(6)
    >>> schedule
    Schedule(all_gather, custom, ranks=6, chunks=6, steps=3, messages=18)
    >>> [(schedule.chunk[(schedule.step == t) & (schedule.src == 0)]).tolist() for t in range(3)]
    [[0], [0], [0, 2, 4]]
    """
    plan = ScheduleBuilder("all_gather", ranks, chunks=ranks)
    for t, distance in enumerate(reversed(_distances(plan.ranks))):
        src, dst, chunk = _dimension(plan.ranks, distance)
        plan.copy(t, src, dst, chunk, packed=True)
    return plan.build()


def reduce_scatter(ranks: int) -> Schedule:
    """Collect every part up a binomial tree of its owner, the nearest ranks first.

    The all-gather backwards: dimensions go from the lowest up, and in dimension d rank r sends to
    ``r + 2^d`` what it has collected for that rank and for those at multiples of 2^(d+1) after it.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1, a power of two or not.

    Returns
    -------
    Schedule
        ``ceil(log2 ranks)`` steps in which every rank sends one message.

    Notes
    -----
    S. Jeaugey, arXiv 2506.20252; NCCL 2.23. Counted from the owner downwards, the rank at offset s passes
    its sum on in the dimension of the lowest set bit of s, when all below it in the tree have done so.

    The closed form is that of the all-gather, and every part that arrives is added:
    ``lg(K) a + (K-1)/K n (b + g)``.

    Examples
    --------
    >>> reduce_scatter(6)
    Schedule(reduce_scatter, custom, ranks=6, chunks=6, steps=3, messages=18)
    """
    plan = ScheduleBuilder("reduce_scatter", ranks, chunks=ranks)
    for t, distance in enumerate(_distances(plan.ranks)):
        src, dst, chunk = _dimension(plan.ranks, distance)
        plan.reduce(t, dst, src, chunk, packed=True)
    return plan.build()


def _distances(ranks: int) -> list[int]:
    return [1 << d for d in range((ranks - 1).bit_length())]


def _dimension(ranks: int, distance: int) -> tuple[Ints, Ints, Ints]:
    """Return src, dst and chunk of the all-gather's messages in one dimension, a row a part."""
    # What rank r has of the owner r + offset is new to r - distance, unless that comes to a full round.
    offset = np.arange(0, ranks - distance, 2 * distance, dtype=np.int32)
    src = np.repeat(np.arange(ranks, dtype=np.int32), len(offset))
    return src, (src - distance) % ranks, (src + np.tile(offset, ranks)) % ranks
