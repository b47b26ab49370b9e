"""The one noun: a `Schedule` is a collective algorithm written down as a table of moves.

A move is one row: in `step`, `src` sends `count` neighbouring chunks from `chunk` on to `dst` as one
message, where they replace what is there (COPY) or are combined with it (REDUCE); or a rank computes
for a while (COMPUTE). Chunks that are not neighbours can be packed into one message too: several rows
with one message number. This file knows the table and how to write one, not what any algorithm does,
nor how long anything takes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from collsim.collectives import Collective, get_collective, root_of
from collsim.errors import InputError
from collsim.memory import available_bytes, refuse_too_large
from collsim.units import parse_count, parse_time

if TYPE_CHECKING:
    import pandas as pd

Ints = NDArray[np.int32]
Floats = NDArray[np.float64]


class Op(IntEnum):
    """What a move does to the chunks at its destination."""

    COPY = 0
    REDUCE = 1
    COMPUTE = 2


@dataclass(frozen=True, eq=False, repr=False)
class Schedule:
    """A collective algorithm as data: one row a move, in the order of steps.

    Within a step every move reads the state before the step; moves that write the same chunk at the
    same rank do so in the order of their rows. Write one with `ScheduleBuilder`; get a known one from
    `make_schedule`.

    Attributes
    ----------
    collective : Collective
        What it is meant to do.
    ranks, chunks : int
        Number of ranks, and of chunks that every rank's buffer is cut into.
    step, src, dst, chunk, count : ndarray of int32, shape (moves,)
        The table's columns; `step` does not decrease. A COMPUTE move has ``src == dst``.
    op : ndarray of int8, shape (moves,)
        `Op` of each move.
    seconds : ndarray of float64, shape (moves,)
        Duration of COMPUTE moves, 0 for the others.
    after : ndarray of int32, shape (dependencies, 2)
        Explicit dependencies: in each pair the first row starts after the second has finished, and
        the second stands further up in the table.
    message : ndarray of int32, shape (moves,)
        Number of the message that each row travels in; rows of one message are neighbours in the table
        and have the same step, src and dst. Default: every row is a message of its own.
    algorithm : str
        Name of what made it.
    options : mapping
        The options that it was made with.

    Raises
    ------
    InputError
        If a row is outside the ranks or chunks, sends to itself, or waits for a later row.
    """

    collective: Collective
    ranks: int
    chunks: int
    step: Ints
    src: Ints
    dst: Ints
    chunk: Ints
    count: Ints
    op: NDArray[np.int8]
    seconds: Floats = field(default_factory=lambda: np.zeros(0))
    after: Ints = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int32))
    message: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    algorithm: str = "custom"
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        moves = len(self.step)
        if not len(self.seconds):
            object.__setattr__(self, "seconds", constant(0.0, np.float64, (moves,)))
        alone = not len(self.message)
        if alone:
            own = np.arange(moves, dtype=np.int32)
            own.flags.writeable = False
            object.__setattr__(self, "message", own)
        for name, dtype in _COLUMNS.items():
            object.__setattr__(self, name, _frozen(name, getattr(self, name), dtype, (moves,)))
        object.__setattr__(self, "after", _frozen("after", self.after, np.int32, (len(self.after), 2)))
        self._check_rows(alone)

    def _check_rows(self, alone: bool) -> None:
        root_of(self.collective, self.ranks)  # raises if there is no such rank
        if not self._plain():
            self._check_columns()
        if not alone:
            self._check_messages()
        self._check_after()

    def _plain(self) -> bool:
        """Return whether the columns as a whole show that no row breaks a rule: much quicker than row by row."""
        if not len(self):
            return True
        return bool(
            self.step[0] >= 0
            and (self.step[1:] >= self.step[:-1]).all()
            and self.src.min() >= 0
            and self.src.max() < self.ranks
            and self.dst.min() >= 0
            and self.dst.max() < self.ranks
            and (is_constant(self.op) or self.op.min() >= 0)
            and self.op.max() < Op.COMPUTE
            and (self.src != self.dst).all()
            and self.chunk.min() >= 0
            and _least(self.count) >= 1
            and int(self.chunk.max()) + _most(self.count) <= self.chunks
            and is_constant(self.seconds)
            and self.seconds[0] == 0
        )

    def _check_columns(self) -> None:
        compute = self.op == Op.COMPUTE
        last = self.chunk.astype(np.int64) + self.count
        rules = (
            (self.step < 0, "has a negative step"),
            (np.diff(self.step, prepend=0) < 0, "stands after a row of a later step"),
            ((self.src < 0) | (self.src >= self.ranks), f"has src outside 0..{self.ranks - 1}"),
            ((self.dst < 0) | (self.dst >= self.ranks), f"has dst outside 0..{self.ranks - 1}"),
            ((self.src == self.dst) & ~compute, "sends to itself"),
            ((self.src != self.dst) & compute, "computes on one rank for another"),
            ((self.chunk < 0) | (last > self.chunks), f"has chunks outside 0..{self.chunks - 1}"),
            ((self.count < 1) & ~compute, "moves no chunk (count must be at least 1)"),
            (self.count < 0, "has a negative count"),
            ((self.op < 0) | (self.op > Op.COMPUTE), "has an unknown op"),
            (~np.isfinite(self.seconds) | (self.seconds < 0), "has negative or infinite seconds"),
        )
        for wrong, what in rules:
            if wrong.any():
                row = int(np.argmax(wrong))
                raise InputError(f"row {row} {what}: {self.describe(row)}")

    def _check_messages(self) -> None:
        again = np.diff(self.message) == 0
        apart = (np.diff(self.message) < 0) | (np.diff(self.message) > 1)
        for name in ("step", "src", "dst"):
            apart |= again & (np.diff(getattr(self, name)) != 0)
        if apart.any() or (len(self) and self.message[0]):
            row = int(np.argmax(apart)) + 1 if apart.any() else 0
            raise InputError(
                f"row {row} has message {self.message[row]}: messages are numbered 0, 1, 2, ... down the table, and "
                f"the rows of one have the same step, src and dst: {self.describe(row)}"
            )

    def _check_after(self) -> None:
        if len(self.after):
            later = (self.after[:, 1] >= self.after[:, 0]) | (self.after.min(axis=1) < 0)
            if later.any() or self.after.max() >= len(self):
                row, other = self.after[int(np.argmax(later))] if later.any() else self.after.max(axis=0)
                raise InputError(
                    f"row {row} waits for row {other}, which does not stand before it: a cycle or a forward "
                    "dependency can never run (order the rows so that every row comes after those it waits for)"
                )

    def __len__(self) -> int:
        return len(self.step)

    def __repr__(self) -> str:
        return (
            f"Schedule({self.collective.name}, {self.algorithm}, ranks={self.ranks}, chunks={self.chunks}, "
            f"steps={self.steps}, messages={self.messages})"
        )

    def _repr_html_(self) -> str:
        # How things look is the business of a module further up, which is not needed before a notebook asks.
        from collsim.html_views import schedule_html

        return schedule_html(self)

    def describe(self, row: int) -> str:
        """Return one row in words, for messages."""
        op = int(self.op[row])
        name = Op(op).name if op in _OPS else str(op)
        return (
            f"step {self.step[row]}: {name} of chunk {self.chunk[row]} (count {self.count[row]}) "
            f"from rank {self.src[row]} to rank {self.dst[row]}"
        )

    @property
    def steps(self) -> int:
        """Number of steps."""
        return int(self.step[-1]) + 1 if len(self) else 0

    @property
    def transfers(self) -> NDArray[np.bool_]:
        """Which rows are messages, shape (moves,)."""
        return np.asarray(self.op != Op.COMPUTE)

    @property
    def messages(self) -> int:
        """Number of messages: rows that are packed together count once."""
        return int(np.count_nonzero(np.diff(self.message[self.transfers], prepend=-1)))  # they do not decrease

    @property
    def packed(self) -> bool:
        """Whether any message has several rows."""
        return bool(len(self)) and int(self.message[-1]) + 1 < len(self)

    def message_bytes(self, nbytes: int, itemsize: int | None = None) -> Floats:
        """Return the payload of every row in bytes, shape (moves,).

        Parameters
        ----------
        nbytes : int
            Size of the whole vector in bytes.
        itemsize : int, optional
            Bytes of one element: vectors are then cut between elements, as `Collective.cut` says. By
            default they are divided as `Collective.shares` says, to fractions of a byte, as closed forms do.

        Raises
        ------
        InputError
            If the size is not a whole number of elements, or not 0 for a collective that moves no data.
        """
        shares = self.collective.shares(self.ranks, self.chunks)
        if nbytes and self.ranks > 1 and not shares.any():
            raise InputError(f"{self.collective.name} moves no data: its size must be 0, got {nbytes} bytes")
        if itemsize is None:
            if (shares == shares[0]).all():
                # One product, so that a message is to the last bit what a closed form says.
                if is_constant(self.count) and len(self) and _most(self.op) < Op.COMPUTE:
                    return constant(int(self.count[0]) * float(nbytes) * shares[0], np.float64, (len(self),))
                payload = self.count * float(nbytes) * shares[0]
            else:
                payload = _sums(np.asarray(shares * nbytes, dtype=np.float64), self.chunk, self.count)
        else:
            if nbytes % itemsize:
                raise InputError(f"size of {nbytes} bytes is not a whole number of elements of {itemsize} bytes")
            sizes = self.collective.cut(self.ranks, self.chunks, nbytes // itemsize)
            payload = _sums(np.asarray(sizes * itemsize, dtype=np.float64), self.chunk, self.count)
        return np.where(self.transfers, payload, 0.0)

    def to_frame(self) -> pd.DataFrame:
        """Return the table of moves as a pandas DataFrame, one row a move."""
        import pandas as pd

        frame = pd.DataFrame({name: getattr(self, name) for name in _COLUMNS})
        frame["op"] = [Op(op).name for op in self.op]
        return frame


def constant(value: float, dtype: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return an array that is the same everywhere, and takes no memory."""
    return np.broadcast_to(np.array(value, dtype=dtype), shape)


