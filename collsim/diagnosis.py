"""Why a schedule does not keep its promise, in words: which values got lost, or came twice, where and by which move.

`verify` finds that a place is wrong; this file follows the values of one chunk through the schedule to say
how it came about. It replays slowly, one chunk in plain Python, and only after something was found wrong.
"""

from __future__ import annotations

import itertools
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from collsim.collectives import Collective
from collsim.errors import VerificationError
from collsim.schedule import Op, Schedule

# The way that a contribution has come: the way before and the row that brought it on; None at its own rank.
Way = tuple["Way | None", int]
# What a rank holds of one chunk: for each contributor the ways that its values came, at most two of them.
Held = dict[int, tuple["Way | None", ...]]
# Says where a row was written, such as " (line 12)"; empty if that is not known.
Where = Callable[[int], str]

_MOST_NAMED = 8  # ranks listed by number
_MOST_HOPS = 6  # of a way written out
_MOST_REASONS = 3  # how far "because" follows "because"


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with a schedule.

    Attributes
    ----------
    message : str
        The explanation: whole sentences on one line.
    rank, chunk, step : int or None
        Where it shows, and in which step it goes wrong, where that can be said.
    """

    message: str
    rank: int | None = None
    chunk: int | None = None
    step: int | None = None


def diagnose(
    schedule: Schedule, error: VerificationError, collective: Collective | None = None, where: Where | None = None
) -> Diagnosis:
    """Explain why `verify` has refused a schedule.

    Parameters
    ----------
    schedule : Schedule
        What was refused.
    error : VerificationError
        What `verify` raised.
    collective : Collective, optional
        What it was held to; default: its own.
    where : callable, optional
        ``where(row)`` returns where a row of the table was written, such as ``" (line 12)"``.

    Returns
    -------
    Diagnosis
        The first thing that is wrong, traced to the moves that cause it.

    Examples
    --------
    >>> import collsim as cs
    >>> plan = cs.ScheduleBuilder("all_reduce", ranks=3)
    >>> _ = plan.reduce(step=0, src=2, dst=1)
    >>> _ = plan.copy(step=1, src=1, dst=0)
    >>> _ = plan.copy(step=2, src=0, dst=[1, 2])
    >>> schedule = plan.build()
    >>> try:
    ...     cs.verify(schedule)
    ... except cs.VerificationError as error:
    ...     print(diagnose(schedule, error).message)  # doctest: +NORMALIZE_WHITESPACE
    Rank 0 ends without its own values for chunk 0 (so do ranks 1 and 2). They are overwritten at rank 0 itself in
    step 1 by the COPY from rank 1 before rank 0 has sent them to anybody. A REDUCE would have added to them.
    """
    if error.rank is None or error.chunk is None:
        return Diagnosis(str(error), error.rank, error.chunk, error.step)
    promised = schedule.collective if collective is None else collective
    tracer = _Tracer(schedule, promised, error.chunk, where or (lambda row: ""))
    return tracer.explain(error)


@dataclass
class _Stay:
    """The time that one rank's values are at a place: rows that brought, sent on and overwrote them."""

    rank: int
    came: int | None  # None: they are the rank's own
    sent: list[int] = field(default_factory=list)
    overwritten: int | None = None


