"""Bruck's all-gather, and its reverse, a reduce-scatter: the fewest rounds for any number of ranks."""

from __future__ import annotations

import numpy as np

from collsim.schedule import Ints, Schedule, ScheduleBuilder


def all_gather(ranks: int) -> Schedule:
    """Double what every rank holds in each round, by fetching it from the rank as far away as one holds parts.

    Before round d rank r holds the parts of the 2^d ranks from r on. It sends them to ``r - 2^d``, in the
    last round only as many as are still missing there.

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
    J. Bruck, C.-T. Ho, S. Kipnis, E. Upfal and D. Weathersby, "Efficient algorithms for all-to-all
    communications in multiport message-passing systems", IEEE TPDS 8(11), 1997 (their
    concatenation). MPICH and Open MPI use it for small vectors. In memory the parts stand in the order
    r, r + 1, ... and are rotated at the end; here they keep their numbers, and a run that passes the last
    rank travels as two pieces of one message.

    All ranks send and receive the same number of parts in a round. The rounds take ``a`` each, and K - 1
    parts go through every port: ``lg(K) a + (K-1)/K n b``.

    Examples
    --------
    >>> all_gather(6)
    Schedule(all_gather, custom, ranks=6, chunks=6, steps=3, messages=18)
    """
    plan = ScheduleBuilder("all_gather", ranks, chunks=ranks)
    for t, distance in enumerate(_distances(plan.ranks)):
        src, dst, chunk, count = _round(plan.ranks, distance)
        plan.copy(t, src, dst, chunk, count, packed=True)
    return plan.build()


def reduce_scatter(ranks: int) -> Schedule:
    """Run Bruck's all-gather backwards, adding where it copies.

    In the all-gather every part spreads along a tree from its owner; backwards, the same trees collect
    sums. The round of distance ``2^d`` comes the earlier the larger d is: rank r sends to ``r + 2^d`` what it
    has for the (up to 2^d) ranks from there on, which that rank adds to its own.

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
    Reversal of the concatenation of Bruck et al., IEEE TPDS 8(11), 1997. J. L. Traff, "Optimal, non-pipelined
    reduce-scatter and allreduce algorithms", arXiv 2410.14234, has one of the same rounds and bytes whose
    distances are halves of K, rounded up, instead of powers of two. The operation must commute, since sums
    run over the last rank to the first.

    The closed form is that of the all-gather, and every part that arrives is added:
    ``lg(K) a + (K-1)/K n (b + g)``.

    Examples
    --------
    >>> reduce_scatter(6)
    Schedule(reduce_scatter, custom, ranks=6, chunks=6, steps=3, messages=18)
    """
    plan = ScheduleBuilder("reduce_scatter", ranks, chunks=ranks)
    for t, distance in enumerate(reversed(_distances(plan.ranks))):
        src, dst, chunk, count = _round(plan.ranks, distance)
        plan.reduce(t, dst, src, chunk, count, packed=True)
    return plan.build()


def _distances(ranks: int) -> list[int]:
    return [1 << d for d in range((ranks - 1).bit_length())]


def _round(ranks: int, distance: int) -> tuple[Ints, Ints, Ints, Ints]:
    """Return src, dst, chunk and count of one round of the all-gather, runs cut where they pass the last rank."""
    rank = np.arange(ranks, dtype=np.int32)
    parts = min(distance, ranks - distance)
    before = np.minimum(parts, ranks - rank)
    wraps = np.flatnonzero(before < parts).astype(np.int32)
    src = np.concatenate([rank, wraps])
    chunk = np.concatenate([rank, np.zeros_like(wraps)])
    count = np.concatenate([before, parts - before[wraps]])
    return src, (src - distance) % ranks, chunk, count
