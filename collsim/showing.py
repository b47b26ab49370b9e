"""A schedule step by step, as text: who sends what to whom, and what every rank then holds.

Text is made as lines of pieces with a style each, so that the command line can colour it; without colour
nothing is lost. What there is to show comes from `collsim.contents`.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from collsim.catalog import ALGORITHMS
from collsim.contents import Contents, History, Move, Piece, State, Step, history, rank_name, values_by_step
from collsim.diagnosis import diagnose
from collsim.errors import InputError, VerificationError
from collsim.replay import verify
from collsim.results import Result
from collsim.schedule import Op, Schedule, need_schedule
from collsim.testing import spell
from collsim.units import format_size, format_time, parse_count

WIDTH = 80
_INDENT = "  "
_MOST_NUMBERS = 4  # of a chunk that are written out
_DRAWN_UP_TO = 9
_MOST_WRITTEN_OUT = 8  # terms of the sum in the last line


class Span(NamedTuple):
    """A piece of a line.

    Attributes
    ----------
    text : str
        What is written.
    style : str
        What it means: ``title``, ``changed``, ``done``, ``wrong``, ``faint``, or empty.
    """

    text: str
    style: str = ""


Line = tuple[Span, ...]
Selection = int | str | Iterable[int] | None


def show_text(
    what: Schedule | Result,
    *,
    values: ArrayLike | None = None,
    steps: Selection = None,
    ranks: Selection = None,
    width: int = WIDTH,
) -> str:
    """Return a schedule step by step: who sends what to whom, and what every rank then holds.

    Parameters
    ----------
    what : Schedule or Result
        What to show; a simulated run is shown with the time of every step.
    values : array_like, shape (ranks, elements), optional
        Real numbers, one vector a rank as `execute` takes them, to be shown as they are summed. Default:
        contributions, as ``a+b`` for the sum of the values of ranks 0 and 1. `small_values` makes some.
    steps, ranks : int, str or iterable of int, optional
        Those to show: ``2``, ``"0,2..4"`` or ``[0, 2]``; default all.
    width : int
        Columns to fit into.

    Returns
    -------
    str
        Lines; the last says whether the schedule does what its collective promises, as `verify` proves it.

    Raises
    ------
    InputError
        If there is no such step or rank, or the values do not fit the schedule.

    Examples
    --------
    >>> import collsim as cs
    >>> print(cs.show_text(cs.make_schedule("all_reduce", "ring", ranks=3), steps=1))
    all_reduce by ring, 3 ranks
      all_reduce: every rank ends with the reduction of all ranks' vectors
      ring: reduce-scatter round a ring, then all-gather
    <BLANKLINE>
    Ranks are the workers; their vectors are cut into 3 chunks. a, b, c are what
    ranks 0, 1, 2 bring, a+b is the sum of the two. * marks what a step has changed.
    <BLANKLINE>
    after step 0
              chunk 0  chunk 1  chunk 2
      rank 0  a        a        a+c
      rank 1  a+b      b        b
      rank 2  c        b+c      c
    <BLANKLINE>
    step 1
      rank 0 sends chunk 2 (a+c) to rank 1, which adds it to b
      rank 1 sends chunk 0 (a+b) to rank 2, which adds it to c
      rank 2 sends chunk 1 (b+c) to rank 0, which adds it to a
              chunk 0  chunk 1  chunk 2
      rank 0  a       *a+b+c    a+c
      rank 1  a+b      b       *a+b+c
      rank 2 *a+b+c    b+c      c
    <BLANKLINE>
    Every rank ends with a+b+c in every chunk: verified.
    """
    return "\n".join(
        "".join(span.text for span in line).rstrip()
        for line in show_lines(what, values=values, steps=steps, ranks=ranks, width=width)
    )


def show_lines(
    what: Schedule | Result,
    *,
    values: ArrayLike | None = None,
    steps: Selection = None,
    ranks: Selection = None,
    width: int = WIDTH,
    remark: str = "",
) -> Iterator[Line]:
    """Yield the lines of `show_text` as spans with a style each.

    Parameters
    ----------
    what, values, steps, ranks, width
        As for `show_text`.
    remark : str
        What to say of the values: where they come from.

    Examples
    --------
    >>> import collsim as cs
    >>> lines = list(show_lines(cs.make_schedule("all_reduce", "ring", ranks=2), steps=0))
    >>> [span for line in lines for span in line if span.style == "changed"]
    [Span(text='*a+b', style='changed'), Span(text='*a+b', style='changed')]
    """
    result = what if isinstance(what, Result) else None
    schedule = what.schedule if isinstance(what, Result) else what
    need_schedule(schedule, "show_text")
    return _Page(schedule, result, values, steps, ranks, parse_count(width, "width", minimum=40), remark).lines()


def small_values(schedule: Schedule, seed: int = 0) -> NDArray[np.int64]:
    """Return small numbers to look at: whole ones from 1 to 9, where possible one a chunk.

    Parameters
    ----------
    schedule : Schedule
        What they are for.
    seed : int
        What they are drawn from.

    Returns
    -------
    ndarray of int64, shape (ranks, elements)
        One vector a rank.

    Raises
    ------
    InputError
        If the collective moves no data.

    Examples
    --------
    >>> import collsim as cs
    >>> small_values(cs.make_schedule("all_reduce", "ring", ranks=3)).tolist()
    [[8, 6, 5], [3, 3, 1], [1, 1, 2]]
    """
    drawn = np.random.default_rng(parse_count(seed, "seed", minimum=0))
    return drawn.integers(1, _DRAWN_UP_TO + 1, (schedule.ranks, _elements(schedule)))


def _elements(schedule: Schedule) -> int:
    """Return the least length of vectors that leaves no chunk empty, or that the collective asks for."""
    collective, ranks, chunks = schedule.collective, schedule.ranks, schedule.chunks
    if "counts" in collective.options:
        return int(np.max(np.sum(collective.options["counts"], axis=-1)))
    if not collective.shares(ranks, chunks).any():
        raise InputError(f"{collective.name} moves no data: it has no values to show")
    for elements in range(1, chunks * chunks + 1):
        try:
            sizes = collective.cut(ranks, chunks, elements)
        except InputError:  # groups: not divisible
            continue
        if (sizes > 0).all():
            return elements
    raise InputError(f"{collective.name} has chunks without data: give values of your own")


def select(wanted: Selection, what: str, count: int) -> list[int]:
    """Return the numbers that somebody wants to see, ascending.

    Parameters
    ----------
    wanted : int, str or iterable of int
        ``2``, ``"1..3"``, ``"0,2..4"`` or ``[0, 2]``; None for all.
    what : str
        What they number, for messages.
    count : int
        How many there are: they are numbered from 0.

    Raises
    ------
    InputError
        If it is nothing of the kind, or there is no such number.

    Examples
    --------
    >>> select("0,2..4", "step", 6)
    [0, 2, 3, 4]
    """
    if wanted is None:
        return list(range(count))
    numbers: set[int] = set()
    parts: list[Any] = wanted.split(",") if isinstance(wanted, str) else _listed(wanted, what)
    for part in parts:
        ends = re.fullmatch(r"\s*(\d+)\s*\.\.\s*(\d+)\s*", part) if isinstance(part, str) else None
        if isinstance(part, str) and ends is None and not part.strip().isdecimal():
            raise InputError(f"{what} must be numbers or ranges, such as 2, 1..3 or 0,2..4, got {wanted!r}")
        first = parse_count(ends[1] if ends else part, what, minimum=0)
        last = parse_count(ends[2] if ends else part, what, minimum=0)
        if last < first:
            raise InputError(f"{what} {part.strip()!r} is no range: it must ascend, as {last}..{first} does")
        if last >= count:
            there = f"there are 0..{count - 1}" if count else "there is none"
            raise InputError(f"there is no {what} {last} ({there})")
        numbers.update(range(first, last + 1))
    if not numbers:
        raise InputError(f"{what} names nothing; leave it out for all")
    return sorted(numbers)


def _listed(wanted: Any, what: str) -> list[Any]:
    if isinstance(wanted, Iterable):
        return list(wanted)
    return [parse_count(wanted, what, minimum=0)]


class _Group(NamedTuple):
    """Messages of one step that one rank sends alike: the same chunks, to several ranks."""

    op: Op
    src: int
    targets: list[int]
    pieces: tuple[Piece, ...]
    before: set[str]  # what the receivers have of these chunks, as text


class _Page:
    """One schedule with all that decides how it is shown."""

    def __init__(
        self,
        schedule: Schedule,
        result: Result | None,
        values: ArrayLike | None,
        steps: Selection,
        ranks: Selection,
        width: int,
        remark: str,
    ) -> None:
        self.schedule = schedule
        self.result = result
        self.width = width
        self.remark = remark
        self.all_steps = steps is None
        self.steps = select(steps, "step", schedule.steps)
        self.ranks = select(ranks, "rank", schedule.ranks)
        self.all_ranks = len(self.ranks) == schedule.ranks
        self.numbers = None if values is None else list(values_by_step(schedule, values))
        self.history: History = history(schedule)
        self._states = [self.history.start, *(step.after for step in self.history)]
        self.fault = _fault(schedule)
        # In all_to_all a chunk is what one rank has for another, and each rank sees few of them.
        self.by_name = schedule.collective.name.startswith("all_to_all") and schedule.chunks == schedule.ranks**2
        self.layout: _Layout = _Named(self) if self.by_name else _Grid(self)

    # ---- what stands in a place

    def state(self, step: int) -> State:
        """Return the contents after a step, or before the first (-1)."""
        return self._states[step + 1]

    def text(self, step: int, rank: int, chunk: int, short: bool = False) -> str:
        """Return what a rank holds after a step, in words; empty if nothing."""
        held = self.state(step)[rank][chunk]
        return self.said(held, step, rank, chunk, short)

    def said(self, held: Contents, step: int, rank: int, chunk: int, short: bool = False) -> str:
        """Return contents that are at a place after a step as they are shown: as a sum or as numbers."""
        if not held:
            return ""
        if self.numbers is None:
            return held.short if short else str(held)
        return _numbers(self.numbers[step + 1][rank][chunk])

    def is_wrong(self, step: int, rank: int, chunk: int) -> bool:
        """Return whether something is counted twice, or is not what it must be in the end."""
        held = self.state(step)[rank][chunk]
        if self.fault is None:
            return False  # something may be counted twice for a while, and be overwritten
        if not held.once:
            return True
        wanted = self.history.promised[rank][chunk]
        return step == self.schedule.steps - 1 and bool(wanted) and held != wanted

    def style(self, step: int, rank: int, chunk: int, changed: bool) -> str:
        """Return the style of a place."""
        held, wanted = self.state(step)[rank][chunk], self.history.promised[rank][chunk]
        if self.is_wrong(step, rank, chunk):
            return "wrong"
        if changed:
            return "changed"
        return "faint" if not held else "done" if held == wanted else ""

    # ---- the page

    def lines(self) -> Iterator[Line]:
        yield from self._title()
        before = self.steps[0] - 1 if self.steps else -1
        yield ()
        yield (Span("at the start" if before < 0 else f"after step {before}", "title"),)
        yield from self.layout.lines(before, frozenset())
        for number in self.steps:
            if number - 1 > before:
                yield ()
                yield (Span(f"after step {number - 1}", "title"),)
                yield from self.layout.lines(number - 1, frozenset())
            before = number
            yield ()
            yield from self._step(self.history[number])
        yield ()
        yield from self._verdict()

    def _title(self) -> Iterator[Line]:
        schedule, result = self.schedule, self.result
        collective, algorithm = schedule.collective, schedule.algorithm
        yield (Span(f"{collective.name} by {algorithm}, {_many(schedule.ranks, 'rank')}", "title"),)
        yield from self._paragraph(f"{collective.name}: {collective.summary}", indent=_INDENT)
        known = ALGORITHMS.get((collective.name, algorithm))
        if known is not None and known.summary:
            yield from self._paragraph(f"{algorithm}: {known.summary}", indent=_INDENT)
        yield ()
        yield from self._paragraph(" ".join(self._legend()))
        if result is not None:
            where = f"on {result.topology}" if result.topology else "without a topology"
            yield from self._paragraph(
                f"Times: {format_size(result.nbytes)} {where} (model {result.model}, ordering {result.ordering}) take "
                f"{format_time(result.time)} in all."
            )

    def _legend(self) -> Iterator[str]:
        schedule, layout = self.schedule, self.layout
        other = min(1, schedule.ranks - 1)
        if self.by_name:
            yield (
                f"Ranks are the workers. Each has a part for every rank: {layout.chunk_name(other)} is what rank 0 has "
                f"for rank {other}, {layout.chunk_name(other * schedule.ranks)} what rank {other} has for rank 0."
            )
        else:
            cut = f"; their vectors are cut into {schedule.chunks} chunks" if schedule.chunks > 1 else ""
            yield f"Ranks are the workers{cut}."
            if self.numbers is None:
                sums = any(len(held.ranks) > 1 for row in self.history.end for held in row)
                heard = schedule.collective.at_least_once
                example = "that both have" if heard else "is the sum of the two"
                bring = sorted({rank for row in self.history.start for held in row for rank in held.ranks})
                yield f"{_letters(bring, heard)}{f', a+b {example}' if sums else ''}."
            if layout.is_short:
                yield "a..d stands for a+b+c+d."
            if layout.in_parts:
                yield "Of so many chunks a step shows those only that it changes."
        if self.remark:
            yield self.remark
        marks = ["* marks what a step has changed"]
        if layout.has_empty:
            marks.append("- a place of which a rank has nothing")
        if self.fault is not None:
            marks.append("! what is wrong")
        yield ", ".join(marks) + "."

    def _step(self, step: Step) -> Iterator[Line]:
        title = f"step {step.number}"
        rows = [move.row for move in step.moves]
        if self.result is not None and rows:
            timeline = self.result.timeline
            title += f": {format_time(timeline.start[rows].min())} to {format_time(timeline.finish[rows].max())}"
        yield (Span(title, "title"),)
        said = False
        for sentence in self._sentences(step):
            yield from self._paragraph(sentence, indent=_INDENT)
            said = True
        if not said:
            nobody = "nothing moves" if not step.moves else f"{_these('rank', self.ranks)} sends and receives nothing"
            yield (Span(f"{_INDENT}({nobody})", "faint"),)
        if self.fault is not None and self.fault.step == step.number:
            yield from self._paragraph(f"! Here it goes wrong: {self.fault.message}", "wrong", _INDENT)
        yield from self.layout.lines(step.number, step.written)

    def _verdict(self) -> Iterator[Line]:
        schedule = self.schedule
        if self.fault is not None:
            told = self.fault.step in self.steps
            why = f"Step {self.fault.step} says how that came." if told else self.fault.message
            yield from self._paragraph(f"Wrong: {self.fault.error}. {why}", "wrong")
            return
        sentence = self._outcome()
        if sentence is None:
            yield (Span("what each rank must end with", "title"),)
            yield from self.layout.promised_lines()
            how = "" if schedule.collective.at_least_once else ", every contribution counted once"
            sentence = f"Every rank ends with what it must{how}"
        yield from self._paragraph(f"{sentence}: verified.", "done")

    def _outcome(self) -> str | None:
        """Return how it ends in one sentence; None if ranks end with different things."""
        promised = self.history.promised
        with_any = [rank for rank, row in enumerate(promised) if any(row)]
        kinds = {held for rank in with_any for held in promised[rank]}
        if self.by_name or len(kinds) != 1 or not with_any:
            return None
        (held,) = kinds
        everyone = len(with_any) == self.schedule.ranks
        who = "Every rank" if everyone and len(with_any) > 1 else f"Rank{'s' if len(with_any) > 1 else ''} "
        verb = "ends with" if everyone or len(with_any) == 1 else "end with"
        if not who.endswith("rank"):
            who += spell(with_any)
        sum_of = held.short if len(held.ranks) > _MOST_WRITTEN_OUT else str(held)
        if self.schedule.collective.at_least_once:
            return f"{who} {'has' if verb == 'ends with' else 'have'} heard from {sum_of}"
        where = " in every chunk" if self.schedule.chunks > 1 else ""
        if self.numbers is None:
            return f"{who} {verb} {sum_of}{where}"
        last = len(self.history) - 1
        numbers = ", ".join(self.said(held, last, with_any[0], chunk) for chunk in range(self.schedule.chunks))
        whose = "all ranks" if len(held.ranks) == self.schedule.ranks else _these("rank", held.ranks)
        return f"{who} {verb} {numbers} (what {whose} brought{', added up' if len(held.ranks) > 1 else ''})"

    # ---- the moves of a step

    def _sentences(self, step: Step) -> Iterator[str]:
        for group in self._groups(step):
            yield self._sentence(step, group)
        for move in step.moves:
            if move.op == Op.COMPUTE and move.src in self.ranks:
                on = f" on {_these('chunk', range(move.chunk, move.chunk + move.count))}" if move.count else ""
                yield f"rank {move.src} computes for {format_time(move.seconds)}{on}"

    def _groups(self, step: Step) -> Iterable[_Group]:
        """Return what is sent, the same from one rank to several in one entry."""
        messages: dict[tuple[int, Op], list[Move]] = {}
        for move in step.moves:
            if move.op != Op.COMPUTE and (self.all_ranks or move.src in self.ranks or move.dst in self.ranks):
                messages.setdefault((move.message, move.op), []).append(move)
        writers: dict[tuple[int, int], int] = {}
        for move in step.moves:
            for piece in move.pieces:
                writers[move.dst, piece.chunk] = writers.get((move.dst, piece.chunk), 0) + 1
        groups: dict[Any, _Group] = {}
        for (_, op), moves in messages.items():
            pieces = tuple(piece for move in moves for piece in move.pieces)
            src, dst = moves[0].src, moves[0].dst
            key = (op, src, tuple((piece.chunk, piece.carried) for piece in pieces))
            group = groups.setdefault(key, _Group(op, src, [], pieces, set()))
            group.targets.append(dst)
            for piece in pieces:
                # What is there between two rows of a step is known as a sum, but not as numbers.
                known = self.numbers is None or writers[dst, piece.chunk] == 1
                said = self.said(piece.before, step.number - 1, dst, piece.chunk, self.layout.is_short)
                group.before.add(said if known else "what it has")
        return groups.values()

    def _sentence(self, step: Step, group: _Group) -> str:
        many = len(group.targets) > 1
        several = len(group.pieces) > 1
        it = "them" if several else "it"
        s = "" if many else "s"
        target = f"ranks {spell(sorted(group.targets))}" if many else f"rank {group.targets[0]}"
        own = "their own" if many else "its own"
        there = next(iter(group.before)) if len(group.before) == 1 else own
        if group.op == Op.REDUCE:
            does = f"add{s} {it} to {there or f'nothing (there is none of {it})'}"
        elif not there:
            does = f"store{s} {it}"
        else:
            does = f"put{s} {it} in place of {there}"
        return f"rank {group.src} sends {self._what(step, group)} to {target}, which {does}"

    def _what(self, step: Step, group: _Group) -> str:
        """Return the chunks of a message, and what they consist of."""
        if self.by_name and self.numbers is None:
            return self.layout.names([piece.chunk for piece in group.pieces])
        parts: list[tuple[str, list[int]]] = []
        for piece in group.pieces:
            said = self.said(piece.carried, step.number - 1, group.src, piece.chunk, self.layout.is_short)
            if parts and parts[-1][0] == said:
                parts[-1][1].append(piece.chunk)
            else:
                parts.append((said, [piece.chunk]))
        if self.by_name:
            return ", ".join(f"{self.layout.names(chunks)} ({said})" for said, chunks in parts)
        if self.schedule.chunks == 1:
            return parts[0][0] or "its vector, of which it has nothing,"
        words = []
        for said, chunks in parts:
            each = " each" if len(chunks) > 1 else ""
            words.append(
                f"{_these('chunk', chunks)} ({said}{each})" if said else f"{_these('chunk', chunks)} (nothing)"
            )
        return ", ".join(words)

    def _paragraph(self, text: str, style: str = "", indent: str = "") -> Iterator[Line]:
        for line in textwrap.wrap(
            text,
            self.width,
            initial_indent=indent,
            subsequent_indent=indent + _INDENT if indent else "",
            break_on_hyphens=False,
            break_long_words=False,
        ):
            yield (Span(line, style),)


def _shown_states(page: _Page) -> list[int]:
    """Return the steps after which the state is shown, -1 for the start."""
    return sorted({step - 1 for step in page.steps} | set(page.steps)) or [-1]


class _Layout:
    """How what every rank holds is laid out."""

    is_short = False  # whether sums are written as a..d
    in_parts = False  # whether not all chunks stand beside each other

    def __init__(self, page: _Page) -> None:
        self.page = page
        self.label = max(len(f"rank {rank}") for rank in page.ranks)
        self.has_empty = False

    def chunk_name(self, chunk: int) -> str:
        """Return what a chunk is called."""
        return f"chunk {chunk}"

    def names(self, chunks: Iterable[int]) -> str:
        """Return what several chunks are called."""
        return ", ".join(self.chunk_name(chunk) for chunk in chunks)

    def lines(self, step: int, written: frozenset[tuple[int, int]]) -> Iterator[Line]:
        """Yield what every rank holds after a step that has written some places."""
        raise NotImplementedError

    def promised_lines(self) -> Iterator[Line]:
        """Yield what every rank must hold in the end."""
        raise NotImplementedError


class _Grid(_Layout):
    """A table with a line a rank and a column a chunk, in several parts if it is too wide."""

    def __init__(self, page: _Page) -> None:
        super().__init__(page)
        self.label = max(self.label, len("chunk"))
        states = _shown_states(page)
        chunks = range(page.schedule.chunks)
        self.has_empty = not all(
            page.state(step)[rank][chunk] for step in states for rank in page.ranks for chunk in chunks
        )
        room = page.width - len(_INDENT) - self.label
        for self.is_short, self.long_head, self.gap in _FORMS if page.numbers is None else _FORMS[:3]:
            least = len(self._head(page.schedule.chunks - 1))
            self.widths = [
                max(
                    least,
                    *(len(page.text(step, rank, chunk, self.is_short)) for step in states for rank in page.ranks),
                )
                for chunk in chunks
            ]
            if sum(self.widths) + (self.gap + 1) * len(self.widths) <= room:
                break
        else:
            self.gap = 1  # in several parts there is room for it
        self.room = room
        self.in_parts = len(self._parts(chunks)) > 1

    def _parts(self, chunks: Iterable[int]) -> list[list[int]]:
        """Return chunks in as many parts as are needed to fit into the width."""
        parts: list[list[int]] = [[]]
        used = 0
        for chunk in chunks:
            width = self.widths[chunk] + self.gap + 1
            used += width
            if used > self.room and parts[-1]:
                parts.append([])
                used = width
            parts[-1].append(chunk)
        return parts

    def _head(self, chunk: int) -> str:
        if self.page.schedule.chunks == 1:
            return "holds"
        return f"chunk {chunk}" if self.long_head else str(chunk)

    def lines(self, step: int, written: frozenset[tuple[int, int]]) -> Iterator[Line]:
        page = self.page

        def place(rank: int, chunk: int) -> Span:
            is_new = (rank, chunk) in written
            style = page.style(step, rank, chunk, is_new)
            mark = "!" if style == "wrong" else "*" if is_new else " "
            return Span(f"{mark}{page.text(step, rank, chunk, self.is_short) or '-'}", style)

        changed = sorted({chunk for rank, chunk in written if rank in page.ranks})
        some = self.in_parts and len(changed) > 0
        yield from self._table(changed if some else range(page.schedule.chunks), place)

    def promised_lines(self) -> Iterator[Line]:
        page = self.page
        last = page.schedule.steps - 1

        def place(rank: int, chunk: int) -> Span:
            held = page.history.promised[rank][chunk]
            return Span(f" {page.said(held, last, rank, chunk, self.is_short)}", "done")

        yield from self._table(range(page.schedule.chunks), place)

    def _table(self, chunks: Iterable[int], place: Callable[[int, int], Span]) -> Iterator[Line]:
        gap = " " * self.gap
        for block in self._parts(chunks):
            label = "" if self.long_head else "chunk"
            yield (
                Span(_INDENT + label.ljust(self.label)),
                *(Span(f"{gap} {self._head(chunk):<{self.widths[chunk]}}", "faint") for chunk in block),
            )
            for rank in self.page.ranks:
                line = [Span(f"{_INDENT}{f'rank {rank}':<{self.label}}")]
                for chunk in block:
                    span = place(rank, chunk)
                    line += [Span(gap), span, Span(" " * (self.widths[chunk] + 1 - len(span.text)))]
                yield tuple(line)


# From the most readable to the narrowest: a..d for sums, "chunk 3" over the columns, blanks between them.
_FORMS = tuple((short, head, gap) for short in (False, True) for head, gap in ((True, 1), (False, 1), (False, 0)))


class _Named(_Layout):
    """A line a rank that names the chunks that it has: for all_to_all, where most ranks never see most chunks."""

    def chunk_name(self, chunk: int) -> str:
        src, dst = (rank_name(rank) for rank in divmod(chunk, self.page.schedule.ranks))
        return src + dst if len(src + dst) == 2 else f"{src}>{dst}"

    def lines(self, step: int, written: frozenset[tuple[int, int]]) -> Iterator[Line]:
        page = self.page
        for rank in page.ranks:
            spans = []
            for chunk, held in enumerate(page.state(step)[rank]):
                if held:
                    changed = (rank, chunk) in written
                    style = page.style(step, rank, chunk, changed)
                    mark = "!" if style == "wrong" else "*" if changed else " "
                    spans.append(Span(mark + self._word(step, rank, chunk), style))
            yield from self._wrapped(rank, spans)

    def promised_lines(self) -> Iterator[Line]:
        page = self.page
        last = page.schedule.steps - 1
        for rank in page.ranks:
            words = [chunk for chunk, held in enumerate(page.history.promised[rank]) if held]
            yield from self._wrapped(rank, [Span(" " + self._word(last, rank, chunk), "done") for chunk in words])

    def _word(self, step: int, rank: int, chunk: int) -> str:
        times = self.page.state(step)[rank][chunk].times
        name = f"{times[0] if times and times[0] > 1 else ''}{self.chunk_name(chunk)}"
        return name if self.page.numbers is None else f"{name}={self.page.text(step, rank, chunk)}"

    def _wrapped(self, rank: int, spans: list[Span]) -> Iterator[Line]:
        line = [Span(f"{_INDENT}{f'rank {rank}':<{self.label}} ")]
        used = start = len(line[0].text)
        for span in spans:
            if used + len(span.text) + 1 > self.page.width and used > start:
                yield tuple(line)
                line, used = [Span(" " * start)], start
            line += [Span(" "), span]
            used += len(span.text) + 1
        yield tuple(line)


class _Fault(NamedTuple):
    """What is wrong: what `verify` says, why, and in which step."""

    error: str
    message: str
    step: int | None


def _fault(schedule: Schedule) -> _Fault | None:
    try:
        verify(schedule)
    except VerificationError as error:
        found = diagnose(schedule, error)
        return _Fault(str(error), found.message, found.step)
    return None


def _numbers(part: NDArray[Any]) -> str:
    """Return the elements of a chunk: all if they are few."""
    shown = [f"{value:.6g}" if part.dtype.kind not in "iu" else str(value) for value in part[:_MOST_NUMBERS].tolist()]
    if len(part) > _MOST_NUMBERS:
        shown[-1] = ".."
    return " ".join(shown) or "empty"


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _these(what: str, numbers: Sequence[int]) -> str:
    return f"{what}{'s' if len(numbers) > 1 else ''} {spell(numbers)}"


def _letters(ranks: Sequence[int], heard: bool) -> str:
    """Return which letter stands for which rank: for what it brings, or for its having come to a barrier."""
    names = [rank_name(rank) for rank in ranks]
    if len(ranks) == 1:
        return f"{names[0]} {'says that' if heard else 'is what'} rank {ranks[0]} {'has come' if heard else 'brings'}"
    if len(ranks) > 4 and ranks[-1] - ranks[0] == len(ranks) - 1:
        letters, numbers = f"{names[0]} to {names[-1]}", f"ranks {ranks[0]} to {ranks[-1]}"
    else:
        letters, numbers = ", ".join(names), f"ranks {', '.join(map(str, ranks))}"
    return f"{letters} {'say that' if heard else 'are what'} {numbers} {'have come' if heard else 'bring'}"
