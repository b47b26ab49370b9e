"""Pipelines along a chain of ranks: the vector is cut into segments that follow each other from rank to rank.

Each rank has one neighbour on either side and so sends and receives one segment a step. With many segments the
time tends to that of one vector through one port, whatever the number of ranks; trees (`tree`, `double_tree`)
start sooner.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from collsim.algorithms.options import check_root
from collsim.collectives import get_collective
from collsim.schedule import Schedule, ScheduleBuilder
from collsim.units import parse_count


def broadcast(ranks: int, *, segments: int = 4, root: int = 0) -> Schedule:
    """Pass segments from the root along the chain root, root + 1, ... (modulo ranks).

    The i-th rank of the chain sends segment s to the next one in step ``i + s``, so while one segment is
    passed on the next one arrives.

    Parameters
    ----------
    ranks : int
        Number of ranks K, at least 1.
    segments : int
        Number of segments S, at least 1; 1 is the plain chain.
    root : int
        The rank whose vector it is.

    Returns
    -------
    Schedule
        ``K - 2 + S`` steps of messages of one segment.

    Raises
    ------
    InputError
        If `segments` is not a whole number of at least 1, or `root` is not one of the ranks.

    Notes
    -----
    Open MPI's ``bcast_intra_pipeline``; the analysis is in P. Patarasuk, A. Faraj and X. Yuan, "Pipelined
    broadcast on Ethernet switched clusters", IPDPS 2006. The last segment leaves the root in step
    S - 1 and needs K - 2 more steps to the end of the chain; each step takes ``a + n/S b``:

        T(S) = (K - 2 + S) (a + n b / S) = (K-2) a + S a + (K-2) n b / S + n b

    dT/dS = 0 at ``S = sqrt((K-2) n b / a)``, where the second and the third term are equal, and there
    ``T = (sqrt((K-2) a) + sqrt(n b))^2``. S must be a whole number of at least 1: since T is convex the best one
    is next to that root, and it is 1 for two ranks.

    Examples
    --------
    >>> broadcast(5, segments=3)
    Schedule(broadcast, custom, ranks=5, chunks=3, steps=6, messages=12)
    """
    plan, root = _plan("broadcast", ranks, segments, root=root)
    near, far, step, segment = _links(plan, root)
    plan.copy(step=step, src=near, dst=far, chunk=segment)
    return plan.build()


def reduce(ranks: int, *, segments: int = 4, root: int = 0) -> Schedule:
    """Pass partial sums of segments along the chain ..., root + 1, root (modulo ranks), each rank adding its own.

    Parameters
    ----------
    ranks : int
        Number of ranks K, at least 1.
    segments : int
        Number of segments S, at least 1; 1 is the plain chain.
    root : int
        The rank that ends with the sum.

    Returns
    -------
    Schedule
        ``K - 2 + S`` steps of messages of one segment.

    Raises
    ------
    InputError
        If `segments` is not a whole number of at least 1, or `root` is not one of the ranks.

    Notes
    -----
    Open MPI's ``reduce_intra_pipeline``: the broadcast along the same chain, backwards. In a step a segment
    arrives and is added, so the time is ``(K - 2 + S) (a + n/S (b + g))``, least at
    ``S = sqrt((K-2) n (b + g) / a)``. The order of summation is that of the chain, from its end to the root.

    Examples
    --------
    >>> reduce(5, segments=3)
    Schedule(reduce, custom, ranks=5, chunks=3, steps=6, messages=12)
    """
    plan, root = _plan("reduce", ranks, segments, root=root)
    near, far, step, segment = _links(plan, root, inwards=True)
    plan.reduce(step=step, src=far, dst=near, chunk=segment)
    return plan.build()


def all_reduce(ranks: int, *, segments: int = 4, root: int = 0) -> Schedule:
    """Reduce along a chain to `root` in segments, then broadcast back along it in segments.

    Parameters
    ----------
    ranks : int
        Number of ranks K, at least 1.
    segments : int
        Number of segments S, at least 1.
    root : int
        The end of the chain that has the sum first.

    Returns
    -------
    Schedule
        ``2 (K - 2 + S)`` steps of messages of one segment.

    Raises
    ------
    InputError
        If `segments` is not a whole number of at least 1, or `root` is not one of the ranks.

    Notes
    -----
    The two halves are those of `reduce` and `broadcast`, so the time is
    ``(K - 2 + S) (2a + n/S (2b + g))``, least at ``S = sqrt((K-2) n (2b + g) / (2a))``.

    In a step of either half a rank sends one segment and receives one. If the broadcast of a segment began as
    soon as its sum is there, ranks would send two in a step, one each way; the ports must carry the same
    2 n bytes each, so that only latencies would be saved, (S - 1) a, and the time would depend on
    which of two segments that come at the same instant is served first. ``ordering="dataflow"`` overlaps the
    halves as far as the data allow.

    Examples
    --------
    >>> all_reduce(5, segments=3)
    Schedule(all_reduce, custom, ranks=5, chunks=3, steps=12, messages=24)
    """
    plan, root = _plan("all_reduce", ranks, segments, root=root)
    near, far, step, segment = _links(plan, root, inwards=True)
    plan.reduce(step=step, src=far, dst=near, chunk=segment)
    near, far, step, segment = _links(plan, root)
    plan.copy(step=plan.ranks - 2 + plan.chunks + step, src=near, dst=far, chunk=segment)
    return plan.build()


def _plan(collective: str, ranks: int, segments: int, *, root: int) -> tuple[ScheduleBuilder, int]:
    """Return an empty plan with a chunk for each segment, and the root as a number."""
    number, pieces = parse_count(ranks, "ranks"), parse_count(segments, "segments")
    root = check_root(root, number)
    options = {} if collective == "all_reduce" else {"root": root}
    return ScheduleBuilder(get_collective(collective, **options), number, pieces), root


def _links(plan: ScheduleBuilder, root: int, *, inwards: bool = False) -> tuple[NDArray[np.int64], ...]:
    """Return, for each segment on each link: its end near the root, its other end, the step, the segment.

    The link next to the root is used first, or, `inwards`, the one at the other end.
    """
    segment, link = np.indices((plan.chunks, plan.ranks - 1)).reshape(2, -1)
    turn = plan.ranks - 2 - link if inwards else link
    return (link + root) % plan.ranks, (link + 1 + root) % plan.ranks, turn + segment, segment
