"""The conformance kit: all that the algorithms of the table are held to, run on a function of your own.

For authors, who want to know that an algorithm is right before it goes into the table, and for teachers, who
want to grade one and tell its author what happened. The words for what goes wrong inside a schedule are made in
`collsim.diagnosis`; here a function is called, its schedule proved, executed and simulated.
"""

from __future__ import annotations

import contextlib
import inspect
import linecache
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collsim.algorithms.table import ADMITS, VECTOR_FORMS
from collsim.catalog import get_algorithm
from collsim.collectives import COLLECTIVES, Collective, collective_name, get_collective
from collsim.diagnosis import Diagnosis, diagnose, diagnose_table, explain_waiting
from collsim.engines import ENGINES
from collsim.errors import CollsimError, InputError, MissingDependencyError, SimulationError, VerificationError, unknown
from collsim.formulas import Formula
from collsim.graph import lower
from collsim.models import AlphaBeta
from collsim.replay import execute, verify
from collsim.rounding import SUMMING, summation_depth
from collsim.schedule import Schedule, ScheduleBuilder
from collsim.units import parse_count

DEFAULT_RANKS = (*range(1, 18), 32, 33, 64)

# What a call and a schedule may cost; far more than any algorithm of the table needs for these ranks.
MAX_SECONDS = 10.0
MAX_MOVES = 250_000
# Beyond this many moves a schedule is proved and executed, but simulated by the quick engine only.
_MAX_SIMULATED = 20_000
# Options are varied up to this many ranks.
_MAX_VARIED = 17

_NBYTES, _ALPHA, _BETA, _GAMMA = 4_000_000, 5e-6, 1e-10, 0.05e-9

# The least that the rank which sends most must send, in K and n. All together: every rank's values have to leave
# it, and come in, once in whatever form; all_reduce after Patarasuk and Yuan, JPDC 69(2), 2009.
_LEAST_SENT = {
    "all_reduce": Formula("2*n*(K-1)/K"),
    "reduce_scatter": Formula("n*(K-1)/K"),
    "all_gather": Formula("n*(K-1)/K"),
    "all_to_all": Formula("n*(K-1)/K"),
    "broadcast": Formula("n"),
    "reduce": Formula("n"),
    "gather": Formula("n/K"),
    "scatter": Formula("n*(K-1)/K"),
    "scan": Formula("n"),
    "exscan": Formula("n"),
    "send_recv": Formula("n"),
}


@dataclass(frozen=True)
class Fault:
    """The first thing that is wrong.

    Attributes
    ----------
    kind : str
        One of ``crash``, ``refused ranks``, ``too slow``, ``too large``, ``no schedule``, ``wrong collective``,
        ``not repeatable``, ``bad table``, ``wrong``, ``deadlock``, ``should refuse``, ``internal``.
    message : str
        What happened, in words, on one line.
    ranks : int or None
        K, the number of ranks for which it happened; None if before any call.
    options : mapping
        The options of that call.
    rank, chunk : int or None
        Where the fault shows: the place that ends, or is found, wrong.
    step : int or None
        The step that the message speaks of, as far as one can be named; its cause may be at another rank.
    line : str or None
        The line of the author's file, such as ``"my_algorithm.py, line 12"``, if one stands out.
    """

    kind: str
    message: str
    ranks: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    rank: int | None = None
    step: int | None = None
    chunk: int | None = None
    line: str | None = None


@dataclass(frozen=True)
class Case:
    """What was found for one number of ranks.

    Attributes
    ----------
    ranks, steps, messages, chunks : int
        Of the schedule.
    sent : float
        The most that one rank sends, in vectors.
    least_sent : float or None
        The least that is possible, in vectors; None if that is not known.
    depth : int or None
        Additions on the longest way from a term to a sum; None if nothing is added.
    ranks_agree : bool or None
        Whether all ranks end with the same bits of float32 sums; only for all_reduce.
    simulated : bool
        Whether both engines and the dataflow ordering were run.
    """

    ranks: int
    steps: int
    messages: int
    chunks: int
    sent: float
    least_sent: float | None
    depth: int | None
    ranks_agree: bool | None
    simulated: bool


