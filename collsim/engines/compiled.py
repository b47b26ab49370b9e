"""The fast engine: the same graphs of moves with the same meaning as in `collsim.engines.events`, compiled by numba.

This file prepares the arrays that the kernels (`collsim.engines.kernels`) work on, and goes in and out of them to tell
how far they are. Compiled code is kept on disk, so that it is made once a machine and not once a run.
"""

from __future__ import annotations

import math
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collsim.engines import kernels as k
from collsim.engines.timeline import Timeline
from collsim.errors import InputError, SimulationError
from collsim.graph import Followers, MoveGraph
from collsim.memory import refuse_too_large
from collsim.models import AlphaBeta, Fifo, LogGP, MaxMin, Model
from collsim.schedule import Floats, is_constant
from collsim.topology import Topology

Array = NDArray[Any]
Progress = Callable[[int, int], None]

# How many turns of its loop a kernel takes, some 0.1 s, before it comes back to tell and to let itself be interrupted.
_TURNS = 1 << 20

# What a move, or a packet, takes in the arrays here while it runs, timeline included.
_BYTES_A_MOVE = 70
_BYTES_A_PART = 100
# What a message takes besides while it is under way, and while more room is made; a flow on each hop some more.
_BYTES_A_SLOT = 100
_BYTES_A_SERVER = 100


def run(graph: MoveGraph, model: Model, progress: Progress | None = None) -> Timeline:
    """Simulate a graph of moves; parameters, result and errors as for `collsim.engines.events.run`."""
    simulation = _MODELS[type(model)](graph, model, keep=True)
    simulation.run(progress)
    return simulation.timeline


def rank_ends(graph: MoveGraph, model: Model, progress: Progress | None = None) -> Floats:
    """Return when each rank is done with its last move, shape (ranks,): 0 if it has none; no move's times are kept."""
    simulation = _MODELS[type(model)](graph, model, keep=False)
    simulation.run(progress)
    return simulation.times.rank


_NO_FLOATS, _NO_INTS = np.zeros(0), np.zeros(0, dtype=np.int32)


