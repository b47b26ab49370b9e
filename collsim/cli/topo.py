"""``collsim topo``: what a network is like, a picture of it, and whether a file of one is right."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

from collsim.bisection import Bisection, bisection
from collsim.cli.networks import topology_arguments, topology_options
from collsim.cli.output import print_facts, print_json, print_table
from collsim.errors import InputError, unknown
from collsim.metrics import (
    Injection,
    RouteFigures,
    cables,
    group_sizes,
    injection,
    link_kinds,
    parallel_links,
    route_figures,
    switch_kinds,
)
from collsim.shapes import SHAPES
from collsim.topology import Topology, node_name
from collsim.topology_check import FileFigure, examine_topology_file, file_figures
from collsim.topology_files import describe_file, load_topology, presets
from collsim.units import format_bandwidth, format_time, parse_count

# Figures of a shape for which none are given. Only here: a simulation refuses to guess.
_ASSUMED = {"bandwidth": "1GB/s", "latency": "0"}
_MOST_ROUTES = 4


class _Group(click.Group):
    """A group that answers an unknown command with those that there are."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve a command."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            raise unknown("topo command", args[0], self.commands)
        return super().resolve_command(ctx, args)


@click.group(
    "topo",
    cls=_Group,
    epilog="""\b
Examples:
  collsim topo show nvidia/dgx-a100
  collsim topo check my_machine.toml
""",
)
def command() -> None:
    """Show what a network is like, or check a file that describes one."""


