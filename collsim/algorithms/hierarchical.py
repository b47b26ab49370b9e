"""All-reduce level by level: within nodes, between nodes, and back. Any nesting, any algorithm at a level."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from collsim.algorithms.compose import Part, by_groups, concatenate, known, recut
from collsim.formulas import grid
from collsim.schedule import Schedule


def all_reduce(
    ranks: int,
    *,
    groups: Sequence[int] | str | None = None,
    reduce_scatter: str = "ring",
    all_reduce: str = "ring",
    all_gather: str = "ring",
) -> Schedule:
    """Reduce-scatter in every group, all-reduce each part between groups, all-gather in every group.

    With groups of g ranks, such as the GPUs of a node: part i of the group's sum comes to its rank i; the
    i-th ranks of all groups sum up part i, all i at once; then groups collect the parts. The middle is done in
    the same way if there are more levels.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1. Neighbours are in one group.
    groups : sequence of int or str, optional
        Sizes from the innermost group outward, ``[8, 4]`` or ``"8x4"`` for 4 nodes of 8 ranks; their product is
        `ranks`. Default: two levels, as nearly square as can be, the larger one inside; one for a prime.
    reduce_scatter, all_reduce, all_gather : str
        Names in the catalog: reduce-scatter and all-gather of all levels but the outermost, and the all-reduce
        of the outermost.

    Returns
    -------
    Schedule
        The steps of all levels, one after the other.

    Raises
    ------
    InputError
        If the product of the groups is not the number of ranks, a name is not known, or a part does not
        admit the size of its group.

    Notes
    -----
    M. Cho, U. Finkler, M. Serrano, D. Kung and H. Hunter, "BlueConnect: decomposing all-reduce for deep
    learning on heterogeneous network hierarchy", MLSys 2019; two levels as in Horovod's hierarchical
    all-reduce. Groups are of one size here.

    The first level moves n bytes, the second n/g, and so on; times add up. With rings everywhere they add
    up to ``2 (sum of (g - 1)) a + (K-1)/K n (2b + g)``: as many bytes as one ring, in fewer steps.

    Examples
    --------
    >>> all_reduce(32, groups=[8, 4])
    Schedule(all_reduce, custom, ranks=32, chunks=32, steps=20, messages=640)
    >>> all_reduce(24, groups="4x3x2", all_reduce="tree").steps
    12
    """
    sizes = grid(ranks, groups, "groups")
    return _levels(sizes, reduce_scatter, all_reduce, all_gather)


def parts(
    ranks: int,
    nbytes: float,
    *,
    groups: Sequence[int] | str | None,
    reduce_scatter: str,
    all_reduce: str,
    all_gather: str,
) -> list[Part]:
    """Return what the algorithm is made of, level by level."""
    found = []
    *inner, outermost = grid(ranks, groups, "groups")
    size = nbytes
    for group in inner:
        # Every rank is in one group of each level.
        found.append(Part("reduce_scatter", reduce_scatter, group, size, ranks // group))
        found.append(Part("all_gather", all_gather, group, size, ranks // group))
        size /= group
    return [*found, Part("all_reduce", all_reduce, outermost, size, ranks // outermost)]


def _levels(sizes: Sequence[int], reduce_scatter: str, all_reduce: str, all_gather: str) -> Schedule:
    size, *outer = sizes
    if not outer:
        return known("all_reduce", all_reduce, size)
    there, back = known("reduce_scatter", reduce_scatter, size), known("all_gather", all_gather, size)
    between = _levels(outer, reduce_scatter, all_reduce, all_gather)
    ranks = size * between.ranks
    chunks = math.lcm(there.chunks, back.chunks, size * between.chunks)
    rank = np.arange(ranks).reshape(-1, size)
    begin = np.zeros(len(rank), dtype=np.int64)
    return concatenate(
        "all_reduce",
        [
            by_groups(recut(there, chunks), rank, ranks, begin, chunks),
            by_groups(recut(between, chunks // size), rank.T, ranks, np.arange(size) * (chunks // size), chunks),
            by_groups(recut(back, chunks), rank, ranks, begin, chunks),
        ],
    )
