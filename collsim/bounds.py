"""Lower bounds: the least time that any algorithm needs on a network, whatever it does.

Only bounds that are known to hold under the models are given; the largest of them is reported with the
reason for it. What each collective asks of its ranks stands in `collsim.demands`, what a network lets them do in
`collsim.limits`, its cuts in `collsim.cuts`.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from collsim.collectives import Collective
from collsim.cuts import Cut, has_media
from collsim.demands import DEMANDS, Demand, demand_of, supplies
from collsim.lattice import WIRE
from collsim.limits import (
    FEW,
    RUN_WORK,
    Limits,
    Partition,
    Ports,
    Side,
    crossing_in_words,
    exchange_in_words,
    limits_of,
)
from collsim.models import AlphaBeta, LogGP, Model
from collsim.schedule import Floats
from collsim.units import format_size

__all__ = ["DEMANDS", "Bound", "lower_bound", "lower_bounds"]


@dataclass(frozen=True)
class Bound:
    """A time in seconds that no algorithm can beat, and why.

    Attributes
    ----------
    seconds : float
        The time.
    reason : str
        Why, in words.
    kind : str
        ``"latency"``, ``"injection"`` (what a rank, or all of them, can send or receive), ``"cut"`` (what can leave a
        set of ranks), ``"partition"`` (what all groups of ranks can send to each other), ``"distance"`` (bytes times
        the links that they must cross), ``"reduction"``, ``"start"`` (of the last rank), or ``"none"``.
    exact : bool
        False where a larger bound of the kind may exist: not all cuts, partitions or lengths of links were tried. For
        a cut, True says that the bytes of no other take longer.
    cut : Cut, optional
        The cut, of a bound of that kind.
    """

    seconds: float
    reason: str
    kind: str = "none"
    exact: bool = True
    cut: Cut | None = None


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
    messages that follow each other are not added up where they may overlap with other messages, so the
    textbook's lg(K) alpha is no bound here. But who must hear of another waits for the latency of the way between
    them, whichever messages carry it: it is at least that of the shortest way through the network.

    *Bytes from the promise.* A chunk comes to a rank in messages only, and a message that brings values
    for a byte has that byte. So a rank receives at least once every byte in which it must end with somebody
    else's contribution, and sends at least once every byte of its own that somebody else must end with
    (alone or added to others'). Together all messages have at least what all ranks must receive, and at
    least what all must send. What holds of a rank holds of a set of ranks.

    *Cuts* (maxmin and fifo). X bytes that must go from ranks in a set S to ranks outside cross links that leave S,
    which have B bytes per second together. Where a message has left S, d or more seconds of latency lie before and
    behind, with d the least latency of any way from a rank in S to one outside. Under maxmin they are all before
    the first byte. Under fifo a link e of the cut serves such bytes at the earliest when the least latency
    from a rank in S to its tail has passed, and at the latest when as much is left as the least latency from its
    tail on to a rank outside takes: together at least d, for both pieces make up a way across. So X/B + d in both. A
    medium counts once. Where it carries both directions, what enters S is added to what leaves it.

    *Partitions* (maxmin and fifo). Every message from one part to another crosses a link that leaves the first, so
    what all these messages have takes at least as long as the links that leave any part need for it together; and
    the same for links that enter. A part may be surrounded by its own switches, the smallest cut around it.

    *All-reduce* needs more than that together, 2(K-1) n bytes (P. Patarasuk and X. Yuan, JPDC 69(2), 2009).
    Take one byte, and count messages that carry it in the order in which they end. When the first rank
    holds the whole sum, every other rank's contribution has come to it over messages that ended before:
    at least K - 1. Each of the K - 1 others still needs one that ends later. The same holds of P groups that are
    taken for one rank each, which has whatever its ranks have: when all contributions have come to the first group,
    each other group has sent a message that ended before, and needs one that ends later; so 2(P-1) n.

    *Distance.* A byte from u to v uses every link on its way, so with any lengths of links the bytes times their
    distances are at most the time times the capacities times the lengths (the dual of the flow problem). For
    all_to_all and send_recv, with lengths 1 and 1/capacity.

    *Additions.* A sum of K terms takes K - 1 of them, wherever they are made, so (K-1) n bytes go through at
    most K processors. An exclusive scan's longest sum has K - 1 terms.

    *Groups.* What their ranks must receive and send adds up, and so do all messages and all additions; ranks
    outside might help, so what all must move together is set against the capacity of all ranks.

    *LogGP.* A send does not wait for its receiver. X bytes in m messages keep a receiver's processor busy for
    ``m o + (X-m) max(O,G)`` and its card for ``m g + (X-m) G``, with any 1 <= m <= X; so for ``o + (X-1) min(o,
    max(O,G))`` and ``g + (X-1) min(g, G)`` at least; likewise for sending. A processor does both, one after the other.
    The first message comes ``o + L`` after its sender has started, and the last one that is sent is taken in
    ``L + o`` after the sender is done with it. Who has heard of a rank can tell one other in ``L + 2o``,
    and the next only max(o, g) later: that is the largest tree, whatever the sizes (R. Karp, A. Sahay, E. Santos and
    K. Schauser, Optimal broadcast and summation in the LogP model, SPAA 1993); backwards, the same for who must
    hear of all.

    References
    ----------
    L. Zhao and A. Krishnamurthy, ForestColl: Efficient Collective Communications on Heterogeneous Network Fabrics,
    arXiv 2402.06787, for the cuts.

    Examples
    --------
    >>> from collsim.collectives import all_gather, all_reduce
    >>> lower_bound(all_reduce(), 4, 4e9, AlphaBeta(alpha=5e-6, beta=1e-10)).seconds
    0.600005
    >>> lower_bound(all_gather(), 4, 4e9, AlphaBeta(alpha=5e-6, beta=1e-10)).reason
    'the slowest rank must receive all parts but its own'
    """
    found = _bounds(collective, ranks, nbytes, model, gamma, offsets, itemsize, RUN_WORK, all_kinds=False)
    return max(_largest(found), key=lambda bound: bound.seconds)


