"""``collsim list``: what can be asked for by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from collsim.catalog import ALGORITHMS
from collsim.cli.output import print_json, print_table
from collsim.collectives import COLLECTIVES, summary
from collsim.engines import ENGINES
from collsim.graph import ORDERINGS
from collsim.models import MODELS
from collsim.shapes import SHAPES
from collsim.topology_files import describe_preset, presets

Entries = list[dict[str, Any]]


def _algorithms() -> Entries:
    return [
        {
            "collective": entry.collective,
            "name": entry.name,
            "summary": entry.summary,
            "steps": str(entry.steps or ""),
            "sent": str(entry.sent or ""),
            "time": str(entry.time or ""),
            "options": ", ".join(f"{key}={value}" for key, value in entry.options.items()),
            "source": entry.source,
        }
        for entry in ALGORITHMS.values()
    ]


def _topologies() -> Entries:
    shapes = [{"name": f"{name}:K", "summary": shape.summary} for name, shape in SHAPES.items()]
    return shapes + [{"name": name, "summary": describe_preset(name)} for name in presets()]


SECTIONS: dict[str, Callable[[], Entries]] = {
    "algorithms": _algorithms,
    "topologies": _topologies,
    "collectives": lambda: [{"name": name, "summary": summary(name)} for name in COLLECTIVES],
    "models": lambda: [{"name": name, "summary": summary} for name, summary in MODELS.items()],
    "engines": lambda: [{"name": e.name, "summary": e.summary} for e in ENGINES.values()],
    "orderings": lambda: [{"name": name, "summary": summary} for name, summary in ORDERINGS.items()],
}


@click.command(
    "list",
    epilog="""\b
Letters in formulas: K ranks, n bytes of the vector, a seconds a message, b seconds a byte,
g seconds a reduced byte, lg(K) = ceil(log2(K)).
""",
)
@click.argument("section", required=False, type=click.Choice(list(SECTIONS)))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def command(section: str | None, as_json: bool) -> None:
    """List what can be asked for by name: all of it, or one SECTION."""
    chosen = [section] if section else list(SECTIONS)
    found = {name: SECTIONS[name]() for name in chosen}
    if as_json:
        print_json(found)
        return
    for number, (name, entries) in enumerate(found.items()):
        if number:
            click.echo()
        # Sources are long: they are in --json and in the documentation.
        columns = [key for key in entries[0] if key != "source"]
        rows = [[str(entry[key]) for key in columns] for entry in entries]
        print_table(columns, rows, title=name, left=range(len(columns)))
