"""Collectives along one tree: binomial, k-nomial, and the complete binary tree for segments.

Up the tree sums and parts are collected at the root, down it vectors and parts are spread. The pair of trees that
share the work stands in `double_tree`, the degenerate trees in `flat` and `chain`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from collsim.algorithms.options import check_root
from collsim.collectives import get_collective
from collsim.schedule import Schedule, ScheduleBuilder
from collsim.units import parse_count


def all_reduce(ranks: int, *, root: int = 0) -> Schedule:
    """Reduce along a binomial tree to `root`, then broadcast back along the same edges.

    Counted from the root, rank ``r`` sends its partial sum to ``r - 2^t`` in the round t of its lowest
    set bit; the broadcast takes the rounds in reverse. Works for any number of ranks.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.
    root : int
        Root of the tree.

    Returns
    -------
    Schedule
        ``2 ceil(log2 ranks)`` steps of whole vectors.

    Notes
    -----
    The shape is that of MPICH's binomial reduce and broadcast (Thakur, Rabenseifner and Gropp,
    "Optimization of collective communication operations in MPICH", IJHPCA 19(1), 2005).

    Examples
    --------
    >>> all_reduce(5)
    Schedule(all_reduce, custom, ranks=5, chunks=1, steps=6, messages=8)
    """
    plan = ScheduleBuilder("all_reduce", ranks)
    ranks, root = plan.ranks, check_root(root, plan.ranks)
    rounds = (ranks - 1).bit_length()
    for t in range(rounds):
        child = np.arange(1 << t, ranks, 2 << t)
        parent = child - (1 << t)
        child, parent = (child + root) % ranks, (parent + root) % ranks
        plan.reduce(step=t, src=child, dst=parent)
        plan.copy(step=2 * rounds - 1 - t, src=parent, dst=child)
    return plan.build()


def broadcast(ranks: int, *, root: int = 0) -> Schedule:
    """Send the vector down a binomial tree: in each round every rank that has it sends it to one that has not.

    Counted from the root, rank r sends to ``r + 2^t``, for t from high to low.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.
    root : int
        The rank whose vector it is.

    Returns
    -------
    Schedule
        ``ceil(log2 ranks)`` steps of whole vectors.

    Raises
    ------
    InputError
        If `root` is not one of the ranks.

    Notes
    -----
    MPICH's broadcast of short vectors (Thakur, Rabenseifner and Gropp, IJHPCA 19(1), 2005). The root takes part
    in every round and waits in none: ``lg(K) (a + n b)``.

    Examples
    --------
    >>> broadcast(5)
    Schedule(broadcast, custom, ranks=5, chunks=1, steps=3, messages=4)
    """
    return knomial_broadcast(ranks, radix=2, root=root)


def reduce(ranks: int, *, root: int = 0) -> Schedule:
    """Add vectors up a binomial tree to the root.

    Counted from the root, rank r sends its partial sum to ``r - 2^t`` in the round t of its lowest set bit.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.
    root : int
        The rank that ends with the sum.

    Returns
    -------
    Schedule
        ``ceil(log2 ranks)`` steps of whole vectors.

    Raises
    ------
    InputError
        If `root` is not one of the ranks.

    Notes
    -----
    MPICH's reduction of short vectors (Thakur, Rabenseifner and Gropp, IJHPCA 19(1), 2005); Open MPI's
    ``reduce_intra_binomial``. The root receives and adds one vector in every round and waits in none:
    ``lg(K) (a + n b + n g)``.

    Examples
    --------
    >>> reduce(5)
    Schedule(reduce, custom, ranks=5, chunks=1, steps=3, messages=4)
    """
    return knomial_reduce(ranks, radix=2, root=root)


def gather(ranks: int, *, root: int = 0) -> Schedule:
    """Collect parts up a binomial tree: each rank sends those of its whole subtree as one message.

    Parameters
    ----------
    ranks : int
        Number of ranks K, at least 1.
    root : int
        The rank that ends with all parts.

    Returns
    -------
    Schedule
        ``ceil(log2 K)`` steps.

    Raises
    ------
    InputError
        If `root` is not one of the ranks.

    Notes
    -----
    MPICH's and Open MPI's binomial gather. Counted from the root, rank r sends in the round of its lowest set bit the
    parts of up to 2^t ranks from r on; where they pass the last rank they are two pieces of one message. The part of
    rank r travels popcount(r) times. The root takes part in every round and receives K - 1 parts altogether, and no
    other subtree of a round is larger than its own: ``lg(K) a + (K-1)/K n b``.

    Examples
    --------
    >>> gather(5)
    Schedule(gather, custom, ranks=5, chunks=5, steps=3, messages=4)
    """
    number = parse_count(ranks, "ranks")
    root = check_root(root, number)
    plan = ScheduleBuilder(get_collective("gather", root=root), number, chunks=number)
    for step, (child, parent) in enumerate(rounds(number)):
        child, parent, chunk, count = _subtrees(number, root, 1 << step, child, parent)
        plan.copy(step=step, src=child, dst=parent, chunk=chunk, count=count, packed=True)
    return plan.build()


def scatter(ranks: int, *, root: int = 0) -> Schedule:
    """Hand parts down a binomial tree: each rank gets those of its whole subtree as one message.

    Parameters
    ----------
    ranks : int
        Number of ranks K, at least 1.
    root : int
        The rank whose vector it is.

    Returns
    -------
    Schedule
        ``ceil(log2 K)`` steps.

    Raises
    ------
    InputError
        If `root` is not one of the ranks.

    Notes
    -----
    MPICH's and Open MPI's binomial scatter; `gather` backwards, with the same messages. The root sends K - 1 parts in
    all rounds together, and no other rank has more to do in what is left: ``lg(K) a + (K-1)/K n b``.

    Examples
    --------
    >>> scatter(5)
    Schedule(scatter, custom, ranks=5, chunks=5, steps=3, messages=4)
    """
    number = parse_count(ranks, "ranks")
    root = check_root(root, number)
    plan = ScheduleBuilder(get_collective("scatter", root=root), number, chunks=number)
    tree = rounds(number)
    for step, (child, parent) in enumerate(reversed(tree)):
        child, parent, chunk, count = _subtrees(number, root, 1 << (len(tree) - 1 - step), child, parent)
        plan.copy(step=step, src=parent, dst=child, chunk=chunk, count=count, packed=True)
    return plan.build()


def knomial_broadcast(ranks: int, *, radix: int = 4, root: int = 0) -> Schedule:
    """Send the vector down a k-nomial tree: each rank that has it sends it to up to radix - 1 others in a round.

    Counted from the root and written in base `radix`, the parent of a rank is the rank with the lowest digit
    that is not 0 set to 0. The highest digits come first.

    Parameters
    ----------
    ranks : int
        Number of ranks K, at least 1.
    radix : int
        k, at least 2; 2 is the binomial tree.
    root : int
        The rank whose vector it is.

    Returns
    -------
    Schedule
        ``ceil(log_k K)`` steps of whole vectors.

    Raises
    ------
    InputError
        If `radix` is not a whole number of at least 2, or `root` is not one of the ranks.

    Notes
    -----
    Open MPI's ``bcast_intra_knomial`` and MPICH's tree broadcast. The messages of a rank in one round make one
    step: they pass its port one after another while their latencies overlap, which is what larger radices
    are for. If each waited for the one before, the binomial tree would never be worse. The root sends
    ``(k-1) ceil(log_k K)`` messages, fewer if K is not a power of k.

    The root takes part in every round and sends most: to ``c_t = min(k - 1, ceil(K / k^t) - 1)`` ranks in the round
    of distance k^t. Even the last of these has the vector when the root enters the next round. So the time is
    the sum of ``a + c_t n b`` over all t with k^t < K.

    Examples
    --------
    >>> knomial_broadcast(16)
    Schedule(broadcast, custom, ranks=16, chunks=1, steps=2, messages=15)
    """
    number = parse_count(ranks, "ranks")
    root = check_root(root, number)
    plan = ScheduleBuilder(get_collective("broadcast", root=root), number)
    _send_down(plan, 0, radix, root)
    return plan.build()


def knomial_reduce(ranks: int, *, radix: int = 4, root: int = 0) -> Schedule:
    """Add vectors up a k-nomial tree to the root: each rank adds those of up to radix - 1 others in a round.

    Parameters
    ----------
    ranks : int
        Number of ranks K, at least 1.
    radix : int
        k, at least 2; 2 is the binomial tree.
    root : int
        The rank that ends with the sum.

    Returns
    -------
    Schedule
        ``ceil(log_k K)`` steps of whole vectors.

    Raises
    ------
    InputError
        If `radix` is not a whole number of at least 2, or `root` is not one of the ranks.

    Notes
    -----
    MPICH's ``ireduce_tsp_tree``. The tree of `knomial_broadcast`, the lowest digits first. In the round of distance k^t
    the root receives c_t vectors one after another and adds them one after another: the first is there and
    added after ``a + n b + n g``, the others follow at the slower of the two, ``n max(b, g)``. The time is the
    sum of ``a + n (b + g) + (c_t - 1) n max(b, g)`` over all t with k^t < K.

    Examples
    --------
    >>> knomial_reduce(16)
    Schedule(reduce, custom, ranks=16, chunks=1, steps=2, messages=15)
    """
    number = parse_count(ranks, "ranks")
    root = check_root(root, number)
    plan = ScheduleBuilder(get_collective("reduce", root=root), number)
    _add_up(plan, radix, root)
    return plan.build()


def knomial_all_reduce(ranks: int, *, radix: int = 4, root: int = 0) -> Schedule:
    """Reduce along a k-nomial tree to `root`, then broadcast back along the same edges.

    Parameters
    ----------
    ranks : int
        Number of ranks K, at least 1.
    radix : int
        k, at least 2; 2 is the binomial tree.
    root : int
        Root of the tree.

    Returns
    -------
    Schedule
        ``2 ceil(log_k K)`` steps of whole vectors.

    Raises
    ------
    InputError
        If `radix` is not a whole number of at least 2, or `root` is not one of the ranks.

    Notes
    -----
    `knomial_reduce`, then `knomial_broadcast`; the root is the last to end the one and the first to begin the
    other, so their times add up.

    Examples
    --------
    >>> knomial_all_reduce(16)
    Schedule(all_reduce, custom, ranks=16, chunks=1, steps=4, messages=30)
    """
    plan = ScheduleBuilder("all_reduce", ranks)
    root = check_root(root, plan.ranks)
    step = _add_up(plan, radix, root)
    _send_down(plan, step, radix, root)
    return plan.build()


def gather_broadcast(ranks: int) -> Schedule:
    """Gather all parts at rank 0, which broadcasts the whole vector along a binomial tree.

    Parameters
    ----------
    ranks : int
        Number of ranks K, at least 1.

    Returns
    -------
    Schedule
        An all-gather of ``1 + ceil(log2 K)`` steps.

    Notes
    -----
    Open MPI's ``allgather_intra_basic_linear``; MPI's own definition of an all-gather. As there, every rank gets all
    parts, also those that it has. The root is last to end the gather, ``a + (K-1)/K n b``, and takes part in
    every round of the broadcast, ``lg(K) (a + n b)``.

    Examples
    --------
    >>> gather_broadcast(4)
    Schedule(all_gather, custom, ranks=4, chunks=4, steps=3, messages=6)
    """
    plan = ScheduleBuilder("all_gather", ranks, chunks=ranks)
    others = np.arange(1, plan.ranks)
    plan.copy(step=0, src=others, dst=0, chunk=others)
    _send_down(plan, 1, 2, 0)
    return plan.build()


def binary_broadcast(ranks: int, *, segments: int = 4, root: int = 0) -> Schedule:
    """Send segments down a complete binary tree, each rank to its two children.

    Counted from the root, the children of rank r are ``2r + 1`` and ``2r + 2``. A rank at depth d receives
    segment s in step ``d - 1 + s`` and sends it on, to both children, in the next.

    Parameters
    ----------
    ranks : int
        Number of ranks K, at least 1.
    segments : int
        Number of segments S, at least 1.
    root : int
        The rank whose vector it is.

    Returns
    -------
    Schedule
        ``floor(log2 K) + S - 1`` steps.

    Raises
    ------
    InputError
        If `segments` is not a whole number of at least 1, or `root` is not one of the ranks.

    Notes
    -----
    Open MPI's ``bcast_intra_bintree``, whose levels are numbered in another order; MPICH's k-ary tree of radix 2.
    Every rank that is no leaf sends every segment twice, so that the ports allow half the rate of a chain;
    `double_tree` has the depth of a tree and the rate of a chain.

    The root lets a segment go every ``a + min(2, K-1) n/S b``, and nobody further down is slower. On its way
    the last one takes ``a + n/S b`` to a left child and n/S b more to a right one. In binary, the number
    r + 1 tells the way to rank r: after the leading 1, a 0 is a left child and a 1 a right one. So the time is
    ``(S-1) (a + min(2, K-1) n/S b)`` and the maximum over i = 1 .. K of
    ``floor(log2 i) (a + n/S b) + (popcount(i) - 1) n/S b``.

    Examples
    --------
    >>> binary_broadcast(7, segments=3)
    Schedule(broadcast, custom, ranks=7, chunks=3, steps=4, messages=18)
    """
    number, pieces = parse_count(ranks, "ranks"), parse_count(segments, "segments")
    root = check_root(root, number)
    plan = ScheduleBuilder(get_collective("broadcast", root=root), number, pieces)
    segment, child = np.indices((pieces, number - 1)).reshape(2, -1)
    child += 1
    depth = np.frexp(child + 1)[1] - 1  # floor(log2(child + 1)), exactly
    plan.copy(
        step=depth - 1 + segment, src=((child - 1) // 2 + root) % number, dst=(child + root) % number, chunk=segment
    )
    return plan.build()


def rounds(ranks: int, radix: int = 2) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return the edges of a k-nomial tree on ranks 0 .. ranks - 1, with root 0, one round a digit.

    Parameters
    ----------
    ranks : int
        Number of ranks.
    radix : int
        k; 2 gives the binomial tree.

    Returns
    -------
    list of (children, parents)
        Arrays of ranks. Round t has the edges over distances k^t, 2 k^t, ..., (k-1) k^t: the children are
        those whose lowest digit in base k that is not 0 is digit t.

    Examples
    --------
    >>> [(child.tolist(), parent.tolist()) for child, parent in rounds(6)]
    [([1, 3, 5], [0, 2, 4]), ([2], [0]), ([4], [0])]
    """
    edges = []
    distance = 1
    while distance < ranks:
        child = np.arange(distance, ranks, distance)
        digit = child // distance % radix
        child, digit = child[digit > 0], digit[digit > 0]
        edges.append((child, child - digit * distance))
        distance *= radix
    return edges


