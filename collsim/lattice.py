"""Networks that look the same from every rank, described by their dimensions instead of link by link.

What a hop of all ranks (see `collsim.symmetric`) crosses in such a network follows from the dimensions, without a
link or a route being written down. The shapes in `collsim.shapes` say which they have.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from collsim.schedule import Floats
from collsim.symmetric import MIRROR, SHIFT, XOR, Indices, Phase

SWITCH, FULL, RING, LINE, WIRE = "switch", "full", "ring", "line", "wire"


class Dimension(NamedTuple):
    """One dimension: how the ranks of each of its rows are connected.

    Attributes
    ----------
    kind : str
        "switch", "full", "ring", "line", or "wire": one link that all messages between its ranks cross.
    size, stride : int
        Ranks of a row, and by how much the numbers of neighbours in it differ.
    bandwidth, latency : float
        Of each link.
    fatpipe : bool
        Whether its links give every message the full bandwidth.
    """

    kind: str
    size: int
    stride: int
    bandwidth: float
    latency: float
    fatpipe: bool = False


class Leg(NamedTuple):
    """A part of the way of every message of a phase: links that are all alike.

    The links of a channel are an orbit: the group takes each of them to every other, so that what is true of one is
    true of all. Arrays have the shape (steps, hops).

    Attributes
    ----------
    channel : ndarray of int
        Which links: legs that share any have the same number, and then share all.
    links : ndarray of int
        How many of them a message crosses; 0 if it does not go there.
    times : ndarray of int
        How many crossings by the messages of this hop, of all ranks, each link has.
    bandwidth, latency : float
        Of each link.
    fatpipe : bool
        Whether nobody shares.
    """

    channel: Indices
    links: Indices
    times: Indices
    bandwidth: float
    latency: float
    fatpipe: bool = False


@dataclass(frozen=True)
class Lattice:
    """A network of equal rows in every dimension.

    Attributes
    ----------
    dimensions : tuple of Dimension
        In the order in which messages go through them.
    half_duplex : bool
        Whether the two directions of a cable share one capacity.
    group : int
        Ranks of a group (see `Topology.groups`); they follow each other.
    """

    dimensions: tuple[Dimension, ...]
    half_duplex: bool = False
    group: int = 1

    def scaled(self, bandwidth: float, latency: float) -> Lattice:
        """Return the same network with figures multiplied by these factors."""
        return replace(
            self,
            dimensions=tuple(
                one._replace(bandwidth=one.bandwidth * bandwidth, latency=one.latency * latency)
                for one in self.dimensions
            ),
        )

    def legs(self, phase: Phase) -> list[Leg] | str:
        """Return the way of the messages of a phase; or in words why not all ranks' are alike.

        Notes
        -----
        Let a group act on the ranks (that of the phase) and on the links. It takes messages to messages by
        construction of a phase, and routes to routes if, in each dimension, it takes rows to rows:

        - *switch, full*: any permutation of the places in a row does, so any digits that lie inside it.
        - *ring*: shifts. The mirror ``x -> c - x`` does too, but for messages over half the ring, which all go
          upwards. Of two ranks: any.
        - *line*: of two ranks only.
        - *wire*: any.

        Examples
        --------
        >>> from collsim.schedule import Op
        >>> torus = Lattice((Dimension("ring", 4, 1, 1e9, 1e-6), Dimension("ring", 4, 4, 1e9, 1e-6)))
        >>> [(int(leg.links[0, 0]), int(leg.times[0, 0])) for leg in torus.legs(
        ...     Phase.of([4, 4], [SHIFT, SHIFT], by=[1, 2], count=[[1]], op=Op.COPY)) if leg.links.any()]
        [(2, 2), (1, 1)]
        >>> torus.legs(Phase.of([16], [SHIFT], by=1, count=[[1]], op=Op.COPY))
        'a shift by 1 among 16 is no symmetry of a ring of 4'
        """
        found: list[Leg] = []
        first = 0
        for dimension in self.dimensions:
            if dimension.size > 1:
                code = _within(dimension, phase)
                if isinstance(code, str):
                    return code
                if isinstance(code, _Move):
                    legs = self._legs_of(dimension, code, first, math.prod(phase.sides))
                    if isinstance(legs, str):
                        return legs
                    found += legs
            first += 2 * dimension.size
        return found

    def _legs_of(self, dimension: Dimension, move: _Move, first: int, ranks: int) -> list[Leg] | str:
        kind, size, _, bandwidth, latency, fatpipe = dimension
        moves = (move.code != 0).astype(np.int64)
        both = 1 + self.half_duplex  # what a cable carries for both ways together

        def leg(number: int | Indices, links: Indices, times: Indices) -> Leg:
            channel = np.broadcast_to(np.asarray(first + number, dtype=np.int64), links.shape)
            return Leg(channel, links, times, bandwidth, latency, fatpipe)

        if kind == WIRE:
            return [leg(0, moves, ranks * moves)]
        if kind == SWITCH:
            # A half-duplex cable carries what its rank sends and what it receives: one channel, crossed twice.
            return [leg(0, 2 * moves, 2 * moves)] if self.half_duplex else [leg(i, moves, moves) for i in (0, 1)]
        if kind == FULL:
            if not self.half_duplex:
                return [leg(move.code, moves, moves)]
            back = move.inverse()
            if back is None:
                return "a cable that carries both directions one at a time between places of several digits"
            own = move.code == back
            return [leg(np.minimum(move.code, back), moves, moves * np.where(own, 2, 1))]
        if size == 2:
            return [leg(0, moves, both * moves)]
        if kind == LINE:
            return f"the ranks of a line of {size} are not alike"
        if not move.whole or move.action == XOR:
            return f"a hop {move} is no symmetry of a ring of {size}"
        # The shorter way round; where both are equally long, upwards.
        up = move.code % size
        if move.action == SHIFT:
            steps = np.where(2 * up <= size, up, up - size)
            above, below = np.maximum(steps, 0), np.maximum(-steps, 0)
            if self.half_duplex:
                return [leg(0, above + below, above + below)]
            return [leg(0, above, above), leg(1, below, below)]
        if (2 * up == size).any():
            return f"half the way round a ring of {size} everybody goes upwards"
        # Links are of two kinds: those that lead from an even place upwards, or from an odd one downwards, and the
        # others. On its way a message crosses them in turn.
        steps = np.where(2 * up < size, up, up - size)
        outward = np.where(steps > 0, (steps + 1) // 2, -steps // 2)
        inward = np.abs(steps) - outward
        return [leg(i, links, both * links) for i, links in enumerate((outward, inward))]

    # What each rank can do, for bounds

    @property
    def _at_ranks(self) -> list[Dimension]:
        """The dimensions whose links begin and end at ranks; a wire's do if there are no others."""
        cables = [one for one in self.dimensions if _links_at(one)]
        return cables or [one for one in self.dimensions if one.size > 1]

    @property
    def capacity(self) -> float:
        """Bytes per second that each rank can send, and receive, over all its links."""
        return sum(max(1, _links_at(one)) * one.bandwidth for one in self._at_ranks)

    @property
    def one_way_at_a_time(self) -> bool:
        """Whether what each rank sends and what it receives share that."""
        return self.half_duplex or all(one.kind == WIRE for one in self._at_ranks)

    @property
    def fastest(self) -> float:
        """Bytes per second of each rank's fastest link."""
        return max((one.bandwidth for one in self._at_ranks), default=math.inf)

    @property
    def least_latency(self) -> float:
        """Seconds that no message undercuts."""
        return min(((1 + (one.kind == SWITCH)) * one.latency for one in self._at_ranks), default=0.0)

    @property
    def narrowest(self) -> float:
        """Bytes per second that every set of nodes which parts two ranks can send at least; 0 if that is not known.

        See `collsim.limits.Limits.narrowest`.
        """
        ranks, least = 1, 0.0
        for one in self.dimensions:
            if one.kind == WIRE:
                return 0.0
            if one.size > 1:
                row = _links_at(one) * one.bandwidth if one.kind != LINE else one.bandwidth
                both = least + row
                least = min(one.size * least, ranks * row, both) if ranks > 1 else row
                ranks *= one.size
        return least

    @property
    def fair(self) -> float:
        """Bytes per second c, such that any m ranks can send m c to the others if these are as many; 0: not known."""
        rows = [one for one in self.dimensions if one.size > 1]
        return rows[0].bandwidth if len(rows) == 1 and rows[0].kind == SWITCH else 0.0

    @property
    def next_rank(self) -> float:
        """Seconds within which any set of ranks can reach some rank outside it: to a neighbour in some dimension."""
        if any(one.kind == WIRE for one in self.dimensions):
            return self.diameter
        hops = ((1 + (one.kind == SWITCH)) * one.latency for one in self.dimensions if one.size > 1)
        return max(hops, default=0.0)

    @property
    def diameter(self) -> float:
        """Seconds to the farthest rank, by the latencies of the shortest way."""
        return sum(_across(one) * one.latency for one in self.dimensions if one.size > 1)


