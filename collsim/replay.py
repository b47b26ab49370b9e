"""Two of the three verbs, on one interpreter: `verify` replays a schedule on sets of contributions,
`execute` on real vectors. No network, no clock: what comes out depends on the schedule alone.

The state is an array of shape (ranks, chunks, width). What stands in the last axis, and what REDUCE
does to it, is the algebra: elements and a numpy ufunc, or contributors and a union that counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from collsim.errors import InputError, VerificationError, unknown
from collsim.schedule import Op, Schedule, split

Array = NDArray[Any]
Combine = Callable[[Array, Array], Array]
Check = Callable[[int, Array, Array, Array], None]

# Rows are moved in blocks of about this size, so that a step that sends a large vector to many ranks
# needs no copy of it for each.
_BLOCK_BYTES = 1 << 24


def verify(schedule: Schedule) -> None:
    """Prove that a schedule does what its collective promises, each contribution counted once.

    The schedule is replayed on sets of contributions, so the proof holds for every vector, operation
    and network. Refused are: a chunk that ends without a contribution, with one counted twice or with
    one that does not belong there; a message with a chunk that its sender does not hold; and two moves
    of one step that write the same chunk of the same rank when one of them is a COPY, for then only
    their order would decide which lasts.

    Parameters
    ----------
    schedule : Schedule
        What to prove.

    Raises
    ------
    VerificationError
        If it does not hold; names the first wrong rank and chunk (also as attributes).

    Examples
    --------
    >>> import collsim as cs
    >>> cs.verify(cs.make_schedule("all_reduce", "ring", ranks=5))
    >>> plan = cs.ScheduleBuilder("all_reduce", ranks=2)
    >>> _ = plan.reduce(step=0, src=0, dst=1)
    >>> cs.verify(plan.build())
    Traceback (most recent call last):
        ...
    collsim.errors.VerificationError: rank 0, chunk 0 lacks the contribution of rank 1
    """
    ranks, chunks = schedule.ranks, schedule.chunks
    words = -(-ranks // 64)
    # Two bit planes side by side, one bit a contributor: counted at least once, counted more than once.
    state = np.zeros((ranks, chunks, 2 * words), dtype=np.uint64)
    own = np.uint64(1) << (np.arange(ranks, dtype=np.uint64) % np.uint64(64))
    for rank in range(ranks):
        brings = schedule.collective.before(ranks, chunks, rank)
        state[rank, brings, rank // 64] = own[rank]

    def union(here: Array, arriving: Array) -> Array:
        merged = here | arriving
        merged[:, words:] |= here[:, :words] & arriving[:, :words]
        return merged

    def check(step: int, src: Array, chunk: Array, payload: Array) -> None:
        empty = ~payload.any(axis=1)
        if empty.any():
            first = int(np.argmax(empty))
            raise VerificationError(
                f"step {step}: rank {src[first]} sends chunk {chunk[first]}, of which it holds nothing",
                rank=int(src[first]),
                chunk=int(chunk[first]),
                step=step,
            )

    _replay(schedule, state, union, check)

    for rank in range(ranks):
        promised = schedule.collective.after(ranks, chunks, rank)
        once = _unpack(state[rank, :, :words], ranks)
        more = _unpack(state[rank, :, words:], ranks)
        wrong = ((once != promised) | more) & promised.any(axis=1, keepdims=True)
        if wrong.any():
            chunk = int(np.argmax(wrong.any(axis=1)))
            raise VerificationError(
                f"rank {rank}, chunk {chunk} {_fault(once[chunk], more[chunk], promised[chunk])}",
                rank=rank,
                chunk=chunk,
            )


def _unpack(plane: Array, ranks: int) -> NDArray[np.bool_]:
    """Return booleans of shape (chunks, ranks) from words of 64 contributors."""
    octets = np.ascontiguousarray(plane.astype("<u8")).view(np.uint8)
    return np.unpackbits(octets, axis=1, count=ranks, bitorder="little").astype(bool)


def _fault(once: Array, more: Array, promised: Array) -> str:
    for wrong, what in (
        (promised & ~once, "lacks the contribution"),
        (more, "counts more than once the contribution"),
        (once & ~promised, "has the unwanted contribution"),
    ):
        who = np.flatnonzero(wrong).tolist()
        if who:
            listed = ", ".join(map(str, who[:8])) + (f" and {len(who) - 8} more" if len(who) > 8 else "")
            return f"{what}{'s' if len(who) > 1 else ''} of rank{'s' if len(who) > 1 else ''} {listed}"
    raise AssertionError("called without a fault")


def execute(schedule: Schedule, x: ArrayLike, op: str = "sum") -> Array:
    """Run a schedule on real vectors and return what every rank ends with, to the last bit.

    Parameters
    ----------
    schedule : Schedule
        What to run. It is not verified here: a wrong schedule gives wrong numbers.
    x : array_like, shape (ranks, elements)
        One vector a rank, of any numeric dtype and any length, 0 included. Not changed.
    op : {"sum", "prod", "max", "min", "avg"}
        The reduction. ``avg`` divides the sum by the number of ranks at the end, for integers rounding
        towards zero, as NCCL does.

    Returns
    -------
    ndarray, shape (ranks, elements)
        The ranks' buffers afterwards, in the dtype of `x`.

    Raises
    ------
    InputError
        If `x` is ragged, not numeric, or has not one row a rank, or the operation is unknown.

    Notes
    -----
    Chunks are cut as `numpy.array_split` does, and reductions into one chunk are carried out in the
    order of rows, so the same schedule and input give the same bits everywhere.

    Examples
    --------
    >>> import collsim as cs
    >>> cs.execute(cs.make_schedule("all_reduce", "ring", ranks=3), [[1, 2], [10, 20], [100, 200]])
    array([[111, 222],
           [111, 222],
           [111, 222]])
    """
    vectors = as_vectors(x, schedule.ranks)
    if op not in REDUCTIONS:
        raise unknown("operation", op, REDUCTIONS)
    ranks, elements = vectors.shape
    edges = split(elements, schedule.chunks)
    # Chunks differ by one element at most: each gets a row of the longest one's width, the last element
    # of the shorter ones being padding that is never read back.
    place = np.repeat(np.arange(schedule.chunks), np.diff(edges))
    within = np.arange(elements) - edges[place]
    state = np.zeros((ranks, schedule.chunks, -(-elements // schedule.chunks)), dtype=vectors.dtype)
    state[:, place, within] = vectors
    _replay(schedule, state, REDUCTIONS[op])
    result: Array = state[:, place, within]
    return _divide(result, ranks) if op == "avg" else result


REDUCTIONS: dict[str, Combine] = {
    "sum": np.add,
    "prod": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
    "avg": np.add,
}


def as_vectors(x: ArrayLike, ranks: int) -> Array:
    """Return `x` as an array of shape (ranks, elements), or raise an `InputError` that says what it is."""
    try:
        vectors = np.asarray(x)
    except ValueError:
        raise InputError("vectors must all have the same length, got a ragged array") from None
    if not _is_numeric(vectors.dtype):
        raise InputError(f"vectors must be numeric, got dtype {vectors.dtype}")
    if vectors.ndim != 2 or vectors.shape[0] != ranks:
        raise InputError(f"vectors must have shape (ranks, elements) = ({ranks}, ...), got {vectors.shape}")
    return vectors


def _is_numeric(dtype: np.dtype[Any]) -> bool:
    if dtype.kind in "iufc":
        return True
    # Number types that others add to numpy (bfloat16 and the float8 of ml_dtypes) are of kind V.
    return dtype.kind == "V" and dtype.names is None and np.can_cast(dtype, np.float64)


def _divide(total: Array, ranks: int) -> Array:
    if total.dtype.kind in "iu":
        # Wide enough for the number of ranks, which need not fit into a small type.
        wide = total if total.dtype.itemsize == 8 else total.astype(np.int64)
        quotient: Array = (wide // ranks + ((wide < 0) & (wide % ranks != 0))).astype(total.dtype)
        return quotient
    mean: Array = (total / np.asarray(ranks, dtype=total.dtype)).astype(total.dtype)
    return mean


def _replay(schedule: Schedule, state: Array, combine: Combine, check: Check | None = None) -> None:
    """Apply every move of a schedule to `state`, shape (ranks, chunks, width), in place.

    Within a step every move reads the state before the step, and the moves that write one place do so
    in the order of their rows.
    """
    moving = np.flatnonzero(schedule.transfers)
    starts = np.searchsorted(schedule.step[moving], np.arange(schedule.steps + 1))
    for step in range(schedule.steps):
        rows = moving[starts[step] : starts[step + 1]]
        if len(rows):
            _replay_step(schedule, rows, state, combine, check)


def _replay_step(schedule: Schedule, rows: Array, state: Array, combine: Combine, check: Check | None) -> None:
    count = schedule.count[rows]
    row = np.repeat(rows, count)  # one entry a chunk that moves
    src, dst = schedule.src[row], schedule.dst[row]
    chunk = schedule.chunk[row] + np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    is_copy = schedule.op[row] == Op.COPY
    place = dst.astype(np.int64) * schedule.chunks + chunk
    turn = _turns(place)
    contested = turn.any()
    if contested and check is not None:
        _refuse_races(schedule, row, place, is_copy)

    # A snapshot of what is sent is needed only where a place is both read and written in this step.
    source = src.astype(np.int64) * schedule.chunks + chunk
    snapshot = state[src, chunk] if np.isin(source, place).any() else None
    block = max(1, _BLOCK_BYTES // max(1, state.shape[2] * state.itemsize))
    for current in range(int(turn.max()) + 1):
        now = np.flatnonzero(turn == current) if contested else np.arange(len(row))
        for begin in range(0, len(now), block):
            some = now[begin : begin + block]
            payload = state[src[some], chunk[some]] if snapshot is None else snapshot[some]
            if check is not None:
                check(int(schedule.step[row[0]]), src[some], chunk[some], payload)
            copies = is_copy[some]
            put, add = some[copies], some[~copies]
            state[dst[put], chunk[put]] = payload[copies]
            state[dst[add], chunk[add]] = combine(state[dst[add], chunk[add]], payload[~copies])


def _turns(place: Array) -> Array:
    """Return, for each entry, how many entries before it have the same place."""
    order = np.argsort(place, kind="stable")
    ordered = place[order]
    index = np.arange(len(place))
    first = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    turn = np.empty(len(place), dtype=np.int64)
    turn[order] = index - np.maximum.accumulate(np.where(first, index, 0))
    return turn


def _refuse_races(schedule: Schedule, row: Array, place: Array, is_copy: Array) -> None:
    copied = np.isin(place, place[is_copy])
    order = np.flatnonzero(copied)
    where, _first, times = np.unique(place[order], return_index=True, return_counts=True)
    if (times > 1).any():
        clash = where[np.argmax(times > 1)]
        pair = row[order[place[order] == clash][:2]]
        rank, chunk = divmod(int(clash), schedule.chunks)
        raise VerificationError(
            f"rank {rank}, chunk {chunk} is written twice in one step, once by a COPY, so that only the order of "
            f"rows would decide: row {pair[0]} ({schedule.describe(pair[0])}) "
            f"and row {pair[1]} ({schedule.describe(pair[1])})",
            rank=rank,
            chunk=chunk,
            step=int(schedule.step[pair[0]]),
        )
