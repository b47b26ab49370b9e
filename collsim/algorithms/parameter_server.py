"""All-reduce through servers that each keep a part of the vector: one server, several, or every rank one."""

from __future__ import annotations

import numpy as np

from collsim.errors import InputError
from collsim.schedule import Schedule, ScheduleBuilder
from collsim.units import parse_count


def all_reduce(ranks: int, *, servers: int = 1) -> Schedule:
    """Send each part of the vector to its server, which sums it and sends the sum to everybody.

    The vector is cut into S parts for S servers, the ranks 0 to S - 1. Everybody begins with another server,
    and every server with another rank, so that as few as possible meet at a port.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.
    servers : int
        Number of servers, at most `ranks`.

    Returns
    -------
    Schedule
        Two steps.

    Raises
    ------
    InputError
        If there are more servers than ranks.

    Notes
    -----
    M. Li et al., "Scaling distributed machine learning with the parameter server", OSDI 2014. Servers are
    ranks here and bring a vector of their own, as in every all-reduce. With one server the moves are those of
    `naive` with root 0. A server on a machine of its own, beside K workers, has no vector to bring: K messages
    come in through its port instead of K - 1, and it takes as long as one more rank here would.

    Each of the K - 1 messages that come to a server holds its receive port for ``m b``, m = n/S, with none
    left idle in between; each is added when it is there and the adder is free: ``a + m b + m g + (K-2) m max(b,
    g)``. Then the server sends as many: ``a + (K-1) m b``. For S < K <= 2S that counts on ties: servers end the first
    step at one instant, and where rounding tells them apart, some messages of the second lose their turn.

    Examples
    --------
    >>> all_reduce(4)
    Schedule(all_reduce, custom, ranks=4, chunks=1, steps=2, messages=6)
    >>> all_reduce(4, servers=4)
    Schedule(all_reduce, custom, ranks=4, chunks=4, steps=2, messages=24)
    """
    total, parts = parse_count(ranks, "ranks"), parse_count(servers, "servers")
    if parts > total:
        raise InputError(f"servers must be at most the number of ranks, {total}, got {servers!r}")
    plan = ScheduleBuilder("all_reduce", total, chunks=parts)
    # Row by row: what everybody sends first, then what everybody sends next, ...
    rank = np.tile(np.arange(total), parts)
    whose = (rank + np.repeat(np.arange(parts), total)) % parts
    away = whose != rank
    plan.reduce(step=0, src=rank[away], dst=whose[away], chunk=whose[away])
    server = np.tile(np.arange(parts), total - 1)
    distance = np.repeat(np.arange(1, total), parts)
    plan.copy(step=1, src=server, dst=(server + distance) % total, chunk=server)
    return plan.build()


def sharded_all_reduce(ranks: int) -> Schedule:
    """Let every rank be the server of its own part of the vector.

    Parameters
    ----------
    ranks : int
        Number of ranks, at least 1.

    Returns
    -------
    Schedule
        Two steps, in each of which every rank sends a part to every other.

    Notes
    -----
    `parameter_server` with as many servers as ranks; also the co-located servers of BytePS (Y. Jiang et al.,
    OSDI 2020) without its extra machines. As many bytes as a ring, in two steps, but every rank talks to
    every other. Its reduce-scatter half is MPI's "linear" one, all messages at once.

    All ports are busy from the beginning to the end of a step:
    ``2a + 2 (K-1)/K n b + n/K g + (K-2) n/K max(0, g - b)``.

    Examples
    --------
    >>> sharded_all_reduce(4)
    Schedule(all_reduce, custom, ranks=4, chunks=4, steps=2, messages=24)
    """
    return all_reduce(ranks, servers=ranks)