@dataclass(frozen=True)
class Report:
    """What `examine_algorithm` has found.

    Attributes
    ----------
    algorithm, collective : str
        What was checked, and against what.
    ranks : tuple of int
        The numbers of ranks that were tried.
    right, refused, wrong : tuple of int
        Those for which it is right, for which it refuses as it should, and for which it is wrong. After a fault
        the rest is only proved.
    cases : tuple of Case
        One for each number of ranks up to the fault.
    fault : Fault or None
        The first thing that is wrong.
    advice : str
        What the numbers of ranks have in common for which it is right; empty if nothing.
    """

    algorithm: str
    collective: str
    ranks: tuple[int, ...]
    right: tuple[int, ...]
    refused: tuple[int, ...]
    wrong: tuple[int, ...]
    cases: tuple[Case, ...]
    fault: Fault | None = None
    advice: str = ""

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return self.fault is None

    def explanation(self) -> list[str]:
        """Return what is wrong, one paragraph each; empty if nothing is."""
        fault = self.fault
        if fault is None:
            return []
        per_ranks = fault.kind in _PER_RANKS
        first = f"{self.algorithm} is not a right {self.collective}"
        if per_ranks and self.right:
            first += f": it is right for K = {spell(self.right)} and wrong for K = {spell(self.wrong)}"
        elif per_ranks and len(self.wrong) > 1:
            first += f": it is wrong for every number of ranks that was tried, K = {spell(self.wrong)}"
        with_options = "".join(f", {key}={value}" for key, value in fault.options.items())
        when = "" if fault.ranks is None else f"K = {fault.ranks}{with_options}: "
        return [part for part in (f"{first}.", f"{when}{fault.message}", self.advice) if part]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data, as ``collsim check --json`` prints it."""
        return {
            "algorithm": self.algorithm,
            "collective": self.collective,
            "passed": self.passed,
            "ranks": list(self.ranks),
            "right": list(self.right),
            "refused": list(self.refused),
            "wrong": list(self.wrong),
            "fault": None if self.fault is None else {**asdict(self.fault), "options": dict(self.fault.options)},
            "advice": self.advice,
            "explanation": " ".join(self.explanation()),
            "cases": [asdict(case) for case in self.cases],
        }


# The kinds of fault that may well come for some numbers of ranks and not for others.
_PER_RANKS = ("crash", "refused ranks", "no schedule", "bad table", "wrong", "deadlock")


def check_algorithm(
    f: Callable[..., Schedule],
    collective: str | Collective = "all_reduce",
    ranks: Iterable[int] | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    admits: str = "any",
) -> Report:
    """Hold a function to everything that the algorithms of the table are held to.

    Its schedules are proved, executed on real vectors of several sizes, and simulated by every engine and in
    the dataflow ordering; it must write the same schedule when called again.

    Parameters
    ----------
    f : callable
        ``f(ranks, **options)`` returns a `Schedule`.
    collective : str or Collective
        What it is to carry out. The schedule is held to this one, whatever collective it was written for.
    ranks : iterable of int, optional
        The numbers of ranks to try; default: 1 to 17, 32, 33 and 64.
    options : mapping, optional
        What `f` is called with besides. A `root` is taken modulo the number of ranks. An algorithm that takes
        a root is also tried with the last rank as root; one of a v-form gets counts.
    admits : {"any", "even", "power of two"}
        Which numbers of ranks it is declared to work for. For the others it must raise an `InputError`
        that names the number and says what to use instead.

    Returns
    -------
    Report
        What was shown, if nothing is wrong.

    Raises
    ------
    VerificationError
        If something is wrong: the message says in words what happens first, at which rank, step and chunk.
    InputError
        If `f` cannot be called, or an argument is wrong.

    See Also
    --------
    examine_algorithm : The same, but returns the report in every case.

    Examples
    --------
    >>> import collsim as cs
    >>> def everyone_to_everyone(ranks):
    ...     plan = cs.ScheduleBuilder("all_reduce", ranks)
    ...     for distance in range(1, ranks):
    ...         for rank in range(ranks):
    ...             _ = plan.reduce(step=0, src=rank, dst=(rank + distance) % ranks)
    ...     return plan.build()
    >>> check_algorithm(everyone_to_everyone, ranks=[1, 2, 3, 8]).passed
    True
    """
    report = examine_algorithm(f, collective, ranks, options, admits=admits)
    if report.fault is not None:
        raise VerificationError(
            " ".join(report.explanation()), rank=report.fault.rank, chunk=report.fault.chunk, step=report.fault.step
        )
    return report


def examine_algorithm(
    f: Callable[..., Schedule],
    collective: str | Collective = "all_reduce",
    ranks: Iterable[int] | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    admits: str = "any",
    name: str | None = None,
    max_seconds: float = MAX_SECONDS,
    max_moves: int = MAX_MOVES,
) -> Report:
    """Examine a function as `check_algorithm` does, and return the report whether it is right or wrong.

    Parameters
    ----------
    f, collective, ranks, options, admits
        As for `check_algorithm`.
    name : str, optional
        What to call it; default: the name of the function.
    max_seconds : float
        How long one call may take. Kept on the main thread of a Unix system only.
    max_moves : int
        How many moves, steps and chunks a schedule may have.

    Returns
    -------
    Report
        With ``.passed``, ``.fault`` and ``.explanation()``.

    Raises
    ------
    InputError
        If `f` cannot be called, or an argument is wrong.

    Examples
    --------
    >>> import collsim as cs
    >>> def ring_without_its_last_round(ranks):
    ...     plan = cs.ScheduleBuilder("all_reduce", ranks, chunks=ranks)
    ...     for t in range(2 * ranks - 3):
    ...         for rank in range(ranks):
    ...             move = plan.reduce if t < ranks - 1 else plan.copy
    ...             _ = move(step=t, src=rank, dst=(rank + 1) % ranks, chunk=(rank - t) % ranks)
    ...     return plan.build()
    >>> report = examine_algorithm(ring_without_its_last_round, ranks=[3])
    >>> report.fault.rank, report.fault.chunk
    (0, 2)
    """
    if not callable(f):
        raise InputError(f"an algorithm must be a function (ranks, **options) -> Schedule, got {f!r}")
    promised = collective_name(collective)
    if admits not in ADMITS:
        raise unknown("kind of numbers of ranks", admits, ADMITS)
    counts = _ranks(ranks)
    title = name or str(getattr(f, "__name__", type(f).__name__))
    examiner = _Examiner(f, collective, dict(options or {}), max_seconds, max_moves)
    cases: list[Case] = []
    right: list[int] = []
    refused: list[int] = []
    wrong: list[int] = []
    fault = None
    for count in counts:
        try:
            if not ADMITS[admits](count):
                examiner.must_refuse(count, admits)
                refused.append(count)
                continue
            if fault is None:
                cases.append(examiner.examine(count))
            elif fault.kind in _PER_RANKS:
                examiner.prove(count)
            else:
                break
            right.append(count)
        except _Wrong as found:
            fault = fault or found.fault
            wrong.append(count)
            if found.fault.kind in ("too slow", "too large"):
                break
    advice = _advice(right, wrong, fault) if fault is not None and admits == "any" else ""
    return Report(title, promised, counts, tuple(right), tuple(refused), tuple(wrong), tuple(cases), fault, advice)


def examine_file(
    target: str,
    collective: str | Collective = "all_reduce",
    ranks: Iterable[int] | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    admits: str | None = None,
    max_seconds: float = MAX_SECONDS,
) -> Report:
    """Examine a function of a file, as ``collsim check`` does; a file that cannot be run is a fault too.

    Parameters
    ----------
    target : str
        ``"my_algorithm.py:my_ring"``, or the name of an algorithm of the table.
    collective, ranks, options, max_seconds
        As for `examine_algorithm`.
    admits : str, optional
        As there; default: what the table says, and "any" for a file.

    Returns
    -------
    Report
        As of `examine_algorithm`.

    Raises
    ------
    InputError
        If there is no such file, function or algorithm, or an argument is wrong.

    Examples
    --------
    >>> examine_file("ring", ranks=[1, 2, 3]).passed
    True
    """
    counts = _ranks(ranks)
    if target.endswith(".py"):
        raise InputError(f"{target!r} names a file and no function in it: write '{target}:my_algorithm'")
    try:
        with _deadline(max_seconds):
            found = get_algorithm(collective, target)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        cause = error.__cause__ if isinstance(error, InputError) else error
        if cause is None:
            raise
        line, code = _line_of(cause, None)
        late = f"it had not come to its end after {max_seconds:g} s"
        text = f"The file cannot be run: {late if isinstance(cause, _TooLong) else _raised(cause)}{_in(line, code)}."
        return Report(target, collective_name(collective), counts, (), (), (), (), Fault("crash", text, line=line))
    return examine_algorithm(
        found.build,
        collective,
        counts,
        options,
        admits=found.admits if admits is None else admits,
        name=target,
        max_seconds=max_seconds,
    )


def _ranks(ranks: Iterable[int] | None) -> tuple[int, ...]:
    counts = tuple(sorted({parse_count(count, "ranks") for count in (DEFAULT_RANKS if ranks is None else ranks)}))
    if not counts:
        raise InputError("there must be at least one number of ranks to try")
    return counts


def _advice(right: Sequence[int], wrong: Sequence[int], fault: Fault) -> str:
    """Return what the numbers of ranks have in common for which a function is right."""
    if fault.kind not in _PER_RANKS or not right or not wrong:
        return ""
    if list(wrong) == [1]:
        return "One rank has nothing to do: return a schedule without moves for it."
    if sum(count > 1 for count in right) < 2:
        return ""
    for kind, (plural, one) in _KINDS.items():
        if all(ADMITS[kind](count) for count in right) and not any(ADMITS[kind](count) for count in wrong):
            return (
                f"It works for {plural} only. If that is meant, let it refuse the others, raise "
                f'collsim.InputError(f"this needs {one}, got {{ranks}} ranks; use another algorithm"), and declare it '
                f"with admits={kind!r} (--admits)."
            )
    return ""


_KINDS = {"power of two": ("powers of two", "a power of two"), "even": ("even numbers of ranks", "an even number")}


class _Wrong(Exception):
    """Carries a fault up to where the report is made."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


