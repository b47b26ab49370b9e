"""``collsim show``: a schedule step by step, in the terminal or as a page that plays it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from collsim.catalog import ALGORITHMS, make_schedule
from collsim.cli.networks import network_and_ranks, topology_options
from collsim.cli.options import (
    algorithm_options,
    bring_a_network,
    parse_options,
    settings,
    simulation_options,
    was_given,
)
from collsim.collectives import collective_name
from collsim.errors import InputError
from collsim.replay import verify
from collsim.results import Result
from collsim.schedule import Schedule
from collsim.showing import WIDTH, Line, show_lines, small_values
from collsim.simulation import simulate
from collsim.topology_files import load_topology
from collsim.units import format_size, parse_count

_RANKS = 4  # few enough to read
# Where nothing is said of it: the textbook's gradient, on the textbook's network.
_SIZE, _BOOK = "4GB", "book"
_STYLES = {
    "title": "bold",
    "changed": "bold yellow",
    "done": "green",
    "wrong": "bold red",
    "faint": "dim",
}
_NARROWEST = 60  # columns: a terminal below that breaks lines itself


@click.command(
    "show",
    epilog="""\b
Examples:
  collsim show ring -n 4
  collsim show halving_doubling -n 8 --step 0..2
  collsim show tree -n 5 --values --rank 0,3
  collsim show all_to_all bruck -n 5
  collsim show ring -n 4 -s 4MB -t star --bandwidth 10GB/s --latency 5us
  collsim show ring,tree -n 6 --html player.html
