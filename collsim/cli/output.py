"""What commands print: tables for people, one JSON document or CSV for programs, progress on a terminal."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import click

# Below this many moves a simulation is over before a progress bar could be read.
_WORTH_SHOWING = 50_000

_WIDTH = 92
# Blanks at which no line is broken: within 12 500, 300 ms, 73 %, K = 8.
_UNBROKEN = re.compile(r"(?<=\d) (?=\d{3}\b|[munp]?s\b|[kMGTP]?B\b|%)|(?<=\b[KNd]) (?==)|(?<=\b[KNd] =) ")


def print_json(document: Any) -> None:
    """Print one JSON document and nothing else."""
    click.echo(json.dumps(document, indent=2, allow_nan=False))


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    title: str = "",
    left: Sequence[int] = (0,),
    whole: Sequence[int] = (),
) -> None:
    """Print aligned columns: those numbered in `left` to the left, the others, numbers, to the right.

    Where there is no room, lines are broken in columns to the left that are not among `whole`.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_header=any(columns), show_edge=False)
    for number, name in enumerate(columns):
        table.add_column(
            Text(name),
            justify="left" if number in left else "right",
            no_wrap=number not in left or number in whole,
        )
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    # A pipe or a file has no width: never cut a table there. In a notebook it is text as well.
    console = Console() if sys.stdout.isatty() else Console(width=1000, force_jupyter=False)
    if title:
        click.echo(f"{title}\n")
    with console.capture() as capture:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in capture.get().splitlines()))


def print_facts(facts: Mapping[str, str | tuple[str, str]]) -> None:
    """Print names, values and remarks, a line each."""
    rows = [(name, *((value, "") if isinstance(value, str) else value)) for name, value in facts.items()]
    name_width = max(len(name) for name, _, _ in rows)
    value_width = max(len(value) for _, value, _ in rows)
    for name, value, remark in rows:
        click.echo(f"{name:<{name_width}}  {value:>{value_width}}  {remark}".rstrip())


def print_words(paragraphs: Iterable[str]) -> None:
    """Print paragraphs, each after an empty line, wrapped to the terminal or to a width that is easy to read."""
    width = min(_WIDTH, max(40, shutil.get_terminal_size((_WIDTH, 24)).columns))
    for paragraph in paragraphs:
        joined = _UNBROKEN.sub("\N{NO-BREAK SPACE}", paragraph)
        lines = textwrap.fill(joined, width, break_on_hyphens=False, break_long_words=False)
        click.echo("\n" + lines.replace("\N{NO-BREAK SPACE}", " "))


@contextlib.contextmanager
def progress_bar(what: str, total: int) -> Iterator[Callable[[int, int], None] | None]:
    """Show a progress bar on stderr if that is a terminal and the job is long enough to be worth it."""
    if total < _WORTH_SHOWING or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn(what),
        BarColumn(),
        TextColumn("{task.percentage:.0f} %"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task(what, total=total)
        yield lambda done, _: bar.update(task, completed=done)
