"""All-to-all: every rank has a block for every other one. Direct exchanges in rounds (`pairwise`) or all at
once (`spread`), and two that pass blocks on and send many of them as one message (`bruck`, `ring`).

Chunk ``s * ranks + d`` is the block that rank s has for rank d. Its offset is ``(d - s) % ranks``: how far
round the circle of ranks it has to go.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from collsim.algorithms.options import partners_of_round
from collsim.schedule import Schedule, ScheduleBuilder
from collsim.units import parse_count

Indices = NDArray[np.int64]


def pairwise(ranks: int, *, partners: str = "auto") -> Schedule:
    """Exchange blocks with one other rank in each round.

    In round t = 1, 2, ... rank r deals with ``r XOR t`` if the number of ranks is a power of two, and
    otherwise sends to ``r + t`` and receives from ``r - t``.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.
    partners : {"auto", "shift"}
        ``"auto"`` is as above (MPICH); with ``"shift"`` powers of two are no exception (Open MPI).

    Returns
    -------
    Schedule
        ``ranks - 1`` steps in which every rank sends one block.

    Raises
    ------
    InputError
        If `partners` is not known.

    Notes
    -----
    R. Thakur, R. Rabenseifner and W. Gropp, "Optimization of collective communication operations in
    MPICH", IJHPCA 19(1), 2005: their choice for long messages. In a round every port serves one block of
    n/K bytes, and no rank waits for another, so the time is ``(K - 1)(a + n/K b)``.

    Examples
    --------
    >>> pairwise(8)
    Schedule(all_to_all, custom, ranks=8, chunks=64, steps=7, messages=56)
    """
    plan, rank = _start(ranks)
    for t in range(1, plan.ranks):
        to = partners_of_round(rank, t, partners)
        plan.copy(step=t - 1, src=rank, dst=to, chunk=rank * plan.ranks + to)
    return plan.build()


def spread(ranks: int) -> Schedule:
    """Send all blocks at once, those for the nearest ranks first.

    Rank r's messages leave in the order r + 1, r + 2, ... Every rank then receives from r - 1 first, from
    r - 2 next, and never from two at a time.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.

    Returns
    -------
    Schedule
        One step with ``ranks - 1`` messages a rank.

    Notes
    -----
    Posting all messages at once, each rank from a different place on, is the choice of Thakur, Rabenseifner
    and Gropp (IJHPCA 19(1), 2005) for messages of medium length. The i-th message leaves a port, and its head
    arrives at the other, ``(i - 1) n/K b`` after the first: one latency is paid for all,
    ``a + (K - 1) n/K b``.

    Examples
    --------
    >>> spread(8)
    Schedule(all_to_all, custom, ranks=8, chunks=64, steps=1, messages=56)
    """
    plan, rank = _start(ranks)
    offset = np.arange(1, plan.ranks)
    src = np.tile(rank, len(offset))
    dst = (src + np.repeat(offset, plan.ranks)) % plan.ranks
    plan.copy(step=0, src=src, dst=dst, chunk=src * plan.ranks + dst)
    return plan.build()


def bruck(ranks: int, *, radix: int = 2) -> Schedule:
    """Pass blocks on by the digits of their offsets, all that take the same way as one message.

    The offset of a block is written in base `radix`. In the round of digit w every block whose digit is v
    travels ``v radix^w`` ranks further; a rank sends all of its blocks with that digit as one message. After
    the last digit every block has travelled its whole offset.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.
    radix : int
        Base of the digits, at least 2: the larger it is, the more messages and the fewer bytes.

    Returns
    -------
    Schedule
        ``ceil(log_radix ranks)`` steps with at most ``radix - 1`` messages a rank.

    Raises
    ------
    InputError
        If `radix` is not a whole number of at least 2.

    Notes
    -----
    J. Bruck, C.-T. Ho, S. Kipnis, E. Upfal and D. Weathersby, "Efficient algorithms for all-to-all
    communications in multiport message-passing systems", IEEE TPDS 8(11), 1997. The messages of one digit are
    posted together, as their algorithm for several ports does: they do not depend on each other. A block
    moves once for each digit of its offset that is not 0, so every rank sends ``sum(nonzero digits of j)``
    blocks over the offsets j (for radix 2, ``popcount(j)``), and receives them in the same order and at the
    same pace: each round takes ``a`` plus its bytes.

    Examples
    --------
    >>> bruck(8)
    Schedule(all_to_all, custom, ranks=8, chunks=64, steps=3, messages=24)
    >>> bruck(8, radix=3)
    Schedule(all_to_all, custom, ranks=8, chunks=64, steps=2, messages=32)
    """
    radix = parse_count(radix, "radix", minimum=2)
    plan, rank = _start(ranks)
    offset = np.arange(plan.ranks)
    step, place = 0, 1
    while place < plan.ranks:
        digit = offset // place % radix
        for v in range(1, min(radix, -(-plan.ranks // place))):
            moving = offset[digit == v]
            # A block has come as far as its lower digits say.
            source = (rank[:, None] - moving % place).ravel() % plan.ranks
            target = (source + np.tile(moving, plan.ranks)) % plan.ranks
            here = np.repeat(rank, len(moving))
            plan.copy(step, here, (here + v * place) % plan.ranks, source * plan.ranks + target, packed=True)
        step, place = step + 1, place * radix
    return plan.build()


def ring(ranks: int) -> Schedule:
    """Pass blocks on round the ring, each until it is where it belongs.

    In step t every rank passes to the next one, as one message, all blocks that came to it in the step before
    and are for others: those that started t ranks below it and have to go further.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.

    Returns
    -------
    Schedule
        ``ranks - 1`` steps in which every rank sends one message of ``ranks - 1 - t`` blocks.

    Notes
    -----
    Total exchange by store and forward: D. Bertsekas and J. Tsitsiklis, Parallel and Distributed Computation,
    1989, chapter 1. A block of offset j crosses j links, so ``K (K - 1)/2`` blocks of n/K bytes a rank; only
    neighbours talk, which suits networks that are rings themselves. Time: the sum over the steps of
    ``a + (K - 1 - t) n/K b``.

    Examples
    --------
    >>> ring(8)
    Schedule(all_to_all, custom, ranks=8, chunks=64, steps=7, messages=56)
    """
    plan, rank = _start(ranks)
    ranks = plan.ranks
    right = (rank + 1) % ranks
    for t in range(ranks - 1):
        source = (rank - t) % ranks
        # The blocks are for right, right + 1, ... and end before the rank that they come from: neighbours,
        # but in two runs where the circle of ranks closes between them.
        left = np.full(ranks, ranks - 1 - t)
        upper = np.minimum(left, ranks - right)
        first = np.stack([source * ranks + right, source * ranks])
        count = np.stack([upper, left - upper])
        some = count > 0
        src, dst = np.broadcast_to(rank, some.shape)[some], np.broadcast_to(right, some.shape)[some]
        plan.copy(t, src, dst, first[some], count[some], packed=True)
    return plan.build()


def _start(ranks: int) -> tuple[ScheduleBuilder, Indices]:
    count = parse_count(ranks, "ranks")
    return ScheduleBuilder("all_to_all", count, chunks=count * count), np.arange(count)
