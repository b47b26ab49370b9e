"""Lower bounds: the least time that any algorithm needs on a network, whatever it does.

Only bounds that are known to hold under the models are given; the largest of them is reported with the
reason for it. What each collective asks of its ranks stands in one table, `DEMANDS`.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import numpy as np

from collsim.collectives import Bools, Collective, Indices
from collsim.groups import GroupedCollective
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
    itemsize: int | None = None,
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
    itemsize : int, optional
        Bytes of one element, if vectors are cut between elements only.

    Returns
    -------
    Bound
        Seconds and the reason; for a collective of your own, of which nothing is known, when the last rank starts.

    Notes
    -----
    *Time from bytes.* No message moves before both of its ends have started, so none before the second of
    all ranks has, and none at rank r before r and one other have. From then on no byte arrives before the
    least latency of any message has passed; and the last byte that a rank sends takes that latency after it
    has left. So a rank that must receive, or send, X bytes at C bytes per second at best has not finished
    earlier than that start + latency + X/C. Messages are received by somebody, so W bytes of all
    messages take at least W over the sum of what all ranks can receive, and the same for sending. Latencies of
    messages that follow each other are not added up: they may overlap with other messages, so the
    textbook's lg(K) alpha is no bound here.

    *Bytes from the promise.* A chunk comes to a rank in messages only, and a message that brings values
    for a byte has that byte. So a rank receives at least once every byte in which it must end with somebody
    else's contribution, and sends at least once every byte of its own that somebody else must end with
    (alone or added to others'). Together all messages have at least what all ranks must receive, and at
    least what all must send.

    *All-reduce* needs more than that together, 2(K-1) n bytes (P. Patarasuk and X. Yuan, JPDC 69(2), 2009).
    Take one byte, and count messages that carry it in the order in which they end. When the first rank
    holds the whole sum, every other rank's contribution has come to it over messages that ended before:
    at least K - 1. Each of the K - 1 others still needs one that ends later.

    *Additions.* A sum of K terms takes K - 1 of them, wherever they are made, so (K-1) n bytes go through at
    most K processors. An exclusive scan's longest sum has K - 1 terms.

    *Groups.* What their ranks must receive and send adds up, and so do all messages and all additions; ranks
    outside might help, so what all must move together is set against the capacity of all ranks.

    Examples
    --------
    >>> from collsim.collectives import all_gather, all_reduce
    >>> lower_bound(all_reduce(), 4, 4e9, AlphaBeta(alpha=5e-6, beta=1e-10)).seconds
    0.600005
    >>> lower_bound(all_gather(), 4, 4e9, AlphaBeta(alpha=5e-6, beta=1e-10)).reason
    'the slowest rank must receive all parts but its own'
    """
    starts = np.zeros(ranks) if offsets is None else offsets
    demand = _demand(collective, ranks, nbytes, itemsize) if ranks > 1 else None
    bounds = [Bound(float(starts.max()), _nothing_to_do(collective, ranks, demand))]
    if demand is None or not demand.taking_part.any():
        return bounds[0]

    alpha, receive, send = _figures(ranks, model)
    first, second = np.sort(starts)[:2].tolist()
    met = np.maximum(starts, np.where(starts == first, second, first))  # when each rank and one other have started
    last = float(met[demand.taking_part].max())
    bounds.append(Bound(last + alpha, "the last rank to start is heard of one latency later"))
    for verb, capacity, least, what in (
        ("receive", receive, demand.receive, demand.received),
        ("send", send, demand.send, demand.sent),
    ):
        ends = np.where(least > 0, met + alpha + least / capacity, 0.0)
        rank = int(np.argmax(ends))
        who = "the slowest rank" if (least == least[0]).all() else f"rank {rank}"
        bounds.append(Bound(float(ends[rank]), f"{who} must {verb} {what}"))
    for verb, capacity in (("receive", receive), ("send", send)):
        together = second + alpha + demand.total / float(capacity.sum())
        bounds.append(Bound(together, f"all ranks {verb} {demand.moved} together"))
    adding = second + alpha + float(demand.added) * gamma / ranks
    bounds.append(Bound(adding, f"all ranks add {demand.sums} together"))
    return max(bounds, key=lambda bound: bound.seconds)


