"""Schedules in which all ranks do the same, written down once for all of them and never expanded.

The ranks are the elements of a group that acts on them: shifts of a ring, XOR with a mask, translations of a torus.
A message from rank r to ``r * a``, with its images under the group, is one *hop*: every rank sends it and every rank
receives it. So a step is a list of hops, and 2^20 ranks take as much memory as two. What the algorithms' hops are
stands in `collsim.algorithms.symmetric`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from collsim.collectives import Collective
from collsim.errors import InputError
from collsim.schedule import Floats, Op

Indices = NDArray[np.int64]

# How a hop by d takes the digit x of a rank's number to that of its receiver. Each is the multiplication by an element
# of a group that acts on the digits in the other way: the shifts; XOR; the shifts by an even number with the mirror
# x -> 1 - x (so even and odd places look in opposite directions).
SHIFT, XOR, MIRROR = "shift", "xor", "mirror"


@dataclass(frozen=True, eq=False)
class Phase:
    """Steps of one form: in each of them every rank sends the same number of messages.

    Attributes
    ----------
    sides : tuple of int
        The digits of a rank's number, the last one running fastest; their product is the number of ranks.
    actions : tuple of str
        What a hop does to each digit: "shift", "xor" or "mirror".
    by : ndarray of int, shape (steps, hops, digits)
        By how much.
    count : ndarray of int, shape (steps, hops)
        Chunks of each message.
    op : Op
        What they do at the receiver.
    neighbours : bool
        Whether the chunks of each message are known to be neighbours at every rank, so that it is one row of a table.

    Examples
    --------
    >>> ring = Phase.of([4], [SHIFT], by=1, count=[[1]] * 3, op=Op.COPY)
    >>> ring.steps, ring.hops, ring.receivers(np.arange(4), 0, 0).tolist()
    (3, 1, [1, 2, 3, 0])
    """

    sides: tuple[int, ...]
    actions: tuple[str, ...]
    by: Indices
    count: Indices
    op: Op
    neighbours: bool = False

    @classmethod
    def of(cls, sides: Sequence[int], actions: Sequence[str], by: ArrayLike, count: ArrayLike, op: Op) -> Phase:
        """Return a phase; `by` is broadcast to all steps, hops and digits, so that equal steps take no memory."""
        chunks = np.asarray(count, dtype=np.int64)
        shape = (*chunks.shape, len(sides))
        return cls(tuple(sides), tuple(actions), np.broadcast_to(np.asarray(by, dtype=np.int64), shape), chunks, op)

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.count)

    @property
    def hops(self) -> int:
        """Number of messages that every rank sends in a step."""
        return int(self.count.shape[1])

    def receivers(self, rank: Indices, step: int, hop: int) -> Indices:
        """Return to whom these ranks send."""
        found = np.zeros_like(rank)
        stride = 1
        for side, action, by in reversed(list(zip(self.sides, self.actions, self.by[step, hop].tolist(), strict=True))):
            digit = rank // stride % side
            if action == XOR:
                there = digit ^ by
            else:
                there = (digit + by * (1 - 2 * (digit % 2) if action == MIRROR else 1)) % side
            found = found + there * stride
            stride *= side
        return found

    def within(self, outer: int, inner: int) -> Phase:
        """Return the same among the ranks that differ in some digits only, with more digits before and behind."""
        before, behind = ([side] if side > 1 else [] for side in (outer, inner))
        still = [np.zeros((*self.count.shape, len(digits)), dtype=np.int64) for digits in (before, behind)]
        by = np.concatenate([still[0], self.by, still[1]], axis=2)
        sides = (*before, *self.sides, *behind)
        return replace(
            self,
            sides=sides,
            actions=(*[SHIFT] * len(before), *self.actions, *[SHIFT] * len(behind)),
            by=by,
            neighbours=False,
        )


class Rows(NamedTuple):
    """Messages one by one, in the order of steps and hops; each array of shape (messages,)."""

    step: Indices
    src: Indices
    dst: Indices
    chunks: Indices
    op: NDArray[np.int8]


@dataclass(frozen=True, eq=False, repr=False)
class SymmetricSchedule:
    """A schedule in which all ranks do the same, without its rows.

    It says which messages there are and how many bytes they have, not which chunks: so it can be simulated, and
    `make_schedule` writes the rows of the same algorithm for `verify` and `execute`. Get one from
    `symmetric_schedule`.

    Attributes
    ----------
    collective : Collective
        What it carries out.
    ranks, chunks : int
        Number of ranks, and of chunks that every rank's buffer is cut into.
    phases : tuple of Phase
        Its steps.
    share : float
        What part of the vector one chunk is.
    algorithm : str
        Its name.
    options : mapping
        The options that it was made with.
    """

    collective: Collective
    ranks: int
    chunks: int
    phases: tuple[Phase, ...]
    share: float
    algorithm: str = "custom"
    options: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return (
            f"SymmetricSchedule({self.collective.name}, {self.algorithm}, ranks={self.ranks}, chunks={self.chunks}, "
            f"steps={self.steps}, messages={self.messages})"
        )

    @property
    def steps(self) -> int:
        """Number of steps."""
        return sum(phase.steps for phase in self.phases)

    @property
    def messages(self) -> int:
        """Number of messages."""
        return self.ranks * sum(phase.steps * phase.hops for phase in self.phases)

    def payload(self, phase: Phase, nbytes: int) -> Floats:
        """Return the bytes of the messages of a phase without headers, shape (steps, hops)."""
        return np.asarray(phase.count * float(nbytes) * self.share, dtype=np.float64)

    def message_bytes(self, nbytes: int) -> list[Floats]:
        """Return the payload of the messages of every phase in bytes, each of shape (steps, hops).

        Raises
        ------
        InputError
            If the size is not 0 for a collective that moves no data.
        """
        if nbytes and self.ranks > 1 and not self.share:
            raise InputError(f"{self.collective.name} moves no data: its size must be 0, got {nbytes} bytes")
        return [self.payload(phase, nbytes) for phase in self.phases]

    def rows(self) -> Rows:
        """Return all messages one by one: as many as ranks times hops, so for few ranks only."""
        rank = np.arange(self.ranks)
        found: list[tuple[Indices, ...]] = []
        first = 0
        for phase in self.phases:
            for step in range(phase.steps):
                for hop in range(phase.hops):
                    columns = (first + step, rank, phase.receivers(rank, step, hop), phase.count[step, hop], phase.op)
                    found.append(tuple(np.broadcast_to(np.asarray(column), rank.shape) for column in columns))
            first += phase.steps
        if not found:
            nothing = np.zeros(0, dtype=np.int64)
            return Rows(nothing, nothing, nothing, nothing, np.zeros(0, dtype=np.int8))
        step_, src, dst, count, op = (np.concatenate(column) for column in zip(*found, strict=True))
        return Rows(step_, src, dst, count, op.astype(np.int8))


def joined(parts: Sequence[tuple[int, Sequence[Phase]]]) -> tuple[int, tuple[Phase, ...]]:
    """Return the chunks and phases of several schedules, given by theirs, that follow each other.

    Examples
    --------
    >>> one = Phase.of([2], [XOR], by=1, count=[[1]], op=Op.COPY)
    >>> chunks, phases = joined([(2, [one]), (3, [one])])
    >>> chunks, [phase.count.tolist() for phase in phases]
    (6, [[[3]], [[2]]])
    """
    chunks = math.lcm(*(number for number, _ in parts))
    return chunks, tuple(
        replace(phase, count=phase.count * (chunks // number), neighbours=False)
        for number, phases in parts
        for phase in phases
    )
