"""How routes are chosen on a network that is there already: `reroute`, and the table of ways to do it.

A shape comes with the routes that are usual for it; these here work on any network. A new one is a function that
takes a topology and its options and returns the same topology with other routes, and a line in `ROUTINGS`.
"""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from collsim.errors import InputError, unknown
from collsim.topology import Node, Route, Topology, first_shortest, node_name, noted
from collsim.units import parse_count

ExplicitRoutes = Mapping[tuple[int, int], Sequence[Node] | Sequence[Route]]


@dataclass(frozen=True)
class Routing:
    """One line of the table.

    Attributes
    ----------
    build : callable
        ``build(topology, **options)`` returns the topology with other routes.
    summary : str
        What it does, in a line.
    example : str
        How it is written, such as ``ecmp:seed=3``.
    """

    build: Callable[..., Topology]
    summary: str
    example: str

    @property
    def options(self) -> list[str]:
        """The names of the options."""
        return list(inspect.signature(self.build).parameters)[1:]


def reroute(topology: Topology, routing: str | ExplicitRoutes, **options: Any) -> Topology:
    """Return the same network with routes chosen in another way.

    Parameters
    ----------
    topology : Topology
        The network.
    routing : str or mapping
        A name from `ROUTINGS`, with options as text (``"ecmp:seed=3"``) or without; or a mapping of
        (source, destination) to the nodes on the way, both ends included, or to `Route` objects (links by number, with
        shares). Pairs that it leaves out keep their routes.
    **options
        Options of the routing: ``seed`` of ``ecmp``, ``most`` of ``spread``.

    Returns
    -------
    Topology
        Its `routing` says how routes are chosen, and its name that they are not those of the network.

    Raises
    ------
    InputError
        If the name or an option is not known, a value is out of range, or a route does not exist.

    Examples
    --------
    >>> import collsim as cs
    >>> ring = cs.ring(4, bandwidth="10GB/s", latency="1us")
    >>> both_ways = reroute(ring, "spread")
    >>> both_ways.name, len(both_ways.routes(0, 2)), both_ways.route_bandwidth(0, 2)
    ('ring:4 (spread)', 2, 20000000000.0)
    >>> [ring.links[i].head for i in reroute(ring, {(0, 1): [0, 3, 2, 1]}).route(0, 1)]
    [3, 2, 1]
    """
    if not isinstance(topology, Topology):
        raise InputError(f"what is rerouted must be a Topology, got {type(topology).__name__}")
    if isinstance(routing, Mapping):
        return _explicit(topology, routing, **options)
    if not isinstance(routing, str):
        raise InputError(f"a routing must be a name such as 'ecmp:seed=3', or a mapping of routes, got {routing!r}")
    name, colon, rest = routing.partition(":")
    key = name.strip().lower().replace("_", "-")
    if key not in ROUTINGS:
        raise unknown("routing", name, ROUTINGS)
    entry = ROUTINGS[key]
    given = dict(options)
    # The name of a file may have anything in it.
    items = [f"file={rest}"] if "file" in entry.options else rest.split(",")
    for item in items if colon else ():
        option, equals, value = item.partition("=")
        option = option.strip() if equals else (entry.options or [""])[0]
        if option in given:
            raise InputError(f"routing {routing!r}: {option!r} comes twice")
        given[option] = (value if equals else item).strip()
    for option in given:
        if not entry.options:
            raise InputError(f"routing {routing!r}: {key!r} has no options")
        if option not in entry.options:
            raise unknown(f"option of routing {key!r}:", option, entry.options)
    if "file" in entry.options and not given.get("file"):
        raise InputError(f"routing {routing!r} needs a file of routes, such as {entry.example}")
    return entry.build(topology, **given)


def native(topology: Topology) -> Topology:
    """Return the network as it is: the routes of the shape or of the file.

    Examples
    --------
    >>> import collsim as cs
    >>> native(cs.ring(4, bandwidth="10GB/s", latency="1us")).routing
    'the shorter way round'
    """
    return topology


def shortest(topology: Topology) -> Topology:
    """Route over the path with the fewest links; of several the one found first when links are tried in order.

    Examples
    --------
    >>> import collsim as cs
    >>> ring = shortest(cs.ring(4, bandwidth="10GB/s", latency="1us"))
    >>> [ring.links[i].head for i in ring.route(3, 1)]
    [2, 1]
    """
    return topology.with_routes(
        first_shortest,
        "fewest links; of equal paths the first in the order of links",
        noted(topology.name, "shortest"),
    )


