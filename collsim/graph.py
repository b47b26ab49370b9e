"""What an engine runs: a graph of moves. Transfers and local work with dependencies; no chunk, no ring.

`lower` turns a schedule into one: it fixes the size of every message, what it costs its receiver's
processor, and what each move has to wait for. Engines know this file, not schedules.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collsim.errors import unknown
from collsim.schedule import Floats, Ints, Op, Schedule, constant, is_constant

Edges = NDArray[np.int64]

# What an edge of the graph leaves from, and which ends of a move it holds up; bits of one number.
AFTER_SENT = 1  # it leaves when the sender is done with the move; without this bit when the move has finished
SENDER, RECEIVER = 2, 4
BOTH = SENDER | RECEIVER

ORDERINGS = {
    "step": "a rank enters a step when all of its own moves of earlier steps have finished",
    "dataflow": "a move starts as soon as the chunks that it reads and overwrites are ready",
    "explicit": "a move waits for the rows that its 'after' list names, and for nothing else",
}


class Waiting(NamedTuple):
    """What waits for what.

    Attributes
    ----------
    joins : int
        Number of joins; they are the nodes after the moves.
    edges : ndarray of int, shape (edges, 2)
        In each row a node, and one that waits for it.
    ends : ndarray of uint8, shape (edges,), optional
        What each edge leaves from (`AFTER_SENT` or not) and which ends of the move it holds up (`SENDER`,
        `RECEIVER` or both). Default: all leave when the node has finished, and hold up both.
    """

    joins: int
    edges: Edges
    ends: NDArray[np.uint8] | None = None


class Followers(NamedTuple):
    """Who waits for each moment: the gates ``gates[first[moment] : first[moment + 1]]``, in ascending order.

    Node i has the moments 2i (its sender is done) and 2i + 1 (it has finished), and the gates 2i (of its sender) and
    2i + 1 (of its receiver). Joins and local work have one end only: the moment 2i + 1 and the gate 2i.
    """

    first: NDArray[np.int64] | Ints
    gates: NDArray[np.int64] | Ints


Gating = tuple[Followers, NDArray[np.int64] | Ints]


@dataclass(frozen=True, eq=False)
class MoveGraph:
    """Moves, and what each of them waits for.

    A move here is a whole message, whatever it is packed from. The nodes of the graph are the moves, in the
    order of the schedule's table, followed by `joins`:
    nodes that cost nothing and stand for "all of these have finished", so that K moves that wait for K
    others need 2 K edges and not K^2.

    A message has two ends. Where a sender need not wait for its receiver (eager messages under LogGP) they are ready,
    and done, apart; so each edge says from which end it leaves and which it holds up. Other models take a move as one
    thing: it starts when both of its ends are ready, and its sender is done when it has finished.

    Attributes
    ----------
    ranks : int
        Number of ranks.
    transfer : ndarray of bool, shape (moves,)
        True for messages, False for work on one rank.
    src, dst : ndarray of int, shape (moves,)
        Sender and receiver; for work both are the rank.
    nbytes : ndarray of float, shape (moves,)
        Bytes on the wire.
    work : ndarray of float, shape (moves,)
        Seconds of the receiver's processor: after a message has arrived, or for the work itself.
    release : ndarray of float, shape (2, moves)
        Times in seconds before which the sender's and the receiver's end of each move are not ready.
    dependencies : callable
        Returns what waits for what. Called once, when an engine first asks.
    step : ndarray of int or None
        The step of every move if "ordered by step" is all that moves wait for; else None.
    move_of_row : ndarray of int or None
        The move that each row of the schedule is part of; None if every row is a move of its own.
    gating : callable or None
        A quicker way than by `dependencies`, where there is one and there are no joins, to `followers` and `waits`.
    """

    ranks: int
    transfer: NDArray[np.bool_]
    src: Ints
    dst: Ints
    nbytes: Floats
    work: Floats
    release: Floats
    dependencies: Callable[[], Waiting]
    step: Ints | None = None
    move_of_row: Ints | None = None
    gating: Callable[[], Gating] | None = None

    def __len__(self) -> int:
        return len(self.src)

    @cached_property
    def waiting(self) -> Waiting:
        """What waits for what."""
        return self.dependencies()

    @property
    def nodes(self) -> int:
        """Number of nodes: moves and joins."""
        return len(self) + (self.waiting.joins if self.gating is None else 0)

    @cached_property
    def two_ends(self) -> NDArray[np.bool_]:
        """Which nodes have a sender and a receiver, shape (nodes,): all messages."""
        return np.concatenate([self.transfer, np.zeros(self.nodes - len(self), dtype=bool)])

    @property
    def gates(self) -> NDArray[np.int64]:
        """The numbers of the gates that there are; see `Followers`."""
        return np.flatnonzero(np.stack([np.ones(self.nodes, dtype=bool), self.two_ends], axis=1))

    @cached_property
    def _moments_and_gates(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The moment from which each edge leaves and the gate that it holds shut; an edge may hold two."""
        _, edges, ends = self.waiting
        if ends is None:
            ends = np.full(len(edges), BOTH, dtype=np.uint8)
        two_ends = self.two_ends
        node, follower = edges[:, 0], edges[:, 1]
        moment = 2 * node + np.where(two_ends[node] & (ends & AFTER_SENT > 0), 0, 1)
        sender = (ends & SENDER > 0) | ~two_ends[follower]
        receiver = (ends & RECEIVER > 0) & two_ends[follower]
        return (
            np.concatenate([moment[sender], moment[receiver]]),
            np.concatenate([2 * follower[sender], 2 * follower[receiver] + 1]),
        )

    @cached_property
    def _gating(self) -> Gating:
        if self.gating is not None:
            return self.gating()
        moment, gate = self._moments_and_gates
        order = np.argsort(moment * (2 * self.nodes) + gate, kind="stable")
        first = np.concatenate([[0], np.cumsum(np.bincount(moment, minlength=2 * self.nodes))])
        # Nobody has to copy what is in the narrowest numbers already.
        waits, gates = np.bincount(gate, minlength=2 * self.nodes), gate[order]
        if max(len(gate), 2 * self.nodes + 2) >= 1 << 31:
            return Followers(first, gates), waits
        return Followers(first.astype(np.int32), gates.astype(np.int32)), waits.astype(np.int32)

    @property
    def waits(self) -> NDArray[np.int64] | Ints:
        """How many moments each gate waits for, shape (2 nodes,); gates are numbered as `Followers` says.

        They may be bytes, with room for one more.
        """
        return self._gating[1]

    @property
    def followers(self) -> Followers:
        """The gates that wait for each moment."""
        return self._gating[0]


