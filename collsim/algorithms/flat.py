"""Rooted collectives without a tree: the root deals with every other rank itself, in one step or one by one.

The fewest messages on the longest way, and all bytes through one port. The trees that share the work stand in `tree`,
pipelines in `chain` and `double_tree`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from collsim.algorithms.options import check_root
from collsim.collectives import get_collective
from collsim.schedule import Schedule, ScheduleBuilder
from collsim.units import parse_count


def broadcast(ranks: int, *, root: int = 0) -> Schedule:
    """Send the vector from the root to every other rank.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.
    root : int
        The rank whose vector it is.

    Returns
    -------
    Schedule
        One step with ``ranks - 1`` messages of the whole vector.

    Raises
    ------
    InputError
        If `root` is not one of the ranks.

    Notes
    -----
    Open MPI's ``bcast_intra_basic_linear``. The root's send port is busy with K - 1 vectors while their
    latencies overlap: ``a + (K-1) n b``.

    Examples
    --------
    >>> broadcast(4)
    Schedule(broadcast, custom, ranks=4, chunks=1, steps=1, messages=3)
    """
    plan, root, others = _plan("broadcast", ranks, root)
    plan.copy(step=0, src=root, dst=others)
    return plan.build()


def reduce(ranks: int, *, root: int = 0) -> Schedule:
    """Send every vector to the root, which adds them in the order of ranks.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.
    root : int
        The rank that ends with the sum.

    Returns
    -------
    Schedule
        One step with ``ranks - 1`` messages of the whole vector.

    Raises
    ------
    InputError
        If `root` is not one of the ranks.

    Notes
    -----
    The linear reduction of MPI libraries with all receives posted at once; `linear_reduce` is the one that receives
    in turn. The vectors come through the root's port one after another, and
    are added one after another: the first is there and added after ``a + n b + n g``, and then the slower of
    receiving and adding, ``n max(b, g)``, happens K - 2 times more.

    Examples
    --------
    >>> reduce(4)
    Schedule(reduce, custom, ranks=4, chunks=1, steps=1, messages=3)
    """
    plan, root, others = _plan("reduce", ranks, root)
    plan.reduce(step=0, src=others, dst=root)
    return plan.build()


def linear_reduce(ranks: int, *, root: int = 0) -> Schedule:
    """Let the root receive and add one vector after another, from that of the last rank to that of the first.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.
    root : int
        The rank that ends with the sum.

    Returns
    -------
    Schedule
        ``ranks - 1`` steps with one message of the whole vector each.

    Raises
    ------
    InputError
        If `root` is not one of the ranks.

    Notes
    -----
    Open MPI's ``reduce_intra_basic_linear``, whose root receives with blocking calls so that one spare vector is all
    the memory that it needs; SimGrid's ``reduce flat_tree``. The sum is that of the ranks in falling order, added
    to the root's own vector (Open MPI starts from that of the last rank). No latency overlaps with anything:
    ``(K-1) (a + n (b + g))``.

    Examples
    --------
    >>> linear_reduce(4)
    Schedule(reduce, custom, ranks=4, chunks=1, steps=3, messages=3)
    """
    plan, root, others = _plan("reduce", ranks, root)
    plan.reduce(step=np.arange(len(others)), src=others[::-1], dst=root)
    return plan.build()


def gather(ranks: int, *, root: int = 0) -> Schedule:
    """Send every part to the root.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.
    root : int
        The rank that ends with all parts.

    Returns
    -------
    Schedule
        One step with ``ranks - 1`` messages of one part.

    Raises
    ------
    InputError
        If `root` is not one of the ranks.

    Notes
    -----
    Open MPI's ``gather_intra_basic_linear``. The parts come through the root's port one after another,
    their latencies overlap: ``a + (K-1)/K n b``.

    Examples
    --------
    >>> gather(4)
    Schedule(gather, custom, ranks=4, chunks=4, steps=1, messages=3)
    """
    plan, root, others = _plan("gather", ranks, root)
    plan.copy(step=0, src=others, dst=root, chunk=others)
    return plan.build()


def scatter(ranks: int, *, root: int = 0) -> Schedule:
    """Send every rank its part from the root.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.
    root : int
        The rank whose vector it is.

    Returns
    -------
    Schedule
        One step with ``ranks - 1`` messages of one part.

    Raises
    ------
    InputError
        If `root` is not one of the ranks.

    Notes
    -----
    Open MPI's ``scatter_intra_basic_linear``. The parts leave through the root's port one after another,
    their latencies overlap: ``a + (K-1)/K n b``.

    Examples
    --------
    >>> scatter(4)
    Schedule(scatter, custom, ranks=4, chunks=4, steps=1, messages=3)
    """
    plan, root, others = _plan("scatter", ranks, root)
    plan.copy(step=0, src=root, dst=others, chunk=others)
    return plan.build()


def _plan(collective: str, ranks: int, root: int) -> tuple[ScheduleBuilder, int, NDArray[np.int64]]:
    """Return an empty plan, the root as a number, and all other ranks."""
    number = parse_count(ranks, "ranks")
    root = check_root(root, number)
    chunks = number if collective in ("gather", "scatter") else 1
    plan = ScheduleBuilder(get_collective(collective, root=root), number, chunks)
    return plan, root, np.delete(np.arange(number), root)
