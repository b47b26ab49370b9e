"""Schedules made of schedules: one after the other, cut finer, or by many groups of ranks at once.

Also the simplest algorithm that is made so, any reduce-scatter followed by any all-gather, and `Composed`, the
figures of an algorithm that are sums of those of its parts. Parts go by their names in the catalog, which is
looked up when a schedule is made: the table of algorithms itself imports this file.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from collsim.collectives import Collective, get_collective
from collsim.errors import InputError
from collsim.formulas import Formula
from collsim.schedule import Schedule, renumbered
from collsim.units import parse_count

Rows = NDArray[np.int64]


def recut(schedule: Schedule, chunks: int) -> Schedule:
    """Return a schedule with every chunk cut into several.

    Parameters
    ----------
    schedule : Schedule
        What to cut finer.
    chunks : int
        The new number of chunks, a multiple of what it is.

    Returns
    -------
    Schedule
        The same messages.

    Raises
    ------
    InputError
        If `chunks` is not a multiple.

    Examples
    --------
    >>> import collsim as cs
    >>> recut(cs.make_schedule("all_reduce", "ring", ranks=3), 6)
    Schedule(all_reduce, ring, ranks=3, chunks=6, steps=4, messages=12)
    """
    number = parse_count(chunks, "chunks")
    if number % schedule.chunks:
        raise InputError(f"{schedule.chunks} chunks can be cut into a multiple of that number only, got {chunks}")
    pieces = number // schedule.chunks
    return replace(schedule, chunks=number, chunk=schedule.chunk * pieces, count=schedule.count * pieces)


def concatenate(collective: str | Collective, schedules: Sequence[Schedule]) -> Schedule:
    """Return a schedule that carries out several, one after the other.

    Parameters
    ----------
    collective : str or Collective
        What they do together.
    schedules : sequence of Schedule
        For the same number of ranks. If their numbers of chunks differ, all are cut finer, to the least
        common multiple.

    Returns
    -------
    Schedule
        The steps of the first, then those of the second, and so on.

    Raises
    ------
    InputError
        If there is none, or they are for different numbers of ranks.

    Examples
    --------
    >>> import collsim as cs
    >>> there = cs.make_schedule("reduce_scatter", "ring", ranks=4)
    >>> back = cs.make_schedule("all_gather", "bruck", ranks=4)
    >>> whole = concatenate("all_reduce", [there, back])
    >>> whole
    Schedule(all_reduce, custom, ranks=4, chunks=4, steps=5, messages=20)
    >>> cs.verify(whole)
    """
    if not schedules or len({schedule.ranks for schedule in schedules}) > 1:
        sizes = [schedule.ranks for schedule in schedules]
        raise InputError(f"schedules must be for the same number of ranks, got {sizes or 'none'}")
    chunks = math.lcm(*(schedule.chunks for schedule in schedules))
    parts = [recut(schedule, chunks) for schedule in schedules]
    first_step = _starts([part.steps for part in parts])
    first_row = _starts([len(part) for part in parts])
    first_message = _starts([int(part.message.max(initial=-1)) + 1 for part in parts])

    def joined(name: str, offsets: ArrayLike = 0) -> Any:
        shifts = np.broadcast_to(offsets, len(parts)).tolist()
        return np.concatenate([getattr(part, name) + shift for part, shift in zip(parts, shifts, strict=True)])

    return Schedule(
        collective=get_collective(collective),
        ranks=parts[0].ranks,
        chunks=chunks,
        step=joined("step", first_step),
        message=joined("message", first_message),
        after=joined("after", first_row),
        **{name: joined(name) for name in ("src", "dst", "chunk", "count", "op", "seconds")},
    )


def by_groups(schedule: Schedule, members: ArrayLike, ranks: int, first: ArrayLike, chunks: int) -> Schedule:
    """Return a schedule in which groups of ranks run the same schedule at once, each on its own chunks.

    Parameters
    ----------
    schedule : Schedule
        What each group does.
    members : array_like of int, shape (groups, size)
        The ranks of each group: position i of the schedule becomes rank ``members[g, i]``.
    ranks : int
        Number of ranks of the whole.
    first : array_like of int, shape (groups,)
        Where the chunks of each group begin. Groups without common ranks may have the same chunks.
    chunks : int
        Number of chunks of the whole.

    Returns
    -------
    Schedule
        It has the collective of `schedule`, although it is only a part of one: concatenate it with the others.

    Examples
    --------
    Both rows of a 2 x 3 grid sum up, each row by itself:

    >>> import collsim as cs
    >>> rows = by_groups(cs.make_schedule("all_reduce", "tree", ranks=3), [[0, 1, 2], [3, 4, 5]], 6, [0, 0], 1)
    >>> cs.execute(rows, [[1], [2], [3], [10], [20], [30]]).ravel().tolist()
    [6, 6, 6, 60, 60, 60]
    """
    member = np.asarray(members, dtype=np.int64)
    groups, rows = len(member), len(schedule)
    begin = np.repeat(np.asarray(first, dtype=np.int64), rows)
    order = np.argsort(np.tile(schedule.step, groups), kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    group = np.arange(groups)[:, None]
    # Within a step the rows of a group stay together, and so do those of a message.
    message = (group * (int(schedule.message.max(initial=-1)) + 1) + schedule.message).ravel()[order]
    after = (group[:, :, None] * rows + schedule.after).reshape(-1, 2)

    def repeated(column: NDArray[Any]) -> NDArray[Any]:
        return np.tile(column, groups)[order]

    return Schedule(
        collective=schedule.collective,
        ranks=ranks,
        chunks=chunks,
        step=repeated(schedule.step),
        src=member[:, schedule.src].ravel()[order].astype(np.int32),
        dst=member[:, schedule.dst].ravel()[order].astype(np.int32),
        chunk=(np.tile(schedule.chunk, groups) + begin)[order].astype(np.int32),
        count=repeated(schedule.count),
        op=repeated(schedule.op),
        seconds=repeated(schedule.seconds),
        message=renumbered(message),
        after=place[after].astype(np.int32),
    )


def reduce_scatter_all_gather(ranks: int, *, reduce_scatter: str = "ring", all_gather: str = "ring") -> Schedule:
    """Run any reduce-scatter, then any all-gather.

    Parameters
    ----------
    ranks : int
        Number of ranks, one that both admit.
    reduce_scatter, all_gather : str
        Names in the catalog, or ``"file.py:function"``.

    Returns
    -------
    Schedule
        The steps of the one, then those of the other.

    Raises
    ------
    InputError
        If a name is not known, or one of the two does not admit the number of ranks.

    Notes
    -----
    R. Thakur, R. Rabenseifner and W. Gropp, IJHPCA 19(1), 2005, section 4.5. Every rank takes part in all rounds
    of an all-gather, so that the rank that leaves the reduce-scatter last ends last: steps, bytes and
    times add up.

    Examples
    --------
    >>> reduce_scatter_all_gather(6, reduce_scatter="recursive_halving", all_gather="bruck")
    Schedule(all_reduce, custom, ranks=6, chunks=6, steps=7, messages=30)
    """
    return concatenate(
        "all_reduce",
        [known("reduce_scatter", reduce_scatter, ranks), known("all_gather", all_gather, ranks)],
    )


def known(collective: str, name: str, ranks: int) -> Schedule:
    """Return the schedule of an algorithm by its name in the catalog, with its options as they are by default."""
    from collsim.catalog import make_schedule

    return make_schedule(collective, name, ranks)


class Part(NamedTuple):
    """An algorithm that is part of another, run by `groups` groups of `ranks` ranks at once on `nbytes` bytes."""

    collective: str
    name: str
    ranks: int
    nbytes: float
    groups: int = 1


# Where ranks end one part at different times, a part in which messages meet at a port begins before it has ended; and
# whoever sends most in the one need not be who sends most in the other.
_MEETS_AT_A_PORT = ("direct", "gather_broadcast")


def _uneven(first: Part, second: Part) -> bool:
    folded = first.name == "recursive_halving" and first.ranks & (first.ranks - 1) != 0
    return (folded or first.name == "butterfly") and second.name in _MEETS_AT_A_PORT


@dataclass(frozen=True)
class Composed(Formula):
    """A figure of an algorithm that is made of others: the sum of theirs.

    Attributes
    ----------
    text : str
        The sum in words.
    figure : str
        Which one: steps, sent, wire or time.
    parts : callable
        ``parts(ranks, nbytes, **options)`` returns the parts.

    Examples
    --------
    >>> steps = Composed("steps of reduce_scatter + all_gather", figure="steps", parts=two_parts)
    >>> steps(ranks=6, reduce_scatter="recursive_halving", all_gather="bruck")
    7
    """

    figure: str = "time"
    parts: Callable[..., Iterable[Part]] = tuple

    def __call__(
        self,
        ranks: int,
        nbytes: float = 0.0,
        alpha: float = 0.0,
        beta: float = 0.0,
        gamma: float = 0.0,
        **options: Any,
    ) -> float:
        """Evaluate, as `Formula` does; not a number where a part has no closed form, or figures do not add up."""
        from collsim.catalog import get_algorithm

        total: float = 0
        parts = tuple(self.parts(ranks, nbytes, **options)) if ranks > 1 else ()
        if self.figure in ("time", "sent") and any(_uneven(*pair) for pair in itertools.pairwise(parts)):
            return math.nan
        for part in parts:
            row = get_algorithm(part.collective, part.name)
            formula: Formula | None = getattr(row, self.figure)
            if formula is None:
                return math.nan
            value = formula(part.ranks, part.nbytes, alpha, beta, gamma, **row.options)
            total += value * part.groups if self.figure == "wire" else value
        return total


def figures(sum_of: str, parts: Callable[..., Iterable[Part]]) -> dict[str, Any]:
    """Return all figures of an algorithm that is made of others; `sum_of` says which, in words."""
    return {
        name: Composed(f"{name} of {sum_of}", figure=name, parts=parts) for name in ("steps", "sent", "wire", "time")
    }


def two_parts(ranks: int, nbytes: float, *, reduce_scatter: str, all_gather: str) -> list[Part]:
    """Return the parts of `reduce_scatter_all_gather`."""
    return [Part("reduce_scatter", reduce_scatter, ranks, nbytes), Part("all_gather", all_gather, ranks, nbytes)]


def _starts(lengths: Sequence[int]) -> Rows:
    return np.cumsum([0, *lengths[:-1]])
