"""Algorithms that pass data round a ring: optimal in bytes, linear in latency.

The plain ring of each collective lives here, and the all-reduces that cut the vector further: both ways
round at once, in segments, over several rings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from collsim.schedule import Schedule, ScheduleBuilder
from collsim.units import parse_count


def all_gather(ranks: int) -> Schedule:
    """Pass every rank's part round the ring.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.

    Returns
    -------
    Schedule
        ``ranks - 1`` steps in which every rank sends one part to the next rank.

    Notes
    -----
    All ranks are in the same step all the time, and each step takes ``a + n/K b``.

    Examples
    --------
    >>> all_gather(4)
    Schedule(all_gather, custom, ranks=4, chunks=4, steps=3, messages=12)
    """
    plan = ScheduleBuilder("all_gather", ranks, chunks=ranks)
    rank = np.arange(plan.ranks)
    for t in range(plan.ranks - 1):
        plan.copy(step=t, src=rank, dst=(rank + 1) % plan.ranks, chunk=(rank - t) % plan.ranks)
    return plan.build()


def reduce_scatter(ranks: int) -> Schedule:
    """Pass partial sums of every part round the ring, ending at the rank that owns the part.

    In step t rank r sends what it has of part ``r - 1 - t`` to ``r + 1``, which adds its own. Part b sets
    out at rank ``b + 1`` and has gone once round when it comes home.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.

    Returns
    -------
    Schedule
        ``ranks - 1`` steps in which every rank sends one part to the next rank.

    Notes
    -----
    It is the first half of the ring all-reduce (P. Patarasuk and X. Yuan, JPDC 69(2), 2009), shifted by
    one so that part r ends at rank r; NCCL and Open MPI have it so. Part b is summed in the order
    b + 1, b + 2, ..., b + ranks (modulo ranks).

    All ranks are in the same step all the time. A step sends n/K bytes and adds them: ``a + n/K (b + g)``.

    Examples
    --------
    >>> reduce_scatter(4)
    Schedule(reduce_scatter, custom, ranks=4, chunks=4, steps=3, messages=12)
    """
    plan = ScheduleBuilder("reduce_scatter", ranks, chunks=ranks)
    rank = np.arange(plan.ranks)
    for t in range(plan.ranks - 1):
        plan.reduce(step=t, src=rank, dst=(rank + 1) % plan.ranks, chunk=(rank - 1 - t) % plan.ranks)
    return plan.build()


def all_reduce(ranks: int) -> Schedule:
    """Pass chunks round the ring, summing once round and spreading the sums once more.

    The vector is cut into as many chunks as there are ranks. In step t of the first half rank r sends
    chunk ``r - t`` to ``r + 1``, which adds its own; after ``ranks - 1`` steps rank r holds chunk
    ``r + 1`` complete. The second half passes the complete chunks on.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.

    Returns
    -------
    Schedule
        ``2 (ranks - 1)`` steps in which every rank sends one chunk.

    Notes
    -----
    P. Patarasuk and X. Yuan, "Bandwidth optimal all-reduce algorithms for clusters of workstations",
    JPDC 69(2), 2009. Chunk b is summed in the order b, b + 1, ..., b + ranks - 1 (modulo ranks), once for
    all ranks, so that all of them end with the same bits.

    Examples
    --------
    >>> all_reduce(4)
    Schedule(all_reduce, custom, ranks=4, chunks=4, steps=6, messages=24)
    """
    return _all_reduce_on_rings(ranks, strides=[1])


def bidirectional_all_reduce(ranks: int) -> Schedule:
    """Send one half of the vector round the ring upwards and the other half downwards, at the same time.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.

    Returns
    -------
    Schedule
        ``2 (ranks - 1)`` steps in which every rank sends a chunk of ``1 / (2 ranks)`` of the vector to
        either neighbour.

    Notes
    -----
    It pays where a cable carries both directions, as on a ring or torus of links: each direction then
    carries half the bytes of the plain ring. With one send port a rank it saves nothing on the way, but
    one half is added while the other arrives. With two ranks both halves go to the same neighbour.

    The closed form is that of `multi_ring_all_reduce` with two channels. Chunk b of the half that goes
    upwards is summed in the order b, b + 1, ..., of the other half in the order b, b - 1, ... (modulo
    ranks), once for all ranks, so that all of them end with the same bits.

    Examples
    --------
    >>> bidirectional_all_reduce(4)
    Schedule(all_reduce, custom, ranks=4, chunks=8, steps=6, messages=48)
    """
    return _all_reduce_on_rings(ranks, strides=[1, -1])


def multi_ring_all_reduce(ranks: int, *, channels: int = 4) -> Schedule:
    """Cut the vector into `channels` parts and reduce each on a ring of its own, all at the same time.

    The ring of stride s goes from rank r to ``r + s`` and visits all ranks if s has no factor in common
    with their number. The channels take such strides in the order 1, -1, then the next larger either way
    (for 8 ranks 1, -1, 3, -3), so that no two rings use the same direct link as long as there are strides.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.
    channels : int
        Number of rings, at least 1. If there are fewer strides (2 ranks have one; 3, 4 and 6 have two), they
        are used again in the same order: these rings then share links.

    Returns
    -------
    Schedule
        ``2 (ranks - 1)`` steps in which every rank sends one chunk of ``1 / (channels ranks)`` of the
        vector on each ring.

    Raises
    ------
    InputError
        If `channels` is not a whole number of at least 1.

    Notes
    -----
    After the channels of NCCL (src/graph/rings.cc), whose rings follow the machine's links; strides do it
    for a network in which all ranks are alike. One channel is the plain ring, two are the bidirectional.

    In a step every rank sends c messages of x = n/(cK) bytes and receives c, in the same order, so neither
    port is ever idle between them: ``a + c x b``. In the first half the j-th addition starts when its
    message is there and the one before it is done: ``a + x b + (c - 1) x max(b, g) + x g``.

    Chunk b of a ring of stride s is summed in the order b, b + s, b + 2s, ..., once for all ranks, so that
    all of them end with the same bits.

    Examples
    --------
    >>> schedule = multi_ring_all_reduce(8, channels=4)
    >>> schedule
    Schedule(all_reduce, custom, ranks=8, chunks=32, steps=14, messages=448)
    >>> sorted(set(((schedule.dst - schedule.src) % 8).tolist()))
    [1, 3, 5, 7]
    """
    number = parse_count(ranks, "ranks")
    strides = _strides(number)
    return _all_reduce_on_rings(
        number, [strides[channel % len(strides)] for channel in range(parse_count(channels, "channels"))]
    )


def segmented_all_reduce(ranks: int, *, segments: int = 4) -> Schedule:
    """Sum round the ring in phases, one segment of every block at a time, then spread whole blocks.

    The vector is cut into a block a rank, and each block into `segments`. Phase p passes and sums the
    segments p of all blocks as the first half of the ring does; when all phases are over, the complete
    blocks go round once, each as one message.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.
    segments : int
        Segments of each block, which is the number of phases, at least 1; 1 is the plain ring.

    Returns
    -------
    Schedule
        ``(segments + 1) (ranks - 1)`` steps.

    Raises
    ------
    InputError
        If `segments` is not a whole number of at least 1.

    Notes
    -----
    Open MPI's ``allreduce_intra_ring_segmented``, which takes a segment size. It bounds the memory for
    what arrives, and where a rank need not wait for the end of a step (``ordering="dataflow"``) it adds
    one segment while the next arrives. Ordered by step nothing overlaps: with S segments the phases take
    ``S (K-1) (a + n/(SK) (b + g))`` and the spreading ``(K-1) (a + n/K b)``.

    The order of summation is that of the ring; all ranks end with the same bits.

    Examples
    --------
    >>> segmented_all_reduce(4, segments=3)
    Schedule(all_reduce, custom, ranks=4, chunks=12, steps=12, messages=48)
    """
    phases = parse_count(segments, "segments")
    number = parse_count(ranks, "ranks")
    plan = ScheduleBuilder("all_reduce", number, chunks=number * phases)
    rank = np.arange(number)
    right = (rank + 1) % number
    for phase in range(phases):
        for t in range(number - 1):
            block = (rank - t) % number
            plan.reduce(step=phase * (number - 1) + t, src=rank, dst=right, chunk=block * phases + phase)
    for t in range(number - 1):
        block = (rank + 1 - t) % number
        plan.copy(step=phases * (number - 1) + t, src=rank, dst=right, chunk=block * phases, count=phases)
    return plan.build()


def _all_reduce_on_rings(ranks: int, strides: Sequence[int]) -> Schedule:
    """Return an all-reduce on one ring a stride, each over its own part of the vector: chunks [i*K, (i+1)*K)."""
    number = parse_count(ranks, "ranks")
    plan = ScheduleBuilder("all_reduce", number, chunks=number * len(strides))
    # Ring by ring, so that every rank serves its rings in the same order.
    rank = np.tile(np.arange(number), len(strides))
    stride = np.repeat(strides, number)
    first = np.repeat(np.arange(len(strides)) * number, number)
    after = (rank + stride) % number
    for t in range(number - 1):
        plan.reduce(step=t, src=rank, dst=after, chunk=first + (rank - t * stride) % number)
        plan.copy(step=number - 1 + t, src=rank, dst=after, chunk=first + (after - t * stride) % number)
    return plan.build()


def _strides(ranks: int) -> list[int]:
    """Return the strides of rings that visit all ranks, the shortest way either round first: 1, -1, ..."""
    visiting = [stride for stride in range(1, max(ranks, 2)) if math.gcd(stride, ranks) == 1]
    return sorted(visiting, key=lambda stride: (min(stride, ranks - stride), stride))
