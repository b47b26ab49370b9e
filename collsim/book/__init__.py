"""The textbook's examples and exercises, answered with numbers: the table of them, and how their numbers are written.

Each is one file with two functions: ``answer`` computes the figures, ``explain`` puts them into words.
Nothing here prints; the commands are in ``collsim.cli``.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from collsim.catalog import get_algorithm
from collsim.errors import InputError


@dataclass(frozen=True)
class Entry:
    """One line of the tables.

    Attributes
    ----------
    number : str
        As the book counts: chapter, section, example or exercise.
    title : str
        One line for people.
    module : str
        Where ``answer`` and ``explain`` are; imported when it is first used.
    """

    number: str
    title: str
    module: str

    def load(self) -> Any:
        """Import the module.

        Examples
        --------
        >>> EXERCISES["1.1.3"].load().answer(workers=[2]).once
        0.4
        """
        return importlib.import_module(self.module)


def _table(*entries: Entry) -> dict[str, Entry]:
    return {entry.number: entry for entry in entries}


EXAMPLES = _table(
    Entry("1.1.1", "one gradient, computed by several workers", "collsim.book.example_1_1_1"),
)
EXERCISES = _table(
    Entry("1.1.2", "why unequal shards must not be averaged plainly", "collsim.book.exercise_1_1_2"),
    Entry("1.1.3", "when does communication dominate a training step?", "collsim.book.exercise_1_1_3"),
)


def choose_algorithms(names: str | Iterable[str]) -> list[str]:
    """Return the names of all-reduce algorithms, each once, in the order given.

    Raises
    ------
    InputError
        If there is none, or one that is not known.

    Examples
    --------
    >>> choose_algorithms(["ring", "tree", "ring"])
    ['ring', 'tree']
    """
    chosen = list(dict.fromkeys([names] if isinstance(names, str) else names))
    if not chosen:
        raise InputError("no algorithm is named; give one or several, such as naive,tree,ring")
    for name in chosen:
        get_algorithm("all_reduce", name)
    return chosen


def several(values: int | str | Iterable[int | str]) -> Iterable[int | str]:
    """Return one number or several as several."""
    return values if isinstance(values, Iterable) and not isinstance(values, str) else [values]


def grouped(number: int) -> str:
    """Return a whole number with its digits in groups of three.

    Examples
    --------
    >>> grouped(100_000), grouped(1024)
    ('100 000', '1024')
    """
    return f"{number:,}".replace(",", " ") if abs(number) >= 10_000 else str(number)


def brief(value: float) -> str:
    """Return a number with two significant digits, whole from 100 on, and three next to 1.

    Examples
    --------
    >>> brief(2.6981), brief(0.2), brief(2728.0), brief(2.93e-14), brief(1.006), brief(0)
    ('2.7', '0.20', '2728', '2.9e-14', '1.01', '0')
    """
    if 99.5 <= abs(value) < 1e15:
        return grouped(round(value))
    if 0.95 < abs(value) < 1.05:
        return f"{value:.2f}"
    return f"{value:#.2g}".removesuffix(".") if value else "0"


def percent(share: float) -> str:
    """Return a share in per cent: two digits, and more where they tell it from 0 or from the whole.

    Examples
    --------
    >>> percent(0.7296), percent(0.0123), percent(0.99963), percent(0), percent(1)
    ('73 %', '1.2 %', '99.96 %', '0 %', '100 %')
    """
    value = 100 * share
    if 99 < value < 100:
        return f"{value:.2f} %" if value < 99.995 else "> 99.99 %"
    return f"{value:.2g} %" if value < 99 else f"{value:.0f} %"


def listing(names: Sequence[str], last: str = "and") -> str:
    """Return names in a row, as a sentence has them.

    Examples
    --------
    >>> listing(["naive", "tree", "ring"])
    'naive, tree and ring'
    """
    return f" {last} ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)
