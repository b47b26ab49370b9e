"""Send and receive: each rank's vector moves to one other rank, all at the same time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from collsim.collectives import send_recv
from collsim.errors import InputError
from collsim.schedule import Schedule, ScheduleBuilder
from collsim.units import parse_count


def direct(ranks: int, *, to: Sequence[int | str] | str | None = None, shift: int = 1) -> Schedule:
    """Send every rank's vector straight to where it belongs.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.
    to : sequence of int or str, optional
        Rank r's vector goes to ``to[r]``: a permutation of the ranks, also as text such as ``"1,2,0"``. A rank
        that sends to itself keeps its vector and sends nothing.
    shift : int
        Without `to`, rank r sends to ``(r + shift) % ranks``; not below ``1 - ranks``.

    Returns
    -------
    Schedule
        One step with at most one message a rank.

    Raises
    ------
    InputError
        If `to` is not a permutation of the ranks, `shift` is not such a number, or both are given.

    Notes
    -----
    ``MPI_Sendrecv`` by all ranks. No two messages share a port: ``a + n b``, unless nothing has to move.

    Examples
    --------
    >>> direct(4, to=[1, 0, 2, 3])
    Schedule(send_recv, custom, ranks=4, chunks=4, steps=1, messages=2)
    >>> direct(4, shift=3).dst.tolist()
    [3, 0, 1, 2]
    """
    count = parse_count(ranks, "ranks")
    rank = np.arange(count)
    distance = parse_count(shift, "shift", minimum=1 - count)
    if to is not None and distance != 1:
        raise InputError(f"give 'to' or 'shift', not both, got to={to!r} and shift={shift!r}")
    if to is None:
        to = ((rank + distance % count) % count).tolist()
    elif isinstance(to, str):
        to = to.split(",")
    elif not isinstance(to, Sequence | np.ndarray):
        raise InputError(f"'to' must be a list of ranks, got {to!r}")
    collective = send_recv([parse_count(target, "a rank in 'to'", minimum=0) for target in to])
    collective.outputs(count, count, 0)  # refuses what is not a permutation
    target = np.array(collective.options["to"])
    moving = rank[target != rank]
    plan = ScheduleBuilder(collective, count, chunks=count)
    plan.copy(step=0, src=moving, dst=target[moving], chunk=moving)
    return plan.build()
