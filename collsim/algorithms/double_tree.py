"""Pipelines down, and up, two trees at once, each for half of the vector: the leaves of one tree do the inner work
of the other, so that every port is busy all the time.

The depth of a tree with the rate of a chain. One tree alone stands in `tree`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from collsim.algorithms.options import check_root
from collsim.collectives import get_collective
from collsim.schedule import Schedule, ScheduleBuilder
from collsim.units import parse_count

Ranks = NDArray[np.int64]


def broadcast(ranks: int, *, segments: int = 4, root: int = 0) -> Schedule:
    """Send half of the vector down each of two trees, both below the root, in segments.

    The root stands outside; the other ranks, counted from it as positions 1 .. m, make two trees. In the one,
    even positions have children and odd ones are leaves. The other is its mirror image if m is even and is
    shifted by one position if m is odd; either way no rank has children in both. The edges have two colours,
    so that neither what a rank sends nor what it receives ever has the same colour twice, and a segment travels
    on edges of one colour in even steps, and of the other in odd steps.

    Parameters
    ----------
    ranks : int
        Number of ranks K, at least 1.
    segments : int
        Number of segments S of each half, at least 1.
    root : int
        The rank whose vector it is.

    Returns
    -------
    Schedule
        ``2 ceil(log2 K) + 2S - 3`` steps, one more if K is a power of two or K mod 4 = 3. In each of them a rank
        sends at most one segment and receives at most one.

    Raises
    ------
    InputError
        If `segments` is not a whole number of at least 1, or `root` is not one of the ranks.

    Notes
    -----
    P. Sanders, J. Speck and J. L. Traff, "Two-tree algorithms for full bandwidth broadcast, reduction and scan",
    Parallel Computing 35(12), 2009. The trees are NCCL's (`src/graph/trees.cc`), of depth ceil(log2 K) with the
    root on top.

    Each edge down costs one step, or two if the colour of the next edge makes the segment wait. The deepest
    rank so has its first segment after ``2 lg(K) - 1`` steps (one more in the cases above; worked out
    for every K up to 2048), and its last one 2 (S - 1) steps later. A rank that lets a segment wait is busy with
    another in between, so the time is that number of steps times ``a + n/(2S) b``. It tends to that of
    a chain, a + n b, for long vectors, with ``S = sqrt((2 lg(K) - 3) n b / (4a))`` segments.

    Examples
    --------
    >>> broadcast(6, segments=3)
    Schedule(broadcast, custom, ranks=6, chunks=6, steps=9, messages=30)
    """
    number, pieces = parse_count(ranks, "ranks"), parse_count(segments, "segments")
    root = check_root(root, number)
    plan = ScheduleBuilder(get_collective("broadcast", root=root), number, chunks=2 * pieces)
    edges = _edges(number, _below_one_root(number))
    turn, segment, chunk = _pipelined(edges, pieces)
    plan.copy(
        step=edges.delay[turn] + edges.period * segment,
        src=(edges.parent[turn] + root) % number,
        dst=(edges.child[turn] + root) % number,
        chunk=chunk,
    )
    return plan.build()


def all_reduce(ranks: int, *, segments: int = 4) -> Schedule:
    """Reduce half of the vector up each of two trees, in segments, then broadcast each half down its tree.

    In the first tree rank 0 is the root, even ranks have children, and odd ones are leaves. The second is its
    mirror image if the number of ranks is even (root K - 1) and is shifted by one rank if it is odd
    (root 1). Edges have two colours as for `broadcast`. The reduction is that broadcast backwards.

    Parameters
    ----------
    ranks : int
        Number of ranks K, at least 1.
    segments : int
        Number of segments S of each half, at least 1.

    Returns
    -------
    Schedule
        ``2 (2 ceil(log2 K) + 2S - 4)`` steps, two more if K is a multiple of 4, and 2S for two ranks. In each of
        them a rank sends at most one segment and receives at most one.

    Raises
    ------
    InputError
        If `segments` is not a whole number of at least 1.

    Notes
    -----
    P. Sanders, J. Speck and J. L. Traff, "Two-tree algorithms for full bandwidth broadcast, reduction and scan",
    Parallel Computing 35(12), 2009; NCCL 2.4 (`src/graph/trees.cc`). If K is odd, rank 0 has a child in both
    trees, but one only in each, so it sends and receives no more than others.

    Every phase has L = ``2 lg(K) + 2S - 4`` steps (one more if K is a multiple of 4; worked out for every K up to
    2048), which follow each other without a gap as for `broadcast`. Those of the reduction take
    ``a + n/(2S) (b + g)``, the others ``a + n/(2S) b``.

    The phases do not overlap. If they did, ranks would send two segments in a step, one each way; the ports must
    carry the same 2 n bytes each, so that only latencies would be saved, and the time would depend on
    which of two segments that come at the same instant is served first. ``ordering="dataflow"`` overlaps
    them as far as the data allow.

    Examples
    --------
    >>> all_reduce(6, segments=3)
    Schedule(all_reduce, custom, ranks=6, chunks=6, steps=16, messages=60)
    """
    number, pieces = parse_count(ranks, "ranks"), parse_count(segments, "segments")
    plan = ScheduleBuilder("all_reduce", number, chunks=2 * pieces)
    edges = _edges(number, _below_two_roots(number))
    turn, segment, chunk = _pipelined(edges, pieces)
    parent, child, delay = edges.parent[turn], edges.child[turn], edges.delay[turn]
    latest = int(edges.delay.max(initial=0))
    phase = latest + 1 + edges.period * (pieces - 1)
    plan.reduce(step=latest - delay + edges.period * segment, src=child, dst=parent, chunk=chunk)
    plan.copy(step=phase + delay + edges.period * segment, src=parent, dst=child, chunk=chunk)
    return plan.build()


@dataclass(frozen=True)
class _Edges:
    """The edges of both trees, and when each is used first."""

    tree: Ranks  # 0 or 1
    parent: Ranks
    child: Ranks
    delay: Ranks  # step in which a broadcast sends the first segment along it
    period: int  # number of steps from one segment to the next


def _pipelined(edges: _Edges, pieces: int) -> tuple[Ranks, Ranks, Ranks]:
    """Return, for every segment on every edge: the edge's number, the segment within its half, the chunk."""
    segment, turn = np.indices((pieces, len(edges.child))).reshape(2, -1)
    return turn, segment, edges.tree[turn] * pieces + segment


