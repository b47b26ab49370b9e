"""Slow and obvious re-derivations that tests compare collsim with: plain loops, dicts and fractions.

Nothing here calls what it is an oracle for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import strategies as st

import collsim as cs

Place = tuple[int, int]

ALL_REDUCE = ("naive", "tree", "ring")


def replay(
    schedule: cs.Schedule, state: dict[Place, Any], combine: Callable[[Any, Any], Any]
) -> list[dict[Place, Any]]:
    """Return what every (rank, chunk) holds before each step, and last what it holds in the end."""
    history = [dict(state)]
    for step in range(schedule.steps):
        before = history[-1]
        after = dict(before)
        for row in np.flatnonzero((schedule.step == step) & (schedule.op != cs.Op.COMPUTE)).tolist():
            src, dst, first = int(schedule.src[row]), int(schedule.dst[row]), int(schedule.chunk[row])
            for chunk in range(first, first + int(schedule.count[row])):
                arriving = before[src, chunk]
                copy = schedule.op[row] == cs.Op.COPY
                after[dst, chunk] = arriving if copy else combine(after[dst, chunk], arriving)
        history.append(after)
    return history


def contributions(schedule: cs.Schedule) -> list[dict[Place, Counter[int]]]:
    """Return `replay` on multisets of contributors, each rank bringing itself for every chunk."""
    own = {(rank, chunk): Counter([rank]) for rank in range(schedule.ranks) for chunk in range(schedule.chunks)}
    return replay(schedule, own, lambda here, arriving: here + arriving)


def has_race(schedule: cs.Schedule) -> bool:
    """Say whether two moves of one step write one place and one of them is a COPY."""
    writers: dict[tuple[int, int, int], list[int]] = {}
    for row in range(len(schedule)):
        if schedule.op[row] != cs.Op.COMPUTE:
            for chunk in range(schedule.chunk[row], schedule.chunk[row] + schedule.count[row]):
                place = (int(schedule.step[row]), int(schedule.dst[row]), int(chunk))
                writers.setdefault(place, []).append(int(schedule.op[row]))
    return any(len(ops) > 1 and int(cs.Op.COPY) in ops for ops in writers.values())


def with_columns(schedule: cs.Schedule, **columns: Any) -> cs.Schedule:
    """Return the schedule with some values of some columns changed: ``column={row: value}``."""
    changed = {}
    for name, values in columns.items():
        column = getattr(schedule, name).copy()
        for row, value in values.items():
            column[row] = value
        changed[name] = column
    return replace(schedule, **changed)


def with_rows(schedule: cs.Schedule, rows: list[int]) -> cs.Schedule:
    """Return the schedule made of these rows, in this order."""
    return cs.Schedule(
        schedule.collective,
        schedule.ranks,
        schedule.chunks,
        *(getattr(schedule, name)[rows] for name in ("step", "src", "dst", "chunk", "count", "op", "seconds")),
    )


def max_min(routes: list[list[int]], bandwidth: list[Fraction]) -> list[Fraction]:
    """Return max-min fair rates in exact arithmetic: fill all flows at the same pace, freeze those on full links.

    A route may name a link several times.
    """
    rate: list[Fraction] = [Fraction(0)] * len(routes)
    frozen: set[int] = set()
    while len(frozen) < len(routes):
        growing = [flow for flow in range(len(routes)) if flow not in frozen]
        steps = {}
        for link, capacity in enumerate(bandwidth):
            crossing = sum(routes[flow].count(link) for flow in growing)
            if crossing:
                used = sum((rate[flow] * routes[flow].count(link) for flow in range(len(routes))), Fraction(0))
                steps[link] = (capacity - used) / crossing
        pace = min(steps.values())
        for flow in growing:
            rate[flow] += pace
        full = {link for link, step in steps.items() if step == pace}
        frozen |= {flow for flow in growing if full & set(routes[flow])}
    return rate


def fluid_finish(
    routes: list[list[int]], bandwidth: list[Fraction], nbytes: list[Fraction], begin: list[Fraction]
) -> list[Fraction]:
    """Return when each flow ends that begins to flow at `begin`, in exact arithmetic."""
    left = dict(enumerate(nbytes))
    finish: dict[int, Fraction] = {flow: begin[flow] for flow in left if left[flow] == 0}
    now = Fraction(0)
    while len(finish) < len(routes):
        active = [flow for flow in left if flow not in finish and begin[flow] <= now]
        rates = dict(zip(active, max_min([routes[flow] for flow in active], bandwidth), strict=True))
        ends = [now + left[flow] / rates[flow] for flow in active]
        begins = [begin[flow] for flow in left if flow not in finish and begin[flow] > now]
        soon = min(ends + begins)
        for flow in active:
            left[flow] -= rates[flow] * (soon - now)
            if left[flow] == 0:
                finish[flow] = soon
        now = soon
    return [finish[flow] for flow in range(len(routes))]


@st.composite
def schedules(draw: st.DrawFn, ranks: int = 5, chunks: int = 3, steps: int = 4, moves: int = 12, compute: bool = True):
    """Draw any schedule at all: whatever its collective, it hardly ever does what that promises."""
    ranks, chunks = draw(st.integers(2, ranks)), draw(st.integers(1, chunks))
    plan = cs.ScheduleBuilder("all_reduce", ranks, chunks)
    for _ in range(draw(st.integers(0, moves))):
        step, src = draw(st.integers(0, steps - 1)), draw(st.integers(0, ranks - 1))
        first = draw(st.integers(0, chunks - 1))
        count = draw(st.integers(1, chunks - first))
        kind = draw(st.sampled_from(["copy", "reduce", "compute"] if compute else ["copy", "reduce"]))
        if kind == "compute":
            plan.compute(step, src, draw(st.integers(0, 24)) / 8)
        else:
            getattr(plan, kind)(step, src, (src + draw(st.integers(1, ranks - 1))) % ranks, first, count)
    return plan.build()