def lower_bounds(
    collective: Collective,
    ranks: int,
    nbytes: float,
    model: Model,
    *,
    gamma: float = 0.0,
    offsets: Floats | None = None,
    itemsize: int | None = None,
    work: int | None = RUN_WORK,
) -> list[Bound]:
    """Return all bounds that are considered, the largest of each kind; parameters and notes as in `lower_bound`.

    Parameters
    ----------
    collective, ranks, nbytes, model, gamma, offsets, itemsize
        As in `lower_bound`.
    work : int or None
        How many links each search for cuts may look at; None for no limit.

    Examples
    --------
    >>> import collsim as cs
    >>> from collsim.models import MaxMin
    >>> ring = MaxMin(cs.ring(8, "10GB/s", "1us"))
    >>> for bound in lower_bounds(cs.get_collective("all_to_all"), 8, 8e9, ring)[1:4]:
    ...     print(f"{bound.kind} {bound.seconds:.6f} s: {bound.reason}")
    latency 0.000004 s: rank 4 must hear of rank 0, by the latencies of the shortest way
    injection 0.350001 s: the slowest rank must receive what all others have for it
    cut 0.800001 s: 16 GB must leave ranks 0-3 over 20 GB/s (the tightest of the cuts tried)
    """
    return _largest(list(_bounds(collective, ranks, nbytes, model, gamma, offsets, itemsize, work, all_kinds=True)))


def _largest(found: Iterable[Bound]) -> list[Bound]:
    """Return the largest of each kind; of equal ones the first."""
    largest: dict[str, Bound] = {}
    for bound in found:
        if bound.kind not in largest or bound.seconds > largest[bound.kind].seconds:
            largest[bound.kind] = bound
    return sorted(largest.values(), key=lambda bound: _ORDER.index(bound.kind))