def _parents(ranks: int) -> Ranks:
    """Return the parent of every position but 0 in a tree in which odd positions are leaves; position 0 is on top.

    A position that is an odd multiple of 2^t lies between two odd multiples of 2^t around one of 2^(t+1), which is
    its parent; at the right end, where that would be beyond the last position, it is the next on the left.
    """
    position = np.arange(1, ranks)
    lowest = position & -position
    left = position - lowest
    above = left | 2 * lowest
    return np.where(above < ranks, above, left)


def _below_one_root(ranks: int) -> tuple[Ranks, Ranks]:
    """Return the ranks that stand at each position of either tree, with rank 0 on top of both."""
    position = np.arange(ranks)
    other = ranks - position if ranks % 2 else position % (ranks - 1) + 1
    other[0] = 0
    # The root serves the first of the two first. This way round never takes more steps, and often one fewer.
    return other, position


def _below_two_roots(ranks: int) -> tuple[Ranks, Ranks]:
    """Return the ranks that stand at each position of either tree, with different ranks on top."""
    position = np.arange(ranks)
    return position, ranks - 1 - position if ranks % 2 == 0 else (position + 1) % ranks


def _edges(ranks: int, standing: tuple[Ranks, Ranks]) -> _Edges:
    """Return the edges of two trees on `ranks` ranks, coloured and timed."""
    above = _parents(ranks)
    links = ranks - 1
    tree = np.repeat([0, 1], links)
    parent = np.concatenate([rank[above] for rank in standing])
    child = np.concatenate([rank[1:] for rank in standing])

    depth = np.full(ranks, -1)  # of the edge that leads to a position: 0 next to the top
    for level in range((ranks - 1).bit_length()):
        depth[1:][(depth[above] == level - 1) & (above > 0 if level else above == 0)] = level
    colour = _colours(parent, child, np.tile(depth[1:], 2))

    delay = np.full((2, ranks), -1)
    for level in range((ranks - 1).bit_length()):
        here = np.flatnonzero(depth == level)
        earliest = delay[:, above[here - 1]] + 1
        delay[:, here] = earliest + ((earliest ^ colour.reshape(2, links)[:, here - 1]) & 1)
    return _Edges(tree, parent, child, delay[:, 1:].ravel(), period=1 + int(colour.max(initial=0)))


def _colours(parent: Ranks, child: Ranks, depth: Ranks) -> Ranks:
    """Return colours 0 and 1 of edges, such that no two with the same parent, nor with the same child, are equal.

    There are at most two edges of either kind at a rank, so they make up paths and circles on which edges that
    share a parent and edges that share a child take turns; colours simply alternate. The edge of
    a path that is nearest to a root gets the colour of the step in which it can be used first.
    """
    colour = np.full(len(child), -1)
    neighbour = [_partners(parent), _partners(child)]
    for start in np.argsort(depth, kind="stable").tolist():
        if colour[start] >= 0:
            continue
        colour[start] = depth[start] & 1
        for side in (0, 1):
            here, follower = start, neighbour[side][start]
            while follower >= 0 and colour[follower] < 0:
                colour[follower] = 1 - colour[here]
                side = 1 - side
                here, follower = follower, neighbour[side][follower]
    return colour


def _partners(end: Ranks) -> list[int]:
    """Return, for each edge, the other one with the same end, or -1 if there is none."""
    order = np.argsort(end, kind="stable")
    same = np.flatnonzero(np.diff(end[order]) == 0)
    partner = np.full(len(end), -1)
    partner[order[same]], partner[order[same + 1]] = order[same + 1], order[same]
    return partner.tolist()
