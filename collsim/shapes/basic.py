"""The simplest networks: one switch, everybody with everybody, one wire for all, a backbone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np

from collsim.collectives import Indices
from collsim.errors import InputError
from collsim.lattice import FULL, SWITCH, WIRE, Dimension, Lattice
from collsim.memory import refuse_too_large
from collsim.topology import Link, Node, Topology, cable, level_values, link_values
from collsim.units import Quantity, parse_count

# A link and its places in a topology's tables; measured with tracemalloc.
_BYTES_A_LINK = 500
_COUNTLESS = 10**18

# Up to so many ranks a network of equal dimensions may be asked for although its links would not fit into memory.
_MOST_UNLINKED = 1 << 24


def star(ranks: int, bandwidth: Quantity, latency: Quantity, *, half_duplex: bool = False) -> Topology:
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
    half_duplex : bool
        Whether the two directions of a cable share one capacity.

    Raises
    ------
    InputError
        If a value is out of range or has an unknown unit.

    Examples
    --------
    >>> star(8, bandwidth="10GB/s", latency="5us")
    Topology('star:8', ranks=8, switches=1, links=16)
    """
    ranks, shared = parse_count(ranks, "ranks"), parse_flag(half_duplex, "half_duplex")
    speed, delay = link_values(bandwidth, latency)
    links = when_needed(2 * ranks, ranks, partial(_spokes, ranks, speed, delay, shared))
    name = spec_name(f"star:{ranks}", half_duplex=shared)
    lattice = Lattice((Dimension(SWITCH, ranks, 1, speed, delay),), shared, group=ranks)
    return Topology(
        name, ranks, links, route=_over_switch, paths=_two_links, routing="over the switch", lattice=lattice
    )


def _spokes(ranks: int, bandwidth: float, latency: float, half_duplex: bool) -> list[Link]:
    return [link for rank in range(ranks) for link in wire(rank, "switch", bandwidth, latency, half_duplex)]


