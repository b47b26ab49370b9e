"""Equal moves at once: one of each class that `collsim.engines.refinement` finds is simulated for all of its members.

Why it is exact. Let moves of one class have the same figures, wait for moves of the same classes, and come to servers
of the same classes, where the same classes come in the same order of rows. Then whatever happens to one of them
happens to all, instant by instant (by induction over the events of a run):

- a move is ready when the last that it waits for is done; that is as late for all;
- a server takes who came first, those who come together by row. In a class of servers the same classes of customers
  come at the same instants, and stand in the same order; so it is the turn of the same class everywhere. What is done
  at one server must not change at the same instant who is next at another: so services that take no time are refused;
- max-min rates are unique. Where every flow of a class crosses links of the same classes, and every link of a class
  carries as many flows of each class, rates that are the same within classes solve the equations if one link of each
  class does; so they are the rates.

So a run of one member of each class, at one server of each class, with links that count every flow as often as it
crosses them, is a run of all; it is made by the reference engine itself, with the same operations on the same numbers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import simpy

from collsim.engines.alpha_beta import AlphaBetaNetwork
from collsim.engines.events import Simulation
from collsim.engines.fifo import FifoNetwork
from collsim.engines.instants import Server, Station
from collsim.engines.loggp import Host, LogGPNetwork
from collsim.engines.maxmin import MaxMinNetwork, weighted_shares
from collsim.engines.network import Network
from collsim.engines.refinement import RECEIVE, SEND, WORK, Classes, NoClasses, refine
from collsim.engines.timeline import Timeline
from collsim.errors import InputError
from collsim.graph import MoveGraph, Waiting
from collsim.models import AlphaBeta, Fifo, LogGP, MaxMin, Model

Progress = Callable[[int, int], None]
_S = TypeVar("_S", bound=Station)

# Times of flows are sums in other orders than if all flows were simulated: so near each other, who came first is open.
_SAME_TIME = 1e-12


def can_run(graph: MoveGraph, model: Model) -> str | None:
    """Return why a graph cannot be run with one move for many, or None if it can."""
    outcome = _attempt(graph, model).outcome
    return outcome if isinstance(outcome, str) else None


def run(graph: MoveGraph, model: Model, progress: Progress | None = None) -> Timeline:
    """Simulate a graph of moves; parameters and result as for `collsim.engines.events.run`.

    Raises
    ------
    NoClasses
        If moves are not alike.
    """
    outcome = _attempt(graph, model, progress).outcome
    if isinstance(outcome, str):
        raise NoClasses(outcome)
    if progress is not None and len(graph):
        progress(len(graph), len(graph))
    return outcome


def seconds_before(graph: MoveGraph, model: Model) -> float:
    """Return how long it took already to find out whether a graph can be run, which is to run it."""
    known = _known.get(graph)
    return known.seconds if known is not None and known.model is model else 0.0


class _Known(NamedTuple):
    """What came out of a graph under a model, and how many seconds it took."""

    model: Model
    outcome: Timeline | str
    seconds: float


# Choosing an engine asks whether it can be done; only a run shows that; so what came out is kept until it is asked for.
_known: WeakKeyDictionary[MoveGraph, _Known] = WeakKeyDictionary()


def _attempt(graph: MoveGraph, model: Model, progress: Progress | None = None) -> _Known:
    known = _known.get(graph)
    if known is None or known.model is not model:
        began = time.perf_counter()
        outcome = _timeline(graph, model, progress)
        known = _known[graph] = _Known(model, outcome, time.perf_counter() - began)
    return known


def _timeline(graph: MoveGraph, model: Model, progress: Progress | None) -> Timeline | str:
    """Simulate one move of each class, and give its times to all; or say why that cannot be done."""
    if not len(graph):
        return Timeline.unknown(0)
    # Moves that are alike only step by step first: if they are not, they are not alike at all.
    reasons = []
    for sliced in (True, False):
        try:
            classes = refine(graph, model, sliced=sliced)
        except NoClasses as refusal:
            reasons.append(str(refusal))
            break
        try:
            return _simulated(graph, model, classes, progress)
        except (NoClasses, InputError) as refusal:  # such as too many packets for the reference engine
            reasons.append(str(refusal))
    return "; and ".join(reasons)


def _simulated(graph: MoveGraph, model: Model, classes: Classes, progress: Progress | None) -> Timeline:
    def tell(finished: int, moves: int) -> None:
        assert progress is not None
        progress(len(graph) * finished // moves, len(graph))

    quotient = _quotient(graph, classes)
    simulation = Simulation(quotient, model, None if progress is None else tell, NETWORKS[type(model)])
    simulation.env.run()
    simulation.check_complete()
    timeline = simulation.timeline.at(classes.node[: len(graph)])
    done = np.maximum(timeline.sent, timeline.finish)
    if isinstance(simulation.network, _Hosts):  # the card may be busy after its part of the message is done
        done = done + np.array(simulation.network.card)[classes.node[: len(graph)]]
    classes.check_slices(timeline.ready, done)
    return timeline


@dataclass(frozen=True, eq=False)
class Quotient(MoveGraph):
    """One move of each class, with the ranks, and so the figures, of its first member."""

    classes: Classes = field(kw_only=True)


def _quotient(graph: MoveGraph, classes: Classes) -> Quotient:
    joins = len(classes.first) - classes.moves
    place = np.full(graph.nodes, -1)
    place[classes.first] = np.arange(len(classes.first))
    _, edges, ends = graph.waiting
    into = place[edges[:, 1]]
    ours = into >= 0
    columns = [classes.node[edges[ours, 0]], into[ours]] + ([] if ends is None else [ends[ours].astype(np.int64)])
    table = np.array(sorted(set(zip(*(column.tolist() for column in columns), strict=True))), dtype=np.int64)
    table = table.reshape(-1, len(columns))
    waiting = Waiting(joins, table[:, :2], None if ends is None else table[:, 2].astype(np.uint8))
    moves = classes.first[: classes.moves]
    return Quotient(
        ranks=graph.ranks,
        transfer=graph.transfer[moves],
        src=graph.src[moves],
        dst=graph.dst[moves],
        nbytes=graph.nbytes[moves],
        work=graph.work[moves],
        release=graph.release[:, moves],
        dependencies=lambda: waiting,
        classes=classes,
    )


# The networks of the reference engine, in which all servers of a class are one


def _servers(classes: Classes, make: Callable[[], _S]) -> dict[tuple[int, int], _S]:
    """Return the server to which a move comes in a role, by these two."""
    made = {number: make() for number in sorted(set(classes.turns.values()))}
    return {visit: made[number] for visit, number in classes.turns.items()}


class _Ports(AlphaBetaNetwork):
    graph: Quotient

    def prepare(self, model: AlphaBeta) -> None:
        super().prepare(model)
        self.servers = _servers(self.graph.classes, lambda: Server(self.env))

    def ports(self, row: int) -> tuple[Server, Server]:
        return self.servers[row, SEND], self.servers[row, RECEIVE]

    def processor(self, row: int) -> Server:
        return self.servers[row, WORK]


class _Links(FifoNetwork):
    graph: Quotient

    def prepare(self, model: Fifo) -> None:
        super().prepare(model)
        self.servers = _servers(self.graph.classes, lambda: Server(self.env))

    def queue(self, row: int, place: int, link: int) -> Server | None:
        return None if self.fatpipe[link] else self.servers[row, place]

    def processor(self, row: int) -> Server:
        return self.servers[row, WORK]


class _Host(Host):
    """A host that knows who came when, and for what.

    Rows stand in the same order at all hosts of a class among those who send, among those who are received and among
    those who are worked on; not all together.
    """

    def __init__(self, env: simpy.Environment) -> None:
        super().__init__(env)
        self.came: dict[float, tuple[str, ...]] = {}

    def turn_at(self, row: int, needs: Mapping[str, float]) -> Generator[simpy.Event, Any, None]:
        if self.came.setdefault(self.env.now, tuple(needs)) != tuple(needs):
            raise NoClasses("messages come to a host at the same instant as it sends or works: rows say who is first")
        return super().turn_at(row, needs)


class _Hosts(LogGPNetwork):
    graph: Quotient

    def prepare(self, model: LogGP) -> None:
        super().prepare(model)
        self.servers = _servers(self.graph.classes, lambda: _Host(self.env))

    def ends(self, row: int) -> tuple[Host, Host]:
        return self.servers[row, SEND], self.servers[row, RECEIVE]

    def processor(self, row: int) -> Host:
        return self.servers[row, WORK]


class _Processor(Server):
    """A processor that refuses who comes nearly, but not quite, at the same time as another."""

    def __init__(self, env: simpy.Environment) -> None:
        super().__init__(env)
        self.latest = -math.inf

    def turn(self, row: int, seconds: float) -> Generator[simpy.Event, Any, None]:
        now = self.env.now
        if 0 < now - self.latest <= _SAME_TIME * now:
            raise NoClasses("flows come to a processor so nearly together that rounding would say who is first")
        self.latest = now
        return super().turn(row, seconds)


class _Flows(MaxMinNetwork):
    graph: Quotient

    def prepare(self, model: MaxMin) -> None:
        super().prepare(model)
        self.servers = _servers(self.graph.classes, lambda: _Processor(self.env))
        self.cap: dict[tuple[int, int], float] = {}

    def processor(self, row: int) -> Server:
        return self.servers[row, WORK]

    def rates(self, flows: Sequence[tuple[int, int]]) -> list[float]:
        classes = self.graph.classes
        crossed = [classes.loads.get(flow, {}) for flow in flows]
        return weighted_shares(crossed, [self._cap(*flow) for flow in flows], classes.bandwidth)

    def _cap(self, row: int, number: int) -> float:
        """Return the least bandwidth of the fatpipes on a route."""
        if self.fatpipe is None:
            return math.inf
        if (row, number) not in self.cap:
            route = self.topology.routes(int(self.graph.src[row]), int(self.graph.dst[row]))[number]
            own = (self.bandwidth[link] for link in route.links if self.fatpipe[link])
            self.cap[row, number] = min(own, default=math.inf)
        return self.cap[row, number]


NETWORKS: dict[type[Model], type[Network]] = {AlphaBeta: _Ports, LogGP: _Hosts, MaxMin: _Flows, Fifo: _Links}
