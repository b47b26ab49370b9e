"""A network as a directed graph: ranks, switches, links with a bandwidth and a latency, and routes.

Ranks are the nodes 0..ranks-1, anything else is a switch. A cable is two directed links. This file
knows graphs and routes; the shapes are in `collsim.shapes`, and how messages share links is the
business of the models in `collsim.engines`.
"""

from __future__ import annotations

import itertools
import math
import numbers
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from collsim.errors import InputError
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
    """

    tail: Node
    head: Node
    bandwidth: float
    latency: float


class Topology:
    """Ranks, switches, links and the routes between ranks.

    Parameters
    ----------
    name : str
        For tables and results.
    ranks : int
        Number of ranks; they are the nodes 0..ranks-1.
    links : iterable of Link
        All links; a full-duplex cable is two of them. At most one from one node to another.
    route : callable, optional
        ``route(src, dst)`` returns the nodes from rank `src` to rank `dst`, both included. By default
        the path with the fewest links; of several the one found first when links are tried in the
        order given.

    Raises
    ------
    InputError
        If a link is doubled or its figures are out of range, or (when a route is asked for) there is no path.

    See Also
    --------
    collsim.load_topology : by name, file or spec.
    collsim.star, collsim.full, collsim.ring : shapes as functions.
    Topology.from_graph : from any networkx graph.
    """

    def __init__(self, name: str, ranks: int, links: Iterable[Link], route: Router | None = None) -> None:
        self.name = name
        self.ranks = parse_count(ranks, "ranks")
        self.links = tuple(links)
        self._number = {(link.tail, link.head): i for i, link in enumerate(self.links)}
        if len(self._number) != len(self.links):
            ends = [(link.tail, link.head) for link in self.links]
            doubled = next(pair for i, pair in enumerate(ends) if pair in ends[:i])
            raise InputError(f"topology {name!r} has two links from {doubled[0]!r} to {doubled[1]!r}; add them up")
        for link in self.links:
            for node in (link.tail, link.head):
                if _is_rank(node) and node not in range(self.ranks):
                    raise InputError(
                        f"topology {name!r} has a link to {node!r}, but its ranks are 0..{self.ranks - 1} "
                        "(a switch is anything but an int)"
                    )
            numbers_given = all(isinstance(figure, numbers.Real) for figure in (link.bandwidth, link.latency))
            if not numbers_given or not (0 < link.bandwidth < math.inf) or not (0 <= link.latency < math.inf):
                raise InputError(
                    f"topology {name!r}: a link needs a positive bandwidth and a latency of at least 0, "
                    f"both finite, got {link}"
                )
        self._route = route or self._shortest_route
        self._routes: dict[tuple[int, int], tuple[int, ...]] = {}
        self._paths_from: dict[int, dict[Node, list[Node]]] = {}

    def __repr__(self) -> str:
        return f"Topology({self.name!r}, ranks={self.ranks}, switches={len(self.switches)}, links={len(self.links)})"

    @cached_property
    def bandwidth(self) -> NDArray[np.float64]:
        """Bandwidth of every link in bytes per second, shape (links,)."""
        return np.array([link.bandwidth for link in self.links], dtype=np.float64)

    @cached_property
    def latency(self) -> NDArray[np.float64]:
        """Latency of every link in seconds, shape (links,)."""
        return np.array([link.latency for link in self.links], dtype=np.float64)

    @cached_property
    def switches(self) -> tuple[Node, ...]:
        """The nodes that are not ranks, in the order in which links name them."""
        nodes = dict.fromkeys(node for link in self.links for node in (link.tail, link.head))
        return tuple(node for node in nodes if not _is_rank(node))

    @cached_property
    def graph(self) -> nx.DiGraph[Any]:
        """The network as a networkx DiGraph with ``bandwidth`` and ``latency`` on its edges."""
        import networkx as nx

        graph: nx.DiGraph[Any] = nx.DiGraph(name=self.name)
        graph.add_nodes_from(range(self.ranks))
        for link in self.links:
            graph.add_edge(link.tail, link.head, bandwidth=link.bandwidth, latency=link.latency)
        return graph

    def route(self, src: int, dst: int) -> tuple[int, ...]:
        """Return the numbers of the links from rank `src` to rank `dst`, in order.

        Raises
        ------
        InputError
            If there is no path.
        """
        known = self._routes.get((src, dst))
        if known is None:
            nodes = self._route(src, dst)
            missing = next((pair for pair in itertools.pairwise(nodes) if pair not in self._number), None)
            if missing:
                raise InputError(
                    f"the route from rank {src} to rank {dst} of topology {self.name!r} uses a link from "
                    f"{missing[0]!r} to {missing[1]!r}, which there is not"
                )
            known = tuple(self._number[pair] for pair in itertools.pairwise(nodes))
            self._routes[src, dst] = known
        return known

    def route_latency(self, src: int, dst: int) -> float:
        """Return the sum of the latencies from `src` to `dst`, in seconds."""
        return math.fsum(self.links[i].latency for i in self.route(src, dst))

    def route_bandwidth(self, src: int, dst: int) -> float:
        """Return the least bandwidth on the way from `src` to `dst`, in bytes per second."""
        return min(self.links[i].bandwidth for i in self.route(src, dst))

    def _shortest_route(self, src: int, dst: int) -> Sequence[Node]:
        if src not in self._paths_from:
            import networkx as nx

            self._paths_from[src] = nx.single_source_shortest_path(self.graph, src)
        path = self._paths_from[src].get(dst)
        if path is None:
            raise InputError(f"topology {self.name!r} has no path from rank {src} to rank {dst}: it is disconnected")
        return path

    def check_connected(self, ranks: int) -> None:
        """Raise an `InputError` unless each of the first `ranks` ranks reaches each other one."""
        if ranks > self.ranks:
            raise InputError(f"topology {self.name!r} has {self.ranks} ranks, fewer than the {ranks} asked for")
        if ranks > 1:
            forward = _reached(self.links, lambda link: (link.tail, link.head))
            backward = _reached(self.links, lambda link: (link.head, link.tail))
            for rank in range(1, ranks):
                for src, dst, found in ((0, rank, forward), (rank, 0, backward)):
                    if rank not in found:
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
            and a ``latency``, as numbers in SI units or as text such as ``"10GB/s"``. An edge of an
            undirected graph is a full-duplex cable.
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
        if graph.is_multigraph():
            raise InputError("a multigraph is not accepted: add up parallel links to one bandwidth")
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
            links.append(Link(tail, head, bandwidth, latency))
            if not graph.is_directed():
                links.append(Link(head, tail, bandwidth, latency))
        return cls(name, len(numbered), links)


def cable(a: Node, b: Node, bandwidth: float, latency: float) -> tuple[Link, Link]:
    """Return the two directed links of a full-duplex cable between nodes `a` and `b`."""
    return Link(a, b, bandwidth, latency), Link(b, a, bandwidth, latency)


def link_values(bandwidth: Quantity | None, latency: Quantity | None) -> tuple[float, float]:
    """Return bandwidth and latency of a link in SI units; both must be given."""
    if bandwidth is None:
        raise InputError("a bandwidth is needed, for example 10GB/s")
    if latency is None:
        raise InputError("a latency is needed, for example 5us (0 for none)")
    return parse_bandwidth(bandwidth), parse_time(latency, "latency")


def _is_rank(node: object) -> bool:
    return isinstance(node, numbers.Integral) and not isinstance(node, bool)


def _reached(links: Iterable[Link], ends: Callable[[Link], tuple[Node, Node]]) -> set[Node]:
    """Return the nodes that are reached from rank 0 over links whose (from, to) `ends` gives."""
    following: dict[Node, list[Node]] = {}
    for tail, head in map(ends, links):
        following.setdefault(tail, []).append(head)
    found: set[Node] = {0}
    frontier: list[Node] = [0]
    while frontier:
        for node in following.get(frontier.pop(), ()):
            if node not in found:
                found.add(node)
                frontier.append(node)
    return found