class _Run:
    """One run: the arrays that all kernels have.

    A model is a subclass that says what messages cost, and how many servers there are.
    """

    kernel: ClassVar[Any]
    apart = False  # whether each end of a move has times of its own
    taken_out = False  # whether events are
    bytes_a_slot = _BYTES_A_SLOT
    owner = _NO_INTS  # the move of each part; empty if moves are not cut into parts
    starts_when_ready = False
    in_order = False  # whether one thing may bring about another at the same instant
    quick: bool | None = None  # whether anything may take no time; None: that is the same
    most = 1  # parts of one message
    parts_in_all = 0  # where messages are not parts themselves

    servers: int

    def __init__(self, graph: MoveGraph, model: Any, *, keep: bool) -> None:
        self.graph, self.model = graph, model
        self.moves = len(graph)
        refuse_too_large(
            self.moves * _BYTES_A_MOVE, f"a simulation of {self.moves} moves", "use fewer ranks, or timeline=False"
        )
        nodes = self.moves if graph.step is not None else graph.nodes
        if 2 * nodes + 2 >= _MOST_NUMBERS:
            raise InputError(f"{nodes} moves are more than engine 'compiled' can number; use fewer ranks")
        self.works, self.only_messages = not _all_zero(graph.work), bool(graph.transfer.all())
        self.pair, self.pairs = _pairs(graph)
        self.prepare()
        self.g, pile = self._graph()
        self._times(keep)
        self.state = k.State(
            now=np.zeros(1),
            count=np.zeros(k.COUNTS, dtype=np.int64),
            ready=np.empty(self.moves, dtype=np.int32),
            posted=np.empty(self.moves if self.apart else 0, dtype=np.int32),
            pile=np.empty(pile, dtype=np.int32),
            happened=np.zeros(self.moves if self.apart else 0, dtype=np.uint8),
        )
        # A turn needs so many that are free; how many there are in the end depends on how much goes on at once.
        slots = min(self.moves + self.parts_in_all, 2 * graph.ranks) + 8 + self.most
        self.slots = k.new_slots(slots)
        self.q = k.new_queue(self.servers + slots, taken_out=self.taken_out)
        quick = self.in_order if self.quick is None else self.quick
        self.st = k.new_stations(self.servers, self.q, self.servers + self.most + 16, quick=quick)

    # What a model brings.

    def prepare(self) -> None:
        """Work out the number of servers, and what messages cost."""
        raise NotImplementedError

    def costs(self) -> k.Costs:
        """Return what messages cost."""
        raise NotImplementedError

    def takes_no_time(self, least: float, longest: float) -> bool:
        """Whether what takes at least so long may take no time by the clock, if a message takes at most so long alone.

        To a time of a day, 1e-12 s more is the same number.
        """
        work = self.graph.work
        if self.works:
            least, longest = min(least, float(work[work > 0].min())), longest + float(work.max())
        return least <= (_range(self.graph.release)[1] + self.moves * longest) * 2.0**-52

    @property
    def nbytes(self) -> tuple[float, float]:
        """The least and the most bytes of a message; zeros if there is none."""
        graph = self.graph
        return _range(graph.nbytes if self.only_messages else graph.nbytes[graph.transfer])

    def more(self) -> tuple[Any, ...]:
        """Return the model's own blocks."""
        return ()

    # The rest is the same for all.

    def _graph(self) -> tuple[k.Graph, int]:
        """Return the moves as kernels take them, and how many moments can come at once."""
        graph, moves = self.graph, self.moves
        none = np.zeros(0, dtype=np.int32)
        if graph.step is not None:
            at, item = k.chain_gates(graph.ranks, graph.src, graph.dst, graph.transfer, graph.step)
            first, left = none, np.zeros(graph.ranks, dtype=np.int32)
            pile = 1
        else:
            first, item = (column.astype(np.int32, copy=False) for column in _in_32_bits(graph.followers))
            at = left = none
            pile = graph.nodes + 1
        time, gate = _releases(graph)
        waits = self._waits(gate)
        few = len(waits) > 0 and int(waits.max()) < 256
        same = moves > 0 and is_constant(graph.nbytes)
        return k.Graph(
            transfer=np.zeros(0, dtype=bool) if self.only_messages else np.ascontiguousarray(graph.transfer),
            owner=self.owner,
            pair=self.pair,
            src=self.pairs[:, 0].astype(np.int32),
            dst=self.pairs[:, 1].astype(np.int32),
            nbytes=np.ascontiguousarray(graph.nbytes[:1] if same else graph.nbytes, dtype=np.float64),
            same=int(same),
            work=np.ascontiguousarray(graph.work, dtype=np.float64) if self.works else np.zeros(0),
            waits=none if few else waits.astype(np.int32, copy=False),
            few=waits.astype(np.uint8, copy=False) if few else np.zeros(0, dtype=np.uint8),
            apart=int(self.apart),
            by_step=int(graph.step is not None),
            first=first,
            item=item,
            at=at,
            left=left,
            release_time=time,
            release_gate=gate,
        ), pile

    def _waits(self, held: NDArray[np.int64]) -> NDArray[Any]:
        """Return what each counter waits for, the start and the clock (of the gates that are `held`) among it."""
        graph = self.graph
        waits: NDArray[Any]
        if graph.step is None:
            waits = graph.waits.astype(np.int32)
            waits = waits + 1 if self.apart else waits.reshape(-1, 2).sum(axis=1, dtype=np.int32) + 1
        elif self.apart and not len(held):
            return np.zeros(0, dtype=np.uint8)
        elif self.apart:
            waits = np.stack([np.ones_like(graph.transfer), graph.transfer], axis=1).view(np.uint8).ravel()
        else:
            waits = graph.transfer.view(np.uint8) + np.uint8(1)
        np.add.at(waits, held if self.apart else held >> 1, 1)
        return waits

    def _times(self, keep: bool) -> None:
        none = np.zeros(0)
        if keep:
            # NaN where a move has not finished, or no packet of it has started; the rest is written in time.
            ready, finish = np.empty(self.moves), np.full(self.moves, np.nan)
            # What is the same by definition is there once: memory is what limits large runs.
            start = ready if self.starts_when_ready and not self.works else np.full(self.moves, np.nan)
            arrive = np.empty(self.moves) if self.works or self.apart else finish
            sent = np.empty(self.moves) if self.apart else finish
            rank = np.zeros(self.graph.ranks)
            self.timeline = Timeline(ready, start, arrive, finish, sent, rank)
            self.times = k.Times(
                ready=ready,
                start=none if start is ready else start,
                sent=none if sent is finish else sent,
                arrive=none if arrive is finish else arrive,
                finish=finish,
                rank=rank,
            )
        else:
            self.times = k.Times(none, none, none, none, none, np.zeros(self.graph.ranks))

    def run(self, progress: Progress | None) -> None:
        """Run to the end.

        Raises
        ------
        SimulationError
            If moves are left that can never run.
        OverflowError
            If times are too large for a number.
        """
        with _compiling(self.kernel):
            self.kernel.compile((k.ADDRESSES,))
        why, finished = k.TELL, 0
        while why != k.DONE:
            if why == k.MORE_SLOTS:
                self.more_slots()
            elif why == k.MORE_DECISIONS:
                room = 2 * len(self.st.line)
                self.st = self.st._replace(line=k.longer(self.st.line, room), decision=k.longer(self.st.decision, room))
            blocks = k.Blocks(self.g, self.q, self.state, self.slots, self.times, self.st, self.costs(), *self.more())
            why = k.TELL
            while why == k.TELL:
                self.state.count[k.TURNS] = _TURNS
                why = int(self.kernel(blocks.where))
                finished = int(self.state.count[k.FINISHED])
                if progress is not None and self.moves and (why == k.TELL or why == k.DONE):
                    progress(finished, self.moves)
        if finished < self.moves and self.q.size[k.HEAPED] - self.q.size[k.HOLE] + (self.q.lane[:, k.HEAD] >= 0).sum():
            raise OverflowError("what is under way takes longer than a number can say")
        if finished < self.moves:
            message = f"{self.moves - finished} of {self.moves} moves can never run: they wait for each other"
            if len(self.times.finish):
                row = int(np.argmax(np.isnan(self.times.finish)))
                message += f" (the first is row {row}, rank {self.graph.src[row]} to rank {self.graph.dst[row]})"
            raise SimulationError(message)

    def more_slots(self) -> None:
        """Make room for as many slots again."""
        slots = 2 * len(self.slots.stage)
        refuse_too_large(
            slots * self.bytes_a_slot, f"room for {slots} messages or packets under way at once", "use fewer ranks"
        )
        self.slots = k.larger_slots(self.slots, slots)
        self.q = k.larger_queue(self.q, self.servers + slots)
        self.st = k.at_larger_queue(self.st, self.q)


