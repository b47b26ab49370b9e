"""``collsim explain``: why a run takes as long as it does."""

from __future__ import annotations

from typing import Any

import click

from collsim.cli.networks import network_and_ranks, run_options
from collsim.cli.options import parse_offsets, parse_options, settings
from collsim.cli.output import print_facts, print_json, print_table, print_words, progress_bar
from collsim.explanation import PARTS, Explanation, MoveOnPath, Usage, Waited, explain, named, written_out
from collsim.simulation import choose_schedule, simulate
from collsim.symmetric import SymmetricSchedule
from collsim.units import format_size, format_time, parse_count

_MOST_WAITS = 4  # places that are shown
_FEW = 6  # messages that are named


@click.command(
    "explain",
    epilog="""\b
Time is followed back from the end, along the moves that could not begin before another had ended: the critical
path. Each piece of it belongs to one part, and the parts add up to the time.

\b
Examples:
  collsim explain all_reduce -a naive -n 16 -s 64MB -t star --bandwidth 10GB/s --latency 5us
  collsim explain all_reduce -a ring -n 8 -s 4kB --alpha 5us --beta 0.1ns --moves
  collsim explain all_reduce -a ring -n 16 -s 64MB -t leaf-spine:4x4,oversubscription=4 --bandwidth 10GB/s --latency 1us
  collsim explain broadcast -a binomial -n 8 -s 1MB -t star --bandwidth 10GB/s --latency 5us --offset 4=1ms
""",
)
@run_options
@click.option("--moves", is_flag=True, help="Also show the critical path, move by move.")
@click.option("--no-advice", is_flag=True, help="Do not try other algorithms.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def command(
    collective: str,
    algorithm: str,
    ranks: str | None,
    size: str,
    topology: str | None,
    options: tuple[str, ...],
    offsets: tuple[str, ...],
    moves: bool,
    no_advice: bool,
    as_json: bool,
    **shared: Any,
) -> None:
    """Simulate one COLLECTIVE and say why it takes that long."""
    network, count = network_and_ranks(topology, ranks, shared)
    late = parse_offsets(offsets, parse_count(count, "ranks"))
    schedule = choose_schedule(collective, algorithm, count, parse_options(options), {"offsets": late})
    if isinstance(schedule, SymmetricSchedule):
        schedule = written_out(schedule)
    with progress_bar("simulating", schedule.messages) as progress:
        result = simulate(schedule, network, size, offsets=late, progress=progress, **settings(**shared))
    found = explain(result, advice=not no_advice)
    if as_json:
        print_json(found.to_dict(moves=moves))
    else:
        _print(found, moves)


def _print(found: Explanation, moves: bool) -> None:
    result = found.result
    click.echo(f"{result.title}\n")
    count = found.moves_on_path
    print_facts(
        {
            "time": (format_time(result.time), f"along a critical path of {count} move{'s' * (count != 1)}:"),
            "lower bound": (format_time(result.bound.seconds), result.bound.reason),
        }
    )
    if result.time:
        click.echo("")
        _print_parts(found)
    if found.waits:
        click.echo("")
        waits = [_waited(found, one) for one in found.waits[:_MOST_WAITS]]
        print_table(["where the path waits", "", "time", "for, or with"], waits, left=(0, 1, 3))
    for title, share, usages in (
        ("busiest links", "utilisation", found.links),
        ("busiest ranks", "of the time", found.ranks),
    ):
        if usages:
            click.echo("")
            print_table([title, "busy", share, "bytes", "messages"], [_used(one) for one in usages])
    if moves and found.path:
        click.echo("")
        _print_moves(found)
    print_words([f"{found.in_words_of_gap[0].upper()}{found.in_words_of_gap[1:]}."])
    if found.advice:
        print_words([f"{found.advice[0].upper()}{found.advice[1:]}"])


def _print_parts(found: Explanation) -> None:
    rows = [
        [part, format_time(seconds), f"{100 * seconds / found.result.time:.1f} %", PARTS[part]]
        for part, seconds in found.parts.items()
        if seconds
    ]
    print_table(["part", "time", "of all", "what it is"], rows, left=(0, 3))


def _waited(found: Explanation, one: Waited) -> list[str]:
    return [one.name, one.part, format_time(one.seconds), _some(named(found.result, one.rows))]


def _some(names: list[str]) -> str:
    """Return the first of many names."""
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return ", ".join(names[:_FEW]) + more


def _used(one: Usage) -> list[str]:
    return [
        one.name,
        format_time(one.busy),
        f"{100 * one.utilisation:.1f} %",
        format_size(one.nbytes),
        str(one.messages),
    ]


def _print_moves(found: Explanation) -> None:
    rows = [
        [
            str(one.step) if one.row >= 0 else "",
            _what(one),
            format_time(one.start),
            ", ".join(f"{part} {format_time(one.parts[part])}" for part in PARTS if part in one.parts),
            one.because,
        ]
        for one in found.moves
    ]
    print_table(["step", "move", "begins", "spent on", "why not sooner"], rows, left=(1, 3, 4), whole=(1,))


def _what(one: MoveOnPath) -> str:
    if one.op == "START":
        return f"rank {one.src} starts"
    if one.op == "COMPUTE":
        return f"rank {one.src} computes"
    return f"{one.src} -> {one.dst} chunk {one.chunk}{' +' if one.op == 'REDUCE' else ''}"
