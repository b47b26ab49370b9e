"""Cuts of a network: which set of nodes must send most for what its links can carry, exactly.

Here are graphs and maximum flows in whole numbers. What a collective must move across a cut, and what that says
about its time, is in `collsim.bounds`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from weakref import WeakKeyDictionary

from collsim.errors import InputError
from collsim.topology import Node, Topology, node_name

Weight = int | Fraction


@dataclass(frozen=True)
class Cut:
    """A set of nodes and what may leave it.

    Attributes
    ----------
    inside : frozenset of nodes
        Ranks and switches of the set.
    capacity : Fraction or None
        Bytes per second that can leave it, exactly; None if they are not limited (a fatpipe leaves it).
    weight : Fraction
        What must leave it, in the unit of the weights asked for.
    exact : bool
        Whether it was proved that no other cut has a larger `ratio`. If not, it is the best of those tried.
    """

    inside: frozenset[Node]
    capacity: Fraction | None
    weight: Fraction
    exact: bool

    @property
    def ratio(self) -> Fraction:
        """Weight over capacity: the seconds that it takes at least, if weights are bytes."""
        return Fraction(0) if self.capacity is None else self.weight / self.capacity


def tightest_cut(
    topology: Topology,
    weights: Sequence[Weight],
    targets: Iterable[int] | None = None,
    *,
    reverse: bool = False,
    work: int | None = None,
) -> Cut:
    """Return the cut that asks most of its links, for data that every target must get.

    Rank r has ``weights[r]`` bytes that every target needs. So if a target is outside a set S of nodes, the bytes
    of the ranks in S must leave S: on no schedule before ``w(S) / B(S)``, with B(S) the bandwidth of the links
    that leave S together. The largest of these, over all S that leave out at least one target, is found.

    Parameters
    ----------
    topology : Topology
        The network; its ranks without a weight, and its switches, may be on either side.
    weights : sequence of int or Fraction, shape (ranks,)
        Of the first ranks of the topology; those beyond act as switches.
    targets : iterable of int, optional
        Ranks that need everything; default: all that have a place in `weights`.
    reverse : bool
        Turn every link round first: bytes that must *enter* S, from any of the targets. The `inside` returned is S.
    work : int, optional
        Stop after looking at so many links, and return the best cut until then with ``exact=False``: a bound as
        valid as any, of which it is known only that no cut that leaves out one of the targets checked is tighter.
        Counted, not timed, so that the result is always the same. Default: no limit.

    Returns
    -------
    Cut
        With a `ratio` of 0 if no weight has to cross anything that is limited.

    Raises
    ------
    InputError
        If some weight cannot reach a target at all.

    Notes
    -----
    L. Zhao and A. Krishnamurthy, ForestColl: Efficient Collective Communications on Heterogeneous Network Fabrics,
    arXiv 2402.06787. Whether no cut has a ratio above P/Q is asked of maximum flows: give every rank r a supply of
    ``Q w_r`` and every link of capacity c a capacity of ``P c``; then a target v can receive all of the supply,
    unless a set S without v has ``P B(S) < Q w(S)``. Such a cut is tighter, and its ratio is the next P/Q (Newton's
    method; W. Dinkelbach, Management Science 13(7), 1967). When no cut that leaves out v is tighter any more, that
    stays true of all larger ratios; so from then on only sets with v inside are of interest, and v supplies
    whatever is asked for: later flows come from their neighbours, and are short. Bandwidths are binary fractions
    and so are whole numbers of some unit: nothing is rounded.

    *Media.* The links of one medium share its capacity c. They are drawn as one link of capacity c between two nodes,
    with every tail before and every head behind. A set S with tails inside and heads outside is then charged c,
    once, whichever side the two nodes are on. What a medium carries out of S is at most c, so the bound holds;
    it may be less than it could be if tails and heads of different links of a medium are on the two sides, but no
    link of it leaves S (then `exact` is False). A fatpipe limits nobody: it has no capacity that could be used up.

    Examples
    --------
    All-gather on a 2 x 4 mesh with one unit a rank: the left half, 4 units over 2 links, asks less than a corner,
    which needs 7 units over its 2 links:

    >>> from collsim.topology import Topology, cable
    >>> mesh = [cable(r, r + 1, 1.0, 0) for r in (0, 1, 2, 4, 5, 6)] + [cable(r, r + 4, 1.0, 0) for r in range(4)]
    >>> cut = tightest_cut(Topology("mesh", 8, sum(mesh, ())), [1] * 8)
    >>> cut.ratio, sorted(set(range(8)) - cut.inside)
    (Fraction(7, 2), [0])
    """
    network = capacities(topology, reverse=reverse)
    units = _whole(weights)
    wanted = list(range(len(units))) if targets is None else list(targets)
    search = _Search(network, units, None if work is None else Budget(work))
    exact = search.run(wanted)
    nodes = search.inside
    total = Fraction(sum(weights))
    share = Fraction(search.weight_of(nodes), sum(units) or 1)
    cut = Cut(
        inside=frozenset(network.names[node] for node in nodes if node < network.real),
        capacity=None,
        weight=total * share,
        exact=exact and network.faithful,
    )
    return replace(cut, capacity=leaving_capacity(topology, cut.inside, reverse=reverse))


def smallest_cut(
    topology: Topology,
    inside: Collection[int],
    outside: Collection[int],
    *,
    reverse: bool = False,
    budget: Budget | None = None,
) -> Cut | None:
    """Return the cut between two sets of ranks that the least bandwidth leaves; its `weight` is 1.

    Parameters
    ----------
    topology : Topology
        The network.
    inside, outside : collections of int
        Ranks that must be inside, and outside; all other nodes are where the cut is smallest.
    reverse : bool
        Count the links that enter instead.
    budget : Budget, optional
        What may be spent on it; default: no limit.

    Returns
    -------
    Cut or None
        Of the smallest cuts, the one with fewest nodes around the smaller of the two sets; None if the budget is spent.

    Examples
    --------
    >>> import collsim as cs
    >>> smallest_cut(cs.ring(8, 10.0, 0), [1, 2], [5, 6]).capacity
    Fraction(20, 1)
    """
    # Searched from the smaller set, which is then the sink: a flow into one rank looks at its neighbourhood only.
    turned = len(outside) > len(inside)
    network = capacities(topology, reverse=reverse != turned)
    sinks, sources = (inside, outside) if turned else (outside, inside)
    supply = [0] * network.size
    for node in sources:
        supply[node] = network.unlimited
    flow = _Flow(network, network.capacity(1, network.unlimited), supply, budget)
    try:
        side = flow.into(list(sinks), network.unlimited)
    except _OutOfWorkError:
        return None
    exact = network.faithful
    if side is None:  # nothing limits what flows
        return Cut(frozenset(inside), None, Fraction(1), exact)
    around = frozenset(network.names[node] for node in side if node < network.real)
    found = around if turned else frozenset(network.names[: network.real]) - around
    return Cut(found, leaving_capacity(topology, found, reverse=reverse), Fraction(1), exact)


def crossing_links(topology: Topology, inside: Iterable[Node], *, reverse: bool = False) -> list[int]:
    """Return the numbers of the links that leave a set of nodes, or that enter it if `reverse`.

    Examples
    --------
    >>> import collsim as cs
    >>> net = cs.ring(8, "10GB/s", 0)
    >>> [(net.links[i].tail, net.links[i].head) for i in crossing_links(net, {1, 2})]
    [(1, 0), (2, 3)]
    """
    members, links = frozenset(inside), topology.links
    few = members if 2 * len(members) <= len(topology.leaving) else topology.leaving.keys() - members
    edge = topology.entering if (few is members) == reverse else topology.leaving
    return sorted(
        i
        for node in few
        for i in edge[node]
        if (links[i].tail in members) != reverse and (links[i].head in members) == reverse
    )


def leaving_capacity(topology: Topology, inside: Iterable[Node], *, reverse: bool = False) -> Fraction | None:
    """Return the bytes per second that can leave a set of nodes; a medium counts once, a fatpipe is not limited: None.

    Examples
    --------
    >>> import collsim as cs
    >>> leaving_capacity(cs.star(8, "10GB/s", 0), {0, 1, 2})
    Fraction(30000000000, 1)
    """
    return channel_capacity(topology, crossing_links(topology, inside, reverse=reverse))


def channel_capacity(topology: Topology, links: Iterable[int]) -> Fraction | None:
    """Return what these links carry together in bytes per second; None if one of them is a fatpipe."""
    network = capacities(topology)
    total, seen = 0, set()
    for number in links:
        if topology.links[number].fatpipe:
            return None
        channel = network.channel[number]
        if channel not in seen:
            seen.add(channel)
            total += network.units[number]
    return total * network.unit


def capacities(topology: Topology, *, reverse: bool = False) -> Network:
    """Return a topology as whole numbers, with its links turned round if `reverse`; made once for each topology."""
    known = _KNOWN.setdefault(topology, {})
    if reverse not in known:
        other = known.get(not reverse)
        # Without media, which have nodes of their own, it is the same but for the ends of the arcs.
        turned = other is not None and other.size == other.real
        known[reverse] = other.turned() if other is not None and turned else Network(topology, reverse)
    return known[reverse]


class Network:
    """A topology as whole numbers: nodes 0, 1, ..., and arcs in pairs, 2i one way and 2i + 1 the other.

    Attributes
    ----------
    names : list of nodes
        The topology's node of every number: ranks first, then switches.
    real : int
        How many these are. Nodes from there on stand for media.
    size : int
        Number of nodes.
    unit : Fraction
        Bytes per second that a capacity of 1 means.
    units : list of int
        The capacity of every link of the topology.
    base : list of int or None
        The capacity of every arc; None is without limit.
    entering : list of lists of (int, int)
        The arcs that enter each node, each with its tail.
    faithful : bool
        Whether cuts have the capacity here that they have in the topology (see Media in `tightest_cut`).
    """

    def __init__(self, topology: Topology, reverse: bool) -> None:
        self.names: list[Node] = [*range(topology.ranks), *topology.switches]
        self.real = len(self.names)
        numbers = {node: number for number, node in enumerate(self.names)}
        ends = [end.tolist() for end in (topology.ends[::-1] if reverse else topology.ends)]
        speeds = topology.bandwidth.tolist()
        figures = [*map(Fraction, dict.fromkeys(speeds))]  # most links are as fast as others
        whole = dict(zip(figures, _whole(figures), strict=True))
        units_of = {float(figure): units for figure, units in whole.items()}
        self.units = [units_of[speed] for speed in speeds]
        self.unit = figures[0] / whole[figures[0]] if figures else Fraction(1)
        self.channel: list[int] = topology.channel.tolist()
        self._arcs: dict[tuple[int, int], int] = {}
        self.base: list[int | None] = []
        self.entering: list[list[tuple[int, int]]] = [[] for _ in self.names]
        media: dict[Hashable, list[int]] = {}
        for number, (link, tail, head) in enumerate(zip(topology.links, *ends, strict=True)):
            if link.medium is not None:
                media.setdefault(link.medium, []).append(number)
            elif link.fatpipe:
                self._join(tail, head, None)
            else:
                self._join(tail, head, self.units[number])
        self.faithful = True
        for members in media.values():
            self._add_medium(topology, members, numbers, reverse)
        self.size = len(self.entering)

    def turned(self) -> Network:
        """Return the network with all links turned round, as it would be made from the topology."""
        found = copy.copy(self)
        found.entering = [[(arc ^ 1, tail) for arc, tail in arcs] for arcs in self.entering]
        for name in ("into_each", "balanced"):
            found.__dict__.pop(name, None)
        return found

    def _add_medium(self, topology: Topology, members: list[int], numbers: dict[Node, int], reverse: bool) -> None:
        pairs = {(numbers[topology.links[i].tail], numbers[topology.links[i].head]) for i in members}
        if reverse:
            pairs = {(head, tail) for tail, head in pairs}
        tails, heads = ([*dict.fromkeys(sorted(pair[end] for pair in pairs))] for end in (0, 1))
        self.faithful &= all((tail, head) in pairs for tail in tails for head in heads if tail != head)
        entry, way_out = len(self.entering), len(self.entering) + 1
        self.entering += [[], []]
        self._join(entry, way_out, self.units[members[0]])
        for tail in tails:
            self._join(tail, entry, self.units[members[0]])
        for head in heads:
            self._join(way_out, head, self.units[members[0]])

    def _join(self, tail: int, head: int, units: int | None) -> None:
        arc = self._arcs.get((tail, head))
        if arc is None:
            arc = len(self.base)
            self._arcs[tail, head], self._arcs[head, tail] = arc, arc + 1
            self.base += [0, 0]
            self.entering[head].append((arc, tail))
            self.entering[tail].append((arc + 1, head))
        known = self.base[arc]
        self.base[arc] = None if known is None or units is None else known + units

    @cached_property
    def unlimited(self) -> int:
        """More than all capacities together."""
        return sum(units for units in self.base if units is not None) + 1

    @cached_property
    def symmetric(self) -> bool:
        """Whether every two nodes have the same capacity both ways."""
        return all(self.base[arc] == self.base[arc + 1] for arc in range(0, len(self.base), 2))

    @cached_property
    def balanced(self) -> bool:
        """Whether as much can enter every node as leave it, and there are no media and no fatpipes."""
        if self.size > self.real or None in self.base:
            return False
        into = [sum(self.base[arc] or 0 for arc, _ in arcs) for arcs in self.entering]
        out = [sum(self.base[arc ^ 1] or 0 for arc, _ in arcs) for arcs in self.entering]
        return into == out

    def capacity(self, scale: int, unlimited: int) -> list[int]:
        """Return the capacity of every arc times `scale`; those without limit get `unlimited`."""
        return [unlimited if units is None else units * scale for units in self.base]

    @cached_property
    def into_each(self) -> list[int | None]:
        """The capacity of the arcs that enter each node; None if there is no limit."""
        return [self.into((node,)) for node in range(self.real)]

    def into(self, nodes: Collection[int]) -> int | None:
        """Return the capacity of the arcs that enter a set of nodes from outside; None if there is no limit."""
        total = 0
        for node in nodes:
            for arc, tail in self.entering[node]:
                if tail not in nodes:
                    units = self.base[arc]
                    if units is None:
                        return None
                    total += units
        return total


_KNOWN: WeakKeyDictionary[Topology, dict[bool, Network]] = WeakKeyDictionary()


def is_symmetric(topology: Topology) -> bool:
    """Return whether every two nodes have as much bandwidth one way as the other, as full-duplex cables do."""
    return capacities(topology).symmetric


def is_balanced(topology: Topology) -> bool:
    """Return whether every node can receive what it can send, and nothing is a medium or a fatpipe (Eulerian).

    On such a network, and on one without switches, the tightest cut is not only a bound: trees that reach it
    can be packed (ForestColl, theorem 1).
    """
    return capacities(topology).balanced


def has_media(topology: Topology) -> bool:
    """Return whether some links share a capacity, so that what leaves a set may be in the way of what enters it."""
    return any(link.medium is not None for link in topology.links)


class Budget:
    """How many links a search may still look at; counted, not timed, so that what is found is always the same."""

    def __init__(self, left: int) -> None:
        self.left = left

    def spend(self, amount: int) -> None:
        """Spend some; raise if there is not as much."""
        self.left -= amount
        if self.left < 0:
            raise _OutOfWorkError


class _OutOfWorkError(Exception):
    """The search has looked at as many links as it may."""


class _Flow:
    """A maximum flow into some nodes, from nodes with a supply (E. A. Dinic, 1970), searched from the sinks."""

    def __init__(self, network: Network, capacity: list[int], supply: list[int], budget: Budget | None = None) -> None:
        self.entering = network.entering
        self.capacity = capacity
        self.left = list(capacity)
        self.supply = supply
        self.touched: list[int] = []
        self.drawn: dict[int, int] = {}  # node -> its supply before
        self.budget = budget

    def undo(self) -> None:
        """Take all flow back."""
        for arc in self.touched:
            self.left[arc] = self.capacity[arc]
            self.left[arc ^ 1] = self.capacity[arc ^ 1]
        self.touched.clear()
        for node, supply in self.drawn.items():
            self.supply[node] = supply
        self.drawn.clear()

    def into(self, sinks: list[int], need: int, first: Collection[int] = ()) -> list[int] | None:
        """Let `need` flow into the sinks; return None, or if it cannot, the nodes from which more could reach them.

        Draws on neighbours first, then on the nodes in `first` (which supply whatever is asked for: they are near,
        or one long path brings much), and only then on all.
        """
        flow = 0
        for sink in sinks:
            taken = min(need - flow, self.supply[sink])
            self._draw(sink, taken)
            flow += taken
        near, only = True, bool(first)
        while flow < need:
            level, seen, found = self._levels(sinks, first if only and not near else None)
            if found:
                flow += self._block(sinks, level, need - flow, first if only and not near else None)
            elif only and not near:
                only = False
            else:
                return seen
            near = False
        return None

    def _draw(self, node: int, amount: int) -> None:
        if amount:
            self.drawn.setdefault(node, self.supply[node])
            self.supply[node] -= amount

    def _levels(self, sinks: list[int], only: Collection[int] | None) -> tuple[list[int], list[int], bool]:
        """Return the distance of nodes to the sinks over links with room, as far as the nearest supply."""
        level = [-1] * len(self.entering)
        for sink in sinks:
            level[sink] = 0
        seen, frontier, found, depth, looked = list(sinks), sinks, False, 0, 0
        left, supply, entering = self.left, self.supply, self.entering
        while frontier and not found:
            depth += 1
            following = []
            for node in frontier:
                looked += len(entering[node])
                for arc, tail in entering[node]:
                    if level[tail] < 0 and left[arc]:
                        level[tail] = depth
                        following.append(tail)
                        if supply[tail] and (only is None or tail in only):
                            found = True
            seen += following
            frontier = following
        if self.budget is not None:
            self.budget.spend(looked)
        return level, seen, found

    def _block(self, sinks: list[int], level: list[int], need: int, only: Collection[int] | None) -> int:
        """Send as much as fits along paths of the shortest length; return how much."""
        flow = 0
        left, supply, entering = self.left, self.supply, self.entering
        place = [0] * len(entering)
        for sink in sinks:
            path: list[int] = []  # arcs, from the sink outward
            nodes = [sink]
            while flow < need:
                node = nodes[-1]
                if len(nodes) > 1 and supply[node] and (only is None or node in only):
                    amount = min(need - flow, supply[node], *(left[arc] for arc in path))
                    self._draw(node, amount)
                    flow += amount
                    cut = -1
                    for number, arc in enumerate(path):
                        left[arc] -= amount
                        left[arc ^ 1] += amount
                        if not left[arc] and cut < 0:
                            cut = number
                    self.touched += path
                    if cut >= 0:
                        del path[cut:], nodes[cut + 1 :]
                    continue
                arcs = entering[node]
                number = place[node]
                while number < len(arcs):
                    arc, tail = arcs[number]
                    if left[arc] and level[tail] == level[node] + 1:
                        break
                    number += 1
                place[node] = number
                if number < len(arcs):
                    path.append(arcs[number][0])
                    nodes.append(arcs[number][1])
                elif path:
                    path.pop()
                    nodes.pop()
                    place[nodes[-1]] += 1
                else:
                    break
        return flow


class _Search:
    """Newton's method for the largest ratio of weight to capacity."""

    def __init__(self, network: Network, weights: list[int], budget: Budget | None) -> None:
        self.network = network
        self.weights = weights
        self.total = sum(weights)
        self.budget = budget
        self.ratio = Fraction(0)
        self.outside: list[int] = []

    @property
    def inside(self) -> list[int]:
        """The nodes inside the best cut."""
        outside = set(self.outside)
        return [node for node in range(self.network.size) if node not in outside]

    def weight_of(self, nodes: Iterable[int]) -> int:
        return sum(self.weights[node] for node in nodes if node < len(self.weights))

    def offer(self, outside: list[int]) -> bool:
        """Take a cut, given by the nodes outside it, if it is the tightest so far."""
        weight = self.total - self.weight_of(outside)
        capacity = self.network.into(set(outside))
        if weight == 0 or capacity is None:
            return False
        if capacity == 0:
            raise InputError(
                f"{node_name(self.network.names[min(outside)])} cannot be reached from every rank: "
                "the topology is disconnected"
            )
        if Fraction(weight, capacity) <= self.ratio:
            return False
        self.ratio, self.outside = Fraction(weight, capacity), outside
        return True

    def run(self, targets: list[int]) -> bool:
        """Find the tightest cut that leaves out a target; return whether the work sufficed to prove it."""
        network, total = self.network, self.total
        self.outside = targets[:1]
        offered: set[tuple[int, int | None]] = set()
        for node in targets:  # of those that are offered the same, the first
            offer = self.weights[node], network.into_each[node]
            if offer not in offered:
                offered.add(offer)
                self.offer([node])
        if total == 0:
            return True
        checked = {node for node in targets if self.weights[node] == total}
        waiting = [node for node in self._by_nearness(targets) if node not in checked]
        while waiting:
            scale, demand = self.ratio.numerator, self.ratio.denominator
            need = demand * total
            supply = [demand * weight for weight in self.weights]
            supply += [0] * (network.size - len(supply))
            for node in checked:
                supply[node] = need
            flow = _Flow(network, network.capacity(scale, need), supply, self.budget)
            better: list[int] | None = None
            try:
                while waiting and better is None:
                    better = flow.into(waiting[-1:], need, checked)
                    flow.undo()
                    if better is None:
                        checked.add(waiting[-1])
                        flow.supply[waiting.pop()] = need
            except _OutOfWorkError:
                return False
            if better is not None:
                self.offer(better)
        return True

    def _by_nearness(self, targets: list[int]) -> list[int]:
        """Return the targets, each near to some that stand behind it (the last is the first to be checked)."""
        wanted, found = set(targets), dict.fromkeys(targets[:1])
        frontier = targets[:1]
        while frontier:
            following = []
            for node in frontier:
                for _, tail in self.network.entering[node]:
                    if tail not in found:
                        found[tail] = None
                        following.append(tail)
            frontier = following
        order = [node for node in found if node in wanted]
        return (order + sorted(wanted - set(order)))[::-1]


def _whole(values: Sequence[Weight]) -> list[int]:
    """Return values as whole numbers in proportion, as small as they can be."""
    scale = math.lcm(*{value.denominator for value in values})
    whole = [value.numerator * (scale // value.denominator) for value in values]
    common = math.gcd(*set(whole)) or 1
    return [value // common for value in whole]