class _Tracer:
    """Follows the values of one chunk through a schedule."""

    def __init__(self, schedule: Schedule, collective: Collective, chunk: int, where: Where) -> None:
        self.schedule = schedule
        self.collective = collective
        self.chunk = chunk
        self.where = where
        moved = schedule.transfers & (schedule.chunk <= chunk) & (chunk < schedule.chunk + schedule.count)
        self.rows: list[int] = np.flatnonzero(moved).tolist()
        self.step: list[int] = schedule.step.tolist()
        self.src: list[int] = schedule.src.tolist()
        self.dst: list[int] = schedule.dst.tolist()
        self.carried: dict[int, Held] = {}  # what each row carries
        self.replaced: dict[int, Held] = {}  # what its destination held before it
        self.final = self._replay()

    def _is_copy(self, row: int) -> bool:
        return bool(self.schedule.op[row] == Op.COPY)

    def _replay(self, before: int | None = None) -> list[Held]:
        """Return what each rank holds in the end, or before a step; note what every row carries and replaces."""
        ranks, chunks = self.schedule.ranks, self.schedule.chunks
        state: list[Held] = [
            {rank: (None,)} if self.collective.before(ranks, chunks, rank)[self.chunk] else {} for rank in range(ranks)
        ]
        for step, batch in itertools.groupby(self.rows, key=lambda row: self.step[row]):
            if before is not None and step >= before:
                break
            rows = list(batch)
            for row in rows:
                self.carried[row] = {
                    who: tuple((way, row) for way in ways) for who, ways in state[self.src[row]].items()
                }
            for row in rows:
                here = self.replaced[row] = state[self.dst[row]]
                arriving = self.carried[row]
                if self._is_copy(row):
                    state[self.dst[row]] = arriving
                else:
                    both = {who: (*here.get(who, ()), *arriving.get(who, ()))[:2] for who in {**here, **arriving}}
                    state[self.dst[row]] = both
        return state

    # ---- what `verify` found

    def explain(self, error: VerificationError) -> Diagnosis:
        rank = error.rank
        assert rank is not None
        if error.step is not None:
            return self._in_a_step(rank, error.step) or Diagnosis(str(error), rank, self.chunk, error.step)
        ranks, chunks = self.schedule.ranks, self.schedule.chunks
        place = self.collective.outputs(ranks, chunks, rank).tolist().index(self.chunk)
        promised = set(np.flatnonzero(self.collective.after(ranks, chunks, rank)[place]).tolist())
        held = self.final[rank]
        missing = sorted(promised - set(held))
        twice = sorted(who for who, ways in held.items() if len(ways) > 1 and who in promised)
        unwanted = sorted(set(held) - promised)
        if missing:
            return self._missing(rank, missing)
        if twice:
            return self._twice(rank, twice)
        if unwanted:
            way = self._way_in_words(held[unwanted[0]][0], unwanted[0])
            step = self._last_step(held[unwanted[0]][0])
            message = f"Rank {rank} ends with {self._values(unwanted)}, which do not belong there. They come by {way}."
            return Diagnosis(message, rank, self.chunk, step)
        return Diagnosis(str(error), rank, self.chunk)

    def _in_a_step(self, rank: int, step: int) -> Diagnosis | None:
        """Explain two writes of one place, or a move of what is not there."""
        now = [row for row in self.rows if self.step[row] == step]
        writes = [row for row in now if self.dst[row] == rank]
        message = ""
        if len(writes) > 1 and any(self._is_copy(row) for row in writes):
            copy = next(row for row in writes if self._is_copy(row))
            other = next(row for row in writes if row != copy)
            first, second = sorted((copy, other))
            message = (
                f"In step {step} two moves write chunk {self.chunk} at rank {rank}, and one of them is a COPY: "
                f"{self._move(first)} and {self._move(second)}. Both happen at once, so that only the order in which "
                "they were written would decide what stays: put them into different steps."
            )
        for row in now:
            if not message and self.src[row] == rank and not self.carried[row]:
                message = (
                    f"In step {step} rank {rank} sends chunk {self.chunk} to rank {self.dst[row]}{self.where(row)}, "
                    f"but it has nothing of it then: {self._when_it_comes(rank, step)}."
                )
            if not message and self.dst[row] == rank and not self._is_copy(row) and not self.replaced[row]:
                message = (
                    f"In step {step} rank {rank} is to add chunk {self.chunk} from rank {self.src[row]} to its own"
                    f"{self.where(row)}, but it has nothing of chunk {self.chunk} then, so there is nothing to add to: "
                    "use COPY."
                )
        return Diagnosis(message, rank, self.chunk, step) if message else None

    def _when_it_comes(self, rank: int, step: int) -> str:
        later = [row for row in self.rows if self.dst[row] == rank and self.step[row] >= step and self.carried[row]]
        if not later:
            holders = [other for other, held in enumerate(self._replay(step)) if held]
            return f"it never gets it ({_ranks(holders)} {'have' if len(holders) > 1 else 'has'} it then)"
        row = later[0]
        if self.step[row] == step:
            return (
                f"it gets it in that same step (from rank {self.src[row]}{self.where(row)}), and all moves of a step "
                "read what was there before the step"
            )
        return f"it gets it only in step {self.step[row]}, from rank {self.src[row]}{self.where(row)}"

    # ---- values that are missing

    def _missing(self, rank: int, missing: list[int]) -> Diagnosis:
        best = min((self._reason(rank, who) for who in missing), key=lambda reason: reason.rating)
        # Values that stopped at the same place for the same cause are told about together.
        same = [who for who in missing if self._reason(rank, who).cause == best.cause]
        reason = self._reason_of_several(rank, same) if len(same) > 1 else best
        also = [
            other
            for other in range(self.schedule.ranks)
            if other != rank and all(self._is_promised(other, who) and who not in self.final[other] for who in same)
        ]
        more = len(missing) - len(same)
        remarks = [f"so {'do' if len(also) > 1 else 'does'} {_ranks(also)}"] if also else []
        others = f"{more} other ranks" if more > 1 else "another rank"
        remarks += [f"the values of {others} are missing too"] if more else []
        aside = f" ({'; '.join(remarks)})" if remarks else ""
        lacks = f"its own values for chunk {self.chunk}" if same == [rank] else self._values(same)
        odd, step = self._odd_one_out()
        steps = [number for number in (reason.step, step) if number is not None]
        message = f"Rank {rank} ends without {lacks}{aside}. {reason.text}{odd}"
        return Diagnosis(message, rank, self.chunk, min(steps, default=None))

    def _is_promised(self, rank: int, who: int) -> bool:
        outputs = self.collective.outputs(self.schedule.ranks, self.schedule.chunks, rank).tolist()
        if self.chunk not in outputs:
            return False
        promised = self.collective.after(self.schedule.ranks, self.schedule.chunks, rank)
        return bool(promised[outputs.index(self.chunk), who])

    def _reason(self, rank: int, who: int, before: int | None = None, depth: int = 0) -> _Reason:
        """Say why `rank` does not hold the values of `who`, looking at the steps before `before` only."""
        stays = self._stays(who, before)
        if not self.rows:
            return self._never_moved()
        # Where values stopped: they came there and nobody took them further.
        ends = [stay for stay in stays if not stay.sent]
        lost = sorted((end for end in ends if end.overwritten is not None), key=lambda end: end.overwritten or 0)
        kept = [end for end in ends if end.overwritten is None]
        here = [stay for stay in stays if stay.rank == rank]
        if here and here[-1].sent and here[-1].overwritten is not None:
            return self._overwritten_by_one_without(rank, who, here[-1].overwritten, depth)
        if lost and not kept:
            return self._stopped([who], lost[:1], before)
        early = self._sent_too_early(rank, who, before)
        if early is not None:
            return early
        if len(kept) == 1 and not lost:
            return self._stopped([who], kept, before)
        copies = [row for row in self._into(rank, before) if self._is_copy(row)]
        if copies and depth < _MOST_REASONS:
            reason = self._reason(self.src[copies[-1]], who, self.step[copies[-1]], depth + 1)
            return replace(
                reason,
                text=f"It takes chunk {self.chunk} over from rank {self.src[copies[-1]]} in step "
                f"{self.step[copies[-1]]}{self.where(copies[-1])}, which does not have them then. {reason.text}",
                rating=3,
            )
        return self._never_brought(rank, who, before)

    def _never_moved(self) -> _Reason:
        others = sorted(set(self.schedule.chunk[self.schedule.transfers].tolist()))
        first = self.schedule.step[self.schedule.transfers].min() if others else 0
        rest = f", though others are, from step {first} on" if others else ": there is no move at all"
        cut = f" (the vectors are cut into {self.schedule.chunks} chunks)" if self.schedule.chunks > 1 else ""
        text = f"Chunk {self.chunk} is never sent by any rank{rest}{cut}."
        return _Reason(text, int(first) if others else None, 0, ("never moved",))

    def _stopped(self, who: list[int], stays: list[_Stay], before: int | None) -> _Reason:
        """Say that values came to a place and were not taken further."""
        end = max(stays, key=lambda stay: -1 if stay.came is None else stay.came)
        rank = end.rank
        own = who == [rank]
        came = None if end.came is None else self.step[end.came]
        if len(who) > 1 and end.came is not None:
            both = "both" if len(who) == 2 else "all"
            text = f"They are {both} at rank {rank} from step {came} on (the last came by {self._move(end.came, rank)})"
        elif end.came is not None:
            text = f"They reach rank {rank} in step {came} by {self._move(end.came, rank)}"
        else:
            text = ""
        if end.overwritten is not None:
            row = end.overwritten
            there = "there " if text else f"at rank {rank} itself "
            text += (
                f"{', and' if len(who) > 1 else ' and' if text else 'They'} are overwritten {there}in step "
                f"{self.step[row]} by {self._move(row, rank)} before rank {rank} has sent them "
                f"{'to anybody' if own else 'on'}."
            )
            brought = sorted(self.carried[row])
            if any(self._is_promised(rank, other) for other in set(range(self.schedule.ranks)) - {*brought, *who}):
                text += f" That COPY carries those of {_ranks(brought)} only."
            if self._should_have_reduced(row):
                text += " A REDUCE would have added to them."
            return _Reason(text, self.step[row], 0, (rank, row))
        sends = [row for row in self.rows if self.src[row] == rank and (before is None or self.step[row] < before)]
        if before is None:
            last_step = self.schedule.steps - 1
            until = f"; the schedule ends with step {last_step}"
        else:
            last_step = before
            until = f" before step {before}"
        if came is None:
            text = f"Rank {rank} never sends {'its own values for ' if own else ''}chunk {self.chunk}{until}"
            return _Reason(f"{text}.", last_step, 0, (rank, "kept"))
        text += f"{', and' if len(who) > 1 else ' and'} go no further: rank {rank} does not send chunk {self.chunk} "
        if sends and self.step[sends[-1]] == came:
            text += (
                f"after that{until}. It sends it to rank {self.dst[sends[-1]]} in the same step {came}"
                f"{self.where(sends[-1])}, but all moves of a step read what was there before the step"
            )
        elif sends:
            text += (
                f"after that (it has done so before, last in step {self.step[sends[-1]]} to rank "
                f"{self.dst[sends[-1]]}{self.where(sends[-1])}){until}"
            )
        else:
            text += f"to anybody{until}"
        return _Reason(f"{text}.", came, 0, (rank, "kept"))

    def _should_have_reduced(self, row: int) -> bool:
        """Say whether a COPY that lost something looks like one that was to add.

        It brings a partial sum without overlap, and its sender has still to get the result. (A COPY from a
        rank that gets nothing more itself spreads what that takes for the result.)
        """
        if set(self.carried[row]) & set(self.replaced[row]) or self._odd_one_out()[0]:
            return False
        sender = self.src[row]
        gets_more = any(self.step[later] > self.step[row] for later in self._into(sender, None))
        return gets_more or not any(self._is_promised(sender, who) for who in self.carried[row])

    def _odd_one_out(self) -> tuple[str, int | None]:
        """Return a sentence and the step if one rank sends or receives nothing where all others do.

        Only where that is the exception: in most steps all ranks send, as round a ring.
        """
        ranks, moved = self.schedule.ranks, self.schedule.transfers
        everyone = np.arange(ranks)
        idle: dict[int, list[tuple[str, int]]] = defaultdict(list)
        full = 0
        for step in range(self.schedule.steps):
            now = moved & (self.schedule.step == step)
            full += len(np.unique(self.schedule.src[now])) == ranks
            for does, ends in (("sends", self.schedule.src[now]), ("receives", self.schedule.dst[now])):
                absent = np.setdiff1d(everyone, ends)
                if len(absent) == 1 and ranks > 2:
                    idle[step].append((does, int(absent[0])))
        if not idle or full <= len(idle):
            return "", None
        step = min(idle)
        parts = [f"rank {rank} {does} nothing" for does, rank in idle[step]]
        return f" In step {step} {' and '.join(parts)}, though all other ranks do.", step

    def _sent_too_early(self, rank: int, who: int, before: int | None) -> _Reason | None:
        """Say that a COPY took the chunk to `rank` before its sender had the values, if one did."""
        reasons = (self._too_early(row, who) for row in self._into(rank, before))
        return next((reason for reason in reasons if reason is not None), None)

    def _too_early(self, row: int, who: int) -> _Reason | None:
        sender, step = self.src[row], self.step[row]
        if not self._is_copy(row) or who in self.carried[row]:
            return None
        got = [later for later in self._into(sender, None) if self.step[later] >= step and who in self.carried[later]]
        if not got:
            return None
        when = (
            f"in that same step {step}, and all moves of a step read what was there before the step"
            if self.step[got[0]] == step
            else f"only in step {self.step[got[0]]}"
        )
        text = (
            f"Rank {sender} sends chunk {self.chunk} to rank {self.dst[row]} in step {step}{self.where(row)}, too "
            f"early: it gets them {when} (by {self._move(got[0], sender)})."
        )
        return _Reason(text, step, 1, ("early", row))

    def _overwritten_by_one_without(self, rank: int, who: int, row: int, depth: int) -> _Reason:
        sender, step = self.src[row], self.step[row]
        text = f"Rank {rank} has them until step {step}, when {self._move(row, rank)} overwrites them"
        early = self._too_early(row, who)
        if early is not None:
            return replace(early, text=f"{text}. {early.text}")
        if depth >= _MOST_REASONS:
            return _Reason(f"{text}.", step, 2, (rank, row))
        reason = self._reason(sender, who, step, depth + 1)
        return replace(reason, text=f"{text}; rank {sender} did not have them then. {reason.text}", rating=2)

    def _never_brought(self, rank: int, who: int, before: int | None) -> _Reason:
        stays = [stay for stay in self._stays(who, before) if stay.overwritten is None]
        holders = sorted(stay.rank for stay in stays)
        latest = max((stay for stay in stays if stay.came is not None), key=lambda stay: stay.came or 0, default=None)
        arriving = self._into(rank, before)
        if arriving:
            last = arriving[-1]
            reached = (
                f"the last that it gets of chunk {self.chunk} is {self._move(last, rank)} in step {self.step[last]}, "
                "which does not carry them"
            )
        else:
            reached = f"no move brings chunk {self.chunk} to it"
        until = f" before step {before}" if before is not None else " in the end"
        verb = "have" if len(holders) > 1 else "has"
        text = f"{_ranks(holders, capital=True)} {verb} them{until}"
        step = None
        if latest is not None and latest.came is not None:
            step = self.step[latest.came]
            text += f" (the last, rank {latest.rank}, from step {step} on)"
        return _Reason(f"{text}, but rank {rank} does not: {reached}.", step, 4, ("never brought", rank))

    def _reason_of_several(self, rank: int, who: list[int]) -> _Reason:
        """Give the reason that several contributors share, once."""
        reasons = [self._reason(rank, each) for each in who]
        if reasons[0].rating == 0 and self.rows:
            ends = [
                stay
                for each in who
                for stay in self._stays(each, None)
                if not stay.sent and stay.rank == reasons[0].cause[0]
            ]
            return self._stopped(who, ends, None)
        return reasons[0]

    def _into(self, rank: int, before: int | None) -> list[int]:
        return [row for row in self.rows if self.dst[row] == rank and (before is None or self.step[row] < before)]

    def _stays(self, who: int, before: int | None) -> list[_Stay]:
        """Return every stay of the values of `who` at a rank, in the steps before `before`."""
        stays: list[_Stay] = []
        there: dict[int, _Stay] = {}
        if self.collective.before(self.schedule.ranks, self.schedule.chunks, who)[self.chunk]:
            stays.append(_Stay(who, None))
            there[who] = stays[0]
        for step, batch in itertools.groupby(self.rows, key=lambda row: self.step[row]):
            if before is not None and step >= before:
                break
            rows = list(batch)
            for row in rows:
                if who in self.carried[row]:
                    there[self.src[row]].sent.append(row)
            for row in rows:
                rank = self.dst[row]
                if who in self.carried[row]:
                    if rank not in there:
                        there[rank] = _Stay(rank, row)
                        stays.append(there[rank])
                elif self._is_copy(row) and rank in there:
                    there.pop(rank).overwritten = row
        return stays

    # ---- values that are counted twice

    def _twice(self, rank: int, twice: list[int]) -> Diagnosis:
        who = twice[0]
        ways = [self._hops(way) for way in self.final[rank][who]]
        # The two ways are one from the place on where they met.
        while ways[0] and ways[1] and ways[0][-1] == ways[1][-1]:
            for way in ways:
                way.pop()
        first, second = sorted(ways, key=lambda way: way[-1] if way else -1)
        met = self.dst[second[-1]]
        row = second[-1]
        lacks = f"its own values for chunk {self.chunk}" if twice == [rank] else self._values(twice)
        several = len(twice) > 1
        if not first:
            them = f"Those of rank {who}" if several else "They"
            text = (
                f"{them} come back to rank {met}, which has them from the start, in step {self.step[row]} by "
                f"{self._move(row, met)}: {self._route(second, who)}."
            )
        elif [self._ends(hop) for hop in first] == [self._ends(hop) for hop in second]:
            op = Op(int(self.schedule.op[row])).name
            lines = [self.where(way[-1]) for way in (first, second)]
            places = lines[0] if lines[0] == lines[1] else "".join(lines)
            text = (
                f"In step {self.step[row]} chunk {self.chunk} goes from rank {self.src[row]} to rank {self.dst[row]} "
                f"twice, each time by {op}{places}."
            )
        else:
            them = f"Those of rank {who}" if several else "They"
            text = (
                f"{them} come together at rank {met}: once by {self._route(first, who)}, and again by "
                f"{self._route(second, who)}. The second time is in step {self.step[row]}, by {self._move(row, met)}."
            )
        text = f"Rank {rank} counts {lacks} twice. {text}"
        arriving, here = set(self.carried[row]), set(self.replaced[row])
        if here <= arriving and len(arriving) > 1:
            everything = len(arriving) == self.schedule.ranks
            text += (
                f" What arrives by it is {'already the complete sum' if everything else 'a sum that contains all'}"
                f"{'' if everything else ' that is there'}: a COPY would put it in the place of what is there."
            )
        return Diagnosis(text, rank, self.chunk, self.step[row])

    # ---- words

    def _values(self, who: Sequence[int]) -> str:
        whose = f"rank {who[0]}'s values" if len(who) == 1 else f"the values of {_ranks(who)}"
        return f"{whose} for chunk {self.chunk}"

    def _move(self, row: int, to: int | None = None) -> str:
        op = Op(int(self.schedule.op[row])).name
        target = "" if to is not None else f" to rank {self.dst[row]}"
        return f"the {op} from rank {self.src[row]}{target}{self.where(row)}"

    def _ends(self, row: int) -> tuple[int, int, int]:
        return self.step[row], self.src[row], self.dst[row]

    def _hops(self, way: Way | None) -> list[int]:
        rows = []
        while way is not None:
            way, row = way
            rows.append(row)
        return rows[::-1]

    def _last_step(self, way: Way | None) -> int | None:
        rows = self._hops(way)
        return self.step[rows[-1]] if rows else None

    def _way_in_words(self, way: Way | None, who: int) -> str:
        return self._route(self._hops(way), who)

    def _route(self, rows: list[int], who: int) -> str:
        hops = [f"rank {self.dst[row]} (step {self.step[row]})" for row in rows]
        if len(hops) > _MOST_HOPS:
            left_out = len(hops) - _MOST_HOPS + 1
            hops = [*hops[:2], f"... {left_out} more ...", *hops[-(_MOST_HOPS - 3) :]]
        return " -> ".join([f"rank {who}", *hops])


