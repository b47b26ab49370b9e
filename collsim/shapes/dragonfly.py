"""The dragonfly: groups of routers, fully connected inside, and a cable between each two groups."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from collsim.errors import InputError, unknown
from collsim.shapes.basic import refuse_too_many_links
from collsim.topology import Link, Route, Topology, level_values
from collsim.units import Quantity, parse_count

ARRANGEMENTS = ("consecutive", "palmtree")


def dragonfly(
    h: int | str,
    a: int | str | None = None,
    p: int | str | None = None,
    g: int | str | None = None,
    arrangement: str = "consecutive",
    *,
    bandwidth: Quantity | Sequence[Quantity],
    latency: Quantity | Sequence[Quantity],
) -> Topology:
    """Return a dragonfly of `g` groups of `a` routers, with `p` ranks and `h` global links a router.

    Letters and defaults are those of Kim, Dally, Scott and Abts: a = 2h and p = h balance the load, and there are at
    most a h + 1 groups, which is the default. The routers of a group have a cable between each two of them. Each two
    groups have ``a h // (g - 1)`` global cables, one in the largest network; global ports that are left over stay
    unused. Global port j of a group (router ``j // h``) leads, with i = j mod (g-1) and groups counted from 0,
    to the i-th of the other groups (``arrangement="consecutive"``), or ``i + 1`` groups back (``"palmtree"``).

    Routes are minimal: at most one local, one global and one local link between the routers. Of several global cables
    between two groups one that needs the fewest links is taken, of several such the first from number dst mod their
    count on. The ranks of a group of routers are a group.

    Parameters
    ----------
    h : int
        Global links of a router.
    a : int, optional
        Routers of a group; default 2h.
    p : int, optional
        Ranks on a router; default h.
    g : int, optional
        Groups; default a h + 1.
    arrangement : {"consecutive", "palmtree"}
        Which group each global port leads to.
    bandwidth : float, str or a sequence of these
        Of each link and direction, in bytes per second or as text; one for all, or three: of links between rank and
        router, local links, and global links.
    latency : float, str or a sequence of these
        Of each link, in seconds or as text; one or three.

    Raises
    ------
    InputError
        If a value is out of range, has an unknown unit, or there are more groups than the routers can join.

    References
    ----------
    J. Kim, W. J. Dally, S. Scott, D. Abts, "Technology-driven, highly-scalable dragonfly topology", ISCA 2008,
    sections 3 (the topology) and 4 (minimal routing).

    C. Camarero, E. Vallejo, R. Beivide, "Topological characterization of Hamming and dragonfly networks and its
    implications on routing", ACM TACO 11(4), 2014 (the arrangements).

    Examples
    --------
    >>> dragonfly(h=2, a=4, p=2, bandwidth="10GB/s", latency="1us")
    Topology('dragonfly:p=2,a=4,h=2,g=9', ranks=72, switches=36, links=324)
    """
    h = parse_count(h, "h")
    a = 2 * h if a is None else parse_count(a, "a")
    p = h if p is None else parse_count(p, "p")
    most = a * h + 1
    g = most if g is None else parse_count(g, "g")
    if g > most:
        raise InputError(
            f"{a} routers a group with {h} global links each join at most a h + 1 = {most} groups, got {g}"
        )
    if arrangement not in ARRANGEMENTS:
        raise unknown("arrangement", arrangement, ARRANGEMENTS)
    shape = _Dragonfly(h, a, p, g, a * h // (g - 1) if g > 1 else 0, arrangement == "palmtree")
    speeds, delays = level_values(bandwidth, latency, 3)
    refuse_too_many_links(g * (a * (2 * p + a - 1) + shape.ports))
    routers = [[f"router {group}.{x}" for x in range(a)] for group in range(g)]
    links: list[Link] = []
    for rank in range(g * a * p):
        router = routers[rank // p // a][rank // p % a]
        links += Link(rank, router, speeds[0], delays[0]), Link(router, rank, speeds[0], delays[0])
    for inside in routers:
        links += [Link(x, y, speeds[1], delays[1]) for x in inside for y in inside if x != y]
    for group in range(g):
        for port in range(shape.ports):
            peer, other = shape.far_end(group, port)
            links.append(Link(routers[group][port // h], routers[peer][other // h], speeds[2], delays[2]))
    name = f"dragonfly:p={p},a={a},h={h},g={g}" + (f",arrangement={arrangement}" if shape.palmtree else "")
    groups = [range(start, start + a * p) for start in range(0, g * a * p, a * p)]
    return Topology(
        name,
        g * a * p,
        links,
        routes=partial(_minimal, shape),
        routing="minimal: at most one local, one global and one local link",
        groups=groups,
    )


def fit_dragonfly(ranks: int) -> dict[str, int]:
    """Return the h of the balanced dragonfly (a = 2p = 2h, a h + 1 groups) with so many ranks."""
    h = 1
    while 2 * h * h * (2 * h * h + 1) < ranks:
        h += 1
    if 2 * h * h * (2 * h * h + 1) != ranks:
        raise InputError(
            f"a balanced dragonfly has 6, 72, 342, 1056, ... ranks, not {ranks}; "
            "give another as in dragonfly:p=2,a=4,h=2"
        )
    return {"h": h}


class _Dragonfly(NamedTuple):
    """The arithmetic of a dragonfly; a group's global ports are numbered 0, 1, ..., router by router."""

    h: int
    a: int
    p: int
    g: int
    between: int  # global cables between each two groups
    palmtree: bool

    @property
    def ports(self) -> int:
        """The global ports of a group that are used."""
        return self.between * (self.g - 1)

    def far_end(self, group: int, port: int) -> tuple[int, int]:
        """Return the group and the port that a global port is cabled to."""
        turn, i = divmod(port, self.g - 1)
        peer = (group - i - 1) % self.g if self.palmtree else i + (i >= group)
        return peer, self.port_to(peer, group, turn)

    def port_to(self, group: int, peer: int, turn: int) -> int:
        """Return the port of a group that leads to another one, the first (turn 0), the second, ..."""
        i = (group - peer - 1) % self.g if self.palmtree else peer - (peer > group)
        return turn * (self.g - 1) + i

    def local_link(self, group: int, router: int, other: int) -> list[int]:
        """Return the number of the link between two routers of a group, none if they are one."""
        if router == other:
            return []
        first = 2 * self.g * self.a * self.p
        return [first + (group * self.a + router) * (self.a - 1) + other - (other > router)]

    def global_link(self, group: int, port: int) -> int:
        return 2 * self.g * self.a * self.p + self.g * self.a * (self.a - 1) + group * self.ports + port


# Routes are functions of this module, not closures: a topology can then be sent to another process.


def _minimal(shape: _Dragonfly, _: Topology, src: int, dst: int) -> tuple[Route, ...]:
    (group, x), (peer, y) = (divmod(rank // shape.p, shape.a) for rank in (src, dst))
    if group == peer:
        middle = shape.local_link(group, x, y)
    else:
        ways = []
        for turn in range(shape.between):
            near, far = shape.port_to(group, peer, turn), shape.port_to(peer, group, turn)
            here, there = near // shape.h, far // shape.h
            way = [
                *shape.local_link(group, x, here),
                shape.global_link(group, near),
                *shape.local_link(peer, there, y),
            ]
            ways.append((len(way), (turn - dst) % shape.between, way))
        middle = min(ways)[2]
    return (Route(1.0, (2 * src, *middle, 2 * dst + 1)),)