def full(ranks: int, bandwidth: Quantity, latency: Quantity, *, half_duplex: bool = False) -> Topology:
    """Return `ranks` ranks with a cable between each two of them.

    Parameters
    ----------
    ranks, bandwidth, latency, half_duplex
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
    ranks, shared = parse_count(ranks, "ranks"), parse_flag(half_duplex, "half_duplex")
    speed, delay = link_values(bandwidth, latency)
    links = when_needed(ranks * (ranks - 1), ranks, partial(_pairs, ranks, speed, delay, shared, None))
    name = spec_name(f"full:{ranks}", half_duplex=shared)
    lattice = Lattice((Dimension(FULL, ranks, 1, speed, delay),), shared)
    paths = partial(_one_link, ranks)
    return Topology(name, ranks, links, route=_direct, paths=paths, routing="direct", lattice=lattice)


def _pairs(ranks: int, bandwidth: float, latency: float, half_duplex: bool, medium: str | None) -> list[Link]:
    return [
        Link(a, b, bandwidth, latency, f"cable {min(a, b)}-{max(a, b)}" if half_duplex else medium)
        for a in range(ranks)
        for b in range(ranks)
        if a != b
    ]


def bus(ranks: int, bandwidth: Quantity, latency: Quantity) -> Topology:
    """Return `ranks` ranks on one wire: all messages together get `bandwidth`, whoever they are between.

    A message crosses the wire once, so its end-to-end latency is `latency`. In the graph the wire is a link from
    every rank to every other one, all of the same medium.

    Parameters
    ----------
    ranks : int
        Number of ranks.
    bandwidth : float or str
        Of the wire, in bytes per second or as text.
    latency : float or str
        From any rank to any other, in seconds or as text.

    Raises
    ------
    InputError
        If a value is out of range or has an unknown unit.

    Notes
    -----
    The medium of R. M. Metcalfe and D. R. Boggs, "Ethernet: distributed packet switching for local computer
    networks", CACM 19(7), 1976, without its collisions.

    Examples
    --------
    >>> bus(4, bandwidth="1.25GB/s", latency="10us")
    Topology('bus:4', ranks=4, switches=0, links=12)
    """
    ranks = parse_count(ranks, "ranks")
    speed, delay = link_values(bandwidth, latency)
    # With a hub in the middle a message would cross two links, and store-and-forward models count it twice.
    links = when_needed(ranks * (ranks - 1), ranks, partial(_pairs, ranks, speed, delay, False, "bus"))
    lattice = Lattice((Dimension(WIRE, ranks, 1, speed, delay),))
    paths = partial(_one_link, ranks)
    return Topology(f"bus:{ranks}", ranks, links, route=_direct, paths=paths, routing="over the wire", lattice=lattice)


def backbone(
    ranks: int, bandwidth: Quantity, latency: Quantity, *, fatpipe: bool = False, half_duplex: bool = False
) -> Topology:
    """Return `ranks` ranks, each with its own cable to a backbone that all messages cross once.

    A message crosses three links: from its sender to switch ``in``, the backbone from ``in`` to ``out``, and from
    ``out`` to its receiver.

    Parameters
    ----------
    ranks : int
        Number of ranks.
    bandwidth : float, str or a sequence of these
        In bytes per second or as text: one for all links, or two, of the ranks' cables and of the backbone:
        ``"10GB/s,40GB/s"``.
    latency : float, str or a sequence of these
        In seconds or as text: one for all links, or two in the same order.
    fatpipe : bool
        Whether every message may use the full bandwidth of the backbone, whoever else does.
    half_duplex : bool
        Whether the two directions of a rank's cable share one capacity.

    Raises
    ------
    InputError
        If a value is out of range or has an unknown unit.

    Notes
    -----
    The flat cluster of SimGrid with its ``bb_bw``, ``bb_lat`` and ``bb_sharing_policy`` (H. Casanova et al.,
    "Versatile, scalable, and accurate simulation of distributed applications and platforms", JPDC 74(10), 2014).

    Examples
    --------
    >>> net = backbone(8, bandwidth="10GB/s,40GB/s", latency="1us,3us")
    >>> net
    Topology('backbone:8', ranks=8, switches=2, links=17)
    >>> round(net.route_latency(0, 7), 9), net.route_bandwidth(0, 7)
    (5e-06, 10000000000.0)
    """
    ranks, shared = parse_count(ranks, "ranks"), parse_flag(half_duplex, "half_duplex")
    ideal = parse_flag(fatpipe, "fatpipe")
    speeds, delays = level_values(bandwidth, latency, 2)
    links = when_needed(2 * ranks, ranks, partial(_on_backbone, ranks, speeds, delays, ideal, shared))
    name = spec_name(f"backbone:{ranks}", fatpipe=ideal, half_duplex=shared)
    cables = Dimension(SWITCH, ranks, 1, speeds[0], delays[0])
    core = Dimension(WIRE, ranks, 1, speeds[1], delays[1], ideal)
    lattice = Lattice((cables, core), shared, group=ranks)
    return Topology(
        name, ranks, links, route=_over_backbone, paths=_three_links, routing="over the backbone", lattice=lattice
    )


def _on_backbone(
    ranks: int, speeds: Sequence[float], delays: Sequence[float], fatpipe: bool, half_duplex: bool
) -> list[Link]:
    links = [Link("in", "out", speeds[1], delays[1], fatpipe=fatpipe)]
    for rank in range(ranks):
        medium = f"cable {rank}" if half_duplex else None
        links += [
            Link(rank, "in", speeds[0], delays[0], medium),
            Link("out", rank, speeds[0], delays[0], medium),
        ]
    return links


# What the files of this package have in common.


def parse_flag(value: Any, what: str) -> bool:
    """Return a bool, also from the text ``true`` or ``false``.

    Examples
    --------
    >>> parse_flag("true", "half_duplex"), parse_flag(False, "half_duplex")
    (True, False)
    """
    if isinstance(value, bool | np.bool_):
        return bool(value)
    found = {"true": True, "false": False}.get(value.strip().lower()) if isinstance(value, str) else None
    if found is None:
        raise InputError(f"{what} must be true or false, got {value!r}")
    return found


def parse_sizes(value: Any, what: str, one: str | None = None) -> list[int]:
    """Return whole numbers of at least 1, given as text such as ``"4x4"``, as a sequence, or one alone.

    In errors they are called `what` together, and each of them `one` (default: the same).

    Raises
    ------
    InputError
        If one is not a whole number or too small.

    Examples
    --------
    >>> parse_sizes("4x8", "down"), parse_sizes([4, 8], "down"), parse_sizes(4, "down")
    ([4, 8], [4, 8], [4])
    """
    given = listed(value)
    if not given:
        raise InputError(f"{what} must be one whole number or more, such as 4x4, got {value!r}")
    return [parse_count(item, one or what) for item in given]


def two_sizes(first: Any, second: Any, names: tuple[str, str], example: str) -> tuple[int, int]:
    """Return two whole numbers, given one by one or both in the first, as in ``"4x8"``.

    Raises
    ------
    InputError
        If one is missing, comes twice, or is not a whole number of at least 1.

    Examples
    --------
    >>> two_sizes("4x8", None, ("leaves", "ranks_per_leaf"), "leaf-spine:4x8")
    (4, 8)
    """
    given = listed(first) + ([] if second is None else [second])
    if len(given) != 2:
        raise InputError(
            f"{names[0]} and {names[1]} must be one number each, as in {example}, "
            f"got {first!r}{'' if second is None else f' and {second!r}'}"
        )
    return parse_count(given[0], names[0]), parse_count(given[1], names[1])


def listed(value: Any) -> list[Any]:
    """Return several values as a list: of text such as ``"4x8"`` its parts, of one value alone itself.

    Examples
    --------
    >>> listed("4x8"), listed((4, 8)), listed(4)
    (['4', '8'], [4, 8], [4])
    """
    if isinstance(value, str):
        return value.replace(",", "x").split("x")
    return list(value) if isinstance(value, Iterable) else [value]


def spec_name(name: str, **flags: bool) -> str:
    """Return the spec of a shape: its name and the flags that are set.

    Examples
    --------
    >>> spec_name("star:8", half_duplex=True)
    'star:8,half_duplex=true'
    """
    return ",".join([name, *(f"{flag}=true" for flag, is_set in flags.items() if is_set)])


def wire(a: Node, b: Node, bandwidth: float, latency: float, half_duplex: bool) -> tuple[Link, Link]:
    """Return the two directed links of a cable; with `half_duplex` they are a medium of their own.

    Examples
    --------
    >>> [link.medium for link in wire(0, 1, 1e9, 1e-6, True)]
    ['cable 0-1', 'cable 0-1']
    """
    return cable(a, b, bandwidth, latency, medium=f"cable {a}-{b}" if half_duplex else None)


def refuse_too_many_links(links: int) -> None:
    """Raise an `InputError` if so many links do not fit into memory.

    Examples
    --------
    >>> refuse_too_many_links(1000)
    """
    # A number with hundreds of digits is none that a person reads, nor one that fits into a float.
    words = f"{links}" if links < _COUNTLESS else f"more than {_COUNTLESS}"
    refuse_too_large(_BYTES_A_LINK * min(links, _COUNTLESS), f"a network of {words} links", "take fewer ranks")


def when_needed(number: int, ranks: int, make: Callable[[], Iterable[Link]]) -> Callable[[], Iterable[Link]]:
    """Return what makes the `number` links of a network of equal dimensions, and refuses if they do not fit.

    Examples
    --------
    >>> len(list(when_needed(2, 2, partial(wire, 0, 1, 1e9, 0.0, False))()))
    2
    """
    if ranks > _MOST_UNLINKED:
        refuse_too_many_links(number)
    return partial(_made, number, make)


def _made(number: int, make: Callable[[], Iterable[Link]]) -> Iterable[Link]:
    refuse_too_many_links(number)
    return make()


# Routes are functions of a module, not closures: a topology can then be sent to another process.


def _over_switch(src: int, dst: int) -> tuple[Node, ...]:
    return src, "switch", dst


def _direct(src: int, dst: int) -> tuple[Node, ...]:
    return src, dst


def _over_backbone(src: int, dst: int) -> tuple[Node, ...]:
    return src, "in", "out", dst


# The same for many pairs at once: the links by their numbers, in the order in which they are made above.


def _two_links(src: Indices, dst: Indices) -> tuple[Indices, Indices]:
    return np.full(len(src), 2), np.stack([2 * src, 2 * dst + 1], axis=1).ravel()


def _one_link(ranks: int, src: Indices, dst: Indices) -> tuple[Indices, Indices]:
    return np.ones(len(src), dtype=np.int64), src * (ranks - 1) + dst - (dst > src)


def _three_links(src: Indices, dst: Indices) -> tuple[Indices, Indices]:
    return np.full(len(src), 3), np.stack([1 + 2 * src, np.zeros_like(src), 2 + 2 * dst], axis=1).ravel()