def _bounds(
    collective: Collective,
    ranks: int,
    nbytes: float,
    model: Model,
    gamma: float,
    offsets: Floats | None,
    itemsize: int | None,
    work: int | None,
    *,
    all_kinds: bool,
) -> Iterator[Bound]:
    """Yield the bounds; unless `all_kinds` are wanted those from cuts only where they might be the largest."""
    starts = np.zeros(ranks) if offsets is None else offsets
    demand = demand_of(collective, ranks, nbytes, itemsize) if ranks > 1 else None
    waited = Bound(float(starts.max()), _nothing_to_do(collective, ranks, demand), "start")
    yield waited
    if demand is None or not demand.taking_part.any():
        return
    if isinstance(model, LogGP):
        found = [*_of_hosts(demand, starts, model, gamma)]
    else:
        found = [*_of_ports(demand, starts, model, gamma)]
    if model.topology is not None and not isinstance(model, LogGP):
        found += _of_ways(demand, starts, limits_of(model.topology, ranks, work))
    if model.topology is not None and not isinstance(model, AlphaBeta | LogGP):
        limits = limits_of(model.topology, ranks, work)
        known = max(bound.seconds for bound in [waited, *found])
        if all_kinds or ranks <= MOST_SEARCHED or may_beat(known, demand, starts, limits):
            found += _of_cuts(collective, demand, starts, limits)
        else:
            found += _of_partitions(demand, starts, limits.alone)
    yield from found


def may_beat(known: float, demand: Demand, starts: Floats, limits: Limits) -> bool:
    """Return whether a bound from cuts or partitions could be larger than the `known` one, without looking for any.

    Parameters
    ----------
    known : float
        Seconds.
    demand, starts, limits
        What is asked for, when ranks start, and what the network lets them do.

    Notes
    -----
    Where every set of nodes that parts two ranks can send C bytes per second, and no set must send more than X bytes,
    no cut takes longer than X/C after the latency across. Where m ranks can always send m c to as many or more others,
    no cut takes longer than the rank with most to send or receive needs at c. A partition into P parts that do not
    overlap has P C at least.
    """
    if has_media(limits.topology) or not limits.narrowest:
        return True
    each = max(float(demand.receive.max()), float(demand.send.max()))
    crossing = min(demand.most / limits.narrowest, each / limits.fair if limits.fair else math.inf)
    if float(starts.max()) + limits.across + crossing > known:
        return True
    if not limits.groupings:
        return False
    second = float(np.sort(starts)[1])
    for parts in limits.groupings:
        number = len(parts)
        together = max(number, 2 * (number - 1) if demand.among is not None else 0) * demand.most
        if second + limits.least_latency + together / (number * limits.narrowest) > known:
            return True
        if limits.alone and not limits.bare_is_smallest(parts):
            return True
    return not limits.two_way


# What every rank receives and sends, what all do together, and what is added, in vectors; K is the number of ranks.
_ALIKE: dict[str, Callable[[int], tuple[float, float, float, float]]] = {
    "all_reduce": lambda k: (1.0, 1.0, 2.0 * (k - 1), k - 1.0),
    "reduce_scatter": lambda k: (1.0 / k, (k - 1) / k, k - 1.0, k - 1.0),
    "all_gather": lambda k: ((k - 1) / k, 1.0 / k, k - 1.0, 0.0),
    "all_to_all": lambda k: ((k - 1) / k, (k - 1) / k, k - 1.0, 0.0),
    "send_recv": lambda k: (1.0, 1.0, float(k), 0.0),
    "barrier": lambda k: (0.0, 0.0, 0.0, 0.0),
}

# Up to so many ranks a run in which all do the same gets the same bounds as any other, which look at every link; and
# with more ranks no run looks for cuts if it is known beforehand that none takes longer than what is known already.
MOST_SEARCHED = 256


