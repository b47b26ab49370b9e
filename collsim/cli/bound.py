"""``collsim bound``: what no algorithm on a network can surpass, and why."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import click

from collsim.bounds import Bound, lower_bounds
from collsim.cli.networks import topology_arguments, topology_options
from collsim.cli.options import algorithm_options, parse_options
from collsim.cli.output import print_facts, print_json, print_table
from collsim.collectives import get_collective
from collsim.limits import name_ranks
from collsim.models import MaxMin
from collsim.throughput import Throughput, throughput
from collsim.topology import Topology, node_name
from collsim.topology_files import load_topology
from collsim.units import format_bandwidth, format_size, format_time, parse_count, parse_size

# A fraction with more digits than this below the line is not easier to read than its decimals.
_LONGEST = 10**6


@click.command(
    "bound",
    epilog="""\b
The throughput holds for large vectors, all routes and all schedules; with --size also latency counts, as
under the model maxmin. It is size / time (algbw, as nccl-tests means it).

\b
Examples:
  collsim bound all_gather -t nvidia/dgx-a100
  collsim bound all_gather -t torus:4x4 --bandwidth 1GB/s --latency 1us --plot cut.svg
  collsim bound all_reduce -t nvidia/dgx-a100 -s 64MiB --json
""",
)
@click.argument("collective")
@click.option("-t", "--topology", required=True, metavar="NAME", help="A shape, a machine or a TOML file.")
@click.option("-n", "--ranks", metavar="K", help="Number of ranks that take part (default: all of the topology).")
@click.option("-s", "--size", metavar="SIZE", help="Also the least time for a vector of this size: 4GB, 64MiB.")
@topology_options
@algorithm_options
@click.option("--plot", metavar="FILE", help="Draw the bottleneck, as .svg or .png (needs matplotlib).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def command(
    collective: str,
    topology: str,
    ranks: str | None,
    size: str | None,
    options: tuple[str, ...],
    plot: str | None,
    as_json: bool,
    **shared: Any,
) -> None:
    """Print the best throughput of COLLECTIVE that a network admits, and its bottleneck."""
    if plot is not None:
        from collsim.plots import check_target

        check_target(plot)
    network = load_topology(topology, ranks, **topology_arguments(shared))  # type: ignore[arg-type]
    count = network.ranks if ranks is None else parse_count(ranks, "ranks")
    promise = get_collective(collective, **parse_options(options))
    nbytes = None if size is None else parse_size(size)
    best = throughput(promise, network, count)
    bounds = [] if nbytes is None else lower_bounds(promise, count, nbytes, MaxMin(network), work=None)
    if plot is not None:
        _draw(best, network, promise.name, plot)
    factor = promise.bus_factor(count)
    if as_json:
        record = _record(best, network, count, factor)
        times = [{"kind": b.kind, "seconds": b.seconds, "reason": b.reason, "exact": b.exact} for b in bounds]
        more = {} if nbytes is None else {"size_bytes": nbytes, "lower_bound_s": max(_seconds(bounds)), "bounds": times}
        print_json({"collective": promise.name, "topology": network.name, "ranks": count, **record, **more})
        return
    click.echo(f"{promise.name} on {network.name}: {count} rank{'s' * (count > 1)}\n")
    print_facts(_facts(best, network, count, factor))
    if nbytes is not None:
        longest = max(_seconds(bounds))
        rows = [[b.kind, format_time(b.seconds), "*" * (b.seconds == longest), b.reason] for b in bounds if b.seconds]
        click.echo(
            f"\nNo schedule for {format_size(nbytes)} takes less than {format_time(longest)} (model maxmin)", nl=False
        )
        click.echo(":\n" if rows else "")
        if rows:
            print_table(["bound", "time", "", "because"], rows, left=(0, 2, 3))


def _seconds(bounds: list[Bound]) -> list[float]:
    return [bound.seconds for bound in bounds]


def _rate(rate: Fraction | None, factor: Fraction | float = 1) -> tuple[str, str]:
    """Return a rate as an exact fraction of GB/s, where that is short, and as a decimal."""
    if rate is None:
        return "no limit", ""
    giga = rate / 10**9
    decimal = format_bandwidth(float(rate) * float(factor))
    if factor != 1 or giga.denominator > _LONGEST:
        return decimal, ""
    return f"{giga} GB/s", f"= {decimal}" if giga.denominator > 1 else ""


def _status(best: Throughput) -> str:
    if best.algbw is None:
        return "no limit"
    return "optimum" if best.attained else "upper bound"


def _facts(best: Throughput, network: Topology, ranks: int, factor: float) -> dict[str, str | tuple[str, str]]:
    if best.algbw is None:
        return {"throughput": ("no limit", ""), "because": ("", best.reason)}
    exact, decimal = _rate(best.algbw)
    status = _status(best)
    if best.attained:
        proof = "some schedule comes as close to it as one likes"
    elif best.exact:
        proof = "no cut is tighter (maximum flows)" + ("; not all partitions tried" if best.kind == "partition" else "")
    else:
        proof = "the tightest of the cuts tried, not all"
    facts: dict[str, str | tuple[str, str]] = {
        status: (exact, f"{decimal} algbw, size / time".strip()),
        "busbw": (_rate(best.algbw, factor or 1.0)[0], "algbw x the collective's factor: comparable with a link"),
    }
    if best.known is not None and not best.attained:
        exact, decimal = _rate(best.known)
        facts["best known"] = (exact, f"{decimal} by reduce_scatter and then all_gather".strip())
    facts["because"] = ("", best.reason)
    if best.inside:
        inside = [rank for rank in range(ranks) if rank in best.inside]
        switches = [node for node in network.switches if node in best.inside]
        where = name_ranks(inside) + (f" and {len(switches)} of {len(network.switches)} switches" if switches else "")
        facts["the cut"] = ("", f"{where} | the rest")
    if best.links:
        facts["links in it"] = (str(len(best.links)), _kinds(best, network))
    facts["proof"] = ("", proof)
    return facts


def _kinds(best: Throughput, network: Topology) -> str:
    """Return how many of the links of a bottleneck have which bandwidth, in words."""
    counts: dict[float, int] = {}
    for number in best.links:
        bandwidth = network.links[number].bandwidth
        counts[bandwidth] = counts.get(bandwidth, 0) + 1
    shown = [f"{counts[bandwidth]} of {format_bandwidth(bandwidth)}" for bandwidth in sorted(counts, reverse=True)[:4]]
    return ", ".join([*shown, *(["..."] if len(counts) > len(shown) else [])])


def _record(best: Throughput, network: Topology, ranks: int, factor: float) -> dict[str, Any]:
    known = None if best.known is None else float(best.known)
    return {
        "status": _status(best),
        "algbw_exact_GBps": None if best.algbw is None else str(best.algbw / 10**9),
        "algbw_Bps": None if best.algbw is None else float(best.algbw),
        "busbw_Bps": None if best.algbw is None else float(best.algbw) * (factor or 1.0),
        "best_known_algbw_Bps": known,
        "kind": best.kind,
        "reason": best.reason,
        "exact": best.exact,
        "ranks_inside": [rank for rank in range(ranks) if rank in best.inside],
        "switches_inside": [str(node) for node in network.switches if node in best.inside],
        "links": [
            {
                "from": node_name(network.links[number].tail),
                "to": node_name(network.links[number].head),
                "bandwidth_Bps": network.links[number].bandwidth,
            }
            for number in best.links
        ],
    }


def _draw(best: Throughput, network: Topology, name: str, path: str) -> None:
    from collsim.plots import plot_topology, save_figure

    inside = best.inside or None
    title = f"{name} on {network.name}: at most {_rate(best.algbw)[0]}; {best.reason}"
    save_figure(plot_topology(network, inside=inside, highlight=best.links, title=title), path)
