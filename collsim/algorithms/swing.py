"""All-reduce with partners at swinging distances, 1, -1, 3, -5, 11, ...: Swing and Bine.

Both are butterflies, like recursive doubling, but with partners that are near on a ring or torus: 2^t is
shortened to about two thirds. For powers of two they have the same partners and bytes, and differ in how blocks
are numbered and in what they do for other numbers of ranks.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from collsim.algorithms.options import check_even
from collsim.algorithms.recursive import (
    Ranks,
    exchange,
    fold_vectors,
    halve_and_double,
    largest_power_of_two,
    unfold,
)
from collsim.errors import unknown
from collsim.schedule import Schedule, ScheduleBuilder

FORMS = ("bandwidth", "latency")


def swing(ranks: int, *, form: str = "bandwidth") -> Schedule:
    """Reduce-scatter, then all-gather, with partners on alternating sides at growing distances.

    In round t an even rank r meets ``r + rho``, an odd one ``r - rho``, modulo the number of ranks K, with
    ``rho = (1 - (-2)^(t+1)) / 3`` = 1, -1, 3, -5, 11, ... It hands over the blocks that its partner can still
    bring to their owners in the rounds that are left, each block as late as possible. The rounds in reverse
    spread the sums.

    Parameters
    ----------
    ranks : int
        Number of ranks K, even or 1.
    form : {"bandwidth", "latency"}
        ``"latency"``: exchange whole vectors, in half as many rounds. Contributions then are disjoint for
        powers of two only; other numbers are folded as in `recursive.recursive_doubling`.

    Returns
    -------
    Schedule
        ``2 ceil(log2 K)`` steps; the blocks that go to one partner stand apart and are packed into one
        message. With ``form="latency"`` the steps of recursive doubling.

    Raises
    ------
    InputError
        If the number of ranks is odd, or the form is not known.

    Notes
    -----
    D. De Sensi, T. Bonato, D. Saam and T. Hoefler, "Swing: short-cutting rings for higher bandwidth
    allreduce", NSDI 2024 (arXiv 2401.09356), for one ring. The rule works for any even K: every rank sends each
    block but its own once, to a partner that sends it later or owns it, so that a block travels along a tree to
    its owner. That these trees reach all ranks was tried for every even K up to 1298; `verify` proves it for
    a schedule at hand. The paper's extension to odd K is not done here.

    All ranks send equally many blocks in a round, K - 1 in all, and the same in reverse:
    ``2 lg(K) a + (K-1)/K n (2b + g)``. In the form for latency ranks do not agree in the last bits from K = 8 on:
    who has met whom differs from rank to rank, and with it the order of summation.

    Examples
    --------
    >>> schedule = swing(8)
    >>> schedule
    Schedule(all_reduce, custom, ranks=8, chunks=8, steps=6, messages=48)
    >>> [set(schedule.dst[(schedule.step == t) & (schedule.src == 0)].tolist()) for t in range(3)]
    [{1}, {7}, {3}]
    >>> swing(8, form="latency")
    Schedule(all_reduce, custom, ranks=8, chunks=1, steps=3, messages=24)
    """
    _check_form(form)
    if form == "latency":
        check_even(ScheduleBuilder("all_reduce", ranks).ranks, "swing all_reduce", instead="bine")
        return _latency(ranks)
    plan = ScheduleBuilder("all_reduce", ranks, chunks=ranks)
    check_even(plan.ranks, "swing all_reduce", instead="bine")
    partners, rounds = _partners(plan.ranks), _rounds_of_blocks(plan.ranks)
    last = 2 * len(partners) - 1
    for t, partner in enumerate(partners):
        src, chunk, count = _blocks(plan.ranks, np.flatnonzero(rounds == t))
        plan.reduce(t, src, partner[src], chunk, count, packed=True)
        plan.copy(last - t, partner[src], src, chunk, count, packed=True)
    return plan.build()


def bine(ranks: int, *, form: str = "bandwidth") -> Schedule:
    """Exchange halves with the partners of a Bine butterfly: Swing's, with blocks that stay neighbours.

    In round t number i meets ``i + rho`` if it is even, ``i - rho`` if odd, modulo p, with
    ``rho = (1 - (-2)^(t+1)) / 3``. The vector is halved in every round, as Rabenseifner does; who keeps which half
    is decided by the bits of i in base -2, so that what partners share is always one piece.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1. Those above a power of two are folded as in MPICH.
    form : {"bandwidth", "latency"}
        ``"latency"``: exchange whole vectors, in half as many rounds.

    Returns
    -------
    Schedule
        ``2 log2 p`` steps, or ``log2 p`` with ``form="latency"``, where p is the largest power of two that
        is not above the number of ranks; two more if there are ranks above it.

    Raises
    ------
    InputError
        If the form is not known.

    Notes
    -----
    D. De Sensi, S. Pasqualoni, L. Piarulli, T. Bonato, S. Ba, M. Turisini, J. Domke and T. Hoefler, "Bine trees:
    enhancing collective operations by optimizing communication locality", SC 2025 (arXiv 2508.17311), with the
    fold of the authors' implementation in MPICH (HLC-Lab/mpich, allreduce_intra_bine_bdw and _lat). A Bine
    tree is a binomial tree over numbers in base -2 (negabinary). A partner of round t differs in the lowest t + 1
    of these digits, all of them, so bit t of the digits' Gray code tells partners apart and the bits below
    it are the same for both: it says who keeps the upper half.

    Bytes and rounds are those of `recursive.halving_doubling` and `recursive.recursive_doubling`, and so is
    the time where only ports count. As for `swing`, ranks do not agree in the last bits in the form for latency.

    Examples
    --------
    >>> bine(8)
    Schedule(all_reduce, custom, ranks=8, chunks=8, steps=6, messages=48)
    >>> bine(7, form="latency")
    Schedule(all_reduce, custom, ranks=7, chunks=1, steps=4, messages=14)
    """
    _check_form(form)
    if form == "latency":
        return _latency(ranks)
    plan = ScheduleBuilder("all_reduce", ranks, chunks=largest_power_of_two(ranks))
    step, rank = fold_vectors(plan)
    step = halve_and_double(plan, step, rank, _partners(len(rank)), _upper_halves(len(rank)))
    unfold(plan, step, rank)
    return plan.build()


def _check_form(form: str) -> None:
    if form not in FORMS:
        raise unknown("form", form, FORMS)


def _latency(ranks: int) -> Schedule:
    plan = ScheduleBuilder("all_reduce", ranks)
    step, rank = fold_vectors(plan)
    step = exchange(plan, step, rank, _partners(len(rank)))
    unfold(plan, step, rank)
    return plan.build()


def _rho(t: int) -> int:
    """Return 1 - 2 + 4 - ... up to (-2)^t: 1, -1, 3, -5, 11, ..."""
    rho: int = (1 - (-2) ** (t + 1)) // 3
    return rho


def _partners(ranks: int) -> list[Ranks]:
    """Return everybody's partner in each round."""
    rank = np.arange(ranks)
    side = np.where(rank % 2 == 0, 1, -1)
    return [(rank + side * _rho(t)) % ranks for t in range((ranks - 1).bit_length())]


