"""A network as a directed graph: ranks, switches, links with a bandwidth and a latency, and routes.

Ranks are the nodes 0..ranks-1, anything else is a switch. A cable is two directed links. This file
knows graphs and routes; the shapes are in `collsim.shapes`, and how messages share links is the
business of the models in `collsim.engines`.
"""

from __future__ import annotations

import heapq
import itertools
import math
import numbers
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collsim.errors import InputError
from collsim.lattice import Lattice
from collsim.units import Quantity, parse_bandwidth, parse_count, parse_time

if TYPE_CHECKING:
    import networkx as nx

Node = Hashable
Router = Callable[[int, int], Sequence[Node]]


@dataclass(frozen=True)
class Link:
    """One direction of a cable, from node `tail` to node `head`.

    Attributes
    ----------
    tail, head : hashable
        The nodes: an int is a rank, anything else a switch.
    bandwidth : float
        Bytes per second.
    latency : float
        Seconds.
    medium : hashable, optional
        What the link is a part of. All links of one medium together carry no more than one of them alone: both
        directions of a half-duplex cable, every uplink of a bus. They have the same bandwidth.
    fatpipe : bool
        Whether every message may use the full bandwidth, whoever else does: an ideal backbone (the name is SimGrid's).
    """

    tail: Node
    head: Node
    bandwidth: float
    latency: float
    medium: Hashable | None = None
    fatpipe: bool = False


class Route(NamedTuple):
    """One way through the network, and the share of a message's bytes that takes it.

    Attributes
    ----------
    share : float
        Between 0 and 1; the shares of a message's paths add up to 1.
    links : tuple of int
        Numbers of the links, in order.
    """

    share: float
    links: tuple[int, ...]


class Paths(NamedTuple):
    """The routes of several pairs of ranks, as arrays.

    Attributes
    ----------
    amount : ndarray of int, shape (pairs,)
        How many routes each pair has; none from a rank to itself.
    share : ndarray of float, shape (routes,)
        Of a message's bytes, that each route takes.
    first : ndarray of int, shape (routes + 1,)
        Where the links of each route begin in `link`, and where the last one's end.
    link : ndarray of int
        Numbers of the links.
    """

    amount: NDArray[np.int64]
    share: NDArray[np.float64]
    first: NDArray[np.int64]
    link: NDArray[np.int32]