class _TooLong(BaseException):
    """Raised inside a call that takes too long; not an Exception, so that nobody's ``except`` stops it."""


class _Examiner:
    """Calls one function and looks at what it returns."""

    def __init__(
        self,
        f: Callable[..., Schedule],
        collective: str | Collective,
        options: dict[str, Any],
        max_seconds: float,
        max_moves: int,
    ) -> None:
        self.f = f
        self.collective = collective
        self.options = options
        self.max_seconds = max_seconds
        self.max_moves = max_moves
        self.brief = False  # whether no causes are looked for any more
        self.name = collective_name(collective)
        self._by_counts = (
            self.name in COLLECTIVES and self.name.removesuffix("v") in VECTOR_FORMS and self.name[-1] == "v"
        )
        code = getattr(inspect.unwrap(getattr(f, "func", f)), "__code__", None)
        self.file = code.co_filename if isinstance(code, CodeType) else None
        try:
            self.parameters = set(inspect.signature(f).parameters)
        except (TypeError, ValueError):
            self.parameters = set()
            return
        kinds = [parameter.kind for parameter in inspect.signature(f).parameters.values()]
        strange = sorted(set(options) - self.parameters)
        if strange and inspect.Parameter.VAR_KEYWORD not in kinds:
            takes = ", ".join(list(inspect.signature(f).parameters)[1:]) or "none"
            raise InputError(f"the algorithm has no option {strange[0]!r} (it takes: {takes})")

    # ---- one number of ranks

    def examine(self, ranks: int) -> Case:
        """Do everything for one number of ranks, with all options; return what the first has shown."""
        first, *others = self._variants(ranks)
        case = self._examine(ranks, first)
        for options in others:
            if ranks <= _MAX_VARIED:
                self._examine(ranks, options)
            else:
                self._verify(*self._schedule(ranks, options), options)
        return case

    def prove(self, ranks: int) -> None:
        """Call, and prove what comes back, without looking for the cause if that fails."""
        self.brief = True
        for options in self._variants(ranks):
            self._verify(*self._schedule(ranks, options), options)

    def must_refuse(self, ranks: int, admits: str) -> None:
        """See that the function says what to use instead for a number of ranks that it does not work for."""
        options = self._variants(ranks)[0]
        try:
            schedule = self._call(ranks, options)
        except _Wrong as found:
            instead = found.fault.message
            if found.fault.kind == "too slow":
                raise
            if found.fault.kind == "refused ranks":
                said = instead.partition(": ")[2]  # behind the line, whose number is not meant
                if re.search(rf"\b{ranks}\b.*\b(use|instead)\b", said):
                    return
                instead = f"It only says: {said}"
        else:
            instead = f"It returns {_type(schedule)}."
        raise self._wrong(
            "should refuse",
            f"Declared for {_KINDS[admits][0]} only, it must refuse {ranks} ranks: raise collsim.InputError with that "
            f"number and what to use instead. {instead}",
            ranks,
            options,
        )

    def _variants(self, ranks: int) -> list[dict[str, Any]]:
        options = dict(self.options)
        if isinstance(options.get("root"), int):
            options["root"] %= ranks
        if self.name == "all_to_allv":
            table = [[(3 * src + 5 * dst) % 4 for dst in range(ranks)] for src in range(ranks)]
            options.setdefault("counts", table)
        elif self._by_counts:
            options.setdefault("counts", [(3 * rank + 2) % 5 for rank in range(ranks)])
        variants = [options]
        if "root" in self.parameters and "root" not in options and ranks > 1:
            variants.append({**options, "root": ranks - 1})
        return variants

    def _expected(self, options: dict[str, Any]) -> Collective:
        if isinstance(self.collective, Collective):
            return self.collective
        plain = self.name.removesuffix("v") if self._by_counts else self.name
        known = set(inspect.signature(COLLECTIVES[plain]).parameters) - (set() if self._by_counts else {"counts"})
        return get_collective(self.name, **{key: value for key, value in options.items() if key in known})

    def _examine(self, ranks: int, options: dict[str, Any]) -> Case:
        schedule, expected = self._schedule(ranks, options)
        again = self._call(ranks, options)
        self._compare(schedule, again, options)
        self._verify(schedule, expected, options)
        agree = self._execute(schedule, expected, options)
        simulated = self._simulate(schedule, options)
        sent = np.bincount(
            schedule.src, weights=schedule.message_bytes(0 if self.name == "barrier" else 1), minlength=ranks
        )
        least = _LEAST_SENT.get(self.name)
        return Case(
            ranks=ranks,
            steps=schedule.steps,
            messages=schedule.messages,
            chunks=schedule.chunks,
            sent=float(sent.max()),
            least_sent=None if least is None else float(least(ranks, 1)),
            depth=self._depth(schedule, expected),
            ranks_agree=agree,
            simulated=simulated,
        )

    def _depth(self, schedule: Schedule, expected: Collective) -> int | None:
        if self.name.removesuffix("v") not in SUMMING:
            return None
        depth = summation_depth(schedule)
        places = [expected.outputs(schedule.ranks, schedule.chunks, rank) for rank in range(schedule.ranks)]
        return max(int(depth[rank, held].max(initial=0)) for rank, held in enumerate(places))

    # ---- the call

    def _wrong(self, kind: str, message: str, ranks: int, options: Mapping[str, Any], **where: Any) -> _Wrong:
        return _Wrong(Fault(kind, message, ranks, options, **where))

    def _call(self, ranks: int, options: dict[str, Any]) -> Any:
        """Call the function; whatever it raises becomes a fault."""
        try:
            inspect.signature(self.f).bind(ranks, **options)
        except TypeError as error:
            given = ", ".join([str(ranks), *(f"{key}={value!r}" for key, value in options.items())])
            text = f"The function cannot be called as f({given}): {error}. It must be f(ranks, **options)."
            raise self._wrong("crash", text, ranks, options) from None
        except ValueError:
            pass  # some callables do not tell their signature
        try:
            with _deadline(self.max_seconds):
                return self.f(ranks, **options)
        except KeyboardInterrupt:
            raise
        except _TooLong as error:
            line, code = self._line(error)
            text = f"It had not returned after {self.max_seconds:g} s{_in(line, code)}: does a loop never end?"
            raise self._wrong("too slow", text, ranks, options, line=line) from None
        except BaseException as error:
            raise self._explain(error, ranks, options) from None

    def _explain(self, error: BaseException, ranks: int, options: dict[str, Any]) -> _Wrong:
        """Return the fault for what the function raised."""
        line, code = self._line(error)
        table = _refused_table(error)
        if table is not None:
            where = self._written(ranks, options)
            found = diagnose_table(table, lambda row: where.get(_row_key(table, row), ""))
            kind = "bad table"
            if found is None:
                found = Diagnosis(f"The table of moves is refused: {error}.")
            elif found.message.startswith("Deadlock"):
                kind = "deadlock"
            return self._wrong(
                kind, found.message, ranks, options, rank=found.rank, step=found.step, chunk=found.chunk, line=line
            )
        text = " ".join(str(error).split())
        if isinstance(error, CollsimError):
            if _comes_from_the_builder(error):
                return self._wrong("bad table", f"{_capital(text)}{_in(line, code)}.", ranks, options, line=line)
            return self._wrong("refused ranks", f"It refuses to work{_in(line)}: {text}", ranks, options, line=line)
        return self._wrong("crash", f"It raises {_raised(error)}{_in(line, code)}.", ranks, options, line=line)

    def _line(self, error: BaseException) -> tuple[str | None, str]:
        return _line_of(error, self.file)

    # ---- what came back

    def _schedule(self, ranks: int, options: dict[str, Any]) -> tuple[Schedule, Collective]:
        """Call, and return a schedule of the right kind together with what it must do."""
        schedule = self._call(ranks, options)
        expected = self._expected(options)
        if not isinstance(schedule, Schedule):
            hint = "a Schedule is wanted"
            if schedule is None:
                hint = "is 'return plan.build()' missing at its end?"
            elif isinstance(schedule, ScheduleBuilder):
                hint = "return plan.build(), not the builder itself"
            text = f"It returns {_type(schedule)}: {hint}"
            raise self._wrong("no schedule", text + ("" if text.endswith("?") else "."), ranks, options)
        if schedule.ranks != ranks:
            text = f"It was called for {ranks} ranks and returns a schedule for {schedule.ranks}."
            raise self._wrong("wrong collective", text, ranks, options)
        self._limit(schedule, options)
        self._right_collective(schedule, expected, options)
        # Whatever it was written for: it is held to what was asked for.
        return replace(schedule, collective=expected), expected

    def _limit(self, schedule: Schedule, options: dict[str, Any]) -> None:
        most = self.max_moves
        for number, what, limit in (
            (len(schedule), "moves", most),
            (schedule.steps, "steps (they are numbered 0, 1, 2 and so on)", most),
            (schedule.chunks, "chunks", most),
            (int(schedule.count.sum(dtype=np.int64)), "chunks in all its moves", 16 * most),
        ):
            if number > limit:
                text = f"It has {number} {what} for {schedule.ranks} ranks; more than {limit} are not tried."
                raise self._wrong("too large", text, schedule.ranks, options)

    def _right_collective(self, schedule: Schedule, expected: Collective, options: dict[str, Any]) -> None:
        """See that the schedule was written for the collective that was asked for, and cuts vectors to fit it."""
        ranks, chunks, own = schedule.ranks, schedule.chunks, schedule.collective
        if own.name != expected.name:
            text = (
                f"It returns a schedule of {own.name}, and {expected.name} was asked for: write "
                f"ScheduleBuilder({expected.name!r}, ranks, ...)."
            )
            raise self._wrong("wrong collective", text, ranks, options)
        needed = {"all_to_all": ranks * ranks, "all_to_allv": ranks * ranks, "send_recv": ranks}.get(expected.name)
        if needed is not None and chunks != needed:
            text = f"It cuts the vectors into {chunks} chunks; {expected.name} on {ranks} ranks needs {needed}."
            raise self._wrong("bad table", text, ranks, options)
        try:
            expected.shares(ranks, chunks)
            expected.before(ranks, chunks, 0)
        except InputError as error:
            raise self._wrong("bad table", f"It cuts the vectors wrongly: {error}.", ranks, options) from None
        if not _same_promise(own, expected, ranks, chunks):
            if dict(own.options) != dict(expected.options):
                text = (
                    f"It returns a schedule of {own.name} with {_described(own)}; {_described(expected)} was asked for."
                )
                raise self._wrong("wrong collective", text, ranks, options)
            text = (
                f"It is written for a Collective object of its own that is called {own.name!r} but promises something "
                f"else: write ScheduleBuilder({expected.name!r}, ranks, ...)."
            )
            raise self._wrong("wrong collective", text, ranks, options)

    def _compare(self, schedule: Schedule, again: Any, options: dict[str, Any]) -> None:
        """See that a second call has given the same table."""
        change = ""
        if not isinstance(again, Schedule):
            change = f"the second time it returns {_type(again)}"
        elif (len(again), again.ranks, again.chunks) != (len(schedule), schedule.ranks, schedule.chunks):
            change = f"first {len(schedule)} moves of {schedule.chunks} chunks, then {len(again)} of {again.chunks}"
        else:
            names = ("step", "src", "dst", "chunk", "count", "op", "seconds", "message")
            different = np.zeros(len(schedule), dtype=bool)
            for name in names:
                different |= getattr(schedule, name) != getattr(again, name)
            if different.any():
                row = int(np.argmax(different))
                change = f"row {row} is first '{schedule.describe(row)}' and then '{again.describe(row)}'"
                where = {"rank": int(schedule.src[row]), "step": int(schedule.step[row])}
                raise self._wrong(
                    "not repeatable",
                    f"Two calls give different schedules: {change}. If it draws random numbers, let it draw them from "
                    "a generator with a fixed seed.",
                    schedule.ranks,
                    options,
                    chunk=int(schedule.chunk[row]),
                    **where,
                )
            if not np.array_equal(schedule.after, again.after):
                change = "the moves wait for other ones"
        if change:
            text = f"Two calls give different schedules: {change}. Does it keep something from one call to the next?"
            raise self._wrong("not repeatable", text, schedule.ranks, options)

    def _verify(self, schedule: Schedule, expected: Collective, options: dict[str, Any]) -> None:
        try:
            verify(schedule)
        except VerificationError as error:
            if self.brief:
                raise self._wrong("wrong", str(error), schedule.ranks, options) from None
            where = self._written(schedule.ranks, options)
            found = diagnose(schedule, error, expected, lambda row: where.get(_row_key(schedule, row), ""))
            raise self._wrong(
                "wrong",
                found.message,
                schedule.ranks,
                options,
                rank=found.rank,
                step=found.step,
                chunk=found.chunk,
            ) from None

    def _execute(self, schedule: Schedule, expected: Collective, options: dict[str, Any]) -> bool | None:
        """Run it on vectors of several sizes; return whether all ranks end with the same bits."""
        rng = np.random.default_rng(schedule.ranks)
        for elements in _sizes(expected, schedule.ranks):
            x = rng.integers(-(2**40), 2**40, (schedule.ranks, elements))
            y = execute(schedule, x)
            values, promised = _by_definition(expected, schedule.chunks, x)
            wrong = promised & (y[:, : values.shape[1]] != values)
            if wrong.any():
                rank, element = (int(index) for index in np.unravel_index(int(np.argmax(wrong)), wrong.shape))
                text = (
                    f"It is proved, but on vectors of {elements} elements rank {rank} ends with "
                    f"{y[rank, element]} instead of {values[rank, element]} in element {element}. {_OUR_FAULT}"
                )
                raise self._wrong("internal", text, schedule.ranks, options, rank=rank)
        if self.name != "all_reduce":
            return None
        y = execute(schedule, rng.standard_normal((schedule.ranks, 3 * schedule.ranks + 2), dtype=np.float32))
        return bool((y.view(np.uint32) == y[:1].view(np.uint32)).all())

    def _simulate(self, schedule: Schedule, options: dict[str, Any]) -> bool:
        """Run it on every engine that can, and in the dataflow ordering; return whether all was run."""
        payload = schedule.message_bytes(0 if self.name == "barrier" else _NBYTES)
        model = AlphaBeta(_ALPHA, _BETA)
        small = max(len(schedule), int(schedule.count.sum())) <= _MAX_SIMULATED
        graph = lower(schedule, payload, gamma=_GAMMA)
        times = {}
        try:
            for engine in ENGINES.values():
                if (small or engine.name != "events") and engine.refusal(graph, model) is None:
                    with contextlib.suppress(MissingDependencyError):
                        times[engine.name] = engine.run(graph, model)
            if small:
                ENGINES["events"].run(lower(schedule, payload, ordering="dataflow", gamma=_GAMMA), model)
        except SimulationError as error:
            raise self._deadlock(schedule, error, options) from None
        for name, timeline in times.items():
            for other, second in times.items():
                for column in ("start", "finish"):
                    if not np.allclose(getattr(timeline, column), getattr(second, column), rtol=1e-9, atol=1e-15):
                        text = f"The engines {name} and {other} disagree on when its moves {column}. {_OUR_FAULT}"
                        raise self._wrong("internal", text, schedule.ranks, options)
        return small

    def _deadlock(self, schedule: Schedule, error: SimulationError, options: dict[str, Any]) -> _Wrong:
        # Rows of one packed message that wait for each other are all that the table lets through.
        own = schedule.message[schedule.after[:, 0]] == schedule.message[schedule.after[:, 1]]
        if not own.any():
            return self._wrong("deadlock", f"Deadlock: {error}.", schedule.ranks, options)
        row, other = schedule.after[int(np.argmax(own))].tolist()
        where = self._written(schedule.ranks, options)
        found = explain_waiting(schedule, row, other, lambda row: where.get(_row_key(schedule, row), ""))
        text = (
            f"Deadlock: in step {found.step} a packed message from rank {schedule.src[row]} to rank "
            f"{schedule.dst[row]} waits (after=) for itself: its part with chunk {schedule.chunk[row]} for that with "
            f"chunk {schedule.chunk[other]}."
        )
        return self._wrong(
            "deadlock", text, schedule.ranks, options, rank=found.rank, step=found.step, chunk=found.chunk
        )

    # ---- lines of the author's file

    def _written(self, ranks: int, options: dict[str, Any]) -> dict[tuple[int, ...], str]:
        """Call once more and note on which line each move is written: what a row holds -> ``" (line 12)"``."""
        lines: dict[tuple[int, ...], str] = {}
        if self.brief:
            return lines
        ops = {ScheduleBuilder.copy.__code__: 0, ScheduleBuilder.reduce.__code__: 1}

        def note(frame: FrameType, event: str, argument: Any) -> None:
            if event != "call" or frame.f_code not in ops:
                return
            caller = frame.f_back
            while caller is not None and _is_ours(caller.f_code.co_filename):
                caller = caller.f_back
            if caller is None:
                return
            file = caller.f_code.co_filename
            name = f"line {caller.f_lineno}" if file == self.file else f"{Path(file).name}, line {caller.f_lineno}"
            arguments = frame.f_locals
            with contextlib.suppress(Exception):
                columns = np.broadcast_arrays(*(np.atleast_1d(arguments[key]) for key in _ROW))
                for values in zip(*(column.tolist() for column in columns), strict=True):
                    key = (*(int(value) for value in values), ops[frame.f_code])
                    lines.setdefault(key, f" ({name})")

        before = sys.getprofile()
        sys.setprofile(note)
        try:
            with _deadline(self.max_seconds):
                self.f(ranks, **options)
        except KeyboardInterrupt:
            raise
        except BaseException:
            pass
        finally:
            sys.setprofile(before)
        return lines


