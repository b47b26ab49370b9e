"""Topologies by name, file or spec: `load_topology`, and the TOML format of ``topologies/``.

A file either names a shape and its figures, or lists cables and links one by one:

.. code-block:: toml

    name = "two switches"
    summary = "four ranks on two switches"
    ranks = 4
    switches = ["leaf {0-1}"]       # leaf 0 and leaf 1
    groups = ["0-1", "2-3"]         # or 2: of two ranks each; which ranks are close to each other

    [[cable]]                       # both directions; [[link]] is one
    from = "0-3"                    # ranks 0 to 3; also a number, a name, or a list of these
    to = "leaf {0-1}"
    pairing = "blocks"              # 0 and 1 to leaf 0, 2 and 3 to leaf 1; or "cyclic"; default: all with all
    bandwidth = "10GB/s"
    latency = { value = "2us", basis = "measured", source = "our own ping-pong" }

    [[cable]]
    from = "leaf 0"
    to = "leaf 1"
    bandwidth = "5GB/s"
    latency = "1us"
    parallel = 2                    # so many side by side

A figure is text, or a table with its value, its basis and its source; of a shape with several levels a list, in
either form. Cables may have ``duplex = "half"`` or other figures for the way back (``reverse_bandwidth``,
``reverse_latency``); cables and links a ``medium`` that all of that name share, and ``fatpipe = true``.

Both kinds of file may go on with ``routing = "ecmp:seed=1"`` (or ``"explicit:routes.toml"``, a file beside it), with
``[[route]]`` (``from``, ``to``, the nodes ``via`` which it leads, and its ``share`` if there are several), with
``[[override]]`` (``where``, and the new figures as `collsim.override` takes them), and with ``injection``, the most
that a rank can send and receive.

A key that is not known is refused, so that a misspelt one is never silently left out.
"""

from __future__ import annotations

import itertools
import math
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collsim.errors import InputError, unknown
from collsim.overrides import Overrides, apply_overrides, limit_injection
from collsim.placement import place
from collsim.routing import ExplicitRoutes, reroute
from collsim.shapes import SHAPES
from collsim.shapes.basic import refuse_too_many_links
from collsim.topology import Link, Node, Route, Topology
from collsim.units import Quantity, parse_bandwidth, parse_count, parse_time

if TYPE_CHECKING:
    import networkx as nx

BASES = ("datasheet", "measured", "definition", "assumed")

_CHANGE_KEYS = {"groups", "routing", "route", "override", "injection"}
_COMMON_KEYS = {"name", "summary", "source", "ranks"} | _CHANGE_KEYS
_SHAPE_KEYS = _COMMON_KEYS | {"shape", "bandwidth", "latency"}
_LISTED_KEYS = _COMMON_KEYS | {"switches", "cable", "link"}
_LINK_KEYS = {"from", "to", "pairing", "bandwidth", "latency", "parallel", "medium", "fatpipe"}
_CABLE_KEYS = _LINK_KEYS | {"duplex", "reverse_bandwidth", "reverse_latency"}
_ROUTE_KEYS = {"from", "to", "via", "share"}
_OVERRIDE_KEYS = {"where", "bandwidth", "latency", "duplex"}
_FIGURE_KEYS = {"value", "basis", "source"}
_MOST_NAMES = 10**6  # that one range in a name stands for


