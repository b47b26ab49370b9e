"""What an exercise of a lesson is: a question with figures, and how an answer to it is judged.

The right answer is worked out from the figures that the question states, by running what it is about; so are the wrong
ones that a usual mistake leads to, each with a hint. Three kinds of answers: a `Number`, a `Choice`, and `Code`.
"""

from __future__ import annotations

import contextlib
import math
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from collsim.book import grouped
from collsim.errors import InputError, unknown
from collsim.units import (
    format_bandwidth,
    format_size,
    format_time,
    parse_bandwidth,
    parse_count,
    parse_size,
    parse_time,
)

if TYPE_CHECKING:
    from collsim.schedule import Schedule

Figures = Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """What is said of an answer.

    Attributes
    ----------
    right : bool
        Whether it is right.
    message : str
        Why, or a hint.
    """

    right: bool
    message: str


@dataclass(frozen=True)
class Exercise(ABC):
    """A question, with the figures that it states.

    Attributes
    ----------
    text : str
        The question; ``{name}`` stands for a figure.
    reason : str
        Why the answer is what it is; ``{answer}`` stands for it.
    given : mapping
        The figures, which the answer is worked out from.
    """

    text: str
    reason: str
    given: Figures = field(default_factory=dict)

    def question(self) -> str:
        """Return what is asked."""
        return self.text.format(**_in_words(self.given))

    @abstractmethod
    def check(self, text: str) -> Verdict:
        """Judge an answer.

        Raises
        ------
        InputError
            If it cannot be read as an answer of this kind.
        """

    @abstractmethod
    def solution(self) -> str:
        """Return the answer, and why."""

    def _why(self, answer: str) -> str:
        return self.reason.format(answer=answer, **_in_words(self.given))


def _in_words(figures: Figures) -> dict[str, str]:
    """Return figures as a sentence has them: ``"1GB"`` as 1 GB."""
    return {
        name: grouped(value) if isinstance(value, int) else re.sub(r"(?<=\d)(?=[a-zA-Z]+(/s)?$)", " ", str(value))
        for name, value in figures.items()
    }


# ---- numbers


@dataclass(frozen=True)
class Unit:
    """A kind of number.

    Attributes
    ----------
    parse : callable
        Reads an answer.
    form : callable
        Writes one.
    example : str
        How an answer may be written.
    """

    parse: Callable[[str], float]
    form: Callable[[float], str]
    example: str


def _parse_share(text: str) -> float:
    number, sign, _ = text.partition("%")
    return _parse_ratio(number) / (100 if sign else 1)


def _parse_ratio(text: str) -> float:
    over, bar, under = text.strip().removesuffix("x").removesuffix("times").partition("/")
    try:
        value = float(over) / (float(under) if bar else 1)
    except (ValueError, ZeroDivisionError):
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"the answer must be a number, got {text!r}")
    return value


UNITS = {
    "time": Unit(lambda text: parse_time(text, "the answer"), format_time, "700us or 0.7ms"),
    "size": Unit(lambda text: parse_size(text, "the answer"), format_size, "1.5GB"),
    "bandwidth": Unit(lambda text: parse_bandwidth(text, "the answer"), format_bandwidth, "10GB/s"),
    "count": Unit(lambda text: parse_count(text.strip(), "the answer", minimum=0), lambda value: f"{value:.0f}", "12"),
    "ratio": Unit(_parse_ratio, lambda value: f"{value:.4g}", "2.5"),
    "share": Unit(_parse_share, lambda value: f"{100 * value:.4g} %", "25%"),
}


@dataclass(frozen=True)
class Slip:
    """A usual mistake.

    Attributes
    ----------
    answer : callable
        What it leads to, from the figures of the exercise, as keywords.
    hint : str
        What to think about.
    """

    answer: Callable[..., float]
    hint: str


