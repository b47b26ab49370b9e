"""A lesson's page as cells: read, run, compared with what it shows, and written anew.

A page is plain Markdown with four kinds of blocks, which a notebook has too:

- ```` ```python ```` is run, all blocks of a page in one namespace. As in a notebook the value of a last expression is
  shown. A ```` ```text ```` block below it is what it prints, an image below that the figure that it draws.
- ```` ```python NAME.py ```` is a file, which is put where the commands of the page find it.
- ```` ```console ```` is commands after ``$ ``, each with what it prints.
- Everything else is text.

The heading and what stands from ``## Exercises`` on are made from the table of lessons and from the exercises.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import io
import linecache
import os
import re
import shlex
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collsim.errors import CollsimError
from collsim.lessons import FOLDER, LESSONS, Lesson

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Paragraphs that a command prints are wrapped to the terminal; on a page to this.
COLUMNS = "92"
_WIDTH = 120
EXERCISES = "## Exercises"

_IMAGE = re.compile(r"!\[([^]]*)\]\(([\w./-]+)\)")
_BEFORE_UNIT = re.compile(r"(?<=\d) (?=[mun]?s\b|[kMG]?B\b|\d)")
# How long a run took is another time each time.
PASSING = re.compile(r"^simulated in .*\n", re.M)


class LessonError(CollsimError):
    """A page of a lesson cannot be run, or shows what is not so."""


@dataclass(frozen=True)
class Cell:
    """A piece of a page.

    Attributes
    ----------
    kind : {"text", "python", "file", "console"}
        What it is.
    source : str
        Markdown, code or commands, each command on a line; without the fences.
    output : str
        What it shows as printed, for commands those of all; empty for none.
    alt, picture : str
        The words for the picture below it, and the file; empty for none.
    name : str
        Of a file.
    shown : tuple of str
        What each command of a console prints.
    """

    kind: str
    source: str
    output: str = ""
    alt: str = ""
    picture: str = ""
    name: str = ""
    shown: tuple[str, ...] = ()

    def markdown(self) -> str:
        """Return the cell as it stands on a page, without a last newline."""
        return "\n\n".join(_MARKDOWN[self.kind](self))


def _code(cell: Cell) -> Iterator[str]:
    info = f"python {cell.name}".strip()
    yield f"```{info}\n{cell.source}\n```"
    if cell.output:
        yield f"```text\n{cell.output}```"
    if cell.picture:
        yield f"![{cell.alt}]({cell.picture})"


def _commands(cell: Cell) -> Iterator[str]:
    lines = "".join(f"$ {one}\n{shown}" for one, shown in zip(cell.source.splitlines(), cell.shown, strict=True))
    yield f"```console\n{lines}```"
    if cell.picture:
        yield f"![{cell.alt}]({cell.picture})"


_MARKDOWN: dict[str, Callable[[Cell], Iterator[str]]] = {
    "text": lambda cell: iter([cell.source]),
    "python": _code,
    "file": _code,
    "console": _commands,
}


def parse(text: str) -> list[Cell]:
    r"""Return the cells of a page.

    Raises
    ------
    LessonError
        If a fence is not closed, or one is of a kind that is not known.

    Examples
    --------
    >>> page = "Two and two:\n\n```python\nprint(2 + 2)\n```\n\n```text\n4\n```\n"
    >>> parse(page)[1]
    Cell(kind='python', source='print(2 + 2)', output='4\n', alt='', picture='', name='', shown=())
    >>> render(parse(page)) == page
    True
    """
    cells: list[Cell] = []
    words: list[str] = []

    def end_of_text() -> None:
        if source := "\n".join(words).strip("\n"):
            cells.append(Cell("text", source))
        words.clear()

    def just_after(kinds: tuple[str, ...]) -> bool:
        return bool(cells) and cells[-1].kind in kinds and not any(word.strip() for word in words)

    lines = iter(text.splitlines())
    for line in lines:
        image = _IMAGE.fullmatch(line)
        if image and just_after(("python", "console")) and not cells[-1].picture:
            cells[-1] = replace(cells[-1], alt=image[1], picture=image[2])
            words.clear()
            continue
        if not line.startswith("```"):
            words.append(line)
            continue
        kind, _, name = line.removeprefix("```").partition(" ")
        block = _block(lines, line)
        if kind == "text" and just_after(("python",)) and not (cells[-1].output or cells[-1].picture):
            cells[-1] = replace(cells[-1], output="".join(f"{inner}\n" for inner in block))
            words.clear()
        elif kind == "text":
            words += [line, *block, "```"]
        elif kind == "python":
            end_of_text()
            cells.append(Cell("file" if name else "python", "\n".join(block), name=name))
        elif kind == "console":
            end_of_text()
            cells.append(_console(block))
        else:
            raise LessonError(f"a page has a block of {line[3:]!r}; known are python, text and console")
    end_of_text()
    return cells


def _block(lines: Iterator[str], opening: str) -> list[str]:
    found: list[str] = []
    for line in lines:
        if line == "```":
            return found
        found.append(line)
    raise LessonError(f"the block {opening!r} of a page has no end")


def _console(block: Sequence[str]) -> Cell:
    commands: list[str] = []
    shown: list[str] = []
    for line in block:
        if line.startswith("$ "):
            commands.append(line[2:])
            shown.append("")
        elif commands:
            shown[-1] += f"{line}\n"
        else:
            raise LessonError(f"a console of a page begins with {line!r}, and not with '$ ' and a command")
    return Cell("console", "\n".join(commands), output="".join(shown), shown=tuple(shown))


def render(cells: Sequence[Cell]) -> str:
    """Return the cells as a page."""
    return "\n\n".join(cell.markdown() for cell in cells) + "\n"


# ---- running


@dataclass(frozen=True)
class Ran:
    """A cell that was run.

    Attributes
    ----------
    cell : Cell
        With what it printed now.
    before : Cell
        As it stands on the page.
    figure : matplotlib.figure.Figure, bytes or None
        The picture that it drew; bytes if a command wrote it to a file.
    missing : str
        Why it could not draw: what is not installed.
    """

    cell: Cell
    before: Cell
    figure: Figure | bytes | None = None
    missing: str = ""

    @property
    def same(self) -> bool:
        """Whether it printed what the page shows."""
        return self.cell == self.before


def run(cells: Sequence[Cell], title: str = "page") -> Iterator[Ran]:
    r"""Run a page from its beginning, a cell each time, in a folder of its own that is removed afterwards.

    Algorithms that a page registers are forgotten at its end. Cells that draw need matplotlib; without it they come out
    as they stand, and `Ran.missing` says so.

    Raises
    ------
    LessonError
        If a cell raises an error, or a command is used wrongly.

    Examples
    --------
    >>> next(run(parse("```python\n1 + 1\n```"))).cell.output
    '2\n'
    """
    from collsim.catalog import ALGORITHMS

    names: dict[str, Any] = {"__name__": "__main__"}
    known = dict(ALGORITHMS)
    with tempfile.TemporaryDirectory() as place:
        try:
            for number, cell in enumerate(cells):
                with contextlib.chdir(place):
                    ran = _RUN[cell.kind](cell, names, f"<{title}, cell {number}>")
                yield ran
        finally:
            ALGORITHMS.clear()
            ALGORITHMS.update(known)


def _run_text(cell: Cell, names: dict[str, Any], where: str) -> Ran:
    return Ran(cell, cell)


def _run_file(cell: Cell, names: dict[str, Any], where: str) -> Ran:
    Path(cell.name).write_text(f"{cell.source}\n", encoding="utf-8")
    return Ran(cell, cell)


def _run_python(cell: Cell, names: dict[str, Any], where: str) -> Ran:
    # So that a traceback, and a report about a function of the page, shows the line.
    linecache.cache[where] = (len(cell.source), None, cell.source.splitlines(keepends=True), where)
    printed = io.StringIO()
    figure = None
    try:
        *body, end = ast.parse(cell.source, where).body
        last = ast.Expression(end.value) if isinstance(end, ast.Expr) else None
        if last is None:
            body.append(end)
        with contextlib.redirect_stdout(printed):
            exec(compile(ast.Module(body, []), where, "exec"), names)
            value = eval(compile(last, where, "eval"), names) if last else None
            if hasattr(value, "savefig"):
                figure = value
            elif value is not None:
                print(repr(value))
    except Exception as error:
        if cell.picture and isinstance(error, ImportError):
            return Ran(cell, cell, missing=str(error))
        if isinstance(error, CollsimError):
            raise
        raise LessonError(f"{where} raised {type(error).__name__}: {error}") from error
    return Ran(replace(cell, output=printed.getvalue()), cell, figure)


def _run_console(cell: Cell, names: dict[str, Any], where: str) -> Ran:
    shown = tuple(PASSING.sub("", command(line)) for line in cell.source.splitlines())
    file = Path(Path(cell.picture).name)  # in the folder of the run
    figure = file.read_bytes() if cell.picture and file.is_file() else None
    return Ran(replace(cell, output="".join(shown), shown=shown), cell, figure)


_RUN: dict[str, Callable[[Cell, dict[str, Any], str], Ran]] = {
    "text": _run_text,
    "python": _run_python,
    "file": _run_file,
    "console": _run_console,
}


def command(line: str) -> str:
    """Return what a collsim command prints, on stdout and stderr; one that finds something wrong (status 1) too.

    Raises
    ------
    LessonError
        If it is another command, or used wrongly.
    """
    from collsim.cli import main

    words = shlex.split(line)
    if words[0] != "collsim":
        raise LessonError(f"a page has the command {line!r}, which is not collsim's")
    printed = io.StringIO()
    try:
        with _environment(), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            main(words[1:])
    except SystemExit as stop:
        if stop.code not in (0, 1):
            raise LessonError(f"{line!r} failed: {printed.getvalue().strip()}") from None
    return printed.getvalue()


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """Take from the environment what would change what a command prints: the width, and that it has colours."""
    before = {name: os.environ.pop(name, None) for name in ("COLUMNS", "FORCE_COLOR")}
    os.environ["COLUMNS"] = COLUMNS
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


# ---- whole pages


def made(lesson: Lesson, text: str) -> str:
    r"""Return the page of a lesson with its heading, its exercises and its last lines made anew.

    Examples
    --------
    >>> print(made(LESSONS["ring"], "# Old\n\nText.\n\n## Exercises\n\nOld.\n").splitlines()[0])
    # Lesson 4: the ring, and why nobody can send less
    """
    body = text.partition(f"\n{EXERCISES}\n")[0].rstrip().split("\n", 1)[1]
    return f"# {lesson.heading}\n{body}\n\n{EXERCISES}\n\n{_asked(lesson)}\n\n{_links(lesson)}\n"


def _asked(lesson: Lesson) -> str:
    asked = [f"**{lesson.number}.{place}** {one.question()}" for place, one in enumerate(lesson.exercises(), start=1)]
    how = (
        f"`collsim lesson {lesson.number}.1 ANSWER` says whether an answer is right, and if not, what may have gone "
        "wrong; with `--solution` it says how the answer comes about."
    )
    return "\n\n".join(_filled(one) for one in [*asked, how])


def _filled(text: str) -> str:
    """Return a paragraph in lines, none of which begins with a unit."""
    joined = _BEFORE_UNIT.sub("\N{NO-BREAK SPACE}", text)
    return textwrap.fill(joined, _WIDTH, break_on_hyphens=False).replace("\N{NO-BREAK SPACE}", " ")


def _links(lesson: Lesson) -> str:
    after = next((other for other in LESSONS.values() if other.number == lesson.number + 1), None)
    following = f"Next: [{after.title}]({after.path.name}). " if after else ""
    return f"{following}`collsim lesson` lists [all of them](README.md)."


def index() -> str:
    """Return the page that lists the lessons.

    Examples
    --------
    >>> index().splitlines()[0]
    '# Lessons'
    """
    rows = [
        f"| {lesson.number} | [{lesson.title}]({lesson.path.name}) | "
        f"{', '.join(str(LESSONS[name].number) for name in lesson.needs) or '-'} |"
        for lesson in LESSONS.values()
    ]
    return "\n".join(["# Lessons", "", _INDEX, "", "| | lesson | needs |", "| --- | --- | --- |", *rows]) + "\n"


_INDEX = """\
From nothing to confidence: each lesson is a page, some ten minutes, and ends with three exercises whose answers a
command checks. Read them here, in the terminal, or as a notebook:

