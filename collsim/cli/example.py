"""``collsim example``: the textbook's examples, run; and what this command shares with ``collsim exercise``."""

from __future__ import annotations

import click

from collsim.book import EXAMPLES, Entry, brief, grouped
from collsim.cli import comma_separated
from collsim.cli.output import print_json, print_table, print_words
from collsim.errors import unknown
from collsim.units import format_time


class NumberedGroup(click.Group):
    """A group whose commands are numbers of the book; an unknown one is answered with those that there are."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve a command."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            raise unknown(str(self.name), args[0], self.commands)
        return super().resolve_command(ctx, args)


def heading(kind: str, entry: Entry) -> str:
    """Return the first line of an answer."""
    return f"{kind} {entry.number}: {entry.title}"


@click.group("example", cls=NumberedGroup, epilog="\b\nExample:\n  collsim example 1.1.1\n")
def command() -> None:
    """Run one of the textbook's examples."""


@command.command(
    "1.1.1",
    short_help=EXAMPLES["1.1.1"].title,
    epilog="""\b
Examples:
  collsim example 1.1.1
  collsim example 1.1.1 --workers 7 --algorithms ring,tree
  collsim example 1.1.1 --json
""",
)
@click.option("--workers", default="8", show_default=True, metavar="K", help="Number of workers.")
@click.option(
    "--algorithms", metavar="NAME,...", callback=comma_separated, help="All-reduce algorithms (default: all of them)."
)
@click.option("--examples", default="100000", show_default=True, metavar="N", help="Number of examples.")
@click.option("--features", default="50", show_default=True, metavar="D", help="Features of each example.")
@click.option("--seed", default="0", show_default=True, metavar="N", help="Of the data.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def gradient(workers: str, algorithms: list[str], examples: str, features: str, seed: str, as_json: bool) -> None:
    """Compute one gradient on several workers and on one machine, and compare.

    The data are those of a linear model with a mean squared error, at w = 0. The partial sums of the
    workers are combined by an all-reduce that was verified and is then executed, to the last bit.
    """
    from collsim.book import example_1_1_1

    figures = example_1_1_1.answer(
        workers, examples=examples, features=features, seed=seed, algorithms=algorithms or None
    )
    if as_json:
        print_json(figures.to_dict())
        return
    click.echo(heading("Example", EXAMPLES["1.1.1"]))
    click.echo(
        f"N = {grouped(figures.examples)} examples, d = {figures.features} features, seed {figures.seed}, "
        f"{grouped(figures.workers)} worker{'s' if figures.workers > 1 else ''}; mean squared error at w = 0\n"
    )
    print_table(
        ("all-reduce", "largest difference", "relative error", "same bits", "steps", "simulated time"),
        [
            (
                record.algorithm,
                brief(record.max_abs_difference),
                brief(record.relative_error),
                "yes" if record.workers_agree else "no",
                str(record.steps),
                format_time(record.time),
            )
            for record in figures.algorithms
        ],
    )
    print_words(example_1_1_1.explain(figures))