_ROW = ("step", "src", "dst", "chunk", "count")
_OUR_FAULT = "That is a fault of collsim, not of the algorithm: please report it."


def _row_key(schedule: Schedule, row: int) -> tuple[int, ...]:
    return (*(int(getattr(schedule, name)[row]) for name in _ROW), int(schedule.op[row]))


def spell(numbers: Sequence[int]) -> str:
    """Return numbers with runs of three and more drawn together: ``1..4, 8``.

    Examples
    --------
    >>> spell([1, 2, 3, 8, 9])
    '1..3, 8, 9'
    """
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    texts = [f"{part[0]}..{part[-1]}" if len(part) > 2 else ", ".join(map(str, part)) for part in parts]
    return ", ".join(texts)


def _described(collective: Collective) -> str:
    return ", ".join(f"{key} {value}" for key, value in collective.options.items()) or "no options"


def _type(value: object) -> str:
    return "a ScheduleBuilder" if isinstance(value, ScheduleBuilder) else repr(value)[:60]


def _in(line: str | None, code: str = "") -> str:
    return f" ({line}{f': {code}' if code else ''})" if line else ""


def _raised(error: BaseException) -> str:
    text = " ".join(str(error.msg if isinstance(error, SyntaxError) else error).split())
    return f"{type(error).__name__}{f': {text}' if text else ''}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


