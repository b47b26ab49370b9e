"""``collsim plot``: a picture of a run or of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from collsim.algorithms.table import ADMITS
from collsim.catalog import get_algorithm, make_schedule
from collsim.cli import comma_separated
from collsim.cli.networks import refuse_without_topology, topology_arguments, topology_options
from collsim.cli.options import parse_offsets, parse_options, separate_counts, settings, simulation_options
from collsim.errors import InputError, unknown
from collsim.plots import PLOTS, Costs, Plot, check_target, save_figure
from collsim.plots.costs import equal_costs
from collsim.shapes import SHAPES
from collsim.simulation import simulate
from collsim.sweeps import iter_sweep
from collsim.topology import Topology
from collsim.topology_files import load_topology
from collsim.units import parse_count

# What is drawn where nothing is said: the axes of sweeps.
_RANKS = ("2", "4", "8", "16", "32", "64")
_SIZES = ("1kB", "10kB", "100kB", "1MB", "10MB", "100MB", "1GB")


@click.command(
    "plot",
    epilog="\b\nKinds:\n"
    + "\n".join(f"  {name:<11} {plot.summary}" for name, plot in PLOTS.items())
    + """

\b
Examples:
  collsim plot space-time all_reduce -a ring -n 4 -s 4MB --alpha 5us --beta 0.1ns -o ring.svg
  collsim plot gantt all_reduce -a tree -s 4MB -t star:8 --bandwidth 10GB/s --latency 5us --gamma 0.05ns -o gantt.svg
  collsim plot links all_reduce -a ring -s 64MB -t nvidia/dgx-1 -o links.png
  collsim plot sizes all_reduce -a ring,tree -n 8 --alpha 5us --beta 0.1ns -o sizes.svg
  collsim plot crossover all_reduce -a ring,tree --alpha 5us --beta 0.1ns -o map.svg
