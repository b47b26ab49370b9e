"""Lessons: from what an all-reduce is to writing one's own, and the textbook's exercises; the table of them.

A lesson is a page, ``04-ring.md``, and a module, ``ring.py``, which asks its three exercises. The page is plain
Markdown. Its Python and its commands are run, and what they print stands below them: see `collsim.lessons.page`.
The command is in ``collsim.cli``.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from collsim.errors import InputError, unknown

if TYPE_CHECKING:
    from collsim.lessons.exercise import Exercise


@dataclass(frozen=True)
class Lesson:
    """One line of the table.

    Attributes
    ----------
    number : int
        Its place on the path.
    name : str
        Of its module; its page has the number in front.
    title : str
        One line for people.
    needs : tuple of str
        The lessons that it builds on, by name.
    """

    number: int
    name: str
    title: str
    needs: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """Where its page is."""
        return FOLDER / f"{self.number:02}-{self.name}.md"

    @property
    def heading(self) -> str:
        """The first line of its page, without the mark of a heading."""
        return f"Lesson {self.number}: {self.title}"

    def text(self) -> str:
        """Return the page.

        Examples
        --------
        >>> LESSONS["ring"].text().splitlines()[0]
        '# Lesson 4: the ring, and why nobody can send less'
        """
        return self.path.read_text(encoding="utf-8")

    def exercises(self) -> Sequence[Exercise]:
        """Return its exercises, in order.

        Examples
        --------
        >>> len(LESSONS["ring"].exercises())
        3
        """
        found: Sequence[Exercise] = importlib.import_module(f"collsim.lessons.{self.name}").EXERCISES
        return found


def _table(*rows: tuple[str, str, tuple[str, ...]]) -> dict[str, Lesson]:
    return {row[0]: Lesson(number, *row) for number, row in enumerate(rows, start=1)}


LESSONS = _table(
    ("exact", "what an all-reduce is, and why it is exact", ()),
    ("gather", "the naive gather, and the incast", ("exact",)),
    ("tree", "trees: more ports at work", ("gather",)),
    ("ring", "the ring, and why nobody can send less", ("gather",)),
    ("crossover", "latency against bandwidth: which is faster, and from where on", ("tree", "ring")),
    ("network", "networks, and links that messages share", ("ring",)),
    ("uneven", "uneven workers: one is late, one is slow", ("ring",)),
    ("own", "write your own, and have it checked", ("tree", "ring")),
    ("gradient", "the book's example 1.1.1: one gradient, several workers", ("exact",)),
    ("shards", "the book's exercise 1.1.2: shards of unequal size", ("gradient",)),
    ("scaling", "the book's exercise 1.1.3: when does communication dominate?", ("crossover",)),
)


# The pages are beside this file; their pictures too, but these are not installed.
FOLDER = Path(__file__).resolve().parent


def get_lesson(name: str | int) -> Lesson:
    """Return a lesson by its number or its name.

    Raises
    ------
    InputError
        If there is none.

    Examples
    --------
    >>> get_lesson(4).name, get_lesson("ring").number
    ('ring', 4)
    """
    text = str(name).strip()
    by_number = {str(lesson.number): lesson for lesson in LESSONS.values()}
    found = by_number.get(text) or LESSONS.get(text.lower())
    if found is None and text.lstrip("+-").isdigit():
        raise InputError(f"there is no lesson {text}; there are 1 to {len(LESSONS)}")
    if found is None:
        raise unknown("lesson", text, LESSONS)
    return found


def get_exercise(number: str) -> Exercise:
    """Return an exercise by its number, such as ``"4.2"``.

    Raises
    ------
    InputError
        If there is none.

    Examples
    --------
    >>> get_exercise("4.1").question()
    'How many steps does the ring take on 12 workers?'
    """
    lesson, _, place = number.strip().partition(".")
    if not lesson:
        raise InputError(f"there is no exercise {number}; one is written as 4.2, the second of lesson 4")
    exercises = get_lesson(lesson).exercises()
    if place not in [str(count) for count in range(1, len(exercises) + 1)]:
        first = get_lesson(lesson).number
        raise InputError(f"there is no exercise {number}; lesson {first} has {first}.1 to {first}.{len(exercises)}")
    return exercises[int(place) - 1]
