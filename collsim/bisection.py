"""Bisection bandwidth: the least that two halves of the ranks can exchange, whichever halves they are.

Finding the worst halves is NP-hard in general (M. R. Garey, D. S. Johnson, L. Stockmeyer, TCS 1(3), 1976). What is
returned here is therefore a pair: halves that were found, and a capacity that no halves undercut. Where the two
are the same the answer is exact: on trees, fat trees and leaf-spines of any size, on everything small, and on
most regular networks.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from collsim.cuts import leaving_capacity
from collsim.errors import InputError
from collsim.topology import Node, Topology

Floats = NDArray[np.float64]
Capacities = dict[tuple[Node, Node], float]

# What may be spent, in elementary steps; each takes about a second at most.
_MOST_HALVES = 2**25  # assignments of hubs x ranks^2
_MOST_ROUTES = 70_000
_MOST_LOADS = 2**24  # ranks x links
_MOST_SWAPPED = 260  # nodes, for the exchange of pairs
_SAME = 1e-9


@dataclass(frozen=True)
class Bisection:
    """The bisection bandwidth of a network, or what is known of it.

    Attributes
    ----------
    capacity : float
        Bytes per second that leave the half `inside`; infinite if fatpipes join all halves.
    least : float
        Bytes per second that at least leave any half; the bisection bandwidth is between the two.
    inside : frozenset
        One half of the ranks, with the switches on their side.
    reason : str
        Where the two numbers are from, in words.
    """

    capacity: float
    least: float
    inside: frozenset[Node] = field(repr=False)
    reason: str

    @property
    def exact(self) -> bool:
        """Whether no halves can have less than `capacity`."""
        return self.least >= self.capacity


def bisection(topology: Topology) -> Bisection:
    """Return the least capacity, in one direction, between two halves of the ranks.

    Parameters
    ----------
    topology : Topology
        A network of K ranks, at least two. Halves have floor(K/2) and ceil(K/2) ranks; switches stand on
        whichever side is cheaper. What leaves either half counts, so where directions differ the slower one.
        Links of one medium count once, however many of them cross. A fatpipe carries any number of messages.

    Returns
    -------
    Bisection
        The halves, their capacity, and what no halves undercut.

    Raises
    ------
    InputError
        If there are fewer than two ranks, or the network is disconnected.

    Notes
    -----
    *Exact.* Switches that cannot be told apart by their links (in an equitable partition with the ranks fixed)
    are merged, which changes no minimum cut: it is a linear program, and by Jensen's inequality averaging a
    solution over such switches costs nothing. A fat tree becomes a tree. Then a few nodes (hubs) are
    put on every combination of sides, so that the rest is a forest, where the best halves are found by
    dynamic programming over the number of ranks on one side.

    *Bounds.* Send one unit between each two ranks. If no link gets more than rho times its bandwidth, two halves
    can exchange floor(K/2) ceil(K/2) / rho at least (F. T. Leighton, "Introduction to Parallel Algorithms and
    Architectures", 1992, section 1.9). Two routings are tried: the network's own, and all shortest paths
    equally. From above: halves by rank, stride, group and distance, improved by exchanging pairs of
    ranks (B. W. Kernighan and S. Lin, Bell System Technical Journal 49(2), 1970).

    Examples
    --------
    >>> from collsim import ring
    >>> found = bisection(ring(8, bandwidth="10GB/s", latency="1us"))
    >>> found.capacity, found.exact
    (20000000000.0, True)
    """
    if topology.ranks < 2:
        raise InputError(f"topology {topology.name!r} has one rank, which has no halves")
    topology.check_connected(topology.ranks)
    network = _Network(topology)
    halves = _exact_halves(network)
    if halves is not None and network.faithful:
        capacity = _capacity(topology, halves)
        return Bisection(capacity, capacity, halves, "all halves, by dynamic programming")
    tried = _halves_tried(topology, network)
    if halves is not None:
        tried["dynamic programming"] = halves
    values = {words: _capacity(topology, inside) for words, inside in tried.items()}
    best = min(values, key=values.__getitem__)
    least, why = _least(topology)
    if least >= values[best] * (1 - _SAME):  # the same but for rounding
        least = values[best]
    return Bisection(values[best], least, tried[best], f"{best}; {why}")


def _capacity(topology: Topology, inside: Iterable[Node]) -> float:
    exact = leaving_capacity(topology, inside)
    return math.inf if exact is None else float(exact)


class _Network:
    """The capacities between nodes, with switches that cannot be told apart merged into one.

    A medium becomes one or two switches more. `faithful` says whether every cut still costs what it does.
    """

    def __init__(self, topology: Topology) -> None:
        self.ranks = topology.ranks
        self.faithful = True
        plain = self._plain(topology)
        nodes: list[Node] = list(dict.fromkeys([*range(topology.ranks), *itertools.chain(*plain)]))
        classes = _alike(nodes, plain, topology.ranks)
        self.members: list[list[Node]] = [[] for _ in range(max(classes.values()) + 1)]
        for node in nodes:
            self.members[classes[node]].append(node)
        between: dict[tuple[int, int], list[float]] = defaultdict(list)
        for (tail, head), capacity in plain.items():
            if classes[tail] != classes[head]:
                between[classes[tail], classes[head]].append(capacity)
        self.capacity = {pair: math.fsum(values) for pair, values in between.items()}
        self.near: list[set[int]] = [set() for _ in self.members]
        for tail_class, head_class in self.capacity:
            self.near[tail_class].add(head_class)
            self.near[head_class].add(tail_class)

    def _plain(self, topology: Topology) -> Capacities:
        found: dict[tuple[Node, Node], list[float]] = defaultdict(list)
        media: dict[Hashable, dict[tuple[Node, Node], None]] = defaultdict(dict)  # in the order of the links
        shared: dict[Hashable, float] = {}
        for link in topology.links:
            if link.medium is None:
                found[link.tail, link.head].append(math.inf if link.fatpipe else link.bandwidth)
            else:
                media[link.medium][link.tail, link.head] = None
                shared[link.medium] = link.bandwidth
        for medium, pairs in media.items():
            tails, heads = {tail for tail, _ in pairs}, {head for _, head in pairs}
            if len(tails | heads) == 2:  # one cable: a cut is crossed one way only
                for pair in pairs:
                    found[pair].append(shared[medium])
                continue
            both_ways = all((head, tail) in pairs for tail, head in pairs) and _joined(pairs)
            self.faithful &= len(tails) == 1 or len(heads) == 1 or both_ways
            into, out = (_Medium(medium), 0), (_Medium(medium), 1)
            found[into, out].append(shared[medium])
            for tail, head in pairs:
                found[tail, into] = found[out, head] = [math.inf]
        return {pair: math.fsum(values) for pair, values in found.items()}

    def nodes_of(self, classes: Iterable[int]) -> frozenset[Node]:
        """Return the nodes of the network that stand for some classes."""
        members = itertools.chain.from_iterable(self.members[number] for number in classes)
        return frozenset(node for node in members if not (isinstance(node, tuple) and isinstance(node[0], _Medium)))


@dataclass(frozen=True)
class _Medium:
    """What stands for a medium where only links and nodes are known."""

    name: Hashable


def _joined(pairs: Iterable[tuple[Node, Node]]) -> bool:
    """Return whether pairs of nodes, which are there both ways, hang together."""
    near: dict[Node, list[Node]] = defaultdict(list)
    for tail, head in pairs:
        near[tail].append(head)
    frontier = [next(iter(near))]
    seen = set(frontier)
    while frontier:
        for node in near[frontier.pop()]:
            if node not in seen:
                seen.add(node)
                frontier.append(node)
    return len(seen) == len(near)


def _alike(nodes: Sequence[Node], capacities: Capacities, ranks: int) -> dict[Node, int]:
    """Return a class for each node: ranks have their own, switches that have the same links to each class share one."""
    neighbours: dict[Node, list[tuple[bool, Node, float]]] = {node: [] for node in nodes}
    for (tail, head), capacity in capacities.items():
        neighbours[tail].append((True, head, capacity))
        neighbours[head].append((False, tail, capacity))
    found = {node: min(number, ranks) for number, node in enumerate(nodes)}
    while True:
        signatures: dict[Hashable, int] = {}
        refined = {}
        for node in nodes:
            sums: dict[tuple[bool, int], list[float]] = defaultdict(list)
            for leaving, other, capacity in neighbours[node]:
                sums[leaving, found[other]].append(capacity)
            # Infinite capacities are counted: infinity plus infinity would hide how many there are.
            figures = frozenset(
                (key, sum(map(math.isinf, values)), math.fsum(value for value in values if value < math.inf))
                for key, values in sums.items()
            )
            refined[node] = signatures.setdefault((found[node], figures), len(signatures))
        if len(set(refined.values())) == len(set(found.values())):
            return refined
        found = refined


# --- All halves, where the network is a forest but for a few hubs ----------------------------------------------------


def _exact_halves(network: _Network) -> frozenset[Node] | None:
    hubs = _hubs(network.near)
    if 2 ** len(hubs) * (network.ranks + 1) ** 2 > _MOST_HALVES:
        return None
    sides = np.array(list(itertools.product((False, True), repeat=len(hubs))), dtype=bool).reshape(
        2 ** len(hubs), len(hubs)
    )
    totals = _Forest(network, hubs, sides).best()
    best = int(np.argmin(totals))
    if totals[best] == math.inf:  # fatpipes join all halves: one is as good as another
        return frozenset(range(network.ranks // 2))
    return network.nodes_of(_Forest(network, hubs, sides[best : best + 1]).inside())


def _hubs(near: Sequence[set[int]]) -> list[int]:
    """Return nodes without which the network is a forest: whatever is best connected, until no circle is left."""
    left = {node: set(others) for node, others in enumerate(near)}
    hubs: list[int] = []

    def remove(node: int) -> list[int]:
        others = left.pop(node)
        for other in others:
            left[other].discard(node)
        return sorted(others)

    ends = [node for node, others in left.items() if len(others) < 2]
    while left:
        while ends:
            node = ends.pop()
            if node in left and len(left[node]) < 2:
                ends += remove(node)
        if left:
            hub = max(left, key=lambda node: (len(left[node]), -node))
            hubs.append(hub)
            ends = remove(hub)
    return hubs


class _Forest:
    """Dynamic programming over the trees that remain without the hubs, for many sides of the hubs at once.

    A table has the least capacity that leaves the inside, shape (sides of the hubs, side of the node, ranks inside).
    """

    def __init__(self, network: _Network, hubs: list[int], sides: NDArray[np.bool_]) -> None:
        self.network, self.hubs, self.sides = network, hubs, sides
        self.column = {hub: number for number, hub in enumerate(hubs)}
        self.parent: dict[int, int] = {}
        self.order: list[int] = []
        for root in range(len(network.members)):
            if root not in self.column and root not in self.parent:
                self.parent[root] = root
                waiting = [root]
                while waiting:
                    node = waiting.pop()
                    self.order.append(node)
                    for other in sorted(network.near[node]):
                        if other not in self.parent and other not in self.column:
                            self.parent[other] = node
                            waiting.append(other)
        self.stages: dict[int, list[tuple[int, Floats]]] = {node: [] for node in self.order}
        self.trees: list[tuple[int, Floats]] = []  # each root, and the table of the trees before it
        self.tables = {node: self._alone(node) for node in self.order}
        for node in reversed(self.order):
            if self.parent[node] != node:
                above = self.parent[node]
                self.stages[above].append((node, self.tables[above]))
                self.tables[above] = _combined(self.tables[above], self._seen_from(above, node))
        self.total = self._between_hubs()[:, None]
        for node in self.order:
            if self.parent[node] == node:
                self.trees.append((node, self.total))
                self.total = _combined(self.total[:, None], self.tables[node].min(axis=1)[:, None])[:, 0]

    def _capacity(self, tail: int, head: int) -> float:
        return self.network.capacity.get((tail, head), 0.0)

    def _alone(self, node: int) -> Floats:
        own = int(node < self.network.ranks)
        table = np.full((len(self.sides), 2, own + 1), math.inf)
        table[:, 0, 0] = table[:, 1, own] = 0.0
        for hub in sorted(self.network.near[node] & self.column.keys()):
            inside = self.sides[:, self.column[hub]]
            table[:, 0, 0] += np.where(inside, self._capacity(hub, node), 0.0)
            table[:, 1, own] += np.where(inside, 0.0, self._capacity(node, hub))
        return table

    def _between_hubs(self) -> Floats:
        cost = np.zeros(len(self.sides))
        for tail, head in itertools.permutations(self.hubs, 2):
            crossing = self.sides[:, self.column[tail]] & ~self.sides[:, self.column[head]]
            cost += np.where(crossing, self._capacity(tail, head), 0.0)
        return cost

    def _seen_from(self, above: int, node: int) -> Floats:
        table = self.tables[node]
        outside = np.minimum(table[:, 0], table[:, 1] + self._capacity(node, above))
        inside = np.minimum(table[:, 1], table[:, 0] + self._capacity(above, node))
        return np.stack([outside, inside], axis=1)

    def best(self) -> Floats:
        """Return the least capacity that leaves a half, shape (sides of the hubs,)."""
        first, second = (self._wanted(half) for half in self._halves())
        return np.minimum(first, second)

    def _halves(self) -> tuple[int, int]:
        return self.network.ranks // 2, self.network.ranks - self.network.ranks // 2

    def _wanted(self, half: int) -> Floats:
        hub_ranks = self.sides[:, [hub < self.network.ranks for hub in self.hubs]].sum(axis=1)
        count = half - hub_ranks
        possible = (count >= 0) & (count < self.total.shape[1])
        return np.where(possible, self.total[np.arange(len(count)), np.where(possible, count, 0)], math.inf)

    def inside(self) -> list[int]:
        """Return the best half for the first sides of the hubs, found by going back through the tables."""
        half = min(self._halves(), key=lambda half: self._wanted(half)[0])
        found = [hub for hub in self.hubs if self.sides[0, self.column[hub]]]
        count = half - sum(hub < self.network.ranks for hub in found)
        waiting = []
        for root, before in reversed(self.trees):
            table = self.tables[root][0]
            options = [
                (before[0, count - own] + table[side, own], side, own)
                for side in (0, 1)
                for own in range(table.shape[1])
                if 0 <= count - own < before.shape[1]
            ]
            _, side, own = min(options)
            waiting.append((root, side, own))
            count -= own
        while waiting:
            node, side, count = waiting.pop()
            if side:
                found.append(node)
            for child, before in reversed(self.stages[node]):
                table = self.tables[child][0]
                crossing = self._capacity(node, child) if side else self._capacity(child, node)
                options = [
                    (
                        before[0, side, count - own] + table[other, own] + (crossing if other != side else 0.0),
                        other,
                        own,
                    )
                    for other in (0, 1)
                    for own in range(table.shape[1])
                    if 0 <= count - own < before.shape[2]
                ]
                _, other, own = min(options)
                waiting.append((child, other, own))
                count -= own
        return found


def _combined(first: Floats, second: Floats) -> Floats:
    """Return the table of two parts side by side: the ranks inside add up, and so do the capacities."""
    if first.shape[2] < second.shape[2]:
        first, second = second, first
    wide = first.shape[2]
    out = np.full((len(first), first.shape[1], wide + second.shape[2] - 1), math.inf)
    for count in range(second.shape[2]):
        part = out[:, :, count : count + wide]
        np.minimum(part, first + second[:, :, count, None], out=part)
    return out


# --- Halves worth trying ---------------------------------------------------------------------------------------------


def _halves_tried(topology: Topology, network: _Network) -> dict[str, frozenset[Node]]:
    """Return sides of cuts by what they are called: orders of the ranks, cut in the middle, then improved."""
    ranks, half = topology.ranks, topology.ranks // 2
    orders: dict[str, list[int]] = {"halves by rank": list(range(ranks))}
    for stride in range(2, half + 1):
        if ranks % stride == 0:
            orders[f"halves by rank modulo {stride}"] = sorted(range(ranks), key=lambda r: (r % stride, r))
    orders["halves by group"] = list(itertools.chain(*topology.groups))
    nearest = _distances(topology, 0)
    orders["halves by distance"] = sorted(range(ranks), key=lambda r: (nearest[r], r))
    edges = _Edges(network)
    found = {}
    for words, order in orders.items():
        for chosen in (order[:half], order[half:]):
            inside = edges.settled(chosen)
            found[words if chosen == order[:half] else f"{words}, the other way"] = inside
    best = sorted(found, key=lambda words: edges.cost(found[words]))[:4]
    if len(network.members) <= _MOST_SWAPPED:
        for words in best:
            found[f"{words}, improved"] = edges.exchanged(found[words])
    return {words: network.nodes_of(np.flatnonzero(inside).tolist()) for words, inside in found.items()}


class _Edges:
    """Capacities as arrays, for many cuts; infinite ones are large numbers."""

    def __init__(self, network: _Network) -> None:
        self.ranks, self.nodes = network.ranks, len(network.members)
        pairs = np.array(list(network.capacity), dtype=np.int64).reshape(-1, 2)
        self.tail, self.head = pairs[:, 0], pairs[:, 1]
        capacity = np.array(list(network.capacity.values()))
        finite = capacity[np.isfinite(capacity)]
        self.capacity = np.where(np.isfinite(capacity), capacity, 2 * finite.sum() + 1)

    def cost(self, inside: NDArray[np.bool_]) -> float:
        return float(self.capacity[inside[self.tail] & ~inside[self.head]].sum())

    def entry(self, inside: NDArray[np.bool_]) -> Floats:
        """Return what more would leave with each node inside than with it outside."""
        out = np.bincount(self.tail, self.capacity * ~inside[self.head], self.nodes)
        into = np.bincount(self.head, self.capacity * inside[self.tail], self.nodes)
        return np.asarray(out - into, dtype=np.float64)

    def settled(self, chosen: Iterable[int]) -> NDArray[np.bool_]:
        """Return the side of a cut with these ranks, and with each switch where it costs less."""
        inside = np.zeros(self.nodes, dtype=bool)
        inside[list(chosen)] = True
        return self._switches_settled(inside)

    def _switches_settled(self, inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
        inside = inside.copy()
        best = self.cost(inside)
        while True:
            entry = self.entry(inside)
            gain = np.where(inside, entry, -entry)
            gain[: self.ranks] = -math.inf
            wanted = gain > 0
            together = inside ^ wanted
            if wanted.any() and self.cost(together) < best:
                inside = together
            elif wanted.any():
                inside[int(np.argmax(gain))] ^= True
            else:
                return inside
            cost = self.cost(inside)
            if not cost < best:
                return inside
            best = cost

    def exchanged(self, inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return halves that no pass of Kernighan and Lin makes better."""
        weight = np.zeros((self.nodes, self.nodes))
        weight[self.tail, self.head] = self.capacity
        both = weight + weight.T
        best, least = inside, self.cost(inside)
        while True:
            current, free, better = best.copy(), np.arange(self.nodes) < self.ranks, False
            for _ in range(self.ranks // 2):
                entry = self.entry(current)
                inner, outer = np.flatnonzero(current & free), np.flatnonzero(~current & free)
                if not len(inner) or not len(outer):
                    break
                change = entry[outer][None, :] - entry[inner][:, None] + both[np.ix_(inner, outer)]
                row, column = np.unravel_index(int(np.argmin(change)), change.shape)
                current[inner[row]], current[outer[column]] = False, True
                free[inner[row]] = free[outer[column]] = False
                current = self._switches_settled(current)
                cost = self.cost(current)
                if cost < least * (1 - _SAME):
                    best, least, better = current.copy(), cost, True
            if not better:
                return best


# --- What no halves undercut -----------------------------------------------------------------------------------------


def _least(topology: Topology) -> tuple[float, str]:
    """Return a capacity that leaves every half at least, and why."""
    ranks = topology.ranks
    finite = topology.bandwidth[~topology.fatpipe]
    bounds = [(float(finite.min()), "some link leaves every half")]
    pairs = (ranks // 2) * (ranks - ranks // 2)
    if ranks * (ranks - 1) <= _MOST_ROUTES:
        bounds.append((pairs / _most_loaded(topology, _loads_of_routes(topology)), "loads of the routes"))
    if ranks * len(topology.links) <= _MOST_LOADS:
        bounds.append((pairs / _most_loaded(topology, _loads_of_shortest(topology)), "loads of all shortest paths"))
    return max(bounds, key=lambda bound: bound[0])


def _most_loaded(topology: Topology, loads: Floats) -> float:
    """Return the most that any medium or link of its own gets, over its bandwidth; fatpipes have no limit."""
    shared = np.bincount(topology.channel, np.where(topology.fatpipe, 0.0, loads), len(loads))
    return float((shared / topology.bandwidth).max())


def _loads_of_routes(topology: Topology) -> Floats:
    loads = [0.0] * len(topology.links)
    for src, dst in itertools.permutations(range(topology.ranks), 2):
        for share, links in topology.routes(src, dst):
            for number in links:
                loads[number] += share
    return np.array(loads)


def _loads_of_shortest(topology: Topology) -> Floats:
    """Return what each link carries when each rank sends one unit to each other, over all shortest paths equally.

    This is the links' betweenness; the recursion is that of U. Brandes, Journal of Mathematical Sociology 25(2), 2001.
    """
    index: Mapping[Node, int] = {node: number for number, node in enumerate(topology.leaving)}
    tail = np.array([index[link.tail] for link in topology.links])
    head = np.array([index[link.head] for link in topology.links])
    loads, size = np.zeros(len(tail)), len(index)
    links = np.full((size, max(map(len, topology.leaving.values()))), -1)  # that leave each node, then -1
    for node, numbers in topology.leaving.items():
        links[index[node], : len(numbers)] = numbers
    for src in range(topology.ranks):
        distance = np.full(size, -1)
        distance[src] = 0
        paths = np.zeros(size)
        paths[src] = 1.0
        levels = []
        frontier = np.array([src])
        while True:
            now = links[frontier].ravel()
            now = now[now >= 0]
            now = now[distance[head[now]] < 0]
            if not len(now):
                break
            paths += np.bincount(head[now], paths[tail[now]], size)
            levels.append(now)
            distance[head[now]] = len(levels)
            frontier = np.flatnonzero(distance == len(levels))
        passed = (np.arange(size) < topology.ranks) * 1.0
        for now in reversed(levels):
            share = passed[head[now]] * paths[tail[now]] / paths[head[now]]
            loads[now] += share
            passed += np.bincount(tail[now], share, size)
    return loads


def _distances(topology: Topology, src: int) -> Counter[Node]:
    """Return the number of links on the shortest way from a rank to every node."""
    found: Counter[Node] = Counter({src: 0})
    frontier: list[Node] = [src]
    while frontier:
        following: list[Node] = []
        for node in frontier:
            for number in topology.leaving[node]:
                head = topology.links[number].head
                if head not in found:
                    found[head] = found[node] + 1
                    following.append(head)
        frontier = following
    return found
