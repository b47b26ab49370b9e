"""Networks that are known by their routes alone: named links, and for each pair of ranks the links on the way.

Such tables are what a simulator of platforms prints, or what one measures with traceroute: they say who shares
what, but not where a link begins and ends. Here links get ends, so that the network is a `Topology` as any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from collsim.errors import InputError, unknown
from collsim.topology import Link, Node, Route, Topology
from collsim.units import Quantity, parse_bandwidth, parse_count, parse_time

Pair = tuple[int, int]


class NamedLink(NamedTuple):
    """A link of a table of routes.

    Attributes
    ----------
    bandwidth : float or str
        Bytes per second, or text with a unit.
    latency : float or str
        Seconds, or text with a unit.
    fatpipe : bool
        Whether every message may use the full bandwidth, as in `Link`; otherwise messages share it, whichever way
        they cross the link.

    Examples
    --------
    >>> NamedLink("10GB/s", "1us")
    NamedLink(bandwidth='10GB/s', latency='1us', fatpipe=False)
    """

    bandwidth: Quantity
    latency: Quantity
    fatpipe: bool = False


def network_of_routes(
    name: str, ranks: int, links: Mapping[str, NamedLink], routes: Mapping[Pair, Sequence[str]]
) -> Topology:
    """Return the network that a table of routes describes.

    Parameters
    ----------
    name : str
        For tables and results.
    ranks : int
        Number of ranks.
    links : mapping of str to NamedLink
        The links by name. All messages whose routes name a link share it.
    routes : mapping of (int, int) to sequence of str
        For pairs (source, destination) of ranks the names of the links on the way, in order.

    Returns
    -------
    Topology
        Its links are those of the table, in their order, and after them the ideal ones of the notes below.

    Raises
    ------
    InputError
        If a route names a link that is not in the table, one link twice, or none; if its ends are not two of the ranks;
        if figures of a link are out of range; and, when its route is asked for, if a pair of ranks has none.

    Notes
    -----
    The end of a link and the beginning of the next one on a route are taken to be one node, and so are a rank and the
    beginning of its routes. But one name may stand for both directions of a cable, or for a bus, and then there is no
    such picture: two ranks would be one node, or a link would lead back to where it began. In that case every link of
    the table has two nodes of its own, and ideal links join them up: fatpipes without latency, as fast as the fastest
    link of all, so that they never hold up a message.

    SimGrid describes its platforms so: H. Casanova, A. Giersch, A. Legrand, M. Quinson and F. Suter, "Versatile,
    scalable, and accurate simulation of distributed applications and platforms", JPDC 74(10), 2014.

    Examples
    --------
    Two ranks and a half-duplex wire between their switches, which have no names here:

    >>> links = {"a": NamedLink("10GB/s", "1us"), "b": NamedLink("10GB/s", "1us"), "wire": NamedLink("5GB/s", "2us")}
    >>> net = network_of_routes("two", 2, links, {(0, 1): ["a", "wire", "b"], (1, 0): ["b", "wire", "a"]})
    >>> net.route_bandwidth(1, 0), round(net.route_latency(1, 0), 9)
    (5000000000.0, 4e-06)
    """
    number = parse_count(ranks, "ranks")
    figures = {
        link: (
            parse_bandwidth(given.bandwidth, f"bandwidth of link {link!r}"),
            parse_time(given.latency, f"latency of link {link!r}"),
        )
        for link, given in links.items()
    }
    for pair, names in routes.items():
        _check_route(name, number, pair, names, links)
    picture = _picture(number, routes)

    def node(end: Node) -> Node:
        return picture.get(end, end)

    found = [Link(node((link, 0)), node((link, 1)), *figures[link], fatpipe=links[link].fatpipe) for link in links]
    place = {link: i for i, link in enumerate(links)}
    fastest = max((bandwidth for bandwidth, _ in figures.values()), default=1.0)
    bridges: dict[tuple[Node, Node], int] = {}
    table = {}
    for (src, dst), names in routes.items():
        numbers: list[int] = []
        for (before, after), link in zip(_joints(src, dst, names), (*names, None), strict=True):
            ends = node(before), node(after)
            if ends[0] != ends[1]:
                if ends not in bridges:
                    bridges[ends] = len(found)
                    found.append(Link(*ends, fastest, 0.0, fatpipe=True))
                numbers.append(bridges[ends])
            if link is not None:
                numbers.append(place[link])
        table[int(src), int(dst)] = tuple(numbers)
    return Topology(name, number, found, routes=partial(_look_up, table), routing="a table of routes")


def _look_up(table: Mapping[Pair, tuple[int, ...]], topology: Topology, src: int, dst: int) -> tuple[Route, ...]:
    links = table.get((src, dst))
    if links is None:
        raise InputError(f"topology {topology.name!r} has no route from rank {src} to rank {dst} in its table")
    return (Route(1.0, links),)


def _check_route(name: str, ranks: int, pair: Pair, route: Sequence[str], links: Mapping[str, NamedLink]) -> None:
    src, dst = pair
    if src == dst or src not in range(ranks) or dst not in range(ranks):
        raise InputError(
            f"a route of topology {name!r} must lead from one of the ranks 0..{ranks - 1} to another, "
            f"got {src} to {dst}"
        )
    if not route or len(set(route)) < len(route):
        raise InputError(
            f"the route from rank {src} to rank {dst} of topology {name!r} must name one link or more, each once, "
            f"got {list(route)}"
        )
    for link in route:
        if link not in links:
            raise unknown(f"link on the route from rank {src} to rank {dst} of topology {name!r}:", link, links)


def _joints(src: int, dst: int, route: Sequence[str]) -> list[tuple[Node, Node]]:
    """Return what meets what on a route: rank and first link, one link and the next, last link and rank.

    The beginning of a link is (its name, 0) and its end (its name, 1).
    """
    befores = [int(src), *((link, 1) for link in route)]
    afters = [*((link, 0) for link in route), int(dst)]
    return list(zip(befores, afters, strict=True))


def _picture(ranks: int, routes: Mapping[Pair, Sequence[str]]) -> dict[Node, Node]:
    """Return the node that each end of a link is, or nothing if there is no picture in which all that meets is one."""
    parent: dict[Node, Node] = {}

    def root(end: Node) -> Node:
        while parent.setdefault(end, end) != end:
            parent[end] = end = parent[parent[end]]
        return end

    for (src, dst), route in routes.items():
        for before, after in _joints(src, dst, route):
            # A rank stays the root of its set; of two ranks one does, and the other is found out below.
            low, high = sorted((root(before), root(after)), key=lambda end: isinstance(end, int))
            parent[low] = high
    if any(root(rank) != rank for rank in range(ranks)):
        return {}
    links = {link for route in routes.values() for link in route}
    if any(root((link, 0)) == root((link, 1)) for link in links):
        return {}
    return {(link, end): root((link, end)) for link in links for end in (0, 1)}