@contextmanager
def _compiling(kernel: Any) -> Iterator[None]:
    """Say so, on a terminal, if a kernel is not on disk yet and takes more than a second to compile."""
    if not sys.stderr.isatty() or kernel.signatures:
        yield
        return
    note = threading.Timer(1.0, lambda: print("collsim: compiling, once for this machine ...", file=sys.stderr))
    note.daemon = True
    note.start()
    try:
        yield
    finally:
        note.cancel()


# They have 32 bits.
_MOST_NUMBERS = 1 << 31


def _in_32_bits(followers: Followers) -> Followers:
    """Return what waits for what, if numbers of 32 bits are enough for it: there would be 8 GB of it otherwise."""
    if len(followers.gates) >= _MOST_NUMBERS:
        raise InputError(
            f"{len(followers.gates)} dependencies are more than engine 'compiled' can number; use fewer ranks"
        )
    return followers


def _alike(array: Array) -> bool:
    return bool((array == array.flat[0]).all()) if array.size else True


def _range(array: Array) -> tuple[float, float]:
    """Return the least and the largest of an array; zeros if it is empty."""
    if array.size == 0:
        return 0.0, 0.0
    if is_constant(array):
        return float(array.flat[0]), float(array.flat[0])
    return float(array.min()), float(array.max())