@dataclass(frozen=True)
class Number(Exercise):
    """An exercise whose answer is a number.

    Attributes
    ----------
    answer : callable
        Works it out from the figures, as keywords.
    unit : str
        One of `UNITS`.
    slips : sequence of Slip
        The usual mistakes.
    tolerance : float
        How far, relative to it, an answer may be off.

    Examples
    --------
    >>> rim = Slip(lambda side: 4 * side, "That is its rim.")
    >>> sides = Number("A square of {side} cm: what is its area?", "{side} times {side}.", {"side": 3},
    ...                answer=lambda side: side**2, unit="count", slips=[rim])
    >>> sides.question(), sides.check("9").right, sides.check("12").message
    ('A square of 3 cm: what is its area?', True, 'That is its rim.')
    """

    answer: Callable[..., float] = lambda: math.nan
    unit: str = "time"
    slips: Sequence[Slip] = ()
    tolerance: float = 0.005

    @cached_property
    def right(self) -> float:
        """The answer."""
        return self.answer(**self.given)

    @cached_property
    def _wrong(self) -> list[tuple[float, str]]:
        """What the usual mistakes lead to, and their hints."""
        return [(slip.answer(**self.given), slip.hint) for slip in self.slips]

    def check(self, text: str) -> Verdict:
        """Judge an answer."""
        unit, right = UNITS[self.unit], self.right
        found = unit.parse(text)
        if self._near(found, right):
            return Verdict(True, self._why(unit.form(right)))
        for wrong, hint in self._wrong:
            if self._near(found, wrong):
                return Verdict(False, hint.format(**_in_words(self.given)))
        if self.unit in ("time", "size", "bandwidth") and re.fullmatch(r"[\d.]+", text.strip()):
            return Verdict(False, f"{unit.form(found)} is not it. Did you leave out the unit, as in {unit.example}?")
        if self.unit == "share" and found > 1 and "%" not in text:
            return Verdict(False, f"{text.strip()} is more than the whole. Per cent are written as in {unit.example}.")
        return Verdict(False, f"{unit.form(found)} is too {'much' if found > right else 'little'}.")

    def solution(self) -> str:
        """Return the answer, and why."""
        answer = UNITS[self.unit].form(self.right)
        return f"{answer}. {self._why(answer)}"

    def _near(self, found: float, wanted: float) -> bool:
        return math.isclose(found, wanted, rel_tol=0 if self.unit == "count" else self.tolerance)


# ---- choices


@dataclass(frozen=True)
class Choice(Exercise):
    """An exercise whose answer is one of some words.

    Attributes
    ----------
    answer : callable
        Works it out from the figures, as keywords.
    options : sequence of str
        The words.
    hints : mapping
        What to say of a wrong one.

    Examples
    --------
    >>> which = Choice("Is {n} odd or even?", "{n} leaves {answer} halves.", {"n": 4},
    ...                answer=lambda n: "odd" if n % 2 else "even", options=["odd", "even"])
    >>> which.question(), which.check("Even").right
    ('Is 4 odd or even? (odd, even)', True)
    """

    answer: Callable[..., str] = lambda: ""
    options: Sequence[str] = ()
    hints: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def right(self) -> str:
        """The answer."""
        return self.answer(**self.given)

    def question(self) -> str:
        """Return what is asked, and the words."""
        return f"{super().question()} ({', '.join(self.options)})"

    def check(self, text: str) -> Verdict:
        """Judge an answer."""
        found = _as_word(text)
        by_word = {_as_word(option): option for option in self.options}
        if found not in by_word:
            raise unknown("answer", text, self.options)
        if by_word[found] == self.right:
            return Verdict(True, self._why(self.right))
        hint = self.hints.get(by_word[found], "Run both, and compare.")
        return Verdict(False, hint.format(**_in_words(self.given)))

    def solution(self) -> str:
        """Return the answer, and why."""
        return f"{self.right}. {self._why(self.right)}"


def _as_word(text: str) -> str:
    return re.sub(r"[\s_-]+", "_", text.strip().lower())


# ---- code


# For an answer in a second or two; those of the tables are tried for more.
_RANKS = (*range(1, 10), 16, 17)


@dataclass(frozen=True)
class Code(Exercise):
    """An exercise whose answer is an algorithm, as ``my_file.py:my_function``.

    Attributes
    ----------
    collective : str
        What it must carry out.
    admits : str
        For which numbers of ranks; it must refuse the others.
    also : callable, optional
        What is asked besides: from a schedule to what is wrong with it, or to "".
    model : str
        A solution, as Python that defines one function.
    """

    collective: str = "all_reduce"
    admits: str = "any"
    also: Callable[[Schedule], str] | None = None
    model: str = ""

    def check(self, text: str) -> Verdict:
        """Judge an answer: hold it to all that the algorithms of the table are held to."""
        from collsim.catalog import get_algorithm
        from collsim.testing import examine_file, spell

        if ".py:" not in text:
            raise InputError(f"the answer must be a function in a file, my_file.py:my_function, got {text!r}")
        # What the author's file prints is not part of the verdict.
        with contextlib.redirect_stdout(sys.stderr):
            report = examine_file(text, self.collective, _RANKS, admits=self.admits)
            if not report.passed:
                return Verdict(False, " ".join(report.explanation()))
            build = get_algorithm(self.collective, text).build
            asked = self.also or (lambda schedule: "")
            for ranks in report.right:
                if wrong := asked(build(ranks)):
                    return Verdict(False, f"It is a right {self.collective}, but K = {ranks}: {wrong}")
        return Verdict(True, f"Proved, executed and simulated for K = {spell(report.right)}. {self._why('')}")

    def solution(self) -> str:
        """Return a file that is right, and why."""
        return f"{self._why('')} One way to write it:\n\n{self.model}"