""",
)
@click.argument("names", nargs=-1, metavar="[COLLECTIVE] ALGORITHM,...")
@click.option("-c", "--collective", "promised", metavar="NAME", help="What is carried out (default: all_reduce).")
@click.option("-a", "--algorithm", metavar="NAME,...", help="The algorithm may be given so, too, as to other commands.")
@click.option("-n", "--ranks", metavar="K", help=f"Number of ranks (default: of the topology, or {_RANKS}).")
@click.option("--step", "steps", metavar="STEPS", help="Show these only: 2, 1..3, or 0,2..4.")
@click.option("--rank", "only", metavar="RANKS", help="Show these only, and what they send and receive.")
@click.option(
    "--values", "with_values", is_flag=True, help="Show real numbers in place of a+b: whole ones from 1 to 9."
)
@click.option("--seed", default="0", show_default=True, metavar="N", help="What --values are drawn from.")
@click.option(
    "--html",
    "page",
    metavar="FILE",
    help=f"Write a page that plays it, several algorithms side by side (default: {_SIZE} on the network {_BOOK!r}).",
)
@click.option("-s", "--size", metavar="SIZE", help="Of the whole vector: 4GB, 64MiB; then each step has its times.")
@click.option("-t", "--topology", metavar="NAME", help="A shape, a machine or a TOML file; see 'collsim list'.")
@topology_options
@simulation_options
@algorithm_options
def command(
    names: tuple[str, ...],
    promised: str | None,
    algorithm: str | None,
    ranks: str | None,
    steps: str | None,
    only: str | None,
    with_values: bool,
    seed: str,
    page: str | None,
    size: str | None,
    topology: str | None,
    options: tuple[str, ...],
    **shared: Any,
) -> None:
    """Show an algorithm step by step: who sends what to whom, and what every rank then holds.

    The collective is all_reduce unless you name another, before the algorithm or with -c.
    """
    collective, algorithms = _asked(names, promised, algorithm)
    asked = str(_RANKS) if topology is None and ranks is None else ranks
    network, some = network_and_ranks(topology, asked, shared)
    given = settings(**shared)
    count = parse_count(some, "ranks")
    drawn = parse_count(seed, "seed", minimum=0)
    if page is not None:
        if not page.lower().endswith((".html", ".htm")):
            raise InputError(f"--html writes a page for a browser: call it something.html, got {page!r}")
        _refuse_beside_page()
    timed = network is not None or bring_a_network(given)
    if page is not None and not timed:
        network, timed = load_topology(_BOOK, count), True
    if not timed:
        _refuse_without_network()
    schedules = [make_schedule(collective, name, count, **parse_options(options)) for name in algorithms]
    shown: Sequence[Schedule | Result] = schedules
    if timed:
        shown = [simulate(schedule, network, _size_of(schedule, size), **given) for schedule in schedules]
    if page is not None:
        _write(page, [one for one in shown if isinstance(one, Result)])
    else:
        for number, one in enumerate(shown):
            if number:
                click.echo()
            values = small_values(schedules[number], drawn) if with_values else None
            _print(one, values, steps, only, drawn)
    for schedule in schedules:
        verify(schedule)  # a wrong one ends in an error of one line


def _asked(names: tuple[str, ...], promised: str | None, algorithm: str | None) -> tuple[str, list[str]]:
    """Return the collective and the algorithms that somebody means."""
    words = [*names, *([] if algorithm is None else [algorithm])]
    if promised is not None:
        words.insert(0, promised)
    if len(words) > 2:
        raise InputError(
            f"show takes a collective and an algorithm (several with commas, without blanks), got {' '.join(words)!r}"
        )
    if not words:
        raise InputError("name an algorithm, as in 'collsim show ring -n 4'; 'collsim list algorithms' shows them")
    if len(words) == 1:
        if _is_collective(words[0]):
            some = next(name for owner, name in ALGORITHMS if owner == collective_name(words[0]))
            raise InputError(
                f"{words[0]} is a collective: name an algorithm of it, too, as in 'collsim show {words[0]} {some}'"
            )
        words.insert(0, "all_reduce")
    collective = collective_name(words[0])
    algorithms = [part.strip() for part in words[1].split(",") if part.strip()]
    if not algorithms:
        raise InputError(f"{words[1]!r} names no algorithm")
    if len(set(algorithms)) < len(algorithms):
        raise InputError(f"{words[1]!r} names an algorithm twice: name different ones to compare them")
    for name in algorithms:
        owners = [owner for owner, known in ALGORITHMS if known == name]
        if owners and collective not in owners:
            raise InputError(
                f"{name} is an algorithm of {' and '.join(owners)}, not of {collective}: "
                f"use 'collsim show {owners[0]} {name}'"
            )
    return collective, algorithms


def _is_collective(name: str) -> bool:
    try:
        collective_name(name)
    except InputError:
        return False
    return True


def _refuse_without_network() -> None:
    of_times = ("size", "gamma", "model", "parameters", "engine", "ordering", "itemsize", "header_bytes")
    named = next(filter(was_given, of_times), None)
    if named is not None:
        flag = {"parameters": "-p", "size": "--size"}.get(named, f"--{named.replace('_', '-')}")
        raise InputError(
            f"{flag} is for times, which need a network: give -t star --bandwidth ..., or --alpha and --beta"
        )


def _refuse_beside_page() -> None:
    named = next(filter(was_given, ("steps", "only", "with_values")), None)
    if named is not None:
        flag = {"steps": "--step", "only": "--rank", "with_values": "--values"}[named]
        raise InputError(f"{flag} is for the text; it does not go with --html, whose page shows everything")


def _size_of(schedule: Schedule, size: str | None) -> str:
    if size is not None:
        return size
    return _SIZE if schedule.collective.shares(schedule.ranks, schedule.chunks).any() else "0"


def _print(what: Schedule | Result, values: Any, steps: str | None, only: str | None, seed: int) -> None:
    """Print the steps: in colour and as wide as there is room for on a terminal, else as plain text."""
    remark = f"Numbers are drawn from 1 to 9 (seed {seed})." if values is not None else ""
    on_terminal = sys.stdout.isatty()
    width = max(_NARROWEST, shutil.get_terminal_size((WIDTH, 24)).columns) if on_terminal else WIDTH
    lines = show_lines(what, values=values, steps=steps, ranks=only, width=width, remark=remark)
    if on_terminal:
        _print_coloured(lines)
    else:
        for line in lines:
            click.echo("".join(span.text for span in line).rstrip())


def _print_coloured(lines: Iterable[Line]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for line in lines:
        console.print(Text.assemble(*((span.text, _STYLES.get(span.style, "")) for span in line)), soft_wrap=True)


def _write(page: str, results: Sequence[Result]) -> None:
    from collsim.player import player_page

    text = player_page(results)
    try:
        Path(page).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {page!r}: {error.strerror}") from None
    first = results[0]
    names = ", ".join(result.schedule.algorithm for result in results)
    click.echo(
        f"{page}: {first.schedule.collective.name} by {names}, {first.schedule.ranks} ranks, "
        f"{format_size(first.nbytes)} on {first.topology or 'a network without a topology'}; open it in a browser"
    )