# ---- what the collective asks for, worked out from its definition


def _sizes(collective: Collective, ranks: int) -> Sequence[int]:
    counts = collective.options.get("counts")
    if counts is not None:
        return (int(np.array(counts).sum(axis=-1).max()),)
    if collective.name == "barrier":
        return (0,)
    return sorted({0, 1, ranks - 1, ranks, ranks + 1, 3 * ranks + 2})


def _by_definition(
    collective: Collective, chunks: int, x: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the vectors that the collective promises and where it promises any: no schedule, no replay."""
    ranks = len(x)
    sizes = collective.cut(ranks, chunks, x.shape[1])
    brought: dict[tuple[int, int], NDArray[np.int64]] = {}
    for rank in range(ranks):
        edge = 0
        for chunk in collective.inputs(ranks, chunks, rank).tolist():
            brought[rank, chunk] = x[rank, edge : edge + sizes[chunk]]
            edge += int(sizes[chunk])
    held = [collective.outputs(ranks, chunks, rank).tolist() for rank in range(ranks)]
    width = max([x.shape[1], *(int(sizes[mine].sum()) for mine in held if mine)])
    values = np.zeros((ranks, width), dtype=x.dtype)
    promised = np.zeros((ranks, width), dtype=bool)
    sums: dict[tuple[int, bytes], NDArray[np.int64]] = {}  # all ranks are often promised the same
    for rank, mine in enumerate(held):
        edge = 0
        for chunk, contributors in zip(mine, collective.after(ranks, chunks, rank), strict=True):
            end = edge + int(sizes[chunk])
            if contributors.any():
                key = chunk, contributors.tobytes()
                if key not in sums:
                    sums[key] = np.sum([brought[who, chunk] for who in np.flatnonzero(contributors).tolist()], axis=0)
                values[rank, edge:end] = sums[key]
                promised[rank, edge:end] = True
            edge = end
    return values, promised


def _same_promise(one: Collective, other: Collective, ranks: int, chunks: int) -> bool:
    if one.at_least_once != other.at_least_once:
        return False
    pairs: list[tuple[Any, Any]] = [(one.shares(ranks, chunks), other.shares(ranks, chunks))]
    pairs += [(one.cut(ranks, chunks, n), other.cut(ranks, chunks, n)) for n in _sizes(other, ranks)]
    for rank in range(ranks):
        for name in ("before", "after", "inputs", "outputs"):
            pairs.append((getattr(one, name)(ranks, chunks, rank), getattr(other, name)(ranks, chunks, rank)))
    return all(np.array_equal(mine, yours) for mine, yours in pairs)


# ---- what an author's function raises


@contextlib.contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """Stop what runs inside after so many seconds, where the system can (a signal, so: Unix, main thread)."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise _TooLong

    handler = signal.signal(signal.SIGALRM, stop)
    # Again and again: where an exception is ignored (in a destructor, say), the first is lost.
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds, 0.2)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left, interval)
        signal.signal(signal.SIGALRM, handler)


