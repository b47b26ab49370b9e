"""``collsim run``: one simulation."""

from __future__ import annotations

import sys
from typing import Any

import click

from collsim.accuracy import CHECKED_DTYPES, check
from collsim.catalog import make_schedule
from collsim.cli.networks import network_and_ranks, run_options
from collsim.cli.options import bring_a_network, parse_offsets, parse_options, settings, was_given
from collsim.cli.output import print_facts, print_json, progress_bar
from collsim.errors import InputError
from collsim.schedule import Schedule
from collsim.simulation import choose_schedule, simulate
from collsim.symmetric import SymmetricSchedule
from collsim.topology_files import load_topology
from collsim.units import parse_count

# With --check the numbers are the point; the times need some network.
_CHECKED_ON = "book"


@click.command(
    "run",
    epilog="""\b
Examples:
  collsim run all_reduce -a ring -n 8 -s 4GB -t star --bandwidth 10GB/s --latency 5us
  collsim run all_reduce -a tree -n 8 -s 4GB --alpha 5us --beta 0.1ns --json
  collsim run all_reduce -a ring -s 64MiB -t nvidia/dgx-a100
  collsim run all_reduce -a ring -s 64MiB -t torus:4x4 --bandwidth 10GB/s --latency 1us --placement random:7
  collsim run all_reduce -a ring -n 8 -s 4MB --check --dtype float32
  collsim run all_reduce -a ring -s 64MiB -t nvidia/dgx-a100 --trace ring.json
""",
)
@run_options
@click.option(
    "--check",
    "checked",
    is_flag=True,
    help="Verify, and move real data to see how exact the result is (without a network: on that of the book).",
)
@click.option(
    "--dtype",
    default="float32",
    show_default=True,
    type=click.Choice(CHECKED_DTYPES),
    help="Of the data that --check moves.",
)
@click.option("--seed", default="0", show_default=True, metavar="N", help="Of the data that --check moves.")
@click.option(
    "--trace",
    metavar="FILE",
    help="Write when every message left and arrived: a .json for Perfetto (or .json.gz), a .csv or a .parquet file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def command(
    collective: str,
    algorithm: str,
    ranks: str | None,
    size: str,
    topology: str | None,
    options: tuple[str, ...],
    offsets: tuple[str, ...],
    checked: bool,
    dtype: str,
    seed: str,
    trace: str | None,
    as_json: bool,
    **shared: Any,
) -> None:
    """Simulate one COLLECTIVE and report its time, bandwidth and bounds."""
    drawn = parse_count(seed, "seed", minimum=0)
    if not checked and (asked := [f"--{name}" for name in ("dtype", "seed") if was_given(name)]):
        raise InputError(f"{' and '.join(asked)} {'say' if len(asked) > 1 else 'says'} what --check moves: add --check")
    if trace is not None:
        from collsim.formats import check_trace, write_trace  # not for every run: it brings what traces are made of

        check_trace(trace)
    network, count = network_and_ranks(topology, ranks, shared)
    run_settings = settings(**shared)
    if checked and network is None and not bring_a_network(run_settings):
        network = load_topology(_CHECKED_ON, count)
    late = parse_offsets(offsets, parse_count(count, "ranks"))
    given_options = parse_options(options)
    if checked or (trace is not None and run_settings["engine"] != "symmetric"):  # that needs the rows
        schedule: Schedule | SymmetricSchedule = make_schedule(collective, algorithm, count, **given_options)
    else:
        schedule = choose_schedule(collective, algorithm, count, given_options, {**run_settings, "offsets": late})
    with progress_bar("simulating", schedule.messages) as progress:
        result = simulate(
            schedule,
            network,
            size,
            offsets=late,
            progress=progress,
            **run_settings,
        )
    if trace is not None:
        write_trace(result, trace)
    record = result.to_dict()
    report = None
    if isinstance(schedule, Schedule) and checked:
        report = check(schedule, result.nbytes, dtype=dtype, seed=drawn)
        record |= report.to_dict()
    if as_json:
        print_json(record)
    else:
        click.echo(f"{result.title}\n")
        print_facts(result.facts())
        if report is not None:
            click.echo()
            print_facts(report.facts())
    if report is not None and not report.passed:
        click.echo(f"collsim: error: {report.fault}", err=True)
        sys.exit(1)
