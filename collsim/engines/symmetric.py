"""All ranks at once: what one of them goes through is what all do. For symmetric schedules on symmetric networks.

It rests on one fact. Ordered by step, with all ranks alike and starting together, a step takes as long for every
rank; all leave it at one instant and find the network idle. So steps can be simulated one by one, each kind of step
once, and in a step one message of each hop stands for those of all ranks. (Under LogGP cards may still be busy with
the step before; that is handed on.)

What could tell ranks apart is the order of service where several messages come to one port, link or processor at the
same instant: by row, and rows are not alike. Where times of different hops are the same, or nearly so that rounding
decides, and the order would matter, this engine refuses the job; unless, under LogGP, it rounds as the others do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from collsim.engines import choose_engine, quotient
from collsim.engines.hosts import LONGER, Cards, Kind, serve, serve_one
from collsim.engines.maxmin import weighted_shares
from collsim.engines.refinement import numbered
from collsim.engines.timeline import Timeline
from collsim.graph import MoveGraph, Waiting
from collsim.lattice import Leg, alone
from collsim.models import AlphaBeta, Fifo, LogGP, MaxMin, Model
from collsim.schedule import Floats, Op
from collsim.symmetric import Indices, Phase, SymmetricSchedule

Progress = Callable[[int, int], None]

# Two times are nearly the same if rounding in a run of so many steps could make them change places.
_SAME_TIME = 1e-13

# In a step with n messages a rank, a time is its beginning and at most 3 n durations of services. To compare two takes
# 6 n roundings by at most 1.1e-16 of the time, in each of the two engines that must agree: 1.4e-15 n in all.
_ROUNDING = 4e-15

# Different flows that may share a network at once: to work out rates takes time that grows with the square.
_MOST_FLOWS = 500


# Where no dimensions say that ranks are alike: how nearly together they must end a step.
_SAME_END = 1e-12

# The most messages that are tried to find that out, 30 us each for their routes; and how many if those of all steps
# are a hundred times as many, so that to write them out would take longer still.
_FEW_MESSAGES = 20_000
_MOST_MESSAGES = 2_000_000
_MANY_TIMES = 100


_FEW_ROWS = 4096


class Refused(Exception):
    """All ranks may not do the same here, or that cannot be proved: the reason in words."""


@dataclass(frozen=True, eq=False)
class StepTimes:
    """How long steps take.

    Attributes
    ----------
    seconds : list of ndarray of float
        Of the steps of each phase.
    time : float
        Of all together.
    """

    seconds: list[Floats]
    time: float


class Costs(NamedTuple):
    """What the messages of a phase cost, each array of shape (steps, hops).

    Attributes
    ----------
    nbytes : ndarray of float
        On the wire.
    work : ndarray of float
        Seconds of the receiver's processor.
    latency : ndarray of float
        Seconds on the way.
    gap : ndarray of float
        Seconds a byte of a message alone.
    legs : list of Leg
        The way; none without a topology.
    certain : bool
        Whether `collsim.graph.lower` and `collsim.models` come to the same figures to the last bit. They do if no
        message is packed, whose bytes are sums in some order, and if latencies are rounded once.
    """

    nbytes: Floats
    work: Floats
    latency: Floats
    gap: Floats
    legs: list[Leg]
    certain: bool


def run_schedule(
    schedule: SymmetricSchedule,
    nbytes: int,
    model: Model,
    *,
    gamma: float = 0.0,
    header_bytes: float = 0.0,
    progress: Progress | None = None,
) -> StepTimes:
    """Simulate a symmetric schedule, ordered by step.

    Parameters
    ----------
    schedule : SymmetricSchedule
        What to run.
    nbytes : int
        Size of the vector in bytes.
    model : Model
        How messages share the network. If its topology has a `Lattice` of as many ranks, one rank stands for all.
        Otherwise each kind of step is simulated with all of its messages, once, and all ranks must end it together.
    gamma : float
        Seconds a byte of payload that a reduction costs.
    header_bytes : float
        Bytes that every message has on the wire besides its payload.
    progress : callable, optional
        Called as ``progress(finished, messages)`` after each phase.

    Raises
    ------
    Refused
        If ranks are not all alike, or it cannot be told.

    Examples
    --------
    >>> from collsim.catalog import symmetric_schedule
    >>> ring = symmetric_schedule("all_reduce", "ring", ranks=4)
    >>> round(run_schedule(ring, 4_000_000_000, AlphaBeta("5us", "0.1ns/B")).time, 9)
    0.60003
    """
    settings = gamma, header_bytes, progress
    if not _is_lattice(schedule, model):
        return _step_by_step(schedule, nbytes, model, *settings)
    try:
        return _by_dimensions(schedule, nbytes, model, *settings)
    except Refused as refusal:
        if model.topology is None:
            raise
        try:
            return _step_by_step(schedule, nbytes, model, *settings)
        except Refused as other:
            raise Refused(f"{refusal}; and {other}") from None


def _by_dimensions(
    schedule: SymmetricSchedule,
    nbytes: int,
    model: Model,
    gamma: float,
    header_bytes: float,
    progress: Progress | None,
) -> StepTimes:
    clock = _LogGPClock(model) if isinstance(model, LogGP) else None
    seconds: list[Floats] = []
    finished = 0
    for phase in schedule.phases:
        costs = _costs(schedule, phase, nbytes, model, gamma, header_bytes)
        seconds.append(_seconds(model, costs, schedule.steps) if clock is None else clock.seconds(costs))
        finished += schedule.ranks * phase.steps * phase.hops
        if progress is not None:
            progress(finished, schedule.messages)
    return StepTimes(seconds, math.fsum(float(np.sum(part)) for part in seconds))


def can_run(graph: MoveGraph, model: Model) -> str | None:
    """Return why this engine cannot run a graph of single moves, or None if it can: see `collsim.engines.quotient`."""
    return quotient.can_run(graph, model)


def run(graph: MoveGraph, model: Model, progress: Progress | None = None) -> Timeline:
    """Simulate a graph of moves, one of each class; parameters and result as for `collsim.engines.events.run`."""
    return quotient.run(graph, model, progress)


def _is_lattice(schedule: SymmetricSchedule, model: Model) -> bool:
    topology = model.topology
    return topology is None or (topology.lattice is not None and topology.ranks == schedule.ranks)


def seconds_before(graph: MoveGraph, model: Model) -> float:
    """Return how long it took to find out whether it can run a graph."""
    return quotient.seconds_before(graph, model)


# Any network: each kind of step once


def _step_by_step(
    schedule: SymmetricSchedule,
    nbytes: int,
    model: Model,
    gamma: float,
    header_bytes: float,
    progress: Progress | None,
) -> StepTimes:
    """Simulate each kind of step with all of its messages, once; refuse unless all ranks end it together.

    Then all begin the next one together, on an idle network: nothing is left that could tell one time from another.
    Who is served first must not matter, for times of different ranks may differ in their last bits.
    """
    if isinstance(model, LogGP):
        raise Refused("hosts may still be busy with the step before")
    found: list[tuple[Phase, list[int], Indices]] = []
    for phase in schedule.phases:
        columns = [phase.count, *(phase.by[..., digit] for digit in range(len(phase.sides)))]
        found.append((phase, *_distinct(numbered(columns, phase.count.shape))))
    needed = schedule.ranks * sum(len(first) * phase.hops for phase, first, _ in found)
    many_times = 2 if needed <= _FEW_MESSAGES else _MANY_TIMES
    if many_times * needed > schedule.messages or needed > _MOST_MESSAGES:
        raise Refused(f"its steps differ, {needed} of {schedule.messages} messages would have to be looked at")
    seconds: list[Floats] = []
    known: dict[tuple[object, ...], float] = {}
    finished = 0
    for phase, first, which in found:
        payload = schedule.payload(phase, nbytes)
        times = []
        for step in first:
            added = gamma * payload[step] if phase.op == Op.REDUCE else np.zeros(phase.hops)
            kind = phase.sides, phase.actions, phase.by[step].tobytes(), payload[step].tobytes(), added.tobytes()
            if kind not in known:
                known[kind] = _one_step(_graph(schedule.ranks, phase, step, payload[step] + header_bytes, added), model)
            times.append(known[kind])
        seconds.append(np.array(times)[which])
        finished += schedule.ranks * phase.steps * phase.hops
        if progress is not None:
            progress(finished, schedule.messages)
    return StepTimes(seconds, math.fsum(float(np.sum(part)) for part in seconds))


def _graph(ranks: int, phase: Phase, step: int, nbytes: Floats, work: Floats) -> MoveGraph:
    """Return the messages of a step, which wait for nothing."""
    rank = np.arange(ranks)
    moves = ranks * phase.hops
    return MoveGraph(
        ranks=ranks,
        transfer=np.ones(moves, dtype=bool),
        src=np.tile(rank, phase.hops).astype(np.int32),
        dst=np.concatenate([phase.receivers(rank, step, hop) for hop in range(phase.hops)]).astype(np.int32),
        nbytes=np.repeat(nbytes, ranks),
        work=np.repeat(work, ranks),
        release=np.zeros((2, moves)),
        dependencies=lambda: Waiting(0, np.zeros((0, 2), dtype=np.int64)),
        step=np.zeros(moves, dtype=np.int32),
    )


def _one_step(graph: MoveGraph, model: Model) -> float:
    """Return how long a step takes; refuse unless it is as long for all ranks and nobody waits for his turn."""
    if not isinstance(model, MaxMin):
        if len(graph) > graph.ranks:
            raise Refused("several messages of a rank may have to wait for each other")
        if isinstance(model, Fifo):
            _check_no_queues(graph, model)
    timeline = choose_engine("auto", graph, model).run(graph, model)
    ends = np.zeros(graph.ranks)
    np.maximum.at(ends, graph.src, timeline.finish)
    np.maximum.at(ends, graph.dst, timeline.finish)
    if float(np.ptp(ends)) > _SAME_END * float(ends.max()):
        raise Refused("ranks do not end a step together")
    return float(ends.max())


def _check_no_queues(graph: MoveGraph, model: Fifo) -> None:
    topology = model.topology
    used: set[int] = set()
    packet = math.inf if model.packet_bytes is None else model.packet_bytes
    for src, dst, nbytes in zip(graph.src.tolist(), graph.dst.tolist(), graph.nbytes.tolist(), strict=True):
        links = [i for route in topology.routes(src, dst) for i in route.links if not topology.links[i].fatpipe]
        channels = topology.channel[links].tolist()
        if not used.isdisjoint(channels) or len(set(channels)) < len(channels) or nbytes > packet:
            raise Refused("messages may have to wait for each other at a link")
        used.update(channels)


def _costs(
    schedule: SymmetricSchedule, phase: Phase, nbytes: int, model: Model, gamma: float, header_bytes: float
) -> Costs:
    payload = schedule.payload(phase, nbytes)
    work = gamma * payload if phase.op == Op.REDUCE else np.zeros_like(payload)
    legs: list[Leg] = []
    if model.topology is None:
        assert isinstance(model, AlphaBeta | LogGP)
        figures = (model.alpha, model.beta) if isinstance(model, AlphaBeta) else (model.L or 0.0, model.G or 0.0)
        latency, gap = (np.broadcast_to(np.float64(figure), payload.shape) for figure in figures)
    else:
        assert model.topology.lattice is not None
        found = model.topology.lattice.legs(phase)
        if isinstance(found, str):
            raise Refused(found)
        legs = found
        latency = np.zeros(payload.shape)
        for leg in legs:
            latency = latency + leg.links * leg.latency
        gap = 1.0 / np.broadcast_to(alone(legs), payload.shape)
    return Costs(payload + header_bytes, work, latency, gap, legs, _is_certain(phase, legs))


def _is_certain(phase: Phase, legs: list[Leg]) -> bool:
    links = sum((leg.links for leg in legs), start=np.zeros(1, dtype=np.int64))
    parts = sum((leg.links > 0 for leg in legs), start=np.zeros(1, dtype=np.int64))
    not_packed = phase.neighbours or bool((phase.count == 1).all())
    return not_packed and bool(((parts <= 1) | (links <= 2)).all())


def _seconds(model: Model, costs: Costs, steps: int) -> Floats:
    """Return how long each step of a phase takes, under a model without memory."""
    if costs.nbytes.shape[1] == 1:
        return _one_hop(model, costs)[:, 0]
    kinds, which = _kinds(costs)
    found = np.array([_several_hops(model, costs, step, steps) for step in kinds])
    return np.asarray(found[which], dtype=np.float64)


def _one_hop(model: Model, costs: Costs) -> Floats:
    """Return how long messages take where every rank sends and receives one."""
    nbytes, work, latency, gap, legs, _ = costs
    if isinstance(model, MaxMin):
        for leg in legs:
            gap = np.maximum(gap, np.where(leg.fatpipe, np.minimum(leg.links, 1), leg.times) / leg.bandwidth)
        return latency + nbytes * gap + work
    if isinstance(model, AlphaBeta):
        return latency + nbytes * gap + work
    assert isinstance(model, Fifo)
    if model.packet_bytes is not None and (nbytes > model.packet_bytes).any():
        which: Indices
        kinds, which = _kinds(costs)
        times = np.array([_queues(_links(model, costs, step), len(which)) for step in kinds])
        return np.asarray(times[which], dtype=np.float64)[:, None] + work
    total = latency + work
    for leg in legs:
        if not leg.fatpipe and (leg.times > leg.links).any():
            raise Refused("messages of several ranks come to one link at the same instant")
        total = total + leg.links * nbytes / leg.bandwidth
    return total


def _kinds(costs: Costs) -> tuple[list[int], Indices]:
    """Return the numbers of steps that are all different, and for every step the place of one that is like it."""
    shape = costs.nbytes.shape
    columns: list[Floats | Indices] = [costs.nbytes, costs.work, costs.latency, costs.gap]
    for leg in costs.legs:
        columns += [np.where(leg.links > 0, leg.channel, -1), leg.links, leg.times]
    return _distinct(numbered(columns, shape))


def _distinct(rows: Indices) -> tuple[list[int], Indices]:
    """Return the numbers of rows that are all different, and for every row the place of the one that is like it."""
    if (rows == rows[0]).all():
        return [0], np.zeros(len(rows), dtype=np.int64)
    if len(rows) <= _FEW_ROWS:  # `unique` takes long for rows that are long
        place: dict[bytes, int] = {}
        which = np.array([place.setdefault(row.tobytes(), len(place)) for row in rows])
        return np.unique(which, return_index=True)[1].tolist(), which
    _, first, of = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return first.tolist(), of.ravel()


def _several_hops(model: Model, costs: Costs, step: int, steps: int) -> float:
    """Return how long a step takes in which every rank sends several messages."""
    if isinstance(model, MaxMin):
        return _flows(costs, step)
    return _queues(_stages(model, costs, step), steps)


# Max-min: flows


def _flows(costs: Costs, step: int) -> float:
    """Return when the last rank is done in a step of fluid flows.

    Flows of hops with the same figures are one flow that counts several times: rates are unique, so they are equal.
    """
    columns: list[Floats | Indices] = [costs.nbytes[step], costs.work[step], costs.latency[step]]
    for leg in costs.legs:
        columns += [np.where(leg.links[step] > 0, leg.channel[step], -1), leg.links[step], leg.times[step]]
    number = numbered(columns, costs.nbytes[step].shape)
    _, first, many = np.unique(number, return_index=True, return_counts=True)
    if len(first) > _MOST_FLOWS:
        raise Refused(f"{len(first)} different messages of each rank share the network, more than {_MOST_FLOWS}")
    arrivals = _fluid(costs, step, first, many)
    return _worked_off(arrivals, costs.work[step][first], many)


def _fluid(costs: Costs, step: int, first: Indices, many: Indices) -> Floats:
    """Return when flows arrive that begin together, after their latency."""
    kinds = len(first)
    crossed: list[dict[int, float]] = [{} for _ in range(kinds)]  # channel -> crossings of each of its links
    cap = np.full(kinds, math.inf)
    bandwidth: dict[int, float] = {}
    for leg in costs.legs:
        channel, times = leg.channel[step][first], leg.times[step][first]
        for kind in np.flatnonzero(leg.links[step][first]).tolist():
            if leg.fatpipe:
                cap[kind] = min(cap[kind], leg.bandwidth)
            else:
                crossed[kind][int(channel[kind])] = float(times[kind])
                bandwidth[int(channel[kind])] = leg.bandwidth
    left = costs.nbytes[step][first].astype(np.float64)
    begin = costs.latency[step][first]
    arrive = np.where(left > 0, math.inf, begin)
    now = 0.0
    while np.isinf(arrive).any() and now < math.inf:  # what is beyond all numbers stays infinite
        active = np.flatnonzero(np.isinf(arrive) & (begin <= now)).tolist()
        coming = begin[np.isinf(arrive) & (begin > now)]
        following = float(coming.min()) if len(coming) else math.inf
        if not active:
            now = following
            continue
        together = [{link: times * int(many[kind]) for link, times in crossed[kind].items()} for kind in active]
        rate = np.array(weighted_shares(together, cap[active].tolist(), bandwidth))
        ends = now + left[active] / rate
        until = min(float(ends.min()), following)
        left[active] = np.maximum(0.0, left[active] - rate * (until - now))
        for place, kind in enumerate(active):
            if ends[place] <= until * (1 + 1e-14):
                arrive[kind], left[kind] = until, 0.0
        now = until
    return arrive


def _worked_off(arrive: Floats, work: Floats, many: Indices | None = None) -> float:
    """Return when a processor is done with all that arrives; in which order it takes them makes no difference."""
    order = np.argsort(arrive, kind="stable")
    done = 0.0
    if many is None:
        many = np.ones(len(arrive), dtype=np.int64)
    for came, seconds in zip(arrive[order].tolist(), (work * many)[order].tolist(), strict=True):
        done = max(done, came) + seconds
    return float(max(done, arrive.max()))


# Alpha-beta and fifo: servers one after the other


class Stage(NamedTuple):
    """Where each customer waits for a server: which (-1: none), for how long it keeps it, and when it is at the next.

    `after` is in seconds from when it is served.
    """

    server: Indices
    busy: Floats
    after: Floats


def _stages(model: Model, costs: Costs, step: int) -> list[Stage]:
    """Return the servers on the way of the messages of a step."""
    nbytes, work = costs.nbytes[step], costs.work[step]
    hops = len(nbytes)
    if isinstance(model, AlphaBeta):
        busy = nbytes * costs.gap[step]
        stages = [
            Stage(np.zeros(hops, dtype=np.int64), busy, costs.latency[step]),
            Stage(np.ones(hops, dtype=np.int64), busy, busy),
        ]
    else:
        assert isinstance(model, Fifo)
        stages = _links(model, costs, step)
        if len(stages[0].busy) != hops:
            if (work > 0).any():
                raise Refused("packets are put together before they are added")
            return stages
    if (work > 0).any():
        stages.append(Stage(np.where(work > 0, -2, -1), work, work))
    return stages


def _links(model: Fifo, costs: Costs, step: int) -> list[Stage]:
    """Return the links on the way of the packets of a step, each of which is a server."""
    nbytes = costs.nbytes[step]
    size = math.inf if model.packet_bytes is None else float(model.packet_bytes)
    packets = [max(1, math.ceil(n / size)) for n in nbytes.tolist()]
    of = np.repeat(np.arange(len(nbytes)), packets)
    last = np.diff(of, append=-1) != 0
    own = np.where(last, nbytes[of] - (np.array(packets)[of] - 1) * (size if max(packets) > 1 else 0.0), size)
    stages: list[Stage] = []
    seen: set[int] = set()
    for leg in costs.legs:
        links, times, channel = leg.links[step], leg.times[step], leg.channel[step]
        if leg.fatpipe and len(costs.legs) > 1:
            raise Refused("messages cross a fatpipe between two links where they wait")
        if not leg.fatpipe and (times > links).any():
            raise Refused("messages of several ranks come to one link at the same instant")
        used = set(channel[links > 0].tolist())
        if links.max(initial=0) > 1 or used & seen:
            raise Refused("messages come to links of one kind several times on their way")
        seen |= used
        here = links[of] > 0
        server = np.where(here & (not leg.fatpipe), channel[of], -1)
        busy = np.where(here, own / leg.bandwidth, 0.0)
        stages.append(Stage(server, busy, np.where(here, busy + leg.latency, 0.0)))
    return stages


def _queues(stages: list[Stage], steps: int) -> float:
    """Return when the last customer is through, if all come to the first server at once, in their order."""
    come = np.zeros(len(stages[0].busy))
    for number, stage in enumerate(stages):
        scale = float(come.max()) + float(stage.busy.sum())
        last = number == len(stages) - 1
        if number and not last:
            _check_order(come, stages[number:], scale * _SAME_TIME * (1e4 + steps))
        come = _served(stage, come) + stage.after
    return float(come.max())


def _check_order(come: Floats, onward: list[Stage], tolerance: float) -> None:
    """Raise unless it makes no difference who of those that come to a server at the same time is served first."""
    server = onward[0].server
    order = np.lexsort((come, server))
    near = (np.diff(come[order]) <= tolerance) & (np.diff(server[order]) == 0) & (server[order][1:] >= 0)
    for stage in onward:
        for column in stage:
            if ((np.diff(column[order]) != 0) & near).any():
                raise Refused("messages that differ come to one place at the same instant")


def _served(stage: Stage, come: Floats) -> Floats:
    """Return when each customer is served: first come, first served, those who come together in their order."""
    served = come.copy()
    servers = np.unique(stage.server[stage.server != -1])
    if len(servers) > 64 and len(servers) == np.count_nonzero(stage.server != -1):
        return served
    for server in servers:
        queue = np.flatnonzero(stage.server == server)
        queue = queue[np.argsort(come[queue], kind="stable")]
        before = np.cumsum(stage.busy[queue]) - stage.busy[queue]
        served[queue] = before + np.maximum.accumulate(come[queue] - before)
    return served


# LogGP: hosts


# The kinds of messages of a step, and of which each message is.
_Step = tuple[list[Kind], list[int]]

_AS_IT_SENDS = "messages come to a host at the same instant as it sends"


class _Unclear(Exception):
    """Rounding may decide who is served first."""


class _LogGPClock:
    """Runs steps one after the other and hands on for how long the cards are still busy when a step is over.

    Each kind of step is run once, from 0. Where rounding may then decide who is served first, all steps are run one
    after the other with the numbers that `events` has: if these are certain, rounding decides here as there.
    """

    def __init__(self, model: LogGP) -> None:
        self.model = model
        self.phases: list[Costs] = []
        self.until = 0.0  # when the steps so far are over, at the latest
        self.busy: Cards = (0.0, 0.0)  # beyond the end of the step
        self.exactly = False
        self.now = 0.0

    def seconds(self, costs: Costs) -> Floats:
        """Return how long each step of a phase takes."""
        if (self.model.o + costs.latency <= 0).any():
            raise Refused(_AS_IT_SENDS)
        self.phases.append(costs)
        if not self.exactly:
            try:
                return self._each_kind(costs)
            except _Unclear:
                self.exactly, self.busy = True, (0.0, 0.0)
                for earlier in self.phases[:-1]:
                    self._one_after_another(earlier)
        return self._one_after_another(costs)

    def _each_kind(self, costs: Costs) -> Floats:
        flight, sending, receiving, card, work, *_ = self._on_hosts(costs)
        at_most = flight.max(axis=1) + np.sum(sending + receiving + card + work, axis=1)
        self.until += sum(self.busy) + float(np.sum(at_most))
        if self.until == math.inf:
            return np.full(len(at_most), math.inf)
        tolerance = _ROUNDING * (100 + costs.nbytes.shape[1]) * self.until
        steps, which = self._steps(costs)
        found = np.zeros(len(which))
        known: dict[tuple[int, Cards], tuple[float, Cards]] = {}
        begins = np.flatnonzero(np.diff(which, prepend=-1)).tolist()
        for begin, end in zip(begins, [*begins[1:], len(which)], strict=True):
            kind = int(which[begin])
            step = begin
            while step < end:
                key = kind, self.busy
                if key not in known:
                    known[key] = _from_zero(steps[kind], self.busy, tolerance)
                found[step], after = known[key]
                step += 1
                if _close(after, self.busy):
                    found[step:end] = found[step - 1]  # so it goes on
                    step = end
                self.busy = after
        return found

    def _one_after_another(self, costs: Costs) -> Floats:
        if not costs.certain:
            raise Refused("messages that differ come to one host at the same instant")
        steps, which = self._steps(costs)
        found = np.zeros(len(which))
        for step, number in enumerate(which.tolist()):
            kinds, of = steps[number]
            if self.now + min(kind.flight for kind in kinds) <= self.now:
                raise Refused(_AS_IT_SENDS)
            served = serve(kinds, of, self.now, self.busy, -math.inf)
            assert served is not None
            found[step] = served[0] - self.now
            self.now, self.busy = served
        return found

    def _steps(self, costs: Costs) -> tuple[list[_Step], Indices]:
        """Return what the messages of each kind of step cost hosts, and of which kind each step is."""
        steps, which = _kinds(costs)
        columns = self._on_hosts(costs)
        if costs.nbytes.shape[1] == 1:  # there may be many steps, and each call of numpy takes a microsecond
            each = zip(*(column[steps, 0].tolist() for column in columns), strict=True)
            return [([Kind(*figures)], [0]) for figures in each], which
        found = []
        for step in steps:
            number = numbered([column[step] for column in columns], columns[0][step].shape)
            _, first, of = np.unique(number, return_index=True, return_inverse=True)
            each = zip(*(column[step][first].tolist() for column in columns), strict=True)
            found.append(([Kind(*figures) for figures in each], of.tolist()))
        return found, which

    def _on_hosts(self, costs: Costs) -> tuple[Floats, ...]:
        """Return what messages cost hosts, in the order of `Kind`: see `collsim.engines.loggp`."""
        model, gap = self.model, costs.gap
        more = np.maximum(costs.nbytes - 1, 0)
        slowest = np.maximum(model.O, gap)
        sending, receiving, card = model.o + more * model.O, model.o + more * slowest, model.g + more * gap
        # Durations that are equal by chance need not be so where bytes are added up in another order.
        surely = [
            np.where((model.o == model.g) & ((a_byte == gap) | (more == 0)), seconds, seconds * (1 - LONGER))
            for seconds, a_byte in [(sending, model.O), (receiving, slowest)]
        ]
        return model.o + costs.latency, sending, receiving, card, costs.work, *surely


def _from_zero(step: _Step, busy: Cards, tolerance: float) -> tuple[float, Cards]:
    """Return how long a step takes, and for how long the cards are still busy then."""
    kinds, of = step
    served = serve_one(kinds[0], 0.0, busy) if len(of) == 1 else serve(kinds, of, 0.0, busy, tolerance)
    if served is None:
        raise _Unclear
    end, (send, receive) = served
    return end, (max(0.0, send - end), max(0.0, receive - end))


def _close(one: Cards, other: Cards) -> bool:
    return one == other or all(math.isclose(a, b, rel_tol=1e-13) for a, b in zip(one, other, strict=True))