@dataclass(frozen=True)
class _Reason:
    """Why values are missing: a sentence, the step where it goes wrong, how sure (0 best), and what it rests on."""

    text: str
    step: int | None
    rating: int
    cause: tuple[int | str, ...]


def _ranks(ranks: Sequence[int], *, capital: bool = False) -> str:
    """Return ``rank 3``, ``ranks 1 and 2``, or ``ranks 0, 1, ..., 7 and 5 more``."""
    word = f"{'R' if capital else 'r'}ank{'s' if len(ranks) != 1 else ''}"
    if not ranks:
        return f"{'N' if capital else 'n'}o rank"
    named = [str(rank) for rank in ranks[:_MOST_NAMED]]
    if len(ranks) > _MOST_NAMED:
        return f"{word} {', '.join(named)} and {len(ranks) - _MOST_NAMED} more"
    return f"{word} {' and '.join([', '.join(named[:-1]), named[-1]] if len(named) > 1 else named)}"


def diagnose_table(schedule: Schedule, where: Where | None = None) -> Diagnosis | None:
    """Explain what is wrong with a table of moves that `Schedule` refuses, or return None if nothing is known.

    Parameters
    ----------
    schedule : Schedule
        The columns; not one that was accepted, but the half-made object that refused them.
    where : callable, optional
        As for `diagnose`.

    Returns
    -------
    Diagnosis or None
        A rank or chunk that does not exist, a message to oneself, or moves that wait for each other.
    """
    at = where or (lambda row: "")
    ranks, chunks = schedule.ranks, schedule.chunks
    transfers = schedule.transfers
    last = schedule.chunk.astype(np.int64) + schedule.count - 1

    def first(wrong: Iterable[bool]) -> int | None:
        return next((row for row, is_wrong in enumerate(wrong) if is_wrong), None)

    def found(row: int, rank: int, chunk: int, text: str) -> Diagnosis:
        step = int(schedule.step[row])
        return Diagnosis(f"In step {step} {text}.", rank, chunk, step)

    there = "there is only rank 0" if ranks == 1 else f"the ranks are 0..{ranks - 1}"
    for row in range(len(schedule)):
        src, dst, chunk = int(schedule.src[row]), int(schedule.dst[row]), int(schedule.chunk[row])
        if not transfers[row]:
            continue
        line = at(row)
        if not 0 <= src < ranks:
            return found(row, src, chunk, f"rank {src} sends chunk {chunk}{line}, but {src} is no rank: {there}")
        if not 0 <= dst < ranks:
            text = f"rank {src} sends chunk {chunk} to rank {dst}{line}, which does not exist: {there}"
            return found(row, src, chunk, text)
        if src == dst:
            text = f"rank {src} sends chunk {chunk} to itself{line}: leave that move out"
            return found(row, src, chunk, text)
        if chunk < 0 or last[row] >= chunks:
            wrong = chunk if not 0 <= chunk < chunks else int(last[row])
            exist = "there is only chunk 0" if chunks == 1 else f"the chunks are 0..{chunks - 1}"
            text = f"rank {src} sends chunk {wrong} to rank {dst}{line}, which does not exist: {exist}"
            return found(row, src, wrong, text)
        if int(schedule.step[row]) < 0:
            return found(row, src, chunk, f"rank {src} sends chunk {chunk}{line}, but steps are counted from 0")
    forward = first(bool(pair[1] >= pair[0]) for pair in schedule.after.tolist())
    if forward is None:
        return None
    row, other = schedule.after[forward].tolist()
    return explain_waiting(schedule, row, other, at) if max(row, other) < len(schedule) else None