def bound_of_alike(collective: Collective, ranks: int, nbytes: float, model: Model, *, gamma: float = 0.0) -> Bound:
    """Return a bound for a collective in which all ranks do the same, in no time, for any number of ranks.

    Parameters
    ----------
    collective, ranks, nbytes, model, gamma
        As in `lower_bound`; a topology must have a `Lattice`, and all ranks take part.

    Notes
    -----
    The bounds of `lower_bound` from latencies, from what ranks can send and receive, and from additions, without
    those from cuts (but for a wire that all messages cross): so it may be smaller. Of LogGP's hosts only what goes
    through a processor or a card is counted.

    Examples
    --------
    >>> from collsim.collectives import all_gather
    >>> bound_of_alike(all_gather(), 2**20, 4e9, AlphaBeta(alpha=5e-6, beta=1e-10)).reason
    'the slowest rank must receive all parts but its own'
    """
    if ranks == 1 or collective.name not in _ALIKE:
        return Bound(0.0, _nothing_to_do(collective, ranks, None), "start")
    if collective.name == "send_recv" and list(collective.options.get("to", [1]))[:1] == [0]:
        return Bound(0.0, "no rank needs anything from another", "start")
    receive, send, together, added = (part * nbytes for part in _ALIKE[collective.name](ranks))
    lattice = None if model.topology is None else model.topology.lattice
    least = farthest = lattice.least_latency if lattice is not None else 0.0
    capacity = math.inf
    both = math.inf
    if isinstance(model, AlphaBeta | LogGP):
        if lattice is not None:
            capacity = lattice.fastest
        else:
            least = farthest = (model.alpha if isinstance(model, AlphaBeta) else model.L) or 0.0
            gap = model.beta if isinstance(model, AlphaBeta) else model.G
            capacity = 1.0 / gap if gap else math.inf
    elif lattice is not None:
        capacity = lattice.capacity
        both = capacity if lattice.one_way_at_a_time else math.inf
    if lattice is not None and collective.name != "send_recv" and not isinstance(model, LogGP):
        farthest = lattice.diameter
    more = 2 * model.o if isinstance(model, LogGP) else 0.0
    rate = 1.0 / capacity if capacity else math.inf
    if isinstance(model, LogGP):
        rate = max(
            min(model.o, max(model.O, rate)), min(model.g, rate)
        )  # a byte more in a message, or one message more
    words = {
        "all_reduce": ("n bytes", "n bytes"),
        "send_recv": ("n bytes", "n bytes"),
        "barrier": ("a message", "a message"),
        "reduce_scatter": ("its own part", "all parts but its own"),
        "all_gather": ("all parts but its own", "its own part"),
        "all_to_all": ("what all others have for it", "what it has for all others"),
    }[collective.name]
    start = least + more

    def through(part: float) -> float:
        return start + (max(0.0, part - 1) if isinstance(model, LogGP) else part) * rate

    found = [
        Bound(farthest + more, "the farthest ranks must hear of each other", "latency"),
        Bound(through(receive), f"the slowest rank must receive {words[0]}", "injection"),
        Bound(through(send), f"the slowest rank must send {words[1]}", "injection"),
        Bound(through(together / ranks), "all ranks receive together what all must move", "injection"),
    ]
    wires = [one for one in (lattice.dimensions if lattice is not None else ()) if one.kind == WIRE and not one.fatpipe]
    if wires and not isinstance(model, AlphaBeta | LogGP):
        reason = "one wire must carry all that moves"
        found.append(Bound(start + together / wires[0].bandwidth, reason, "cut", False))
    if both < math.inf:
        reason = "the slowest rank must receive and send, over what does one at a time"
        found.append(Bound(start + (receive + send) / both, reason, "injection"))
    if added and gamma:
        found.append(Bound(start + added * gamma / ranks, "all ranks add (K-1)n bytes together", "reduction"))
    return max(found, key=lambda bound: bound.seconds)


_ORDER = ("none", "start", "latency", "reduction", "injection", "cut", "partition", "distance")


def _nothing_to_do(collective: Collective, ranks: int, demand: Demand | None) -> str:
    """Return why a run may end as soon as the last rank has started."""
    if ranks == 1:
        return "one rank has nothing to do"
    if demand is None:
        return f"no bound is known for {collective.name}"
    return "the last rank starts then" if demand.taking_part.any() else "no rank needs anything from another"


