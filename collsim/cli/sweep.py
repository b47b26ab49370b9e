"""``collsim sweep``: many simulations, one row each."""

from __future__ import annotations

import csv
import sys
from typing import Any

import click

from collsim.cli import comma_separated
from collsim.cli.networks import refuse_without_topology, separate_topologies, topology_arguments, topology_options
from collsim.cli.options import algorithm_options, parse_options, separate_counts, settings, simulation_options
from collsim.cli.output import print_json, print_table
from collsim.errors import CollsimError
from collsim.sweeps import Record, iter_sweep
from collsim.units import format_bandwidth, format_size, format_time


@click.command(
    "sweep",
    epilog="""\b
Examples:
  collsim sweep all_reduce -a naive,ring,tree -n 2,4,8,16 -s 4GB -t star --bandwidth 10GB/s --latency 5us
  collsim sweep all_reduce -a ring,tree -n 64 -s 1kB,1MB,1GB --alpha 5us --beta 0.1ns --csv
  collsim sweep all_reduce -a ring,swing -n 2..65536*2 -s 4GB -t star --bandwidth 10GB/s --latency 5us
""",
)
@click.argument("collectives", metavar="COLLECTIVE[,...]", callback=comma_separated)
@click.option("-a", "--algorithms", required=True, metavar="NAME,...", callback=comma_separated, help="Algorithms.")
@click.option(
    "-n", "--ranks", required=True, metavar="K,...", callback=separate_counts, help="Numbers of ranks: 8,16 or 2..64*2."
)
@click.option("-s", "--sizes", required=True, metavar="SIZE,...", callback=comma_separated, help="Sizes: 1MB,1GB.")
@click.option("-t", "--topologies", metavar="NAME,...", callback=separate_topologies, help="Shapes, machines or files.")
@topology_options
@simulation_options
@algorithm_options
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, each row as soon as it is known.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def command(
    collectives: list[str],
    algorithms: list[str],
    ranks: list[int | str],
    sizes: list[str],
    topologies: list[str],
    options: tuple[str, ...],
    as_csv: bool,
    as_json: bool,
    **shared: Any,
) -> None:
    """Simulate every combination of the comma-separated values given."""
    if as_csv and as_json:
        raise click.UsageError("give --csv or --json, not both")
    for flag, values in (("COLLECTIVE", collectives), ("-a", algorithms), ("-n", ranks), ("-s", sizes)):
        if not values:
            raise click.UsageError(f"{flag} names nothing; give one value or several, separated by commas")
    changes = topology_arguments(shared)
    if not topologies:
        refuse_without_topology(changes)
    records = iter_sweep(
        collectives,
        algorithms,
        ranks,  # type: ignore[arg-type]
        sizes,
        topology=topologies or None,
        **changes,
        options=parse_options(options),
        **settings(**shared),
    )
    total = len(collectives) * len(algorithms) * len(ranks) * len(sizes) * max(1, len(topologies))
    done: list[Record] = []
    interrupted = False
    failure: CollsimError | MemoryError | None = None
    writer = None
    try:
        for record in records:
            done.append(record)
            if as_csv:
                if writer is None:
                    writer = csv.DictWriter(sys.stdout, fieldnames=list(record), lineterminator="\n")
                    writer.writeheader()
                writer.writerow(record)
                sys.stdout.flush()
            elif sys.stderr.isatty():
                click.echo(f"\r{len(done)} of {total}", nl=False, err=True)
    except KeyboardInterrupt:
        interrupted = True
    except (CollsimError, MemoryError) as error:  # of a simulation; the values were all checked before the first
        if not done:
            raise
        failure = error
    if not as_csv and sys.stderr.isatty():
        click.echo("\r" + " " * 20 + "\r", nl=False, err=True)
    if as_json:
        print_json(done)
    elif not as_csv:
        _print(done)
    if interrupted:
        click.echo(f"collsim: interrupted after {len(done)} of {total}; what was done is printed", err=True)
        sys.exit(130)
    if failure is not None:
        click.echo(f"collsim: stopped after {len(done)} of {total}; what was done is printed", err=True)
        raise failure


def _print(records: list[Record]) -> None:
    rows = [
        (
            record["collective"],
            record["algorithm"],
            record["topology"] or "-",
            str(record["ranks"]),
            format_size(record["size_bytes"]),
            format_time(record["time_s"]),
            "-" if record["busbw_Bps"] is None else format_bandwidth(record["busbw_Bps"]),
            format_size(record["max_sent_bytes"]),
            str(record["messages"]),
            f"{100 * record['efficiency']:.4g} %",
        )
        for record in records
    ]
    names = ("collective", "algorithm", "topology", "ranks", "size", "time", "busbw", "sent", "messages", "efficiency")
    # What is the same in every row of a long name is noise: a column with nothing in it is left out.
    shown = [i for i in range(len(names)) if any(row[i] != "-" for row in rows)]
    print_table(
        [names[i] for i in shown],
        [[row[i] for i in shown] for row in rows],
        left=[place for place, i in enumerate(shown) if i < 3],
    )
