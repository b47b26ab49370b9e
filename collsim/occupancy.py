"""Which message occupies which link, and which part of which rank, from when to when.

A timeline says when messages leave and arrive. What happens between follows from the model, and is worked out here
from the timeline of any engine: who is on a link, and when a port, a card or a processor is busy with whom.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collsim.engines.queues import Visit, serve
from collsim.engines.timeline import Timeline
from collsim.graph import MoveGraph
from collsim.memory import refuse_too_large
from collsim.models import AlphaBeta, Fifo, LogGP, MaxMin, Model
from collsim.schedule import Floats, Ints
from collsim.topology import Topology

if TYPE_CHECKING:
    from collsim.results import Result

__all__ = ["RANK_PARTS", "LinkUse", "RankUse", "link_use", "rank_use"]

Numbers = NDArray[np.int64]

# The parts of a rank, and what a message or a piece of work keeps busy of it under each model.
RANK_PARTS: dict[str, str] = {
    "send": "alpha-beta: the send port; loggp: the card that sends; else from when a message leaves until it is there",
    "receive": "alpha-beta: the receive port; loggp: the card that receives; else while a message is on its way",
    "processor": "reductions and local work; under loggp also sending and taking in messages",
}
SEND, RECEIVE, PROCESSOR = range(3)


@dataclass(frozen=True, eq=False, repr=False)
class LinkUse:
    """Who is on which link from when to when: columns of one length, an entry a message (or packet) and link.

    Attributes
    ----------
    row : ndarray of int
        The first row of the message in the schedule.
    link, channel : ndarray of int
        Number of the link in the topology, and of what it is a part of (`Topology.channel`).
    start, finish : ndarray of float
        Seconds; a message without bytes takes none.
    nbytes : ndarray of float
        Bytes that cross the link, headers included.
    topology : Topology or None
        The network; None if the run had none, and then there are no entries.
    seconds : float
        How long the run took.
    shared : bool
        Whether the model lets messages share links (maxmin, fifo). Under alpha-beta and loggp only ports and cards are
        shared: messages are then on all links of their route while their bytes arrive, and a link may have to carry
        more than it can.
    """

    row: Numbers
    link: Numbers
    channel: Numbers
    start: Floats
    finish: Floats
    nbytes: Floats
    topology: Topology | None
    seconds: float
    shared: bool

    def __len__(self) -> int:
        return len(self.row)

    def __repr__(self) -> str:
        return f"LinkUse(entries={len(self)}, links={len(np.unique(self.link))}, seconds={self.seconds:.6g})"

    @property
    def _links(self) -> int:
        return 0 if self.topology is None else len(self.topology.links)

    @cached_property
    def carried(self) -> Floats:
        """Bytes that each channel carries, shape (links,); it is known by the number of its first link."""
        return np.bincount(self.channel, weights=self.nbytes, minlength=self._links).astype(np.float64)

    @cached_property
    def messages(self) -> Numbers:
        """How many messages each channel carries, shape (links,); one in several parts counts once."""
        each = np.unique(np.stack([self.channel, self.row], axis=1), axis=0)[:, 0]
        return np.bincount(each, minlength=self._links)

    @cached_property
    def _levels(self) -> Levels:
        return levels(self.channel, self.start, self.finish, self._links)

    @property
    def busy(self) -> Floats:
        """Seconds in which each channel has at least one message, shape (links,)."""
        return self._levels.busy

    @property
    def most_at_once(self) -> Numbers:
        """The most messages (or packets) that each channel has at one time, shape (links,)."""
        return self._levels.most

    @cached_property
    def utilisation(self) -> Floats:
        """What each channel carries over what it could have carried in the time of the run, shape (links,).

        More than 1 is possible where nobody shares: for a fatpipe, and under models that share ports only.
        """
        if self.topology is None or not self.seconds:
            return np.zeros(self._links)
        return self.carried / (self.topology.bandwidth * self.seconds)


@dataclass(frozen=True, eq=False, repr=False)
class RankUse:
    """What keeps which part of which rank busy from when to when: columns of one length.

    Attributes
    ----------
    row : ndarray of int
        The first row of the message, or the row of the local work.
    rank, part : ndarray of int
        The rank, and which of `RANK_PARTS`, by its place there.
    start, finish : ndarray of float
        Seconds.
    nbytes : ndarray of float
        Bytes sent or received, headers included; 0 for the processor.
    ranks : int
        Number of ranks.
    seconds : float
        How long the run took.
    """

    row: Numbers
    rank: Numbers
    part: Numbers
    start: Floats
    finish: Floats
    nbytes: Floats
    ranks: int
    seconds: float

    def __len__(self) -> int:
        return len(self.row)

    def __repr__(self) -> str:
        return f"RankUse(entries={len(self)}, ranks={self.ranks}, seconds={self.seconds:.6g})"

    @cached_property
    def busy(self) -> Floats:
        """Seconds of the run in which each part of each rank is busy, shape (ranks, parts)."""
        parts = len(RANK_PARTS)
        found = levels(self.rank * parts + self.part, self.start, self._until, self.ranks * parts)
        return found.busy.reshape(self.ranks, parts)

    @cached_property
    def occupied(self) -> Floats:
        """Seconds of the run in which any part of each rank is busy, shape (ranks,)."""
        return levels(self.rank, self.start, self._until, self.ranks).busy

    @property
    def _until(self) -> Floats:
        # A card (loggp, g) may stay busy when its message, and with it the run, is over.
        return np.minimum(self.finish, self.seconds)

    @property
    def utilisation(self) -> Floats:
        """`occupied` over the time of the run, shape (ranks,)."""
        return self.occupied / self.seconds if self.seconds else np.zeros(self.ranks)


class Levels(NamedTuple):
    """Of each place how long it was busy, and with how many at most at one time."""

    busy: Floats
    most: Numbers


def levels(place: Numbers, start: Floats, finish: Floats, places: int) -> Levels:
    """Return how long each place is busy; one that begins when another ends does not meet it.

    Examples
    --------
    >>> levels(np.array([0, 0, 1]), np.array([0.0, 1.0, 5.0]), np.array([2.0, 4.0, 6.0]), 2)
    Levels(busy=array([4., 1.]), most=array([2, 1]))
    """
    lasting = finish > start
    place, start, finish = place[lasting], start[lasting], finish[lasting]
    where = np.concatenate([place, place])
    when = np.concatenate([start, finish])
    change = np.repeat([1, -1], len(place))
    order = np.lexsort((change, when, where))
    where, when = where[order], when[order]
    level = np.cumsum(change[order])  # back at 0 after the last of each place
    most = np.zeros(places, dtype=np.int64)
    np.maximum.at(most, where, level)
    lasts = np.diff(when, append=when[-1:]) * (level > 0)
    return Levels(np.bincount(where, weights=lasts, minlength=places).astype(np.float64), most)


def taken(server: Ints, come: Floats, seconds: Floats, done: Floats) -> Floats:
    """Return when each of its customers was taken by a server that serves one at a time, from when it was done.

    That is when it came or when the one before it was done, to the last bit: ``done - seconds`` alone is rounded.

    Examples
    --------
    >>> taken(np.array([0, 0]), np.array([0.1, 0.2]), np.array([0.2, 0.2]), np.array([0.1 + 0.2, 0.1 + 0.2 + 0.2]))
    array([0.1, 0.3])
    """
    order = np.lexsort((come, done, server))
    before = np.full(len(order), np.nan)
    before[order[1:]] = np.where(server[order[1:]] == server[order[:-1]], done[order[:-1]], np.nan)
    then = np.fmax(come, before)
    return np.where(then + seconds == done, then, np.where(come + seconds == done, come, done - seconds))


def link_use(result: Result) -> LinkUse:
    """Return which message occupies which link from when to when.

    Under maxmin a message is on all links of its route at once, from when its latency has passed until it arrives (one
    that is spread over several routes: until the last part of it arrives). Under fifo a link serves one message, or
    packet, after another. Under alpha-beta and loggp see `LinkUse.shared`.

    Parameters
    ----------
    result : Result
        With the times of moves.

    Raises
    ------
    InputError
        If they were not kept.

    Examples
    --------
    On a star each message crosses two links, one after the other under fifo:

    >>> import collsim as cs
    >>> plan = cs.ScheduleBuilder("broadcast", ranks=3)
    >>> _ = plan.copy(0, 0, [1, 2])
    >>> use = link_use(cs.simulate(plan.build(), cs.star(3, "1GB/s", "1us"), "1kB", model="fifo"))
    >>> for row, link, start, finish in zip(use.row, use.link, use.start, use.finish, strict=True):
    ...     print(row, use.topology.links[link].tail, "->", use.topology.links[link].head, f"{start:.0e} {finish:.0e}")
    0 0 -> switch 0e+00 1e-06
    0 switch -> 1 2e-06 3e-06
    1 0 -> switch 1e-06 2e-06
    1 switch -> 2 3e-06 4e-06
    """
    return result.life.links


def rank_use(result: Result) -> RankUse:
    """Return what keeps which part of which rank busy from when to when; see `RANK_PARTS`.

    Parameters
    ----------
    result : Result
        With the times of moves.

    Raises
    ------
    InputError
        If they were not kept.

    Examples
    --------
    >>> import collsim as cs
    >>> result = cs.simulate(cs.make_schedule("all_reduce", "ring", 4), alpha="1us", beta="1ns", nbytes="4kB")
    >>> use = rank_use(result)
    >>> (use.busy[0] * 1e6).round(9).tolist(), round(float(use.utilisation[0]), 6)
    ([6.0, 6.0, 0.0], 1.0)
    """
    return result.life.parts


class Routed(NamedTuple):
    """Messages on the links of their routes: an entry a message, route and link, in the order of messages."""

    move: Numbers
    route: Numbers
    link: Numbers
    share: Floats
    latency: Floats


@dataclass(frozen=True, eq=False)
class Life:
    """The life of every move under a model, from the times that an engine returned.

    Attributes
    ----------
    graph : MoveGraph
        The moves.
    model : Model
        Under which they were simulated.
    times : Timeline
        Of every move of the graph.
    row : ndarray of int
        The first row of each move in the schedule.
    header : float
        Bytes of every message that are not payload.
    seconds : float
        How long the run took.
    """

    graph: MoveGraph
    model: Model
    times: Timeline
    row: Numbers
    header: float = 0.0
    seconds: float = 0.0

    @classmethod
    def of(cls, result: Result) -> Life:
        """Return that of the moves of a result."""
        times, graph = result.timeline, result.graph  # a result without times says so itself
        first = np.arange(len(graph))
        if graph.move_of_row is not None:
            first = np.flatnonzero(np.diff(graph.move_of_row, prepend=-1))
            times = times.at(first.astype(np.int32))
        return cls(graph, result.parameters, times, first, result.header_bytes, result.time)

    @cached_property
    def transfers(self) -> Numbers:
        """The moves that are messages."""
        return np.flatnonzero(self.graph.transfer)

    @cached_property
    def begun(self) -> Floats:
        """When the receiver's processor begins with each move; for one without work, when it arrives."""
        times, works = self.times, self.works
        found = times.arrive.copy()
        if isinstance(self.model, LogGP):
            found[works] = self._served[1]
        else:
            come = np.where(self.graph.transfer, times.arrive, times.ready)[works]
            found[works] = taken(self.graph.dst[works], come, self.graph.work[works], times.finish[works])
        return found

    @cached_property
    def works(self) -> Numbers:
        """The moves that take a processor, after their arrival or all the time."""
        return np.flatnonzero(self.graph.work > 0)

    @cached_property
    def _costs(self) -> tuple[Floats, Floats]:
        """Latency, and seconds a byte, of each move as ports and cards know them."""
        model = self.model
        assert isinstance(model, AlphaBeta | LogGP)
        return model.costs(self.graph.src, self.graph.dst)

    @cached_property
    def latency(self) -> Floats:
        """Seconds from when each message leaves until its first byte can be there; without overheads."""
        if isinstance(self.model, AlphaBeta | LogGP):
            return self._costs[0]
        found = np.zeros(len(self.graph))
        np.maximum.at(found, self.routed.move, self.routed.latency)
        return found

    @cached_property
    def head(self) -> Floats:
        """When the first byte of each message is where it is to be received."""
        if isinstance(self.model, LogGP):
            return self.times.start + (self.model.o + self.latency)
        return self.times.start + self.latency

    @cached_property
    def port_seconds(self) -> Floats:
        """How long each message keeps a port busy (alpha-beta)."""
        busy: Floats = self._costs[1] * self.graph.nbytes
        return busy

    @cached_property
    def more(self) -> Floats:
        """Bytes of each message after the first (loggp)."""
        return np.maximum(self.graph.nbytes - 1, 0)

    @cached_property
    def sending(self) -> Floats:
        """Seconds of the sender's processor that each message takes (loggp)."""
        assert isinstance(self.model, LogGP)
        return self.model.o + self.more * self.model.O

    @cached_property
    def receiving(self) -> Floats:
        """Seconds of the receiver's processor until each message is taken in (loggp)."""
        assert isinstance(self.model, LogGP)
        return self.model.o + self.more * np.maximum(self.model.O, self._costs[1])

    @cached_property
    def card(self) -> Floats:
        """Seconds of a card that each message takes (loggp)."""
        assert isinstance(self.model, LogGP)
        return self.model.g + self.more * self._costs[1]

    @cached_property
    def received(self) -> Floats:
        """When the receiver's port, or its processor and card, take each message; NaN for local work."""
        found = np.full(len(self.graph), np.nan)
        some = self.transfers
        if isinstance(self.model, AlphaBeta):
            busy, arrive = self.port_seconds[some], self.times.arrive[some]
            found[some] = taken(self.graph.dst[some], self.head[some], busy, arrive)
        elif isinstance(self.model, LogGP):
            found[some] = self._served[0]
        return found

    @cached_property
    def _served(self) -> tuple[Floats, Floats]:
        """When messages are taken in, and when work begins (loggp).

        Timelines do not tell: a message that has been taken in arrives only when its receive is posted.
        """
        cpu, send, receive = 1, 2, 4
        graph, times, some, works = self.graph, self.times, self.transfers, self.works
        come = [self.head[some], times.ready[some], np.where(graph.transfer, times.arrive, times.ready)[works]]
        card = self.card[some].tolist()
        visits: list[tuple[Visit, ...]] = []
        for ends, part, seconds in ((graph.dst, receive, self.receiving), (graph.src, send, self.sending)):
            of_each = zip(ends[some].tolist(), seconds[some].tolist(), card, strict=True)
            visits += [(Visit(host, ((cpu, busy), (part, gap))),) for host, busy, gap in of_each]
        of_each_work = zip(graph.dst[works].tolist(), graph.work[works].tolist(), strict=True)
        visits += [(Visit(host, ((cpu, busy),)),) for host, busy in of_each_work]
        order = np.concatenate([2 * some, 2 * some, 2 * works + 1])  # a message is taken in before it is worked on
        served = np.array(
            [time for each in serve(np.concatenate(come).tolist(), order.tolist(), visits) for time in each]
        )
        return served[: len(some)], served[2 * len(some) :]

    @cached_property
    def routed(self) -> Routed:
        """Every message on every link of its routes; nothing without a topology."""
        topology, graph, some = self.model.topology, self.graph, self.transfers
        if topology is None or not len(some):
            none = np.zeros(0, dtype=np.int64)
            return Routed(none, none, none, np.zeros(0), np.zeros(0))
        pair = graph.src[some].astype(np.int64) * graph.ranks + graph.dst[some]
        pairs, which = np.unique(pair, return_inverse=True)
        entries: list[tuple[int, int, float, float]] = []
        first = [0]
        for one in pairs.tolist():
            for place, route in enumerate(topology.routes(*divmod(one, graph.ranks))):
                alone = math.fsum(topology.links[i].latency for i in route.links)
                entries += [(place, i, route.share, alone) for i in route.links]
            first.append(len(entries))
        number, link, share, late = (np.array(column) for column in zip(*entries, strict=True))
        begin = np.array(first)
        count = np.diff(begin)[which]
        offset = np.cumsum(count) - count
        at = np.arange(count.sum()) + np.repeat(begin[which] - offset, count)
        return Routed(np.repeat(some, count), number[at], link[at], share[at], late[at])

    @cached_property
    def hops(self) -> Hops:
        """Every packet at every link (fifo)."""
        return _hops(self)

    @cached_property
    def links(self) -> LinkUse:
        """Who is on which link."""
        model, times = self.model, self.times
        if isinstance(model, Fifo):
            hops = self.hops
            move, link, nbytes = hops.move, hops.link, hops.nbytes
            start, finish = hops.start, hops.start + nbytes / model.topology.bandwidth[link]
        else:
            move, _, link, share, latency = self.routed
            nbytes = share * self.graph.nbytes[move]
            if isinstance(model, MaxMin):
                start, finish = times.start[move] + latency, times.arrive[move]
            elif isinstance(model, LogGP):
                start, finish = self.received[move], (self.received + self.receiving)[move]
            else:
                start, finish = self.received[move], times.arrive[move]
            start = np.where(nbytes > 0, np.minimum(start, finish), finish)
        channel = link if model.topology is None else model.topology.channel[link]
        return LinkUse(
            self.row[move],
            link,
            channel,
            start,
            finish,
            nbytes,
            model.topology,
            self.seconds,
            isinstance(model, Fifo | MaxMin),
        )

    @cached_property
    def parts(self) -> RankUse:
        """What keeps which part of which rank busy."""
        graph, times, some = self.graph, self.times, self.transfers
        works = self.works
        start, arrive, nbytes = times.start[some], times.arrive[some], graph.nbytes[some]
        entries = [(works, graph.dst, PROCESSOR, self.begun[works], times.finish[works], np.zeros(len(works)))]
        if isinstance(self.model, AlphaBeta):
            entries += [
                (some, graph.src, SEND, start, start + self.port_seconds[some], nbytes),
                (some, graph.dst, RECEIVE, self.received[some], arrive, nbytes),
            ]
        elif isinstance(self.model, LogGP):
            taken, card = self.received[some], self.card[some]
            entries += [
                (some, graph.src, SEND, start, start + card, nbytes),
                (some, graph.dst, RECEIVE, taken, taken + card, nbytes),
                (some, graph.src, PROCESSOR, start, start + self.sending[some], np.zeros(len(some))),
                (some, graph.dst, PROCESSOR, taken, taken + self.receiving[some], np.zeros(len(some))),
            ]
        else:
            entries += [
                (some, graph.src, SEND, start, arrive, nbytes),
                (some, graph.dst, RECEIVE, start, arrive, nbytes),
            ]

        def column(values: Any) -> Any:
            return np.concatenate(list(values))

        return RankUse(
            row=column(self.row[move] for move, *_ in entries),
            rank=column(ends[move].astype(np.int64) for move, ends, *_ in entries),
            part=np.repeat([entry[2] for entry in entries], [len(entry[0]) for entry in entries]),
            start=column(entry[3] for entry in entries),
            finish=column(entry[4] for entry in entries),
            nbytes=column(entry[5] for entry in entries),
            ranks=graph.ranks,
            seconds=self.seconds,
        )


