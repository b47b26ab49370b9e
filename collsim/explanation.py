"""Why did it take that long? A run's time taken apart, along the chain of moves that decided it.

Every second of a run is on its critical path (`collsim.critical_path`) and there belongs to one part. Parts add up to
the time exactly, and what is more than the lower bound to what a better algorithm might save.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from collsim.activities import message_bytes
from collsim.bounds import lower_bound
from collsim.catalog import make_schedule
from collsim.critical_path import PARTS, Piece, Place, Stretch, critical_path
from collsim.errors import InputError
from collsim.models import Fifo, LogGP, Model
from collsim.occupancy import PROCESSOR, RANK_PARTS, link_use, rank_use
from collsim.results import Result, SymmetricResult
from collsim.schedule import Floats, Op, Schedule
from collsim.simulation import simulate
from collsim.symmetric import SymmetricSchedule
from collsim.topology import node_name
from collsim.units import format_bandwidth, format_size, format_time

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PARTS", "RULES", "Explanation", "MoveOnPath", "Usage", "Waited", "explain"]

# Times that differ by less than this part differ in the order of additions only.
_ROUNDING = 1e-12
_NEAR = 1e-6
_MANY = 1_000_000  # messages of a run that is written out to be explained: some seconds
_BUSIEST = 5

# Algorithms that advice tries, by collective (and its v-form): those with few rounds, and those with few bytes.
CANDIDATES: dict[str, tuple[str, ...]] = {
    "all_reduce": ("ring", "halving_doubling", "recursive_doubling", "tree"),
    "reduce_scatter": ("ring", "recursive_halving", "pairwise"),
    "all_gather": ("ring", "bruck", "recursive_doubling"),
    "broadcast": ("binomial", "scatter_ring_allgather", "chain"),
    "reduce": ("binomial", "rabenseifner", "chain"),
    "gather": ("binomial", "flat"),
    "scatter": ("binomial", "flat"),
    "all_to_all": ("pairwise", "bruck", "spread"),
    "scan": ("recursive_doubling", "linear"),
    "exscan": ("recursive_doubling", "linear"),
    "barrier": ("dissemination", "tree"),
}
_MOST_RANKS, _MOST_MESSAGES = 128, 10_000  # of a candidate: advice should not take longer than the run
_BETTER = 0.01  # the part that a candidate must save to be named
_NEAR_BOUND = 0.05
_ABOUT = 0.9


class Usage(NamedTuple):
    """How much a link or a rank was used.

    Attributes
    ----------
    name : str
        ``rank 0 -> 'switch'`` or ``rank 3``.
    utilisation : float
        Of a link what it carried over what it could have carried in that time; of a rank the part of the time in which
        any of its ports, cards or processor was busy (without ports: in which it sent, received or worked).
    busy : float
        Seconds in which it had at least one message (or work).
    nbytes : float
        Bytes carried; of a rank sent and received.
    messages : int
        Number of messages; of a rank sent and received.
    most_at_once : int
        The most messages (or packets) at one time; 1 for a rank.
    """

    name: str
    utilisation: float
    busy: float
    nbytes: float
    messages: int
    most_at_once: int


class Waited(NamedTuple):
    """Where the path had to wait, how long in all, and for whom.

    Attributes
    ----------
    part, name : str
        ``sharing``, ``port`` or ``late rank``, and the link or rank.
    seconds : float
        All waits there together.
    rows : tuple of int
        The messages, or the work, of others that were there meanwhile, by their first rows.
    messages : int
        How many messages go there in the whole run.
    """

    part: str
    name: str
    seconds: float
    rows: tuple[int, ...]
    messages: int = 0


class MoveOnPath(NamedTuple):
    """A move on the critical path.

    Attributes
    ----------
    row : int
        Its first row in the schedule; -1 for the time before a rank started.
    step, src, dst, chunk : int
        As in the schedule; of a rank that was late only `src` and `dst` are known, the others are -1.
    op : str
        ``COPY``, ``REDUCE``, ``COMPUTE``, or ``START`` of a late rank.
    start, finish : float
        From when to when the path leads through it, in seconds.
    because : str
        What it waited for before that, in words.
    parts : dict of str to float
        Seconds of each part that it has; the keys are those of `PARTS`.
    others : tuple of int
        First rows of those with whom it shared, or for whom it waited.
    """

    row: int
    step: int
    src: int
    dst: int
    chunk: int
    op: str
    start: float
    finish: float
    because: str
    parts: dict[str, float]
    others: tuple[int, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """Why a run took as long as it did; `explain` makes one.

    Attributes
    ----------
    result : Result
        The run.
    path : tuple of Stretch
        The critical path, move by move and piece by piece, in order of time.
    parts : dict of str to float
        Seconds of each of `PARTS`; ``math.fsum`` of them is the time of the run, to the last bit.
    waits : tuple of Waited
        Where the path waited, longest first.
    links, ranks : tuple of Usage
        The busiest links (under models that share ports only, those that would have most to carry) and ranks.
    gap : float
        Time less the lower bound, in seconds; 0 if they differ by rounding alone. It is negative for a schedule that
        does less than its collective promises.
    gap_parts : dict of str to float
        What remains of the parts when the bound is taken off, those first of which it is made; they add up to `gap`
        as `parts` do to the time. Empty where there is no gap.
    rule : str
        The name of the rule of `RULES` that gave the advice.
    advice : str
        A sentence on what to change. What it says of other algorithms was simulated, with the same settings.
    """

    result: Result
    path: tuple[Stretch, ...]
    parts: dict[str, float]
    waits: tuple[Waited, ...]
    links: tuple[Usage, ...]
    ranks: tuple[Usage, ...]
    gap: float
    gap_parts: dict[str, float]
    rule: str = ""
    advice: str = ""

    def __repr__(self) -> str:
        return f"Explanation({self.result!r}, largest={self.largest!r})"

    def __str__(self) -> str:
        time = self.result.time
        shown = [f"{part} {format_time(seconds)}" for part, seconds in self._by_size(self.parts)]
        lines = [f"{format_time(time)} = {' + '.join(shown) or 'nothing'}"]
        lines += [f"{one.part}: {format_time(one.seconds)} at {one.name}{_with(one)}" for one in self.waits[:3]]
        lines.append(self.in_words_of_gap)
        return "\n".join([*lines, *([self.advice] if self.advice else [])])

    @staticmethod
    def _by_size(parts: Mapping[str, float]) -> list[tuple[str, float]]:
        return sorted(((part, s) for part, s in parts.items() if s), key=lambda item: -item[1])

    @property
    def largest(self) -> str:
        """The largest part; of several the first of `PARTS`."""
        return max(self.parts, key=lambda part: self.parts[part])

    @property
    def moves_on_path(self) -> int:
        """Number of moves on the critical path; the time before a rank started is none."""
        return sum(stretch.move >= 0 for stretch in self.path)

    @property
    def in_words_of_gap(self) -> str:
        """How far the run is from the lower bound, and what makes the difference."""
        bound = self.result.bound
        if self.gap < 0:
            return (
                f"{format_time(-self.gap)} less than the lower bound of {format_time(bound.seconds)}: the schedule "
                "does less than its collective promises"
            )
        if not self.gap:
            return f"it takes no longer than the lower bound of {format_time(bound.seconds)}: {bound.reason}"
        more = ", ".join(f"{part} {format_time(seconds)}" for part, seconds in self._by_size(self.gap_parts))
        return f"{format_time(self.gap)} more than the lower bound of {format_time(bound.seconds)}: {more}"

    @cached_property
    def moves(self) -> tuple[MoveOnPath, ...]:
        """The critical path, a row a move."""
        return tuple(self._rows())

    def _rows(self) -> Iterable[MoveOnPath]:
        life, schedule = self.result.life, self.result.schedule
        previous: int | None = None
        for stretch in self.path:
            parts: dict[str, float] = {}
            for piece in stretch.pieces:
                parts[piece.part] = parts.get(piece.part, 0.0) + (piece.finish - piece.start)
            others = tuple(
                int(life.row[other]) for other in dict.fromkeys(o for piece in stretch.pieces for o in piece.others)
            )
            if stretch.move < 0:
                place = stretch.pieces[0].place
                rank = place.number if place is not None else -1
                yield MoveOnPath(
                    -1, -1, rank, rank, -1, "START", stretch.start, stretch.finish, "the start", parts, others
                )
            else:
                row = int(life.row[stretch.move])
                yield MoveOnPath(
                    row,
                    int(schedule.step[row]),
                    int(schedule.src[row]),
                    int(schedule.dst[row]),
                    int(schedule.chunk[row]),
                    Op(schedule.op[row]).name,
                    stretch.start,
                    stretch.finish,
                    self._because(stretch, row, previous),
                    parts,
                    others,
                )
            previous = stretch.move

    def _because(self, stretch: Stretch, row: int, previous: int | None) -> str:
        schedule = self.result.schedule
        src, dst = int(schedule.src[row]), int(schedule.dst[row])
        if previous is not None and previous < 0:
            return "a rank had to start"
        words = {
            "data": f"rank {src} had to receive",
            "sender": f"rank {src} was busy",
            "receiver": f"rank {dst} was busy",
            "start": "the start",
        }
        return words[stretch.held]

    def to_dict(self, *, moves: bool = False) -> dict[str, Any]:
        """Return it under the names of ``collsim explain --json``; with `moves` also the path, move by move."""
        result = self.result
        found = {
            "collective": result.schedule.collective.name,
            "algorithm": result.schedule.algorithm,
            "ranks": result.schedule.ranks,
            "size_bytes": result.nbytes,
            "topology": result.topology,
            "model": result.model,
            "ordering": result.ordering,
            "time_s": result.time,
            "parts_s": dict(self.parts),
            "moves_on_path": self.moves_on_path,
            "waits": [
                {"part": one.part, "where": one.name, "seconds": one.seconds, "rows": list(one.rows)}
                for one in self.waits
            ],
            "busiest_links": [_usage(one) for one in self.links],
            "busiest_ranks": [_usage(one) for one in self.ranks],
            "lower_bound_s": result.bound.seconds,
            "lower_bound_kind": result.bound.kind,
            "lower_bound_reason": result.bound.reason,
            "gap_s": self.gap,
            "gap_parts_s": dict(self.gap_parts),
            "rule": self.rule,
            "advice": self.advice,
        }
        if moves:
            found["path"] = [
                {
                    "row": one.row,
                    "step": one.step,
                    "src": one.src,
                    "dst": one.dst,
                    "chunk": one.chunk,
                    "op": one.op,
                    "start_s": one.start,
                    "finish_s": one.finish,
                    "because": one.because,
                    "parts_s": one.parts,
                    "others": list(one.others),
                }
                for one in self.moves
            ]
        return found

    def to_frame(self) -> pd.DataFrame:
        """Return the critical path, a row a move.

        Returns
        -------
        pandas.DataFrame
            With ``row, step, src, dst, chunk, op, start_s, finish_s, because`` and a column for each of `PARTS`, in
            seconds, named ``latency_s`` and so on.
        """
        import pandas as pd

        def name(part: str) -> str:
            return f"{part.replace(' ', '_').replace('-', '_')}_s"

        columns = ["row", "step", "src", "dst", "chunk", "op", "start_s", "finish_s", "because", *map(name, PARTS)]
        rows = [[*one[:9], *(one.parts.get(part, 0.0) for part in PARTS)] for one in self.moves]
        return pd.DataFrame(rows, columns=columns)


def _usage(one: Usage) -> dict[str, Any]:
    return {
        "name": one.name,
        "utilisation": one.utilisation,
        "busy_s": one.busy,
        "bytes": one.nbytes,
        "messages": one.messages,
        "most_at_once": one.most_at_once,
    }


def named(result: Result, rows: Iterable[int]) -> list[str]:
    """Return messages and local work, given by their rows, in words; those of the same ranks once.

    Examples
    --------
    >>> import collsim as cs
    >>> named(cs.simulate(cs.make_schedule("all_reduce", "ring", 4), alpha=1, beta=1), [0, 1, 4])
    ['0 -> 1', '1 -> 2']
    """
    schedule = result.schedule
    return list(
        dict.fromkeys(
            f"{schedule.src[row]} -> {schedule.dst[row]}" if schedule.transfers[row] else f"work of {schedule.src[row]}"
            for row in rows
        )
    )


def _with(one: Waited) -> str:
    count = len(one.rows)
    return f" ({count} other{'s' * (count != 1)} there)" if count else ""


def explain(result: Result, *, advice: bool = True) -> Explanation:
    """Say why a run took as long as it did.

    Parameters
    ----------
    result : Result
        What `simulate` returned. One in which all ranks did the same, without times of single messages, is
        simulated again with all its messages.
    advice : bool
        Whether to look for advice; for that up to four other algorithms are simulated, where that is soon done.

    Returns
    -------
    Explanation
        With ``.parts``, ``.path``, ``.moves``, ``.waits``, ``.links``, ``.ranks``, ``.gap`` and ``.advice``.

    Raises
    ------
    InputError
        If the times of moves were not kept, or there would be too many to write them out.

    Examples
    --------
    All vectors go to one rank, which sends all sums:

    >>> import collsim as cs
    >>> net = cs.star(16, "10GB/s", "5us")
    >>> print(explain(cs.simulate(cs.make_schedule("all_reduce", "naive", 16), net, "1GB")))
    3 s = sharing 2.8 s + serialisation 200 ms + latency 20 us
    sharing: 1.4 s at 'switch' -> rank 0 (14 others there)
    sharing: 1.4 s at rank 0 -> 'switch' (14 others there)
    2.813 s more than the lower bound of 187.5 ms: sharing 2.8 s, serialisation 12.5 ms, latency 10 us
    15 of 30 messages go over one link, 'switch' -> rank 0, and share it; on this network halving_doubling takes \
