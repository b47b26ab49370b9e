"""Figures of a network as such: hops and latencies of its routes, what its ranks can send, kinds of links.

Nothing moves here. Bisection bandwidth has a file of its own, `collsim.bisection`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from collsim.topology import Node, Topology

_MOST_PAIRS = 20_000


@dataclass(frozen=True)
class RouteFigures:
    """How long the routes of a network are.

    Attributes
    ----------
    pairs : int
        Ordered pairs of ranks that were looked at.
    all_pairs : int
        Ordered pairs that there are.
    hops : int
        Most links on a route: the diameter.
    mean_hops : float
        Links on a route on average; of several routes of one pair each counts by its share.
    latency : float
        Most seconds that the links of a route take without load.
    least_latency : float
        The least.
    farthest : (int, int)
        A pair with the most links, of these one with the largest latency; the first of several.
    """

    pairs: int
    all_pairs: int
    hops: int
    mean_hops: float
    latency: float
    least_latency: float
    farthest: tuple[int, int]


def route_figures(topology: Topology) -> RouteFigures | None:
    """Return how long the routes between ranks are; None if there is one rank only.

    Parameters
    ----------
    topology : Topology
        With more than about 140 ranks, sources evenly spaced are tried, each with every destination; `pairs` says
        how many pairs that is. In a network that looks the same from every rank nothing is missed.

    Raises
    ------
    InputError
        If there is no path.

    Examples
    --------
    >>> from collsim import torus
    >>> found = route_figures(torus("4x4", bandwidth="10GB/s", latency="1us"))
    >>> found.hops, round(found.mean_hops, 3), found.latency
    (4, 2.133, 4e-06)
    """
    ranks = topology.ranks
    if ranks < 2:
        return None
    tried = 0
    total: list[float] = []
    longest, least = (0, 0.0), math.inf
    latency, farthest = 0.0, (0, 1)
    for src, dst in _pairs(ranks):
        tried += 1
        routes = topology.routes(src, dst)
        hops = max(len(route.links) for route in routes)
        delay = topology.route_latency(src, dst)
        total.append(math.fsum(route.share * len(route.links) for route in routes))
        least, latency = min(least, delay), max(latency, delay)
        if (hops, delay) > longest:
            longest, farthest = (hops, delay), (src, dst)
    return RouteFigures(tried, ranks * (ranks - 1), longest[0], math.fsum(total) / tried, latency, least, farthest)


def _pairs(ranks: int) -> Iterator[tuple[int, int]]:
    sources = max(1, min(ranks, _MOST_PAIRS // (ranks - 1)))
    for number in range(sources):
        src = number * ranks // sources
        yield from ((src, dst) for dst in range(ranks) if dst != src)


@dataclass(frozen=True)
class Injection:
    """What the ranks can send and receive, in bytes per second: the least and the most of all ranks.

    It is what the links at a rank carry together. Infinite where one is a fatpipe.
    """

    least_out: float
    most_out: float
    least_in: float
    most_in: float


def injection(topology: Topology) -> Injection:
    """Return what each rank's own links carry together: the least and the most of all ranks, out and in.

    Parameters
    ----------
    topology : Topology
        The network. Links of one medium count once. Behind a rank's only link, what limits it next is not looked at.

    Examples
    --------
    >>> from collsim import hypercube
    >>> injection(hypercube(8, bandwidth="10GB/s", latency="1us")).least_out
    30000000000.0
    """
    out = [_together(topology, topology.leaving[rank]) for rank in range(topology.ranks)]
    into = [_together(topology, topology.entering[rank]) for rank in range(topology.ranks)]
    return Injection(min(out), max(out), min(into), max(into))


def _together(topology: Topology, numbers: list[int]) -> float:
    channels = {
        int(topology.channel[i]): math.inf if topology.links[i].fatpipe else topology.links[i].bandwidth
        for i in numbers
    }
    return math.fsum(channels.values())


@dataclass(frozen=True)
class LinkKind:
    """Links that are alike.

    Attributes
    ----------
    between : (str, str)
        What they join: ``"rank"`` and kinds of switches.
    links : int
        How many, each direction by itself.
    both_ways : bool
        Whether they are two and two in opposite directions: cables.
    bandwidth, latency : float
        Of each, in bytes per second and seconds.
    shared : str
        ``""``, ``"half-duplex"`` (two directions share one capacity), ``"medium"`` (more do) or ``"fatpipe"``.
    """

    between: tuple[str, str]
    links: int
    both_ways: bool
    bandwidth: float
    latency: float
    shared: str


def link_kinds(topology: Topology) -> list[LinkKind]:
    """Return the kinds of links of a network: by what they join and by their figures, the fastest first.

    Examples
    --------
    >>> from collsim import star
    >>> link_kinds(star(4, bandwidth="10GB/s", latency="1us"))[0].between
    ('rank', 'switch')
    """
    around: dict[object, set[frozenset[Node]]] = {}
    for link in topology.links:
        if link.medium is not None:
            around.setdefault(link.medium, set()).add(frozenset((link.tail, link.head)))
    links: Counter[tuple[tuple[str, str], float, float, str]] = Counter()
    ways: Counter[tuple[tuple[str, str], float, float, str, Node, Node]] = Counter()
    for link in topology.links:
        shared = "fatpipe" if link.fatpipe else ""
        if link.medium is not None:
            shared = "half-duplex" if len(around[link.medium]) == 1 else "medium"
        ends = sorted((node_kind(link.tail), node_kind(link.head)), key=lambda kind: (kind != "rank", kind))
        key = (ends[0], ends[1]), link.bandwidth, link.latency, shared
        links[key] += 1
        ways[*key, link.tail, link.head] += 1
    one_way = {key[:4] for key, count in ways.items() if ways[*key[:4], key[5], key[4]] != count}
    order = sorted(links, key=lambda key: (key[0][0] != "rank", -key[1], key[2], key[0], key[3]))
    return [LinkKind(key[0], links[key], key not in one_way, key[1], key[2], key[3]) for key in order]


def node_kind(node: Node) -> str:
    """Return what a node is, without its number.

    Examples
    --------
    >>> node_kind(3), node_kind("spine 2"), node_kind("router 1.4"), node_kind("nvswitch")
    ('rank', 'spine', 'router', 'nvswitch')
    """
    if isinstance(node, int):
        return "rank"
    words = re.sub(r"[\s_.:\-]*\d+(?=[\s_.:\-\d]*$)[\d\s_.:\-]*$", "", str(node))
    return words or str(node)


def switch_kinds(topology: Topology) -> dict[str, int]:
    """Return how many switches there are of each kind, in the order in which links name them.

    Examples
    --------
    >>> from collsim import leaf_spine
    >>> switch_kinds(leaf_spine("4x8", spines=2, bandwidth="10GB/s", latency="1us"))
    {'leaf': 4, 'spine': 2}
    """
    return dict(Counter(node_kind(node) for node in topology.switches))


def parallel_links(topology: Topology) -> int:
    """Return the most links that lead from one node to the same other.

    Examples
    --------
    >>> from collsim import ring
    >>> parallel_links(ring(4, bandwidth="10GB/s", latency="1us"))
    1
    """
    return max(Counter((link.tail, link.head) for link in topology.links).values(), default=0)


def cables(topology: Topology) -> int | None:
    """Return the number of cables, if every link has a partner in the opposite direction; None if not.

    Examples
    --------
    >>> from collsim import ring
    >>> cables(ring(4, bandwidth="10GB/s", latency="1us"))
    4
    """
    ways = Counter((link.tail, link.head) for link in topology.links)
    return None if any(ways[head, tail] != count for (tail, head), count in ways.items()) else len(topology.links) // 2


def group_sizes(topology: Topology) -> list[tuple[int, int]]:
    """Return how many groups of ranks there are of each size, as (size, groups), the largest first.

    Examples
    --------
    >>> from collsim import rail
    >>> group_sizes(rail("4x8", bandwidth="300GB/s,25GB/s", latency="1us"))
    [(8, 4)]
    """
    sizes = Counter(len(group) for group in topology.groups)
    return sorted(sizes.items(), reverse=True)


def one_directional(topology: Topology) -> list[tuple[Node, Node]]:
    """Return pairs of nodes whose links in the two directions differ in number, bandwidth or latency.

    Examples
    --------
    >>> from collsim import ring
    >>> one_directional(ring(4, bandwidth="10GB/s", latency="1us"))
    []
    """
    ways: dict[tuple[Node, Node], list[tuple[float, float]]] = {}
    for link in topology.links:
        ways.setdefault((link.tail, link.head), []).append((link.bandwidth, link.latency))
    found = []
    seen: set[tuple[Node, Node]] = set()
    for tail, head in ways:
        if (head, tail) not in seen and sorted(ways[tail, head]) != sorted(ways.get((head, tail), [])):
            found.append((tail, head))
        seen.add((tail, head))
    return found
