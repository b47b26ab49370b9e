"""Sparbit, stripe parallel binomial trees: an all-gather in few rounds whose parts are in place on arrival."""

from __future__ import annotations

import numpy as np

from collsim.schedule import Schedule, ScheduleBuilder


def all_gather(ranks: int) -> Schedule:
    """Send every part along a binomial tree of its owner, over the longest distance first.

    Distances are the powers of two below the number of ranks, from the largest down. Over distance D rank r
    sends to ``r + D`` what it holds, its own part and those of the ranks at multiples of 2D before it,
    without what that rank would get twice.

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
    W. J. Loch and G. P. Koslovski, "Sparbit: a new logarithmic-cost and data locality-aware MPI Allgather
    algorithm", arXiv 2109.08751, 2021; Open MPI ``allgather_intra_sparbit``. Like Bruck's it takes
    ceil(log2 K) rounds for any K, but with the distances reversed, so that most bytes go to near ranks, and no
    rotation at the end, since a part is written to its place at once. In its pattern it is the mirror
    image of NCCL's PAT, which is younger.

    The parts of a round are a stripe, not neighbours: here one message that is packed from them, as in the
    paper's count of ``a`` a round; Open MPI's code posts a message a part. In the alpha-beta model that
    takes the same time, for the latencies overlap.

    All ranks send and receive the same number of parts in a round, K - 1 in all:
    ``lg(K) a + (K-1)/K n b``.

    Examples
    --------
    >>> schedule = all_gather(6)
    >>> schedule
    Schedule(all_gather, custom, ranks=6, chunks=6, steps=3, messages=18)
    >>> [(schedule.chunk[(schedule.step == t) & (schedule.src == 4)]).tolist() for t in range(3)]
    [[4], [4], [4, 2, 0]]
    """
    plan = ScheduleBuilder("all_gather", ranks, chunks=ranks)
    ranks = plan.ranks
    rank = np.arange(ranks, dtype=np.int32)
    rounds = (ranks - 1).bit_length()
    for t in range(rounds):
        distance = 1 << (rounds - 1 - t)
        # A part that has come this far is new at the other end, unless that closes a full round.
        travelled = np.arange(0, ranks - distance, 2 * distance, dtype=np.int32)
        src = np.repeat(rank, len(travelled))
        part = (src - np.tile(travelled, ranks)) % ranks
        plan.copy(step=t, src=src, dst=(src + distance) % ranks, chunk=part, packed=True)
    return plan.build()
