"""The simplest networks: one switch, everybody with everybody, a ring."""

from __future__ import annotations

from functools import partial

from collsim.topology import Link, Node, Topology, cable, link_values
from collsim.units import Quantity, parse_count


def star(ranks: int, bandwidth: Quantity, latency: Quantity) -> Topology:
    """Return `ranks` ranks on one switch.

    Every message crosses two links, so its end-to-end latency is twice `latency`.

    Parameters
    ----------
    ranks : int
        Number of ranks.
    bandwidth : float or str
        Of each link and direction, in bytes per second or as text.
    latency : float or str
        Of each link, in seconds or as text.

    Raises
    ------
    InputError
        If a value is out of range or has an unknown unit.

    Examples
    --------
    >>> star(8, bandwidth="10GB/s", latency="5us")
    Topology('star:8', ranks=8, switches=1, links=16)
    """
    ranks = parse_count(ranks, "ranks")
    speed, delay = link_values(bandwidth, latency)
    links = [link for rank in range(ranks) for link in cable(rank, "switch", speed, delay)]
    return Topology(f"star:{ranks}", ranks, links, route=_over_switch, routing="over the switch")


def full(ranks: int, bandwidth: Quantity, latency: Quantity) -> Topology:
    """Return `ranks` ranks with a cable between each two of them.

    Parameters
    ----------
    ranks, bandwidth, latency
        As for `star`.

    Raises
    ------
    InputError
        If a value is out of range or has an unknown unit.

    Examples
    --------
    >>> full(4, bandwidth="25GB/s", latency="1us")
    Topology('full:4', ranks=4, switches=0, links=12)
    """
    ranks = parse_count(ranks, "ranks")
    speed, delay = link_values(bandwidth, latency)
    links = [Link(a, b, speed, delay) for a in range(ranks) for b in range(ranks) if a != b]
    return Topology(f"full:{ranks}", ranks, links, route=_direct, routing="direct")


def ring(ranks: int, bandwidth: Quantity, latency: Quantity) -> Topology:
    """Return `ranks` ranks in a ring, each with a cable to the next.

    Messages go the shorter way round; where both are equally long, upwards (0, 1, 2, ...).

    Parameters
    ----------
    ranks, bandwidth, latency
        As for `star`.

    Raises
    ------
    InputError
        If a value is out of range or has an unknown unit.

    Examples
    --------
    >>> ring(4, bandwidth="10GB/s", latency="1us").route_latency(0, 2)
    2e-06
    """
    ranks = parse_count(ranks, "ranks")
    speed, delay = link_values(bandwidth, latency)
    # Two ranks have one cable between them, not two; one rank has none.
    cables = ranks if ranks > 2 else ranks - 1
    links = [link for rank in range(cables) for link in cable(rank, (rank + 1) % ranks, speed, delay)]
    return Topology(f"ring:{ranks}", ranks, links, route=partial(_round, ranks), routing="the shorter way round")


# Routes are functions of this module, not closures: a topology can then be sent to another process.


def _over_switch(src: int, dst: int) -> tuple[Node, ...]:
    return src, "switch", dst


def _direct(src: int, dst: int) -> tuple[Node, ...]:
    return src, dst


def _round(ranks: int, src: int, dst: int) -> tuple[Node, ...]:
    up = (dst - src) % ranks
    if 2 * up <= ranks:
        return tuple((src + i) % ranks for i in range(up + 1))
    return tuple((src - i) % ranks for i in range(ranks - up + 1))