def _all_zero(array: Array) -> bool:
    return not (array.flat[0] if array.size and is_constant(array) else array.any())


def _releases(graph: MoveGraph) -> tuple[Floats, NDArray[np.int64]]:
    """Return the times before which gates are not open, in order, and the gates; see `collsim.graph.Followers`."""
    if _all_zero(graph.release):
        return np.zeros(0), np.zeros(0, dtype=np.int64)
    there = np.stack([np.ones_like(graph.transfer), graph.transfer])
    end, row = np.nonzero((graph.release > 0) & there)
    gate = 2 * row + end
    order = np.lexsort((gate, graph.release[end, row]))
    return graph.release[end, row][order], gate[order].astype(np.int64)


# Up to so many ranks pairs are found in a table of all of them, which is much quicker than by sorting.
_MOST_IN_TABLE = 4096


def _pairs(graph: MoveGraph) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the number of each move's pair of ranks, and the pairs, shape (pairs, 2)."""
    ranks = graph.ranks
    if ranks <= _MOST_IN_TABLE:
        number, keys = k.number_pairs(graph.src, graph.dst, ranks)
    else:
        keys, which = np.unique(graph.src.astype(np.int64) * ranks + graph.dst, return_inverse=True)
        number = which.astype(np.int32)
    return number, np.stack(np.divmod(keys, ranks), axis=1)


class _Ports(_Run):
    """Alpha-beta: a send port, a receive port and a processor a rank."""

    kernel = staticmethod(k.alpha_beta)

    def prepare(self) -> None:
        self.alpha, self.beta = self.model.costs(self.pairs[:, 0], self.pairs[:, 1])
        self.servers = 3 * self.graph.ranks
        apart = self.pairs[:, 0] != self.pairs[:, 1]
        alpha, beta, (least, most) = _range(self.alpha[apart]), _range(self.beta[apart]), self.nbytes
        shortest = min(alpha[0], beta[0] * least) if apart.any() else math.inf
        self.in_order = self.takes_no_time(shortest, alpha[1] + beta[1] * most)

    def costs(self) -> k.Costs:
        return k.Costs(_NO_INTS, self.alpha, self.beta, _NO_FLOATS, 0, int(self.in_order))


class _Hosts(_Run):
    """LogGP: a processor and two cards a rank."""

    kernel = staticmethod(k.loggp)
    apart = True

    def prepare(self) -> None:
        model = self.model
        self.latency, self.gap = model.costs(self.pairs[:, 0], self.pairs[:, 1])
        apart = self.pairs[:, 0] != self.pairs[:, 1]
        latency, gap = self.latency[apart], self.gap[apart]
        if _alike(latency) and _alike(gap):  # the same for all pairs; local work costs neither
            self.latency, self.gap = (latency[:1], gap[:1]) if len(gap) else (np.zeros(1), np.zeros(1))
        self.figures = np.array([model.o, model.g, model.O, float(model.S)])
        self.servers = 3 * self.graph.ranks
        most = _range(self.graph.nbytes)[1]
        longest = 2 * (model.o + model.g + most * (model.O + gap.max(initial=0.0))) + latency.max(initial=0.0)
        self.quick = self.takes_no_time(min(model.o, model.g), float(longest))
        # The sender of a message that is not eager is done at the very moment that its receiver begins.
        self.in_order = self.quick or most > model.S

    def costs(self) -> k.Costs:
        return k.Costs(_NO_INTS, self.latency, self.gap, self.figures, 0, int(self.in_order))


class _Routes(NamedTuple):
    """The routes of pairs of ranks, as arrays."""

    amount: NDArray[np.int64]  # how many each pair has
    share: Floats  # of the bytes, that each route takes
    latency: Floats  # of each route
    first: NDArray[np.int64]  # of each route, in `link`
    link: NDArray[np.int32]


# Those asked for last on each network, for most run the same on it more than once.
_KNOWN: weakref.WeakKeyDictionary[Topology, tuple[NDArray[np.int64], _Routes]] = weakref.WeakKeyDictionary()


