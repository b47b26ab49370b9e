"""Lower bounds: the least time that any algorithm needs on a network, whatever it does.

Only bounds that are known to hold under the models are given; the largest of them is reported with the
reason for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from collsim.collectives import Collective
from collsim.models import AlphaBeta, Model
from collsim.schedule import Floats
from collsim.topology import Topology


@dataclass(frozen=True)
class Bound:
    """A time in seconds that no algorithm can beat, and why."""

    seconds: float
    reason: str


def lower_bound(
    collective: Collective,
    ranks: int,
    nbytes: float,
    model: Model,
    *,
    gamma: float = 0.0,
    offsets: Floats | None = None,
) -> Bound:
    """Return the largest bound that is known to hold.

    Parameters
    ----------
    collective : Collective
        What must be done.
    ranks : int
        Number of ranks K.
    nbytes : float
        Size n of the vector in bytes.
    model : Model
        The network.
    gamma : float
        Seconds a byte that a reduction costs.
    offsets : ndarray of float, shape (ranks,), optional
        When each rank starts.

    Returns
    -------
    Bound
        Seconds and the reason.

    Notes
    -----
    All-reduce without help from the network: all ranks together receive, and send, at least 2(K-1) n
    bytes (Patarasuk and Yuan, JPDC 69(2), 2009), each rank at least n, and add (K-1) n. No byte arrives
    before the least latency has passed. For other collectives the latency alone is given.

    Examples
    --------
    >>> from collsim.collectives import all_reduce
    >>> lower_bound(all_reduce(), 4, 4e9, AlphaBeta(alpha=5e-6, beta=1e-10)).seconds
    0.600005
    """
    if ranks == 1:
        return Bound(0.0, "one rank has nothing to do")
    alpha, receive, send = _figures(ranks, model)
    starts = np.zeros(ranks) if offsets is None else offsets
    begin, last = float(starts.min()), float(starts.max())
    bounds = [Bound(last + alpha, "the last rank to start is heard of one latency later")]
    if collective.name == "all_reduce":
        total, each = 2 * (ranks - 1) * nbytes, nbytes
        for what, capacity in (("receive", receive), ("send", send)):
            bounds += [
                Bound(begin + alpha + total / float(capacity.sum()), f"all ranks {what} 2(K-1)n bytes together"),
                Bound(begin + alpha + each / float(capacity.min()), f"the slowest rank must {what} n bytes"),
            ]
        adding = (ranks - 1) / ranks * nbytes * gamma
        bounds.append(Bound(begin + alpha + adding, "all ranks add (K-1)n bytes together"))
    return max(bounds, key=lambda bound: bound.seconds)


def _figures(ranks: int, model: Model) -> tuple[float, Floats, Floats]:
    """Return the least latency of a message, and what each rank can receive and send per second."""
    if isinstance(model, AlphaBeta):
        if model.topology is None:
            with np.errstate(divide="ignore"):
                capacity = np.full(ranks, 1.0) / model.beta if model.beta else np.full(ranks, np.inf)
            return model.alpha, capacity, capacity
        # One message at a time through a port, at best as fast as the fastest link that the rank has.
        return _least_latency(model.topology, ranks), *_link_capacity(model.topology, ranks, np.maximum)
    return _least_latency(model.topology, ranks), *_link_capacity(model.topology, ranks, np.add)


def _least_latency(topology: Topology, ranks: int) -> float:
    """Return a latency that no message between two ranks undercuts: its first link and, if another, its last."""
    first = _per_rank(topology, ranks, outgoing=True)
    last = _per_rank(topology, ranks, outgoing=False)
    leaving = min(topology.links[i].latency for links in first for i in links)
    arriving = min(topology.links[i].latency for links in last for i in links)
    direct = [
        topology.links[i].latency for links in first for i in links if topology.links[i].head in range(topology.ranks)
    ]
    return min([leaving + arriving, *direct])


def _link_capacity(topology: Topology, ranks: int, combine: np.ufunc) -> tuple[Floats, Floats]:
    receive, send = (
        np.array([combine.reduce(topology.bandwidth[links]) for links in _per_rank(topology, ranks, outgoing=outgoing)])
        for outgoing in (False, True)
    )
    return receive, send


def _per_rank(topology: Topology, ranks: int, *, outgoing: bool) -> list[list[int]]:
    links: list[list[int]] = [[] for _ in range(ranks)]
    for number, link in enumerate(topology.links):
        end = link.tail if outgoing else link.head
        if isinstance(end, int) and 0 <= end < ranks:
            links[end].append(number)
    return links
