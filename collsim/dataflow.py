"""Dependencies of large schedules ordered by dataflow, compiled: the gates that `collsim.graph` finds, without a sort.

The rows are walked through in their order, and for each place (a chunk at a rank) it is kept who wrote it last and who
has read it since. `collsim.graph._by_dataflow` says the same in numpy; a test holds the two equal.

numba keeps compiled code for as long as a file is the same: so all of this one is here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from collsim.schedule import Schedule, is_constant

Array = NDArray[Any]


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function, and keep it on disk."""
    return njit(cache=True, error_model="numpy")(function)  # type: ignore[no-any-return]


def gates(schedule: Schedule, transfer: NDArray[np.bool_]) -> tuple[Array, Array, Array]:
    """Return the followers of each moment and how many moments each gate waits for, as `collsim.graph.Followers` says.

    Parameters
    ----------
    schedule : Schedule
        The rows; explicit dependencies count, too.
    transfer : ndarray of bool, shape (messages,)
        Which messages have two ends.

    Returns
    -------
    first, gates : ndarray of int
        Of `Followers`.
    waits : ndarray of int, shape (2 messages,)
        How many moments each gate waits for, in as few bits as that takes.

    Examples
    --------
    Rank 1 passes on what it gets: the sender's gate of the second message waits until the first has finished.

    >>> import collsim as cs
    >>> plan = cs.ScheduleBuilder("broadcast", ranks=3)
    >>> _ = plan.copy(step=[0, 1], src=[0, 1], dst=[1, 2])
    >>> [found.tolist() for found in gates(plan.build(), np.ones(2, dtype=bool))]
    [[0, 0, 1, 1, 1], [2], [0, 0, 1, 0]]
    """
    messages, rows = len(transfer), len(schedule)
    single = not schedule.packed and rows > 0 and is_constant(schedule.count) and int(schedule.count[0]) == 1
    none = _fixed(np.zeros(0, dtype=np.int32))
    src, dst, chunk, step = (_fixed(getattr(schedule, name)) for name in ("src", "dst", "chunk", "step"))
    count, message = (none, none) if single else (_fixed(schedule.count), _fixed(schedule.message))
    accesses = rows if single else int(count.sum(dtype=np.int64))
    places = np.full((schedule.ranks * schedule.chunks, 2), -1, dtype=np.int32)
    reads, writes = np.empty((accesses, 2), dtype=np.int32), np.empty(accesses, dtype=np.int32)
    _walk(step, src, dst, chunk, count, message, schedule.chunks, places, reads, writes)
    del places
    # One message after another may be named for several chunks: then it counts once for each kind of dependency.
    seen = np.full((3, 1 if single else messages), -1, dtype=np.int32)
    first, waits = np.zeros(2 * messages + 2, dtype=np.int32), np.zeros(2 * messages, dtype=np.int32)
    found = np.empty(0, dtype=np.int32)
    for fill in (False, True):
        seen.fill(-1)
        _note_all(rows, count, message, _fixed(transfer), reads, writes, seen, first, found, waits, fill)
        _note_explicit(_fixed(schedule.after), message, _fixed(transfer), first, found, waits, fill)
        if not fill:
            np.cumsum(first, out=first)
            found = np.empty(first[-1], dtype=np.int32)
    first = first[:-1]
    _sort(first, found)
    few = int(waits.max(initial=0)) < 255  # as nearly always; a quarter of the memory, with room for one more
    return first, found, waits.astype(np.uint8) if few else waits


def _fixed(column: Array) -> Array:
    """Return a column as one that cannot be written, of whatever kind it is: numba compiles for each kind anew."""
    fixed = np.ascontiguousarray(column).view()
    fixed.flags.writeable = False
    return fixed


WRITTEN, READ = 0, 1  # of a place: the message that wrote it last, the last access that has read it since
BEFORE, AFTER = 0, 1  # of an access that reads: the message that wrote before it, and the one that writes next


