"""Which moves of a graph start and finish together, whatever the network does: found by refinement.

Moves, joins and servers (ports, processors, links) get colours: at first by their own figures, then over and over by
the colours of what they wait for and of whom they share a server with, until no colour splits any more (colour
refinement; D. G. Corneil and C. C. Gotlieb, J. ACM 17(1), 1970). Colours are numbers of 64 bits that stand for
multisets; that two which differ get the same number has a probability of some n^2 / 2^65.

What it is for, and why moves of one colour then do the same, stands in `collsim.engines.quotient`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collsim.graph import MoveGraph
from collsim.models import AlphaBeta, Fifo, LogGP, MaxMin, Model
from collsim.schedule import Floats, is_constant
from collsim.topology import Topology

Indices = NDArray[np.int64]
Colours = NDArray[np.uint64]

# What moves do at servers: each link on the way of a message, or each of its routes, is a role of its own.
SEND, RECEIVE, WORK = -3, -2, -1

# With more kinds of moves nothing is gained: each takes as long to simulate as it takes to refine some 16 moves.
_MOST_KINDS, _FREE_KINDS = 1 / 16, 500

# A move takes some 400 bytes here, and a microsecond each round.
_MOST_MOVES = 4_000_000

# So often colours are refined before one gives up: each time costs as much as to simulate some messages in numba.
_MOST_ROUNDS = 100


class NoClasses(Exception):
    """Moves are not alike, or what happens to them depends on more than what their colours say: the reason in words."""


class Visits(NamedTuple):
    """Which moves come to which servers: arrays of shape (visits,), sorted by server, then by move.

    Attributes
    ----------
    move, server, role : ndarray of int
        Role is what the move does there; roles of all kinds of servers are different.
    """

    move: Indices
    server: Indices
    role: Indices


@dataclass(frozen=True, eq=False)
class Classes:
    """Moves, joins and servers in classes, which are numbered in the order of their first members.

    Attributes
    ----------
    node : ndarray of int, shape (nodes,)
        The class of every move, and after them of every join.
    first : ndarray of int, shape (classes,)
        The first member of each.
    moves : int
        So many of the classes are of moves.
    turns : mapping
        The class of the server that takes one at a time to which a class of moves comes, by that and the role.
    loads : mapping
        How many flows like each, (class of the move, role), cross the links on its way: {class of links: number}.
    bandwidth : sequence of float
        Of the classes of servers; 0 for those that have none.
    slices : tuple of arrays
        The server and the slice of time of every visit, and the move, if servers were taken slice by slice.
    """

    node: Indices
    first: Indices
    moves: int
    turns: Mapping[tuple[int, int], int]
    loads: Mapping[tuple[int, int], Mapping[int, int]]
    bandwidth: Sequence[float]
    slices: tuple[Indices, Indices, Indices] | None

    def check_slices(self, begin: Floats, end: Floats) -> None:
        """Raise unless servers are done with a slice of their moves before the first of the next comes.

        `begin` and `end` are of every move.
        """
        if self.slices is None:
            return
        server, part, move = self.slices
        first = np.flatnonzero((np.diff(server, prepend=-1) != 0) | (np.diff(part, prepend=-1) != 0))
        if len(first) < 2:
            return
        opened, closed = np.minimum.reduceat(begin[move], first), np.maximum.reduceat(end[move], first)
        same = server[first][1:] == server[first][:-1]
        if (same & (opened[1:] < closed[:-1])).any():
            raise NoClasses("moves of several steps share a port, link or processor")


def refine(graph: MoveGraph, model: Model, *, sliced: bool) -> Classes:
    """Return the classes of a graph's moves.

    Parameters
    ----------
    graph : MoveGraph
        What to refine.
    model : Model
        What moves cost, and what they share.
    sliced : bool
        Whether to look only at moves of one step (of as many edges, if they are not ordered by step) to see who
        shares a server. There are fewer classes then, but when their times are known `Classes.check_slices` must show
        that no others did.

    Raises
    ------
    NoClasses
        If there are hardly any, or the model asks for more than classes tell.
    """
    moves = len(graph)
    if moves > _MOST_MOVES:
        raise NoClasses(f"{moves} moves are more than the {_MOST_MOVES} among which equal ones are looked for")
    pairs = _Pairs(graph)
    columns, times, servers = _KINDS[type(model)](graph, model, pairs)
    _refuse_zeros(graph, times)
    colour = _seeds([graph.transfer, graph.nbytes, graph.work, *graph.release, *columns], moves)
    depth = _levels(graph) if graph.step is None else np.concatenate([graph.step, np.zeros(graph.nodes - moves)])
    depth = np.maximum(depth, 0).astype(np.int64)
    parts = int(depth.max(initial=0)) + 1 if sliced else 1
    visits: list[Visits] = []
    figure = [np.zeros(0)]
    slices = []
    offset = 0
    for place, kind in enumerate(servers):
        number = kind.server * parts + depth[kind.move] if sliced else kind.server
        order = np.lexsort((kind.role, kind.move, number)) if kind.turns else np.argsort(number, kind="stable")
        move, number, role = kind.move[order], number[order], kind.role[order]
        changes = np.diff(number, prepend=-1) != 0
        own = np.cumsum(changes) - 1
        if kind.turns:
            _refuse_returns(move, own, role)
            np.add.at(colour, move, _mixed(_mixed(_places(own, _lines(model, role))) + _mixed(role)))
        visits.append(Visits(move, own + offset, role))
        which = number[changes] // parts
        figure.append(np.zeros(len(which)) if kind.figure is None else kind.figure[which])
        slices.append((kind.server[order] * len(servers) + place, depth[move], move))
        offset += len(which)
    node = _mixed(np.concatenate([colour, np.full(graph.nodes - moves, 7, dtype=np.uint64)]))
    node = _mixed(node + _mixed(depth))
    of_server = np.concatenate(figure)
    node, colours = _stable(graph, node, _seeds([of_server], offset), visits)
    of_move, first_move = _in_order(node[:moves])
    of_join, first_join = _in_order(node[moves:])
    of_class, first_server = _in_order(colours)
    turns: dict[tuple[int, int], int] = {}
    loads: dict[tuple[int, int], dict[int, int]] = {}
    for kind, (move, server, role) in zip(servers, visits, strict=True):
        if kind.turns:
            _refuse_disorder(of_move[move], server, _lines(model, role))
            ours = first_move[of_move[move]] == move
            keys = zip(of_move[move[ours]].tolist(), role[ours].tolist(), strict=True)
            turns.update(zip(keys, of_class[server[ours]].tolist(), strict=True))
        else:
            loads = _loads(of_move[move], server, role, of_class, first_server)
    return Classes(
        node=np.concatenate([of_move, len(first_move) + of_join]),
        first=np.concatenate([first_move, moves + first_join]),
        moves=len(first_move),
        turns=turns,
        loads=loads,
        bandwidth=of_server[first_server].tolist(),
        slices=_joined(slices) if sliced else None,
    )


def _joined(slices: Sequence[tuple[Indices, ...]]) -> tuple[Indices, Indices, Indices]:
    server, part, move = (np.concatenate(column) for column in zip(*slices, strict=True))
    return server, part, move


def _lines(model: Model, role: Indices) -> Indices:
    """Return in which of a server's lines each visit stands; in a line, those who come together are taken by row.

    All who come to a link, by whichever hop of theirs, stand in one. A host of LogGP has a line for each role: that two
    roles meet there is refused when it happens.
    """
    return role if isinstance(model, LogGP) else np.zeros_like(role)


def _places(server: Indices, line: Indices) -> Indices:
    """Return the place of each visit in its line at its server."""
    order = np.lexsort((line, server))
    key = np.stack([server[order], line[order]])
    begin = np.flatnonzero(np.concatenate([[True], (np.diff(key, axis=1) != 0).any(axis=0)])[: len(order)])
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order)) - np.repeat(begin, np.diff(begin, append=len(order)))
    return place


def _refuse_returns(move: Indices, server: Indices, role: Indices) -> None:
    if ((np.diff(server) == 0) & (np.diff(move) == 0) & (role[1:] >= 0)).any():
        raise NoClasses("messages come to one link twice on their way")


def _refuse_disorder(of_move: Indices, server: Indices, line: Indices) -> None:
    """Raise unless the classes in one line of a server stand in the order of their first members everywhere."""
    order = np.lexsort((line, server))  # stable: moves stay in order
    same = (np.diff(server[order]) == 0) & (np.diff(line[order]) == 0)
    if (same & (np.diff(of_move[order]) <= 0)).any():
        raise NoClasses("rows stand in other orders at different ranks, and those who come together take turns so")


def _loads(
    of_move: Indices, server: Indices, role: Indices, of_class: Indices, first: Indices
) -> dict[tuple[int, int], dict[int, int]]:
    ours = first[of_class[server]] == server
    keys = np.stack([of_move[ours], role[ours], of_class[server[ours]]])
    keys = keys[:, np.lexsort(keys)]
    begin = np.flatnonzero(np.concatenate([[True], (np.diff(keys, axis=1) != 0).any(axis=0)])[: keys.shape[1]])
    found: dict[tuple[int, int], dict[int, int]] = {}
    for (kind, which, link), number in zip(
        keys[:, begin].T.tolist(), np.diff(begin, append=keys.shape[1]).tolist(), strict=True
    ):
        found.setdefault((kind, which), {})[link] = number
    return found


def most_kinds(moves: int) -> float:
    """Return how many kinds of moves are worth while."""
    return min(moves / 2, _FREE_KINDS + moves * _MOST_KINDS)


def _stable(graph: MoveGraph, node: Colours, server: Colours, visits: list[Visits]) -> tuple[Colours, Colours]:
    """Refine colours until none splits."""
    moves = len(graph)
    edges, ends = graph.waiting.edges, graph.waiting.ends
    order = np.argsort(edges[:, 1], kind="stable")
    before = edges[order, 0]
    into = _Sums(edges[order, 1], len(node))
    kind = np.zeros(1, dtype=np.uint64) if ends is None else _mixed(ends[order])
    at_server = [(_Sums(group.server, len(server)), _mixed(group.role)) for group in visits]
    # What a move hears of its servers: the same visits, sorted by move.
    turned = [np.argsort(group.move, kind="stable") for group in visits]
    to_move = [_Sums(group.move[order], moves) for group, order in zip(visits, turned, strict=True)]
    most = most_kinds(moves)
    number = (0, 0, 0)
    for _ in range(_MOST_ROUNDS):
        now = _number(node[:moves]), _number(node[moves:]), _number(server)
        if now[0] > most:
            raise NoClasses(f"its {moves} moves hardly do the same: they are of {now[0]} kinds or more")
        if now == number:
            return node, server
        number = now
        heard = into(_mixed(node[before] ^ kind))
        for group, (sums, role) in zip(visits, at_server, strict=True):
            server = _mixed(server + sums(_mixed(node[group.move] ^ role)))
        node = _mixed(node) + heard
        for group, order, (_, role), sums in zip(visits, turned, at_server, to_move, strict=True):
            node[:moves] += sums(_mixed(server[group.server[order]] ^ role[order]))
        node = _mixed(node)
    raise NoClasses(f"it is not known after {_MOST_ROUNDS} rounds of refinement which moves do the same")


# What the models say


class Servers(NamedTuple):
    """A kind of server: which moves come to which, in which role.

    `turns`: whether it takes one at a time, those who come together by row. If not, it is a link that flows share,
    and `figure` has the bandwidths.
    """

    move: Indices
    server: Indices
    role: Indices
    turns: bool = True
    figure: Floats | None = None


# Figures of all moves; times of messages that must not be 0 for it to be clear whose turn it is; servers.
_Asked = tuple[list[NDArray[Any]], list[Floats], list[Servers]]


class _Pairs:
    """The pairs of ranks between which messages go."""

    def __init__(self, graph: MoveGraph) -> None:
        self.moves = len(graph)
        self.messages = np.flatnonzero(graph.transfer)
        src, dst = (column[self.messages].astype(np.int64) for column in (graph.src, graph.dst))
        key = src * graph.ranks + dst
        if graph.ranks**2 <= 4 * len(key) + 1024:  # a table of all is quicker than sorting
            there = np.zeros(graph.ranks**2, dtype=bool)
            there[key] = True
            keys = np.flatnonzero(there)
            self.of_message = (np.cumsum(there) - 1)[key]
        else:
            keys, self.of_message = np.unique(key, return_inverse=True)
        self.src, self.dst = np.divmod(keys, graph.ranks)

    def spread(self, figure: NDArray[Any]) -> NDArray[Any]:
        """Return a figure of pairs as one of moves; 0 for local work."""
        found = np.zeros(self.moves, dtype=figure.dtype)
        found[self.messages] = figure[self.of_message]
        return found


def _processors(graph: MoveGraph) -> Servers:
    works = np.flatnonzero(graph.work > 0)
    return _at(works, graph.dst[works], WORK)


def _at(moves: Indices, rank: NDArray[np.integer], role: int) -> Servers:
    return Servers(moves, rank.astype(np.int64), np.full(len(moves), role, dtype=np.int64))


def _of_ports(graph: MoveGraph, model: AlphaBeta, pairs: _Pairs) -> _Asked:
    alpha, beta = model.costs(pairs.src.astype(np.int32), pairs.dst.astype(np.int32))
    sent = pairs.messages
    servers = [_at(sent, graph.src[sent], SEND), _at(sent, graph.dst[sent], RECEIVE), _processors(graph)]
    return [pairs.spread(alpha), pairs.spread(beta)], [beta[pairs.of_message] * graph.nbytes[sent]], servers


def _of_hosts(graph: MoveGraph, model: LogGP, pairs: _Pairs) -> _Asked:
    latency, gap = model.costs(pairs.src.astype(np.int32), pairs.dst.astype(np.int32))
    sent = pairs.messages
    parts = [_at(sent, graph.src[sent], SEND), _at(sent, graph.dst[sent], RECEIVE), _processors(graph)]
    more, own = np.maximum(graph.nbytes[sent] - 1, 0), gap[pairs.of_message]
    times = [model.o + more * model.O, model.o + more * np.maximum(model.O, own), model.g + more * own]
    move, server, role = (np.concatenate(column) for column in zip(*(part[:3] for part in parts), strict=True))
    return [pairs.spread(latency), pairs.spread(gap)], times, [Servers(move, server, role)]


class _Ways(NamedTuple):
    """The routes of pairs: what tells them apart besides their links, and each link that one crosses.

    `sign` has one number a pair, the rest has shape (crossings,); `place` counts the links on all routes of a pair.
    """

    sign: Indices
    pair: Indices
    route: Indices
    place: Indices
    link: Indices


def _ways(model: MaxMin | Fifo, pairs: _Pairs, *, in_order: bool) -> _Ways:
    topology = model.topology
    if topology.finds_many and len(pairs.src):
        return _ways_of_many(topology, pairs, in_order=in_order)
    latency, bandwidth, fatpipe = (c.tolist() for c in (topology.latency, topology.bandwidth, topology.fatpipe))
    signs: dict[Hashable, int] = {}
    sign: list[int] = []
    crossings: list[tuple[int, int, int, int]] = []
    for pair, (src, dst) in enumerate(zip(pairs.src.tolist(), pairs.dst.tolist(), strict=True)):
        routes = topology.routes(src, dst)
        place = 0
        kind: list[Hashable] = []
        for number, (share, links) in enumerate(routes):
            for link in links:
                crossings.append((pair, number, place, link))
                place += 1
            if in_order:
                kind.append((share, tuple((latency[i], bandwidth[i], fatpipe[i]) for i in links)))
            else:
                cap = min((bandwidth[i] for i in links if fatpipe[i]), default=math.inf)
                kind.append((share, math.fsum(latency[i] for i in links), cap))
        sign.append(signs.setdefault(tuple(kind), len(signs)))
    table = np.array(crossings, dtype=np.int64).reshape(-1, 4)
    return _Ways(np.array(sign, dtype=np.int64), *table.T)


def _ways_of_many(topology: Topology, pairs: _Pairs, *, in_order: bool) -> _Ways:
    """Return the same where routes are found for many pairs at once, one for each; no pair is a rank and itself."""
    paths = topology.paths(pairs.src, pairs.dst)
    hops = np.diff(paths.first)
    pair = np.repeat(np.arange(len(hops)), hops)
    place = np.arange(len(pair)) - np.repeat(paths.first[:-1], hops)
    link = paths.link.astype(np.int64)
    if in_order:
        kind = numbered([topology.latency, topology.bandwidth, topology.fatpipe], topology.latency.shape)[link]
        sign = hops.copy()
        if kind.any():
            for step in range(int(hops.max())):
                longer = hops > step
                here = kind[paths.first[:-1][longer] + step]
                sign[longer] = numbered([sign[longer], here], here.shape)
            sign = numbered([sign, hops], hops.shape)
    else:
        cap = np.where(topology.fatpipe, topology.bandwidth, np.inf)[link]
        sign = numbered([topology.path_latency(paths), np.minimum.reduceat(cap, paths.first[:-1])], hops.shape)
    return _Ways(_in_order(sign.astype(np.uint64))[0], pair, np.zeros_like(pair), place, link)


def numbered(columns: Sequence[NDArray[Any]], shape: tuple[int, ...]) -> Indices:
    """Return one number for each combination of values; equal ones for equal combinations."""
    number = np.zeros(shape, dtype=np.int64)
    for column in columns:
        if column.size and (column != column.flat[0]).any():
            values, place = np.unique(column, return_inverse=True)
            number = number * len(values) + place.reshape(shape)
            number = np.unique(number, return_inverse=True)[1].reshape(shape)
    return number


def _crossings(graph: MoveGraph, model: MaxMin | Fifo, pairs: _Pairs, ways: _Ways, role: Indices) -> Servers:
    """Return the links that every message crosses, but for fatpipes."""
    topology = model.topology
    kept = ~topology.fatpipe[ways.link]
    pair, channel, role = ways.pair[kept], topology.channel[ways.link[kept]], role[kept]
    first = np.searchsorted(pair, np.arange(len(pairs.src) + 1))
    many = np.diff(first)[pairs.of_message]
    move = np.repeat(pairs.messages, many)
    at = np.arange(len(move)) - np.repeat(np.cumsum(many) - many, many) + np.repeat(first[pairs.of_message], many)
    return Servers(move, channel[at], role[at])


def _of_links(graph: MoveGraph, model: Fifo, pairs: _Pairs) -> _Asked:
    ways = _ways(model, pairs, in_order=True)
    links = _crossings(graph, model, pairs, ways, ways.place)
    return [pairs.spread(ways.sign + 1)], [graph.nbytes[pairs.messages]], [links, _processors(graph)]


def _of_flows(graph: MoveGraph, model: MaxMin, pairs: _Pairs) -> _Asked:
    ways = _ways(model, pairs, in_order=False)
    links = _crossings(graph, model, pairs, ways, ways.route)
    flows = graph.nbytes[links.move] > 0  # messages without bytes use no bandwidth
    links = Servers(links.move[flows], links.server[flows], links.role[flows], False, model.topology.bandwidth)
    return [pairs.spread(ways.sign + 1)], [], [links, _processors(graph)]


_KINDS: dict[type[Model], Callable[[MoveGraph, Any, _Pairs], _Asked]] = {
    AlphaBeta: _of_ports,
    LogGP: _of_hosts,
    Fifo: _of_links,
    MaxMin: _of_flows,
}


def _refuse_zeros(graph: MoveGraph, times: Sequence[Floats]) -> None:
    """Raise where what is done at one server changes at the same instant who is next at another one."""
    zero = [bool((column <= 0).any()) for column in times if len(column)]
    keeps_nobody = all(not column.any() for column in times) and not (graph.work > 0).any()
    if any(zero) and not keeps_nobody:
        raise NoClasses("some messages keep no port, link or processor busy: whose turn it is may go by all rows")


# Colours


def _mixed(number: NDArray[Any]) -> Colours:
    """Return a number that looks random for each (G. Steele, D. Lea, C. Flood, SplitMix, OOPSLA 2014)."""
    mixed: Colours = number.astype(np.uint64)
    mixed += np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed ^= mixed >> np.uint64(shift)
        mixed *= np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def _seeds(columns: Iterable[NDArray[Any]], number: int) -> Colours:
    """Return one colour for each combination of values, bit for bit."""
    colour = np.zeros(number, dtype=np.uint64)
    for column in columns:
        if is_constant(column):
            continue
        bits = (column + 0.0).view(np.uint64) if column.dtype == np.float64 else column
        colour = _mixed(colour + _mixed(bits))
    return colour


def _number(colours: Colours) -> int:
    """Return how many different colours there are."""
    ordered = np.sort(colours)
    return int(np.count_nonzero(ordered[1:] != ordered[:-1])) + min(1, len(ordered))


def _in_order(colours: Colours) -> tuple[Indices, Indices]:
    """Return the class of everyone, numbered in the order of the first members, and these."""
    _, first, which = np.unique(colours, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank[which.ravel()], first[order]


class _Sums:
    """Adds up what stands in order of to whom it belongs."""

    def __init__(self, owner: Indices, owners: int) -> None:
        self.begin = np.flatnonzero(np.diff(owner, prepend=-1))
        self.owner, self.owners = owner[self.begin], owners

    def __call__(self, colours: Colours) -> Colours:
        found = np.zeros(self.owners, dtype=np.uint64)
        if len(self.begin):
            found[self.owner] = np.add.reduceat(colours, self.begin)
        return found


def _levels(graph: MoveGraph) -> Indices:
    """Return the number of edges on the longest way to each node; -1 for those that wait for each other.

    Nodes of one class have the same, so to begin with it saves as many rounds of refinement.
    """
    before, after = graph.waiting.edges.T
    order = np.argsort(before, kind="stable")
    after = after[order]
    first = np.searchsorted(before[order], np.arange(graph.nodes + 1))
    waits = np.bincount(after, minlength=graph.nodes)
    level = np.full(graph.nodes, -1, dtype=np.int64)
    now = np.flatnonzero(waits == 0)
    depth = 0
    while len(now):
        level[now] = depth
        depth += 1
        if depth > graph.nodes / 2:
            raise NoClasses("most moves wait for each other in one line")
        many = first[now + 1] - first[now]
        at = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many) + np.repeat(first[now], many)
        reached = after[at]
        np.subtract.at(waits, reached, 1)
        reached = np.unique(reached)
        now = reached[waits[reached] == 0]
    return level
