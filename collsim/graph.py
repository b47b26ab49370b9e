"""What an engine runs: a graph of moves. Transfers and local work with dependencies; no chunk, no ring.

`lower` turns a schedule into one: it fixes the size of every message, what it costs its receiver's
processor, and what each move has to wait for. Engines know this file, not schedules.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collsim.errors import unknown
from collsim.schedule import Floats, Ints, Op, Schedule

Edges = NDArray[np.int64]

ORDERINGS = {
    "step": "a rank enters a step when all of its own moves of earlier steps have finished",
    "dataflow": "a move starts as soon as the chunks that it reads and overwrites are ready",
    "explicit": "a move waits for the rows that its 'after' list names, and for nothing else",
}


@dataclass(frozen=True, eq=False)
class MoveGraph:
    """Moves, and what each of them waits for.

    A move here is a whole message, whatever it is packed from. The nodes of the graph are the moves, in the
    order of the schedule's table, followed by `joins`:
    nodes that cost nothing and stand for "all of these have finished", so that K moves that wait for K
    others need 2 K edges and not K^2.

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
    release : ndarray of float, shape (moves,)
        Time in seconds before which a move does not start.
    dependencies : callable
        Returns (joins, edges): the number of joins and an array of shape (edges, 2) with, in each row, a
        node and one that waits for it. Called once, when an engine first asks.
    step : ndarray of int or None
        The step of every move if "ordered by step" is all that moves wait for; else None.
    move_of_row : ndarray of int or None
        The move that each row of the schedule is part of; None if every row is a move of its own.
    """

    ranks: int
    transfer: NDArray[np.bool_]
    src: Ints
    dst: Ints
    nbytes: Floats
    work: Floats
    release: Floats
    dependencies: Callable[[], tuple[int, Edges]]
    step: Ints | None = None
    move_of_row: Ints | None = None

    def __len__(self) -> int:
        return len(self.src)

    @cached_property
    def _joins_and_edges(self) -> tuple[int, Edges]:
        return self.dependencies()

    @property
    def nodes(self) -> int:
        """Number of nodes: moves and joins."""
        return len(self) + self._joins_and_edges[0]

    @cached_property
    def waits(self) -> NDArray[np.int64]:
        """How many nodes each node waits for, shape (nodes,)."""
        return np.bincount(self._joins_and_edges[1][:, 1], minlength=self.nodes)

    @cached_property
    def followers(self) -> list[list[int]]:
        """The nodes that wait for each node."""
        edges = self._joins_and_edges[1]
        edges = edges[np.argsort(edges[:, 0], kind="stable")]
        ends = np.searchsorted(edges[:, 0], np.arange(1, self.nodes))
        return [part.tolist() for part in np.split(edges[:, 1], ends)]


def lower(
    schedule: Schedule,
    payload: Floats,
    *,
    ordering: str = "step",
    gamma: float = 0.0,
    offsets: Floats | None = None,
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
        Seconds a byte that a reduction costs its receiver.
    offsets : ndarray of float, shape (ranks,), optional
        When each rank starts, in seconds.

    Raises
    ------
    InputError
        If the ordering is not known.
    """
    if ordering not in ORDERINGS:
        raise unknown("ordering", ordering, ORDERINGS)
    starts = np.zeros(schedule.ranks) if offsets is None else offsets
    work = np.where(schedule.op == Op.REDUCE, gamma * payload, schedule.seconds)
    head: Any = slice(None)  # the first row of each message
    if schedule.packed:
        head = np.flatnonzero(np.diff(schedule.message, prepend=-1))
        payload, work = np.add.reduceat(payload, head), np.add.reduceat(work, head)

    def dependencies() -> tuple[int, Edges]:
        joins, edges = _ORDERINGS[ordering](schedule)
        explicit = schedule.message[schedule.after[:, ::-1]].astype(np.int64)
        return joins, np.concatenate([edges, explicit])

    return MoveGraph(
        ranks=schedule.ranks,
        transfer=schedule.transfers[head],
        src=schedule.src[head],
        dst=schedule.dst[head],
        nbytes=payload,
        work=work,
        release=np.maximum(starts[schedule.src], starts[schedule.dst])[head],
        dependencies=dependencies,
        step=schedule.step[head] if ordering == "step" and not len(schedule.after) else None,
        move_of_row=schedule.message if schedule.packed else None,
    )


def _by_step(schedule: Schedule) -> tuple[int, Edges]:
    """One join for each rank and step: the rank's moves of that step lead to it, those of its next wait for it."""
    head = np.flatnonzero(np.diff(schedule.message, prepend=-1))
    src, dst, step, transfers = (
        column[head] for column in (schedule.src, schedule.dst, schedule.step, schedule.transfers)
    )
    move = np.arange(len(head))
    ends = np.concatenate([src, dst[transfers]]).astype(np.int64)
    moves = np.concatenate([move, move[transfers]])
    visit = ends * schedule.steps + step[moves]  # a rank in a step, in the order rank, step
    visits, which = np.unique(visit, return_inverse=True)
    rank = visits // max(1, schedule.steps)
    has_previous = np.concatenate([[False], rank[1:] == rank[:-1]])[which]
    has_next = np.concatenate([rank[1:] == rank[:-1], [False]])[which]
    join = len(head) + which
    into = np.stack([moves[has_next], join[has_next]], axis=1)
    out = np.stack([join[has_previous] - 1, moves[has_previous]], axis=1)
    return len(visits), np.concatenate([into, out])


def _by_dataflow(schedule: Schedule) -> tuple[int, Edges]:
    """Read after write, write after read and write after write on each (rank, chunk).

    Every move of a step reads the state before the step, so within a step only writes of the same place
    wait for each other, in the order of rows.
    """
    edges: set[tuple[int, int]] = set()
    last_write: dict[tuple[int, int], int] = {}
    reads_since: dict[tuple[int, int], list[int]] = defaultdict(list)
    bounds = np.searchsorted(schedule.step, np.arange(schedule.steps + 1)).tolist()
    for begin, end in itertools.pairwise(bounds):
        reads: dict[tuple[int, int], list[int]] = defaultdict(list)
        writes: dict[tuple[int, int], list[int]] = defaultdict(list)
        for row in range(begin, end):
            for chunk in range(int(schedule.chunk[row]), int(schedule.chunk[row] + schedule.count[row])):
                reads[int(schedule.src[row]), chunk].append(row)
                writes[int(schedule.dst[row]), chunk].append(row)
        for place, rows in reads.items():
            if place in last_write:
                edges.update((last_write[place], row) for row in rows)
        for place, rows in writes.items():
            earlier = [*reads_since[place], *([last_write[place]] if place in last_write else [])]
            edges.update((row, rows[0]) for row in earlier)
            edges.update(_pairs(rows))
            last_write[place] = rows[-1]
            reads_since[place] = []
        for place, rows in reads.items():
            reads_since[place] += rows
    by_move = schedule.message[np.array(sorted(edges), dtype=np.int64).reshape(-1, 2)].astype(np.int64)
    return 0, np.unique(by_move[by_move[:, 0] != by_move[:, 1]], axis=0)


def _pairs(rows: list[int]) -> Iterator[tuple[int, int]]:
    return itertools.pairwise(rows)


def _explicit(schedule: Schedule) -> tuple[int, Edges]:
    return 0, np.zeros((0, 2), dtype=np.int64)


_ORDERINGS: dict[str, Callable[[Schedule], tuple[int, Edges]]] = {
    "step": _by_step,
    "dataflow": _by_dataflow,
    "explicit": _explicit,
}
