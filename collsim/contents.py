"""What every buffer holds after every step, and what every message carries: whose values, and how often.

The schedule is replayed by the interpreter of `verify` and `execute` with one more algebra: a place holds
how often each rank's values are in it, COPY carries that and REDUCE adds it. What shows a schedule to
people (`collsim.showing`, `collsim.player`) is made from this.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from collsim.errors import InputError, unknown
from collsim.memory import refuse_too_large
from collsim.replay import REDUCTIONS, Moves, as_vectors, loaded, replay_steps
from collsim.schedule import Op, Schedule, need_schedule
from collsim.units import parse_count

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
# A count that stands for itself and all above: a wrong schedule can double a sum in every step.
_MOST_TIMES = 1 << 20
_SHORTEST_RUN = 3  # a..c is shorter than a+b+c, a..b is not shorter than a+b


def rank_name(rank: int) -> str:
    """Return what a rank's values are called in a sum: a letter, or from rank 26 on ``r26``, ``r27``.

    Examples
    --------
    >>> [rank_name(rank) for rank in (0, 1, 25, 26)]
    ['a', 'b', 'z', 'r26']
    """
    return _LETTERS[rank] if rank < len(_LETTERS) else f"r{rank}"


@dataclass(frozen=True)
class Contents:
    """What one chunk of one rank's buffer, or of a message, consists of.

    Attributes
    ----------
    ranks : tuple of int
        The ranks whose values are in it, ascending; none if there is nothing valid.
    times : tuple of int
        How often each of them is counted, in the order of `ranks`: 1 unless the schedule is wrong. (For a
        barrier always 1: it says who was heard from.)

    Examples
    --------
    >>> held = Contents((0, 1, 2, 3, 5))
    >>> str(held), held.short, bool(held), bool(Contents())
    ('a+b+c+d+f', 'a..d+f', True, False)
    >>> str(Contents((0, 1), (1, 2)))
    'a+2b'
    """

    ranks: tuple[int, ...] = ()
    times: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.times:
            object.__setattr__(self, "times", (1,) * len(self.ranks))

    def __bool__(self) -> bool:
        return bool(self.ranks)

    def __str__(self) -> str:
        return self._sum

    @cached_property
    def _sum(self) -> str:
        return "+".join(
            f"{times if times > 1 else ''}{rank_name(rank)}" for rank, times in zip(self.ranks, self.times, strict=True)
        )

    @property
    def once(self) -> bool:
        """Whether nothing is counted more than once."""
        return all(times == 1 for times in self.times)

    @cached_property
    def short(self) -> str:
        """The sum with runs of three and more neighbouring ranks as ``a..d``."""
        parts: list[str] = []
        place = 0
        while place < len(self.ranks):
            end = place
            while (
                end + 1 < len(self.ranks)
                and self.ranks[end + 1] == self.ranks[end] + 1
                and self.times[end + 1] == self.times[place]
            ):
                end += 1
            times = str(self.times[place]) if self.times[place] > 1 else ""
            if end - place + 1 < _SHORTEST_RUN:
                parts += [f"{times}{rank_name(rank)}" for rank in self.ranks[place : end + 1]]
            else:
                parts.append(f"{times}{'(' if times else ''}{rank_name(self.ranks[place])}..")
                parts[-1] += f"{rank_name(self.ranks[end])}{')' if times else ''}"
            place = end + 1
        return "+".join(parts)


@dataclass(frozen=True)
class Piece:
    """One chunk of one row.

    Attributes
    ----------
    chunk : int
        Its number, the same at both ends.
    carried : Contents
        What the sender had of it before the step, and sends.
    before, after : Contents
        What the receiver has of it before and after this row. (Where several rows of one step write one
        place, they do so in the order of rows, and each begins with what the one before has left.)
    """

    chunk: int
    carried: Contents
    before: Contents
    after: Contents


@dataclass(frozen=True)
class Move:
    """One row of a schedule with what it carries.

    Attributes
    ----------
    row : int
        Its number in the schedule's table.
    op : Op
        COPY, REDUCE or COMPUTE.
    src, dst : int
        Sender and receiver; of a COMPUTE both are the rank that works.
    message : int
        Rows of one message have the same number, and travel together.
    chunk, count : int
        The chunks are ``chunk .. chunk + count - 1``.
    seconds : float
        Duration of a COMPUTE, 0 for the others.
    pieces : tuple of Piece
        One a chunk; none for a COMPUTE, which changes nothing.
    """

    row: int
    op: Op
    src: int
    dst: int
    message: int
    chunk: int
    count: int
    seconds: float
    pieces: tuple[Piece, ...]


# state[rank][chunk]
State = tuple[tuple[Contents, ...], ...]


@dataclass(frozen=True)
class Step:
    """One step of a schedule.

    Attributes
    ----------
    number : int
        Its number in the schedule, from 0 on.
    moves : tuple of Move
        Its rows, in their order; none if the schedule leaves this step out.
    before, after : tuple of tuple of Contents
        ``after[rank][chunk]`` is what is there when the step is done.
    """

    number: int
    moves: tuple[Move, ...]
    before: State
    after: State

    @cached_property
    def written(self) -> frozenset[tuple[int, int]]:
        """The places (rank, chunk) that a row of this step writes."""
        return frozenset((move.dst, piece.chunk) for move in self.moves for piece in move.pieces)


@dataclass(frozen=True, eq=False, repr=False)
class History(Sequence[Step]):
    """The steps of a schedule, in order: ``len(history)``, ``history[2]``, ``for step in history``.

    Made by `history`.

    Attributes
    ----------
    schedule : Schedule
        What was replayed.
    start : tuple of tuple of Contents
        ``start[rank][chunk]``: what is there before the first step.
    steps : tuple of Step
        All steps, ``schedule.steps`` of them.
    """

    schedule: Schedule
    start: State
    steps: tuple[Step, ...]

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, number: Any) -> Any:
        return self.steps[number]

    def __repr__(self) -> str:
        return f"History({self.schedule!r})"

    @property
    def end(self) -> State:
        """What is there after the last step: ``end[rank][chunk]``."""
        return self.steps[-1].after if self.steps else self.start

    def state(self, step: int) -> State:
        """Return what every rank holds after a step, as ``state[rank][chunk]``.

        Parameters
        ----------
        step : int
            Number of the step; -1 for what is there before the first.

        Raises
        ------
        InputError
            If there is no such step.

        Examples
        --------
        >>> import collsim as cs
        >>> found = history(cs.make_schedule("all_reduce", "ring", ranks=3))
        >>> [[str(held) for held in row] for row in found.state(0)]
        [['a', 'a', 'a+c'], ['a+b', 'b', 'b'], ['c', 'b+c', 'c']]
        """
        number = parse_count(step, "step", minimum=-1)
        if number >= len(self.steps):
            raise InputError(f"step must be one of -1..{len(self.steps) - 1}, got {number}")
        return self.steps[number].after if number >= 0 else self.start

    @cached_property
    def promised(self) -> State:
        """What each rank must end with; empty for chunks of which its collective says nothing.

        Examples
        --------
        >>> import collsim as cs
        >>> found = history(cs.make_schedule("reduce_scatter", "ring", ranks=3))
        >>> [[str(held) for held in row] for row in found.promised]
        [['a+b+c', '', ''], ['', 'a+b+c', ''], ['', '', 'a+b+c']]
        """
        schedule, names = self.schedule, _Names()
        rows = []
        for rank in range(schedule.ranks):
            row = [_NOTHING] * schedule.chunks
            held = schedule.collective.outputs(schedule.ranks, schedule.chunks, rank).tolist()
            wanted = schedule.collective.after(schedule.ranks, schedule.chunks, rank).astype(np.int32)
            for chunk, counts in zip(held, wanted, strict=True):
                row[chunk] = names(counts)
            rows.append(tuple(row))
        return tuple(rows)


_NOTHING = Contents()


class _Names:
    """Turns counts into `Contents`, each kind once: most places hold one of few."""

    def __init__(self) -> None:
        self._known: dict[bytes, Contents] = {}

    def __call__(self, counts: NDArray[np.int32]) -> Contents:
        key = counts.tobytes()
        found = self._known.get(key)
        if found is None:
            who = np.flatnonzero(counts)
            found = Contents(tuple(who.tolist()), tuple(counts[who].tolist())) if len(who) else _NOTHING
            self._known[key] = found
        return found


def history(schedule: Schedule) -> History:
    """Return what every rank holds after every step, and what every message carries.

    Within a step every move reads the state before the step; those that write one place do so in the order
    of rows. Nothing is proved here: of a wrong schedule the history shows what goes wrong.

    Parameters
    ----------
    schedule : Schedule
        Any schedule, of any collective.

    Returns
    -------
    History
        A sequence of `Step`; ``.start`` is what is there before the first of them, ``.end`` after the last,
        ``.promised`` what should be there then.

    Raises
    ------
    InputError
        If that would not fit into memory.

    Examples
    --------
    >>> import collsim as cs
    >>> found = history(cs.make_schedule("all_reduce", "ring", ranks=3))
    >>> len(found), str(found.start[1][0]), str(found.end[1][0])
    (4, 'b', 'a+b+c')

    Who sends what to whom in the second step, and what that makes:

    >>> for move in found[1].moves:
    ...     for piece in move.pieces:
    ...         print(move.op.name, move.src, move.dst, f"chunk {piece.chunk}: {piece.before} -> {piece.after}")
    REDUCE 0 1 chunk 2: b -> a+b+c
    REDUCE 1 2 chunk 0: c -> a+b+c
    REDUCE 2 0 chunk 1: a -> a+b+c
    >>> found[1].moves[0].pieces[0].carried
    Contents(ranks=(0, 2), times=(1, 1))

    Whose values a rank has after a step:

    >>> found[1].after[2][0].ranks
    (0, 1, 2)
    """
    need_schedule(schedule, "history")
    ranks, chunks, collective = schedule.ranks, schedule.chunks, schedule.collective
    pieces_in_all = int(schedule.count[schedule.transfers].sum())
    refuse_too_large(
        4 * ranks * ranks * chunks + _BYTES_A_PIECE * pieces_in_all + 8 * ranks * chunks * (schedule.steps + 1),
        f"the contents of {ranks} ranks with {chunks} chunks after each of {schedule.steps} steps",
        "use fewer ranks",
    )
    counts = np.zeros((ranks, chunks, ranks), dtype=np.int32)
    for rank in range(ranks):
        counts[rank, collective.before(ranks, chunks, rank), rank] = 1
    names = _Names()
    combine = np.maximum if collective.at_least_once else _add
    found: dict[tuple[int, int], Piece] = {}  # by row and chunk

    def note(moves: Moves, arriving: NDArray[Any], here: NDArray[Any]) -> None:
        left = np.where(moves.is_copy[:, None], arriving, combine(here, arriving))
        places = zip(moves.row.tolist(), moves.chunk.tolist(), arriving, here, left, strict=True)
        for row, chunk, carried, before, after in places:
            found[row, chunk] = Piece(chunk, names(carried), names(before), names(after))

    state = start = tuple(tuple(names(place) for place in row) for row in counts)
    edges = np.searchsorted(schedule.step, np.arange(schedule.steps + 1)).tolist()
    steps = []
    for number in replay_steps(schedule, counts, combine, note):
        moves = tuple(_move(schedule, row, found) for row in range(edges[number], edges[number + 1]))
        found.clear()
        before = state
        state = _changed(before, moves)
        steps.append(Step(number, moves, before, state))
    return History(schedule, start, tuple(steps))


# A piece and its place in the tables, as measured, without contents (of which there are few kinds).
_BYTES_A_PIECE = 250


def _add(here: NDArray[Any], arriving: NDArray[Any]) -> NDArray[Any]:
    total: NDArray[Any] = np.minimum(here + arriving, _MOST_TIMES)
    return total


def _move(schedule: Schedule, row: int, found: dict[tuple[int, int], Piece]) -> Move:
    op, chunk, count = Op(int(schedule.op[row])), int(schedule.chunk[row]), int(schedule.count[row])
    return Move(
        row,
        op,
        int(schedule.src[row]),
        int(schedule.dst[row]),
        int(schedule.message[row]),
        chunk,
        count,
        float(schedule.seconds[row]),
        () if op == Op.COMPUTE else tuple(found[row, number] for number in range(chunk, chunk + count)),
    )


def _changed(state: State, moves: Iterable[Move]) -> State:
    """Return the state after some moves; rows of ranks that receive nothing are shared."""
    rows: dict[int, list[Contents]] = {}
    for move in moves:
        for piece in move.pieces:
            rows.setdefault(move.dst, list(state[move.dst]))[piece.chunk] = piece.after
    return tuple(tuple(rows[rank]) if rank in rows else row for rank, row in enumerate(state))


def values_by_step(schedule: Schedule, x: ArrayLike, op: str = "sum") -> Iterator[list[list[NDArray[Any]]]]:
    """Yield the numbers that every rank holds before the first step and after each: ``numbers[rank][chunk]``.

    Parameters
    ----------
    schedule : Schedule
        Any schedule.
    x : array_like, shape (ranks, elements)
        One vector a rank, as `execute` takes them.
    op : {"sum", "prod", "max", "min"}
        The reduction. (For ``avg`` these are the sums: `execute` divides them when all is done.)

    Yields
    ------
    list of list of ndarray
        ``schedule.steps + 1`` of them. A chunk that a rank has nothing of yet is 0; `history` says which.

    Examples
    --------
    >>> import collsim as cs
    >>> exchange = cs.make_schedule("all_reduce", "recursive_doubling", ranks=2)
    >>> for numbers in values_by_step(exchange, [[1, 2], [10, 20]]):
    ...     print([[part.tolist() for part in rank] for rank in numbers])
    [[[1, 2]], [[10, 20]]]
    [[[11, 22]], [[11, 22]]]
    """
    need_schedule(schedule, "values_by_step")
    if op not in REDUCTIONS:
        raise unknown("operation", op, REDUCTIONS)
    state, sizes = loaded(schedule, as_vectors(x, schedule.ranks))
    lengths = sizes.tolist()
    for _ in itertools.chain([-1], replay_steps(schedule, state, REDUCTIONS[op])):
        yield [
            [state[rank, chunk, :length].copy() for chunk, length in enumerate(lengths)]
            for rank in range(schedule.ranks)
        ]
