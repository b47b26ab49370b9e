"""All-reduce in about lg(K) rounds of pairwise exchanges: recursive doubling, and Rabenseifner's halving and doubling.

Swing and Bine exchange in the same way with other partners, so the pieces (folding a number of ranks to a power
of two, exchanging vectors, exchanging halves) are functions of their own. Reduce-scatter and all-gather alone,
whose parts have owners, stand in `doubling`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from collsim.errors import unknown
from collsim.schedule import Schedule, ScheduleBuilder
from collsim.units import parse_count

Ranks = NDArray[np.int64]

FOLDS = ("mpich", "openmpi")


def recursive_doubling(ranks: int) -> Schedule:
    """Exchange whole vectors with the rank across bit 0, then across bit 1, and so on; everybody adds.

    With p the largest power of two that is not above the number of ranks K, and r = K - p: each of the even
    ones of the first 2r ranks sends its vector to its odd neighbour first, and gets the sum from it in
    the end. The p that are left exchange.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.

    Returns
    -------
    Schedule
        ``log2 p`` steps of whole vectors, and two more if p < K.

    Notes
    -----
    R. Thakur, R. Rabenseifner and W. Gropp, "Optimization of collective communication operations in
    MPICH", IJHPCA 19(1), 2005, section 4.3; the fold is that of MPICH and of Open MPI. The order of summation
    is a balanced tree over the folded pairs, and all ranks get the same bits.

    A rank whose neighbour folded into it starts the exchanges ``a + n (b + g)`` late, is never held up
    after that, and takes part in all of them: ``log2(p) (a + n (b + g))``. To give the sum back takes
    ``a + n b`` more.

    Examples
    --------
    >>> recursive_doubling(8)
    Schedule(all_reduce, custom, ranks=8, chunks=1, steps=3, messages=24)
    >>> recursive_doubling(6)
    Schedule(all_reduce, custom, ranks=6, chunks=1, steps=4, messages=12)
    """
    plan = ScheduleBuilder("all_reduce", ranks)
    step, rank = fold_vectors(plan)
    step = exchange(plan, step, rank, _across_bits(len(rank)))
    unfold(plan, step, rank)
    return plan.build()


def halving_doubling(ranks: int, *, fold: str = "mpich") -> Schedule:
    """Reduce-scatter by halving vectors, then all-gather by doubling them: Rabenseifner's algorithm.

    In each round partners exchange opposite halves of what they work on and add: after log2 p rounds,
    nearest partners first, every rank has one of p blocks complete. The rounds in reverse spread them. Blocks
    that travel together are neighbours, one message.

    Parameters
    ----------
    ranks : int
        Number of ranks K, at least 1. Let p be the largest power of two that is not above it, r = K - p.
    fold : {"mpich", "openmpi"}
        What becomes of the first 2r ranks. ``"mpich"``: the even ones send their vector to their odd
        neighbours, who work for both and send the result back. ``"openmpi"``: neighbours exchange halves
        and add, the odd one returns its half, and the even one works for both.

    Returns
    -------
    Schedule
        ``2 log2 p`` steps, and if p < K two more with the fold of MPICH, three with that of Open MPI.

    Raises
    ------
    InputError
        If the fold is not known.

    Notes
    -----
    R. Rabenseifner, "Optimization of collective reduction operations", ICCS 2004; R. Thakur, R.
    Rabenseifner and W. Gropp, IJHPCA 19(1), 2005; MPICH ``allreduce_intra_reduce_scatter_allgather``, Open MPI
    ``allreduce_intra_redscat_allgather``. With either fold each element is summed in the same order as
    in `recursive_doubling`. Halves are cut here between blocks, where Open MPI cuts its fold at count / 2.

    All that are left exchange n/2, n/4, ..., n/p bytes, and the same again in reverse:
    ``2 log2(p) a + (p-1)/p n (2b + g)``. Those who were folded are last: with MPICH's fold ``a + n (b + g)``
    before and ``a + n b`` after, with Open MPI's ``2a + n b + n/2 g`` before and ``a + n b`` after.

    Examples
    --------
    >>> halving_doubling(8)
    Schedule(all_reduce, custom, ranks=8, chunks=8, steps=6, messages=48)
    >>> halving_doubling(6).steps, halving_doubling(6, fold="openmpi").steps
    (6, 7)
    """
    if fold not in FOLDS:
        raise unknown("fold", fold, FOLDS)
    plan = ScheduleBuilder("all_reduce", ranks, chunks=largest_power_of_two(ranks))
    step, rank = fold_halves(plan) if fold == "openmpi" else fold_vectors(plan)
    partners = _across_bits(len(rank))
    step = halve_and_double(plan, step, rank, partners, [np.arange(len(rank)) > partner for partner in partners])
    unfold(plan, step, rank)
    return plan.build()


def largest_power_of_two(ranks: int) -> int:
    """Return the largest power of two that is not above a number of ranks."""
    return 1 << (parse_count(ranks, "ranks").bit_length() - 1)


def fold_vectors(plan: ScheduleBuilder) -> tuple[int, Ranks]:
    """Leave a power of two of the ranks: the first even ones send their vectors to their odd neighbours.

    Returns
    -------
    int
        The next step: 1, or 0 if there was nothing to fold.
    ndarray of int, shape (power of two,)
        The ranks that are left, in the order of their new numbers.
    """
    rank = _left(plan.ranks, odd=True)
    odd = rank[: plan.ranks - len(rank)]
    plan.reduce(step=0, src=odd - 1, dst=odd, count=plan.chunks)
    return int(len(odd) > 0), rank


def fold_halves(plan: ScheduleBuilder) -> tuple[int, Ranks]:
    """Leave a power of two of the ranks: the first pairs of neighbours add half a vector each, for the even ones.

    Returns
    -------
    int
        The next step: 2, or 0 if there was nothing to fold.
    ndarray of int, shape (power of two,)
        The ranks that are left, in the order of their new numbers.
    """
    rank = _left(plan.ranks, odd=False)
    even, half = rank[: plan.ranks - len(rank)], plan.chunks // 2
    if not len(even):
        return 0, rank
    plan.reduce(step=0, src=even, dst=even + 1, chunk=half, count=half)
    plan.reduce(step=0, src=even + 1, dst=even, chunk=0, count=half)
    plan.copy(step=1, src=even + 1, dst=even, chunk=half, count=half)
    return 2, rank


def unfold(plan: ScheduleBuilder, step: int, rank: Ranks) -> None:
    """Send the result to those who were folded into their neighbours."""
    pair = rank[: plan.ranks - len(rank)]
    plan.copy(step=step, src=pair, dst=pair ^ 1, count=plan.chunks)


def exchange(plan: ScheduleBuilder, step: int, rank: Ranks, partners: Sequence[Ranks]) -> int:
    """Exchange and add whole vectors: number i, which is ``rank[i]``, with ``partners[t][i]`` in round t.

    Returns
    -------
    int
        The next step.
    """
    for t, partner in enumerate(partners, start=step):
        plan.reduce(step=t, src=rank, dst=rank[partner], count=plan.chunks)
    return step + len(partners)


def halve_and_double(
    plan: ScheduleBuilder, step: int, rank: Ranks, partners: Sequence[Ranks], upper: Sequence[NDArray[np.bool_]]
) -> int:
    """Exchange and add halves of what partners share, and then, in reverse, what has become of them.

    Parameters
    ----------
    plan : ScheduleBuilder
        With as many chunks as there are ranks in `rank`, a power of two.
    step : int
        The first step.
    rank : ndarray of int, shape (power of two,)
        The ranks that take part; they are known by their place here.
    partners : sequence of ndarray of int
        For each round, the place of everybody's partner.
    upper : sequence of ndarray of bool
        For each round, who keeps the upper half; of two partners one does.

    Returns
    -------
    int
        The next step.
    """
    first, size = np.zeros(len(rank), dtype=np.int64), plan.chunks
    for partner, keeps_upper in zip(partners, upper, strict=True):
        size //= 2
        plan.reduce(step=step, src=rank, dst=rank[partner], chunk=first + size * ~keeps_upper, count=size)
        first = first + size * keeps_upper  # a new array: the builder keeps the ones that it was given
        step += 1
    for partner, keeps_upper in zip(reversed(partners), reversed(upper), strict=True):
        plan.copy(step=step, src=rank, dst=rank[partner], chunk=first, count=size)
        first = first - size * keeps_upper
        size *= 2
        step += 1
    return step


def _left(ranks: int, *, odd: bool) -> Ranks:
    """Return who is left when the first pairs of neighbours count as one: their odd or their even ranks."""
    number = np.arange(largest_power_of_two(ranks))
    folded = ranks - len(number)
    return np.where(number < folded, 2 * number + odd, number + folded)


def _across_bits(ranks: int) -> list[Ranks]:
    """Return everybody's partner in each round: the rank that differs in bit 0, bit 1, ..."""
    return [np.arange(ranks) ^ (1 << bit) for bit in range(ranks.bit_length() - 1)]