```console
$ collsim lesson
$ collsim lesson 4
$ collsim lesson 4 --run
$ collsim lesson 4.2 700ms
$ collsim lesson 4 --notebook ring.ipynb
```

All code is run, and what stands below it is what it prints. The lessons share one network, unless they say otherwise:
10 GB/s from and to every worker, and a latency of 5 us a message."""


def differences(lesson: Lesson, text: str | None = None) -> list[str]:
    """Return what a page shows that is not so, a paragraph each; empty if all is as it should be.

    Parameters
    ----------
    lesson : Lesson
        Whose page it is.
    text : str, optional
        The page; default: the one there is.

    Raises
    ------
    LessonError
        If it cannot be run.

    Examples
    --------
    >>> page = LESSONS["exact"].text()
    >>> differences(LESSONS["exact"], page.replace("verified", "refuted"))[0].splitlines()[0]
    '01-exact.md shows what is not printed:'
    """
    page = lesson.text() if text is None else text
    found = []
    if made(lesson, page) != page:
        found.append(
            _difference(f"{lesson.path.name} has another heading, other exercises or links:", page, made(lesson, page))
        )
    cells = parse(page)
    if render(cells) != page:
        found.append(_difference(f"{lesson.path.name} is not written as it would be made:", page, render(cells)))
    for ran in run(cells, lesson.name):
        if not ran.same:
            before, now = ran.before.markdown(), ran.cell.markdown()
            found.append(_difference(f"{lesson.path.name} shows what is not printed:", before, now))
        if bool(ran.cell.picture) != (ran.figure is not None):
            what = "shows a picture that is not drawn" if ran.cell.picture else "draws a picture and shows none"
            found.append(f"{lesson.path.name} {what}:\n{ran.cell.source}")
    return found


def _difference(title: str, before: str, now: str) -> str:
    lines = difflib.unified_diff(before.splitlines(), now.splitlines(), "page", "now", lineterm="", n=1)
    return "\n".join([title, *lines])


def write(lessons: Sequence[Lesson] = tuple(LESSONS.values())) -> list[Path]:
    """Write pages and pictures anew, and return the pictures; only in a checkout.

    Parameters
    ----------
    lessons : sequence of Lesson
        Which; default: all, and then pictures that no page shows are removed, and the page that lists them is written.
    """
    pictures: list[Path] = []
    for lesson in lessons:
        cells = []
        for ran in run(parse(made(lesson, lesson.text())), lesson.name):
            cells.append(ran.cell)
            if ran.figure is not None and ran.cell.picture:
                pictures.append(save_picture(ran.figure, FOLDER / ran.cell.picture))
        lesson.path.write_text(render(cells), encoding="utf-8")
    if len(lessons) == len(LESSONS):
        (FOLDER / "README.md").write_text(index(), encoding="utf-8")
        for left in {*(FOLDER / "pictures").glob("*")} - {*pictures}:
            left.unlink()
    return pictures


def save_picture(figure: Figure | bytes, path: Path) -> Path:
    """Write a picture that a cell has drawn, and return its path."""
    if isinstance(figure, bytes):
        path.write_bytes(figure)
    else:
        from collsim.plots import save_figure

        save_figure(figure, path)
    return path
