"""Ranks in a grid: line, ring, mesh, torus, hypercube, and what products of networks are built from.

A rank's coordinates are the digits of its number. Along each dimension it is connected with the ranks that
differ from it in that digit alone, in one of the ways of `KINDS`. Messages go dimension by dimension, the fastest
running digit first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from collsim.collectives import Bools, Indices
from collsim.errors import InputError
from collsim.lattice import Dimension, Lattice
from collsim.shapes.basic import parse_flag, parse_sizes, refuse_too_many_links, spec_name, when_needed, wire
from collsim.topology import Link, Node, Topology, level_values, link_values
from collsim.units import Quantity, parse_count

Figure = Quantity | Sequence[Quantity]


def line(ranks: int, bandwidth: Quantity, latency: Quantity, *, half_duplex: bool = False) -> Topology:
    """Return `ranks` ranks in a line, each with a cable to the next.

    Parameters
    ----------
    ranks : int
        Number of ranks.
    bandwidth : float or str
        Of each link and direction, in bytes per second or as text.
    latency : float or str
        Of each link, in seconds or as text.
    half_duplex : bool
        Whether the two directions of a cable share one capacity.

    Raises
    ------
    InputError
        If a value is out of range or has an unknown unit.

    Examples
    --------
    >>> line(4, bandwidth="10GB/s", latency="1us")
    Topology('line:4', ranks=4, switches=0, links=6)
    """
    return _row("line", ranks, bandwidth, latency, half_duplex, "along the line")


def ring(ranks: int, bandwidth: Quantity, latency: Quantity, *, half_duplex: bool = False) -> Topology:
    """Return `ranks` ranks in a ring, each with a cable to the next.

    Messages go the shorter way round; where both are equally long, upwards (0, 1, 2, ...). Two ranks have one
    cable between them, one rank has none.

    Parameters
    ----------
    ranks, bandwidth, latency, half_duplex
        As for `line`.

    Raises
    ------
    InputError
        If a value is out of range or has an unknown unit.

    Examples
    --------
    >>> ring(4, bandwidth="10GB/s", latency="1us").route_latency(0, 2)
    2e-06
    """
    return _row("ring", ranks, bandwidth, latency, half_duplex, "the shorter way round")


def mesh(dims: Sequence[int] | int | str, bandwidth: Figure, latency: Figure, *, half_duplex: bool = False) -> Topology:
    """Return a grid of any dimension, in which each rank has a cable to the next along every dimension.

    Ranks are numbered row by row: the last dimension runs fastest, as in the algorithms for a torus. Messages go
    dimension by dimension, the last one first, so that ranks with neighbouring numbers are met first.

    Parameters
    ----------
    dims : sequence of int or str
        The sides, ``(4, 2)`` or ``"4x2"``.
    bandwidth : float, str or a sequence of these
        Of each link and direction, in bytes per second or as text: one for all, or one a dimension in the order of
        `dims`: ``"25GB/s,50GB/s"``.
    latency : float, str or a sequence of these
        Of each link, in seconds or as text: one for all, or one a dimension in the order of `dims`.
    half_duplex : bool
        Whether the two directions of a cable share one capacity.

    Raises
    ------
    InputError
        If a value is out of range or has an unknown unit.

    Notes
    -----
    W. J. Dally and B. Towles, Principles and Practices of Interconnection Networks, 2004, chapter 5 and, for
    dimension order, section 8.4.2. The order of dimensions is a convention; any fixed one is free of deadlocks in a
    mesh.

    Examples
    --------
    >>> net = mesh("2x3", bandwidth="10GB/s", latency="1us")
    >>> net
    Topology('mesh:2x3', ranks=6, switches=0, links=14)
    >>> [net.links[number].head for number in net.route(0, 5)]
    [1, 2, 5]
    """
    return _sides_grid("mesh", "line", dims, bandwidth, latency, half_duplex, "dimension order, the last one first")


def torus(
    dims: Sequence[int] | int | str, bandwidth: Figure, latency: Figure, *, half_duplex: bool = False
) -> Topology:
    """Return a torus of any dimension: a mesh whose rows are closed to rings.

    Ranks are numbered as in `mesh`. Messages go dimension by dimension, the last one first, in each the shorter way
    round; where both are equally long, upwards (0, 1, 2, ...). A side of 2 has one cable, not two; a side of 1 none.

    Parameters
    ----------
    dims, bandwidth, latency, half_duplex
        As for `mesh`.

    Raises
    ------
    InputError
        If a value is out of range or has an unknown unit.

    Notes
    -----
    W. J. Dally and B. Towles, Principles and Practices of Interconnection Networks, 2004, chapter 5 and, for
    dimension order, section 8.4.2.

    Examples
    --------
    >>> net = torus((4, 4), bandwidth="10GB/s", latency="1us")
    >>> net
    Topology('torus:4x4', ranks=16, switches=0, links=64)
    >>> [net.links[number].head for number in net.route(0, 10)]
    [1, 2, 6, 10]
    """
    routing = "dimension order, the last one first, the shorter way round"
    return _sides_grid("torus", "ring", dims, bandwidth, latency, half_duplex, routing)


def hypercube(ranks: int, bandwidth: Quantity, latency: Quantity, *, half_duplex: bool = False) -> Topology:
    """Return a hypercube: a cable between each two ranks whose numbers differ in one bit.

    Messages correct the bits in which source and destination differ one by one, the lowest first (e-cube).

    Parameters
    ----------
    ranks : int
        Number of ranks, a power of two.
    bandwidth, latency, half_duplex
        As for `line`.

    Raises
    ------
    InputError
        If `ranks` is no power of two, or a value is out of range or has an unknown unit.

    Notes
    -----
    H. Sullivan and T. R. Bashkow, "A large scale, homogeneous, fully distributed parallel machine", ISCA 1977.

    Examples
    --------
    >>> net = hypercube(8, bandwidth="10GB/s", latency="1us")
    >>> net
    Topology('hypercube:8', ranks=8, switches=0, links=24)
    >>> [net.links[number].head for number in net.route(0, 6)]
    [2, 6]
    """
    ranks, shared = parse_count(ranks, "ranks"), parse_flag(half_duplex, "half_duplex")
    bits = ranks.bit_length() - 1
    if bits >= _MOST_BITS:
        refuse_too_many_links(ranks * bits)
    if ranks != 1 << bits:
        raise InputError(
            f"ranks of a hypercube must be a power of two, such as {1 << bits} or {2 << bits}, got {ranks}; "
            "a torus takes any number"
        )
    speed, delay = link_values(bandwidth, latency)
    axes = [Axis("line", 2, 1 << bit, bit + 1) for bit in range(bits)]
    name = spec_name(f"hypercube:{ranks}", half_duplex=shared)
    return connect(name, axes, [speed] * bits, [delay] * bits, shared, "e-cube: the lowest bit first")


# No network has more ranks than fit into a number of so many bits.
_MOST_BITS = 64


class Axis(NamedTuple):
    """One dimension of a grid.

    Attributes
    ----------
    kind : str
        How the ranks of a row are connected: a key of `KINDS`.
    size : int
        Ranks in a row.
    stride : int
        By how much the numbers of neighbours in a row differ.
    number : int
        Of the dimension, from 1; its switches are named after it.
    """

    kind: str
    size: int
    stride: int
    number: int

    def place(self, rank: Any) -> Any:
        """Return where in its row a rank is."""
        return rank // self.stride % self.size

    def switch(self, rank: int) -> str:
        """Return the switch of a rank's row; rows are numbered like the first ranks in them."""
        row = rank // (self.stride * self.size) * self.stride + rank % self.stride
        return f"switch {self.number}.{row}"

    def way(self, src: int, dst: int) -> list[Node]:
        """Return the nodes from rank `src` to where it has the place of rank `dst`, without `src` itself."""
        here, there = self.place(src), self.place(dst)
        first = src - here * self.stride
        if here == there:
            return []
        if self.kind in ("full", "switch"):
            between = [self.switch(src)] if self.kind == "switch" else []
            return [*between, first + there * self.stride]
        steps = there - here
        if self.kind == "ring":
            up = steps % self.size
            steps = up if 2 * up <= self.size else up - self.size
        direction = 1 if steps > 0 else -1
        return [first + (here + direction * i) % self.size * self.stride for i in range(1, abs(steps) + 1)]

    # The same for many pairs at once. Cables are numbered rank by rank, as `_cables` makes them.

    @property
    def cables(self) -> int:
        """Cables of a row."""
        if self.size == 1:
            return 0
        if self.kind == "full":
            return self.size * (self.size - 1) // 2
        closed = self.kind == "switch" or (self.kind == "ring" and self.size > 2)
        return self.size if closed else self.size - 1

    def legs(self, src: Indices, dst: Indices) -> Leg:
        """Return what the ways of messages are in this dimension."""
        here, there = self.place(src), self.place(dst)
        if self.kind in ("full", "switch"):
            return Leg(src, here, there, np.where(here == there, 0, 1 + (self.kind == "switch")), here < there)
        steps = there - here
        if self.kind == "ring" and self.size > 2:
            up = steps % self.size
            steps = np.where(2 * up <= self.size, up, up - self.size)
        return Leg(src, here, there, np.abs(steps), steps > 0)

    def links(self, leg: Leg, pair: Indices, number: Indices) -> Indices:
        """Return the link that is so far on the leg of each of these pairs, counted within this dimension."""
        here, there, up = leg.here[pair], leg.there[pair], leg.up[pair]
        if self.kind == "full":
            low, high = np.minimum(here, there), np.maximum(here, there)
            cable, back = self._before(leg.src[pair], low) + high - low - 1, ~up
        elif self.kind == "switch":
            cable, back = self._before(leg.src[pair], np.where(number == 0, here, there)), number == 1
        else:
            lower = np.where(up, here + number, here - number - 1) % self.size
            cable, back = self._before(leg.src[pair], lower), ~up
        return np.where(back, 2 * cable + 1, 2 * cable)

    def _before(self, rank: Indices, place: Indices) -> Indices:
        """Return how many cables are made before those of the rank that is at a place in the row of another."""
        # Ranks with the same place have equally many: those before it in its block of rows, and all other blocks.
        block, within = rank // (self.stride * self.size), rank % self.stride
        if self.kind == "full":
            lower, own = place * (2 * self.size - place - 1) // 2, self.size - 1 - place
        else:
            lower, own = place, np.where(place < self.cables, 1, 0)
        return np.asarray((block * self.cables + lower) * self.stride + within * own)