def _nothing_to_do(collective: Collective, ranks: int, demand: Demand | None) -> str:
    """Return why a run may end as soon as the last rank has started."""
    if ranks == 1:
        return "one rank has nothing to do"
    return f"no bound is known for {collective.name}" if demand is None else "no rank needs anything from another"


@dataclass(frozen=True, eq=False)
class Demand:
    """What a collective asks of its ranks, whatever the algorithm; in bytes, and in words for people.

    Attributes
    ----------
    receive, send : ndarray of float, shape (ranks,)
        What each rank must receive and send at least.
    received, sent : str
        The same in words.
    moved : str
        What all messages must have together, in words.
    more : float
        That in bytes, if it is more than all ranks must receive, and all must send.
    added : float
        Bytes that must be added.
    sums : str
        The same in words.
    taking_part : ndarray of bool, shape (ranks,), optional
        Which ranks must receive or send a message, be it one without bytes. Default: all.
    """

    receive: Floats
    send: Floats
    received: str
    sent: str
    moved: str = "(K-1)n bytes"
    more: float = 0.0
    added: float = 0.0
    sums: str = "(K-1)n bytes"
    taking_part: Bools = field(default_factory=lambda: np.ones(0, dtype=bool))

    def __post_init__(self) -> None:
        if not len(self.taking_part):
            object.__setattr__(self, "taking_part", np.ones(len(self.receive), dtype=bool))

    @property
    def total(self) -> float:
        """What all messages must have together, in bytes."""
        return float(max(self.receive.sum(), self.send.sum(), self.more))


# size(chunks) is what each chunk has in bytes when a vector is cut into so many.
Size = Callable[[int], Floats]
_OTHERS, _OWN = "all parts but its own", "its own part"


def _all_reduce(collective: Collective, ranks: int, size: Size) -> Demand:
    n = size(1).repeat(ranks)
    total, added = 2 * (ranks - 1) * n[0], (ranks - 1) * n[0]
    return Demand(n, n, "n bytes", "n bytes", "2(K-1)n bytes", more=total, added=added)


def _reduce(collective: Collective, ranks: int, size: Size) -> Demand:
    n, root = size(1)[0], _root(collective, ranks)
    return Demand(root * n, ~root * n, "n bytes", "n bytes", added=(ranks - 1) * n)


def _broadcast(collective: Collective, ranks: int, size: Size) -> Demand:
    n, root = size(1)[0], _root(collective, ranks)
    return Demand(~root * n, root * n, "n bytes", "n bytes")


def _all_gather(collective: Collective, ranks: int, size: Size) -> Demand:
    part = size(ranks)
    return Demand(part.sum() - part, part, _OTHERS, _OWN)


def _reduce_scatter(collective: Collective, ranks: int, size: Size) -> Demand:
    part = size(ranks)
    return Demand(part, part.sum() - part, _OWN, _OTHERS, added=(ranks - 1) * part.sum())


def _gather(collective: Collective, ranks: int, size: Size) -> Demand:
    part, root = size(ranks), _root(collective, ranks)
    return Demand(root * (part.sum() - part), ~root * part, _OTHERS, _OWN, "all parts but the root's")


def _scatter(collective: Collective, ranks: int, size: Size) -> Demand:
    part, root = size(ranks), _root(collective, ranks)
    return Demand(~root * part, root * (part.sum() - part), _OWN, _OTHERS, "all parts but the root's")


def _all_to_all(collective: Collective, ranks: int, size: Size) -> Demand:
    block = size(ranks * ranks).reshape(ranks, ranks) * ~np.eye(ranks, dtype=bool)
    words = ("what all others have for it", "what it has for all others", "all blocks that are for others")
    return Demand(block.sum(axis=0), block.sum(axis=1), *words)


def _send_recv(collective: Collective, ranks: int, size: Size) -> Demand:
    rank = np.arange(ranks)
    moves = np.asarray(collective.options.get("to", (rank + 1) % ranks)) != rank
    n = size(ranks) * moves  # who keeps its own vector gets nobody else's: `to` is a permutation
    return Demand(n, n, "n bytes", "n bytes", "all vectors that move", taking_part=moves)


def _scan(collective: Collective, ranks: int, size: Size) -> Demand:
    n, rank = size(1)[0], np.arange(ranks)
    return Demand((rank > 0) * n, (rank < ranks - 1) * n, "n bytes", "n bytes", added=(ranks - 1) * n)


