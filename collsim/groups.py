"""Collectives on some of the ranks: a schedule's ranks are positions in a group, and several groups may act at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from collsim.collectives import Bools, Collective, Indices
from collsim.errors import InputError
from collsim.schedule import Schedule
from collsim.units import parse_count


def on_groups(schedules: Schedule | Sequence[Schedule], groups: Sequence[Sequence[int]], ranks: int) -> Schedule:
    """Return one schedule in which each group of ranks carries out a collective of its own.

    Parameters
    ----------
    schedules : Schedule or sequence of Schedule
        One for each group, or one for all of them (then all groups have its size).
    groups : sequence of sequences of int
        The ranks of each group, in any order: position i of a schedule becomes rank ``group[i]``. No rank
        stands in two groups.
    ranks : int
        Number of ranks of the whole; those in no group do nothing.

    Returns
    -------
    Schedule
        To verify, execute (a rank in no group keeps its vector) or simulate like any other. Its size is
        that of the vector of every rank in a group.

    Raises
    ------
    InputError
        If a group has not the size of its schedule, or a rank is out of range or named twice.

    Examples
    --------
    The rows of a 2 x 3 grid, each an all-reduce of three ranks:

    >>> import collsim as cs
    >>> rows = cs.on_groups(cs.make_schedule("all_reduce", "ring", ranks=3), [[0, 1, 2], [3, 4, 5]], ranks=6)
    >>> cs.verify(rows)
    >>> cs.execute(rows, [[1], [2], [3], [10], [20], [30]]).ravel().tolist()
    [6, 6, 6, 60, 60, 60]
    """
    total = parse_count(ranks, "ranks")
    parts = [schedules] * len(groups) if isinstance(schedules, Schedule) else list(schedules)
    if not groups or len(parts) != len(groups):
        raise InputError(f"there must be one schedule for each group, got {len(parts)} for {len(groups)} groups")
    members = [np.array([parse_count(rank, "a rank of a group", minimum=0) for rank in group]) for group in groups]
    everyone = np.concatenate(members)
    if everyone.max() >= total:
        raise InputError(f"a group names rank {everyone.max()}, but there are only 0..{total - 1}")
    if len(np.unique(everyone)) != len(everyone):
        twice = next(rank for rank in everyone.tolist() if (everyone == rank).sum() > 1)
        raise InputError(f"rank {twice} is named twice: a rank is in one group, once")
    for part, group in zip(parts, members, strict=True):
        if part.ranks != len(group):
            raise InputError(
                f"a schedule for {part.ranks} ranks was given for a group of {len(group)}: {group.tolist()}"
            )

    first_chunk = np.concatenate([[0], np.cumsum([part.chunks for part in parts])])
    first_row = np.concatenate([[0], np.cumsum([len(part) for part in parts])])
    step = np.concatenate([part.step for part in parts])
    order = np.argsort(step, kind="stable")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    after = np.concatenate([part.after.astype(np.int64) + first for part, first in zip(parts, first_row, strict=False)])

    messages = np.concatenate([[0], np.cumsum([int(part.message.max(initial=-1)) + 1 for part in parts])])
    number = np.concatenate([part.message + int(first) for part, first in zip(parts, messages, strict=False)])[order]

    def joined(columns: list[NDArray[np.int32]]) -> NDArray[np.int32]:
        return np.concatenate(columns)[order].astype(np.int32)

    pairs = list(zip(parts, members, strict=True))
    return replace(
        parts[0],
        collective=_grouped(parts, members, first_chunk, total),
        ranks=total,
        chunks=int(first_chunk[-1]),
        step=joined([part.step for part in parts]),
        src=joined([group[part.src] for part, group in pairs]),
        dst=joined([group[part.dst] for part, group in pairs]),
        chunk=joined([part.chunk + int(first) for part, first in zip(parts, first_chunk, strict=False)]),
        count=joined([part.count for part in parts]),
        op=np.concatenate([part.op for part in parts])[order],
        seconds=np.concatenate([part.seconds for part in parts])[order],
        message=np.cumsum(np.diff(number, prepend=number[:1]) != 0).astype(np.int32),
        after=place[after].astype(np.int32),
        options={**parts[0].options, "groups": [group.tolist() for group in members]},
    )


def _grouped(parts: list[Schedule], members: list[Indices], first: Indices, ranks: int) -> Collective:
    """Return the collective that all groups together carry out, on the chunks of all of them."""
    group_of = {rank: (g, position) for g, group in enumerate(members) for position, rank in enumerate(group.tolist())}
    inner = [part.collective for part in parts]

    def before(_: int, chunks: int, rank: int) -> Bools:
        brings = np.zeros(chunks, dtype=bool)
        if rank in group_of:
            g, position = group_of[rank]
            brings[first[g] : first[g + 1]] = inner[g].before(parts[g].ranks, parts[g].chunks, position)
        return brings

    def after(_: int, chunks: int, rank: int) -> Bools:
        if rank not in group_of:
            return np.zeros((0, ranks), dtype=bool)
        g, position = group_of[rank]
        promised = inner[g].after(parts[g].ranks, parts[g].chunks, position)
        whole = np.zeros((len(promised), ranks), dtype=bool)
        whole[:, members[g]] = promised
        return whole

    def inputs(_: int, chunks: int, rank: int) -> Indices:
        if rank not in group_of:
            return np.zeros(0, dtype=np.int64)
        g, position = group_of[rank]
        stands: Indices = first[g] + inner[g].inputs(parts[g].ranks, parts[g].chunks, position)
        return stands

    def outputs(_: int, chunks: int, rank: int) -> Indices:
        if rank not in group_of:
            return np.zeros(0, dtype=np.int64)
        g, position = group_of[rank]
        stands: Indices = first[g] + inner[g].outputs(parts[g].ranks, parts[g].chunks, position)
        return stands

    names = list(dict.fromkeys(collective.name for collective in inner))
    return Collective(
        f"{' and '.join(names)} in groups",
        "groups of ranks, each with a collective of its own",
        before,
        after,
        bus_factor=lambda _: max(c.bus_factor(part.ranks) for c, part in zip(inner, parts, strict=True)),
        inputs=inputs,
        outputs=outputs,
        cut=lambda _, chunks, elements: np.concatenate(
            [c.cut(part.ranks, part.chunks, elements) for c, part in zip(inner, parts, strict=True)]
        ),
        shares=lambda _, chunks: np.concatenate(
            [c.shares(part.ranks, part.chunks) for c, part in zip(inner, parts, strict=True)]
        ),
        at_least_once=any(collective.at_least_once for collective in inner),
        options={"groups": [group.tolist() for group in members]},
    )