def _links_at(dimension: Dimension) -> int:
    """Return how many links of a dimension leave each rank."""
    kind, size, *_ = dimension
    if size == 1 or kind == WIRE:
        return 0
    return {SWITCH: 1, FULL: size - 1, RING: min(2, size - 1), LINE: min(2, size - 1)}[kind]


def _across(dimension: Dimension) -> int:
    """Return how many links of a dimension lie between the two of its ranks that are farthest apart."""
    kind, size, *_ = dimension
    return {SWITCH: 2, FULL: 1, RING: size // 2, LINE: size - 1, WIRE: 1}[kind]


@dataclass(frozen=True, eq=False)
class _Move:
    """What the hops of a phase do within the rows of a dimension.

    Attributes
    ----------
    code : ndarray of int, shape (steps, hops)
        By how much, as a number of places; 0 if the place stays the same, and only then.
    action : str
        How, if it is one digit that does.
    whole : bool
        Whether that digit is the whole place in the row.
    size : int
        Of the digit.
    """

    code: Indices
    action: str
    whole: bool
    size: int

    def __str__(self) -> str:
        return f"by {self.action}"

    def inverse(self) -> Indices | None:
        """Return the code of the way back, if one digit does it."""
        if not self.whole:
            return None
        back = (self.size - self.code) % self.size
        if self.action == XOR:
            return self.code
        mirrored = (self.action == MIRROR) & (self.code % 2 == 1)
        return np.where(mirrored, self.code, back)


def _within(dimension: Dimension, phase: Phase) -> _Move | str | None:
    """Return what the hops do within the rows of a dimension; None if nothing, or in words why it is unlike."""
    top = dimension.stride * dimension.size
    code: NDArray[np.int64] | None = None
    digits: list[tuple[str, int, int]] = []
    stride = math.prod(phase.sides)
    for i, (side, action) in enumerate(zip(phase.sides, phase.actions, strict=True)):
        stride //= side
        above = stride * side
        elsewhere = stride % top == 0 or dimension.stride % above == 0
        if side == 1 or elsewhere or not phase.by[..., i].any():
            continue
        by = phase.by[..., i] % side
        if stride % dimension.stride == 0 and top % above == 0:
            part = by * (stride // dimension.stride)
            digits.append((action, stride, side))
        elif action == XOR and _aligned(stride, dimension.stride) and _is_power(dimension.size):
            # A mask is one of its bits for each dimension that they lie in.
            part = by * stride // dimension.stride % dimension.size
            digits.append((XOR, dimension.stride, dimension.size))
        else:
            return f"a {action} by {_example(by)} among {side} is no symmetry of a {dimension.kind} of {dimension.size}"
        code = part if code is None else code + part
    if code is None or not code.any():
        return None
    action, stride, side = digits[0]
    whole = len(digits) == 1 and (stride, side) == (dimension.stride, dimension.size)
    return _Move(code, action, whole, side)


def _aligned(a: int, b: int) -> bool:
    """Return whether one of the two is the other times a power of two."""
    low, high = sorted((a, b))
    return high % low == 0 and _is_power(high // low)


def _example(by: Indices) -> int:
    return int(by[by != 0][0])


def _is_power(number: int) -> bool:
    return number & (number - 1) == 0


def alone(legs: list[Leg]) -> Floats:
    """Return the bytes per second that a message alone gets on its way, shape (steps, hops)."""
    least = np.asarray(math.inf)
    for leg in legs:
        least = np.minimum(least, np.where(leg.links > 0, leg.bandwidth, math.inf))
    return np.asarray(least, dtype=np.float64)
