"""``collsim list``: what can be asked for by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import click

from collsim.algorithms.table import VECTOR_FORMS
from collsim.catalog import ALGORITHMS
from collsim.cli.output import print_json, print_table
from collsim.collectives import COLLECTIVES, summary
from collsim.engines import ENGINES
from collsim.glossary import GLOSSARY
from collsim.graph import ORDERINGS
from collsim.models import MODELS
from collsim.placement import PLACEMENTS
from collsim.routing import ROUTINGS
from collsim.shapes import SHAPES
from collsim.topology_files import describe_preset, presets

Entries = list[dict[str, Any]]

# What "list" leaves out of the table of algorithms unless it is asked for.
FORMULAS = ("steps", "sent", "wire", "time", "source")


def _algorithms() -> Entries:
    return [
        {
            "collective": entry.collective,
            "name": entry.name,
            "ranks": entry.admits,
            "summary": entry.summary,
            "options": ", ".join(
                key if value is inspect.Parameter.empty else f"{key}={value}" for key, value in entry.options.items()
            ),
            "steps": str(entry.steps or ""),
            "sent": str(entry.sent or ""),
            "wire": str(entry.wire or ""),
            "time": str(entry.time or ""),
            "source": entry.source,
        }
        for entry in ALGORITHMS.values()
    ]


def _topologies() -> Entries:
    shapes = [{"name": shape.example, "summary": shape.summary} for shape in SHAPES.values()]
    return shapes + [{"name": name, "summary": describe_preset(name)} for name in presets()]


def _placements() -> Entries:
    named = [{"name": how.example, "summary": how.summary} for how in PLACEMENTS.values()]
    return [
        *named,
        {"name": "0,4,1,5", "summary": "rank 0 at place 0, rank 1 at place 4, ...; the other places follow"},
    ]


SECTIONS: dict[str, Callable[[], Entries]] = {
    "algorithms": _algorithms,
    "topologies": _topologies,
    "routings": lambda: [{"name": way.example, "summary": way.summary} for way in ROUTINGS.values()],
    "placements": _placements,
    "collectives": lambda: [{"name": name, "summary": summary(name)} for name in COLLECTIVES],
    "models": lambda: [{"name": model.name, "summary": model.summary} for model in MODELS.values()],
    "engines": lambda: [{"name": e.name, "summary": e.summary} for e in ENGINES.values()],
    "orderings": lambda: [{"name": name, "summary": summary} for name, summary in ORDERINGS.items()],
    "columns": lambda: [
        {"of": table, "name": name, "unit": column.unit, "meaning": column.meaning}
        for table, columns in GLOSSARY.items()
        for name, column in columns.items()
    ],
}


@click.command(
    "list",
    epilog="""\b
Letters in formulas: K ranks, n bytes of the vector, a seconds a message, b seconds a byte, g seconds
a reduced byte, lg(K) = ceil(log2(K)), p2(K) the largest power of two not above K, grid(K, dims) the
sides of the grid; options go by their names. "sent" is the most that one rank sends, "wire" all
messages together, "time" holds under the alpha-beta model, ordered by step.

\b
Examples:
  collsim list
  collsim list algorithms --formulas
  collsim list topologies --json
  collsim list columns
""",
)
@click.argument("section", required=False, type=click.Choice(list(SECTIONS)))
@click.option("--formulas", is_flag=True, help="Show steps, bytes, time and source of every algorithm.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def command(section: str | None, formulas: bool, as_json: bool) -> None:
    """List what can be asked for by name: all of it, or one SECTION."""
    chosen = [section] if section else list(SECTIONS)
    found = {name: SECTIONS[name]() for name in chosen}
    if as_json:
        print_json(found)
        return
    for number, (name, entries) in enumerate(found.items()):
        if number:
            click.echo()
        if name == "algorithms" and formulas:
            _print_formulas(entries)
            continue
        columns = [key for key in entries[0] if key not in FORMULAS]
        # The algorithms of a v-form are those of the plain one.
        shown = [
            entry
            for entry in entries
            if entry.get("collective", "").removesuffix("v") not in VECTOR_FORMS
            or not entry["collective"].endswith("v")
        ]
        print_table(columns, [[str(entry[key]) for key in columns] for entry in shown], title=name, left=range(9))
        if name == "algorithms":
            names = ", ".join(f"{plain}v" for plain in VECTOR_FORMS)
            click.echo(f"\n{names}: the algorithms of the plain form, with -o counts=...")


def _print_formulas(entries: Entries) -> None:
    for entry in entries:
        click.echo(f"{entry['collective']} {entry['name']}: {entry['summary']}")
        for key in FORMULAS:
            if entry[key]:
                click.echo(f"    {key:7}{entry[key]}")