def least_latency(topology: Topology) -> Topology:
    """Route over the path with the least sum of latencies; of several one with the fewest links, the first of these.

    Notes
    -----
    E. W. Dijkstra, "A note on two problems in connexion with graphs", Numerische Mathematik 1, 1959. Latencies are
    added up exactly, as the decimals that they are written as, so that 1us + 2us is 3us.

    Examples
    --------
    >>> import collsim as cs
    >>> slow = cs.override(cs.ring(3, bandwidth="10GB/s", latency="1us"), "0-1", latency="5us")
    >>> [slow.links[i].head for i in least_latency(slow).route(0, 1)]
    [2, 1]
    """
    return topology.with_routes(
        _least_latency,
        "least latency; of equal paths the one with the fewest links, the first in the order of links",
        noted(topology.name, "least-latency"),
    )


def d_mod_k(topology: Topology) -> Topology:
    """Route over a path with the fewest links that the destination chooses: its digits pick the ports on the way.

    Where a message has c equal ways on, to w nodes, it takes the one numbered d % c, and goes on with d // w: on a fat
    tree the digits of the destination, one a level, so that all messages to a rank come down one path, and the paths of
    different ranks are spread over all links. Of parallel cables down it takes the one with the number of that by which
    it came up. These are the routes that `fat_tree` has by itself.

    Notes
    -----
    E. Zahavi, G. Johnson, D. J. Kerbyson and M. Lang, "Optimized InfiniBand fat-tree routing for shift all-to-all
    communication patterns", Concurrency and Computation 22(2), 2010.

    Examples
    --------
    >>> import collsim as cs
    >>> net = d_mod_k(cs.leaf_spine(2, 2, spines=2, bandwidth="10GB/s", latency="1us"))
    >>> [net.links[net.route(0, dst)[1]].head for dst in (2, 3)]
    ['spine 0', 'spine 1']
    """
    return topology.with_routes(
        _d_mod_k, "fewest links, ports chosen by the destination (d-mod-k)", noted(topology.name, "d-mod-k")
    )


def ecmp(topology: Topology, seed: int | str = 0) -> Topology:
    """Route over a path with the fewest links, where each node picks one of the equal ways on by a hash.

    What is hashed is the source, the destination, the node and the seed, so a pair of ranks always takes the same
    path, as a flow does on switches with equal-cost multi-path routing. Another seed is another draw.

    Parameters
    ----------
    topology : Topology
        The network.
    seed : int
        At least 0.

    Raises
    ------
    InputError
        If the seed is not a whole number of at least 0.

    Notes
    -----
    C. Hopps, "Analysis of an Equal-Cost Multi-Path Algorithm", RFC 2992, 2000. The hash is BLAKE2b, the same on
    every machine.

    Examples
    --------
    >>> import collsim as cs
    >>> net = ecmp(cs.ring(4, bandwidth="10GB/s", latency="1us"), seed=3)
    >>> net.name, net.route_latency(0, 2)
    ('ring:4 (ecmp:seed=3)', 2e-06)
    """
    number = parse_count(seed, "the seed of ecmp", minimum=0)
    return topology.with_routes(
        _Ecmp(topology, number),
        f"fewest links, equal ways chosen by a hash of source, destination and node (ECMP, seed {number})",
        noted(topology.name, f"ecmp:seed={number}"),
    )


def spread(topology: Topology, most: int | str = 64) -> Topology:
    """Spread every message evenly over all paths with the fewest links (packet spraying).

    Parameters
    ----------
    topology : Topology
        The network.
    most : int
        The most paths that a message may have; more are refused when such a message is sent.

    Raises
    ------
    InputError
        If `most` is not a whole number of at least 1; when routes are asked for, if there are more.

    Notes
    -----
    A. Dixit, P. Prakash, Y. C. Hu and R. R. Kompella, "On the impact of packet spraying in data center networks",
    INFOCOM 2013.

    Examples
    --------
    >>> import collsim as cs
    >>> spread(cs.ring(4, bandwidth="10GB/s", latency="1us")).routes(1, 3)
    (Route(share=0.5, links=(1, 7)), Route(share=0.5, links=(2, 4)))
    """
    number = parse_count(most, "the most paths of a spread message")
    return topology.with_routes(
        partial(_spread, number),
        "each message spread evenly over all paths with the fewest links",
        noted(topology.name, "spread"),
    )