def lower(
    schedule: Schedule,
    payload: Floats,
    *,
    ordering: str = "step",
    gamma: float = 0.0,
    offsets: Floats | None = None,
    header_bytes: float = 0.0,
) -> MoveGraph:
    """Return the graph of moves of a schedule.

    Parameters
    ----------
    schedule : Schedule
        The moves.
    payload : ndarray of float, shape (moves,)
        Bytes of each message.
    ordering : {"step", "dataflow", "explicit"}
        What a move waits for; the schedule's explicit dependencies always count too.
    gamma : float
        Seconds a byte of payload that a reduction costs its receiver.
    offsets : ndarray of float, shape (ranks,), optional
        When each rank starts, in seconds.
    header_bytes : float
        Bytes that every message has on the wire besides its payload.

    Raises
    ------
    InputError
        If the ordering is not known.
    """
    if ordering not in ORDERINGS:
        raise unknown("ordering", ordering, ORDERINGS)
    work = np.where(schedule.op == Op.REDUCE, gamma * payload, schedule.seconds) if gamma else schedule.seconds
    head: Any = slice(None)  # the first row of each message
    if schedule.packed:
        head = np.flatnonzero(np.diff(schedule.message, prepend=-1))
        payload, work = np.add.reduceat(payload, head), np.add.reduceat(work, head)
    transfer = schedule.transfers[head]

    def dependencies() -> Waiting:
        joins, edges, ends = _ORDERINGS[ordering](schedule)
        explicit = schedule.message[schedule.after[:, ::-1]].astype(np.int64)
        both = np.full(len(explicit), BOTH, dtype=np.uint8)
        return Waiting(joins, np.concatenate([edges, explicit]), np.concatenate([ends, both]))

    def gating() -> Gating:
        from collsim import dataflow

        first, gates, waits = dataflow.gates(schedule, transfer)
        return Followers(first, gates), waits

    return MoveGraph(
        ranks=schedule.ranks,
        transfer=transfer,
        src=schedule.src[head],
        dst=schedule.dst[head],
        nbytes=_on_the_wire(payload, header_bytes, transfer),
        work=work,
        release=_releases(schedule, head, offsets),
        dependencies=dependencies,
        step=schedule.step[head] if ordering == "step" and not len(schedule.after) else None,
        move_of_row=schedule.message if schedule.packed else None,
        gating=gating if ordering == "dataflow" and _pays_to_compile(schedule) else None,
    )