class Leg(NamedTuple):
    """The ways of messages in one dimension: where each is, its places before and after, how many links, and if up."""

    src: Indices
    here: Indices
    there: Indices
    hops: Indices
    up: Bools


def _next_in_ring(place: int, size: int) -> Sequence[int]:
    # Two ranks have one cable between them, not two; one rank has none.
    return [(place + 1) % size] if size > 2 or place + 1 < size else []


# To which places of its row does a rank have the cables that are counted with it? Each cable is counted once.
KINDS: dict[str, Callable[[int, int], Sequence[int]]] = {
    "ring": _next_in_ring,
    "line": lambda place, size: range(place + 1, min(place + 2, size)),
    "full": lambda place, size: range(place + 1, size),
    "switch": lambda place, size: [],  # its cable goes to the switch of the row
}


def connect(
    name: str,
    axes: Sequence[Axis],
    bandwidths: Sequence[float],
    latencies: Sequence[float],
    half_duplex: bool,
    routing: str,
    groups: Sequence[Sequence[int]] | None = None,
) -> Topology:
    """Return the grid with these dimensions; bandwidths and latencies are one a dimension.

    Examples
    --------
    >>> connect("two rings", [Axis("ring", 4, 1, 1), Axis("line", 2, 4, 2)], [1e9, 1e9], [0.0, 0.0], False, "any")
    Topology('two rings', ranks=8, switches=0, links=24)
    """
    ranks = math.prod(axis.size for axis in axes)
    number = sum(ranks * (axis.size - 1 if axis.kind == "full" else 2) for axis in axes)
    links = when_needed(number, ranks, partial(_cables, axes, bandwidths, latencies, half_duplex))
    order = tuple(sorted((axis for axis in axes if axis.size > 1), key=lambda axis: axis.stride))
    figures = {axis: (speed, delay) for axis, speed, delay in zip(axes, bandwidths, latencies, strict=True)}
    dimensions = tuple(Dimension(axis.kind, axis.size, axis.stride, *figures[axis]) for axis in order)
    # Ranks of a row on one switch are a group, as `Topology.groups` says, if there is nothing else.
    on_a_switch = len(order) == 1 and order[0].kind == "switch"
    group = len(groups[0]) if groups else ranks if on_a_switch else 1
    return Topology(
        name,
        ranks,
        links,
        route=partial(_dimension_order, order),
        paths=partial(_dimension_order_of_many, tuple(axes), order),
        routing=routing,
        groups=groups,
        lattice=Lattice(dimensions, half_duplex, group) if ranks > 1 else None,
    )