@compiled
def _walk(
    step: Array,
    src: Array,
    dst: Array,
    chunk: Array,
    count: Array,
    message: Array,
    chunks: int,
    places: Array,
    reads: Array,
    writes: Array,
) -> None:
    """Find for each access that reads who wrote before and who writes next, and for each that writes who did before."""
    single = len(message) == 0  # every row is a message of one chunk
    begin, rows, access = 0, len(step), 0
    while begin < rows:
        end, access_of_step = begin, access
        # Every move of a step reads the state before the step.
        while end < rows and step[end] == step[begin]:
            place = np.int64(src[end]) * chunks + chunk[end]
            for at in range(place, place + (1 if single else count[end])):
                reads[access, BEFORE] = places[at, WRITTEN]
                access += 1
            end += 1
        access = access_of_step
        for row in range(begin, end):
            after = row if single else message[row]
            place = np.int64(dst[row]) * chunks + chunk[row]
            for at in range(place, place + (1 if single else count[row])):
                writes[access] = places[at, WRITTEN]
                places[at, WRITTEN] = after
                reader = places[at, READ]
                if reader >= 0:
                    places[at, READ] = -1
                    while reader >= 0:  # until one has written, each names the one that has read before it
                        other = -2 - reads[reader, AFTER]
                        reads[reader, AFTER] = after
                        reader = other
                access += 1
        access = access_of_step
        for row in range(begin, end):
            place = np.int64(src[row]) * chunks + chunk[row]
            for at in range(place, place + (1 if single else count[row])):
                reads[access, AFTER] = -2 - places[at, READ]
                places[at, READ] = access
                access += 1
        begin = end


_READ_AFTER_WRITE, _WRITE_AFTER_READ, _WRITE_AFTER_WRITE = 0, 1, 2


# No function of its own for what is the same below: numba counts the references to every array in a call, which costs
# twenty times as much as what it would do.


@compiled
def _note_all(
    rows: int,
    count: Array,
    message: Array,
    transfer: Array,
    reads: Array,
    writes: Array,
    seen: Array,
    first: Array,
    found: Array,
    waits: Array,
    fill: bool,
) -> None:
    """Count what `_walk` has found, or fill it in.

    Counts stand two places on: summed up, they say in place moment + 1 where its next gate goes, and when all are there
    where they end.
    """
    single = len(message) == 0
    access = 0
    for row in range(rows):
        own = row if single else np.int64(message[row])
        for _ in range(1 if single else count[row]):
            for kind in range(3):
                if kind == _READ_AFTER_WRITE:
                    other = np.int64(reads[access, BEFORE])
                    moment, gate = 2 * other + 1, 2 * own
                elif kind == _WRITE_AFTER_READ:
                    other = np.int64(max(reads[access, AFTER], -1))  # below that it is nobody, too
                    moment, gate = 2 * own + 1 - transfer[own], 2 * other + transfer[other]
                else:
                    other = np.int64(writes[access])
                    moment, gate = 2 * other + 1, 2 * own + transfer[own]
                if other < 0 or other == own:
                    continue
                if not single:
                    if seen[kind, other] == own:
                        continue
                    seen[kind, other] = own
                if fill:
                    found[first[moment + 1]] = gate
                    first[moment + 1] += 1
                else:
                    first[moment + 2] += 1
                    waits[gate] += 1
            access += 1


@compiled
def _note_explicit(
    pairs: Array, message: Array, transfer: Array, first: Array, found: Array, waits: Array, fill: bool
) -> None:
    """Count explicit dependencies, or fill them in, in the same way."""
    for i in range(len(pairs)):
        after, before = np.int64(pairs[i, 0]), np.int64(pairs[i, 1])
        if len(message):
            after, before = np.int64(message[after]), np.int64(message[before])
        moment = 2 * before + 1
        for gate in range(2 * after, 2 * after + 1 + transfer[after]):
            if fill:
                found[first[moment + 1]] = gate
                first[moment + 1] += 1
            else:
                first[moment + 2] += 1
                waits[gate] += 1


@compiled
def _sort(first: Array, found: Array) -> None:
    """Put the gates of each moment in order; mostly they are."""
    for moment in range(len(first) - 1):
        for i in range(first[moment] + 1, first[moment + 1]):
            gate, j = found[i], i
            while j > first[moment] and found[j - 1] > gate:
                found[j] = found[j - 1]
                j -= 1
            found[j] = gate
