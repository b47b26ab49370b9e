"""The chain of moves that decided how long a run took, and where each second of it went.

It is walked backwards from the move that finished last. A move begins when all that it waited for has finished; the
last of these is the move before it on the path. Within a move time is cut where the model says that something else
begins: latency, a queue, bytes on the wire. So the pieces follow each other without a gap from 0 to the end.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from collsim.models import AlphaBeta, Fifo, LogGP, MaxMin
from collsim.occupancy import PROCESSOR, RECEIVE, SEND, Life, Numbers
from collsim.schedule import Floats

# Every piece of time on a path is one of these.
PARTS: dict[str, str] = {
    "latency": "the first byte is on its way; it takes as long for a small message as for a large one",
    "serialisation": "bytes follow each other at the least bandwidth of the route: size / bandwidth",
    "store-and-forward": "links before and behind the slowest one take the message in full once more (fifo)",
    "sharing": "the message has less than its bandwidth, or waits, because others use the same link",
    "port": "the message, or a sum, waits until a rank's port, card or processor is done with others",
    "late rank": "a rank has not started yet",
    "reduction": "the receiver's processor adds what has come to its own (gamma)",
    "compute": "local work of a rank",
    "overhead": "what each message costs processors (o, O) and the wire (header bytes), whatever it carries",
}
WAITING = ("sharing", "port")

# Times that differ by less than this part are sums of the same numbers in another order: no wait is that short.
_ROUNDING = 1e-11


class Place(NamedTuple):
    """Where something waits: a channel of the network, or a part of a rank."""

    kind: str  # "link" or "rank"
    number: int  # of the channel, or the rank
    part: int = -1  # of `RANK_PARTS`


class Piece(NamedTuple):
    """A piece of time on the path.

    Attributes
    ----------
    part : str
        One of `PARTS`.
    start, finish : float
        Seconds.
    place : Place or None
        What was waited for, where it is one of `WAITING`; the rank, where that is late.
    others : tuple of int
        The moves that had it meanwhile.
    """

    part: str
    start: float
    finish: float
    place: Place | None = None
    others: tuple[int, ...] = ()


@dataclass(frozen=True)
class Stretch:
    """A move on the path, and the time in which the path leads through it.

    Attributes
    ----------
    move : int
        Number of the move in the graph; -1 for the time before a rank started.
    pieces : tuple of Piece
        In order, without gaps.
    held : str
        What it waited for before: ``"data"`` (something that its sender had to receive), ``"sender"`` or
        ``"receiver"`` (that rank was busy with the move before), ``"start"`` (of a rank, or of the run).
    """

    move: int
    pieces: tuple[Piece, ...]
    held: str

    @property
    def start(self) -> float:
        """When the path enters it."""
        return self.pieces[0].start

    @property
    def finish(self) -> float:
        """When the path leaves it."""
        return self.pieces[-1].finish


# A stage of a move: until when, what it is, and where one waits and with whom.
_Stage = tuple[float, str, Place | None, Callable[[float, float], tuple[int, ...]] | None]


def critical_path(life: Life, end: float, offsets: Floats | None = None) -> list[Stretch]:
    """Return the moves that decided when a run ended, in order of time.

    Parameters
    ----------
    life : Life
        The moves and their times.
    end : float
        When the last rank has finished.
    offsets : ndarray of float, shape (ranks,), optional
        When each rank started; one that starts after all moves have finished is the last.

    Returns
    -------
    list of Stretch
        The first begins at 0, each begins when the one before it ends, and the last ends at `end`. Moves that
        took no time are not on it.

    Examples
    --------
    Rank 1 receives one message after the other, and only then passes on what it has:

    >>> import collsim as cs
    >>> plan = cs.ScheduleBuilder("all_reduce", ranks=4)
    >>> _ = plan.reduce(0, [0, 2], 1)
    >>> _ = plan.copy(1, 1, 3)
    >>> result = cs.simulate(plan.build(), nbytes=4, alpha=1, beta=1)
    >>> for stretch in critical_path(result.life, result.time):
    ...     print(stretch.move, *(f"{piece.part} {piece.finish - piece.start:g}" for piece in stretch.pieces))
    1 latency 1 port 4 serialisation 4
    2 latency 1 serialisation 4
    """
    return _Walk(life).back_from(end, offsets)


class _Walk:
    """Going back from the end of a run."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self.graph = life.graph
        self.times = life.times
        self.stages: Callable[[int], Iterable[_Stage]] = {
            AlphaBeta: self._through_ports,
            LogGP: self._through_cards,
            MaxMin: self._as_flow,
            Fifo: self._through_links,
        }[type(life.model)]
        first, gates = self.graph.followers
        moments = np.repeat(np.arange(len(first) - 1), np.diff(first))
        order = np.argsort(gates, kind="stable")
        self._before = moments[order]
        self._begin = np.searchsorted(gates[order], np.arange(2 * self.graph.nodes + 1))

    def back_from(self, end: float, offsets: Floats | None) -> list[Stretch]:
        """Return the path."""
        finish = self.times.finish
        last = int(np.argmax(finish)) if len(finish) else -1
        if last < 0 or finish[last] < end:
            if end <= 0:
                return []
            rank = int(np.argmax(offsets)) if offsets is not None else -1
            return [Stretch(-1, (Piece("late rank", 0.0, end, Place("rank", rank)),), "start")]
        found: list[Stretch] = []
        moment, time = 2 * last + 1, end
        while time > 0:
            move = moment // 2
            gates, begin, stages = self._life_until(moment)
            pieces = _cut(min(begin, time), time, stages)
            before, held, late = self._cause(move, gates)
            if pieces:
                found.append(Stretch(move, tuple(pieces), held))
                time = pieces[0].start
            if before is None:
                if time > 0:
                    found.append(Stretch(-1, (Piece("late rank", 0.0, time, Place("rank", late)),), "start"))
                break
            moment = before
        return found[::-1]

    def _life_until(self, moment: int) -> tuple[tuple[int, ...], float, Iterable[_Stage]]:
        """Return the gates that a move waited for until a moment of it could come, when they opened, and its stages."""
        move, finished = divmod(moment, 2)
        ready = float(self.times.ready[move])
        if not self.graph.transfer[move]:
            return (2 * move,), ready, self._of_work(move)
        if not isinstance(self.life.model, LogGP):
            return (2 * move, 2 * move + 1), ready, self._whole(move)
        done = float(self.times.arrive[move] if finished else self.times.sent[move])
        own = float(self.life.received[move] + self.life.receiving[move]) if finished else self._let_go(move)
        if done - own > _ROUNDING * done:  # it could go on when its receive was posted
            return (2 * move + 1,), done, self._of_work(move) if finished else []
        if not finished and own > float(self.life.received[move]):  # its sender was done when it had sent it
            return (2 * move,), ready, self._sending(move)
        return (2 * move,), ready, self._whole(move)

    def _whole(self, move: int) -> Iterator[_Stage]:
        arrive = float(self.times.arrive[move])
        for until, part, place, who in self.stages(move):
            # Parts of a spread message may be there sooner than the longest latency and all bytes would say.
            yield min(until, arrive), part, place, who
        yield from self._of_work(move)

    def _cause(self, move: int, gates: Sequence[int]) -> tuple[int | None, str, int]:
        """Return the moment that opened the last of these gates, how it held the move up, and a rank that was late.

        There is no moment if it was the start.
        """
        graph = self.graph
        release = {gate: float(graph.release[gate % 2, move]) for gate in gates}
        found = [(*self._when(moment), gate) for gate in gates for moment in self._moments(gate)]
        latest = max(release, key=lambda gate: release[gate])
        late = int((graph.dst if latest % 2 else graph.src)[move])
        if not found or release[latest] > max(time for time, *_ in found):
            return None, "start", late
        # Of those that finished together: what the sender had to receive, and then the first row.
        best = max(time for time, *_ in found)
        held, moment = min(
            (_HELD.index(self._how(before, move, gate)), before) for time, before, gate in found if time == best
        )
        return moment, _HELD[held], late

    def _how(self, moment: int, move: int, gate: int) -> str:
        before = moment // 2
        graph = self.graph
        sender, receiver = int(graph.src[move]), int(graph.dst[move])
        if graph.dst[before] == sender and (graph.transfer[before] or not graph.transfer[move]):
            return "data"
        if sender in (graph.src[before], graph.dst[before]):
            return "sender"
        return "receiver" if receiver in (graph.src[before], graph.dst[before]) or gate % 2 else "sender"

    def _moments(self, gate: int) -> Iterator[int]:
        """Yield the moments of moves that a gate waits for, those behind joins too."""
        for moment in self._before[self._begin[gate] : self._begin[gate + 1]].tolist():
            if moment // 2 < len(self.graph):
                yield moment
            else:
                yield from self._moments(moment - 1)

    def _when(self, moment: int) -> tuple[float, int]:
        move, finished = divmod(moment, 2)
        return float((self.times.finish if finished else self.times.sent)[move]), moment

    # What happens to a move under each model.

    def _of_work(self, move: int) -> Iterator[_Stage]:
        if self.graph.work[move] > 0:
            yield self._wait(float(self.life.begun[move]), int(self.graph.dst[move]), move, PROCESSOR)
            part = "reduction" if self.graph.transfer[move] else "compute"
            yield float(self.times.finish[move]), part, None, None

    def _on_the_wire(self, move: int, since: float, bandwidth: float) -> Iterator[_Stage]:
        """Yield header and payload one after another."""
        header = self.life.header / bandwidth
        if header > 0:
            yield since + header, "overhead", None, None
        yield since + header + self._payload(move) / bandwidth, "serialisation", None, None

    def _payload(self, move: int) -> float:
        return max(0.0, float(self.graph.nbytes[move]) - self.life.header)

    def _bandwidth(self, move: int) -> float:
        topology = self.life.model.topology
        assert topology is not None
        return topology.route_bandwidth(int(self.graph.src[move]), int(self.graph.dst[move]))

    def _through_ports(self, move: int) -> Iterator[_Stage]:
        life, start = self.life, float(self.times.start[move])
        received, arrive = float(life.received[move]), float(self.times.arrive[move])
        yield self._wait(start, int(self.graph.src[move]), move, SEND)
        yield start + float(life.latency[move]), "latency", None, None
        yield self._wait(received, int(self.graph.dst[move]), move, RECEIVE)
        busy = float(life.port_seconds[move])
        if self.life.header and busy:
            yield received + busy * (life.header / float(self.graph.nbytes[move])), "overhead", None, None
        yield arrive, "serialisation", None, None

    def _as_flow(self, move: int) -> Iterator[_Stage]:
        flows = float(self.times.start[move]) + float(self.life.latency[move])
        arrive = float(self.times.arrive[move])
        yield flows, "latency", None, None
        if self.graph.nbytes[move] > 0:
            yield from self._on_the_wire(move, flows, self._bandwidth(move))
            channel = self._tightest(move, flows, arrive)
            others = self._on_links.who(channel, flows, arrive, move)
            if others:
                yield arrive, "sharing", Place("link", channel), lambda since, until: others
            else:  # parts of a spread message may hold up each other, or have a latency of their own before them
                yield arrive, "serialisation", None, None

    def _tightest(self, move: int, since: float, until: float) -> int:
        """Return the channel of a message's routes on which it met most others, for its bandwidth."""
        routed, topology = self.life.routed, self.life.model.topology
        assert topology is not None
        begin, end = np.searchsorted(routed.move, [move, move + 1])
        links = routed.link[begin:end]
        channels = np.unique(topology.channel[links[~topology.fatpipe[links]]]).tolist() or [int(links[0])]
        met = [self._on_links.load(channel, since, until, move) / topology.bandwidth[channel] for channel in channels]
        return int(channels[int(np.argmax(met))])

    def _own_part(self, move: int) -> float:
        return float(self.times.start[move] + self.life.sending[move])

    def _let_go(self, move: int) -> float:
        """Return when the sender is done with a message, but for its receive (loggp): a long one must be taken in."""
        model, life = self.life.model, self.life
        assert isinstance(model, LogGP)
        own = self._own_part(move)
        return own if self.graph.nbytes[move] <= model.S else max(own, float(life.received[move]))

    def _sending(self, move: int) -> Iterator[_Stage]:
        yield self._wait(float(self.times.start[move]), int(self.graph.src[move]), move, PROCESSOR, SEND)
        yield self._own_part(move), "overhead", None, None

    def _through_cards(self, move: int) -> Iterator[_Stage]:
        life, model = self.life, self.life.model
        assert isinstance(model, LogGP)
        start, head = float(self.times.start[move]), float(life.head[move])
        received, arrive = float(life.received[move]), float(self.times.arrive[move])
        yield self._wait(start, int(self.graph.src[move]), move, PROCESSOR, SEND)
        yield start + model.o, "overhead", None, None
        yield head, "latency", None, None
        yield self._wait(received, int(self.graph.dst[move]), move, PROCESSOR, RECEIVE)
        gap = float((life.card[move] - model.g) / life.more[move]) if life.more[move] else 0.0
        wire = min(float(life.more[move]), self._payload(move)) * gap
        yield max(received, arrive - wire), "overhead", None, None
        yield arrive, "serialisation", None, None

    def _through_links(self, move: int) -> Iterator[_Stage]:
        """Yield the hops of the packet that came last.

        Time in which a link serves this message is, up to what it would take alone at the least bandwidth of its
        route, header and serialisation; what is more, its packets were taken in full at every link.
        """
        hops, topology = self.life.hops, self.life.model.topology
        assert topology is not None
        bandwidth = self._bandwidth(move)
        begin, end = np.searchsorted(hops.move, [move, move + 1])
        then = hops.start[begin:end] + hops.nbytes[begin:end] / topology.bandwidth[hops.link[begin:end]]
        there = then + topology.latency[hops.link[begin:end]]
        last = hops.packet[begin + int(np.argmax(there))]
        own = [(self.life.header / bandwidth, "overhead"), (self._payload(move) / bandwidth, "serialisation")]

        def served(since: float, until: float) -> Iterator[_Stage]:
            """Yield the stages of a time in which a link is busy with this message."""
            while own and until - since > 0:
                left, part = own[0]
                if left > until - since:
                    own[0] = left - (until - since), part
                    yield until, part, None, None
                    return
                since += left
                yield since, part, None, None
                own.pop(0)
            yield until, "store-and-forward", None, None

        for hop in range(*np.searchsorted(hops.packet, [last, last + 1])):
            place = Place("link", int(topology.channel[hops.link[hop]]))
            since, start = float(hops.come[hop]), float(hops.start[hop])
            while since < start and start - since > _ROUNDING * start:
                other, until = self._queues.served(place.number, since, start)
                if other is None or other == move:  # nobody else has a fatpipe, so it was a packet of this message
                    yield from served(since, until)
                else:
                    yield until, "sharing", place, _only(other)
                since = until
            yield from served(start, float(then[hop - begin]))
            yield float(there[hop - begin]), "latency", None, None

    def _wait(self, until: float, rank: int, move: int, *parts: int) -> _Stage:
        def who(since: float, until: float) -> tuple[int, ...]:
            met = (self._at_ranks.who(rank * 3 + part, since, until, move) for part in parts)
            return tuple(dict.fromkeys(itertools.chain.from_iterable(met)))

        return until, "port", Place("rank", rank, parts[-1]), who

    @cached_property
    def _at_ranks(self) -> _Intervals:
        use = self.life.parts
        return _Intervals(use.rank * 3 + use.part, use.start, use.finish, self._move(use.row))

    @cached_property
    def _on_links(self) -> _Intervals:
        use = self.life.links
        return _Intervals(use.channel, use.start, use.finish, self._move(use.row))

    def _move(self, row: Numbers) -> Numbers:
        return np.searchsorted(self.life.row, row)

    @cached_property
    def _queues(self) -> _Queues:
        hops, topology = self.life.hops, self.life.model.topology
        assert topology is not None
        shared = ~topology.fatpipe[hops.link]
        return _Queues(topology.channel[hops.link[shared]], hops.start[shared], hops.nbytes[shared], hops.move[shared])