def is_constant(array: NDArray[Any]) -> bool:
    """Return whether an array is one of `constant`'s (others may be the same everywhere, too)."""
    return array.size > 0 and array.ndim > 0 and not any(array.strides)


def _least(column: NDArray[Any]) -> int:
    return int(column[0] if is_constant(column) else column.min())


def _most(column: NDArray[Any]) -> int:
    return int(column[0] if is_constant(column) else column.max())


def need_schedule(schedule: object, verb: str) -> None:
    """Raise an `InputError` unless `schedule` is one."""
    if not isinstance(schedule, Schedule):
        raise InputError(f"{verb} needs a Schedule, as make_schedule returns it, got {schedule!r}")


_COLUMNS: dict[str, Any] = {
    **dict.fromkeys(("step", "src", "dst", "chunk", "count", "message"), np.int32),
    "op": np.int8,
    "seconds": np.float64,
}
_OPS = frozenset(Op)


def _sums(sizes: Floats, first: Ints, count: Ints) -> Floats:
    """Return the sizes of `count` neighbours from `first` on, added up."""
    edges = np.concatenate([[0.0], np.cumsum(sizes)])
    # One chunk alone is taken as it is: a difference of sums would be off in the last bit.
    total: Floats = np.where(count == 1, sizes[first], edges[first + count] - edges[first])
    return total