def _of_ports(demand: Demand, starts: Floats, model: Model, gamma: float) -> Iterator[Bound]:
    """Yield what the ranks can receive and send says, each alone and all together."""
    ranks = len(starts)
    ports = _ports(model, ranks)
    alpha = float(ports.heard.min())
    first, second = np.sort(starts)[:2].tolist()
    met = np.maximum(starts, np.where(starts == first, second, first))  # when each rank and one other have started
    last = float(met[demand.taking_part].max())
    yield Bound(last + alpha, "the last rank to start is heard of one latency later", "latency")
    shared = (ports.both < (ports.receive + ports.send) * (1 - 1e-12)).any()
    both = demand.receive + demand.send
    for latency, capacity, least, what in (
        (ports.heard, ports.receive, demand.receive, f"receive {demand.received}"),
        (ports.telling, ports.send, demand.send, f"send {demand.sent}"),
        (
            np.minimum(ports.heard, ports.telling),
            ports.both,
            both * bool(shared),
            f"receive {demand.received} and send {demand.sent}, over media that do one at a time",
        ),
    ):
        ends = np.where(least > 0, met + latency + least / capacity, 0.0)
        rank = int(np.argmax(ends))
        who = "the slowest rank" if (least == least[0]).all() else f"rank {rank}"
        yield Bound(float(ends[rank]), f"{who} must {what}", "injection")
    for verb, capacity in (("receive", ports.receive), ("send", ports.send)):
        together = second + alpha + demand.total / float(capacity.sum())
        yield Bound(together, f"all ranks {verb} {demand.moved} together", "injection")
    if demand.added and gamma:
        adding = second + alpha + float(demand.added) * gamma / ranks
        yield Bound(adding, f"all ranks add {demand.sums} together", "reduction")


def _ports(model: Model, ranks: int) -> Ports:
    """Return what a model's network lets each rank do."""
    if model.topology is None:
        assert isinstance(model, AlphaBeta)
        capacity = np.full(ranks, 1.0 / model.beta if model.beta else np.inf)
        alpha = np.full(ranks, model.alpha)
        return Ports(capacity, capacity, 2 * capacity, alpha, alpha)
    limits = limits_of(model.topology, ranks)
    return limits.ports_alone if isinstance(model, AlphaBeta) else limits.ports


def _of_hosts(demand: Demand, starts: Floats, model: LogGP, gamma: float) -> Iterator[Bound]:
    """Yield what the processors and cards of LogGP's hosts say."""
    o, g, ranks = model.o, model.g, len(starts)
    if model.topology is None:
        flight, gap = float(model.L or 0.0), (np.full(ranks, model.G or 0.0),) * 2
    else:
        ports = limits_of(model.topology, ranks).ports_alone
        flight, gap = float(ports.heard.min()), (1 / ports.receive, 1 / ports.send)
    hop = flight + 2 * o
    first, second = np.sort(starts)[:2].tolist()
    another = np.where(starts == first, second, first)  # when the first other rank starts
    if ranks <= 4096:
        listeners, heard = demand.hearing.counts()
        most = int(heard.max())
        told = np.array([0.0, *_tree(max(most, int(listeners.max())), hop, max(o, g))])
        seconds = np.where(listeners > 0, starts + told[listeners], -np.inf)
        rank = int(np.argmax(seconds))
        if listeners[rank]:
            reason = f"who must hear of rank {rank} is told over the largest tree of L + 2o"
            yield Bound(float(seconds[rank]), reason, "latency")
        reason = "who must hear of most others is told over the largest tree of L + 2o"
        yield Bound(first + float(told[most]), reason, "latency")

    more_in, more_out = np.maximum(demand.receive - 1, 0), np.maximum(demand.send - 1, 0)
    taking = np.minimum(o, np.maximum(model.O, gap[0]))
    card = (np.minimum(g, gap[0]), np.minimum(g, gap[1]))
    cpu_in, cpu_out = o + more_in * taking, o + more_out * min(o, model.O)
    receives, sends = demand.receive > 0, demand.send > 0
    for ends, needs, words in (
        (another + o + flight + np.maximum(cpu_in, o + more_in * card[0]), receives, f"receive {demand.received}"),
        (starts + flight + o + np.maximum(cpu_out, o + more_out * card[1]), sends, f"send {demand.sent}"),
        (
            np.minimum(starts, another + o + flight) + cpu_in + cpu_out,
            receives & sends,
            f"receive {demand.received} and send {demand.sent}, with one processor",
        ),
    ):
        if needs.any():
            ends = np.where(needs, ends, 0.0)
            rank = int(np.argmax(ends))
            who = "the slowest rank" if (ends == ends[0]).all() else f"rank {rank}"
            yield Bound(float(ends[rank]), f"{who} must {words}", "injection")
    if demand.total > 0:
        more = max(0.0, demand.total / ranks - 1)
        each = max(float(taking.min()), float(card[0].min()))
        yield Bound(first + hop + more * each, f"all ranks receive {demand.moved} together", "injection")
        of_both = demand.total * (float(taking.min()) + min(o, model.O)) / ranks
        yield Bound(first + of_both, f"all processors send and receive {demand.moved} together", "injection")
    if demand.added and gamma:
        adding = first + hop + float(demand.added) * gamma / ranks
        yield Bound(adding, f"all ranks add {demand.sums} together", "reduction")