def _rounds_of_blocks(ranks: int) -> NDArray[np.int64]:
    """Return in which round an even rank r sends the block of ``r + d``, and an odd one that of ``r - d``, for each d.

    Seen from its partner, on the other side, that block's owner is at ``rho - d``. A block goes in the last
    round in which the partner owns it or still has a round for it.
    """
    distance = np.arange(ranks)
    rounds = np.full(ranks, -1)
    reached = distance == 0
    for t in reversed(range((ranks - 1).bit_length())):
        now = ~reached & reached[(_rho(t) - distance) % ranks]
        rounds[now] = t
        reached |= now
    return rounds


def _blocks(ranks: int, distances: Ranks) -> tuple[Ranks, Ranks, Ranks]:
    """Return, for every rank, the blocks at these distances as runs of neighbours: rank, first block, count."""
    begins = np.flatnonzero(np.diff(distances, prepend=-2) > 1)
    lengths = np.diff(begins, append=len(distances))
    rank = np.repeat(np.arange(ranks), len(begins))
    nearest, length = np.tile(distances[begins], ranks), np.tile(lengths, ranks)
    first = np.where(rank % 2 == 0, rank + nearest, rank - nearest - length + 1) % ranks
    # A run that passes the last block goes on at the first.
    beyond = np.maximum(first + length - ranks, 0)
    split = beyond > 0
    return (
        np.concatenate([rank, rank[split]]),
        np.concatenate([first, np.zeros(int(split.sum()), dtype=np.int64)]),
        np.concatenate([length - beyond, beyond[split]]),
    )


def _upper_halves(ranks: int) -> list[NDArray[np.bool_]]:
    """Return, for each round, who keeps the upper half: bit t of the Gray code of a rank's digits in base -2."""
    rank = np.arange(ranks)
    left = np.where(rank % 2 == 0, -rank, rank)
    digits = []
    for _ in range(ranks.bit_length() - 1):
        digits.append(left % 2)
        left = (left - digits[-1]) // -2
    return [digit != higher for digit, higher in itertools.pairwise([*digits, np.zeros_like(rank)])]
