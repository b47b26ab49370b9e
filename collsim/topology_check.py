"""What stands in a topology file: each figure with its basis and source, and what looks odd though it can be read."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from collsim.metrics import one_directional
from collsim.topology import Topology, node_name
from collsim.topology_files import load_topology

_FIGURES = ("bandwidth", "latency", "reverse_bandwidth", "reverse_latency", "injection")
_MOST_NAMED = 3


@dataclass(frozen=True)
class FileFigure:
    """One figure of a topology file.

    Attributes
    ----------
    where : str
        Which links have it: ``"cable 1: 0-7 to nvswitch"``, ``"level 2"``, or ``"all links"``.
    key : str
        ``"bandwidth"``, ``"latency"``, ...
    value : str
        As it is written.
    basis : str
        ``"datasheet"``, ``"measured"``, ``"definition"``, ``"assumed"``, or ``""`` if the file does not say.
    source : str
        Where it is from; ``""`` if the file does not say.
    """

    where: str
    key: str
    value: str
    basis: str
    source: str


@dataclass(frozen=True)
class Examination:
    """A topology file that can be read.

    Attributes
    ----------
    topology : Topology
        What it describes.
    figures : list of FileFigure
        In the order of the file.
    warnings : list of str
        What looks odd, a line each; empty if nothing does.
    """

    topology: Topology
    figures: list[FileFigure]
    warnings: list[str]


def file_figures(path: str | PathLike[str]) -> list[FileFigure]:
    """Return every bandwidth, latency and limit that stands in a topology file, as it is written there.

    Parameters
    ----------
    path : str or path
        A file that `collsim.load_topology` reads.

    Examples
    --------
    >>> from collsim.topology_files import presets
    >>> [(found.where, found.value, found.basis) for found in file_figures(presets()["nvidia/dgx-a100"])]
    [('cable 1: 0-7 to nvswitch', '300GB/s', 'datasheet'), ('cable 1: 0-7 to nvswitch', '0.35us', 'assumed')]
    """
    table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    return list(_figures(table))


def _figures(table: Mapping[str, Any]) -> Iterator[FileFigure]:
    yield from _of_entry(table, "all links" if "shape" in table else "")
    for kind in ("cable", "link", "override"):
        for number, entry in enumerate(table.get(kind, []), start=1):
            ends = entry["where"] if kind == "override" else f"{_text(entry['from'])} to {_text(entry['to'])}"
            yield from _of_entry(entry, f"{kind} {number}: {ends}")


def _of_entry(entry: Mapping[str, Any], where: str) -> Iterator[FileFigure]:
    for key in _FIGURES:
        if key in entry:
            given = entry[key]
            several = isinstance(given, list) and len(given) > 1
            for level, figure in enumerate(given if isinstance(given, list) else [given], start=1):
                place = "every rank" if key == "injection" else f"level {level}" if several else where
                if isinstance(figure, dict) and isinstance(figure.get("value"), list):
                    for inner, value in enumerate(figure["value"], start=1):
                        yield FileFigure(
                            f"level {inner}", key, str(value), figure.get("basis", ""), figure.get("source", "")
                        )
                elif isinstance(figure, dict):
                    yield FileFigure(
                        place, key, str(figure["value"]), figure.get("basis", ""), figure.get("source", "")
                    )
                else:
                    yield FileFigure(place, key, str(figure), "", "")


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def examine_topology_file(path: str | PathLike[str]) -> Examination:
    """Read a topology file and say what looks odd about it.

    Parameters
    ----------
    path : str or path
        A TOML file.

    Raises
    ------
    InputError
        If it cannot be read, is not right, or its network is disconnected.

    Examples
    --------
    >>> from collsim.topology_files import presets
    >>> examine_topology_file(presets()["nvidia/dgx-a100"]).warnings
    []
    """
    topology = load_topology(Path(path))
    table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    figures = list(_figures(table))
    warnings = []
    if not table.get("summary"):
        warnings.append("there is no summary, so lists have nothing to say about it")
    unsourced = [figure for figure in figures if not figure.source and not (figure.basis and table.get("source"))]
    if unsourced and not table.get("source"):
        first = f"{unsourced[0].key} {unsourced[0].value}"
        warnings.append(f"{len(unsourced)} of {len(figures)} figures have no source, the first is {first}")
    unknown_basis = [figure for figure in figures if not figure.basis]
    if unknown_basis:
        first = f"{unknown_basis[0].key} {unknown_basis[0].value}"
        warnings.append(
            f"{len(unknown_basis)} of {len(figures)} figures do not say whether they are measured, a datasheet's, "
            f"a definition or assumed, the first is {first}"
        )
    odd = one_directional(topology)
    if odd:
        named = "; ".join(f"{node_name(tail)} to {node_name(head)}" for tail, head in odd[:_MOST_NAMED])
        more = f" and {len(odd) - _MOST_NAMED} more" if len(odd) > _MOST_NAMED else ""
        warnings.append(f"the two directions differ in number, bandwidth or latency: {named}{more}")
    idle = _never_used(topology)
    if idle:
        named = "; ".join(
            f"{node_name(topology.links[i].tail)} to {node_name(topology.links[i].head)}" for i in idle[:_MOST_NAMED]
        )
        more = f" and {len(idle) - _MOST_NAMED} more" if len(idle) > _MOST_NAMED else ""
        warnings.append(f"no route uses the links {named}{more}")
    return Examination(topology, figures, warnings)


def _never_used(topology: Topology) -> list[int]:
    """Return the links that no route takes, if there are few enough routes to look at all of them."""
    if topology.ranks > 128:
        return []
    pairs = ((src, dst) for src in range(topology.ranks) for dst in range(topology.ranks) if src != dst)
    used = {number for src, dst in pairs for route in topology.routes(src, dst) for number in route.links}
    return [number for number in range(len(topology.links)) if number not in used]