def load_topology(
    spec: str | PathLike[str] | Topology | nx.Graph[Any] | nx.DiGraph[Any],
    ranks: int | None = None,
    *,
    bandwidth: Quantity | Sequence[Quantity] | None = None,
    latency: Quantity | Sequence[Quantity] | None = None,
    routing: str | ExplicitRoutes | None = None,
    placement: str | Sequence[int] | None = None,
    overrides: Overrides = (),
    injection: Quantity | Sequence[Quantity] | None = None,
) -> Topology:
    """Return a topology by name, file or spec, and what is to be changed about it.

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
        Of every link of a shape (bytes per second, seconds), or one a level where it has several. A file that lists
        its links has its own.
    routing : str or mapping, optional
        How routes are chosen, as `collsim.reroute` takes it: ``"ecmp:seed=3"``. Default: as usual for the network.
    placement : str or sequence of int, optional
        Which rank sits where, as `collsim.place` takes it: ``"round-robin"``.
    overrides : iterable of str or mapping, optional
        Other figures for some links, as `collsim.override` takes them: ``["3-switch:bandwidth=1GB/s"]``.
    injection : float or str, optional
        The most that each rank can send, and receive, in bytes per second, as `collsim.limit_injection` takes it.

    Returns
    -------
    Topology
        Its name says what was changed.

    Raises
    ------
    InputError
        If there is no such name or file, the file is not right, the network is disconnected or too small, or there
        is nothing of the kind to change.

    Notes
    -----
    Overrides come first, then the routing, the injection limit and the placement. So nodes are named as in the network
    itself: in ``"3-switch"`` the 3 is the third place, whichever rank sits there.

    Examples
    --------
    >>> load_topology("star:8", bandwidth="10GB/s", latency="5us")
    Topology('star:8', ranks=8, switches=1, links=16)
    >>> load_topology("nvidia/dgx-a100")
    Topology('nvidia/dgx-a100', ranks=8, switches=1, links=16)
    >>> load_topology("nvidia/dgx-a100", placement="random:7", overrides=["3:bandwidth=x0.5"]).name
    'nvidia/dgx-a100 (3:bandwidth=x0.5, placement random:7)'
    """
    wanted = None if ranks is None else parse_count(ranks, "ranks")
    if isinstance(spec, str) and not spec.endswith(".toml"):
        topology = _from_spec(spec, wanted, bandwidth, latency)
    elif isinstance(spec, str | PathLike):
        topology = _from_file(Path(spec), wanted, bandwidth, latency)
    else:
        topology = spec if isinstance(spec, Topology) else _from_graph(spec)
        _refuse_figures(topology.name, bandwidth, latency)
    topology = apply_overrides(topology, overrides)
    if routing is not None:
        topology = reroute(topology, routing)
    if injection is not None:
        topology = limit_injection(topology, injection)
    if placement is not None:
        topology = place(topology, placement, wanted)
    topology.check_connected(wanted or topology.ranks)
    return topology


def presets() -> dict[str, Path]:
    """Return the machines that come with collsim: their names and files."""
    package = Path(__file__).resolve().parent
    # In a wheel the files lie inside the package, in a checkout (also an editable one) beside it.
    for folder in (package / "topologies", package.parent / "topologies"):
        if folder.is_dir():
            files = {path.relative_to(folder).with_suffix("").as_posix(): path for path in folder.rglob("*.toml")}
            return dict(sorted(files.items()))
    return {}


def describe_preset(name: str) -> str:
    """Return the one-line summary of a machine that comes with collsim."""
    return describe_file(presets()[name])


