"""``python -m benchmarks``: messages per CPU second of every engine, and of other simulators, in one table."""

from __future__ import annotations

import itertools
import json
import math
import os
import platform
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np

import collsim as cs
from benchmarks.cases import ALL_RANKS, NETWORKS, SOME_RANKS, WORKS
from benchmarks.measure import bytes_a_message, measure, start_up
from benchmarks.peers import PEERS, peer_seconds
from collsim.cli import comma_separated
from collsim.cli.output import print_table
from collsim.engines import ENGINES
from collsim.models import MODELS
from collsim.units import format_time

Record = dict[str, Any]
KEYS = ("work", "network", "ranks", "model", "engine", "ordering")

# Of fewer the memory is lost in what imports and compiling took before.
_ENOUGH_MESSAGES = 500_000


@click.command(context_settings={"max_content_width": 100})
@click.option("--works", default=",".join(WORKS), show_default=True, callback=comma_separated)
@click.option("--networks", default=",".join(NETWORKS), show_default=True, callback=comma_separated)
@click.option("--models", default=",".join(MODELS), show_default=True, callback=comma_separated)
@click.option("--engines", default=",".join(ENGINES), show_default=True, callback=comma_separated)
@click.option(
    "--ordering",
    default="step",
    show_default=True,
    type=click.Choice(["step", "dataflow"]),
    help="What a move waits for.",
)
@click.option("--ranks", default=",".join(map(str, SOME_RANKS)), show_default=True, callback=comma_separated)
@click.option("--all", "everything", is_flag=True, help=f"All numbers of ranks: {ALL_RANKS[0]} to {ALL_RANKS[-1]}.")
@click.option("--seconds", default=10.0, show_default=True, help="Leave out what would take longer, a simulation.")
@click.option("--memory/--no-memory", default=True, help="Measure bytes a message, for the largest of each kind.")
@click.option("--peers", "with_peers", is_flag=True, help="Run other simulators too, where they are on PATH.")
@click.option("--save", metavar="FILE", type=click.Path(dir_okay=False), help="Write all figures as JSON.")
@click.option(
    "--against", metavar="FILE", type=click.Path(exists=True, dir_okay=False), help="Compare with saved ones."
)
def main(
    works: list[str],
    networks: list[str],
    models: list[str],
    engines: list[str],
    ordering: str,
    ranks: list[str],
    everything: bool,
    seconds: float,
    memory: bool,
    with_peers: bool,
    save: str | None,
    against: str | None,
) -> None:
    """Measure the engines on this machine. CPU time, best of a few runs; only ratios within one run mean much."""
    for given, known in ((works, WORKS), (networks, NETWORKS), (models, MODELS), (engines, ENGINES)):
        for name in given:
            if name not in known:
                raise click.UsageError(f"unknown name {name!r} (known: {', '.join(known)})")
    machine = describe_machine()
    click.echo(f"{machine}\n")
    counts = ALL_RANKS if everything else tuple(int(count) for count in ranks)
    if any(count < 2 or count & (count - 1) for count in counts):
        raise click.UsageError(f"ranks must be powers of two: the networks are squares, got {', '.join(ranks)}")
    records: list[Record] = []
    try:
        for kind in itertools.product(works, networks, models, engines):
            records += measure_kind(*kind, ordering, counts, seconds, memory)
    except KeyboardInterrupt:
        click.echo("interrupted; what was measured follows", err=True)
    show(records)
    starts = start_up()
    click.echo("\n" + "\n".join(f"{name:34} {format_time(wall)}" for name, wall in starts.items()))
    peers = show_peers(engines, counts, seconds) if with_peers else []
    if against:
        show_against(records, json.loads(Path(against).read_text()))
    if save:
        document = {"machine": machine, "cases": records, "start_up_s": starts, "peers": peers}
        Path(save).write_text(json.dumps(document, indent=1) + "\n")


