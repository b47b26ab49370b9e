"""Trees of switches: plain, fat (k-ary or with any number of links up and down a level), leaf and spine.

All are one family, the parallel-ports generalised fat tree of Zahavi: `_Levels` has its arithmetic. The ranks are
level 0, the switches that they hang on level 1, and so on outward.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from collsim.collectives import Indices
from collsim.errors import InputError
from collsim.shapes.basic import listed, parse_sizes, refuse_too_many_links, two_sizes
from collsim.topology import Link, Node, Route, Topology, cable, level_values
from collsim.units import Quantity, parse_count


def tree(
    arity: int | str | Sequence[int],
    depth: int | str | None = None,
    *,
    bandwidth: Quantity | Sequence[Quantity],
    latency: Quantity | Sequence[Quantity],
) -> Topology:
    """Return the ranks as the leaves of a tree of switches, ``arity ** depth`` of them.

    A message goes up to the lowest switch that is above both ranks, and down again: there is no other way. Ranks on
    the same lowest switch are a group.

    Parameters
    ----------
    arity : int
        Ranks of a lowest switch, and switches below any other one. ``"2x3"`` is arity 2 and depth 3.
    depth : int
        Levels of switches.
    bandwidth : float, str or a sequence of these
        Of each link and direction, in bytes per second or as text; one for all, or one a level, from the links of the
        ranks to those of the root.
    latency : float, str or a sequence of these
        Of each link, in seconds or as text; one for all or one a level.

    Raises
    ------
    InputError
        If a value is missing, out of range or has an unknown unit.

    Examples
    --------
    >>> tree(2, 3, bandwidth="10GB/s", latency="1us")
    Topology('tree:2x3', ranks=8, switches=7, links=28)
    """
    arity, depth = two_sizes(arity, depth, ("arity", "depth"), "tree:2x3")
    # Far too large ones are refused before their figures have thousands of digits.
    refuse_too_many_links(max(2 * depth, int(2 ** min(depth * math.log2(arity), 63))))
    shape = _Levels.of([arity] * depth, [1] * depth, [1] * depth)
    return _build(
        f"tree:{arity}x{depth}",
        shape,
        *level_values(bandwidth, latency, depth),
        _numbered(depth),
        "up to the lowest common switch, and down",
    )


def fat_tree(
    k: int | str | None = None,
    down: int | str | Sequence[int] | None = None,
    up: int | str | Sequence[int] | None = None,
    parallel: int | str | Sequence[int] | None = None,
    *,
    bandwidth: Quantity | Sequence[Quantity],
    latency: Quantity | Sequence[Quantity],
) -> Topology:
    """Return a fat tree: either of switches with `k` ports, or with `down`, `up` and `parallel` links at each level.

    With `k` it is three levels of switches with k ports each: k pods of k/2 edge and k/2 aggregation switches,
    (k/2)^2 core switches, k^3/4 ranks (Al-Fares, Loukissas, Vahdat). With `down` and `up` it is the PGFT of Zahavi,
    which SimGrid writes ``"2;4,4;1,2;1,2"`` and we ``down=4x4,up=1x2,parallel=1x2``.

    Routes are d-mod-k (Zahavi): counted in w_i = ``up[i]`` parents and p_i = ``parallel[i]`` links to each, a
    message for rank d leaves its node at level l by the up port ``d // (w_1 ... w_l) mod (w_{l+1} p_{l+1})``; port q
    is the link numbered ``q // w_{l+1}`` to the parent numbered ``q mod w_{l+1}``. It turns at the lowest switch that
    is above both ranks, and comes down over links of the same numbers. Ranks on the same lowest switch are a group.

    Parameters
    ----------
    k : int
        Ports of every switch, an even number.
    down : sequence of int, or str such as ``"4x4"``
        Children of a switch of level 1, 2, ...; the product is the number of ranks.
    up : sequence of int or str
        Parents of a rank, of a switch of level 1, ...
    parallel : sequence of int or str, optional
        Cables between a rank and each of its parents, a switch of level 1 and each of its parents, ... Default: one.
    bandwidth : float, str or a sequence of these
        Of each link and direction, in bytes per second or as text; one for all, or one a level, from the links of the
        ranks outward.
    latency : float, str or a sequence of these
        Of each link, in seconds or as text; one for all or one a level.

    Raises
    ------
    InputError
        If a value is missing, out of range or has an unknown unit, or what is given does not fit together.

    References
    ----------
    C. E. Leiserson, "Fat-trees: universal networks for hardware-efficient supercomputing", IEEE Trans. Computers 1985.

    M. Al-Fares, A. Loukissas, A. Vahdat, "A scalable, commodity data center network architecture", SIGCOMM 2008,
    section 2.2.

    E. Zahavi, "D-Mod-K routing providing non-blocking traffic for shift permutations on real life fat trees",
    CCIT report, Technion 2010.

    Examples
    --------
    >>> fat_tree(4, bandwidth="10GB/s", latency="1us")
    Topology('fat-tree:4', ranks=16, switches=20, links=96)
    >>> fat_tree(down=[4, 4], up=[1, 2], parallel=[1, 2], bandwidth="10GB/s", latency="1us")
    Topology('fat-tree:down=4x4,up=1x2,parallel=1x2', ranks=16, switches=6, links=64)
    """
    if k is not None:
        if not (down is None and up is None and parallel is None):
            raise InputError("give either k, as in fat-tree:4, or down and up, as in fat-tree:down=4x4,up=1x2")
        ports = parse_count(k, "k", minimum=2)
        if ports % 2:
            raise InputError(f"k must be even: half the ports of a switch go down and half up, got {k!r}")
        half = ports // 2
        shape = _Levels.of([half, half, ports], [1, half, half], [1, 1, 1])
        name, names = f"fat-tree:{ports}", ["edge {}", "aggregation {}", "core {}"]
    else:
        shape = _given_levels(down, up, parallel)
        parts = [("down", shape.down), ("up", shape.up)]
        if set(shape.parallel) != {1}:
            parts.append(("parallel", shape.parallel))
        name = "fat-tree:" + ",".join(f"{key}={'x'.join(map(str, sizes))}" for key, sizes in parts)
        names = _numbered(len(shape.down))
    return _build(name, shape, *level_values(bandwidth, latency, len(shape.down)), names, "d-mod-k")


def leaf_spine(
    leaves: int | str | Sequence[int],
    ranks_per_leaf: int | str | None = None,
    spines: int | str | None = None,
    oversubscription: float | str | None = None,
    *,
    bandwidth: Quantity | Sequence[Quantity],
    latency: Quantity | Sequence[Quantity],
) -> Topology:
    """Return leaf switches with ranks, each leaf with a cable to every spine switch.

    One equation holds at every leaf::

        ranks_per_leaf x bandwidth of a rank = oversubscription x spines x bandwidth of an uplink

    Of the number of spines, the oversubscription and the bandwidth of an uplink (the second value of `bandwidth`),
    two give the third; all three must agree. Where fewer are given, the uplinks are as fast as the links of the
    ranks, and with neither spines nor oversubscription there is none (1:1). The name of the topology says what came
    out.

    A message to another leaf goes over the spine numbered ``dst mod spines``; one within a leaf stays there. The
    ranks of a leaf are a group.

    Parameters
    ----------
    leaves, ranks_per_leaf : int
        Number of leaf switches, and ranks on each. ``"4x8"`` is 4 leaves with 8 ranks each.
    spines : int, optional
        Number of spine switches.
    oversubscription : float or str, optional
        What the ranks of a leaf can send together over what its uplinks carry: ``4`` or ``"4:1"``.
    bandwidth : float, str or a sequence of these
        Of each link and direction, in bytes per second or as text: of a rank's link, or of a rank's link and of an
        uplink.
    latency : float, str or a sequence of these
        Of each link, in seconds or as text: one for all, or of a rank's link and of an uplink.

    Raises
    ------
    InputError
        If a value is missing, out of range or has an unknown unit, or the figures contradict each other.

    References
    ----------
    M. Alizadeh, T. Edsall, "On the data path performance of leaf-spine datacenter fabrics", Hot Interconnects 2013.

    Examples
    --------
    >>> net = leaf_spine(4, 8, spines=2, oversubscription=4, bandwidth="10GB/s", latency="1us")
    >>> net
    Topology('leaf-spine:4x8,spines=2,oversubscription=4:1', ranks=32, switches=6, links=80)
    >>> leaf_spine("4x8", oversubscription=2, bandwidth="10GB/s", latency="1us").name
    'leaf-spine:4x8,spines=4,oversubscription=2:1'
    """
    leaves, hosts = two_sizes(leaves, ranks_per_leaf, ("leaves", "ranks_per_leaf"), "leaf-spine:4x8")
    refuse_too_many_links(2 * leaves * hosts)  # before it is multiplied by a bandwidth
    (speed, uplink), delays = level_values(bandwidth, latency, 2)
    both = len(bandwidth.split(",") if isinstance(bandwidth, str) else listed(bandwidth)) == 2  # or the uplinks follow
    count = None if spines is None else parse_count(spines, "spines")
    ratio = None if oversubscription is None else _ratio(oversubscription)
    if count is not None and ratio is not None:
        follows = hosts * speed / (ratio * count)
        if both and not math.isclose(uplink, follows, rel_tol=1e-9):
            raise InputError(
                f"{hosts} ranks a leaf at {speed:g} B/s, {count} spines and an oversubscription of {ratio:g} need "
                f"uplinks of {follows:g} B/s, got {uplink:g}; leave one of the three out"
            )
        uplink = uplink if both else follows
    elif count is None:
        exact = hosts * speed / ((ratio or 1.0) * uplink)
        count = round(exact)
        if count < 1 or not math.isclose(count, exact, rel_tol=1e-9):
            raise InputError(
                f"{hosts} ranks a leaf at {speed:g} B/s, uplinks of {uplink:g} B/s and an oversubscription of "
                f"{ratio or 1.0:g} need {exact:g} spines; give the number of spines, and the uplinks follow"
            )
    ratio = hosts * speed / (count * uplink) if ratio is None else ratio
    return _build(
        f"leaf-spine:{leaves}x{hosts},spines={count},oversubscription={_colon(ratio)}",
        _Levels.of([hosts, leaves], [1, count], [1, 1]),
        [speed, uplink],
        delays,
        ["leaf {}", "spine {}"],
        "over the spine numbered dst mod spines",
    )


def fit_tree(ranks: int) -> dict[str, int]:
    """Return the parameters of the binary tree with so many ranks."""
    depth = ranks.bit_length() - 1
    if ranks != 2**depth:
        raise InputError(f"a binary tree has 2, 4, 8, 16, ... ranks, not {ranks}; give another as in tree:3x2")
    return {"arity": 2, "depth": depth} if depth else {"arity": 1, "depth": 1}


def fit_fat_tree(ranks: int) -> dict[str, int]:
    """Return the k of the fat tree with so many ranks."""
    k = 2 * round((ranks / 2) ** (1 / 3))
    if k**3 != 4 * ranks:
        raise InputError(
            f"a fat tree of switches with k ports has k^3/4 ranks, 2, 16, 54, 128, ..., not {ranks}; "
            "give another as in fat-tree:down=4x4,up=1x2"
        )
    return {"k": k}


def _numbered(levels: int) -> list[str]:
    return [f"switch {level}.{{}}" for level in range(1, levels + 1)]


def _given_levels(down: Any, up: Any, parallel: Any) -> _Levels:
    if down is None or up is None:
        missing = "its size" if down is None and up is None else "down" if down is None else "up"
        raise InputError(f"{missing} is missing; write it as in fat-tree:4 or fat-tree:down=4x4,up=1x2,parallel=1x2")
    children, parents = parse_sizes(down, "down"), parse_sizes(up, "up")
    cables = [1] * len(children) if parallel is None else parse_sizes(parallel, "parallel")
    for what, sizes, given in (("up", parents, up), ("parallel", cables, parallel)):
        if len(sizes) != len(children):
            raise InputError(
                f"{what} must have one number a level, as many as down, which has {len(children)}, got {given!r}"
            )
    return _Levels.of(children, parents, cables)


def _ratio(value: float | str) -> float:
    first, colon, second = str(value).partition(":")
    try:
        ratio = float(first) / float(second if colon else 1)
    except (ValueError, ZeroDivisionError):
        ratio = math.nan
    if isinstance(value, bool) or not 0 < ratio < math.inf:
        raise InputError(f"oversubscription must be a positive number such as 4 or 4:1, got {value!r}")
    return ratio


def _colon(ratio: float) -> str:
    near = Fraction(ratio).limit_denominator(1000)
    exact = math.isclose(near, ratio, rel_tol=1e-9)
    return f"{near.numerator}:{near.denominator}" if exact else f"{ratio:.6g}:1"


class _Levels(NamedTuple):
    """The arithmetic of a tree; index i is level i, and there are len(down) levels above the ranks.

    A node of level i is (s, b): s is the subtree that it is in, of the ``ranks / below[i]`` subtrees of that height,
    and b which of the ``copies[i]`` roots of that subtree it is. Its number is ``s * copies[i] + b``. Its parent
    j of w is ``(s // down, b + j * copies[i])``, so a digit of b in base w says which parent was taken at each level,
    and d-mod-k takes messages for rank d to the roots ``b = d mod copies[i]``.
    """

    down: tuple[int, ...]
    up: tuple[int, ...]
    parallel: tuple[int, ...]
    below: tuple[int, ...]  # ranks below a node of each level
    copies: tuple[int, ...]  # nodes above the same ranks, at each level
    first: tuple[int, ...]  # number of the first link above each level

    @classmethod
    def of(cls, down: Sequence[int], up: Sequence[int], parallel: Sequence[int]) -> _Levels:
        below = tuple(itertools.accumulate(down, lambda a, b: a * b, initial=1))
        copies = tuple(itertools.accumulate(up, lambda a, b: a * b, initial=1))
        links = [
            2 * (below[-1] // below[i]) * copies[i] * w * p for i, (w, p) in enumerate(zip(up, parallel, strict=True))
        ]
        return cls(
            tuple(down), tuple(up), tuple(parallel), below, copies, tuple(itertools.accumulate(links, initial=0))
        )

    @property
    def ranks(self) -> int:
        return self.below[-1]

    def nodes(self, level: int) -> int:
        return self.ranks // self.below[level] * self.copies[level]

    def link_up(self, level: int, subtree: Any, dst: Any) -> Any:
        """Return the link from the node of a subtree that messages for rank `dst` pass to the level above it.

        The link down between the same two nodes is the next one. Numbers, or arrays of them.
        """
        w, p = self.up[level], self.parallel[level]
        node = subtree * self.copies[level] + dst % self.copies[level]
        port = dst // self.copies[level] % (w * p)
        return self.first[level] + 2 * ((node * w + port % w) * p + port // w)


def _build(
    name: str, shape: _Levels, speeds: list[float], delays: list[float], names: Sequence[str], routing: str
) -> Topology:
    """Return the topology of a tree; its links stand in the order that `_Levels.link_up` counts them in."""

    def node(level: int, number: int) -> Node:
        return names[level - 1].format(number) if level else number

    refuse_too_many_links(shape.first[-1])
    links: list[Link] = []
    for level, (w, p) in enumerate(zip(shape.up, shape.parallel, strict=True)):
        for number in range(shape.nodes(level)):
            subtree, root = divmod(number, shape.copies[level])
            above = subtree // shape.down[level] * shape.copies[level + 1]
            for j in range(w):
                parent = node(level + 1, above + root + j * shape.copies[level])
                links += cable(node(level, number), parent, speeds[level], delays[level]) * p
    size = shape.down[0]
    groups = [range(start, start + size) for start in range(0, shape.ranks, size)]
    return Topology(
        name,
        shape.ranks,
        links,
        routes=partial(_d_mod_k, shape),
        paths=partial(_d_mod_k_of_many, shape),
        routing=routing,
        groups=groups,
    )


# Routes are functions of this module, not closures: a topology can then be sent to another process.


def _d_mod_k(shape: _Levels, _: Topology, src: int, dst: int) -> tuple[Route, ...]:
    up: list[int] = []
    down: list[int] = []
    level, start, end = 0, src, dst
    while start != end:
        up.append(shape.link_up(level, start, dst))
        down.append(shape.link_up(level, end, dst) + 1)
        start, end = start // shape.down[level], end // shape.down[level]
        level += 1
    return (Route(1.0, (*up, *reversed(down))),)


def _d_mod_k_of_many(shape: _Levels, src: Indices, dst: Indices) -> tuple[Indices, Indices]:
    height = np.zeros(len(src), dtype=np.int64)  # to the lowest switch above both
    for below in shape.below[:-1]:
        height += src // below != dst // below
    first = 2 * (np.cumsum(height) - height)
    link = np.zeros(2 * int(height.sum()), dtype=np.int64)
    for level, below in enumerate(shape.below[:-1]):
        there = height > level
        begin, high, to = first[there], height[there], dst[there]
        link[begin + level] = shape.link_up(level, src[there] // below, to)
        link[begin + 2 * high - 1 - level] = shape.link_up(level, to // below, to) + 1
    return 2 * height, link
