"""Networks with other figures for some links: a slow cable, a straggling network card, half duplex, injection limits.

Links are named by their ends, as people see them: ``3-switch`` is a cable, ``3>switch`` one direction of it, ``3``
everything at rank 3, ``*`` stands for any nodes.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from collsim.errors import InputError, unknown
from collsim.topology import Link, Node, Route, Topology, cable, node_name, noted
from collsim.units import Quantity, format_bandwidth, parse_bandwidth, parse_time

Overrides = Iterable[str] | Mapping[Any, Mapping[str, Any]]

_KEYS = ("bandwidth", "latency", "duplex")
_LONGEST_NOTE = 60  # characters: more are summed up in the name of a topology


def override(
    topology: Topology,
    where: Any,
    *,
    bandwidth: Quantity | None = None,
    latency: Quantity | None = None,
    duplex: str | None = None,
) -> Topology:
    """Return the same network with other figures for some of its links; routes stay as they are.

    Parameters
    ----------
    topology : Topology
        The network.
    where : str or node or pair of nodes
        Which links: ``"3-switch"`` both directions of the cables between these nodes, ``"3>switch"`` one direction,
        ``"3"`` all that lead to or from a node, ``"*"`` all there are. In names ``*`` stands for any text:
        ``"leaf *-spine 0"``, ``"*>3"``. In Python also a node (``3``) or a pair of nodes (``(3, "switch")``).
    bandwidth, latency : float or str, optional
        The new figure (bytes per second, seconds), or a factor such as ``"x0.5"``.
    duplex : {"half", "full"}, optional
        Whether the two directions of each cable share one capacity, or have one each.

    Returns
    -------
    Topology
        Its name says what was changed.

    Raises
    ------
    InputError
        If a node is not known, there is no such link, nothing is to be changed, or a figure is out of range.

    Examples
    --------
    >>> import collsim as cs
    >>> star = cs.star(4, bandwidth="10GB/s", latency="1us")
    >>> slow = override(star, "3-switch", bandwidth="1GB/s")
    >>> slow.name, slow.route_bandwidth(0, 3), slow.route_bandwidth(0, 1)
    ('star:4 (3-switch:bandwidth=1GB/s)', 1000000000.0, 10000000000.0)
    >>> override(star, "*>3", latency="x10").route_latency(0, 3)
    1.1e-05
    """
    values = {"bandwidth": bandwidth, "latency": latency, "duplex": duplex}
    return _apply(topology, [(where, {key: value for key, value in values.items() if value is not None})])


def apply_overrides(topology: Topology, overrides: Overrides) -> Topology:
    """Return the same network with several `override` one after the other.

    Parameters
    ----------
    topology : Topology
        The network.
    overrides : iterable of str, or mapping
        Text as on the command line (``"3-switch:bandwidth=1GB/s,latency=10us"``), or a mapping of what `override`
        calls `where` to its keys and values.

    Raises
    ------
    InputError
        As `override`.

    Examples
    --------
    >>> import collsim as cs
    >>> star = cs.star(4, bandwidth="10GB/s", latency="1us")
    >>> apply_overrides(star, ["*:bandwidth=x0.5", "3:latency=10us"]).name
    'star:4 (*:bandwidth=x0.5, 3:latency=10us)'
    """
    if isinstance(overrides, Mapping):
        return _apply(topology, list(overrides.items()))
    if not isinstance(overrides, Iterable):
        raise InputError(f"overrides must be texts such as '3-switch:bandwidth=1GB/s', or a mapping, got {overrides!r}")
    return _apply(
        topology, [parse_override(text) for text in ([overrides] if isinstance(overrides, str) else overrides)]
    )


def _apply(topology: Topology, pairs: Sequence[tuple[Any, Any]]) -> Topology:
    if not isinstance(topology, Topology):
        raise InputError(f"what is overridden must be a Topology, got {type(topology).__name__}")
    if not pairs:
        return topology
    links = list(topology.links)
    for where, values in pairs:
        if not isinstance(values, Mapping) or not values:
            raise InputError(f"the override of {where!r} changes nothing; give {', '.join(_KEYS)}")
        try:
            _change(topology, links, where, values)
        except InputError as error:
            raise InputError(f"override {_text(where, values)!r}: {error}") from None
    changed = sum(new != old for new, old in zip(links, topology.links, strict=True))
    if not changed:
        return topology
    note = ", ".join(_text(where, values) for where, values in pairs)
    if len(note) > _LONGEST_NOTE:
        note = f"{changed} link{'s' * (changed != 1)} changed"
    return topology.with_links(links, noted(topology.name, note))


def parse_override(text: str) -> tuple[str, dict[str, str]]:
    """Return where, and what is to be changed there, of ``WHERE:KEY=VALUE,KEY=VALUE``.

    Raises
    ------
    InputError
        If it is not of that form.

    Examples
    --------
    >>> parse_override("3-switch:bandwidth=1GB/s,latency=x2")
    ('3-switch', {'bandwidth': '1GB/s', 'latency': 'x2'})
    """
    if not isinstance(text, str):
        raise InputError(f"an override must be text such as '3-switch:bandwidth=1GB/s', got {text!r}")
    where, _, rest = text.rpartition(":")
    values: dict[str, str] = {}
    for item in rest.split(","):
        key, equals, value = (part.strip() for part in item.partition("="))
        if not where.strip() or not equals or not value:
            raise InputError(f"an override must be WHERE:KEY=VALUE, such as 3-switch:bandwidth=1GB/s, got {text!r}")
        if key in values:
            raise InputError(f"override {text!r} gives {key!r} twice")
        values[key] = value
    return where.strip(), values


def limit_injection(topology: Topology, bandwidth: Quantity | Sequence[Quantity]) -> Topology:
    """Return the same network with a limit to what each rank can send, and receive, at a time.

    Between a rank and the rest of the network a switch ``port R`` takes over all its links, and the rank has a cable
    to it with this bandwidth and no latency. What only passes on its way to somebody else does not cross it.

    Parameters
    ----------
    topology : Topology
        The network.
    bandwidth : float or str, or a sequence of these
        Bytes per second, for sending and for receiving each: one for all ranks, or one a rank.

    Raises
    ------
    InputError
        If a value is out of range, there are not as many as ranks, or the network has such ports already.

    Examples
    --------
    >>> import collsim as cs
    >>> ring = limit_injection(cs.ring(4, bandwidth="10GB/s", latency="1us"), "5GB/s")
    >>> ring, ring.route_bandwidth(0, 2), ring.route_latency(0, 2)
    (Topology('ring:4 (injection 5 GB/s)', ranks=4, switches=4, links=16), 5000000000.0, 2e-06)
    """
    if not isinstance(topology, Topology):
        raise InputError(f"what gets an injection limit must be a Topology, got {type(topology).__name__}")
    values: list[Any] = list(bandwidth) if isinstance(bandwidth, list | tuple) else [bandwidth]
    if isinstance(bandwidth, str) and "," in bandwidth:
        values = bandwidth.split(",")
    if len(values) not in (1, topology.ranks):
        raise InputError(
            f"the injection limit must be one bandwidth, or one for each of {topology.ranks} ranks, got {len(values)}"
        )
    limits = [parse_bandwidth(value, "injection") for value in values]
    note = format_bandwidth(limits[0]) if len(set(limits)) == 1 else f"{_range(limits)}"
    limits *= topology.ranks if len(limits) == 1 else 1
    port: dict[Node, Node] = {rank: f"port {rank}" for rank in range(topology.ranks)}
    if not set(port.values()).isdisjoint(topology.switches):
        raise InputError(f"topology {topology.name!r} has a switch 'port 0' already: is its injection limited?")
    links = [
        dataclasses.replace(link, tail=port.get(link.tail, link.tail), head=port.get(link.head, link.head))
        for link in topology.links
    ]
    for rank, limit in enumerate(limits):
        links += cable(rank, port[rank], limit, 0.0)
    return Topology(
        noted(topology.name, f"injection {note}"),
        topology.ranks,
        links,
        routes=partial(_through_ports, topology),
        routing=topology.routing,
        groups=topology.groups,
        placement=topology.placement,
    )


def _through_ports(base: Topology, _: Topology, src: int, dst: int) -> list[Route]:
    """Find the routes of the network without ports, with the way through two ports added."""
    first = len(base.links)
    return [Route(share, (first + 2 * src, *links, first + 2 * dst + 1)) for share, links in base.routes(src, dst)]


def _range(values: Sequence[float]) -> str:
    return f"{format_bandwidth(min(values))} to {format_bandwidth(max(values))}"


def _text(where: Any, values: Mapping[str, Any]) -> str:
    ends = "-".join(map(str, where)) if isinstance(where, tuple) else str(where)
    return f"{ends}:{','.join(f'{key}={value}' for key, value in values.items())}"


def _change(topology: Topology, links: list[Link], where: Any, values: Mapping[str, Any]) -> None:
    """Put the new figures into those of `links` that are meant."""
    for key in values:
        if key not in _KEYS:
            raise unknown("key", key, _KEYS)
    chosen = find_links(topology, where)
    for i in chosen:
        if "bandwidth" in values:
            links[i] = dataclasses.replace(links[i], bandwidth=_bandwidth(values["bandwidth"], links[i].bandwidth))
        if "latency" in values:
            links[i] = dataclasses.replace(links[i], latency=_latency(values["latency"], links[i].latency))
    duplex = values.get("duplex")
    if duplex == "half":
        for i, k in _cables(topology, chosen):
            if links[i].medium is None and links[k].medium is None:
                links[i], links[k] = (dataclasses.replace(links[n], medium=("half-duplex", i)) for n in (i, k))
            elif links[i].medium != links[k].medium:
                raise InputError(f"from {node_name(links[i].tail)} to {node_name(links[i].head)} is a medium already")
    elif duplex == "full":
        for i in chosen:
            links[i] = dataclasses.replace(links[i], medium=None)
    elif duplex is not None:
        raise unknown("duplex", duplex, ("half", "full"))
    for i in chosen:
        if not 0 < links[i].bandwidth < math.inf or not 0 <= links[i].latency < math.inf:
            raise InputError(f"it makes a link without a positive finite bandwidth and a finite latency: {links[i]}")


def _bandwidth(value: Any, old: float) -> float:
    factor = _factor(value, "bandwidth")
    if factor == 0:
        raise InputError("the factor of a bandwidth must be positive, got 'x0'")
    return parse_bandwidth(value) if factor is None else old * factor


def _latency(value: Any, old: float) -> float:
    factor = _factor(value, "latency")
    return parse_time(value, "latency") if factor is None else old * factor


def _factor(value: Any, what: str) -> float | None:
    """Return f of ``"xf"``; None if the value is a figure of its own."""
    if not isinstance(value, str) or not value.strip().startswith("x"):
        return None
    text = value.strip()[1:]
    if not re.fullmatch(r"(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text) or not math.isfinite(float(text)):
        raise InputError(f"the factor of a {what} must be 'x' and a number of at least 0, such as x0.5, got {value!r}")
    return float(text)


def _cables(topology: Topology, chosen: list[int]) -> list[tuple[int, int]]:
    """Return the links in pairs, each with that of the other direction."""
    forward: dict[tuple[Node, Node], list[int]] = {}
    for i in chosen:
        forward.setdefault((topology.links[i].tail, topology.links[i].head), []).append(i)
    found = []
    for (tail, head), there in forward.items():
        back = forward.get((head, tail), [])
        if len(back) != len(there):
            raise InputError(
                f"half duplex needs both directions of a cable, and from {node_name(tail)} to {node_name(head)} "
                f"there are {len(there)}, back {len(back)}"
            )
        found += [(i, k) for i, k in zip(there, back, strict=True) if i < k]
    return found


def find_links(topology: Topology, where: Any) -> list[int]:
    """Return the numbers of the links that `where` names, as `override` takes it.

    Raises
    ------
    InputError
        If a node is not known, there is no such link, or the text can be read in two ways.

    Examples
    --------
    >>> import collsim as cs
    >>> star = cs.star(4, bandwidth="10GB/s", latency="1us")
    >>> find_links(star, "3"), find_links(star, "3>switch"), len(find_links(star, "*"))
    ([6, 7], [6], 8)
    """
    if isinstance(where, str):
        ends, others, one_way = _reading(topology, where)
    elif _is_node(topology, where):
        ends, others, one_way = (where,), tuple(topology.leaving), False
    elif isinstance(where, tuple | list) and len(where) == 2:
        for node in where:
            if not _is_node(topology, node):
                raise unknown_node(topology, node)
        (ends, others), one_way = ((node,) for node in where), False
    else:
        raise unknown_node(topology, where)
    first, second = set(ends), set(others)
    found = [
        i
        for i, link in enumerate(topology.links)
        if (link.tail in first and link.head in second) or (not one_way and link.tail in second and link.head in first)
    ]
    if not found:
        near = dict.fromkeys(node_name(topology.links[i].head) for node in ends for i in topology.leaving[node])
        named = f"; from {node_name(ends[0])} they lead to {', '.join([*near][:8])}" if len(ends) == 1 and near else ""
        raise InputError(f"topology {topology.name!r} has no such link{named}")
    return found


Reading = tuple[tuple[Node, ...], tuple[Node, ...], bool]


def _reading(topology: Topology, where: str) -> Reading:
    """Return the ends on either side, and whether only the way from the first to the second is meant.

    Names may have dashes and more in them, so every place where the text could be cut is tried.
    """
    text = where.strip()
    cuts = [(text[: mark.start()].strip(), mark[0], text[mark.end() :].strip()) for mark in re.finditer("[->]", text)]
    found = [(find_nodes(topology, left), find_nodes(topology, right), sign == ">") for left, sign, right in cuts]
    found = [reading for reading in found if reading[0] and reading[1]]
    found = [reading for reading in found if reading[2]] or found
    whole = find_nodes(topology, text)
    if whole:
        found.append((whole, tuple(topology.leaving), False))
    if not found:
        # Which part is wrong? Where one side is a node, it is the other.
        halves = [pair for left, _, right in cuts for pair in ((left, right), (right, left))]
        wrong = next((one for one, other in halves if find_nodes(topology, other)), text)
        raise unknown_node(topology, wrong)
    if len(found) > 1:
        raise InputError(
            f"{where!r} can be read in {len(found)} ways; write each direction with '>', or in Python a pair of nodes"
        )
    return found[0]


def find_nodes(topology: Topology, text: str) -> tuple[Node, ...]:
    """Return the nodes of that name; in a name that no node has, ``*`` stands for any text.

    Examples
    --------
    >>> import collsim as cs
    >>> star = cs.star(3, bandwidth="10GB/s", latency="1us")
    >>> find_nodes(star, "sw*"), find_nodes(star, "2"), find_nodes(star, "3")
    (('switch',), (2,), ())
    """
    exact = tuple(node for node in topology.leaving if str(node) == text)
    if len(exact) > 1:
        raise InputError(f"{text!r} could be {' or '.join(map(node_name, exact))}; in Python name the node itself")
    if exact or "*" not in text:
        return exact
    pattern = re.compile(".*".join(map(re.escape, text.split("*"))))
    return tuple(node for node in topology.leaving if pattern.fullmatch(str(node)))


def unknown_node(topology: Topology, name: object) -> InputError:
    """Return the error for a node that is not there; it names the nearest, for there may be thousands."""
    near = difflib.get_close_matches(str(name), [str(node) for node in topology.leaving], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    known = f"ranks 0-{topology.ranks - 1}"
    switches = [repr(node) for node in topology.switches]
    if len(switches) == 1:
        known += f" and switch {switches[0]}"
    elif switches:
        known += f" and {len(switches)} switches: {', '.join([*switches[:4], '...'][: len(switches)])}"
    return InputError(f"topology {topology.name!r} has no node {name!r}{hint} (it has {known})")


def _is_node(topology: Topology, node: Any) -> bool:
    return isinstance(node, Hashable) and not isinstance(node, bool | float) and node in topology.leaving
