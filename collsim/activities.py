"""What every rank is doing when, for traces and pictures: with a name, and in lanes where things overlap.

When a part of a rank is busy, and with which message, is worked out in `collsim.occupancy`.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from collsim.occupancy import PROCESSOR, RECEIVE, SEND, rank_use
from collsim.results import Result
from collsim.schedule import Floats, Op, Schedule

Indices = NDArray[np.int64]

# What keeps a part of a rank busy, in the order in which it is shown; what that is in time, see `RANK_PARTS`.
DOING: dict[str, str] = {
    "send": "a message leaves",
    "receive": "a message comes in",
    "reduce": "the processor combines what has come with what is there",
    "compute": "local work",
    "overhead": "the processor is busy with sending and taking in (loggp)",
}
SENDING, RECEIVING, REDUCING, COMPUTING, OVERHEAD = range(len(DOING))
_MOST_RUNS = 4  # of chunks in words


@dataclass(frozen=True, eq=False)
class Activities:
    """What ranks do: columns of one length, sorted by rank, what, begin and row.

    Attributes
    ----------
    rank : ndarray of int
        Who does it.
    what : ndarray of int
        Which of `DOING`, by its place there.
    row : ndarray of int
        The first row of the message, or the row of the work, in the schedule.
    start, finish : ndarray of float
        Seconds.
    """

    rank: Indices
    what: Indices
    row: Indices
    start: Floats
    finish: Floats

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, some: NDArray[np.bool_]) -> Activities:
        return Activities(self.rank[some], self.what[some], self.row[some], self.start[some], self.finish[some])


def activities(result: Result) -> Activities:
    """Return what every rank does when.

    Parameters
    ----------
    result : Result
        A run with the times of its moves.

    Returns
    -------
    Activities
        A send and a receive of every message, and whatever the processors do.

    Raises
    ------
    InputError
        If the times of moves were not kept.

    Examples
    --------
    >>> import collsim as cs
    >>> schedule = cs.make_schedule("all_reduce", "ring", ranks=2)
    >>> found = activities(cs.simulate(schedule, alpha=1, beta=1, gamma=1, nbytes=4))
    >>> for what, start, finish in list(zip(found.what, found.start, found.finish))[:5]:
    ...     print(list(DOING)[what], start, finish)
    send 0.0 2.0
    send 5.0 7.0
    receive 1.0 3.0
    receive 6.0 8.0
    reduce 3.0 5.0
    """
    schedule, use = result.schedule, rank_use(result)
    row, processor = use.row, use.part == PROCESSOR
    what = np.select([use.part == SEND, use.part == RECEIVE], [SENDING, RECEIVING], REDUCING)
    what[processor & (schedule.op[row] == Op.COMPUTE)] = COMPUTING
    # Under loggp the processor also sends and takes in: before a message has arrived.
    before = (use.rank == schedule.src[row]) | (use.start < result.timeline.arrive[row])
    what[processor & schedule.transfers[row] & before] = OVERHEAD
    found = Activities(use.rank, what, row, use.start, use.finish)[(what != OVERHEAD) | (use.finish > use.start)]
    order = np.lexsort((found.row, found.start, found.what, found.rank))
    return Activities(*(getattr(found, name)[order] for name in ("rank", "what", "row", "start", "finish")))


def idle(result: Result, done: Activities) -> list[list[tuple[float, float]]]:
    """Return when each rank does nothing, from its start until it is done with all: (start, finish) in seconds.

    It then waits for other ranks, for a message on its way, or for its turn on a link.

    Examples
    --------
    >>> import collsim as cs
    >>> result = cs.simulate(cs.make_schedule("all_reduce", "naive", ranks=2), alpha=1, beta=1, nbytes=4)
    >>> idle(result, activities(result))[0]
    [(0.0, 1.0), (9.0, 10.0)]
    """
    ranks = result.schedule.ranks
    begun = np.zeros(ranks) if result.offsets is None else result.offsets
    order = np.lexsort((done.start, done.rank))
    first = np.searchsorted(done.rank[order], np.arange(ranks + 1)).tolist()
    start, finish = done.start[order].tolist(), done.finish[order].tolist()
    found = []
    for rank, (now, end) in enumerate(zip(begun.tolist(), result.rank_times.tolist(), strict=True)):
        gaps = []
        for begins, ends in zip(
            start[first[rank] : first[rank + 1]], finish[first[rank] : first[rank + 1]], strict=True
        ):
            if begins > now:
                gaps.append((now, begins))
            now = max(now, ends)
        if end > now:
            gaps.append((now, end))
        found.append(gaps)
    return found


def first_rows(schedule: Schedule) -> Indices:
    """Return the first row of every message and of every piece of work, in the order of the table."""
    return np.flatnonzero(np.diff(schedule.message, prepend=-1) > 0)


def message_bytes(result: Result) -> Floats:
    """Return the payload of every message in bytes, at its first row; shape (moves,)."""
    nbytes = np.zeros(len(result.schedule))
    if len(nbytes):
        first = first_rows(result.schedule)
        nbytes[first] = np.add.reduceat(result.payload, first)
    return nbytes


def lanes(begin: Sequence[float], end: Sequence[float]) -> list[int]:
    """Return a lane for each interval, from 0 on, so that no two of one lane overlap.

    Parameters
    ----------
    begin, end : sequence of float
        The intervals, in the order in which they begin. One may begin where another ends.

    Returns
    -------
    list of int
        The lowest lane that is free; there are as many as ever overlap, and no more.

    Examples
    --------
    >>> lanes([0, 1, 2, 2, 5], [2, 3, 5, 4, 6])
    [0, 1, 0, 2, 0]
    """
    found: list[int] = []
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    used = 0
    for starts, stops in zip(begin, end, strict=True):
        while busy and busy[0][0] <= starts:
            heapq.heappush(free, heapq.heappop(busy)[1])
        if not free:
            heapq.heappush(free, used)
            used += 1
        lane = heapq.heappop(free)
        heapq.heappush(busy, (stops, lane))
        found.append(lane)
    return found


def chunks_in_words(schedule: Schedule) -> dict[int, str]:
    """Return which chunks every message carries, by its first row, in few letters.

    Examples
    --------
    >>> import collsim as cs
    >>> chunks_in_words(cs.make_schedule("all_reduce", "halving_doubling", ranks=4))[0]
    '2–3'
    """
    first = first_rows(schedule).tolist()
    chunk, count = schedule.chunk.tolist(), schedule.count.tolist()
    found = {}
    for begin, behind in itertools.pairwise([*first, len(schedule)]):
        runs: list[list[int]] = []
        for piece, many in sorted(zip(chunk[begin:behind], count[begin:behind], strict=True)):
            if runs and runs[-1][1] == piece:
                runs[-1][1] += many
            else:
                runs.append([piece, piece + many])
        if len(runs) > _MOST_RUNS:
            found[begin] = f"{sum(count[begin:behind])} chunks"
        else:
            found[begin] = ",".join(str(low) if high == low + 1 else f"{low}–{high - 1}" for low, high in runs)
    return found
