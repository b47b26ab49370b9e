"""``collsim exercise``: the textbook's exercises, answered with numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from collsim.book import EXERCISES, brief, grouped, percent
from collsim.cli import comma_separated
from collsim.cli.example import NumberedGroup, heading
from collsim.cli.output import print_facts, print_json, print_table, print_words
from collsim.units import format_bandwidth, format_size, format_time

if TYPE_CHECKING:
    from collsim.book.exercise_1_1_2 import ShardFigures
    from collsim.book.exercise_1_1_3 import ScalingFigures

# Of more shard sizes than this only the smallest and the largest are listed.
_SIZES_SHOWN = 12


@click.group(
    "exercise",
    cls=NumberedGroup,
    epilog="""\b
Examples:
  collsim exercise 1.1.2 --shards 99000,400,300,200,100
  collsim exercise 1.1.3 --compute 100ms..500ms --plot scaling.svg
""",
)
def command() -> None:
    """Answer one of the textbook's exercises with numbers."""


@command.command(
    "1.1.2",
    short_help=EXERCISES["1.1.2"].title,
    epilog="""\b
Examples:
  collsim exercise 1.1.2
  collsim exercise 1.1.2 --shards 9700,100,100,100 --algorithm tree
  collsim exercise 1.1.2 --shards 500,500 --json
""",
)
@click.option(
    "--shards",
    default="99000,400,300,200,100",
    show_default=True,
    metavar="N,...",
    callback=comma_separated,
    help="Examples of each shard.",
)
@click.option("--algorithm", default="ring", show_default=True, metavar="NAME", help="The all-reduce that combines.")
@click.option("--features", default="50", show_default=True, metavar="D", help="Features of each example.")
@click.option("--seed", default="0", show_default=True, metavar="N", help="Of the data.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def shards(shards: list[str], algorithm: str, features: str, seed: str, as_json: bool) -> None:
    """Average the mean gradients of unequal shards, plainly and weighted by size.

    Data and model are those of example 1.1.1.
    """
    from collsim.book import exercise_1_1_2

    figures = exercise_1_1_2.answer(shards, features=features, seed=seed, algorithm=algorithm)
    if as_json:
        print_json(figures.to_dict())
        return
    click.echo(heading("Exercise", EXERCISES["1.1.2"]) + "\n")
    print_table(
        ("combination", "largest error", "relative error"),
        [
            (_COMBINATIONS[one.name], brief(one.max_abs_error), brief(one.relative_error))
            for one in figures.combinations
        ],
    )
    click.echo()
    _print_weights(figures)
    print_words(exercise_1_1_2.explain(figures))


_COMBINATIONS = {
    "plain": "plain average of the means",
    "weighted": "means weighted by n_i/N",
    "plain, equal shards": "plain average, same data in equal shards",
}


def _print_weights(figures: ShardFigures) -> None:
    counts = sorted(Counter(figures.shards).items(), reverse=True)
    left_out = len(counts) - _SIZES_SHOWN
    if left_out > 0:
        counts = counts[: _SIZES_SHOWN // 2] + counts[-_SIZES_SHOWN // 2 :]
    rows = [
        (
            grouped(size),
            grouped(times),
            f"{1 / (len(figures.shards) * size):.2g}",
            f"{1 / figures.examples:.2g}",
            brief(figures.overweight(size)),
        )
        for size, times in counts
    ]
    if left_out > 0:
        rows.insert(_SIZES_SHOWN // 2, (f"({left_out} more sizes)", "", "", "", ""))
    columns = ("shard size n_i", "shards", "weight of one example, 1/(K n_i)", "right, 1/N", "ratio")
    print_table(columns, rows, left=())


@command.command(
    "1.1.3",
    short_help=EXERCISES["1.1.3"].title,
    epilog="""\b
Examples:
  collsim exercise 1.1.3
  collsim exercise 1.1.3 --compute 100ms..500ms --plot scaling.svg
  collsim exercise 1.1.3 --parameters 7e9 --itemsize 2 --bandwidth 400Gbit/s --workers 8,64,512
""",
)
@click.option("--parameters", default="1e9", show_default=True, metavar="P", help="Elements of one gradient.")
@click.option("--itemsize", default="4", show_default=True, metavar="BYTES", help="Of each element; float32 has 4.")
@click.option("--bandwidth", metavar="RATE", help="Of each worker's port (default: the book's 10GB/s).")
@click.option("--latency", metavar="TIME", help="Of a message, end to end (default: 5us, an assumption).")
@click.option(
    "--compute",
    default="300ms",
    show_default=True,
    metavar="TIME",
    help="Of each worker in a step; a range is 100ms..500ms.",
)
@click.option(
    "--workers",
    default="2,4,8,16,32,64,128,256,512,1024",
    show_default=True,
    metavar="K,...",
    callback=comma_separated,
    help="Numbers of workers to simulate.",
)
@click.option(
    "--algorithms",
    default="naive,tree,ring",
    show_default=True,
    metavar="NAME,...",
    callback=comma_separated,
    help="All-reduce algorithms to compare.",
)
@click.option(
    "--up-to", metavar="K", help="Look so far for where communication begins to dominate (default: at least 1024)."
)
@click.option("--plot", metavar="FILE", help="Draw it too, as .svg or .png (needs matplotlib).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def scaling(
    parameters: str,
    itemsize: str,
    bandwidth: str | None,
    latency: str | None,
    compute: str,
    workers: list[str],
    algorithms: list[str],
    up_to: str | None,
    plot: str | None,
    as_json: bool,
) -> None:
    """Simulate the all-reduce of one gradient, and set it against the time to compute it."""
    from collsim.book import exercise_1_1_3

    if plot is not None:
        from collsim.plots import check_target

        check_target(plot)
    figures = exercise_1_1_3.answer(
        parameters,
        itemsize=itemsize,
        bandwidth=bandwidth,
        latency=latency,
        compute=compute,
        workers=workers,
        algorithms=algorithms,
        up_to=up_to,
    )
    if plot is not None:
        from collsim.plots import plot_scaling, save_figure

        save_figure(plot_scaling(figures), plot)
    if as_json:
        print_json(figures.to_dict())
        return
    click.echo(heading("Exercise", EXERCISES["1.1.3"]) + "\n")
    _print_assumptions(figures)
    _print_times(figures)
    _print_shares(figures)
    _print_crossings(figures)
    print_words(exercise_1_1_3.explain(figures))
    if plot is not None:
        click.echo(f"\nThe picture is in {plot}")


def _print_assumptions(figures: ScalingFigures) -> None:
    from collsim.book.exercise_1_1_3 import format_compute, format_once

    size, rate = format_size(figures.size), format_bandwidth(figures.bandwidth)
    print_facts(
        {
            "one gradient, n": (size, f"{grouped(figures.parameters)} parameters of {figures.itemsize} bytes"),
            "bandwidth, B": (rate, "of each worker's port, each way"),
            "latency": (format_time(figures.latency), "of a message, end to end (the book gives none)"),
            "one gradient once": (format_once(figures), f"n/B = {size} / {rate}"),
            "compute": (format_compute(figures), "of each worker in a step"),
        }
    )


def _print_times(figures: ScalingFigures) -> None:
    rows = []
    for count in figures.workers:
        cells = [grouped(count)]
        for name in figures.algorithms:
            records = figures.at(name, count)
            cells += [format_time(records[0].time), _ends(brief(record.ratio) for record in reversed(records))]
        rows.append((*cells, format_time(figures.bound(count))))
    columns = [column for name in figures.algorithms for column in (name, "/ compute")]
    click.echo()
    print_table(
        ("K", *columns, "least possible"),
        rows,
        title="Time of one all-reduce, and how many times the compute:",
        left=(),
    )


def _print_shares(figures: ScalingFigures) -> None:
    rows = []
    for count in figures.workers:
        cells = [grouped(count)]
        for name in figures.algorithms:
            records = figures.at(name, count)[::-1]
            cells += [
                _ends(percent(record.share) for record in records),
                _ends(percent(record.exposed_share) for record in records),
            ]
        rows.append(cells)
    columns = [column for name in figures.algorithms for column in (name, "overlapped")]
    click.echo()
    print_table(
        ("K", *columns),
        rows,
        title="Share of a step that is communication, without overlap and perfectly overlapped:",
        left=(),
    )


def _print_crossings(figures: ScalingFigures) -> None:
    rows = []
    for name in figures.algorithms:
        found = [crossing.workers for crossing in figures.crossings if crossing.algorithm == name]
        texts = [f"never up to K = {figures.up_to}" if count is None else f"K = {count}" for count in found]
        rows.append((name, *texts))
    click.echo()
    print_table(
        ("", *(f"compute {format_time(cost)}" for cost in figures.compute)),
        rows,
        title="Communication dominates, that is, takes longer than the compute, from:",
        left=range(len(figures.compute) + 1),
    )


def _ends(texts: Iterable[str]) -> str:
    """Return what stands at the ends of the compute range, once if it is the same."""
    low, *high = dict.fromkeys(texts)
    return f"{low.removesuffix(' %')} .. {high[0]}" if high else low