def explain_waiting(schedule: Schedule, row: int, other: int, where: Where | None = None) -> Diagnosis:
    """Explain a row that waits for one that does not stand before it: a deadlock, or a step too early.

    Parameters
    ----------
    schedule : Schedule
        The table.
    row, other : int
        The row, and the one that it waits for by `after`.
    where : callable, optional
        As for `diagnose`.

    Returns
    -------
    Diagnosis
        The circle of moves that wait for each other, if there is one.
    """
    at = where or (lambda row: "")

    def move(number: int) -> str:
        op = Op(int(schedule.op[number])).name
        return (
            f"the {op} of chunk {schedule.chunk[number]} from rank {schedule.src[number]} to rank "
            f"{schedule.dst[number]} in step {schedule.step[number]}{at(number)}"
        )

    rank, chunk, step = int(schedule.src[row]), int(schedule.chunk[row]), int(schedule.step[row])
    if row == other:
        return Diagnosis(f"Deadlock: {move(row)} waits (after=) for itself.", rank, chunk, step)
    circle = _circle(schedule, row, other)
    if not circle:
        text = (
            f"{_capital(move(row))} waits (after=) for {move(other)}, which comes later in the table. That is no "
            "circle, but a move can only wait for moves before it: give it a later step."
        )
        return Diagnosis(text, rank, chunk, step)
    links = [f"{_capital(move(row))} waits (after=) for {move(circle[0][0])}"]
    for _, (following, why) in itertools.pairwise(circle):
        reason = "after=" if why is None else f"rank {why} must finish step {schedule.step[following]} first"
        what = move(following) if following != row else "the first"
        links.append(f"which waits for {what} ({reason})")
    text = f"Deadlock: {', '.join(links)}. They wait for each other in a circle, so none of them can ever start."
    return Diagnosis(text, rank, chunk, step)