# To import numba takes half a second, as long as a million accesses in numpy; where it is there already, compiled code
# is fetched from disk as quickly as a tenth of that.
_MANY, _MANY_IF_THERE = 1_000_000, 100_000
_PLACES_AN_ACCESS = 16  # it keeps a table of all places, in numpy there are only those that are used


def _pays_to_compile(schedule: Schedule) -> bool:
    accesses = int(schedule.count.sum(dtype=np.int64))
    return (
        accesses >= (_MANY_IF_THERE if "numba" in sys.modules else _MANY)
        and accesses + len(schedule.after) < 1 << 29  # numbers of 32 bits are enough
        and schedule.ranks * schedule.chunks <= _PLACES_AN_ACCESS * accesses
        and importlib.util.find_spec("numba") is not None
    )


def _on_the_wire(payload: Floats, header_bytes: float, transfer: NDArray[np.bool_]) -> Floats:
    if not header_bytes:
        return payload
    if is_constant(payload) and transfer.all():
        return constant(float(payload[0]) + header_bytes, np.float64, payload.shape)
    wire: Floats = payload + header_bytes * transfer
    return wire


def _releases(schedule: Schedule, head: Any, offsets: Floats | None) -> Floats:
    src, dst = schedule.src[head], schedule.dst[head]
    if offsets is None:
        return constant(0.0, np.float64, (2, len(src)))
    return np.stack([offsets[src], offsets[dst]])


_Ends = NDArray[np.uint8]


def _by_step(schedule: Schedule) -> tuple[int, Edges, _Ends]:
    """One join for each rank and step: the rank's moves of that step lead to it, those of its next wait for it.

    A rank is done with what it sends when that is sent, and with what it receives when that has finished; and what
    waits for a rank is its own end of a move.
    """
    head = np.flatnonzero(np.diff(schedule.message, prepend=-1))
    src, dst, step, transfers = (
        column[head] for column in (schedule.src, schedule.dst, schedule.step, schedule.transfers)
    )
    move = np.arange(len(head))
    rank_of = np.concatenate([src, dst[transfers]]).astype(np.int64)
    moves = np.concatenate([move, move[transfers]])
    sending = np.arange(len(moves)) < len(head)
    visit = rank_of * schedule.steps + step[moves]  # a rank in a step, in the order rank, step
    visits, which = np.unique(visit, return_inverse=True)
    rank = visits // max(1, schedule.steps)
    has_previous = np.concatenate([[False], rank[1:] == rank[:-1]])[which]
    has_next = np.concatenate([rank[1:] == rank[:-1], [False]])[which]
    join = len(head) + which
    into = np.stack([moves[has_next], join[has_next]], axis=1)
    out = np.stack([join[has_previous] - 1, moves[has_previous]], axis=1)
    leaves = np.where(sending[has_next], BOTH | AFTER_SENT, BOTH).astype(np.uint8)
    holds = np.where(sending[has_previous], SENDER, RECEIVER).astype(np.uint8)
    return len(visits), np.concatenate([into, out]), np.concatenate([leaves, holds])


