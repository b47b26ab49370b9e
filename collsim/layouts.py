"""Where to draw the nodes of a network: positions from the graph alone, without any drawing.

Rings and complete graphs become circles, grids stay grids, switches in tiers stand above their ranks, groups whose
switches are joined to each other (a dragonfly) stand around a circle. Anything else is placed by distance.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from collsim.errors import InputError
from collsim.shapes import SHAPES
from collsim.topology import Node, Topology

Position = tuple[float, float]
Neighbours = dict[Node, dict[Node, None]]  # sets that keep their order

_MOST_BY_DISTANCE = 600
_MOST_AROUND_A_SWITCH = 24
_GAP = 0.7  # between groups, in distances between ranks


@dataclass(frozen=True)
class Wire:
    """Stands for a medium that more than two nodes share, such as a bus, where nodes are drawn."""

    medium: Hashable


def layout(topology: Topology) -> dict[Node, Position]:
    """Return a position for every rank and switch, and one for every medium that more than two nodes share.

    Parameters
    ----------
    topology : Topology
        The network.

    Returns
    -------
    dict of node to (float, float)
        x to the right and y upwards; neighbours are about 1 apart, and no two nodes are in one place. The key of
        a shared medium is a `Wire`.

    Raises
    ------
    InputError
        If the network has no structure that is known here, and is too large to be placed by distance.

    Notes
    -----
    By distance means that stress is least, the squared differences between distances in the picture and numbers
    of links (E. Gansner, Y. Koren, S. North, "Graph drawing by stress majorization", GD 2004). It starts from a
    circle, so the same network is placed the same each time.

    Examples
    --------
    >>> from collsim import mesh
    >>> layout(mesh("2x3", bandwidth="10GB/s", latency="1us"))[4]
    (1.0, -1.0)
    """
    near = neighbours(topology)
    ports = _ports(topology, near)
    inner = {
        ports.get(node, node): dict.fromkeys(o for other in others if (o := ports.get(other, other)) != node)
        for node, others in near.items()
        if node not in ports
    }
    for port, rank in ports.items():
        inner[rank].update(dict.fromkeys(o for other in near[port] if (o := ports.get(other, other)) != rank))
    found = _placed(topology, inner)
    for port, rank in ports.items():
        x, y = found[rank]
        if all(isinstance(node, int) for node in inner):  # the ports take the ranks' places, and those stand aside
            found[port], found[rank] = (x, y), (x - 0.36, y + 0.36)
            continue
        others = [found[node] for node in inner[rank]] or [(x, y + 1)]
        dx, dy = (sum(other[i] for other in others) / len(others) - found[rank][i] for i in (0, 1))
        length = math.hypot(dx, dy)
        step = (0.35 * dx / length, 0.35 * dy / length) if length > 1e-6 else (0.25, 0.25)
        found[port] = (x + step[0], y + step[1])
    return {node: (round(x, 6) + 0.0, round(y, 6) + 0.0) for node, (x, y) in found.items()}


def neighbours(topology: Topology) -> Neighbours:
    """Return the nodes around each node, in the order of the links; a shared medium counts as a node, a `Wire`.

    Examples
    --------
    >>> from collsim import star
    >>> [list(others) for others in neighbours(star(2, bandwidth="10GB/s", latency="1us")).values()]
    [['switch'], ['switch'], [0, 1]]
    """
    wires = shared_media(topology)
    found: Neighbours = {node: {} for node in (*range(topology.ranks), *topology.switches, *wires.values())}
    for link in topology.links:
        wire = wires.get(link.medium)
        pairs = ((link.tail, link.head),) if wire is None else ((link.tail, wire), (wire, link.head))
        for tail, head in pairs:
            found[tail][head] = found[head][tail] = None
    return found


def shared_media(topology: Topology) -> dict[Hashable, Wire]:
    """Return the media that more than two nodes share."""
    around: dict[Hashable, dict[Node, None]] = {}
    for link in topology.links:
        if link.medium is not None:
            around.setdefault(link.medium, {}).update({link.tail: None, link.head: None})
    return {medium: Wire(medium) for medium, nodes in around.items() if len(nodes) > 2}


def layers(topology: Topology) -> list[list[Node]]:
    """Return the nodes by their least number of links to a rank: the ranks, the switches next to them, and so on.

    Examples
    --------
    >>> from collsim import fat_tree
    >>> [len(layer) for layer in layers(fat_tree(4, bandwidth="10GB/s", latency="1us"))]
    [16, 8, 8, 4]
    """
    return _layers(topology.ranks, neighbours(topology))


def is_grid(topology: Topology) -> bool:
    """Return whether the network is a mesh, torus or hypercube of ranks, and is laid out as one.

    Examples
    --------
    >>> from collsim import star, torus
    >>> [is_grid(net) for net in (torus("3x3", "1GB/s", 0), star(9, "1GB/s", 0))]
    [True, False]
    """
    seats = _seats(topology, neighbours(topology))
    return seats is not None and seats[0] != "ring"


def _layers(ranks: int, near: Neighbours) -> list[list[Node]]:
    seen: set[Node] = set(range(ranks))
    found: list[list[Node]] = [list(range(ranks))]
    while found[-1]:
        following = dict.fromkeys(other for node in found[-1] for other in near[node] if other not in seen)
        seen |= following.keys()
        found.append(list(following))
    return found[:-1]


def _ports(topology: Topology, near: Neighbours) -> dict[Node, int]:
    """Return the switches of `limit_injection`, each the only way to one rank, and that rank."""
    found: dict[Node, int] = {}
    for rank in range(topology.ranks):
        others = list(near[rank])
        # By their name: a router with one rank, as in a small dragonfly, is more than that.
        if len(others) == 1 and re.fullmatch(r"port \d+", str(others[0])):
            around = near[others[0]]
            if len(around) > 1 and sum(isinstance(node, int) for node in around) == 1:
                found[others[0]] = rank
    # One such switch is nothing special; one for every rank limits what each can send.
    return found if len(found) == topology.ranks else {}


def _placed(topology: Topology, near: Neighbours) -> dict[Node, Position]:
    for place in (_as_shape, _by_switches, _in_a_circle):
        found = place(topology, near)
        if found is not None:
            return found
    return _by_distance(topology, near)


# --- Grids, by the name of the shape ---------------------------------------------------------------------------------


def _as_shape(topology: Topology, near: Neighbours) -> dict[Node, Position] | None:
    """Place a grid or a product by the sides in its name, wherever its ranks were placed."""
    seats = _seats(topology, near)
    if seats is None:
        return None
    shape, sides, seat = seats
    if shape == "ring":
        return {seat[i]: _on_circle(i, sides[0]) for i in range(sides[0])}
    # The last dimension runs to the right, the one before downwards, a third into the picture, and so on.
    steps: list[Position] = []
    width, height = 1.0, 1.0
    for level, side in enumerate(reversed(sides)):
        if level == 2:
            # Inside a cell, so that the planes do not hide each other.
            steps = [(x * (1 + 0.3 * (side - 1)), y * (1 + 0.3 * (side - 1))) for x, y in steps]
            width, height = width * (1 + 0.3 * (side - 1)), height * (1 + 0.3 * (side - 1))
        # A fourth and a fifth dimension repeat the picture, a little aside: rows must not lie on each other.
        steps.append(
            (
                (width, 0.0),
                (0.0, -height),
                (0.42, 0.3),
                (width + 0.8, 0.24),
                (-0.62, -height - 0.8),
            )[level if level < 5 else 3 + (level - 3) % 2]
        )
        if level != 2:
            width, height = width + (side - 1) * abs(steps[-1][0]), height + (side - 1) * abs(steps[-1][1])
    found: dict[Node, Position] = {}
    for number in range(math.prod(sides)):
        rest, x, y = number, 0.0, 0.0
        for side, step in zip(reversed(sides), steps, strict=True):
            rest, digit = divmod(rest, side)
            x, y = x + digit * step[0], y + digit * step[1]
        found[seat[number]] = (x, y)
    return found


def _seats(topology: Topology, near: Neighbours) -> tuple[str, list[int], dict[int, Node]] | None:
    """Return the shape a grid's name says, its sides, and which rank sits where; None if it is no such grid."""
    match = re.match(r"(line|ring|mesh|torus|hypercube|product):([\w]+)", topology.name)
    if match is None:
        found = _sides_of(topology.ranks, near)
        return None if found is None else ("grid", found, {number: number for number in range(topology.ranks)})
    shape, words = match.groups()
    try:
        original = SHAPES[shape].make(SHAPES[shape].read(words), None, 1.0, 0.0)
    except InputError:  # the name only looks like one
        return None
    inside = {node for node in near if not isinstance(node, Wire)}
    if original.switches or len(inside) != original.ranks or topology.ranks != original.ranks:
        return None
    seat: dict[int, Node] = {}
    if len(original.links) == len(topology.links):
        for ours, model in zip(topology.links, original.links, strict=True):
            for here, there in ((ours.tail, model.tail), (ours.head, model.head)):
                if isinstance(there, int) and seat.setdefault(there, here) != here:
                    return None
    if not seat:  # ranks behind ports, or one rank alone
        seat = {number: number for number in range(topology.ranks)}
    if sorted(map(str, seat.values())) != sorted(map(str, range(topology.ranks))):
        return None
    theirs = neighbours(original)
    for number, node in seat.items():
        if {seat.get(other, other) for other in theirs[number]} != set(near[node]):  # type: ignore[call-overload]
            return None
    sides = [int(digits) for digits in re.findall(r"\d+", words)]
    if shape == "hypercube":
        sides = [2] * (topology.ranks.bit_length() - 1) or [1]
    if shape == "product":
        sides.reverse()  # innermost first
    if shape in ("product", "torus", "mesh") and sorted(side for side in sides if side > 1)[1:] == []:
        sides = [math.prod(sides)]
    return shape, sides, seat