def _routes(topology: Topology, pairs: NDArray[np.int64]) -> _Routes:
    """Return the routes of these pairs; none from a rank to itself."""
    known = _KNOWN.get(topology)
    if known is not None and np.array_equal(known[0], pairs):
        return known[1]
    paths = topology.paths(pairs[:, 0], pairs[:, 1])
    found = _Routes(*paths[:2], topology.path_latency(paths), *paths[2:])
    _KNOWN[topology] = pairs.copy(), found
    return found


class _Links(_Run):
    """What max-min and fifo have in common: messages in parts, on routes over links."""

    def cut(self, packet: float, *, numbered: bool) -> None:
        """Work out what each message is cut into: on each of its routes packets of at most so many bytes.

        `numbered`: whether local work, where there is any, must have a place in the order of the parts.
        """
        graph, topology = self.graph, self.model.topology
        self.routes = _routes(topology, self.pairs)
        amount = self.routes.amount
        begin = np.cumsum(amount) - amount
        if packet == math.inf and amount.max(initial=0) <= 1 and (not numbered or self.only_messages):
            self.parts = k.Parts(np.zeros(0, np.int64), _NO_FLOATS, _NO_INTS, _NO_INTS, 1)
            # Where every pair has one, routes have the numbers of pairs.
            self.part_route = self.pair if amount.all() else begin.astype(np.int32)[self.pair]
            return
        several = np.where(graph.transfer, amount[self.pair], 1)
        row = np.repeat(np.arange(self.moves), several)  # of each message on each of its routes
        number = np.arange(len(row)) - np.repeat(np.cumsum(several) - several, several) + begin[self.pair[row]]
        number[~graph.transfer[row]] = len(self.routes.share)  # local work has no route, and no bytes
        nbytes = graph.nbytes[row] * np.append(self.routes.share, 0.0)[number]
        packets = np.maximum(1, np.ceil(nbytes / packet))
        refuse_too_large(
            packets.sum() * _BYTES_A_PART, f"{packets.sum():.0f} packets", "choose larger ones with packet_bytes"
        )
        count = packets.astype(np.int64)
        size = np.full(int(count.sum()), packet)
        last = np.cumsum(count) - 1
        with np.errstate(invalid="ignore"):  # nothing times an infinite packet
            size[last] = np.where(count > 1, nbytes - (count - 1) * packet, nbytes)
        self.owner = np.repeat(row, count).astype(np.int32)
        of_message = np.bincount(self.owner, minlength=self.moves)
        self.parts = k.Parts(
            first=np.concatenate([[0], np.cumsum(of_message)]),
            nbytes=size,
            left=of_message.astype(np.int32),
            own=_NO_INTS,
            most=int(of_message.max(initial=1)),
        )
        self.most = self.parts.most
        self.part_route = np.repeat(number, count).astype(np.int32)
        self.parts_in_all = len(size)

    @property
    def whole(self) -> bool:
        """Whether every message is one part on one route."""
        return not len(self.owner)


class _Flows(_Links):
    """Max-min: a flow on each route of a message, and a processor a rank."""

    kernel = staticmethod(k.maxmin)
    taken_out = True
    starts_when_ready = True

    def prepare(self) -> None:
        topology = self.model.topology
        self.cut(math.inf, numbered=False)
        first, link = self.routes.first, self.routes.link
        fatpipe = topology.fatpipe[link]
        cap = np.full(len(first) - 1, math.inf)
        route = np.repeat(np.arange(len(cap)), np.diff(first))  # of each hop
        np.minimum.at(cap, route[fatpipe], topology.bandwidth[link[fatpipe]])
        self.net = k.Net(
            first=np.concatenate([[0], np.cumsum(~fatpipe)])[first],
            channel=topology.channel[link[~fatpipe]].astype(np.int32),
            link=_NO_INTS,
            latency=self.routes.latency,
            bandwidth=topology.bandwidth,
            cap=cap,
        )
        self.hops = max(1, int(np.diff(self.net.first).max(initial=1)))
        self.servers = self.graph.ranks
        self.bytes_a_slot = 2 * (_BYTES_A_SLOT + 8 * self.hops)
        self.flows = k.new_flows(0, self.hops)
        self.channels = k.new_channels(len(topology.links))

    def costs(self) -> k.Costs:
        return k.Costs(self.part_route, _NO_FLOATS, _NO_FLOATS, _NO_FLOATS, self.hops, 0)

    def more(self) -> tuple[Any, ...]:
        if len(self.flows.left) < len(self.slots.stage):
            if len(self.slots.stage) * self.hops >= _MOST_NUMBERS:
                raise InputError(
                    f"{len(self.slots.stage)} flows of {self.hops} hops are more than engine 'compiled' can number; "
                    "use fewer ranks"
                )
            self.flows = k.larger_flows(self.flows, len(self.slots.stage), self.hops)
        return self.parts, self.net, self.flows, self.channels