def _cables(
    axes: Sequence[Axis], bandwidths: Sequence[float], latencies: Sequence[float], half_duplex: bool
) -> list[Link]:
    ranks = math.prod(axis.size for axis in axes)
    links: list[Link] = []
    for axis, speed, delay in zip(axes, bandwidths, latencies, strict=True):
        cables_of = KINDS[axis.kind]
        for rank in range(ranks):
            place = axis.place(rank)
            for other in cables_of(place, axis.size):
                links += wire(rank, rank + (other - place) * axis.stride, speed, delay, half_duplex)
            if axis.kind == "switch" and axis.size > 1:
                links += wire(rank, axis.switch(rank), speed, delay, half_duplex)
    return links


def _dimension_order(axes: tuple[Axis, ...], src: int, dst: int) -> list[Node]:
    nodes: list[Node] = [src]
    here = src
    for axis in axes:
        nodes += axis.way(here, dst)
        here += (axis.place(dst) - axis.place(here)) * axis.stride
    return nodes


def _dimension_order_of_many(
    axes: tuple[Axis, ...], order: tuple[Axis, ...], src: Indices, dst: Indices
) -> tuple[Indices, Indices]:
    """Return the number of links of each way in dimension order, and the links, by the order of `_cables`."""
    begin, above = {}, 0
    for axis in axes:
        begin[axis] = above
        above += 2 * axis.cables * (math.prod(one.size for one in axes) // axis.size)
    legs = []
    here = src
    for axis in order:
        legs.append(axis.legs(here, dst))
        here = here + (axis.place(dst) - axis.place(here)) * axis.stride
    hops = np.zeros(len(src), dtype=np.int64)
    for leg in legs:
        hops = hops + leg.hops
    link = np.zeros(int(hops.sum()), dtype=np.int64)
    first = np.cumsum(hops) - hops
    for axis, leg in zip(order, legs, strict=True):
        pair = np.repeat(np.arange(len(src)), leg.hops)
        number = np.arange(len(pair)) - np.repeat(np.cumsum(leg.hops) - leg.hops, leg.hops)
        link[first[pair] + number] = begin[axis] + axis.links(leg, pair, number)
        first = first + leg.hops
    return hops, link


def _row(kind: str, ranks: Any, bandwidth: Any, latency: Any, half_duplex: Any, routing: str) -> Topology:
    ranks, shared = parse_count(ranks, "ranks"), parse_flag(half_duplex, "half_duplex")
    speed, delay = link_values(bandwidth, latency)
    name = spec_name(f"{kind}:{ranks}", half_duplex=shared)
    return connect(name, [Axis(kind, ranks, 1, 1)], [speed], [delay], shared, routing)


def _sides_grid(
    name: str, kind: str, dims: Any, bandwidth: Any, latency: Any, half_duplex: Any, routing: str
) -> Topology:
    sides, shared = parse_sizes(dims, "dims", "a side in dims"), parse_flag(half_duplex, "half_duplex")
    speeds, delays = level_values(bandwidth, latency, len(sides), "in the order of dims")
    axes = [Axis(kind, side, math.prod(sides[i + 1 :]), i + 1) for i, side in enumerate(sides)]
    spec = spec_name(f"{name}:{'x'.join(map(str, sides))}", half_duplex=shared)
    return connect(spec, axes, speeds, delays, shared, routing)
