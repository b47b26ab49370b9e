"""The best throughput that a network admits for large vectors, exactly, and what limits it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from collsim.collectives import Collective, get_collective
from collsim.cuts import channel_capacity, crossing_links, has_media, is_balanced
from collsim.demands import Demand, demand_of, supplies, whole_vector
from collsim.errors import InputError
from collsim.groups import GroupedCollective
from collsim.limits import FEW, Limits, Side, crossing_in_words, exchange_in_words, limits_of
from collsim.topology import Node, Topology
from collsim.units import format_bandwidth


@dataclass(frozen=True)
class Throughput:
    """What no schedule on a network can surpass, however large the vector and whatever the routes.

    Attributes
    ----------
    algbw : Fraction or None
        Size over time in bytes per second, exactly; None if nothing limits it.
    reason : str
        What limits it.
    kind : str
        ``"cut"``, ``"partition"`` or ``"distance"``, as in `Bound`; ``"none"`` if nothing limits it.
    exact : bool
        Whether there is no tighter cut.
    attained : bool
        Whether it is known that some schedule comes as close to it as one likes: it is the optimum.
    known : Fraction or None
        What the best known schedule comes close to, in bytes per second.
    inside : frozenset of nodes
        One side of the cut, if it is one.
    links : tuple of int
        The links that limit it.
    """

    algbw: Fraction | None
    reason: str
    kind: str
    exact: bool
    attained: bool
    known: Fraction | None
    inside: frozenset[Node]
    links: tuple[int, ...]


def throughput(collective: Collective, topology: Topology, ranks: int | None = None) -> Throughput:
    """Return the best throughput that a network admits for large vectors, exactly, and what limits it.

    Parameters
    ----------
    collective : Collective
        What must be done.
    topology : Topology
        The network, with links that messages share.
    ranks : int, optional
        How many of its ranks take part; the others act as switches. Default: all.

    Returns
    -------
    Throughput
        A fraction, as bandwidths are; the bottleneck in words, nodes and links.

    Raises
    ------
    InputError
        If nothing is known of the collective, it moves no bytes, or the network is disconnected or too small.

    Notes
    -----
    It is attained, in the limit of many small chunks, by

    - all_gather and broadcast, by packing trees; reduce_scatter and reduce by the same trees backwards (J. Edmonds,
      Edge-disjoint branchings, 1973; ForestColl, arXiv 2402.06787, where switches are taken out one by one). That
      needs every node to receive as much as it sends at most, or no switches; and no media;
    - gather and scatter, by the maximum flow itself; no media either;
    - all_reduce as reduce_scatter followed by all_gather if the bound for it is twice theirs, which it is where
      every rank's own links are what limits all. Else that is the best known, and the bound may be out of reach.

    Examples
    --------
    >>> import collsim as cs
    >>> best = throughput(cs.get_collective("all_gather"), cs.star(8, "300GB/s", "1us"))
    >>> best.algbw / 10**9, best.attained, best.reason
    (Fraction(2400, 7), True, '7/8 n must enter rank 0 over 300 GB/s')
    """
    count = topology.ranks if ranks is None else ranks
    topology.check_connected(count)
    size = 0 if isinstance(collective, GroupedCollective) else whole_vector(collective, count)
    demand = demand_of(collective, count, size, 1) if size and collective.name != "barrier" else None
    if demand is None:
        raise InputError(
            f"{collective.name} has no throughput that is known: it moves no bytes, or is not in the table"
        )
    if count == 1 or not demand.taking_part.any():
        idle = "one rank has nothing to do" if count == 1 else "no rank needs anything from another"
        return Throughput(None, idle, "none", True, False, None, frozenset(), ())
    limits = limits_of(topology, count, None)
    questions = supplies(collective, count)
    answers = [limits.tightest(question) for question in questions or ()]
    found = list(_limits_exactly(demand, [side for side in answers if side is not None], limits, size))
    best = max(found, key=lambda one: one.seconds, default=None)
    exact = questions is not None and not has_media(topology) and all(s is None or s.cut.exact for s in answers)
    if best is None:
        return Throughput(None, "nothing limits it", "none", exact, False, None, frozenset(), ())
    algbw = 1 / best.seconds
    known = _best_known(collective, topology, count, algbw, exact)
    return Throughput(algbw, best.reason, best.kind, exact, known == algbw, known, best.inside, best.links)


class _ExactLimit(NamedTuple):
    seconds: Fraction  # for each byte of the vector
    reason: str
    kind: str
    inside: frozenset[Node]
    links: tuple[int, ...]


def _limits_exactly(demand: Demand, answers: list[Side], limits: Limits, size: int) -> Iterator[_ExactLimit]:
    """Yield the seconds per byte that cuts, partitions and distances ask for."""
    topology = limits.topology
    for side in [*answers, *limits.sides]:
        bytes_out, bytes_in = (Fraction(demand.leaving(mask)) / size for mask in (side.mask, ~side.mask))
        for share, capacity, leaves in zip(
            (bytes_out, bytes_in, bytes_out + bytes_in), side.exact, (True, False, None), strict=True
        ):
            if share and capacity is not None:
                links = [] if leaves is False else crossing_links(topology, side.cut.inside)
                links += [] if leaves else crossing_links(topology, side.cut.inside, reverse=True)
                reason = crossing_in_words(side.mask, _of_n(share), float(capacity), leaves)
                yield _ExactLimit(share / capacity, reason, "cut", side.cut.inside, tuple(links))
    # Else every rank alone is among the sides, or was looked at for the answers.
    if has_media(topology) or (not answers and limits.ranks > FEW):
        yield from _ranks_alone(demand, limits, size)
    for partition in limits.partitions:
        share = Fraction(demand.between(partition.parts)) / size
        if share:
            reason = exchange_in_words(partition, limits.ranks, _of_n(share))
            yield _ExactLimit(share / partition.exact, reason, "partition", frozenset(), tuple(partition.links))
    if demand.traffic is not None and limits.metrics:
        hops = limits.metrics[0][0].distance  # whole numbers
        share = Fraction(float((demand.traffic * hops).sum())) / size
        capacity = sum((Fraction(link.bandwidth) for link in topology.links), Fraction(0))
        carried = format_bandwidth(float(capacity))
        reason = f"{_of_n(share)} must cross links, counted on every link of a way; all links together carry {carried}"
        yield _ExactLimit(share / capacity, reason, "distance", frozenset(), tuple(range(len(topology.links))))


def _of_n(share: Fraction) -> str:
    return "n" if share == 1 else f"{share} n"


def _ranks_alone(demand: Demand, limits: Limits, size: int) -> Iterator[_ExactLimit]:
    """Yield the seconds per byte that the links of each rank ask for."""
    topology = limits.topology
    for rank in range(limits.ranks):
        mask = np.arange(limits.ranks) == rank
        out, into = (crossing_links(topology, [rank], reverse=reverse) for reverse in (False, True))
        send, receive = (Fraction(float(nbytes[rank])) / size for nbytes in (demand.send, demand.receive))
        for share, links, leaves in ((send, out, True), (receive, into, False), (send + receive, [*out, *into], None)):
            capacity = channel_capacity(topology, links)
            if share and capacity is not None:
                reason = crossing_in_words(mask, _of_n(share), float(capacity), leaves)
                yield _ExactLimit(share / capacity, reason, "cut", frozenset([rank]), tuple(links))


def _best_known(
    collective: Collective, topology: Topology, ranks: int, bound: Fraction, exact: bool
) -> Fraction | None:
    """Return what the best known schedule reaches; None if that is not known."""
    plain = collective.name.removesuffix("v")
    alone = not topology.switches and ranks == topology.ranks
    shared = has_media(topology)
    if plain in ("all_gather", "reduce_scatter", "broadcast", "reduce"):
        return (
            bound
            if exact and not shared and (is_balanced(topology) or (alone and not topology.fatpipe.any()))
            else None
        )
    if plain in ("gather", "scatter"):
        return bound if exact and not shared else None
    if plain == "all_reduce":
        halves = [throughput(get_collective(half), topology, ranks) for half in ("reduce_scatter", "all_gather")]
        rates = [half.known for half in halves if half.known is not None]
        return 1 / sum((1 / rate for rate in rates), Fraction(0)) if len(rates) == len(halves) else None
    return None