def describe_machine() -> str:
    """Return what the figures were measured on."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, "
        f"numpy {np.__version__}, collsim {cs.__version__}"
    )


def measure_kind(
    work: str,
    where: str,
    model: str,
    engine: str,
    ordering: str,
    counts: tuple[int, ...],
    seconds: float,
    memory: bool,
) -> list[Record]:
    """Measure one kind of work with growing numbers of ranks, until the next one would take too long."""
    found: list[Record] = []
    for ranks in sorted(counts):
        if found:
            last = found[-1]
            # Cost grows at least in step with messages, and with ranks beside (flows that share links).
            growth = WORKS[work].messages(ranks) / last["messages"] * max(1.0, growing(found))
            if last["simulate_s"] * growth > seconds:
                break
        record = measure(work, where, ranks, model, engine, ordering)
        if sys.stderr.isatty():
            click.echo(f"\r\033[K{work} {where} {model} {engine} {ranks}", nl=False, err=True)
        if "refused" in record:
            break
        found.append(record)
    if memory and found and found[-1]["messages"] > _ENOUGH_MESSAGES:
        largest = found[-1]
        largest["bytes_a_message"] = bytes_a_message(*(largest[key] for key in KEYS))
    if sys.stderr.isatty():
        click.echo("\r\033[K", nl=False, err=True)
    return found


def growing(found: list[Record]) -> float:
    """Return how the cost of a message has grown over the last two."""
    if len(found) < 2:
        return 1.0
    one, other = ((record["simulate_s"] / record["messages"]) for record in found[-2:])
    return other / one


def exponent(records: list[Record]) -> float:
    """Return e where the cost grows with messages to the power of e: a line through the logarithms of the largest."""
    upper = [record for record in records if record["messages"] >= 1000][-4:]
    if len(upper) < 2:
        return math.nan
    x, y = (np.log([record[key] for record in upper]) for key in ("messages", "simulate_s"))
    return float(np.polyfit(x, y, 1)[0])


def show(records: list[Record]) -> None:
    """Print a row a kind and number of ranks."""
    rows = []
    for _, group in itertools.groupby(records, key=lambda record: [record[key] for key in KEYS if key != "ranks"]):
        kind = list(group)
        for record in kind:
            last = record is kind[-1]
            power = exponent(kind) if last else math.nan
            rows.append(
                [
                    *(str(record[key]) for key in KEYS),
                    str(record["messages"]),
                    f"{record['messages'] / max(record['build_s'], 1e-9):,.0f}",
                    f"{record['messages'] / max(record['simulate_s'], 1e-9):,.0f}",
                    f"{record['bytes_a_message']:.0f}" if "bytes_a_message" in record else "",
                    "" if math.isnan(power) else f"{power:.2f}",
                ]
            )
    columns = [*KEYS, "messages", "built/s", "simulated/s", "bytes/message", "exponent"]
    print_table(columns, rows, title="messages per CPU second", left=(0, 1, 3, 4, 5))


def show_peers(engines: list[str], counts: tuple[int, ...], seconds: float) -> list[Record]:
    """Run the ring all-reduce on a star with every peer that is here, and with our engines, largest last."""
    found: list[Record] = []
    for name in (*(f"collsim, {engine}" for engine in engines), *PEERS):
        last = 0.0
        if name in PEERS and not PEERS[name][0]():
            click.echo(f"{name}: not installed")
            continue
        for ranks in sorted(counts):
            if last * 20 > 60 * seconds:
                break
            if name in PEERS:
                try:
                    last = peer_seconds(name, ranks)
                except (RuntimeError, OSError) as error:
                    click.echo(f"{name}: {error}")
                    break
            else:
                record = measure("ring", "star", ranks, "maxmin", name.partition(", ")[2])
                if "refused" in record:
                    break
                last = record["simulate_s"]
            found.append({"simulator": name, "ranks": ranks, "cpu_s": last, "messages": WORKS["ring"].messages(ranks)})
    rows = [
        [
            row["simulator"],
            str(row["ranks"]),
            f"{row['cpu_s']:.3f}",
            f"{row['messages'] / max(row['cpu_s'], 1e-9):,.0f}",
        ]
        for row in found
    ]
    click.echo()
    print_table(
        ["simulator", "ranks", "CPU s", "messages/s"], rows, title="ring all-reduce of 64 MiB on a star, link sharing"
    )
    return found


def show_against(records: list[Record], saved: dict[str, Any]) -> None:
    """Print how much faster each case is than in a saved run."""
    before = {tuple(case[key] for key in KEYS): case for case in saved["cases"]}
    rows = [
        [*(str(record[key]) for key in KEYS), f"{before[name]['simulate_s'] / max(record['simulate_s'], 1e-9):.2f}"]
        for record in records
        if (name := tuple(record[key] for key in KEYS)) in before
    ]
    click.echo()
    print_table([*KEYS, "times as fast"], rows, title=f"against: {saved['machine']}", left=(0, 1, 3, 4, 5))


if __name__ == "__main__":
    main()
