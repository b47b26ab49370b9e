"""``collsim compare``: the same schedule under several network models."""

from __future__ import annotations

import itertools
from typing import Any

import click

from collsim.cli import comma_separated
from collsim.cli.networks import topology_arguments, topology_options
from collsim.cli.options import algorithm_options, parse_options, settings, simulation_options
from collsim.cli.output import print_json, print_table, print_words
from collsim.comparison import EFFECTS, Comparison, compare, verdict
from collsim.errors import InputError
from collsim.topology_files import load_topology
from collsim.units import format_size, format_time


@click.command(
    "compare",
    epilog="""\b
Effects are differences between two simulations, with and without them; together they are all that lies
between "alone", the time if no message met another, and the time under the model.

\b
Examples:
  collsim compare all_reduce -a ring,tree -t star:8 -s 4MB --bandwidth 10GB/s --latency 5us --models all
  collsim compare all_reduce -a ring -t leaf-spine:4x4,oversubscription=4 -s 4MB --bandwidth 10GB/s --latency 1us
  collsim compare broadcast -a binomial -t nvidia/dgx-a100 -s 1MB -p o=1us -p packet_bytes=4KiB
""",
)
@click.argument("collective")
@click.option("-a", "--algorithms", required=True, metavar="NAME,...", callback=comma_separated, help="Algorithms.")
@click.option("-n", "--ranks", metavar="K", help="Number of ranks (default: as many as the topology has).")
@click.option("-s", "--size", required=True, metavar="SIZE", help="Of the whole vector: 4GB, 64MiB, 1000.")
@click.option("-t", "--topology", required=True, metavar="NAME", help="A shape, a machine or a TOML file.")
@click.option(
    "--models", default="all", show_default=True, metavar="NAME,...", callback=comma_separated, help="Models, or all."
)
@topology_options
@simulation_options
@algorithm_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array and nothing else.")
def command(
    collective: str,
    algorithms: list[str],
    ranks: str | None,
    size: str,
    topology: str,
    models: list[str],
    options: tuple[str, ...],
    as_json: bool,
    **shared: Any,
) -> None:
    """Simulate one COLLECTIVE under several network models and say what makes them disagree."""
    network = load_topology(topology, ranks, **topology_arguments(shared))  # type: ignore[arg-type]
    given = settings(**shared)
    for name in ("alpha", "beta", "model"):
        if given.pop(name) is not None:
            raise InputError(f"--{name} does not go with compare: all models take the topology; see --models and -p")
    if not algorithms:
        raise InputError("-a names nothing; give one algorithm or several, separated by commas")
    found = compare(
        collective,
        algorithms,
        network,
        size,
        ranks=network.ranks if ranks is None else ranks,  # type: ignore[arg-type]
        models="all" if models == ["all"] else models,
        options=parse_options(options),
        **given,
    )
    if as_json:
        print_json([one.to_dict() for one in found])
        return
    first = found[0].result
    click.echo(
        f"{first.schedule.collective.name}: {first.schedule.ranks} ranks, {format_size(first.nbytes)} "
        f"on {network.name} (ordering {first.ordering})\n"
    )
    known = [effect for effect in EFFECTS if any(effect in one.effects for one in found)]
    print_table(
        ["algorithm", "model", "time", "alone", *known],
        [
            [one.algorithm, one.result.model, format_time(one.result.time), format_time(one.alone)]
            + [_signed(one.effects[effect]) if effect in one.effects else "" for effect in known]
            for one in found
        ],
        left=(0, 1),
    )
    print_words(_verdicts(found))


def _verdicts(found: list[Comparison]) -> list[str]:
    return [verdict(list(rows)) for _, rows in itertools.groupby(found, key=lambda one: one.algorithm)]


def _signed(seconds: float) -> str:
    return f"{'-' if seconds < 0 else '+'}{format_time(abs(seconds))}" if seconds else "0"
