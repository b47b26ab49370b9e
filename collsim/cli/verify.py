"""``collsim verify``: the proof, from the command line."""

from __future__ import annotations

import sys

import click

from collsim.catalog import make_schedule
from collsim.cli.options import algorithm_options, parse_options
from collsim.cli.output import print_json
from collsim.errors import VerificationError
from collsim.replay import verify


@click.command(
    "verify",
    epilog="""\b
Examples:
  collsim verify all_reduce -a ring -n 17
  collsim verify all_reduce -a my_algorithm.py:my_ring -n 6
""",
)
@click.argument("collective")
@click.option("-a", "--algorithm", required=True, metavar="NAME", help="See 'collsim list', or file.py:function.")
@click.option("-n", "--ranks", required=True, metavar="K", help="Number of ranks.")
@algorithm_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def command(collective: str, algorithm: str, ranks: str, options: tuple[str, ...], as_json: bool) -> None:
    """Prove that an algorithm counts each contribution exactly once, or say where it does not."""
    schedule = make_schedule(collective, algorithm, ranks, **parse_options(options))  # type: ignore[arg-type]
    fault = None
    try:
        verify(schedule)
    except VerificationError as error:
        fault = error
    name = f"{schedule.collective.name} by {schedule.algorithm} on {schedule.ranks} ranks"
    if as_json:
        print_json(
            {
                "collective": schedule.collective.name,
                "algorithm": schedule.algorithm,
                "ranks": schedule.ranks,
                "steps": schedule.steps,
                "messages": schedule.messages,
                "chunks": schedule.chunks,
                "verified": fault is None,
                "fault": None if fault is None else str(fault),
                "rank": None if fault is None else fault.rank,
                "chunk": None if fault is None else fault.chunk,
                "step": None if fault is None else fault.step,
            }
        )
    elif fault is None:
        click.echo(
            f"{name}: verified. After {schedule.steps} steps and {schedule.messages} messages every rank holds, in "
            f"each of {schedule.chunks} chunks, exactly the contributions that it must, each counted once."
        )
    if fault is not None:
        if not as_json:
            click.echo(f"collsim: error: {name} is wrong: {fault}", err=True)
        sys.exit(1)