def explicit(topology: Topology, file: str) -> Topology:
    """Take the routes that a file lists; pairs that it leaves out keep their routes.

    Parameters
    ----------
    topology : Topology
        The network.
    file : str
        A TOML file with ``[[route]]`` entries, as in a topology file: ``from``, ``to`` and ``via``.

    Raises
    ------
    InputError
        If the file cannot be read or a route is not one of this network.
    """
    # The format is that of topology files, and reading these needs this module.
    from collsim.topology_files import read_routes

    table = read_routes(file, topology)
    return _explicit(topology, table, f"explicit:{file}")


ROUTINGS: dict[str, Routing] = {
    "native": Routing(native, "the routes of the shape or of the file", "native"),
    "shortest": Routing(shortest, "fewest links; of equal paths the first in the order of links", "shortest"),
    "least-latency": Routing(least_latency, "least sum of latencies, then fewest links", "least-latency"),
    "d-mod-k": Routing(d_mod_k, "fewest links, ports chosen by the digits of the destination", "d-mod-k"),
    "ecmp": Routing(ecmp, "fewest links, equal ways chosen by a hash of the pair and the node", "ecmp:seed=3"),
    "spread": Routing(spread, "each message spread evenly over all paths with the fewest links", "spread:most=64"),
    "explicit": Routing(explicit, "routes listed in a file, the others as they are", "explicit:routes.toml"),
}


def _along(topology: Topology, src: int, dst: int, pick: Callable[[Node, list[int]], int], by: str = "links") -> Any:
    """Go on by one of the links that lead to `dst` until there."""
    links: list[int] = []
    node: Node = src
    while node != dst:
        links.append(pick(node, topology.shortest_next(node, dst, by=by)))
        node = topology.links[links[-1]].head
    return (Route(1.0, tuple(links)),)


def _least_latency(topology: Topology, src: int, dst: int) -> tuple[Route, ...]:
    return _along(topology, src, dst, lambda _, ways: ways[0], by="latency")  # type: ignore[no-any-return]


def _d_mod_k(topology: Topology, src: int, dst: int) -> tuple[Route, ...]:
    length = len(first_shortest(topology, src, dst)[0].links)
    digits = dst
    taken: list[tuple[int, int]] = []  # at each step the number of the way, and of how many
    links: list[int] = []
    node: Node = src
    for step in range(length):
        ways, nodes = _first_of_each(topology, topology.shortest_next(node, dst))
        number, mirrored = digits % len(ways), length - 1 - step
        if nodes == 1 and mirrored < step and taken[mirrored][1] % len(ways) == 0:
            # Down over the cable with the number of the one that it came up by, or half of them would stay idle.
            number = taken[mirrored][0] // (taken[mirrored][1] // len(ways))
        digits //= nodes
        taken.append((number, len(ways)))
        links.append(ways[number])
        node = topology.links[links[-1]].head
    return (Route(1.0, tuple(links)),)


def _first_of_each(topology: Topology, ways: list[int]) -> tuple[list[int], int]:
    """Return one link to each of the next nodes, then the second ones to each, and so on; and how many nodes."""
    count: dict[Node, int] = {}
    rounds = {}
    for i in ways:
        head = topology.links[i].head
        count[head] = rounds[i] = count.get(head, -1) + 1
    return sorted(ways, key=rounds.__getitem__), len(count)


