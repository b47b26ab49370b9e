"""The alpha-beta model ordered by step, a whole step at a time, in numpy: fast, and not event-driven.

It rests on one fact: a rank leaves a step only when all of its own moves have finished, so its ports and
its processor never serve moves of two steps at once. Steps can then be worked off one after the other,
each as a few array operations, although the ranks are not in the same step at the same time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from collsim.engines.timeline import Timeline
from collsim.graph import MoveGraph
from collsim.models import AlphaBeta, Model
from collsim.schedule import Floats, Ints


def can_run(graph: MoveGraph, model: Model) -> str | None:
    """Return why this engine cannot run a graph under a model, or None if it can."""
    if not isinstance(model, AlphaBeta):
        return f"it knows the model alpha-beta only, not {model.name}"
    if graph.step is None:
        return "it knows moves ordered by step only"
    return None


def run(graph: MoveGraph, model: Model, progress: Callable[[int, int], None] | None = None) -> Timeline:
    """Simulate a graph of moves; parameters and result as for `collsim.engines.events.run`."""
    assert isinstance(model, AlphaBeta)
    assert graph.step is not None
    times = Timeline.unknown(len(graph))
    alpha, beta = model.costs(graph.src, graph.dst)
    busy = beta * graph.nbytes
    clock = np.zeros(graph.ranks)  # when each rank enters its next step
    release = graph.release.max(axis=0)
    bounds = np.flatnonzero(np.diff(graph.step, prepend=-1, append=np.iinfo(np.int32).max))
    for begin, end in itertools.pairwise(bounds):
        rows = slice(begin, end)
        src, dst, transfer, work = graph.src[rows], graph.dst[rows], graph.transfer[rows], graph.work[rows]
        ready = np.maximum(np.maximum(clock[src], clock[dst]), release[rows])
        start, arrive = ready.copy(), ready.copy()
        start[transfer] = _served(src[transfer], ready[transfer], busy[rows][transfer])
        head = start[transfer] + alpha[rows][transfer]
        arrive[transfer] = _served(dst[transfer], head, busy[rows][transfer]) + busy[rows][transfer]
        works = work > 0
        begun = arrive.copy()
        begun[works] = _served(dst[works], arrive[works], work[works])
        start[~transfer] = arrive[~transfer] = begun[~transfer]
        finish = begun + work
        np.maximum.at(clock, src, finish)
        np.maximum.at(clock, dst, finish)
        times.ready[rows], times.start[rows], times.arrive[rows], times.finish[rows] = ready, start, arrive, finish
        if progress is not None:
            progress(int(end), len(graph))
    return times


def _served(server: Ints, come: Floats, seconds: Floats) -> Floats:
    """Return when each customer is served: one at a time at each server, in the order in which they come."""
    order = np.lexsort((come, server))  # stable: those who come together stay in the order of rows
    queue = server[order]
    first = np.concatenate([[True], queue[1:] != queue[:-1]])[: len(queue)]
    if first.all():
        return come
    index = np.arange(len(queue))
    place: NDArray[np.int64] = index - np.maximum.accumulate(np.where(first, index, 0))
    by_place = np.argsort(place, kind="stable")
    ends = np.searchsorted(place[by_place], np.arange(place.max() + 2))
    served = come.copy()
    free = np.zeros(int(server.max()) + 1)
    for begin, end in itertools.pairwise(ends):
        now = order[by_place[begin:end]]  # the next in every queue
        served[now] = np.maximum(come[now], free[server[now]])
        free[server[now]] = served[now] + seconds[now]
    return served