def describe_file(path: str | PathLike[str]) -> str:
    """Return the one-line summary that a topology file has, ``""`` if it has none.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    return str(_read(Path(path)).get("summary", ""))


def _from_graph(graph: Any) -> Topology:
    if not hasattr(graph, "is_directed"):
        raise InputError(
            f"a topology must be a name, a file, a spec, a Topology or a networkx graph, got {type(graph).__name__}"
        )
    return Topology.from_graph(graph)


def _from_spec(spec: str, wanted: int | None, bandwidth: Any, latency: Any) -> Topology:
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


def _from_file(path: Path, wanted: int | None, bandwidth: Any, latency: Any, name: str | None = None) -> Topology:
    table = _read(path)
    try:
        for key in ("name", "summary", "source"):
            if not isinstance(table.get(key, ""), str):
                raise InputError(f"{key} must be text, got {table[key]!r}")
        title = name or str(table.get("name", path.stem))
        if "shape" in table:
            shape = SHAPES[_known("shape", table["shape"], SHAPES)]
            _check_keys(table, _SHAPE_KEYS | set(shape.parameters), "a file with a shape")
            parameters = {key: table[key] for key in shape.parameters if key in table}
            stated = table.get("ranks")
            fits = shape.fit is not None and parameters.keys() <= {"ranks"}  # any number of ranks will do
            if shape.fit is not None and fits:
                parameters = dict(shape.fit(_ranks(table) if wanted is None else wanted))
            topology = shape.make(
                parameters,
                None if stated is None else parse_count(stated, "ranks"),
                _figure(table, "bandwidth") if bandwidth is None else bandwidth,
                _figure(table, "latency") if latency is None else latency,
            )
            same = stated is None or parse_count(stated, "ranks") == topology.ranks
            if not same and not fits:
                raise InputError(f"the shape has {topology.ranks} ranks, but the file says {stated}")
            topology.name = title if same else f"{title}:{topology.ranks}"
        else:
            _check_keys(table, _LISTED_KEYS, "a file that lists its links")
            _refuse_figures(title, bandwidth, latency)
            topology = Topology(title, _ranks(table), _links(table))
            topology.check_connected(wanted or topology.ranks)
        return _with_changes(topology, table, path.parent)
    except InputError as error:
        raise InputError(str(error) if name else f"{path}: {error}") from None


def _with_changes(topology: Topology, table: Mapping[str, Any], folder: Path) -> Topology:
    """Return the network with what stands in the file besides links; it belongs to the network, not to its name.

    Other files that the file names are looked for in its folder.
    """
    changed = topology
    if "groups" in table:
        changed = changed.with_groups(_groups(table["groups"], topology.ranks))
    for where, values in _entries(table, "override", _OVERRIDE_KEYS):
        if not isinstance(values.get("where"), str):
            raise InputError(f"{where}: 'where' must say which links, such as '3-switch', got {values.get('where')!r}")
        try:
            new = {key: _figure(values, key) for key in values if key != "where"}
            changed = apply_overrides(changed, {values["where"]: new})
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
    if "routing" in table:
        if not isinstance(table["routing"], str):
            raise InputError(f"routing must be a name such as 'ecmp:seed=1', got {table['routing']!r}")
        how, colon, file = table["routing"].partition(":")
        listed = how.strip().lower() == "explicit" and file.strip()
        changed = reroute(changed, f"{how}:{folder / file.strip()}" if listed else how + colon + file)
    if "route" in table:
        changed = reroute(changed, _routes(table, changed))
    if "injection" in table:
        changed = limit_injection(changed, _figure(table, "injection"))
    changed.name = topology.name
    return changed


def read_routes(path: str | PathLike[str], topology: Topology) -> dict[tuple[int, int], list[Route]]:
    """Return the routes that the ``[[route]]`` entries of a TOML file list, by source and destination.

    Raises
    ------
    InputError
        If the file cannot be read, has other entries, or a route is not one of the network.
    """
    table = _read(Path(path))
    try:
        _check_keys(table, {"name", "summary", "source", "route"}, "a file of routes")
        if not table.get("route"):
            raise InputError("there is no [[route]]")
        return _routes(table, topology)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read topology file {str(path)!r}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"topology file {str(path)!r} is not TOML: {error}") from None


def _ranks(table: Mapping[str, Any]) -> int:
    if "ranks" not in table:
        raise InputError("the key 'ranks' is missing")
    return parse_count(table["ranks"], "ranks")


def _entries(table: Mapping[str, Any], kind: str, keys: set[str]) -> Iterable[tuple[str, dict[str, Any]]]:
    """Yield what each ``[[kind]]`` is called in an error, and the entry itself."""
    entries = table.get(kind, [])
    if not isinstance(entries, list):
        raise InputError(f"write [[{kind}]] with two brackets: there may be several")
    article = "an" if kind[0] in "aeiou" else "a"
    for number, entry in enumerate(entries, start=1):
        try:
            _check_keys(entry, keys, f"{article} {kind}")
        except InputError as error:
            raise InputError(f"{kind} {number}: {error}") from None
        yield f"{kind} {number}", entry


def _links(table: Mapping[str, Any]) -> list[Link]:
    ranks = _ranks(table)
    switches = _switches(table.get("switches", []))
    links: list[Link] = []
    for kind, keys in (("cable", _CABLE_KEYS), ("link", _LINK_KEYS)):
        for where, entry in _entries(table, kind, keys):
            try:
                links += _links_of(entry, kind == "cable", len(links), ranks, switches)
            except InputError as error:
                raise InputError(f"{where}: {error}") from None
    if not links and ranks > 1:
        raise InputError("there is neither a shape nor a [[cable]] nor a [[link]]")
    joined = {node for link in links for node in (link.tail, link.head)}
    alone = [name for name in switches if name not in joined]
    if alone:
        raise InputError(f"switch {alone[0]!r} has no cable and no link")
    return links


def _switches(given: Any) -> list[str]:
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise InputError(f"switches must be a list of names, got {given!r}")
    names = [name for item in given for name in _expanded(item)]
    for name, times in Counter(names).items():
        if re.fullmatch(r"[\d\s-]*", name):
            raise InputError(f"a switch must have a name that is not taken for a rank, got {name!r}")
        if times > 1:
            raise InputError(f"switch {name!r} is listed twice")
    return names


def _expanded(name: str) -> list[str]:
    """Return the names that ``leaf {0-3}`` stands for; with several ranges the last one runs fastest."""
    parts = re.split(r"\{(\d+)-(\d+)\}", name)
    ends = [(int(low), int(high)) for low, high in zip(parts[1::3], parts[2::3], strict=True)]
    if any(low > high for low, high in ends):
        raise InputError(f"a range of names must go upwards, such as {{0-3}}, got {name!r}")
    if math.prod(high - low + 1 for low, high in ends) > _MOST_NAMES:
        raise InputError(f"{name!r} stands for more than {_MOST_NAMES} names")
    ranges = [range(low, high + 1) for low, high in ends]
    fixed = parts[::3]
    return [
        fixed[0] + "".join(f"{number}{text}" for number, text in zip(numbers, fixed[1:], strict=True))
        for numbers in itertools.product(*ranges)
    ]


def _links_of(entry: Mapping[str, Any], is_cable: bool, first: int, ranks: int, switches: list[str]) -> list[Link]:
    """Return the links of an entry; `first` is the number that the first of them will have."""
    bandwidth = parse_bandwidth(_figure(entry, "bandwidth"))
    latency = parse_time(_figure(entry, "latency"), "latency")
    medium, fatpipe = entry.get("medium"), entry.get("fatpipe", False)
    if medium is not None and not isinstance(medium, str):
        raise InputError(f"medium must be a name, got {medium!r}")
    if not isinstance(fatpipe, bool):
        raise InputError(f"fatpipe must be true or false, got {fatpipe!r}")
    half = _known("duplex", entry.get("duplex", "full"), ("full", "half")) == "half"
    back = bandwidth, latency
    if "reverse_bandwidth" in entry:
        back = parse_bandwidth(_figure(entry, "reverse_bandwidth"), "reverse_bandwidth"), back[1]
    if "reverse_latency" in entry:
        back = back[0], parse_time(_figure(entry, "reverse_latency"), "reverse_latency")
    if half and (medium is not None or fatpipe):
        raise InputError("a half-duplex cable is a medium of its own, so it has no 'medium' and is no fatpipe")
    if (half or medium is not None) and back[0] != bandwidth:
        raise InputError("both directions of a medium have the same bandwidth, so there is no 'reverse_bandwidth'")
    if medium is not None and fatpipe:
        raise InputError("what shares a medium is no fatpipe")
    pairs, parallel = _pairs(entry, is_cable, ranks, switches), parse_count(entry.get("parallel", 1), "parallel")
    refuse_too_many_links(len(pairs) * parallel)
    pairs *= parallel
    links = []
    for number, (tail, head) in enumerate(pairs, start=first):
        shared = ("half-duplex", number) if half else medium
        links.append(Link(tail, head, bandwidth, latency, shared, fatpipe))
    if is_cable:
        links += [Link(link.head, link.tail, *back, link.medium, fatpipe) for link in links]
    return links


def _pairs(entry: Mapping[str, Any], is_cable: bool, ranks: int, switches: list[str]) -> list[tuple[Node, Node]]:
    tails, heads = (list(_nodes(entry, key, ranks, switches)) for key in ("from", "to"))
    if not tails or not heads:
        raise InputError(f"{'to' if tails else 'from'!r} names no node")
    pairing = _known("pairing", entry.get("pairing", "all"), ("all", "blocks", "cyclic"))
    if pairing == "all":
        both = [(tail, head) for tail in tails for head in heads if tail != head]
        if is_cable:  # among the same nodes every two of them would be joined twice
            seen = set(both)
            both = [pair for pair in both if pair[::-1] not in seen or tails.index(pair[0]) < tails.index(pair[1])]
    else:
        most, least = max(len(tails), len(heads)), min(len(tails), len(heads))
        if most % least:
            raise InputError(f"pairing {pairing!r} of {len(tails)} nodes with {len(heads)}: one must divide the other")
        both = [
            (tails[i * len(tails) // most], heads[i * len(heads) // most])
            if pairing == "blocks"
            else (tails[i % len(tails)], heads[i % len(heads)])
            for i in range(most)
        ]
        if any(tail == head for tail, head in both):
            raise InputError(f"pairing {pairing!r} joins a node to itself")
    if not both:
        raise InputError("it joins a node to itself")
    return both


def _nodes(entry: Mapping[str, Any], key: str, ranks: int, switches: Sequence[Node]) -> list[Node]:
    if key not in entry:
        raise InputError(f"the key {key!r} is missing")
    value = entry[key]
    found: list[Node] = []
    for item in value if isinstance(value, list) else [value]:
        names = _expanded(item) if isinstance(item, str) else [item]
        if item in switches or all(name in switches for name in names):
            found += [item] if item in switches else names
            continue
        first, dash, last = str(item).partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or isinstance(item, bool):
            missing = next((name for name in names if name not in switches), item)
            raise unknown(f"node in {key!r}:", missing, [f"0-{ranks - 1}", *map(str, switches)])
        low, high = int(first), int(last) if dash else int(first)
        if not low <= high < ranks:
            raise InputError(f"{key!r} names the ranks {item!r}, but there are only 0-{ranks - 1}")
        found += range(low, high + 1)
    for node, times in Counter(found).items():
        if times > 1:
            raise InputError(f"{key!r} names {node!r} twice")
    return found


def _groups(given: Any, ranks: int) -> list[list[int]]:
    """Return groups of ranks: of so many each, or lists and ranges of them."""
    if not isinstance(given, list):
        size = parse_count(given, "groups")
        if ranks % size:
            raise InputError(f"groups of {size} do not divide {ranks} ranks")
        return [list(range(begin, begin + size)) for begin in range(0, ranks, size)]
    return [[int(str(rank)) for rank in _nodes({"groups": group}, "groups", ranks, [])] for group in given]


def _routes(table: Mapping[str, Any], topology: Topology) -> dict[tuple[int, int], list[Route]]:
    found: dict[tuple[int, int], list[Route]] = {}
    for where, entry in _entries(table, "route", _ROUTE_KEYS):
        try:
            sources, targets = (_nodes(entry, key, topology.ranks, []) for key in ("from", "to"))
            via = _nodes(entry, "via", topology.ranks, topology.switches)
            share = entry.get("share", 1.0)
            if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
                raise InputError(f"share must be a number above 0 and at most 1, got {share!r}")
            if set(sources) == set(targets) and len(sources) < 2:
                raise InputError(f"it must lead from one rank to another, got {entry['from']!r} to {entry['to']!r}")
            for src, dst in itertools.product(sources, targets):
                if src == dst:
                    continue
                if not isinstance(src, int) or not isinstance(dst, int) or src in via or dst in via:
                    raise InputError(f"'via' has the nodes between the ends {src} and {dst}, not the ends")
                ways = found.setdefault((src, dst), [])
                ways.append(Route(float(share), topology.links_along([src, *via, dst], dst)))
                total = sum(way.share for way in ways)
                if total > 1 + 1e-9:
                    raise InputError(f"the shares of the routes from {src} to {dst} add up to {total:g}, more than 1")
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
    return found


def _figure(table: Mapping[str, Any], key: str) -> Any:
    """Return a figure without its basis and source; of a list of figures a list."""
    if key not in table:
        raise InputError(f"the key {key!r} is missing")
    figure = table[key]
    if isinstance(figure, list):
        return [_figure({key: part}, key) for part in figure]
    if not isinstance(figure, dict):
        return figure
    _check_keys(figure, _FIGURE_KEYS, key)
    if "basis" in figure:
        _known("basis", figure["basis"], BASES)
    if not isinstance(figure.get("source", ""), str):
        raise InputError(f"the source of a {key} must be text, got {figure['source']!r}")
    if "value" not in figure:
        raise InputError(f"{key} has no 'value'")
    return figure["value"]


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


def _refuse_figures(name: str, bandwidth: Any, latency: Any) -> None:
    if bandwidth is not None or latency is not None:
        given = "bandwidth" if bandwidth is not None else "latency"
        raise InputError(
            f"topology {name!r} has its own bandwidths and latencies; a {given} cannot be given too "
            f"(override '*:{given}=...' changes it for all links)"
        )