def _frozen(name: str, values: ArrayLike, dtype: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return a column as a read-only array that nobody else can write; one that is so already is kept."""
    column = np.asarray(values)
    if column.dtype != dtype or column.flags.writeable:
        given = column
        with np.errstate(invalid="ignore"):  # looked at here
            column = given.astype(dtype)
        same = column == given
        if given.size and not np.all(same | (given != given)):
            wrong = given[np.argmin(same)]
            raise InputError(f"column {name!r} must be of type {np.dtype(dtype)}, which cannot hold {wrong!r}")
    if column.shape != shape:
        raise InputError(f"column {name!r} has shape {column.shape}, expected {shape}")
    column.flags.writeable = False
    return column


class ScheduleBuilder:
    """Writes a schedule, move by move or a whole array of moves at a time.

    Every argument of a move may be a number or an array; arrays are broadcast, one row each. Rows are
    sorted by step when built, and keep the order in which they were written within a step. Each method
    returns handles of its rows, for `after` of later ones.

    Parameters
    ----------
    collective : str or Collective
        What the schedule is meant to do.
    ranks : int
        Number of ranks.
    chunks : int
        Number of chunks of every rank's buffer.

    Examples
    --------
    Two ranks exchange their vectors and each adds the other's to its own:

    >>> plan = ScheduleBuilder("all_reduce", ranks=2)
    >>> _ = plan.reduce(step=0, src=[0, 1], dst=[1, 0])
    >>> plan.build()
    Schedule(all_reduce, custom, ranks=2, chunks=1, steps=1, messages=2)
    """

    def __init__(self, collective: str | Collective, ranks: int, chunks: int = 1) -> None:
        self.collective = get_collective(collective)
        self.ranks = parse_count(ranks, "ranks")
        self.chunks = parse_count(chunks, "chunks")
        self._parts: list[_Part] = []
        self._after: list[NDArray[np.int64]] = []
        self._rows = 0
        available = available_bytes()
        self._fits = math.inf if available is None else available // BYTES_A_ROW

    def copy(
        self,
        step: ArrayLike,
        src: ArrayLike,
        dst: ArrayLike,
        chunk: ArrayLike = 0,
        count: ArrayLike = 1,
        *,
        packed: bool = False,
        after: Sequence[int] | NDArray[np.int64] = (),
    ) -> NDArray[np.int64]:
        """Send chunks that replace those at the destination.

        With `packed`, all rows of this call that have the same step, src and dst travel as one message.
        `after` are handles of rows to wait for.
        """
        return self._add(Op.COPY, step, src, dst, chunk, count, 0.0, packed, after)

    def reduce(
        self,
        step: ArrayLike,
        src: ArrayLike,
        dst: ArrayLike,
        chunk: ArrayLike = 0,
        count: ArrayLike = 1,
        *,
        packed: bool = False,
        after: Sequence[int] | NDArray[np.int64] = (),
    ) -> NDArray[np.int64]:
        """Send chunks that are combined with those at the destination; `packed` and `after` as for `copy`."""
        return self._add(Op.REDUCE, step, src, dst, chunk, count, 0.0, packed, after)

    def compute(
        self,
        step: ArrayLike,
        rank: ArrayLike,
        seconds: ArrayLike,
        chunk: ArrayLike = 0,
        count: ArrayLike = 0,
        *,
        after: Sequence[int] | NDArray[np.int64] = (),
    ) -> NDArray[np.int64]:
        """Keep a rank busy for `seconds`, a number or text such as ``"5us"``; values stay as they are.

        It works on `count` chunks from `chunk` on. With the default of none it waits for no data, and none waits
        for it, when moves are ordered by dataflow: name the chunks there, or use `after`.
        """
        return self._add(Op.COMPUTE, step, rank, rank, chunk, count, seconds, False, after)

    def _add(
        self,
        op: Op,
        step: ArrayLike,
        src: ArrayLike,
        dst: ArrayLike,
        chunk: ArrayLike,
        count: ArrayLike,
        seconds: ArrayLike,
        packed: bool,
        after: Sequence[int] | NDArray[np.int64],
    ) -> NDArray[np.int64]:
        columns = {
            name: _whole(name, value) for name, value in zip(_INT_COLUMNS, (step, src, dst, chunk, count), strict=True)
        }
        columns["seconds"] = np.atleast_1d(_durations(seconds))
        for name, column in columns.items():
            if column.ndim > 1:
                raise InputError(f"{name} must be a number or a list of numbers, one a move, got a table of them")
        rows = {len(column) for column in columns.values()} - {1}
        if len(rows) > 1:
            shapes = ", ".join(f"{name} {len(column)}" for name, column in columns.items() if len(column) > 1)
            raise InputError(f"the arrays of a move must have the same length, got {shapes}")
        (length,) = rows or {1}
        handles = np.arange(self._rows, self._rows + length)
        if self._rows + length > self._fits:
            refuse_too_large(
                (self._rows + length) * BYTES_A_ROW,
                f"a schedule of more than {self._rows + length} moves",
                "use fewer ranks or chunks",
            )
        part = _Part(op, self._rows, length, {name: _narrow(column) for name, column in columns.items()})
        self._rows += length
        if packed:
            ends = np.stack([np.broadcast_to(columns[name], length) for name in ("step", "src", "dst")], axis=1)
            _, first, which = np.unique(ends, axis=0, return_index=True, return_inverse=True)
            part.message = handles[first[which]]
        self._parts.append(part)
        earlier = _whole("after", after).astype(np.int64).ravel() if np.size(after) else np.zeros(0, dtype=np.int64)
        if earlier.size:
            self._after.append(np.stack([np.repeat(handles, len(earlier)), np.tile(earlier, len(handles))], axis=1))
        return handles

    def build(self) -> Schedule:
        """Return the schedule, its rows in the order of steps."""
        table, message, order = self._table()
        after = np.concatenate(self._after) if self._after else np.zeros((0, 2), dtype=np.int64)
        if after.size:
            if after.min() < 0 or after.max() >= self._rows:
                wrong = after.min() if after.min() < 0 else after.max()
                raise InputError(f"'after' names row {wrong}, but the rows written are 0..{self._rows - 1}")
            place = np.empty(self._rows, dtype=np.int64)
            place[order()] = np.arange(self._rows)
            after = place[after]
        for column in table.values():
            column.flags.writeable = False  # nobody else has it, so the schedule need not copy it
        return Schedule(
            collective=self.collective,
            ranks=self.ranks,
            chunks=self.chunks,
            after=after.astype(np.int32),
            message=message,
            step=table["step"],
            src=table["src"],
            dst=table["dst"],
            chunk=table["chunk"],
            count=table["count"],
            op=table["op"],
            seconds=table["seconds"],
        )

    def _table(self) -> tuple[dict[str, NDArray[Any]], Ints, Callable[[], NDArray[np.int64]]]:
        """Return the columns in the order of steps, the messages (none if all rows are alone), and that order."""
        parts = self._parts
        alone = all(part.message is None for part in parts)
        whole = alone and all(len(part.columns["step"]) == 1 for part in parts)
        if whole:  # every call wrote rows of one step: put the calls in order, and no row must be moved
            parts = sorted(parts, key=lambda part: int(part.columns["step"][0]))
        table = {name: _joined(parts, name, self._rows) for name in _COLUMNS if name != "message"}
        if whole:
            return (
                table,
                np.zeros(0, dtype=np.int32),
                lambda: np.concatenate([np.arange(part.first, part.first + part.length) for part in parts]),
            )
        message = np.arange(self._rows)  # a message is known by its first row until the table is built
        for part in parts:
            if part.message is not None:
                message[part.first : part.first + part.length] = part.message
        order = np.lexsort((message, table["step"]))
        table = {name: column if is_constant(column) else column[order] for name, column in table.items()}
        return table, np.zeros(0, dtype=np.int32) if alone else renumbered(message[order]), lambda: order


@dataclass
class _Part:
    """The rows of one call: a column of one value is the same for all of them."""

    op: Op
    first: int
    length: int
    columns: dict[str, NDArray[Any]]
    message: NDArray[np.int64] | None = None


def _narrow(column: NDArray[Any]) -> NDArray[Any]:
    """Return a copy, which the caller cannot change later, in 32 bits where these can hold it."""
    if column.dtype.kind == "f":
        return column.copy()
    narrow = column.astype(np.int32)
    return narrow if column.dtype == np.int32 or (narrow == column).all() else column.copy()


def _joined(parts: list[_Part], name: str, rows: int) -> NDArray[Any]:
    """Return a column of all parts."""
    if name == "op":
        values = [np.array([part.op], dtype=np.int8) for part in parts]
    else:
        values = [part.columns[name] for part in parts]
    dtype = np.result_type(_COLUMNS[name], *{value.dtype for value in values})
    if rows and all(len(value) == 1 and value[0] == values[0][0] for value in values):
        return constant(values[0][0], dtype, (rows,))
    column = np.empty(rows, dtype=dtype)
    begin = 0
    for part, value in zip(parts, values, strict=True):
        column[begin : begin + part.length] = value
        begin += part.length
    return column


def renumbered(message: NDArray[Any]) -> Ints:
    """Return 0, 1, 2, ... for runs of equal numbers."""
    return np.cumsum(np.diff(message, prepend=message[:1]) != 0).astype(np.int32)


# While a schedule is built and put in order, each row is there about three times.
BYTES_A_ROW = 150

_INT_COLUMNS = ("step", "src", "dst", "chunk", "count")


def _durations(seconds: ArrayLike) -> NDArray[np.float64]:
    """Return seconds as floats; one text such as "5us" is taken too."""
    if isinstance(seconds, str):
        return np.array(parse_time(seconds, "seconds"))
    try:
        return np.asarray(seconds, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"seconds must be numbers, or one text such as '5us', got {seconds!r}") from None


def _whole(name: str, value: ArrayLike) -> NDArray[Any]:
    try:
        array = np.atleast_1d(np.asarray(value))
    except ValueError:
        raise InputError(f"{name} must be whole numbers, got {value!r}") from None
    if array.dtype.kind not in "iu":
        if array.size and not (array.dtype.kind == "f" and (array == np.floor(array)).all()):
            raise InputError(f"{name} must be whole numbers, got {value!r}")
        array = array.astype(np.int64)
    return array
