"""Options of the commands that need a network: its figures, and what is changed about it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from collsim.cli import comma_separated
from collsim.cli.options import algorithm_options, simulation_options
from collsim.errors import InputError
from collsim.placement import PLACEMENTS
from collsim.routing import ROUTINGS
from collsim.topology import Topology
from collsim.topology_files import load_topology

Command = TypeVar("Command", bound=Callable[..., Any])

_NAMES = ("bandwidth", "latency", "routing", "placement", "overrides", "injection")


def topology_options(command: Command) -> Command:
    """Add what describes a network: its figures, and what is changed about it."""
    for option in reversed(
        (
            click.option(
                "--bandwidth",
                metavar="RATE",
                help="Of every link of a shape: 10GB/s, 200Gbit/s; or one a level, as in 300GB/s,25GB/s.",
            ),
            click.option("--latency", metavar="TIME", help="Of every link of a shape: 5us; or one a level."),
            click.option(
                "--routing",
                metavar="NAME",
                help=f"How routes are chosen: {', '.join(entry.example for entry in ROUTINGS.values())}.",
            ),
            click.option(
                "--placement",
                metavar="HOW",
                help="Which rank sits where: "
                f"{', '.join(entry.example for entry in PLACEMENTS.values())}, or a list such as 0,4,1,5.",
            ),
            click.option(
                "--override",
                "overrides",
                multiple=True,
                metavar="WHERE:KEY=VALUE",
                help="Other figures for some links: '3:bandwidth=x0.5' (all of rank 3), "
                "'3-switch:bandwidth=1GB/s,latency=10us' (both directions), '3>switch:...' (one), '*:duplex=half'. "
                "May be repeated.",
            ),
            click.option("--injection", metavar="RATE", help="The most that a rank can send, and receive: 50GB/s."),
        )
    ):
        command = option(command)
    return command


def run_options(command: Command) -> Command:
    """Add what says which run is meant: collective, algorithm, ranks, size, network, and how it is simulated."""
    for option in reversed(
        (
            click.argument("collective"),
            click.option(
                "-a", "--algorithm", required=True, metavar="NAME", help="See 'collsim list', or file.py:function."
            ),
            click.option("-n", "--ranks", metavar="K", help="Number of ranks (default: as many as the topology has)."),
            click.option("-s", "--size", required=True, metavar="SIZE", help="Of the whole vector: 4GB, 64MiB, 1000."),
            click.option(
                "-t", "--topology", metavar="NAME", help="A shape, a machine or a TOML file; see 'collsim list'."
            ),
            topology_options,
            simulation_options,
            algorithm_options,
            click.option(
                "--offset", "offsets", multiple=True, metavar="RANK=TIME", help="A rank that starts late: 3=1ms."
            ),
        )
    ):
        command = option(command)
    return command


def separate_topologies(ctx: click.Context, parameter: click.Parameter, value: Any) -> list[str]:
    """Split ``star:8,leaf-spine:4x8,spines=2`` into topologies; for click's callbacks.

    What has the form ``key=value`` goes on with the topology before it.
    """
    found: list[str] = []
    for part in comma_separated(ctx, parameter, value):
        if found and re.match(r"[A-Za-z_-]+=", part) and not part.endswith(".toml"):
            found[-1] += f",{part}"
        else:
            found.append(part)
    return found


def topology_arguments(values: dict[str, Any]) -> dict[str, Any]:
    """Take the options of a network out of a command's and return them as `load_topology` takes them.

    Use it as ``load_topology(topology, ranks, **topology_arguments(shared))``.
    """
    return {name: values.pop(name) for name in _NAMES if name in values}


def network_and_ranks(topology: str | None, ranks: str | None, shared: dict[str, Any]) -> tuple[Topology | None, Any]:
    """Take a network's options out of a command's, and return it, None without one, and the number of ranks.

    Raises
    ------
    InputError
        If there are figures of a network beside alpha and beta, or nothing says how many ranks there are.
    """
    network = None
    count: Any = ranks
    changes = topology_arguments(shared)
    if topology is not None:
        if shared["alpha"] is not None or shared["beta"] is not None:
            raise InputError("--alpha and --beta describe a network without a topology; give either those or -t")
        network = load_topology(topology, ranks, **changes)  # type: ignore[arg-type]
        count = network.ranks if ranks is None else ranks
    else:
        refuse_without_topology(changes)
    if count is None:
        raise InputError("the number of ranks is missing: give -n, or a topology that has one (-t star:8)")
    return network, count


def refuse_without_topology(arguments: dict[str, Any]) -> None:
    """Raise an `InputError` if anything is said about a network that is not there."""
    for name in _NAMES:
        if arguments.get(name) not in (None, ()):
            flag = "--override" if name == "overrides" else f"--{name}"
            raise InputError(f"{flag} needs a topology (-t star); without one give --alpha and --beta")
