"""Two of the three verbs, on one interpreter: `verify` replays a schedule on sets of contributions,
`execute` on real vectors. No network, no clock: what comes out depends on the schedule alone.

The state is an array of shape (ranks, chunks, width). What stands in the last axis, and what REDUCE
does to it, is the algebra: elements and a numpy ufunc, or contributors and a union that counts.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from collsim.collectives import whole_row
from collsim.errors import InputError, VerificationError, unknown
from collsim.schedule import Op, Schedule, need_schedule

Array = NDArray[Any]
Combine = Callable[[Array, Array], Array]
Check = Callable[["Moves", Array, Array], None]

# Rows are moved in blocks of about this size, so that a step that sends a large vector to many ranks
# needs no copy of it for each.
_BLOCK_BYTES = 1 << 24
_COPY = int(Op.COPY)  # looked up in every step


def verify(schedule: Schedule) -> None:
    """Prove that a schedule does what its collective promises, each contribution counted once.

    The schedule is replayed on sets of contributions, so the proof holds for every vector, operation
    and network. Refused are: a chunk that ends without a contribution, with one counted twice or with
    one that does not belong there; a message with a chunk that its sender does not hold; a REDUCE into a
    chunk that the receiver does not hold (there is nothing to add to: COPY); and two moves
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
    need_schedule(schedule, "verify")
    ranks, chunks, collective = schedule.ranks, schedule.chunks, schedule.collective
    brings = np.array([collective.before(ranks, chunks, rank) for rank in range(ranks)])
    # Contributors are numbered chunk by chunk: where a chunk has one only (all_gather), one bit will do.
    everyone = bool(brings.all())  # then a contributor's number is its rank
    number = np.cumsum(brings, axis=0, dtype=np.int32) - 1
    most = int(number.max(initial=0)) + 1
    word = np.dtype(np.uint8 if most <= 8 else np.uint64)
    bits = 8 * word.itemsize
    words = -(-most // bits)
    # Two bit planes side by side, one bit a contributor: counted at least once, counted more than once.
    state = np.zeros((ranks, chunks, 2 * words), dtype=word)
    holder, chunk = np.nonzero(brings)
    which = number[holder, chunk]
    state[holder, chunk, which // bits] = word.type(1) << (which % bits).astype(word)

    def union(here: Array, arriving: Array) -> Array:
        merged = here | arriving
        merged[:, words:] |= here[:, :words] & arriving[:, :words]
        return merged

    def check(moves: Moves, payload: Array, here: Array) -> None:
        for empty, rank, does in (
            (~payload.any(axis=1), moves.src, "sends"),
            (~here.any(axis=1) & ~moves.is_copy, moves.dst, "adds to"),
        ):
            if empty.any():
                first = int(np.argmax(empty))
                raise VerificationError(
                    f"step {moves.step}: rank {rank[first]} {does} chunk {moves.chunk[first]}, of which it holds "
                    f"nothing (rank {moves.src[first]} to rank {moves.dst[first]})",
                    rank=int(rank[first]),
                    chunk=int(moves.chunk[first]),
                    step=moves.step,
                )

    for _ in replay_steps(schedule, state, union, check, refuse_races=True):
        pass

    for rank in range(ranks):
        promised = collective.after(ranks, chunks, rank)
        held = collective.outputs(ranks, chunks, rank)
        planes = state[rank, held]
        once, more = _unpack(planes[:, :words], most), _unpack(planes[:, words:], most)
        promised_by_number = promised
        if not everyone:
            place, who = np.nonzero(promised)
            nobody = np.flatnonzero(~brings[who, held[place]])
            if len(nobody):
                raise VerificationError(
                    f"rank {rank}, chunk {held[place[nobody[0]]]} can never hold the contribution of rank "
                    f"{who[nobody[0]]}, which {collective.name} promises: that rank brings none",
                    rank=rank,
                    chunk=int(held[place[nobody[0]]]),
                )
            promised_by_number = np.zeros_like(once)
            promised_by_number[place, number[who, held[place]]] = True
        if collective.at_least_once:
            more[:] = False
        wrong = (((once != promised_by_number) | more).any(axis=1)) & promised.any(axis=1)
        if wrong.any():
            first = int(np.argmax(wrong))
            at = int(held[first])
            contributors = np.flatnonzero(brings[:, at])
            once_by_rank, more_by_rank = np.zeros(ranks, dtype=bool), np.zeros(ranks, dtype=bool)
            once_by_rank[contributors] = once[first, number[contributors, at]]
            more_by_rank[contributors] = more[first, number[contributors, at]]
            fault = _fault(once_by_rank, more_by_rank, promised[first])
            raise VerificationError(f"rank {rank}, chunk {at} {fault}", rank=rank, chunk=at)


def _unpack(plane: Array, most: int) -> NDArray[np.bool_]:
    """Return the bits of words as booleans, shape (chunks, most)."""
    octets = np.ascontiguousarray(plane.astype(plane.dtype.newbyteorder("<"))).view(np.uint8)
    return np.unpackbits(octets, axis=1, count=most, bitorder="little").view(np.bool_)


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
        The reduction. ``avg`` divides each sum by the number of its terms at the end, for integers
        rounding towards zero, as NCCL does.

    Returns
    -------
    ndarray, shape (ranks, elements)
        What every rank ends with, in the dtype of `x`; 0 where the collective promises nothing. Vectors
        are whole ones, as nccl-tests counts them: in all_gather rank r brings part r of its row, in
        reduce_scatter it ends with part r. Wider than `x` only if a rank of all_to_allv receives more.

    Raises
    ------
    InputError
        If `x` is ragged, not numeric, or has not one row a rank, or the operation is unknown.

    Notes
    -----
    Vectors are cut as `numpy.array_split` does, and reductions into one chunk are carried out in the
    order of rows, so the same schedule and input give the same bits everywhere.

    Examples
    --------
    >>> import collsim as cs
    >>> cs.execute(cs.make_schedule("all_reduce", "ring", ranks=3), [[1, 2], [10, 20], [100, 200]])
    array([[111, 222],
           [111, 222],
           [111, 222]])
    """
    need_schedule(schedule, "execute")
    vectors = as_vectors(x, schedule.ranks)
    if not isinstance(op, str) or op not in REDUCTIONS:
        raise unknown("operation", op, REDUCTIONS)
    ranks, chunks, collective = schedule.ranks, schedule.chunks, schedule.collective
    state, sizes = loaded(schedule, vectors)
    replay(schedule, state, REDUCTIONS[op])
    width = max([vectors.shape[1], *(int(sizes[collective.outputs(ranks, chunks, r)].sum()) for r in range(ranks))])
    result: Array = np.zeros((ranks, width), dtype=vectors.dtype)
    for rank in range(ranks):
        outputs = collective.outputs(ranks, chunks, rank)
        if not len(outputs) and not len(collective.inputs(ranks, chunks, rank)):
            result[rank, : vectors.shape[1]] = vectors[rank]  # takes no part
        contributors = collective.after(ranks, chunks, rank).sum(axis=1)
        state[rank, outputs[contributors == 0]] = 0
        if op == "avg":
            for terms in np.unique(contributors[contributors > 1]).tolist():
                averaged = outputs[contributors == terms]
                state[rank, averaged] = _divide(state[rank, averaged], terms)
        if collective.outputs is not whole_row:
            for columns, first, last in _runs(sizes[outputs]):
                part = outputs[first:last]
                result[rank, columns] = state[rank, part, : sizes[part[0]]].ravel()
    if collective.outputs is whole_row:
        for columns, first, last in _runs(sizes):
            # Reshaped on this side, where it is a view: no copy of all vectors is made.
            result[:, columns].reshape(ranks, last - first, -1)[:] = state[:, first:last, : sizes[first]]
    return result


def loaded(schedule: Schedule, vectors: Array) -> tuple[Array, Array]:
    """Return what every rank holds before the first step, and how many elements each chunk has.

    Parameters
    ----------
    schedule : Schedule
        What says how vectors are cut.
    vectors : ndarray, shape (ranks, elements)
        One vector a rank, as `as_vectors` returns them.

    Returns
    -------
    state : ndarray, shape (ranks, chunks, width)
        What `replay` takes; `width` is the size of the largest chunk.
    sizes : ndarray of int64, shape (chunks,)
        Elements of each chunk: what a shorter one does not fill means nothing.

    Examples
    --------
    >>> import collsim as cs
    >>> state, sizes = loaded(cs.make_schedule("all_reduce", "ring", ranks=2), np.array([[1, 2, 3], [4, 5, 6]]))
    >>> state[0].tolist(), sizes.tolist()
    ([[1, 2], [3, 0]], [2, 1])
    """
    ranks, chunks, collective = schedule.ranks, schedule.chunks, schedule.collective
    sizes = collective.cut(ranks, chunks, vectors.shape[1])
    # Every chunk gets a row as wide as the longest; what a shorter one does not fill is never read back.
    state = np.zeros((ranks, chunks, int(sizes.max(initial=0))), dtype=vectors.dtype)
    # Most collectives have one order of chunks for all ranks: then all are copied at once.
    if collective.inputs is whole_row:
        for columns, first, last in _runs(sizes):
            state[:, first:last, : sizes[first]] = vectors[:, columns].reshape(ranks, last - first, -1)
    for rank in range(ranks):
        inputs = collective.inputs(ranks, chunks, rank)
        if collective.inputs is not whole_row:
            for columns, first, last in _runs(sizes[inputs]):
                part = inputs[first:last]
                state[rank, part, : sizes[part[0]]] = vectors[rank, columns].reshape(len(part), -1)
        # Only what was written: places that stay untouched then never take memory (all_to_all has K^2 chunks).
        state[rank, inputs[~collective.before(ranks, chunks, rank)[inputs]]] = 0
    return state, sizes


def _runs(lengths: Array) -> Iterator[tuple[slice, int, int]]:
    """Yield the runs of pieces of one length, not 0, in a vector: their columns, the first, and the one behind."""
    if not len(lengths):
        return
    edges = np.concatenate([[0], np.cumsum(lengths)])
    bounds = [0, *(np.flatnonzero(lengths[1:] != lengths[:-1]) + 1).tolist(), len(lengths)]
    for begin, end in itertools.pairwise(bounds):
        if lengths[begin]:
            yield slice(int(edges[begin]), int(edges[end])), begin, end


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


def _divide(total: Array, terms: int) -> Array:
    if total.dtype.kind in "iu":
        # Wide enough for the number of terms, which need not fit into a small type.
        wide = total if total.dtype.itemsize == 8 else total.astype(np.int64)
        quotient: Array = (wide // terms + ((wide < 0) & (wide % terms != 0))).astype(total.dtype)
        return quotient
    # In a narrow type the number of terms itself would be rounded, or overflow.
    wide = total.astype(np.float64) if total.dtype.itemsize <= 2 else total
    mean: Array = (wide / wide.dtype.type(terms)).astype(total.dtype)
    return mean


@dataclass(frozen=True)
class Moves:
    """Single chunks that move in one step: one entry a chunk, in the order of rows."""

    step: int
    row: Array
    src: Array
    dst: Array
    chunk: Array
    is_copy: Array

    def __getitem__(self, some: Array) -> Moves:
        return Moves(self.step, self.row[some], self.src[some], self.dst[some], self.chunk[some], self.is_copy[some])


def replay(schedule: Schedule, state: Array, combine: Combine) -> None:
    """Apply every move of a schedule to a state, in place: the interpreter under `verify` and `execute`.

    Within a step every move reads the state before the step, and the moves that write one place do so
    in the order of their rows.

    Parameters
    ----------
    schedule : Schedule
        What to replay.
    state : ndarray, shape (ranks, chunks, width)
        What each rank holds of each chunk; changed.
    combine : callable
        ``combine(here, arriving)``, both of shape (places, width), returns what a REDUCE leaves there.

    See Also
    --------
    replay_steps : the same, with a look at the state after every step.

    Examples
    --------
    How many terms each sum has, in a ring of three:

    >>> import collsim as cs
    >>> terms = np.ones((3, 3, 1), dtype=int)
    >>> replay(cs.make_schedule("all_reduce", "ring", ranks=3), terms, np.add)
    >>> terms[:, :, 0].tolist()
    [[3, 3, 3], [3, 3, 3], [3, 3, 3]]
    """
    for _ in replay_steps(schedule, state, combine):
        pass


def replay_steps(
    schedule: Schedule,
    state: Array,
    combine: Combine,
    check: Check | None = None,
    *,
    refuse_races: bool = False,
) -> Iterator[int]:
    """Apply the moves of a schedule to a state, in place, and yield each step's number when it is done.

    Parameters
    ----------
    schedule, state, combine
        As for `replay`.
    check : callable, optional
        Called as ``check(moves, arriving, here)`` before moves are applied: once a step, or more often where
        several write one place. Its `moves` are single chunks, one entry each.
    refuse_races : bool
        Whether to raise a `VerificationError` where two moves of a step write one place and one is a COPY.

    Yields
    ------
    int
        The step just done, from 0 on, also where nothing moves in it.

    Examples
    --------
    >>> import collsim as cs
    >>> terms = np.ones((3, 3, 1), dtype=int)
    >>> ring = cs.make_schedule("all_reduce", "ring", ranks=3)
    >>> [int(terms.max()) for step in replay_steps(ring, terms, np.add)]
    [2, 3, 3, 3]
    """
    moving = np.flatnonzero(schedule.transfers)
    starts = np.searchsorted(schedule.step[moving], np.arange(schedule.steps + 1))
    places = schedule.ranks * schedule.chunks
    scratch = np.zeros(places, dtype=bool), np.zeros(places, dtype=np.int64)
    for step in range(schedule.steps):
        rows = moving[starts[step] : starts[step + 1]]
        if len(rows):
            _replay_step(schedule, rows, state, combine, check, refuse_races, *scratch)
        yield step


def _replay_step(
    schedule: Schedule,
    rows: Array,
    state: Array,
    combine: Combine,
    check: Check | None,
    refuse_races: bool,
    written: Array,
    last_writer: Array,
) -> None:
    """Apply the moves of one step; `written`, all False, and `last_writer` are scratch, one entry a place."""
    count = schedule.count[rows]
    row, chunk = rows, schedule.chunk[rows]
    if count.max() > 1:
        row = np.repeat(rows, count)
        chunk = schedule.chunk[row] + np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    moves = Moves(
        int(schedule.step[rows[0]]),
        row,
        schedule.src[row].astype(np.int64),
        schedule.dst[row].astype(np.int64),
        chunk.astype(np.int64),
        schedule.op[row] == _COPY,
    )
    place = moves.dst * schedule.chunks + moves.chunk
    everything = np.arange(len(row))
    last_writer[place] = everything
    contested = bool((last_writer[place] != everything).any())
    if contested and refuse_races:
        _refuse_races(schedule, row, place, moves.is_copy)

    # A snapshot of what is sent is needed only where a place is both read and written in this step.
    written[place] = True
    overlap = written[moves.src * schedule.chunks + moves.chunk].any()
    written[place] = False
    snapshot = state[moves.src, moves.chunk] if overlap else None
    block = max(1, _BLOCK_BYTES // max(1, state.shape[2] * state.itemsize))
    turn = _turns(place) if contested else None
    for current in range(1 if turn is None else int(turn.max()) + 1):
        now = everything if turn is None else np.flatnonzero(turn == current)
        for begin in range(0, len(now), block):
            some = now[begin : begin + block]
            part = moves if len(some) == len(row) else moves[some]
            payload = state[part.src, part.chunk] if snapshot is None else snapshot[some]
            here = None
            if check is not None:
                here = state[part.dst, part.chunk]
                check(part, payload, here)
            copies = part.is_copy
            if copies.all():
                state[part.dst, part.chunk] = payload
            elif not copies.any():
                state[part.dst, part.chunk] = combine(state[part.dst, part.chunk] if here is None else here, payload)
            else:
                put, add = part[copies], part[~copies]
                state[put.dst, put.chunk] = payload[copies]
                state[add.dst, add.chunk] = combine(state[add.dst, add.chunk], payload[~copies])


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