# Read after write: the value must be there before it is sent. Write after read: it must be sent before it is
# overwritten. Write after write: the first must be there before the second may come.
_READ_AFTER_WRITE, _WRITE_AFTER_READ, _WRITE_AFTER_WRITE = SENDER, RECEIVER | AFTER_SENT, RECEIVER


def _by_dataflow(schedule: Schedule) -> tuple[int, Edges, _Ends]:
    """Read after write, write after read and write after write on each (rank, chunk).

    Every move of a step reads the state before the step, so within a step only writes of the same place
    wait for each other, in the order of rows.
    """
    rows = len(schedule)
    begin = np.searchsorted(schedule.step, np.arange(schedule.steps + 1))
    first, end = begin[schedule.step], begin[schedule.step + 1]  # of the step of each row
    # An access is place * rows + row, so that sorted they stand place by place in the order of rows.
    row = np.repeat(np.arange(rows), schedule.count)
    chunk = np.arange(len(row)) - np.repeat(np.cumsum(schedule.count) - schedule.count, schedule.count)
    chunk += schedule.chunk[row]
    reads = np.sort((schedule.src[row].astype(np.int64) * schedule.chunks + chunk) * rows + row)
    writes = np.sort((schedule.dst[row].astype(np.int64) * schedule.chunks + chunk) * rows + row)
    place, row = np.divmod(writes, max(1, rows))
    read_place, reader = np.divmod(reads, max(1, rows))
    # The last write of an earlier step, and the first of a later one.
    before = np.searchsorted(writes, read_place * rows + first[reader]) - 1
    later = np.searchsorted(writes, read_place * rows + end[reader])
    has_before = (before >= 0) & (place[before] == read_place) if len(place) else np.zeros(0, dtype=bool)
    has_later = later < len(writes)
    has_later[has_later] = place[later[has_later]] == read_place[has_later]
    again = place[1:] == place[:-1]
    table = np.concatenate(
        [
            _edges(row[before[has_before]], reader[has_before], _READ_AFTER_WRITE, schedule),
            _edges(reader[has_later], row[later[has_later]], _WRITE_AFTER_READ, schedule),
            _edges(row[:-1][again], row[1:][again], _WRITE_AFTER_WRITE, schedule),
        ]
    )
    table.sort()  # not np.unique, which hashes: 50 times slower on millions of different numbers
    table = table[np.concatenate([[True], table[1:] != table[:-1]])[: len(table)]]
    pair, ends = np.divmod(table, _KINDS)
    return 0, np.stack(np.divmod(pair, max(1, rows)), axis=1), ends.astype(np.uint8)


_KINDS = 8


def _edges(before: Edges, after: Edges, ends: int, schedule: Schedule) -> Edges:
    """Return edges between messages, each as one number; none from a message to itself."""
    before, after = schedule.message[before].astype(np.int64), schedule.message[after].astype(np.int64)
    edges: Edges = ((before * len(schedule) + after) * _KINDS + ends)[before != after]
    return edges


def _explicit(schedule: Schedule) -> tuple[int, Edges, _Ends]:
    return 0, np.zeros((0, 2), dtype=np.int64), np.zeros(0, dtype=np.uint8)


_ORDERINGS: dict[str, Callable[[Schedule], tuple[int, Edges, _Ends]]] = {
    "step": _by_step,
    "dataflow": _by_dataflow,
    "explicit": _explicit,
}
