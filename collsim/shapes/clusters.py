"""GPU machines: nodes behind an NVSwitch with their network cards on rails, and the cube mesh of the DGX-1."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from collsim.errors import InputError
from collsim.shapes.basic import parse_flag, refuse_too_many_links, two_sizes
from collsim.topology import Link, Node, Topology, cable, level_values, link_values
from collsim.units import Quantity, parse_count


def rail(
    nodes: int | str | Sequence[int],
    gpus: int | str | None = None,
    nics: int | str | None = None,
    spines: int | str = 0,
    pxn: bool | str = True,
    *,
    bandwidth: Quantity | Sequence[Quantity],
    latency: Quantity | Sequence[Quantity],
) -> Topology:
    """Return a rail-optimised cluster: GPUs behind the NVSwitch of their node, and card i of every node on rail i.

    Ranks are the GPUs, node by node. GPU i of a node has a cable to the node's NVSwitch, and over its network card
    one to the switch of rail i. With fewer cards than GPUs, neighbouring GPUs share one: their links to the rail are
    one medium in each direction. With `spines` every rail switch has a cable to each spine switch.

    Routes: within a node over the NVSwitch. To another node, if both GPUs are on one rail, over its switch. Otherwise
    over the NVSwitch to the GPU of the own node that sits where the destination sits in its node, and from there
    over the rail (``pxn``, as NCCL does since 2.12). The message is then in that GPU's memory, so it takes a part of
    that GPU's two links, as in a ring; it costs that rank nothing else. With ``pxn=False`` a message
    changes rails over the spine numbered ``dst mod spines``. The GPUs of a node are a group.

    Parameters
    ----------
    nodes, gpus : int
        Number of nodes, and GPUs in each. ``"4x8"`` is 4 nodes with 8 GPUs each.
    nics : int, optional
        Network cards of a node, one a rail; they divide the GPUs evenly. Default: one a GPU. Of a GPU with several
        cards give the bandwidth of all of them.
    spines : int
        Switches that join the rails; 0 for rails that only meet in the nodes.
    pxn : bool
        Whether messages change rails inside the node; if not there must be spines.
    bandwidth : float, str or a sequence of these
        Of each link and direction, in bytes per second or as text; one for all, or one a level: between GPU and
        NVSwitch, between GPU and rail switch, and, if there are spines, between rail switch and spine.
    latency : float, str or a sequence of these
        Of each link, in seconds or as text; one for all or one a level.

    Raises
    ------
    InputError
        If a value is missing, out of range or has an unknown unit, or what is given does not fit together.

    References
    ----------
    NVIDIA Technical Blog, "Doubling all2all performance with NVIDIA Collective Communication Library 2.12", February
    2022 (the rail-optimised topology and PXN).

    Examples
    --------
    >>> net = rail(4, 8, bandwidth=["300GB/s", "25GB/s"], latency=["0.35us", "1us"])
    >>> net
    Topology('rail:4x8', ranks=32, switches=12, links=128)
    >>> [net.links[i].head for i in net.route(0, 9)]
    ['nvswitch 0', 1, 'rail 1', 9]
    """
    nodes, gpus = two_sizes(nodes, gpus, ("nodes", "gpus"), "rail:4x8")
    rails = gpus if nics is None else parse_count(nics, "nics")
    if gpus % rails:
        raise InputError(f"nics must divide the GPUs of a node evenly, got {rails} for {gpus} GPUs")
    count, within = parse_count(spines, "spines", minimum=0), parse_flag(pxn, "pxn")
    if not within and not count:
        raise InputError("without pxn messages change rails over spines, but spines is 0; write pxn=false,spines=2")
    speeds, delays = level_values(bandwidth, latency, 3 if count else 2)
    shape = _Rails(gpus, gpus // rails, count)
    refuse_too_many_links(4 * nodes * gpus + 2 * rails * count)
    links: list[Link] = []
    for rank in range(nodes * gpus):
        links += cable(rank, shape.nvswitch(rank), speeds[0], delays[0])
    for rank in range(nodes * gpus):
        switch = shape.rail(rank)
        card = f"card {rank // gpus}.{rank % gpus // shape.sharing}"
        out, into = (f"{card} out", f"{card} in") if shape.sharing > 1 else (None, None)
        links += Link(rank, switch, speeds[1], delays[1], out), Link(switch, rank, speeds[1], delays[1], into)
    for i in range(rails):
        for spine in range(count):
            links += cable(f"rail {i}", f"spine {spine}", speeds[2], delays[2])
    name = f"rail:{nodes}x{gpus}"
    name += (f",nics={rails}" if rails < gpus else "") + (f",spines={count}" if count else "")
    return Topology(
        name if within else f"{name},pxn=false",
        nodes * gpus,
        links,
        route=partial(_relayed if within else _over_spine, shape),
        routing="over the own NVSwitch to the destination's rail" if within else "change of rails over dst mod spines",
        groups=[range(start, start + gpus) for start in range(0, nodes * gpus, gpus)],
    )


# Number of NVLinks between each two GPUs of a DGX-1 with V100s: two quads 0-3 and 4-7, and a cable from each GPU
# to one of the other quad. Every GPU has six.
_CUBE_MESH = (
    (0, 2, 1, 1, 2, 0, 0, 0),
    (2, 0, 1, 2, 0, 1, 0, 0),
    (1, 1, 0, 2, 0, 0, 2, 0),
    (1, 2, 2, 0, 0, 0, 0, 1),
    (2, 0, 0, 0, 0, 2, 1, 1),
    (0, 1, 0, 0, 2, 0, 1, 2),
    (0, 0, 2, 0, 1, 1, 0, 2),
    (0, 0, 0, 1, 1, 2, 2, 0),
)


def hybrid_cube_mesh(bandwidth: Quantity, latency: Quantity) -> Topology:
    """Return the eight GPUs of a DGX-1 with V100s: two quads of four, joined by NVLinks without a switch.

    Where two GPUs have two NVLinks between them, these are one cable of twice the bandwidth: libraries spread a
    message over both. GPUs without an NVLink between them reach each other over one other GPU: the one on the
    widest path, of several the one with the lowest number. Each quad is a group.

    Parameters
    ----------
    bandwidth : float or str
        Of one NVLink and direction, in bytes per second or as text (25 GB/s in the machine).
    latency : float or str
        Of each cable, in seconds or as text.

    Raises
    ------
    InputError
        If a value is missing, out of range or has an unknown unit.

    References
    ----------
    NVIDIA, "NVIDIA DGX-1 with Tesla V100 system architecture", white paper (2017).

    Examples
    --------
    >>> net = hybrid_cube_mesh(bandwidth="25GB/s", latency="0.7us")
    >>> net
    Topology('hybrid-cube-mesh', ranks=8, switches=0, links=32)
    >>> net.route_bandwidth(0, 1), [net.links[i].head for i in net.route(0, 5)]
    (50000000000.0, [4, 5])
    """
    speed, delay = link_values(bandwidth, latency)
    ranks = len(_CUBE_MESH)
    links = [
        link
        for a in range(ranks)
        for b in range(a + 1, ranks)
        if _CUBE_MESH[a][b]
        for link in cable(a, b, _CUBE_MESH[a][b] * speed, delay)
    ]
    return Topology(
        "hybrid-cube-mesh",
        ranks,
        links,
        route=_widest,
        routing="fewest links, then widest, then over the lowest rank",
        groups=[range(4), range(4, 8)],
    )


class _Rails(NamedTuple):
    gpus: int
    sharing: int  # GPUs of a network card
    spines: int

    def nvswitch(self, rank: int) -> str:
        return f"nvswitch {rank // self.gpus}"

    def rail(self, rank: int) -> str:
        return f"rail {rank % self.gpus // self.sharing}"


# Routes are functions of this module, not closures: a topology can then be sent to another process.


def _relayed(shape: _Rails, src: int, dst: int) -> tuple[Node, ...]:
    node = src // shape.gpus
    if node == dst // shape.gpus:
        return src, shape.nvswitch(src), dst
    switch = shape.rail(dst)
    if shape.rail(src) == switch:
        return src, switch, dst
    return src, shape.nvswitch(src), node * shape.gpus + dst % shape.gpus, switch, dst


def _over_spine(shape: _Rails, src: int, dst: int) -> tuple[Node, ...]:
    if src // shape.gpus == dst // shape.gpus:
        return src, shape.nvswitch(src), dst
    here, there = shape.rail(src), shape.rail(dst)
    return (src, here, dst) if here == there else (src, here, f"spine {dst % shape.spines}", there, dst)


def _widest(src: int, dst: int) -> tuple[Node, ...]:
    if src == dst or _CUBE_MESH[src][dst]:
        return src, dst
    over = max(range(len(_CUBE_MESH)), key=lambda via: (min(_CUBE_MESH[src][via], _CUBE_MESH[via][dst]), -via))
    return src, over, dst