def _tree(others: int, hop: float, gap: float) -> list[float]:
    """Return when so many others can have heard, one by one: each tells one in `hop`, and may begin every `gap`."""
    if gap == 0:
        return [hop] * others  # one tells all at once
    heard = [hop]  # when each rank that knows can next have told somebody
    ends = []
    for _ in range(others):
        end = heapq.heappop(heard)
        ends.append(end)
        heapq.heappush(heard, end + gap)
        heapq.heappush(heard, end + hop)
    return ends


def _of_ways(demand: Demand, starts: Floats, limits: Limits) -> Iterator[Bound]:
    """Yield how long it takes until each rank that must has heard of another far away."""
    for src, dst, latency in limits.far_apart(demand):
        reason = f"rank {dst} must hear of rank {src}, by the latencies of the shortest way"
        yield Bound(float(starts[src]) + latency, reason, "latency")


def _of_cuts(collective: Collective, demand: Demand, starts: Floats, limits: Limits) -> Iterator[Bound]:
    questions = supplies(collective, len(starts))
    asked = list(questions or ())
    asked = asked[:: -(-len(asked) // FEW) or 1]  # of a scan on many ranks only some
    answers = [side for side in map(limits.tightest, asked) if side is not None]
    exact = questions is not None and len(asked) == len(questions) and all(side.cut.exact for side in answers)
    exact &= not has_media(limits.topology)  # both directions together were asked of some cuts only
    remark = "" if exact else " (the tightest of the cuts tried)"
    largest: tuple[float, Side, float, float, bool | None] | None = None  # words are for this one only
    for side in [*answers, *limits.sides]:
        inside = side.mask
        met = max(float(starts[inside].min()), float(starts[~inside].min()))
        out, into = demand.leaving(inside), demand.leaving(~inside)
        ways: list[tuple[float, float, float, bool | None]] = [
            (out, side.out, side.latency_out, True),
            (into, side.into, side.latency_into, False),
        ]
        if side.shared and out and into:
            ways.append((out + into, side.both, min(side.latency_out, side.latency_into), None))
        for nbytes, capacity, latency, leaves in ways:
            seconds = met + latency + nbytes / capacity
            if nbytes > 0 and (largest is None or seconds > largest[0]):
                largest = seconds, side, nbytes, capacity, leaves
    if largest is not None:
        seconds, side, nbytes, capacity, leaves = largest
        reason = f"{crossing_in_words(side.mask, format_size(nbytes), capacity, leaves)}{remark}"
        yield Bound(seconds, reason, "cut", exact, side.cut)
    yield from _of_partitions(demand, starts, limits.partitions)
    traffic = demand.traffic
    if traffic is not None:
        second = float(np.sort(starts)[1])
        for lengths, words in limits.metrics:
            nbytes = float((traffic * lengths.distance).sum())
            if nbytes > 0:
                seconds = second + limits.least_latency + nbytes / lengths.capacity
                yield Bound(seconds, words, "distance", False)


def _of_partitions(demand: Demand, starts: Floats, partitions: Iterable[Partition]) -> Iterator[Bound]:
    second = float(np.sort(starts)[1])
    for partition in partitions:
        nbytes = demand.between(partition.parts)
        if nbytes > 0:
            reason = exchange_in_words(partition, len(starts), format_size(nbytes))
            yield Bound(second + partition.latency + nbytes / partition.capacity, reason, "partition", False)
