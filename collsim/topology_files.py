"""Topologies by name, file or spec: `load_topology`, and the TOML format of ``topologies/``.

A file either names a shape and its figures, or lists cables and links one by one:

.. code-block:: toml

    name = "two switches"
    summary = "four ranks on two switches"
    ranks = 4
    switches = ["a", "b"]

    [[cable]]                       # full duplex; [[link]] is one direction
    from = "0-1"                    # ranks 0 and 1; also a number, a name, or a list of these
    to = "a"
    bandwidth = "10GB/s"
    latency = { value = "2us", basis = "measured", source = "our own ping-pong" }

A figure is text, or a table with its value, its basis and its source. A key that is not known is
refused, so that a misspelt one is never silently left out.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collsim.errors import InputError, unknown
from collsim.shapes import SHAPES
from collsim.topology import Link, Node, Topology
from collsim.units import Quantity, parse_bandwidth, parse_count, parse_time

if TYPE_CHECKING:
    import networkx as nx

BASES = ("datasheet", "measured", "definition", "assumed")

_COMMON_KEYS = {"name", "summary", "source", "ranks"}
_SHAPE_KEYS = _COMMON_KEYS | {"shape", "bandwidth", "latency"}
_LISTED_KEYS = _COMMON_KEYS | {"switches", "cable", "link"}
_EDGE_KEYS = {"from", "to", "bandwidth", "latency"}
_FIGURE_KEYS = {"value", "basis", "source"}


def load_topology(
    spec: str | PathLike[str] | Topology | nx.Graph[Any] | nx.DiGraph[Any],
    ranks: int | None = None,
    *,
    bandwidth: Quantity | None = None,
    latency: Quantity | None = None,
) -> Topology:
    """Return a topology by name, file or spec.

    Parameters
    ----------
    spec : str, path, Topology or networkx graph
        The name of a machine in ``topologies/`` (``"nvidia/dgx-a100"``), a TOML file
        (``"machine.toml"``), a shape, with its number of ranks (``"star:8"``) or without (``"star"``,
        then `ranks` says), a topology, or a networkx graph as `Topology.from_graph` takes it.
    ranks : int, optional
        Number of ranks wanted: a shape without a number gets exactly so many, anything else must have at
        least so many.
    bandwidth, latency : float or str, optional
        Of every link of a shape (bytes per second, seconds). A file that lists its links has its own.

    Raises
    ------
    InputError
        If there is no such name or file, the file is not right, the network is disconnected or too small.

    Examples
    --------
    >>> load_topology("star:8", bandwidth="10GB/s", latency="5us")
    Topology('star:8', ranks=8, switches=1, links=16)
    >>> load_topology("nvidia/dgx-a100")
    Topology('nvidia/dgx-a100', ranks=8, switches=1, links=16)
    """
    wanted = None if ranks is None else parse_count(ranks, "ranks")
    if isinstance(spec, str) and not spec.endswith(".toml"):
        topology = _from_spec(spec, wanted, bandwidth, latency)
    elif isinstance(spec, str | PathLike):
        topology = _from_file(Path(spec), wanted, bandwidth, latency)
    else:
        topology = spec if isinstance(spec, Topology) else _from_graph(spec)
        _refuse_figures(topology.name, bandwidth, latency)
    topology.check_connected(wanted or topology.ranks)
    return topology


def presets() -> dict[str, Path]:
    """Return the machines that come with collsim: their names and files."""
    package = Path(__file__).resolve().parent
    # In a wheel the files lie inside the package, in a checkout (also an editable one) beside it.
    for folder in (package / "topologies", package.parent / "topologies"):
        if folder.is_dir():
            return {
                path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.rglob("*.toml"))
            }
    return {}


def describe_preset(name: str) -> str:
    """Return the one-line summary of a machine that comes with collsim."""
    return str(_read(presets()[name]).get("summary", ""))


def _from_graph(graph: Any) -> Topology:
    if not hasattr(graph, "is_directed"):
        raise InputError(
            f"a topology must be a name, a file, a spec, a Topology or a networkx graph, got {type(graph).__name__}"
        )
    return Topology.from_graph(graph)


def _from_spec(spec: str, wanted: int | None, bandwidth: Quantity | None, latency: Quantity | None) -> Topology:
    name, colon, rest = spec.partition(":")
    known = presets()
    shape = name.replace("_", "-")
    if shape not in SHAPES and name not in known:
        raise unknown("topology", name, [*SHAPES, *known])
    if name in known:
        ranks = parse_count(rest, f"the number of ranks in {spec!r}") if colon else wanted
        topology = _from_file(known[name], ranks, bandwidth, latency, name)
        if colon and topology.ranks != ranks:
            raise InputError(
                f"topology {name!r} has {topology.ranks} ranks, so it cannot be {spec!r}; for fewer give -n"
            )
    else:
        try:
            parameters = SHAPES[shape].read(rest) if colon else {}
            topology = SHAPES[shape].make(parameters, wanted, bandwidth, latency)
        except InputError as error:
            raise InputError(f"topology {spec!r}: {error}") from None
    if wanted is not None and topology.ranks < wanted:
        raise InputError(f"topology {spec!r} has {topology.ranks} ranks, fewer than the {wanted} asked for")
    return topology


def _from_file(
    path: Path, wanted: int | None, bandwidth: Quantity | None, latency: Quantity | None, name: str | None = None
) -> Topology:
    table = _read(path)
    try:
        title = name or str(table.get("name", path.stem))
        if "shape" in table:
            shape = SHAPES[_known("shape", table["shape"], SHAPES)]
            _check_keys(table, _SHAPE_KEYS | set(shape.parameters), "a file with a shape")
            parameters = {key: table[key] for key in shape.parameters if key in table}
            if shape.fit and parameters.keys() <= {"ranks"}:  # any number of ranks will do
                parameters = dict(shape.fit(parse_count(table.get("ranks") if wanted is None else wanted, "ranks")))
            topology = shape.make(
                parameters,
                None,
                _figure(table, "bandwidth") if bandwidth is None else bandwidth,
                _figure(table, "latency") if latency is None else latency,
            )
            topology.name = (
                title if topology.ranks == table.get("ranks", topology.ranks) else f"{title}:{topology.ranks}"
            )
            return topology
        _check_keys(table, _LISTED_KEYS, "a file that lists its links")
        _refuse_figures(title, bandwidth, latency)
        topology = Topology(title, parse_count(table.get("ranks"), "ranks"), _links(table))
        topology.check_connected(wanted or topology.ranks)
        return topology
    except InputError as error:
        raise InputError(str(error) if name else f"{path}: {error}") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read topology file {str(path)!r}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"topology file {str(path)!r} is not TOML: {error}") from None


def _links(table: Mapping[str, Any]) -> list[Link]:
    ranks = parse_count(table.get("ranks"), "ranks")
    switches = table.get("switches", [])
    if not isinstance(switches, list) or not all(isinstance(name, str) for name in switches):
        raise InputError(f"switches must be a list of names, got {switches!r}")
    links: list[Link] = []
    for kind in ("cable", "link"):
        entries = table.get(kind, [])
        if not isinstance(entries, list):
            raise InputError(f"write [[{kind}]] with two brackets: there may be several")
        for number, entry in enumerate(entries, start=1):
            try:
                _check_keys(entry, _EDGE_KEYS, f"a {kind}")
                bandwidth = parse_bandwidth(_figure(entry, "bandwidth"))
                latency = parse_time(_figure(entry, "latency"), "latency")
                tails = list(_nodes(entry, "from", ranks, switches))
                heads = list(_nodes(entry, "to", ranks, switches))
            except InputError as error:
                raise InputError(f"{kind} {number}: {error}") from None
            pairs = [(tail, head) for tail in tails for head in heads if tail != head]
            links += [Link(tail, head, bandwidth, latency) for tail, head in pairs]
            if kind == "cable":
                links += [Link(head, tail, bandwidth, latency) for tail, head in pairs]
    if not links and ranks > 1:
        raise InputError("there is neither a shape nor a [[cable]] nor a [[link]]")
    return links


def _nodes(entry: Mapping[str, Any], key: str, ranks: int, switches: list[str]) -> Iterable[Node]:
    if key not in entry:
        raise InputError(f"the key {key!r} is missing")
    value = entry[key]
    for item in value if isinstance(value, list) else [value]:
        if item in switches:
            yield item
            continue
        first, dash, last = str(item).partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or isinstance(item, bool):
            raise unknown(f"node in {key!r}:", item, [f"0-{ranks - 1}", *switches])
        low, high = int(first), int(last) if dash else int(first)
        if not low <= high < ranks:
            raise InputError(f"{key!r} names the ranks {item!r}, but there are only 0-{ranks - 1}")
        yield from range(low, high + 1)


def _figure(table: Mapping[str, Any], key: str) -> Quantity:
    if key not in table:
        raise InputError(f"the key {key!r} is missing")
    figure = table[key]
    if not isinstance(figure, dict):
        return figure  # type: ignore[no-any-return]
    _check_keys(figure, _FIGURE_KEYS, key)
    if "basis" in figure:
        _known("basis", figure["basis"], BASES)
    if "value" not in figure:
        raise InputError(f"{key} has no 'value'")
    return figure["value"]  # type: ignore[no-any-return]


def _known(what: str, name: Any, known: Iterable[str]) -> str:
    if not isinstance(name, str) or name not in known:
        raise unknown(what, name, known)
    return name


def _check_keys(table: Any, known: set[str], where: str) -> None:
    if not isinstance(table, dict):
        raise InputError(f"{where} must be a table, got {table!r}")
    for key in table:
        if key not in known:
            raise unknown(f"key in {where}:", key, known)


def _refuse_figures(name: str, bandwidth: Quantity | None, latency: Quantity | None) -> None:
    if bandwidth is not None or latency is not None:
        given = "a bandwidth" if bandwidth is not None else "a latency"
        raise InputError(f"topology {name!r} has its own bandwidths and latencies; {given} cannot be given too")