187.6 ms, 16 times less.
    """
    if not isinstance(result, Result):
        raise InputError(f"explain needs a Result, as simulate returns it, got {result!r}")
    if isinstance(result, SymmetricResult):
        result = _again(result, written_out(result.schedule))
    life = result.life
    path = tuple(critical_path(life, result.time, result.offsets))
    pieces = [piece for stretch in path for piece in stretch.pieces]
    parts = {part: _length(piece for piece in pieces if piece.part == part) for part in PARTS}
    parts = adding_up(parts, result.time)
    gap = result.time - result.bound.seconds
    if abs(gap) <= _ROUNDING * result.time:
        gap = 0.0
    found = Explanation(
        result,
        path,
        parts,
        _waits(result, pieces),
        _busiest_links(result),
        _busiest_ranks(result),
        gap,
        _gap_parts(result, parts, gap) if gap > 0 else {},
    )
    if not advice:
        return found
    rule = next(rule for rule in RULES if rule.applies(found))
    return replace(found, rule=rule.name, advice=rule.advice(found))


def written_out(schedule: SymmetricSchedule) -> Schedule:
    """Return a schedule in which all ranks do the same with all its rows, which an explanation needs.

    Raises
    ------
    InputError
        If there are too many.
    """
    if schedule.messages > _MANY:
        raise InputError(
            f"to explain a run takes the times of all its messages, and these are {schedule.messages}, more than "
            f"{_MANY}: explain one with fewer ranks, or look at the steps of this one (to_frame)"
        )
    return make_schedule(schedule.collective, schedule.algorithm, schedule.ranks, **schedule.options)


def _again(result: Result, schedule: Schedule) -> Result:
    """Return the run of another schedule with the same settings."""
    return simulate(
        schedule,
        nbytes=result.nbytes,
        model=result.parameters,
        ordering=result.ordering,
        gamma=result.gamma,
        offsets=result.offsets,
        itemsize=result.itemsize,
        header_bytes=result.header_bytes,
    )


def _length(pieces: Iterable[Piece]) -> float:
    """Return how long pieces are together, rounded once."""
    return math.fsum(time for piece in pieces for time in (piece.finish, -piece.start))


def adding_up(parts: Mapping[str, float], total: float) -> dict[str, float]:
    """Return parts whose ``math.fsum`` is the total to the last bit; they are given with a rounding each.

    Examples
    --------
    >>> parts = adding_up({"a": 0.1, "b": 0.2, "c": 0.0}, 0.3)
    >>> math.fsum(parts.values()) == 0.3, parts["c"]
    (True, 0.0)
    """
    found = dict(parts)
    # What is left of the rounding of one is less than the last bit of the next smaller one.
    for part in sorted((part for part in found if found[part] > 0), key=lambda part: -found[part]):
        left = math.fsum([total, *(-seconds for seconds in found.values())])
        if not left:
            break
        found[part] += left
    return found


def _gap_parts(result: Result, parts: Mapping[str, float], gap: float) -> dict[str, float]:
    """Take the bound off the parts, those first of which it is made."""
    left = result.bound.seconds
    found = dict(parts)
    for part, most in _bound_is_made_of(result):
        taken = min(found[part], left, most)
        found[part] -= taken
        left -= taken
    # What a subtraction leaves of two equal numbers is no part of anything.
    return adding_up({part: s if s > _ROUNDING * result.time else 0.0 for part, s in found.items()}, gap)


_BYTES = ("serialisation", "sharing", "port", "store-and-forward")
_OF_BOUND: dict[str, tuple[str, ...]] = {
    "latency": ("latency",),
    "reduction": ("reduction", *_BYTES),
    "start": ("late rank",),
}


def _bound_is_made_of(result: Result) -> list[tuple[str, float]]:
    """Return the parts of a bound, in order, and the most of each that it has.

    All but those of latency count one latency only.
    """
    life, schedule = result.life, result.schedule
    late = 0.0
    if result.offsets is not None:  # the last to start is in the bound if that moves along with it
        offsets = result.offsets.copy()
        last = int(np.argmax(offsets))
        late = float(offsets[last])
        offsets[last] += late
        later = lower_bound(
            schedule.collective,
            schedule.ranks,
            result.nbytes,
            result.parameters,
            gamma=result.gamma,
            offsets=offsets,
            itemsize=result.itemsize,
        )
        if later.seconds - result.bound.seconds < late * (1 - _NEAR):
            late = float(np.sort(result.offsets)[:2].max())  # nothing can happen before two have started
    least = float(life.latency[life.transfers].min(initial=math.inf))
    main = _OF_BOUND.get(result.bound.kind, _BYTES)
    rest = dict.fromkeys([*main, *_BYTES, *PARTS], math.inf)
    return [("late rank", late), ("latency", least), *rest.items()]


def _name(place: Place, model: Model) -> str:
    """Return a link or a part of a rank in words."""
    if place.kind == "rank":
        rank = f"rank {place.number}"
        if place.part < 0:
            return rank
        part = list(RANK_PARTS)[place.part]
        if place.part == PROCESSOR:
            return f"{rank}'s {part}"
        return f"{rank}'s processor and {part} card" if isinstance(model, LogGP) else f"{rank}'s {part} port"
    topology = model.topology
    assert topology is not None
    link = topology.links[place.number]
    medium = " and its medium" if link.medium is not None else ""
    return f"{node_name(link.tail)} -> {node_name(link.head)}{medium}"


def _waits(result: Result, pieces: list[Piece]) -> tuple[Waited, ...]:
    where: dict[tuple[str, Place], list[Piece]] = {}
    for piece in pieces:
        if piece.place is not None:
            where.setdefault((piece.part, piece.place), []).append(piece)
    row = result.life.row
    found = [
        Waited(
            part,
            _name(place, result.parameters),
            _length(some),
            tuple(sorted({int(row[other]) for piece in some for other in piece.others})),
            _messages_at(result, place),
        )
        for (part, place), some in where.items()
    ]
    return tuple(sorted(found, key=lambda one: -one.seconds))


def _messages_at(result: Result, place: Place) -> int:
    if place.kind == "link":
        return int(link_use(result).messages[place.number])
    use = rank_use(result)
    return int(((use.rank == place.number) & (use.part == place.part)).sum())


def _rounded(utilisation: Floats) -> Floats:
    """Return figures that are the same where they differ by rounding alone, so that such links come in their order."""
    return np.round(utilisation, 9)


def _busiest_links(result: Result) -> tuple[Usage, ...]:
    use = link_use(result)
    if use.topology is None:
        return ()
    busiest = np.argsort(-_rounded(use.utilisation), kind="stable")[:_BUSIEST].tolist()
    return tuple(
        Usage(
            _name(Place("link", channel), result.parameters),
            float(use.utilisation[channel]),
            float(use.busy[channel]),
            float(use.carried[channel]),
            int(use.messages[channel]),
            int(use.most_at_once[channel]),
        )
        for channel in busiest
        if use.messages[channel]
    )


def _busiest_ranks(result: Result) -> tuple[Usage, ...]:
    use = rank_use(result)
    nbytes = np.bincount(use.rank, weights=use.nbytes, minlength=use.ranks)
    messages = np.bincount(use.rank[use.part < 2], minlength=use.ranks)
    busiest = np.lexsort((-nbytes, -_rounded(use.utilisation)))[:_BUSIEST].tolist()
    return tuple(
        Usage(
            f"rank {rank}",
            float(use.utilisation[rank]),
            float(use.occupied[rank]),
            float(nbytes[rank]),
            int(messages[rank]),
            1,
        )
        for rank in busiest
        if use.occupied[rank] > 0
    )


class Rule(NamedTuple):
    """A rule of advice: the first that applies speaks.

    Attributes
    ----------
    name : str
        What it is about.
    applies : callable
        ``applies(explanation)``.
    words : callable
        ``words(explanation)`` returns what is so.
    tries : callable, optional
        ``tries(explanation)`` returns what something else would take, or "".
    """

    name: str
    applies: Callable[[Explanation], bool]
    words: Callable[[Explanation], str]
    tries: Callable[[Explanation], str] = lambda _: ""

    def advice(self, found: Explanation) -> str:
        """Return the sentence."""
        return "; ".join(part for part in (self.words(found), self.tries(found)) if part) + "."


def _largest(part: str) -> Callable[[Explanation], bool]:
    return lambda found: found.largest == part


def _about_largest(part: str) -> Callable[[Explanation], bool]:
    """Return whether a part is the largest or hardly less: where it is as large as another and easier to mend."""
    return lambda found: found.parts[part] >= _ABOUT * found.parts[found.largest]


def _longest(found: Explanation, part: str) -> Waited:
    return next(one for one in found.waits if one.part == part)


def _plural(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _on_path(found: Explanation, part: str) -> list[MoveOnPath]:
    return [one for one in found.moves if one.parts.get(part, 0) > 0]


def _of_promise(found: Explanation) -> str:
    return (
        f"a time below the bound is none of {found.result.schedule.collective.name}, so do not compare it; "
        "verify says what is missing"
    )


def _of_nothing(_: Explanation) -> str:
    return "it takes no time, so there is nothing to change"


def _of_bound(found: Explanation) -> str:
    saved, reason = found.gap, found.result.bound.reason
    if not saved:
        return f"no algorithm is faster here, for {reason}: only another network, or less to send, would help"
    return (
        f"no algorithm saves more than {format_time(saved)} ({100 * saved / found.result.time:.2g} %) here, for "
        f"{reason}: only another network, or less to send, would"
    )


def _of_sharing(found: Explanation) -> str:
    longest = _longest(found, "sharing")
    messages = found.result.schedule.messages
    some = f"all {messages}" if longest.messages == messages else f"{longest.messages} of {messages}"
    return f"{some} messages go over one link, {longest.name}, and share it"


def _of_port(found: Explanation) -> str:
    longest = _longest(found, "port")
    others = _plural(len(longest.rows), "other")
    return f"{longest.name} is busy with {others} while the critical path waits {format_time(longest.seconds)} for it"


def _of_latency(found: Explanation) -> str:
    messages = len(_on_path(found, "latency"))
    each = "follow each other and each pays its latency, so fewer rounds would help" if messages > 1 else "pays it"
    return f"latency decides: {_plural(messages, 'message')} on the critical path {each}"


def _of_serialisation(found: Explanation) -> str:
    rows = [one.row for one in _on_path(found, "serialisation")]
    nbytes = float(message_bytes(found.result)[rows].sum())
    return (
        f"{format_size(nbytes)} pass one after another, in {_plural(len(rows), 'message')}{_slowest_links(found)}, so "
        "fewer bytes on the critical path or faster links would help"
    )


def _slowest_links(found: Explanation) -> str:
    """Return in words over which links of least bandwidth the path leads, if these are one or two."""
    model = found.result.parameters
    if model.topology is None:
        return ""
    spent: dict[int, float] = {}
    for one in _on_path(found, "serialisation"):
        links = model.topology.route(one.src, one.dst)
        slowest = min(links, key=lambda link: float(model.topology.bandwidth[link]) if model.topology else 0.0)
        spent[slowest] = spent.get(slowest, 0.0) + one.parts["serialisation"]
    total = found.parts["serialisation"]
    most = sorted(spent, key=lambda link: -spent[link])[:2]
    if most and spent[most[0]] >= _MOSTLY * total:
        most = most[:1]
    if sum(spent[link] for link in most) < _MOSTLY * total or len(found.moves) <= len(most):
        return ""
    names = " and ".join(_name(Place("link", link), model) for link in sorted(most))
    rates = {format_bandwidth(float(model.topology.bandwidth[link])) for link in most}
    return f", most of it over {names} of {' and '.join(sorted(rates))}"


def _of_overhead(found: Explanation) -> str:
    messages = _plural(len(_on_path(found, "overhead")), "message")
    return f"overhead decides, of {messages} on the critical path, so fewer and larger ones would help"


def _of_packets(_: Explanation) -> str:
    return "every link takes a message, or packet, in full before it passes it on"


def _of_late_rank(found: Explanation) -> str:
    late = _longest(found, "late rank")
    return f"{late.name} starts {format_time(late.seconds)} late, so look there before you try another algorithm"


def _of_reduction(found: Explanation) -> str:
    rows = _on_path(found, "reduction")
    return f"{_plural(len(rows), 'sum')} one after another decide, so smaller parts on more ranks would help"


def _of_compute(found: Explanation) -> str:
    longest = max(_on_path(found, "compute"), key=lambda one: one.parts["compute"])
    return f"local work decides, most of it of rank {longest.src}, so the network is not what to change"


def _smaller_packets(found: Explanation) -> str:
    """Return in words what smaller packets would do."""
    result, model = found.result, found.result.parameters
    assert isinstance(model, Fifo)
    size = max(1, math.ceil(float(result.graph.nbytes.max()) / _PACKETS))
    if (model.packet_bytes or math.inf) <= size or result.schedule.messages > _MOST_MESSAGES:
        return ""
    time = _again(replace(result, parameters=replace(model, packet_bytes=size)), result.schedule).time
    if time > result.time * (1 - _BETTER):
        return ""
    return f"in packets of {format_size(size)} (packet_bytes={size}) it takes {format_time(time)}"


_MOSTLY = 0.8  # of the serialisation, when one or two links are named for it
_PACKETS = 16  # of the largest message, when smaller ones are tried


def _other_algorithms(found: Explanation) -> str:
    """Return in words which of the candidates is faster, each simulated with the same settings."""
    result = found.result
    schedule = result.schedule
    times: dict[str, float] = {}
    for name in CANDIDATES.get(schedule.collective.name.removesuffix("v"), ()):
        if name == schedule.algorithm or schedule.ranks > _MOST_RANKS:
            continue
        try:
            other = make_schedule(schedule.collective.name, name, schedule.ranks, **schedule.collective.options)
        except InputError:  # it is not made for so many ranks, or has no such option
            continue
        if other.messages <= _MOST_MESSAGES and dict(other.collective.options) == dict(schedule.collective.options):
            times[name] = _again(result, other).time
    if not times:
        return ""
    best = min(times, key=lambda name: times[name])
    where = "on this network" if result.topology else "here"
    if times[best] > result.time * (1 - _BETTER):
        return f"{where} {_listed(times)} {'is' if len(times) == 1 else 'are'} no faster"
    less = f", {result.time / times[best]:.3g} times less" if times[best] > 0 else ""
    return f"{where} {best} takes {format_time(times[best])}{less}"


def _listed(names: Iterable[str]) -> str:
    some = list(names)
    return some[0] if len(some) == 1 else f"{', '.join(some[:-1])} and {some[-1]}"


# What is advised: the first rule that applies, by the largest part. What it says of something else, it has simulated.
RULES: tuple[Rule, ...] = (
    Rule("promise", lambda found: found.gap < 0, _of_promise),
    Rule("nothing", lambda found: not found.result.time, _of_nothing),
    Rule("bound", lambda found: 0 <= found.gap <= found.result.bound.seconds * _NEAR_BOUND, _of_bound),
    Rule("store-and-forward", _about_largest("store-and-forward"), _of_packets, _smaller_packets),
    Rule("sharing", _largest("sharing"), _of_sharing, _other_algorithms),
    Rule("port", _largest("port"), _of_port, _other_algorithms),
    Rule("latency", _largest("latency"), _of_latency, _other_algorithms),
    Rule("overhead", _largest("overhead"), _of_overhead, _other_algorithms),
    Rule("late rank", _largest("late rank"), _of_late_rank),
    Rule("reduction", _largest("reduction"), _of_reduction, _other_algorithms),
    Rule("compute", _largest("compute"), _of_compute),
    Rule("serialisation", _largest("serialisation"), _of_serialisation, _other_algorithms),
)
