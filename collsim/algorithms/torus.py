"""All-reduce on a torus, dimension by dimension: on one port, and on all 2D ports of every rank at once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from collsim.formulas import grid
from collsim.schedule import Schedule, ScheduleBuilder

Dims = Sequence[int] | str | None
Ranks = NDArray[np.int64]


def torus(ranks: int, *, dims: Dims = None) -> Schedule:
    """Reduce-scatter round the rings of one dimension after the other, then all-gather in reverse.

    The rings of the last dimension, of neighbouring ranks, come first. After a dimension of d ranks a d-th of
    the vector is left for the next.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1. They are numbered row by row: the last dimension runs fastest.
    dims : sequence of int or str, optional
        The sides of the torus, ``[4, 2]`` or ``"4x2"``; their product is `ranks`. Default: two, as nearly
        equal as can be, the larger first; one for a prime.

    Returns
    -------
    Schedule
        ``2 (d - 1)`` steps for each side d, in which every rank sends one message to the next of a ring.

    Raises
    ------
    InputError
        If the product of the sides is not the number of ranks.

    Notes
    -----
    M. Barnett, R. Littlefield, D. Payne and R. van de Geijn, "Global combine on mesh architectures with
    wormhole routing", IPPS 1993; M. Cho et al., "BlueConnect", MLSys 2019. It is `hierarchical` with rings on
    all levels.

    All ranks are in the same step all the time. With K ranks the bytes of the dimensions add up to those of
    one ring: ``2 (sum of (d - 1)) a + (K-1)/K n (2b + g)``.

    Examples
    --------
    >>> torus(16)
    Schedule(all_reduce, custom, ranks=16, chunks=16, steps=12, messages=192)
    >>> torus(24, dims="2x3x4").steps
    12
    """
    sides = grid(ranks, dims, "dims")
    plan = ScheduleBuilder("all_reduce", ranks, chunks=ranks)
    _rings(plan, sides, list(reversed(range(len(sides)))), direction=1, first=0)
    return plan.build()


def torus_bucket(ranks: int, *, dims: Dims = None) -> Schedule:
    """Cut the vector into 2D parts and run the torus algorithm on all of them at once, each its own way.

    Part i of the first D begins with dimension i, goes on with the next and round to the one before; the
    second D parts do the same in the opposite direction. Where all sides are equal, every rank sends one
    message to each of its 2D neighbours in every step.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1. They are numbered row by row: the last dimension runs fastest.
    dims : sequence of int or str, optional
        The sides of the torus, ``[4, 2]`` or ``"4x2"``; their product is `ranks`. Default: two, as nearly
        equal as can be, the larger first; one for a prime.

    Returns
    -------
    Schedule
        ``2 (d - 1)`` steps for each side d > 1, in which every rank sends 2D messages.

    Raises
    ------
    InputError
        If the product of the sides is not the number of ranks.

    Notes
    -----
    N. Jain and Y. Sabharwal, "Optimal bucket algorithms for large MPI collectives on torus
    interconnects", ICS 2010; P. Sack and W. Gropp, "Collective algorithms for multiported torus
    networks", ACM TOPC 1(2), 2015. Where sides differ, parts get out of step and meet in a dimension: no part
    waits for another here.

    The model with one port cannot show what this is for: without the cost of additions it takes as long as
    `torus`, ``2 (sum of (d - 1)) a + 2 (K-1)/K n b``. With it the 2D additions of a step follow each other while
    messages are still coming in, of sizes that change from step to step where sides differ; no closed form
    is given.

    Examples
    --------
    >>> torus_bucket(16)
    Schedule(all_reduce, custom, ranks=16, chunks=64, steps=12, messages=768)
    """
    sides = [side for side in grid(ranks, dims, "dims") if side > 1] or [1]
    turns = [np.roll(np.arange(len(sides)), -turn).tolist() for turn in range(len(sides))]
    plan = ScheduleBuilder("all_reduce", ranks, chunks=2 * len(sides) * math.prod(sides))
    for part, (direction, order) in enumerate((direction, order) for direction in (1, -1) for order in turns):
        _rings(plan, sides, order, direction=direction, first=part * plan.ranks)
    return plan.build()


def _rings(plan: ScheduleBuilder, sides: Sequence[int], order: Sequence[int], *, direction: int, first: int) -> None:
    """Write an all-reduce of the chunks from `first` on, one a rank: rings along the dimensions, in this order."""
    rank = np.arange(plan.ranks)
    coordinates = np.unravel_index(rank, sides)
    begin, size, step = np.full(plan.ranks, first), plan.ranks, 0
    for axis in order:
        side, x = sides[axis], coordinates[axis]
        size //= side
        for t in range(side - 1):
            # In the last step the piece that belongs to x comes from its neighbour.
            piece = (x - direction * (t + 1)) % side
            plan.reduce(step, rank, _next(rank, sides, axis, direction), begin + piece * size, size)
            step += 1
        begin = begin + x * size
    for axis in reversed(order):
        side, x = sides[axis], coordinates[axis]
        begin = begin - x * size
        for t in range(side - 1):
            piece = (x - direction * t) % side
            plan.copy(step, rank, _next(rank, sides, axis, direction), begin + piece * size, size)
            step += 1
        size *= side


def _next(rank: Ranks, sides: Sequence[int], axis: int, direction: int) -> Ranks:
    """Return the neighbours of all ranks along a dimension."""
    stride = int(np.prod(sides[axis + 1 :], dtype=np.int64))
    x = rank // stride % sides[axis]
    neighbour: Ranks = rank + ((x + direction) % sides[axis] - x) * stride
    return neighbour
