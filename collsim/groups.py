"""Collectives on some of the ranks: a schedule's ranks are positions in a group, and several groups may act at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collsim.collectives import Bools, Collective, Indices
from collsim.errors import InputError
from collsim.schedule import Schedule, renumbered
from collsim.units import parse_count


class Part(NamedTuple):
    """One group: its collective, its ranks in the order of their positions, and its number of chunks."""

    collective: Collective
    members: Indices
    chunks: int


@dataclass(frozen=True, eq=False)
class GroupedCollective(Collective):
    """What several groups carry out together, each a collective of its own.

    Attributes
    ----------
    parts : tuple of Part
        The groups; their chunks stand one group after another.
    vectors : int
        The largest number of groups that one rank is in: a rank has a vector for each of its groups.
    """

    parts: tuple[Part, ...] = ()
    vectors: int = 1

    def __reduce__(self) -> Any:
        # Functions made on the fly cannot be sent to another process; what made them can.
        return _grouped, (self.parts,)


def on_groups(schedules: Schedule | Sequence[Schedule], groups: Sequence[Sequence[int]], ranks: int) -> Schedule:
    """Return one schedule in which each group of ranks carries out a collective of its own.

    Parameters
    ----------
    schedules : Schedule or sequence of Schedule
        One for each group, or one for all of them (then all groups have its size).
    groups : sequence of sequences of int
        The ranks of each group, in any order: position i of a schedule becomes rank ``group[i]``. Groups may
        share ranks, as the rows and the columns of a grid do.
    ranks : int
        Number of ranks of the whole; those in no group do nothing.

    Returns
    -------
    Schedule
        To verify, execute (a rank in no group keeps its vector) or simulate like any other. A rank has one
        vector for each of its groups, in the order of groups and all of the same length: what `execute` takes
        and returns is a row of them one after another, and the size that `simulate` takes is that of all
        vectors of the rank that has most.

    Raises
    ------
    InputError
        If a group has not the size of its schedule, a rank is out of range or twice in one group, or barriers
        are mixed with other collectives.

    Examples
    --------
    The rows of a 2 x 3 grid, each an all-reduce of three ranks:

    >>> import collsim as cs
    >>> of_three = cs.make_schedule("all_reduce", "ring", ranks=3)
    >>> rows = cs.on_groups(of_three, [[0, 1, 2], [3, 4, 5]], ranks=6)
    >>> cs.verify(rows)
    >>> cs.execute(rows, [[1], [2], [3], [10], [20], [30]]).ravel().tolist()
    [6, 6, 6, 60, 60, 60]

    Rows and columns at once; each rank has a vector for its row and one for its column:

    >>> of_two = cs.make_schedule("all_reduce", "ring", ranks=2)
    >>> grid = cs.on_groups([of_three] * 2 + [of_two] * 3, [[0, 1, 2], [3, 4, 5], [0, 3], [1, 4], [2, 5]], ranks=6)
    >>> cs.execute(grid, [[1, 1], [2, 2], [3, 3], [10, 10], [20, 20], [30, 30]]).tolist()
    [[6, 11], [6, 22], [6, 33], [60, 11], [60, 22], [60, 33]]
    """
    total = parse_count(ranks, "ranks")
    parts = [schedules] * len(groups) if isinstance(schedules, Schedule) else list(schedules)
    members = _members(parts, groups, total)

    first_chunk = _firsts(part.chunks for part in parts)
    first_row = _firsts(len(part) for part in parts)
    first_message = _firsts(int(part.message.max(initial=-1)) + 1 for part in parts)
    step = np.concatenate([part.step for part in parts])
    order = np.argsort(step, kind="stable")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    # Rows of a message are neighbours in their part, of one step, so they stay neighbours.
    message = np.concatenate([part.message + first for part, first in zip(parts, first_message, strict=True)])[order]
    after = np.concatenate([part.after.astype(np.int64) + first for part, first in zip(parts, first_row, strict=True)])

    def joined(columns: Iterable[NDArray[Any]]) -> NDArray[np.int32]:
        return np.concatenate(list(columns))[order].astype(np.int32)

    names = dict.fromkeys(part.algorithm for part in parts)
    options = parts[0].options if isinstance(schedules, Schedule) else {}
    return replace(
        parts[0],
        collective=_grouped(
            tuple(Part(part.collective, group, part.chunks) for part, group in zip(parts, members, strict=True))
        ),
        ranks=total,
        chunks=sum(part.chunks for part in parts),
        step=step[order],
        src=joined(group[part.src] for part, group in zip(parts, members, strict=True)),
        dst=joined(group[part.dst] for part, group in zip(parts, members, strict=True)),
        chunk=joined(part.chunk + first for part, first in zip(parts, first_chunk, strict=True)),
        count=joined(part.count for part in parts),
        op=np.concatenate([part.op for part in parts])[order],
        seconds=np.concatenate([part.seconds for part in parts])[order],
        message=renumbered(message),
        after=place[after].astype(np.int32),
        algorithm=" and ".join(names),
        options={**options, "groups": [group.tolist() for group in members]},
    )


def _members(parts: list[Schedule], groups: Sequence[Sequence[int]], ranks: int) -> list[Indices]:
    """Return the ranks of each group as an array, or raise an `InputError` that says what is wrong with them."""
    if not len(groups) or len(parts) != len(groups):
        raise InputError(f"there must be one schedule for each group, got {len(parts)} for {len(groups)} groups")
    members = []
    for part, group in zip(parts, groups, strict=True):
        if not isinstance(part, Schedule):
            raise InputError(f"a group needs a Schedule, got {type(part).__name__}")
        if not isinstance(group, Sequence | np.ndarray):
            raise InputError(f"a group must be a list of ranks, got {group!r}")
        named = np.array([parse_count(rank, "a rank of a group", minimum=0) for rank in group], dtype=np.int64)
        if part.ranks != len(named):
            raise InputError(
                f"a schedule for {part.ranks} ranks was given for a group of {len(named)}: {named.tolist()}"
            )
        if named.max() >= ranks:
            raise InputError(f"a group names rank {named.max()}, but there are only 0..{ranks - 1}")
        if len(np.unique(named)) != len(named):
            raise InputError(f"a rank can stand in a group only once, got {named.tolist()}")
        members.append(named)
    lenient = [part.collective.name for part in parts if part.collective.at_least_once]
    if 0 < len(lenient) < len(parts):
        # The proof asks one thing of all chunks: exactly once, or (of a barrier) at least once.
        raise InputError(f"{lenient[0]} cannot share a schedule with other collectives; use a schedule of its own")
    return members


def _firsts(lengths: Iterable[int]) -> list[int]:
    """Return where each part begins when all stand one after another."""
    return [0, *np.cumsum(list(lengths)).tolist()][:-1]


def _grouped(parts: tuple[Part, ...]) -> GroupedCollective:
    """Return the collective that all groups together carry out, on the chunks of all of them."""
    first = _firsts(part.chunks for part in parts)
    of_rank: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for g, part in enumerate(parts):
        for position, rank in enumerate(part.members.tolist()):
            of_rank[rank].append((g, position))
    vectors = max(map(len, of_rank.values()))

    def before(ranks: int, chunks: int, rank: int) -> Bools:
        brings = np.zeros(chunks, dtype=bool)
        for g, position in of_rank.get(rank, ()):
            part = parts[g]
            own = part.collective.before(len(part.members), part.chunks, position)
            brings[first[g] : first[g] + part.chunks] = own
        return brings

    def after(ranks: int, chunks: int, rank: int) -> Bools:
        promised = [np.zeros((0, ranks), dtype=bool)]
        for g, position in of_rank.get(rank, ()):
            part = parts[g]
            of_group = part.collective.after(len(part.members), part.chunks, position)
            of_all = np.zeros((len(of_group), ranks), dtype=bool)
            of_all[:, part.members] = of_group
            promised.append(of_all)
        return np.concatenate(promised)

    def standing(which: str, rank: int) -> Indices:
        held = [np.zeros(0, dtype=np.int64)]
        for g, position in of_rank.get(rank, ()):
            part = parts[g]
            held.append(first[g] + getattr(part.collective, which)(len(part.members), part.chunks, position))
        return np.concatenate(held)

    def cut(ranks: int, chunks: int, elements: int) -> Indices:
        each, left = divmod(elements, vectors)
        if left:
            raise InputError(
                f"ranks have up to {vectors} vectors of the same length: {elements} elements are not divisible "
                f"by {vectors}"
            )
        return np.concatenate([part.collective.cut(len(part.members), part.chunks, each) for part in parts])

    def shares(ranks: int, chunks: int) -> NDArray[np.float64]:
        fractions = [part.collective.shares(len(part.members), part.chunks) for part in parts]
        return np.concatenate(fractions) / vectors

    names = list(dict.fromkeys(part.collective.name for part in parts))
    return GroupedCollective(
        f"{' and '.join(names)} in groups",
        "groups of ranks, each with a collective of its own",
        before,
        after,
        bus_factor=lambda ranks: max(part.collective.bus_factor(len(part.members)) for part in parts),
        inputs=lambda ranks, chunks, rank: standing("inputs", rank),
        outputs=lambda ranks, chunks, rank: standing("outputs", rank),
        cut=cut,
        shares=shares,
        at_least_once=parts[0].collective.at_least_once,
        options={"groups": [part.members.tolist() for part in parts]},
        parts=parts,
        vectors=vectors,
    )