class _Ecmp:
    """Finds routes by hash. Nodes are hashed by their number: that of an object may differ from run to run."""

    def __init__(self, topology: Topology, seed: int) -> None:
        self.seed = seed
        self.number = {node: place for place, node in enumerate(topology.leaving)}

    def __call__(self, topology: Topology, src: int, dst: int) -> tuple[Route, ...]:
        def pick(node: Node, ways: list[int]) -> int:
            if len(ways) == 1:
                return ways[0]
            text = f"{self.seed} {src} {dst} {self.number[node]}"
            return ways[int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") % len(ways)]

        return _along(topology, src, dst, pick)  # type: ignore[no-any-return]


def _spread(most: int, topology: Topology, src: int, dst: int) -> tuple[Route, ...]:
    paths = _count_paths(topology, src, dst)
    if paths > most:
        raise InputError(
            f"there are {paths} shortest paths from rank {src} to rank {dst} of topology {topology.name!r}, and a "
            f"message is spread over at most {most}; raise that ('spread:most={paths}') or take 'ecmp'"
        )
    found: list[tuple[int, ...]] = []
    waiting: list[tuple[Node, tuple[int, ...]]] = [(src, ())]
    while waiting:
        node, links = waiting.pop()
        if node == dst:
            found.append(links)
        else:
            ways = topology.shortest_next(node, dst)
            waiting += [(topology.links[i].head, (*links, i)) for i in reversed(ways)]
    return tuple(Route(1 / paths, links) for links in found)


def _count_paths(topology: Topology, src: int, dst: int) -> int:
    """Return how many paths have the fewest links, without writing them down: there may be very many."""
    count: dict[Node, int] = {src: 1}
    frontier: list[Node] = [src]
    while frontier != [dst]:
        following: dict[Node, int] = {}
        for node in frontier:
            for i in topology.shortest_next(node, dst):
                head = topology.links[i].head
                following[head] = following.get(head, 0) + count[node]
        count, frontier = following, list(following)
    return count[dst]


def _explicit(topology: Topology, routes: ExplicitRoutes, note: str = "explicit routes", **options: Any) -> Topology:
    if options:
        raise InputError(f"explicit routes have no options, got {sorted(options)[0]!r}")
    table: dict[tuple[int, int], tuple[Route, ...]] = {}
    for pair, way in routes.items():
        src, dst = _checked_pair(topology, pair)
        try:
            table[src, dst] = _ways(topology, src, dst, way)
        except InputError as error:
            raise InputError(f"route from rank {src} to rank {dst}: {error}") from None
    changed = topology.with_routes(
        partial(_listed, table, topology),
        f"explicit for {len(table)} pair{'s' * (len(table) != 1)}, else {topology.routing}",
        noted(topology.name, note),
    )
    for src, dst in table:
        changed.routes(src, dst)  # checked now, not when the first message is sent
    return changed


def _checked_pair(topology: Topology, pair: Any) -> tuple[int, int]:
    if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2 or pair[0] == pair[1]:
        raise InputError(f"an explicit route is from one rank to another: (source, destination), got {pair!r}")
    src, dst = (parse_count(rank, "the rank at the end of a route", minimum=0) for rank in pair)
    if max(src, dst) >= topology.ranks:
        raise InputError(
            f"a route from {src} to {dst}, but topology {topology.name!r} has ranks 0-{topology.ranks - 1}"
        )
    return src, dst


def _ways(topology: Topology, src: int, dst: int, way: Any) -> tuple[Route, ...]:
    if isinstance(way, str) or not isinstance(way, Sequence) or not way:
        raise InputError(f"it must be the nodes on the way, or Route objects, got {way!r}")
    if all(isinstance(part, Route) for part in way):
        for part in way:
            _check_links(topology, part)
        return tuple(Route(float(part.share), tuple(part.links)) for part in way)
    if way[0] != src or way[-1] != dst:
        raise InputError(f"its nodes must begin with {src} and end with {dst}, got {list(way)}")
    for node in way:
        if node not in topology.leaving:
            raise InputError(f"topology {topology.name!r} has no node {node!r}")
    for node in way:
        if way.count(node) > 1:
            raise InputError(f"it comes to {node_name(node)} twice")
    return (Route(1.0, topology.links_along(way, dst)),)


def _check_links(topology: Topology, route: Route) -> None:
    for number in route.links:
        if number not in range(len(topology.links)):
            raise InputError(
                f"topology {topology.name!r} has no link {number!r} (there are 0-{len(topology.links) - 1})"
            )
    if not isinstance(route.share, int | float) or not math.isfinite(route.share):
        raise InputError(f"a share must be a number, got {route.share!r}")


def _listed(
    table: Mapping[tuple[int, int], tuple[Route, ...]], base: Topology, _: Topology, src: int, dst: int
) -> tuple[Route, ...]:
    found = table.get((src, dst))
    return base.routes(src, dst) if found is None else found