class Topology:
    """Ranks, switches, links and the routes between ranks.

    Parameters
    ----------
    name : str
        For tables and results.
    ranks : int
        Number of ranks; they are the nodes 0..ranks-1.
    links : iterable of Link, or callable
        All links; a full-duplex cable is two of them. Several from one node to another are parallel links. A
        function that returns them is called when a link is first asked for.
    route : callable, optional
        ``route(src, dst)`` returns the nodes from rank `src` to rank `dst`, both included; of n parallel links the
        one numbered ``dst % n`` is taken. By default the path with the fewest links; of several the one found first
        when links are tried in the order given.
    routes : callable, optional
        ``routes(topology, src, dst)`` returns one `Route` or more, instead of `route`: link by link, or with a
        message spread over several ways.
    routing : str, optional
        How routes are chosen, in words.
    groups : sequence of sequences of int, optional
        Which ranks are close to each other: the GPUs of a node, the hosts of a leaf switch. Every rank is in one.
        Default: ranks whose links lead to the same switches are a group, any other rank is one of its own.
    placement : str
        Which rank sits where, in words; ``"linear"`` if they stand in the order of the network.
    paths : callable, optional
        The same routes as `route` or `routes` find, one a pair, for many pairs at once: ``paths(src, dst)``, for arrays
        of ranks that differ, returns how many links each route has, and the links of one route after the other.
    lattice : Lattice, optional
        The same network by its dimensions, where all ranks are alike. A network with other links, routes or places
        that is made from this one has none.

    Raises
    ------
    InputError
        If the figures of a link are out of range, or (when a route is asked for) there is no path.

    See Also
    --------
    collsim.load_topology : by name, file or spec.
    collsim.star, collsim.full, collsim.ring : shapes as functions.
    Topology.from_graph : from any networkx graph.
    """

    def __init__(
        self,
        name: str,
        ranks: int,
        links: Iterable[Link] | Callable[[], Iterable[Link]],
        route: Router | None = None,
        *,
        routes: RouteFinder | None = None,
        routing: str | None = None,
        groups: Sequence[Sequence[int]] | None = None,
        placement: str = "linear",
        paths: PathFinder | None = None,
        lattice: Lattice | None = None,
    ) -> None:
        self.name = name
        self.ranks = parse_count(ranks, "ranks")
        self._given = links if callable(links) else tuple(links)
        self.lattice = lattice
        self.routing = routing or ("by a function" if route or routes else "shortest path")
        self.placement = placement
        if not callable(links):
            _ = self.links  # to say at once what is wrong with them
        self._find: RouteFinder = routes or (first_shortest if route is None else partial(_along, route))
        self._paths = paths
        self._routes: dict[tuple[int, int], tuple[Route, ...]] = {}
        self._groups = None if groups is None else self._checked_groups(groups)

    @cached_property
    def links(self) -> tuple[Link, ...]:
        """All links; they are known by their place here."""
        links = tuple(self._given()) if callable(self._given) else self._given
        self._check_links(links)
        self._check_media(links)
        return links

    @cached_property
    def _numbers(self) -> dict[tuple[Node, Node], list[int]]:
        found: dict[tuple[Node, Node], list[int]] = {}
        for number, link in enumerate(self.links):
            found.setdefault((link.tail, link.head), []).append(number)
        return found

    def _check_links(self, links: tuple[Link, ...]) -> None:
        # There may be a million links, between few nodes: each node is looked at once.
        for node in dict.fromkeys(itertools.chain.from_iterable((link.tail, link.head) for link in links)):
            if _is_rank(node) and node not in range(self.ranks):
                raise InputError(
                    f"topology {self.name!r} has a link to {node!r}, but its ranks are 0..{self.ranks - 1} "
                    "(a switch is anything but an int)"
                )
        for link in links:
            if not _is_figure(link.bandwidth) or not _is_figure(link.latency) or not link.bandwidth:
                raise InputError(
                    f"topology {self.name!r}: a link needs a positive bandwidth and a latency of at least 0, "
                    f"both finite, got {link}"
                )

    def _check_media(self, links: tuple[Link, ...]) -> None:
        bandwidth: dict[Hashable, float] = {}
        for link in links:
            if link.medium is None:
                continue
            if link.fatpipe or bandwidth.setdefault(link.medium, link.bandwidth) != link.bandwidth:
                raise InputError(
                    f"topology {self.name!r}: the links of medium {link.medium!r} must have the same bandwidth, and "
                    f"none may be a fatpipe, got {link}"
                )

    def _checked_groups(self, groups: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
        found = tuple(tuple(int(rank) for rank in group) for group in groups)
        if sorted(itertools.chain(*found)) != list(range(self.ranks)):
            raise InputError(f"topology {self.name!r}: every rank must be in one group, got {list(found)[:8]}")
        return found

    def __repr__(self) -> str:
        return f"Topology({self.name!r}, ranks={self.ranks}, switches={len(self.switches)}, links={len(self.links)})"

    def _repr_html_(self) -> str:
        # How things look, and where nodes are drawn, is the business of modules further up.
        from collsim.html_views import topology_html

        return topology_html(self)

    @cached_property
    def bandwidth(self) -> NDArray[np.float64]:
        """Bandwidth of every link in bytes per second, shape (links,)."""
        return np.array([link.bandwidth for link in self.links], dtype=np.float64)

    @cached_property
    def latency(self) -> NDArray[np.float64]:
        """Latency of every link in seconds, shape (links,)."""
        return np.array([link.latency for link in self.links], dtype=np.float64)

    @cached_property
    def fatpipe(self) -> NDArray[np.bool_]:
        """Which links are fatpipes, shape (links,)."""
        return np.array([link.fatpipe for link in self.links], dtype=np.bool_)

    @cached_property
    def channel(self) -> NDArray[np.int64]:
        """What each link occupies, shape (links,): links of one medium have the same number, others their own.

        It is the number of the first link of the medium, or of the link itself.
        """
        first: dict[Hashable, int] = {}
        return np.array(
            [i if link.medium is None else first.setdefault(link.medium, i) for i, link in enumerate(self.links)],
            dtype=np.int64,
        )

    @property
    def takes_one_path(self) -> bool:
        """Whether it is known, without asking for every route, that no message is spread over several paths."""
        find = self._find
        return find is first_shortest or (isinstance(find, partial) and find.func is _along)

    @cached_property
    def switches(self) -> tuple[Node, ...]:
        """The nodes that are not ranks, in the order in which links name them."""
        nodes = dict.fromkeys(node for link in self.links for node in (link.tail, link.head))
        return tuple(node for node in nodes if not _is_rank(node))

    @cached_property
    def ends(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The nodes at the tails and at the heads of all links, by number: the ranks first, then the switches."""
        number: dict[Node, int] = {node: place for place, node in enumerate((*range(self.ranks), *self.switches))}
        count = len(self.links)
        tails = np.fromiter((number[link.tail] for link in self.links), np.int64, count)
        heads = np.fromiter((number[link.head] for link in self.links), np.int64, count)
        return tails, heads

    @cached_property
    def _onward(self) -> Neighbours:
        return Neighbours.of(*self.ends, self.ranks + len(self.switches))

    @cached_property
    def _backward(self) -> Neighbours:
        return Neighbours.of(*self.ends[::-1], self.ranks + len(self.switches))

    def distances(
        self,
        ranks: int | NDArray[np.int64],
        length: NDArray[np.float64],
        *,
        reverse: bool = False,
        until: NDArray[np.int64] | None = None,
    ) -> NDArray[np.float64]:
        """Return the length of the shortest way from a rank to every node, or from every node to it if `reverse`.

        Parameters
        ----------
        ranks : int or ndarray of int
            From where, or to where; of several the nearest counts.
        length : ndarray of float, shape (links,)
            Of every link, at least 0.
        reverse : bool
            Whether ways lead to the rank.
        until : ndarray of int, optional
            Of these nodes only the nearest is of interest: what is farther away may be left too far.

        Returns
        -------
        ndarray of float, shape (ranks + switches,)
            Infinite where there is no way. Lengths are added up one by one, from the rank on.

        Notes
        -----
        R. Bellman, On a routing problem, Quarterly of Applied Mathematics 16(1), 1958; from those nodes only that have
        become nearer, which is few rounds where no way has many links; with many E. W. Dijkstra's queue goes on.
        Rounded addition is monotone, so both find the least of all sums along a way, to the last bit.

        Examples
        --------
        >>> import collsim as cs
        >>> net = cs.ring(6, bandwidth="10GB/s", latency="1us")
        >>> net.distances(0, np.ones(12)).tolist()
        [0.0, 1.0, 2.0, 3.0, 2.0, 1.0]
        """
        around = self._backward if reverse else self._onward
        away = np.full(len(around.first) - 1, np.inf)
        nearer = np.atleast_1d(np.asarray(ranks))
        away[nearer] = 0.0
        for _ in range(_MOST_ROUNDS):
            if until is not None:
                nearer = nearer[away[nearer] < away[until].min()]
            if not len(nearer):
                return away
            nearer = around.relax(away, nearer, length)
        return around.finish(away, nearer, length)

    @cached_property
    def leaving(self) -> dict[Node, list[int]]:
        """The numbers of the links that leave each node, in order."""
        found: dict[Node, list[int]] = {node: [] for node in (*range(self.ranks), *self.switches)}
        for number, link in enumerate(self.links):
            found[link.tail].append(number)
        return found

    @cached_property
    def entering(self) -> dict[Node, list[int]]:
        """The numbers of the links that enter each node, in order."""
        found: dict[Node, list[int]] = {node: [] for node in (*range(self.ranks), *self.switches)}
        for number, link in enumerate(self.links):
            found[link.head].append(number)
        return found

    @cached_property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """Ranks that are close to each other: the GPUs of a node, the hosts of a leaf switch."""
        if self._groups is not None:
            return self._groups
        members: dict[Hashable, list[int]] = {}
        for rank in range(self.ranks):
            around = frozenset(self.links[number].head for number in self.leaving[rank])
            alone = not around or any(_is_rank(node) for node in around)
            members.setdefault(rank if alone else around, []).append(rank)
        return tuple(tuple(group) for group in members.values())

    @cached_property
    def group_of(self) -> NDArray[np.int64]:
        """The number of each rank's group, shape (ranks,)."""
        if self.lattice is not None:  # groups of equal size, in order; its links may not even be there
            return np.arange(self.ranks) // self.lattice.group
        found = np.zeros(self.ranks, dtype=np.int64)
        for number, group in enumerate(self.groups):
            found[list(group)] = number
        return found

    @cached_property
    def graph(self) -> nx.MultiDiGraph[Any]:
        """The network as a networkx MultiDiGraph; edges have the link's ``number`` and figures as data."""
        import networkx as nx

        graph: nx.MultiDiGraph[Any] = nx.MultiDiGraph(name=self.name)
        graph.add_nodes_from(range(self.ranks))
        for number, link in enumerate(self.links):
            data: dict[str, Any] = {"number": number, "bandwidth": link.bandwidth, "latency": link.latency}
            if link.medium is not None:
                data["medium"] = link.medium
            graph.add_edge(link.tail, link.head, **data, **({"fatpipe": True} if link.fatpipe else {}))
        return graph

    def routes(self, src: int, dst: int) -> tuple[Route, ...]:
        """Return the paths from rank `src` to rank `dst`; more than one if messages are spread.

        Raises
        ------
        InputError
            If there is no path.
        """
        known = self._routes.get((src, dst))
        if known is None:
            known = tuple(self._find(self, src, dst))
            self._check_routes(known, src, dst)
            self._routes[src, dst] = known
        return known

    @property
    def finds_many(self) -> bool:
        """Whether routes are found for many pairs at once; then each pair has one, which crosses no link twice."""
        return self._paths is not None

    def paths(self, src: NDArray[Any], dst: NDArray[Any]) -> Paths:
        """Return the routes of several pairs as arrays.

        Parameters
        ----------
        src, dst : ndarray of int, shape (pairs,)
            Ranks.

        Raises
        ------
        InputError
            If there is no such rank, or no path.

        Examples
        --------
        >>> import collsim as cs
        >>> found = cs.star(4, bandwidth="10GB/s", latency="1us").paths(np.array([0, 3]), np.array([1, 0]))
        >>> found.first.tolist(), found.link.tolist()
        ([0, 2, 4], [0, 3, 6, 1])
        """
        for ranks in (src, dst):
            outside = (ranks < 0) | (ranks >= self.ranks)
            if outside.any():
                raise InputError(f"{self.name!r} has ranks 0 to {self.ranks - 1}, got {ranks[outside][0]}")
        apart = src != dst
        if self._paths is not None:
            hops, link = self._paths(src[apart].astype(np.int64), dst[apart].astype(np.int64))
            amount, share = apart.astype(np.int64), np.ones(len(hops))
        else:
            several = [self.routes(*pair) for pair in zip(src[apart].tolist(), dst[apart].tolist(), strict=True)]
            routes = list(itertools.chain.from_iterable(several))
            amount = np.zeros(len(src), dtype=np.int64)
            amount[apart] = [len(of_pair) for of_pair in several]
            share = np.array([route.share for route in routes], dtype=np.float64)
            hops = np.array([len(route.links) for route in routes], dtype=np.int64)
            every = itertools.chain.from_iterable(route.links for route in routes)
            link = np.fromiter(every, np.int32, int(hops.sum()))
        return Paths(amount, share, np.concatenate([[0], np.cumsum(hops)]), link.astype(np.int32, copy=False))

    def path_latency(self, paths: Paths) -> NDArray[np.float64]:
        """Return the sum of the latencies of each of these routes in seconds, rounded once, shape (routes,)."""
        return exact_sums(self.latency, paths.first, paths.link)

    def _check_routes(self, routes: tuple[Route, ...], src: int, dst: int) -> None:
        for path in routes:
            ends = [src, *(self.links[number].head for number in path.links)]
            tails = [*(self.links[number].tail for number in path.links), dst]
            if ends != tails:
                raise InputError(
                    f"the links of a path from rank {src} to rank {dst} of topology {self.name!r} do not join up: "
                    f"{[(self.links[number].tail, self.links[number].head) for number in path.links]}"
                )
        total = math.fsum(path.share for path in routes)
        if not math.isclose(total, 1.0) or min(path.share for path in routes) <= 0:
            raise InputError(
                f"the shares of the paths from rank {src} to rank {dst} of topology {self.name!r} must be positive "
                f"and add up to 1, got {[path.share for path in routes]}"
            )

    def route(self, src: int, dst: int) -> tuple[int, ...]:
        """Return the numbers of the links from rank `src` to rank `dst`, in order; of several paths the first.

        Raises
        ------
        InputError
            If there is no path.
        """
        return self.routes(src, dst)[0].links

    def route_latency(self, src: int, dst: int) -> float:
        """Return the sum of the latencies from `src` to `dst`, in seconds; of several paths the longest."""
        try:
            return max(math.fsum(self.links[i].latency for i in path.links) for path in self.routes(src, dst))
        except OverflowError:
            raise InputError(
                f"the latency from rank {src} to rank {dst} of topology {self.name!r} is too large for a number"
            ) from None

    def route_bandwidth(self, src: int, dst: int) -> float:
        """Return what one message alone gets from `src` to `dst`, in bytes per second."""
        used: dict[int, float] = {}  # channel -> how much of every byte crosses it
        least = math.inf
        for share, links in self.routes(src, dst):
            for i in links:
                if self.links[i].fatpipe:
                    least = min(least, self.links[i].bandwidth / share)
                else:
                    channel = int(self.channel[i])
                    used[channel] = used.get(channel, 0.0) + share
        return min(least, *(self.links[i].bandwidth / part for i, part in used.items()), math.inf)

    def links_along(self, nodes: Sequence[Node], key: int = 0) -> tuple[int, ...]:
        """Return the numbers of the links along a path of nodes; of n parallel links the one numbered ``key % n``.

        Raises
        ------
        InputError
            If two neighbouring nodes have no link.
        """
        found = []
        for pair in itertools.pairwise(nodes):
            between = self._numbers.get(pair)
            if between is None:
                raise InputError(
                    f"a route of topology {self.name!r} uses a link from {pair[0]!r} to {pair[1]!r}, which there is not"
                )
            found.append(between[key % len(between)])
        return tuple(found)

    def shortest_next(self, node: Node, dst: int, *, by: str = "links") -> list[int]:
        """Return the numbers of the links that leave `node` on a shortest path to rank `dst`.

        Parameters
        ----------
        node : hashable
            A rank or a switch.
        dst : int
            The destination.
        by : {"links", "latency"}
            What is shortest: the number of links, or the sum of their latencies (of several paths with the same
            sum those with the fewest links).

        Raises
        ------
        InputError
            If there is no path.
        """
        key = dst, by
        away = self._distances.get(key)
        if away is None:
            away = self._distances[key] = self._links_to(dst) if by == "links" else self._latency_to(dst)
        places, onward, _ = self.indexed
        start = places[node]
        left = away[start]
        if left < 0:
            raise InputError(
                f"topology {self.name!r} has no path from {node_name(node)} to rank {dst}: it is disconnected"
            )
        if by == "links":
            return [i for i, head in onward[start] if away[head] == left - 1]
        return [i for i, head in onward[start] if 0 <= away[head] == left - self._lengths[i]]

    @cached_property
    def indexed(self) -> tuple[dict[Node, int], list[list[tuple[int, int]]], list[list[tuple[int, int]]]]:
        """Numbers of the nodes, and by these for each node what leaves and what enters it: (link, node at its end)."""
        places = {node: place for place, node in enumerate(self.leaving)}
        onward: list[list[tuple[int, int]]] = [[] for _ in places]
        back: list[list[tuple[int, int]]] = [[] for _ in places]
        for number, link in enumerate(self.links):
            tail, head = places[link.tail], places[link.head]
            onward[tail].append((number, head))
            back[head].append((number, tail))
        return places, onward, back

    def _links_to(self, dst: int) -> list[int]:
        """Return for every node the number of links to rank `dst`; -1 if there is no path."""
        _, _, back = self.indexed
        found = [-1] * len(back)
        found[dst] = 0
        frontier, length = [dst], 0
        while frontier:
            length += 1
            following = []
            for node in frontier:
                for _, tail in back[node]:
                    if found[tail] < 0:
                        found[tail] = length
                        following.append(tail)
            frontier = following
        return found

    def _latency_to(self, dst: int) -> list[int]:
        """Return for every node the length of the shortest path to rank `dst` (Dijkstra); -1 if there is none."""
        _, _, back = self.indexed
        found = [-1] * len(back)
        found[dst] = 0
        heap = [(0, dst)]
        while heap:
            length, node = heapq.heappop(heap)
            if length == found[node]:
                for i, tail in back[node]:
                    longer = length + self._lengths[i]
                    if found[tail] < 0 or longer < found[tail]:
                        found[tail] = longer
                        heapq.heappush(heap, (longer, tail))
        return found

    @cached_property
    def _lengths(self) -> list[int]:
        """The latency of every link as a whole number, and for the link itself so little that it only breaks ties.

        Sums of integers are exact. We take latencies as the decimals that people write, so that 1us + 2us is 3us.
        """
        exact = [Fraction(repr(float(link.latency))) for link in self.links]
        unit = math.lcm(*(latency.denominator for latency in exact))
        return [int(latency * unit) * len(self.links) + 1 for latency in exact]

    @cached_property
    def _distances(self) -> dict[tuple[int, str], list[int]]:
        return {}

    def with_routes(self, routes: RouteFinder, routing: str, name: str | None = None) -> Topology:
        """Return the same network with other routes, as `routes` of the constructor finds them; `routing` in words."""
        return self._changed(self.links, routes, routing, name)

    def with_links(self, links: Sequence[Link], name: str | None = None) -> Topology:
        """Return the same network with other figures: as many links, with the same ends in the same order.

        Raises
        ------
        InputError
            If the links have other ends.
        """
        if [(link.tail, link.head) for link in links] != [(link.tail, link.head) for link in self.links]:
            raise InputError(f"the new links of topology {self.name!r} must have the ends of the old ones")
        return self._changed(links, self._find, self.routing, name)

    def with_groups(self, groups: Sequence[Sequence[int]]) -> Topology:
        """Return the same network with other groups of ranks.

        Raises
        ------
        InputError
            If a rank is in none, or in two.
        """
        changed = self._changed(self.links, self._find, self.routing, None)
        changed._groups = changed._checked_groups(groups)
        return changed

    def _changed(self, links: Sequence[Link], routes: RouteFinder, routing: str, name: str | None) -> Topology:
        return Topology(
            name or self.name,
            self.ranks,
            links,
            routes=routes,
            routing=routing,
            groups=self._groups,
            placement=self.placement,
            paths=self._paths if routes is self._find else None,
        )

    def check_connected(self, ranks: int) -> None:
        """Raise an `InputError` unless each of the first `ranks` ranks reaches each other one."""
        if ranks > self.ranks:
            raise InputError(f"topology {self.name!r} has {self.ranks} ranks, fewer than the {ranks} asked for")
        if ranks > 1 and self.lattice is None:
            nothing = np.zeros(len(self.links))
            there, back = (np.isfinite(self.distances(0, nothing, reverse=way)[:ranks]) for way in (False, True))
            apart = np.flatnonzero(~(there & back))
            if len(apart):
                rank = int(apart[0])
                src, dst = (rank, 0) if there[rank] else (0, rank)
                raise InputError(
                    f"topology {self.name!r} has no path from rank {src} to rank {dst}: it is disconnected"
                )

    @classmethod
    def from_graph(cls, graph: nx.Graph[Any] | nx.DiGraph[Any], name: str | None = None) -> Topology:
        """Return the topology of a networkx graph.

        Parameters
        ----------
        graph : networkx.Graph or networkx.DiGraph
            Nodes 0, 1, 2, ... are the ranks, all others are switches. Every edge has a ``bandwidth``
            and a ``latency``, as numbers in SI units or as text such as ``"10GB/s"``; it may have a ``medium``
            and be a ``fatpipe``, as a `Link`. An edge of an undirected graph is a full-duplex cable, or with a
            ``medium`` a half-duplex one. The edges of a multigraph are parallel links.
        name : str, optional
            Default: the graph's own name.

        Raises
        ------
        InputError
            If ranks are not numbered 0, 1, 2, ..., or an edge lacks a bandwidth or a latency.

        Examples
        --------
        >>> import networkx as nx
        >>> g = nx.cycle_graph(4)
        >>> nx.set_edge_attributes(g, "10GB/s", "bandwidth")
        >>> nx.set_edge_attributes(g, "1us", "latency")
        >>> Topology.from_graph(g, "my ring")
        Topology('my ring', ranks=4, switches=0, links=8)
        """
        name = name or str(graph.graph.get("name") or "graph")
        numbered = sorted(int(node) for node in graph if _is_rank(node))
        if not numbered or numbered != list(range(len(numbered))):
            raise InputError(
                f"graph {name!r} must have its ranks as the nodes 0, 1, 2, ... (switches may be anything else), "
                f"got the integer nodes {numbered[:8]}"
            )
        links = []
        for tail, head, data in graph.edges(data=True):
            if tail == head:
                raise InputError(f"graph {name!r} has an edge from {tail!r} to itself")
            for key in ("bandwidth", "latency"):
                if key not in data:
                    raise InputError(f"edge {tail!r}-{head!r} of graph {name!r} has no {key!r}")
            where = f"of edge {tail!r}-{head!r}"
            bandwidth = parse_bandwidth(data["bandwidth"], f"bandwidth {where}")
            latency = parse_time(data["latency"], f"latency {where}")
            tail, head = (int(node) if _is_rank(node) else node for node in (tail, head))
            extra = data.get("medium"), bool(data.get("fatpipe", False))
            links.append(Link(tail, head, bandwidth, latency, *extra))
            if not graph.is_directed():
                links.append(Link(head, tail, bandwidth, latency, *extra))
        return cls(name, len(numbered), links)


# After so many rounds a way is long, and most rounds look at few nodes.
_MOST_ROUNDS = 600


class Neighbours(NamedTuple):
    """The links at every node, and the nodes at their other ends: of node i those at ``first[i] : first[i + 1]``."""

    first: NDArray[np.int64]
    link: NDArray[np.int64]
    other: NDArray[np.int64]

    @classmethod
    def of(cls, here: NDArray[np.int64], there: NDArray[np.int64], nodes: int) -> Neighbours:
        """Return them for links between these nodes."""
        link = np.argsort(here, kind="stable")
        first = np.concatenate([[0], np.cumsum(np.bincount(here, minlength=nodes))])
        return cls(first, link, there[link])

    def relax(
        self, away: NDArray[np.float64], nodes: NDArray[np.int64], length: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Bring nearer what is beside these nodes, and return which nodes that was."""
        many = self.first[nodes + 1] - self.first[nodes]
        at = np.arange(int(many.sum())) + np.repeat(self.first[nodes] - np.cumsum(many) + many, many)
        other = self.other[at]
        reached = np.repeat(away[nodes], many) + length[self.link[at]]
        better = reached < away[other]
        other, reached = other[better], reached[better]
        np.minimum.at(away, other, reached)
        mark = np.zeros(len(away), dtype=np.bool_)
        mark[other] = True
        return np.flatnonzero(mark)

    def finish(
        self, away: NDArray[np.float64], nodes: NDArray[np.int64], length: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the distances if all but these nodes were looked at (Dijkstra)."""
        far, first, link, other = away.tolist(), self.first.tolist(), self.link.tolist(), self.other.tolist()
        lengths = length.tolist()
        heap = [(far[node], node) for node in nodes.tolist()]
        heapq.heapify(heap)
        while heap:
            reached, node = heapq.heappop(heap)
            if reached > far[node]:
                continue
            for at in range(first[node], first[node + 1]):
                further = reached + lengths[link[at]]
                if further < far[other[at]]:
                    far[other[at]] = further
                    heapq.heappush(heap, (further, other[at]))
        return np.array(far)


RouteFinder = Callable[[Topology, int, int], Iterable[Route]]
PathFinder = Callable[[NDArray[np.int64], NDArray[np.int64]], tuple[NDArray[np.int64], NDArray[np.int64]]]


def exact_sums(values: NDArray[np.float64], first: NDArray[np.int64], which: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return the sum of ``values[which[first[i] : first[i + 1]]]`` for each i, rounded once as by `math.fsum`.

    Infinite is what is too large for a number.

    Examples
    --------
    >>> exact_sums(np.array([0.1, 0.2]), np.array([0, 3, 3, 5]), np.array([0, 0, 0, 0, 1])).tolist()
    [0.30000000000000004, 0.0, 0.30000000000000004]
    """
    many = np.diff(first)
    kinds = sorted(set(values.tolist()))
    if len(kinds) == 1:
        with np.errstate(over="ignore"):
            found = many * kinds[0]
        if np.isfinite(found).all():
            return np.asarray(found, dtype=np.float64)
    base = int(many.max(initial=0)) + 1
    if len(kinds) * math.log2(base) >= _MOST_BITS:
        parts = np.split(values[which], first[1:-1]) if len(many) else []
        return np.array([_sum(part.tolist()) for part in parts], dtype=np.float64)
    # Sums of the same values as often are the same: those of a kind are one digit of a number.
    digit = base ** np.searchsorted(np.array(kinds), values[which])
    total = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(digit.astype(np.uint64))])
    code, back = np.unique(total[first[1:]] - total[first[:-1]], return_inverse=True)
    sums = [_sum(_digits_times(number, base, kinds)) for number in code.tolist()]
    return np.array(sums, dtype=np.float64)[back]


def _sum(values: list[float]) -> float:
    try:
        return math.fsum(values)
    except OverflowError:
        return math.inf


# A code of so many bits fits into a number; cumulative sums of codes wrap around, their differences do not.
_MOST_BITS = 62


def _digits_times(number: int, base: int, kinds: Sequence[float]) -> list[float]:
    """Return each value as often as its digit says."""
    values: list[float] = []
    for kind in kinds:
        number, times = divmod(number, base)
        values += [kind] * times
    return values


def first_shortest(topology: Topology, src: int, dst: int) -> tuple[Route, ...]:
    """Find the path with the fewest links; of several the one found first when links are tried in order."""
    links: list[int] = []
    node: Node = src
    while node != dst:
        links.append(topology.shortest_next(node, dst)[0])
        node = topology.links[links[-1]].head
    return (Route(1.0, tuple(links)),)


def _along(route: Router, topology: Topology, src: int, dst: int) -> tuple[Route, ...]:
    """Find the path along the nodes that a function gives."""
    return (Route(1.0, topology.links_along(route(src, dst), dst)),)


def cable(a: Node, b: Node, bandwidth: float, latency: float, *, medium: Hashable | None = None) -> tuple[Link, Link]:
    """Return the two directed links of a cable between nodes `a` and `b`; with a `medium` it is half-duplex."""
    return Link(a, b, bandwidth, latency, medium), Link(b, a, bandwidth, latency, medium)


def link_values(bandwidth: Quantity | None, latency: Quantity | None) -> tuple[float, float]:
    """Return bandwidth and latency of a link in SI units; both must be given."""
    bandwidths, latencies = level_values(bandwidth, latency, 1)
    return bandwidths[0], latencies[0]


def level_values(
    bandwidth: Quantity | Sequence[Quantity] | None,
    latency: Quantity | Sequence[Quantity] | None,
    levels: int,
    order: str = "from the ranks outward",
) -> tuple[list[float], list[float]]:
    """Return bandwidths and latencies of the links of each level in SI units.

    Parameters
    ----------
    bandwidth, latency : float, str or a sequence of these
        One for all levels, or one a level; as text also with commas: ``"300GB/s,25GB/s"``.
    levels : int
        Number of levels, dimensions or kinds of links.
    order : str
        In which order the levels are given, for errors.

    Raises
    ------
    InputError
        If one is missing, out of range, has an unknown unit, or there are neither one nor as many as levels.

    Examples
    --------
    >>> level_values("300GB/s,25GB/s", "1us", 2)
    ([300000000000.0, 25000000000.0], [1e-06, 1e-06])
    """
    if bandwidth is None:
        raise InputError("a bandwidth is needed, for example 10GB/s")
    if latency is None:
        raise InputError("a latency is needed, for example 5us (0 for none)")
    return (
        [parse_bandwidth(value) for value in _one_a_level(bandwidth, levels, "bandwidth", order)],
        [parse_time(value, "latency") for value in _one_a_level(latency, levels, "latency", order)],
    )


def _one_a_level(value: Any, levels: int, what: str, order: str) -> list[Any]:
    given = value.split(",") if isinstance(value, str) else value if isinstance(value, Sequence) else [value]
    if len(given) not in (1, levels):
        several = f" or {levels}, {order}" if levels > 1 else ""
        raise InputError(f"{what} must be one value{several}, got {value!r}")
    return list(given) * (levels if len(given) == 1 else 1)


def node_name(node: Node) -> str:
    """Return a node in words: ``rank 3``, ``'spine 0'``."""
    return f"rank {node}" if _is_rank(node) else repr(node)


def noted(name: str, note: str) -> str:
    """Return the name of a network that was changed: ``torus:4x4 (ecmp:seed=3)``.

    Examples
    --------
    >>> noted(noted("star:8", "ecmp"), "3:bandwidth=1GB/s")
    'star:8 (ecmp, 3:bandwidth=1GB/s)'
    """
    return f"{name[:-1]}, {note})" if name.endswith(")") and " (" in name else f"{name} ({note})"


def _is_figure(value: object) -> bool:
    """Return whether a value is a finite number of at least 0."""
    return (type(value) is float or isinstance(value, numbers.Real)) and 0 <= value < math.inf  # type: ignore[operator]


def _is_rank(node: object) -> bool:
    return type(node) is int or (isinstance(node, numbers.Integral) and not isinstance(node, bool))