class _Packets(_Links):
    """Fifo: a server a link, one for the packets of a message on each fatpipe, and a processor a rank."""

    kernel = staticmethod(k.fifo)

    def prepare(self) -> None:
        topology = self.model.topology
        packet = self.model.packet_bytes
        self.cut(math.inf if packet is None else float(packet), numbered=True)
        first, link = self.routes.first, self.routes.link
        fatpipe = topology.fatpipe[link]
        passed = np.concatenate([[0], np.cumsum(fatpipe)])  # fatpipes before each hop of all routes
        on_route = passed[:-1] - np.repeat(passed[first[:-1]], np.diff(first))
        self.in_order = self._in_order()
        owned = self.turns_on_fatpipes(len(topology.links), np.diff(passed[first]))
        self.net = k.Net(
            first=first,
            channel=np.where(fatpipe, -1 - on_route, topology.channel[link]).astype(np.int32),
            link=link,
            latency=topology.latency,
            bandwidth=topology.bandwidth,
            cap=_NO_FLOATS,
        )
        self.servers = len(topology.links) + owned + self.graph.ranks

    def _in_order(self) -> bool:
        topology, messages = self.model.topology, self.graph.transfer
        if not messages.any():
            return self.takes_no_time(math.inf, 0.0)
        least, most = self.nbytes
        if not self.whole:
            least = float(self.parts.nbytes[messages[self.owner]].min())
        hops = int(np.diff(self.routes.first).max())
        longest = hops * float(most / topology.bandwidth.min() + topology.latency.max())
        return self.takes_no_time(float(least / topology.bandwidth.max()), longest)

    def turns_on_fatpipes(self, links: int, fatpipes: NDArray[np.int64]) -> int:
        """Give a number to the servers, after those of links, at which packets of a message take turns on fatpipes.

        Where anything may take no time one that is alone takes its turn, too, at the end of the instant.
        `fatpipes`: how many each route crosses. Returned is how many servers these are.
        """
        if not fatpipes.any() or (self.whole and not self.in_order):
            return 0
        message = np.arange(self.moves) if self.whole else self.owner
        route = self.part_route
        head = (np.diff(message, prepend=-1) != 0) | (np.diff(route, prepend=-1) != 0)
        which = np.cumsum(head) - 1  # of each packet, the message on a route that it is part of
        takes_turns = (np.bincount(which) > 1) | self.in_order
        needs = np.where(takes_turns, np.append(fatpipes, 0)[route[head]], 0)
        owned = int(needs.sum())
        refuse_too_large(
            owned * _BYTES_A_SERVER, f"packets that take turns on {owned} fatpipes", "choose larger ones, or fewer"
        )
        own = np.where(needs > 0, links + np.cumsum(needs) - needs, -1)[which]
        self.parts = self.parts._replace(own=own.astype(np.int32))
        return owned

    def costs(self) -> k.Costs:
        return k.Costs(self.part_route, _NO_FLOATS, _NO_FLOATS, _NO_FLOATS, 0, int(self.in_order))

    def more(self) -> tuple[Any, ...]:
        return self.parts, self.net


_MODELS: dict[type[Model], type[_Run]] = {AlphaBeta: _Ports, LogGP: _Hosts, MaxMin: _Flows, Fifo: _Packets}