def _sides_of(ranks: int, near: Neighbours) -> list[int] | None:
    """Return the sides of a mesh or torus of two dimensions or more whose ranks are numbered row by row, or None."""
    if len(near) != ranks or ranks < 4:
        return None
    for count in (2, 3, 4):
        for sides in _factors(ranks, count):
            for wrap in itertools.product((True, False), repeat=count):
                if all(_grid_neighbours(rank, sides, wrap) == set(near[rank]) for rank in range(ranks)):
                    return list(sides)
    return None


def _factors(number: int, count: int) -> Iterator[tuple[int, ...]]:
    if count == 1:
        yield (number,)
        return
    for first in range(2, number // 2 + 1):
        if number % first == 0:
            yield from ((first, *rest) for rest in _factors(number // first, count - 1))


def _grid_neighbours(rank: int, sides: Sequence[int], wrap: Sequence[bool]) -> set[Node]:
    found: set[Node] = set()
    stride = 1
    for side, closed in zip(reversed(sides), reversed(wrap), strict=True):
        digit = rank // stride % side
        for step in (-1, 1):
            other = (digit + step) % side if closed else digit + step
            if 0 <= other < side and other != digit:
                found.add(rank + (other - digit) * stride)
        stride *= side
    return found


# --- Circles ---------------------------------------------------------------------------------------------------------


def _on_circle(number: float, count: int, radius: float | None = None) -> Position:
    """Return a place on a circle, clockwise from the top, on which neighbours are 1 apart."""
    if radius is None:
        radius = 0.5 / math.sin(math.pi / count) if count > 1 else 0.0
    turn = 2 * math.pi * number / count
    return (radius * math.sin(turn), radius * math.cos(turn))


def _in_a_circle(topology: Topology, near: Neighbours) -> dict[Node, Position] | None:
    """Place ranks without switches around a circle: rings in their order, dense graphs by group."""
    count = topology.ranks
    if len(near) > count:
        return None
    degrees = {len(others) for others in near.values()}
    if degrees == {2}:
        order: list[Node] = [0]
        while len(order) < count and (further := [node for node in near[order[-1]] if node not in order[-2:]]):
            if further[0] == 0:
                break
            order.append(further[0])
        if len(order) == count:
            return {node: _on_circle(number, count) for number, node in enumerate(order)}
    if count <= 16 or min(degrees) > count // 2:
        groups = topology.groups
        if len(groups) == 1:
            around: list[int] = _facing(groups[0], near)
        else:
            around = [*groups[0], *groups[1][::-1]] if len(groups) == 2 else list(itertools.chain(*groups))
        return {node: _on_circle(number, count) for number, node in enumerate(around)}
    return None


def _facing(group: Sequence[int], near: Neighbours) -> list[int]:
    """Return the ranks of a group in an order in which those that are joined face each other.

    A cube mesh of 2n ranks has cables between i and n + i: the second half then runs backwards. A ring does not.
    """
    half = len(group) // 2
    first, second = list(group[:half]), list(group[half:])
    faces = all(b in near[a] for a, b in zip(first, second, strict=False))
    return [*first, *second[::-1]] if faces and len(group) > 4 and len(group) % 2 == 0 else list(group)


# --- Switches --------------------------------------------------------------------------------------------------------


def _by_switches(topology: Topology, near: Neighbours) -> dict[Node, Position] | None:
    tiers = _layers(topology.ranks, near)
    switches = [node for tier in tiers[1:] for node in tier]
    if not switches or sum(map(len, tiers)) < len(near):
        return None
    if len(switches) == 1 and topology.ranks <= _MOST_AROUND_A_SWITCH and not isinstance(switches[0], Wire):
        radius = max(1.5, 0.5 / math.sin(math.pi / max(2, topology.ranks)))
        found: dict[Node, Position] = {switches[0]: (0.0, 0.0)}
        for number, rank in enumerate(rank for group in topology.groups for rank in group):
            found[rank] = _on_circle(number, topology.ranks, radius)
        return found
    level = {node: number for number, tier in enumerate(tiers) for node in tier}
    joined = [(a, b) for a in switches for b in near[a] if level[a] == level[b]]
    ways = [sum(level[other] == 1 for other in near[rank]) for rank in range(topology.ranks)]
    if joined and len(tiers) == 2 and len(switches) > 3 and max(ways) == 1:
        return _groups_in_a_circle(topology, near, tiers[1])
    if len(joined) > 2:
        return None
    return _in_tiers(topology, near, tiers)


def _in_tiers(topology: Topology, near: Neighbours, tiers: list[list[Node]]) -> dict[Node, Position]:
    """Place the ranks in a row, group by group, and the switches above them, each above what is below it."""
    found: dict[Node, Position] = {}
    x = 0.0
    groups = topology.groups if any(len(group) > 1 for group in topology.groups) else [range(topology.ranks)]
    for group in groups:
        joined = sum(other in group for rank in group for other in near[rank])
        if joined > 2 * (len(group) - 1) and len(group) > 2:  # more than a line: a circle
            radius = 0.5 / math.sin(math.pi / len(group))
            for number, rank in enumerate(_facing(group, near)):
                across, up = _on_circle(number + 0.5, len(group), radius)
                found[rank] = (x + radius + across, up - radius)
            x += 2 * radius + 1.0
        else:
            for rank in group:
                found[rank] = (x, 0.0)
                x += 1.0
        x += _GAP if len(groups) > 1 else 0.0
    width = max(place for place, _ in found.values())
    group_of = {rank: number for number, group in enumerate(groups) for rank in group}
    # Switches inside one group stand below where others join the groups: NVSwitches below, rails above.
    private: list[Node] = []
    upper: list[Node] = []
    for node in tiers[1] if len(tiers) > 1 else []:
        around = {group_of[other] for other in near[node] if isinstance(other, int)}
        only_ranks = all(isinstance(other, int) for other in near[node])
        (private if len(around) == 1 and only_ranks else upper).append(node)
    if not upper:
        private, upper = [], private
    height = max(1.6, 0.17 * width)
    lowest = min(y for _, y in found.values())
    for number, tier in enumerate([upper, *tiers[2:]], start=1):
        _place_row(tier, near, found, number * height, width)
    _place_row(private, near, found, lowest - 0.75 * height, width)
    return found


def _place_row(tier: Sequence[Node], near: Neighbours, found: dict[Node, Position], y: float, width: float) -> None:
    """Place switches in a row, each above the middle of what is placed already, moved apart where they would touch."""

    def middle(node: Node) -> float:
        below = [found[other][0] for other in near[node] if other in found]
        return sum(below) / len(below) if below else width / 2

    wanted = {node: middle(node) for node in tier}  # before any of this row is placed
    order = sorted(tier, key=lambda node: round(wanted[node], 6))
    gap = min(max(1.3, 0.06 * width), max(1.0, width / max(1, len(tier) - 1)))
    crowded = any(wanted[b] - wanted[a] < gap for a, b in itertools.pairwise(order))
    if crowded and len(order) > 1:
        step = max(gap, min(width / len(order), 3 * gap))
        places = [width / 2 + (number - (len(order) - 1) / 2) * step for number in range(len(order))]
    else:
        places = [wanted[node] for node in order]
    for node, place in zip(order, places, strict=True):
        found[node] = (place, y)


def _groups_in_a_circle(topology: Topology, near: Neighbours, switches: Sequence[Node]) -> dict[Node, Position]:
    """Place switches around a circle, group by group, and the ranks outside, each next to its switch."""
    group = topology.group_of
    hosts = {node: sorted(other for other in near[node] if isinstance(other, int)) for node in switches}
    order = sorted(switches, key=lambda node: (int(group[hosts[node][0]]), hosts[node][0]))
    slots: list[float] = []
    slot = 0.0
    for number, node in enumerate(order):
        if number and group[hosts[order[number - 1]][0]] != group[hosts[node][0]]:
            slot += _GAP * max(1, len(hosts[node]))
        slots.append(slot + (len(hosts[node]) - 1) / 2)
        slot += len(hosts[node])
    total = slot + _GAP * len(hosts[order[0]])
    # Ranks are 1 apart on their circle, and switches not less than that on theirs.
    spread = total / (2 * math.pi)
    radius = max(2.0, spread, 0.9 + 1.2 * spread / max(1, min(map(len, hosts.values()))))
    found: dict[Node, Position] = {}
    for node, place in zip(order, slots, strict=True):
        turn = 2 * math.pi * place / total
        found[node] = ((radius - 0.9) * math.sin(turn), (radius - 0.9) * math.cos(turn))
        for number, rank in enumerate(hosts[node]):
            turn = 2 * math.pi * (place + number - (len(hosts[node]) - 1) / 2) / total
            found[rank] = ((radius + 0.4) * math.sin(turn), (radius + 0.4) * math.cos(turn))
    return found


# --- Anything else ---------------------------------------------------------------------------------------------------


def _by_distance(topology: Topology, near: Neighbours) -> dict[Node, Position]:
    if len(near) > _MOST_BY_DISTANCE:
        raise InputError(
            f"topology {topology.name!r} has no structure that could be drawn and {len(near)} nodes, more than the "
            f"{_MOST_BY_DISTANCE} that can be placed by distance; draw a smaller one of its kind"
        )
    nodes = list(near)
    count = len(nodes)
    distance = _distances(nodes, near)
    weight = 1 / np.maximum(distance, 1) ** 2
    np.fill_diagonal(weight, 0)
    # Stress majorization: each step solves V x = B(x) x, with V the Laplacian of the weights.
    inverse = np.linalg.pinv(np.diag(weight.sum(axis=1)) - weight)
    places = np.array([_on_circle(number, count) for number in range(count)])
    for _ in range(150):
        apart = np.linalg.norm(places[:, None] - places[None], axis=2)
        ratio = np.divide(weight * distance, apart, out=np.zeros_like(apart), where=apart > 1e-9)
        places = inverse @ ((np.diag(ratio.sum(axis=1)) - ratio) @ places)
    # Twins, with the same neighbours, may have come to lie in one place.
    taken: dict[Position, int] = {}
    found: dict[Node, Position] = {}
    for node, (x, y) in zip(nodes, places.tolist(), strict=True):
        spot = (round(x, 1), round(y, 1))
        again = taken[spot] = taken.get(spot, -1) + 1
        turn, far = 2.4 * again, 0.3 * math.sqrt(again)  # a sunflower's spiral
        found[node] = (x + far * math.cos(turn), y + far * math.sin(turn))
    return found


def _distances(nodes: Sequence[Node], near: Mapping[Node, Iterable[Node]]) -> NDArray[np.float64]:
    """Return the number of links between each two nodes, whatever their direction."""
    index = {node: number for number, node in enumerate(nodes)}
    found = np.full((len(nodes), len(nodes)), float(len(nodes)) ** 0.5 + 1)  # not joined: apart, but not far
    for start, row in zip(nodes, found, strict=True):
        row[index[start]] = steps = 0
        seen, frontier = {start}, [start]
        while frontier:
            steps += 1
            following = dict.fromkeys(other for node in frontier for other in near[node] if other not in seen)
            seen |= following.keys()
            row[[index[node] for node in following]] = steps
            frontier = list(following)
    return found