def _circle(schedule: Schedule, row: int, other: int) -> list[tuple[int, int | None]]:
    """Return how `other` waits for `row` in turn: rows, each with why it is waited for (a rank's steps, or `after`)."""
    after: dict[int, list[int]] = defaultdict(list)
    for waiting, awaited in schedule.after.tolist():
        after[waiting].append(awaited)
    of_rank: dict[int, list[int]] = defaultdict(list)
    for number, ends in enumerate(zip(schedule.src.tolist(), schedule.dst.tolist(), strict=True)):
        for rank in set(ends):
            of_rank[rank].append(number)
    came: dict[int, tuple[int, int | None]] = {}
    queue = deque([other])
    seen = {other}
    while queue and row not in seen:
        here = queue.popleft()
        waits: list[tuple[int, int | None]] = [(number, None) for number in after[here]]
        for rank in {int(schedule.src[here]), int(schedule.dst[here])}:
            waits += [(number, rank) for number in of_rank[rank] if schedule.step[number] < schedule.step[here]]
        for number, why in waits:
            if number not in seen:
                seen.add(number)
                came[number] = (here, why)
                queue.append(number)
    if row not in seen:
        return []
    chain: list[tuple[int, int | None]] = []
    number = row
    while number != other:
        before, why = came[number]
        chain.append((number, why))
        number = before
    return [(other, None), *chain[::-1]]


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