def _only(move: int) -> Callable[[float, float], tuple[int, ...]]:
    return lambda since, until: (move,)


_HELD = ("data", "sender", "receiver", "start")


def _cut(begin: float, end: float, stages: Iterable[_Stage]) -> list[Piece]:
    """Return the pieces of a time, as the stages that follow each other in it say."""
    pieces: list[Piece] = []
    now = begin
    for until, part, place, who in stages:
        until = min(until, end)
        if until <= now or (part in WAITING and until - now <= _ROUNDING * end):
            continue
        others = () if who is None else who(now, until)
        before = pieces[-1] if pieces else None
        if before is not None and before.part == part and before.place == place:
            pieces[-1] = before._replace(finish=until, others=tuple(dict.fromkeys(before.others + others)))
        else:
            pieces.append(Piece(part, now, until, place, others))
        now = until
    if pieces and now < end:
        pieces[-1] = pieces[-1]._replace(finish=end)
    return pieces


class _Intervals:
    """Who is at each of several places from when to when, to be asked often."""

    def __init__(self, place: Numbers, start: Floats, finish: Floats, move: Numbers) -> None:
        lasting = finish > start
        place, start, finish, move = place[lasting], start[lasting], finish[lasting], move[lasting]
        order = np.lexsort((start, place))
        self._place, self._start, self._finish, self._move = place[order], start[order], finish[order], move[order]
        self._latest: dict[int, Floats] = {}

    def _meeting(self, place: int, since: float, until: float) -> slice:
        """Return a range with all that are there at some time between, and some others."""
        begin, end = np.searchsorted(self._place, [place, place + 1])
        if place not in self._latest:
            self._latest[place] = np.maximum.accumulate(self._finish[begin:end])
        return slice(
            begin + np.searchsorted(self._latest[place], since, side="right"),
            begin + np.searchsorted(self._start[begin:end], until, side="left"),
        )

    def who(self, place: int, since: float, until: float, but: int) -> tuple[int, ...]:
        """Return the moves, other than one, that are there at some time between."""
        some = self._meeting(place, since, until)
        short = _ROUNDING * until
        there = self._move[some][(self._finish[some] - since > short) & (until - self._start[some] > short)]
        return tuple(np.unique(there[there != but]).tolist())

    def load(self, place: int, since: float, until: float, but: int) -> float:
        """Return for how long, all together, moves other than one are there between."""
        some = self._meeting(place, since, until)
        spent = np.minimum(self._finish[some], until) - np.maximum(self._start[some], since)
        return float(np.maximum(spent, 0)[self._move[some] != but].sum())


class _Queues:
    """Whom each link served, one after another."""

    def __init__(self, channel: Numbers, start: Floats, nbytes: Floats, move: Numbers) -> None:
        some = nbytes > 0
        order = np.lexsort((start[some], channel[some]))
        self._channel, self._start, self._move = channel[some][order], start[some][order], move[some][order]

    def served(self, channel: int, since: float, until: float) -> tuple[int | None, float]:
        """Return whom a channel serves at a moment, and until when, at most until another."""
        begin, end = np.searchsorted(self._channel, [channel, channel + 1])
        # Rounding may put the beginning of who is served a little after it.
        place = begin + int(np.searchsorted(self._start[begin:end], since + _ROUNDING * until, side="right"))
        after = float(self._start[place]) if place < end else until
        return (int(self._move[place - 1]) if place > begin else None), min(after, until)