class Hops(NamedTuple):
    """Packets at links, in the order of packets and then of links on their way.

    Attributes
    ----------
    move, packet, link : ndarray of int
        The message, the packet (numbered through all messages) and the link.
    come, start : ndarray of float
        When the packet comes to the link, and when this begins to serve it.
    nbytes : ndarray of float
        Of the packet.
    """

    move: Numbers
    packet: Numbers
    link: Numbers
    come: Floats
    start: Floats
    nbytes: Floats


_BYTES_A_HOP = 500  # as measured


def _hops(life: Life) -> Hops:
    """Run the queues of the links once more: when messages come to their first link is known."""
    model, graph = life.model, life.graph
    assert isinstance(model, Fifo)
    topology = model.topology
    most = math.inf if model.packet_bytes is None else model.packet_bytes
    on_links = life.routed.share * graph.nbytes[life.routed.move]
    hops = int(np.maximum(np.ceil(on_links / most), 1).sum())
    what = f"when each link takes each packet, {hops} times in all,"
    refuse_too_large(_BYTES_A_HOP * hops, what, "use larger packets or fewer ranks")
    bandwidth, latency = topology.bandwidth.tolist(), topology.latency.tolist()
    channel, fatpipe = topology.channel.tolist(), topology.fatpipe.tolist()
    move: list[int] = []
    sizes: list[float] = []
    visits: list[tuple[Visit, ...]] = []
    ways: list[tuple[int, ...]] = []
    some = life.transfers
    ends = zip(
        some.tolist(), graph.src[some].tolist(), graph.dst[some].tolist(), graph.nbytes[some].tolist(), strict=True
    )
    for number, src, dst, nbytes in ends:
        for way, (share, links) in enumerate(topology.routes(src, dst)):
            part = nbytes * share
            last = max(1, math.ceil(part / most)) - 1
            # Nobody shares a fatpipe but the packets of one message on one route.
            stations = [(number, way, hop) if fatpipe[link] else channel[link] for hop, link in enumerate(links)]
            for size, packets in ((most, last), (part - last * most if last else part, 1)):
                busy = [size / bandwidth[link] for link in links] if packets else []
                along = tuple(
                    Visit(station, ((1, seconds),), (seconds, latency[link]))
                    for station, seconds, link in zip(stations, busy, links, strict=bool(packets))
                )
                visits += [along] * packets
                move += [number] * packets
                sizes += [size] * packets
                ways += [links] * packets
    of_move = np.array(move, dtype=np.int64)
    come = life.times.ready[of_move]
    served = serve(come.tolist(), range(len(move)), visits)
    count = np.array([len(way) for way in ways], dtype=np.int64)
    packet = np.repeat(np.arange(len(move)), count)
    start = np.array([time for each in served for time in each])
    link = np.array([number for way in ways for number in way], dtype=np.int64)
    nbytes = np.array(sizes)[packet] if len(sizes) else np.zeros(0)
    then = (start + nbytes / topology.bandwidth[link]) + topology.latency[link]
    first = np.diff(packet, prepend=-1) > 0
    before = np.concatenate([np.zeros(1), then[:-1]])[: len(then)]
    return Hops(of_move[packet], packet, link, np.where(first, come[packet], before), start, nbytes)