@command.command(
    "show",
    epilog="""\b
Examples:
  collsim topo show torus:4x4
  collsim topo show fat-tree:4 --bandwidth 10GB/s --latency 1us --route 0,13 --plot fat-tree.svg
  collsim topo show nvidia/dgx-1 --json
""",
)
@click.argument("name")
@click.option("-n", "--ranks", metavar="K", help="Number of ranks, for a shape without one.")
@topology_options
@click.option("--route", metavar="SRC,DST", help="Show the route between these ranks (default: 0 and the farthest).")
@click.option("--plot", metavar="FILE", help="Draw it to an .svg or .png file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def show(name: str, ranks: str | None, route: str | None, plot: str | None, as_json: bool, **shared: Any) -> None:
    """Print what the network NAME has: a shape, a machine or a TOML file.

    Ranks, switches and links; diameter, injection and bisection bandwidth; a route, link by link.
    """
    if plot is not None:
        from collsim.plots import check_target

        check_target(plot)
    arguments = topology_arguments(shared)
    assumed = {}
    if _is_shape(name):
        assumed = {key: value for key, value in _ASSUMED.items() if arguments.get(key) is None}
    topology = load_topology(name, ranks, **{**arguments, **assumed})  # type: ignore[arg-type]
    pair = _parse_route(route, topology) if route is not None else None
    figures = route_figures(topology)
    if pair is None and topology.ranks > 1:
        pair = _farthest_from_first(topology)
    halves = bisection(topology) if topology.ranks > 1 else None
    path = _file(name)
    sources = [] if path is None else file_figures(path)
    if as_json:
        print_json(_record(name, topology, assumed, figures, halves, pair, sources))
    else:
        _print(name, topology, assumed, figures, halves, pair, sources)
    if plot is not None:
        from collsim.plots import plot_topology, save_figure

        save_figure(plot_topology(topology, route=pair if route is not None else None), plot)


@command.command("check", epilog="\b\nExample:\n  collsim topo check my_machine.toml\n")
@click.argument("file")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def check(file: str, as_json: bool) -> None:
    """Check a FILE that describes a network: print what it says, and what looks odd.

    Exit status: 0 if it can be used (there may be warnings), 2 if not, with one line that says why.
    """
    if not file.endswith(".toml"):
        raise InputError(f"a topology file must end in .toml, got {file!r}")
    found = examine_topology_file(file)
    topology = found.topology
    if as_json:
        print_json(
            {
                "file": file,
                "name": topology.name,
                "ranks": topology.ranks,
                "switches": len(topology.switches),
                "links": len(topology.links),
                "figures": [_figure_record(figure) for figure in found.figures],
                "warnings": found.warnings,
            }
        )
        return
    click.echo(f"{file} can be used: {topology.name}\n")
    facts = _what_there_is(topology)
    stated = sum(1 for figure in found.figures if figure.source)
    facts["figures"] = f"{len(found.figures)}, {stated} with a source of their own"
    print_facts({key: ("", value) for key, value in facts.items()})
    click.echo()
    _print_kinds(topology)
    for warning in found.warnings:
        click.echo(f"\nwarning: {warning}", nl=False)
    click.echo("\n" if found.warnings else "\nno warnings")


def _base(name: str) -> str:
    return name.partition(":")[0]


def _is_shape(name: str) -> bool:
    base = _base(name)
    return base.replace("_", "-") in SHAPES and base not in presets() and not name.endswith(".toml")


def _parse_route(text: str, topology: Topology) -> tuple[int, int]:
    parts = text.split(",")
    if len(parts) != 2:
        raise InputError(f"a route must be two ranks, such as 0,5, got {text!r}")
    src, dst = (parse_count(part.strip(), "a rank of the route", minimum=0) for part in parts)
    for rank in (src, dst):
        if rank >= topology.ranks:
            raise InputError(f"topology {topology.name!r} has the ranks 0..{topology.ranks - 1}, not {rank}")
    if src == dst:
        raise InputError(f"a route must lead from one rank to another, got {text!r}")
    return src, dst


def _farthest_from_first(topology: Topology) -> tuple[int, int]:
    """Return rank 0 and the rank that is the most links away; of several the one with the largest latency."""
    away = [
        (max(len(route.links) for route in topology.routes(0, dst)), topology.route_latency(0, dst), -dst)
        for dst in range(1, topology.ranks)
    ]
    return 0, -max(away)[2]


def _file(name: str) -> Path | None:
    """Return the file that describes a network, None if it is a shape."""
    return Path(name) if name.endswith(".toml") else presets().get(_base(name))


def _summary(name: str) -> str:
    path = _file(name)
    return SHAPES[_base(name).replace("_", "-")].summary if path is None else describe_file(path)


def _what_there_is(topology: Topology) -> dict[str, str]:
    facts = {"ranks": str(topology.ranks)}
    kinds = switch_kinds(topology)
    spelt = ", ".join(
        f"{count} {kind}" if count > 1 else kind for kind, count in kinds.items() if kinds.keys() != {"switch"}
    )
    facts["switches"] = f"{len(topology.switches)}{f' ({spelt})' if spelt and len(kinds) < 9 else ''}"
    pairs, side_by_side = cables(topology), parallel_links(topology)
    facts["links"] = f"{len(topology.links)}" + (f", in {pairs} cables" if pairs is not None else "")
    facts["links"] += f", at most {side_by_side} side by side" if side_by_side > 1 else ""
    media = len({link.medium for link in topology.links if link.medium is not None})
    if media:
        facts["media"] = f"{media}, each shared by the links of its name"
    sizes = group_sizes(topology)
    if 1 < len(topology.groups) < topology.ranks:
        words = ", ".join(f"{count} of {size}" for size, count in sizes[:4])
        facts["groups"] = words + (", ..." if len(sizes) > 4 else "") + (" ranks" if sizes[0][0] > 1 else " rank")
    facts["routing"] = topology.routing
    facts["placement"] = topology.placement
    return facts


def _bandwidth(value: float) -> str:
    return "unlimited (a fatpipe)" if math.isinf(value) else format_bandwidth(value)


def _range(least: float, most: float) -> str:
    return _bandwidth(least) if least == most else f"{_bandwidth(least)} to {_bandwidth(most)}"


def _print(
    name: str,
    topology: Topology,
    assumed: dict[str, str],
    figures: RouteFigures | None,
    halves: Bisection | None,
    pair: tuple[int, int] | None,
    sources: list[FileFigure],
) -> None:
    summary = _summary(name)
    click.echo(f"{topology.name}{f': {summary}' if summary else ''}")
    if assumed:
        words = {"bandwidth": "1 GB/s", "latency": "no latency"}
        flags = " and ".join(f"--{key}" for key in assumed)
        click.echo(f"Assumed for every link: {' and '.join(words[key] for key in assumed)}; give {flags}.")
    click.echo()
    facts = _what_there_is(topology)
    if figures is not None and halves is not None:
        tried = "" if figures.pairs == figures.all_pairs else f" ({figures.pairs} of {figures.all_pairs} pairs tried)"
        facts["diameter"] = (
            f"{_links(figures.hops)}, {format_time(figures.latency)}; {figures.mean_hops:.4g} links on average{tried}"
        )
        limits = injection(topology)
        facts["injection"] = _injection_in_words(limits)
        facts["bisection"] = _bisection_in_words(halves)
    print_facts({key: ("", value) for key, value in facts.items()})
    if topology.links:
        click.echo()
        _print_kinds(topology)
    if pair is not None:
        _print_routes(topology, pair)
    if sources:
        click.echo()
        print_table(
            ("figure", "of", "value", "basis", "source"),
            [(figure.key, figure.where, figure.value, figure.basis or "-", figure.source or "-") for figure in sources],
            title="Figures of the file",
            left=(0, 1, 3, 4),
        )


def _links(count: int) -> str:
    return f"{count} link{'s' if count != 1 else ''}"


def _injection_in_words(limits: Injection) -> str:
    out, into = _range(limits.least_out, limits.most_out), _range(limits.least_in, limits.most_in)
    return f"{out} a rank, in and out" if out == into else f"{out} out of a rank, {into} into it"


def _bisection_in_words(halves: Bisection) -> str:
    if halves.exact:
        return f"{_bandwidth(halves.capacity)} each way, exactly"
    return (
        f"at most {_bandwidth(halves.capacity)} each way ({halves.reason.partition(';')[0]}), "
        f"at least {_bandwidth(halves.least)}"
    )


def _print_kinds(topology: Topology) -> None:
    rows = [
        (
            " - ".join(kind.between) + ("" if kind.both_ways else ", one way"),
            str(kind.links),
            format_bandwidth(kind.bandwidth),
            format_time(kind.latency),
            kind.shared,
        )
        for kind in link_kinds(topology)
    ]
    with_sharing = any(row[4] for row in rows)
    columns = ("between", "links", "bandwidth of each", "latency", "shared")
    width = 5 if with_sharing else 4
    print_table(columns[:width], [row[:width] for row in rows], left=(0, 4))


def _print_routes(topology: Topology, pair: tuple[int, int]) -> None:
    routes = topology.routes(*pair)
    alone = format_bandwidth(topology.route_bandwidth(*pair))
    click.echo(
        f"\nFrom rank {pair[0]} to rank {pair[1]}: {format_time(topology.route_latency(*pair))}, "
        f"{alone} for a message alone"
    )
    for number, route in enumerate(routes[:_MOST_ROUTES]):
        title = f"way {number + 1} of {len(routes)}, {route.share:.4g} of the bytes" if len(routes) > 1 else ""
        click.echo()
        print_table(
            ("from", "to", "bandwidth", "latency"),
            [
                (
                    _node(topology.links[i].tail),
                    _node(topology.links[i].head),
                    format_bandwidth(topology.links[i].bandwidth),
                    format_time(topology.links[i].latency),
                )
                for i in route.links
            ],
            title=title,
            left=(0, 1),
        )
    if len(routes) > _MOST_ROUTES:
        click.echo(f"\n... and {len(routes) - _MOST_ROUTES} ways more")


def _node(node: Any) -> str:
    return node if isinstance(node, str) else node_name(node)


def _finite(value: float) -> float | None:
    return None if math.isinf(value) else value


def _figure_record(figure: FileFigure) -> dict[str, Any]:
    return {
        "of": figure.where,
        "figure": figure.key,
        "value": figure.value,
        "basis": figure.basis or None,
        "source": figure.source or None,
    }


def _record(
    name: str,
    topology: Topology,
    assumed: dict[str, str],
    figures: RouteFigures | None,
    halves: Bisection | None,
    pair: tuple[int, int] | None,
    sources: list[FileFigure],
) -> dict[str, Any]:
    limits = injection(topology)
    record: dict[str, Any] = {
        "name": topology.name,
        "summary": _summary(name),
        "assumed": assumed,
        "ranks": topology.ranks,
        "switches": len(topology.switches),
        "switch_kinds": switch_kinds(topology),
        "links": len(topology.links),
        "cables": cables(topology),
        "parallel_links": parallel_links(topology),
        "media": len({link.medium for link in topology.links if link.medium is not None}),
        "groups": [list(group) for group in topology.groups],
        "routing": topology.routing,
        "placement": topology.placement,
        "link_kinds": [
            {
                "between": list(kind.between),
                "links": kind.links,
                "both_ways": kind.both_ways,
                "bandwidth_Bps": kind.bandwidth,
                "latency_s": kind.latency,
                "shared": kind.shared or None,
            }
            for kind in link_kinds(topology)
        ],
        "injection_Bps": {
            "least_out": _finite(limits.least_out),
            "most_out": _finite(limits.most_out),
            "least_in": _finite(limits.least_in),
            "most_in": _finite(limits.most_in),
        },
        "diameter": None,
        "bisection": None,
        "route": None,
        "figures": [_figure_record(figure) for figure in sources],
    }
    if figures is not None:
        record["diameter"] = {
            "links": figures.hops,
            "mean_links": figures.mean_hops,
            "latency_s": figures.latency,
            "pairs_tried": figures.pairs,
            "pairs": figures.all_pairs,
        }
    if halves is not None:
        record["bisection"] = {
            "capacity_Bps": _finite(halves.capacity),
            "least_Bps": _finite(halves.least),
            "exact": halves.exact,
            "reason": halves.reason,
            "inside": sorted(node for node in halves.inside if isinstance(node, int)),
        }
    if pair is not None:
        record["route"] = {
            "src": pair[0],
            "dst": pair[1],
            "latency_s": topology.route_latency(*pair),
            "bandwidth_Bps": _finite(topology.route_bandwidth(*pair)),
            "ways": [
                {
                    "share": route.share,
                    "nodes": [pair[0], *(_json_node(topology.links[i].head) for i in route.links)],
                    "links": list(route.links),
                }
                for route in topology.routes(*pair)
            ],
        }
    return record


def _json_node(node: Any) -> Any:
    return int(node) if isinstance(node, int) else str(node)