def _is_ours(file: str) -> bool:
    return os.path.abspath(file).startswith(os.path.dirname(os.path.abspath(__file__)) + os.sep)


def _refused_table(error: BaseException) -> Schedule | None:
    """Return the half-made schedule that raised the error, if one did: it knows its rows."""
    frames = traceback.walk_tb(error.__traceback__)
    tables = [frame.f_locals.get("self") for frame, _ in frames if frame.f_code.co_name == "_check_rows"]
    found = [table for table in tables if isinstance(table, Schedule)]
    return found[-1] if found and isinstance(error, InputError) else None


def _comes_from_the_builder(error: BaseException) -> bool:
    """Say whether an error came of writing moves, not of the author's own checks."""
    code = {frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)}
    return ScheduleBuilder.build.__code__.co_filename in code


def _line_of(error: BaseException, file: str | None) -> tuple[str | None, str]:
    """Return the line of an author's file that an error comes from, such as ``"my.py, line 12"``, and what it says.

    Without a file it is the last line that is not part of collsim or of a library.
    """
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return f"{Path(error.filename).name}, line {error.lineno}", (error.text or "").strip()
    found: tuple[str | None, str] = (None, "")
    for frame, number in traceback.walk_tb(error.__traceback__):
        name = frame.f_code.co_filename
        mine = name == file if file is not None else not _is_ours(name) and "site-packages" not in name
        if mine and not name.startswith("<frozen"):
            found = f"{Path(name).name}, line {number}", linecache.getline(name, number).strip()
    return found