def _add_up(plan: ScheduleBuilder, radix: int, root: int) -> int:
    """Write a k-nomial reduce of whole vectors and return the next step."""
    tree = rounds(plan.ranks, parse_count(radix, "radix", minimum=2))
    for step, (child, parent) in enumerate(tree):
        plan.reduce(step=step, src=(child + root) % plan.ranks, dst=(parent + root) % plan.ranks)
    return len(tree)


def _send_down(plan: ScheduleBuilder, step: int, radix: int, root: int) -> None:
    """Write a k-nomial broadcast of whole vectors, from `step` on."""
    tree = rounds(plan.ranks, parse_count(radix, "radix", minimum=2))
    for turn, (child, parent) in enumerate(reversed(tree)):
        plan.copy(
            step=step + turn, src=(parent + root) % plan.ranks, dst=(child + root) % plan.ranks, count=plan.chunks
        )


def _subtrees(
    ranks: int, root: int, size: int, child: NDArray[np.int64], parent: NDArray[np.int64]
) -> tuple[NDArray[np.int64], ...]:
    """Return child, parent, chunk and count of the pieces that the subtrees of children of one round consist of.

    Counted from the root they are `size` neighbours, fewer at the end; as ranks they may pass the last one.
    """
    count = np.minimum(size, ranks - child)
    first = (child + root) % ranks
    before = np.minimum(count, ranks - first)
    wraps = before < count
    child, parent = first, (parent + root) % ranks
    return (
        np.concatenate([child, child[wraps]]),
        np.concatenate([parent, parent[wraps]]),
        np.concatenate([first, np.zeros(wraps.sum(), dtype=np.int64)]),
        np.concatenate([before, (count - before)[wraps]]),
    )
