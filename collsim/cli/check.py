"""``collsim check``: hold an algorithm of one's own to everything, and say what is wrong with it."""

from __future__ import annotations

import contextlib
import sys

import click

from collsim.algorithms.table import ADMITS, VECTOR_FORMS
from collsim.cli import comma_separated
from collsim.cli.options import algorithm_options, parse_options
from collsim.cli.output import print_facts, print_json, print_table
from collsim.testing import Case, Fault, Report, examine_file, spell

# As many numbers of ranks as a table for people shows.
_MOST_SHOWN = 8


@click.command(
    "check",
    epilog="""\b
Examples:
  collsim check my_algorithm.py:my_ring --collective all_reduce
  collsim check my_algorithm.py:my_doubling -n 1,2,3,4,8 --admits "power of two"
  collsim check my_algorithm.py:my_broadcast -c broadcast -o segments=4 --json

\b
Exit status: 0 if it is right, 1 if it is wrong (what happens is printed), 2 for bad usage.
""",
)
@click.argument("algorithm", metavar="FILE.py:FUNCTION")
@click.option("-c", "--collective", default="all_reduce", show_default=True, metavar="NAME", help="What it must do.")
@click.option(
    "-n", "--ranks", metavar="K,...", callback=comma_separated, help="Numbers of ranks (default: 1 to 17, 32, 33, 64)."
)
@click.option(
    "--admits",
    type=click.Choice(list(ADMITS)),
    help="The numbers of ranks that it must work for; it must refuse the others (default: any).",
)
@algorithm_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def command(
    algorithm: str, collective: str, ranks: list[str], admits: str | None, options: tuple[str, ...], as_json: bool
) -> None:
    """Check an algorithm of your own: prove, execute and simulate it, and say what is wrong."""
    # What the author's file prints is not part of the report.
    with contextlib.redirect_stdout(sys.stderr):
        report = examine_file(
            algorithm,
            collective,
            ranks or None,  # type: ignore[arg-type]
            parse_options(options),
            admits=admits,
        )
    if as_json:
        print_json(report.to_dict())
    elif report.passed:
        _print(report)
    else:
        click.echo("\n\n".join(report.explanation()))
    if report.fault is not None:
        if not as_json:
            click.echo(
                f"collsim: error: {algorithm} is not a right {report.collective}{_where(report.fault)}", err=True
            )
        sys.exit(1)


def _print(report: Report) -> None:
    click.echo(f"{report.algorithm} is a right {report.collective} for K = {spell(report.right)}.\n")
    simulated = [case.ranks for case in report.cases if case.simulated]
    facts = {"proved": "each rank ends with what it must have, every contribution counted once"}
    if report.collective == "barrier":
        facts["proved"] = "no rank ends before it has heard from every other"
    elif report.collective.removesuffix("v") in VECTOR_FORMS and report.collective.endswith("v"):
        facts["executed"] = "vectors of whole numbers, with parts of several lengths, 0 among them: exact"
    else:
        facts["executed"] = "vectors of 0, 1, K-1, K, K+1 and 3K+2 whole numbers: exact"
    facts["simulated"] = f"all engines agree, and dataflow comes to its end, for K = {spell(simulated)}"
    facts["repeatable"] = "two calls write the same schedule"
    if report.refused:
        facts["refused"] = f"with advice, as declared: K = {spell(report.refused)}"
    agree = [case.ranks_agree for case in report.cases if case.ranks_agree is not None]
    if agree:
        facts["order of sums"] = (
            "all ranks end with the same bits"
            if all(agree)
            else "ranks add in different orders: their last bits differ"
        )
    print_facts({name: ("", text) for name, text in facts.items()})
    click.echo()
    columns = ["K", "steps", "messages", "chunks", "sent by a rank", "least possible", "depth of sums"]
    shown = _selection(report.cases)
    print_table(columns, [_cells(case) for case in shown], left=())
    click.echo(
        "\nsent by a rank: the most that one sends, in whole vectors. depth of sums: additions on the longest way."
    )


def _where(fault: Fault) -> str:
    # Where it shows; its cause, often at another rank and step, is what the explanation above is about.
    shows = [f"{name} {value}" for name, value in (("rank", fault.rank), ("chunk", fault.chunk)) if value is not None]
    parts = ([] if fault.ranks is None else [f"K = {fault.ranks}"]) + (
        [f"shows at {', '.join(shows)}"] if shows else []
    )
    return f" ({': '.join(parts)})" if parts else ""


def _selection(cases: tuple[Case, ...]) -> list[Case]:
    """Return the cases that are shown: all if they are few, else some small, some odd, and the largest."""
    several = [case for case in cases if case.ranks > 1] or list(cases)
    if len(several) <= _MOST_SHOWN:
        return several
    wanted = {2, 3, 4, 7, 8, 16, 17}
    first = [case for case in several[:-1] if case.ranks in wanted]
    return [*first[: _MOST_SHOWN - 1], several[-1]]


def _cells(case: Case) -> list[str]:
    return [
        str(case.ranks),
        str(case.steps),
        str(case.messages),
        str(case.chunks),
        f"{case.sent:.4g}",
        "-" if case.least_sent is None else f"{case.least_sent:.4g}",
        "-" if case.depth is None else str(case.depth),
    ]