""",
)
@click.argument("kind")
@click.argument("collective")
@click.option("-o", "--output", required=True, metavar="FILE", help="Where to draw it: an .svg or .png file.")
@click.option(
    "-a",
    "--algorithms",
    required=True,
    metavar="NAME,...",
    callback=comma_separated,
    help="One, or several to compare.",
)
@click.option(
    "-n",
    "--ranks",
    metavar="K,...",
    callback=separate_counts,
    help=f"Numbers of ranks: 8,16 or 2..64*2 (default: those of the topology; of an axis {_RANKS[0]} to {_RANKS[-1]}).",
)
@click.option(
    "-s",
    "--sizes",
    metavar="SIZE,...",
    callback=comma_separated,
    help=f"Of the whole vector (default of an axis: {_SIZES[0]} to {_SIZES[-1]}).",
)
@click.option("-t", "--topology", metavar="NAME", help="A shape, a machine or a TOML file; see 'collsim list'.")
@topology_options
@simulation_options
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="An option of the algorithm: root=3.")
@click.option("--offset", "offsets", multiple=True, metavar="RANK=TIME", help="A rank that starts late: 3=1ms.")
@click.option("--share", is_flag=True, help="Of ranks and sizes: draw below which share of the time the bound is.")
def command(
    kind: str,
    collective: str,
    output: str,
    algorithms: list[str],
    ranks: list[int | str],
    sizes: list[str],
    topology: str | None,
    options: tuple[str, ...],
    offsets: tuple[str, ...],
    share: bool,
    **shared: Any,
) -> None:
    """Draw a picture of one run of a COLLECTIVE, or of many; KIND says which."""
    if kind not in PLOTS:
        raise unknown("kind of picture", kind, PLOTS)
    plot = PLOTS[kind]
    if "=" in output and not output.endswith((".svg", ".png")):
        raise InputError(
            f"-o is the file of the picture, got {output!r}; an option of the algorithm is --option {output}"
        )
    check_target(output)
    if share and not plot.closed_forms:
        raise InputError(
            f"--share is for {' and '.join(name for name, p in PLOTS.items() if p.closed_forms)}, not {kind}"
        )
    changes = topology_arguments(shared)
    if topology is None:
        refuse_without_topology(changes)
    elif shared["alpha"] is not None or shared["beta"] is not None:
        raise InputError("--alpha and --beta describe a network without a topology; give either those or -t")
    given = {"options": parse_options(options), **settings(**shared)}
    for flag, values, axis in (("-a", algorithms, bool(plot.several)), *_axes(plot, ranks, sizes)):
        if len(values) > 1 and not axis:
            raise InputError(f"a picture of kind {kind!r} takes one value of {flag}, got {','.join(values)}")
    if not algorithms:
        raise InputError("-a names nothing; give an algorithm, or several separated by commas")
    if not plot.several:
        figure = _draw_run(plot, collective, algorithms[0], ranks, sizes, topology, changes, offsets, given)
    else:
        if offsets:
            raise InputError(f"--offset is for pictures of one run, not for {kind!r}")
        figure = _draw_sweep(plot, collective, algorithms, ranks, sizes, topology, changes, share, given)
    save_figure(figure, output)
    click.echo(f"{output}: {plot.summary}")


def _axes(plot: Plot, ranks: list[int | str], sizes: list[str]) -> list[tuple[str, list[Any], bool]]:
    return [("-n", ranks, "ranks" in plot.several), ("-s", sizes, "sizes" in plot.several)]


def _network(topology: str | None, ranks: int | str | None, changes: dict[str, Any]) -> tuple[Topology | None, int]:
    """Return the network and the number of ranks; a network may have it."""
    network = None if topology is None else load_topology(topology, ranks, **changes)  # type: ignore[arg-type]
    if ranks is None and network is None:
        raise InputError("the number of ranks is missing: give -n, or a topology that has one (-t star:8)")
    if network is not None and ranks is None:
        return network, network.ranks
    return network, parse_count(ranks or "", "ranks")


def _draw_run(
    plot: Plot,
    collective: str,
    algorithm: str,
    ranks: list[int | str],
    sizes: list[str],
    topology: str | None,
    changes: dict[str, Any],
    offsets: tuple[str, ...],
    given: dict[str, Any],
) -> Any:
    if not sizes:
        raise InputError("the size is missing: give -s, such as -s 4MB")
    network, count = _network(topology, ranks[0] if ranks else None, changes)
    schedule = make_schedule(collective, algorithm, count, **given.pop("options"))
    return plot.draw(simulate(schedule, network, sizes[0], offsets=parse_offsets(offsets, count), **given))


def _draw_sweep(
    plot: Plot,
    collective: str,
    algorithms: list[str],
    ranks: list[int | str],
    sizes: list[str],
    topology: str | None,
    changes: dict[str, Any],
    share: bool,
    given: dict[str, Any],
) -> Any:
    if "ranks" in plot.several:
        counts = [parse_count(count, "ranks") for count in ranks or _up_to(topology, changes)]
    else:
        counts = [_network(topology, ranks[0] if ranks else None, changes)[1]]
    if not sizes and "sizes" not in plot.several:
        raise InputError("the size is missing: give -s, such as -s 4MB")
    # Points with the same network share it, and so the routes that it has found.
    networks = {k: load_topology(topology, k, **changes) for k in counts} if topology is not None else {}
    admitted = {name: _admitted(collective, name, counts) for name in algorithms}
    # All are set up, and so checked, before the first is run.
    sweeps = [
        iter_sweep(collective, name, count, sizes or _SIZES, topology=networks.get(count), **given)
        for name, some in admitted.items()
        for count in some
    ]
    for name, some in admitted.items():
        if len(some) < len(counts):
            numbers = ", ".join(str(count) for count in counts if count not in some)
            made_for = get_algorithm(collective, name).admits
            click.echo(f"{name} is left out at K = {numbers}: it is made for a number of ranks that is {made_for}")
    rows = [row for records in sweeps for row in records]
    costs = equal_costs(networks) if networks else _costs(given)
    if costs is not None:
        costs = Costs.parse(costs.alpha, costs.beta, given["gamma"])
    if not plot.closed_forms:
        return plot.draw(rows, costs=costs)
    return plot.draw(rows, costs=costs, options=given["options"], share=share)


def _up_to(topology: str | None, changes: dict[str, Any]) -> list[str]:
    """Return the numbers of ranks of an axis: up to those of the network, if it has a number."""
    if topology is None or topology in SHAPES:
        return list(_RANKS)
    most = load_topology(topology, **changes).ranks
    return [count for count in _RANKS if int(count) <= most]


def _admitted(collective: str, algorithm: str, counts: list[int]) -> list[int]:
    """Return the numbers of ranks that an algorithm is made for; all if it is none of them, for it to say so."""
    admits = ADMITS[get_algorithm(collective, algorithm).admits]
    return [count for count in counts if admits(count)] or counts


def _costs(given: dict[str, Any]) -> Costs | None:
    values: Sequence[Any] = [given[name] for name in ("alpha", "beta")]
    return None if None in values else Costs.parse(*values)