def _exscan(collective: Collective, ranks: int, size: Size) -> Demand:
    n, rank = size(1)[0], np.arange(ranks)
    words = ("n bytes", "n bytes")
    added = (ranks - 2) * n
    return Demand((rank > 0) * n, (rank < ranks - 1) * n, *words, added=added, sums="(K-2)n bytes")


def _barrier(collective: Collective, ranks: int, size: Size) -> Demand:
    nothing = np.zeros(ranks)
    return Demand(nothing, nothing, "a message", "a message", "messages")


DEMANDS: dict[str, Callable[[Collective, int, Size], Demand]] = {
    "all_reduce": _all_reduce,
    "reduce": _reduce,
    "broadcast": _broadcast,
    "all_gather": _all_gather,
    "all_gatherv": _all_gather,
    "reduce_scatter": _reduce_scatter,
    "reduce_scatterv": _reduce_scatter,
    "gather": _gather,
    "gatherv": _gather,
    "scatter": _scatter,
    "scatterv": _scatter,
    "all_to_all": _all_to_all,
    "all_to_allv": _all_to_all,
    "send_recv": _send_recv,
    "scan": _scan,
    "exscan": _exscan,
    "barrier": _barrier,
}


def _root(collective: Collective, ranks: int) -> Bools:
    root: Bools = np.arange(ranks) == collective.options["root"]
    return root


def _demand(collective: Collective, ranks: int, nbytes: float, itemsize: int | None) -> Demand | None:
    """Return what a collective asks of its ranks; None if nothing is known of it."""
    if isinstance(collective, GroupedCollective):
        return _demand_of_groups(collective, ranks, nbytes / collective.vectors, itemsize)
    if collective.name not in DEMANDS:
        return None

    def size(chunks: int) -> Floats:
        if itemsize is None:
            return np.asarray(collective.shares(ranks, chunks) * nbytes, dtype=np.float64)
        return np.asarray(collective.cut(ranks, chunks, int(nbytes) // itemsize) * itemsize, dtype=np.float64)

    return DEMANDS[collective.name](collective, ranks, size)


def _demand_of_groups(collective: GroupedCollective, ranks: int, nbytes: float, itemsize: int | None) -> Demand | None:
    receive, send, taking_part = np.zeros(ranks), np.zeros(ranks), np.zeros(ranks, dtype=bool)
    total = added = 0.0
    for part, members, _ in collective.parts:
        demand = _demand(part, len(members), nbytes, itemsize)
        if demand is None:
            return None
        if len(members) > 1:
            receive[members] += demand.receive
            send[members] += demand.send
            taking_part[members] |= demand.taking_part
            total, added = total + demand.total, added + demand.added
    return Demand(
        receive,
        send,
        "what its groups have for it",
        "what its groups need of it",
        "all that the groups must move",
        more=total,
        added=added,
        sums="all terms of all groups",
        taking_part=taking_part,
    )


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
    tail, head = ((end >= 0) & (end < ranks) for end in _ends(topology))
    latency = topology.latency
    relayed = float(latency[tail].min() + latency[head].min())
    return min(relayed, float(latency[tail & head].min(initial=np.inf)))


def _link_capacity(topology: Topology, ranks: int, combine: np.ufunc) -> tuple[Floats, Floats]:
    """Return the bandwidths of the links into, and out of, each rank, combined."""
    tail, head = _ends(topology)
    receive, send = np.zeros(ranks), np.zeros(ranks)
    for capacity, end in ((receive, head), (send, tail)):
        ours = (end >= 0) & (end < ranks)
        combine.at(capacity, end[ours], topology.bandwidth[ours])
    return receive, send


def _ends(topology: Topology) -> tuple[Indices, Indices]:
    """Return the ranks at the tail and the head of every link, -1 for switches; worked out once a topology."""
    if topology not in _KNOWN_ENDS:
        ends = [[_rank(link.tail), _rank(link.head)] for link in topology.links]
        tail, head = np.array(ends, dtype=np.int64).reshape(-1, 2).T
        _KNOWN_ENDS[topology] = tail, head
    return _KNOWN_ENDS[topology]


_KNOWN_ENDS: WeakKeyDictionary[Topology, tuple[Indices, Indices]] = WeakKeyDictionary()


def _rank(node: object) -> int:
    return int(node) if isinstance(node, numbers.Integral) else -1
