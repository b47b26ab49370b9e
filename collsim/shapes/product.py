"""Multi-dimensional networks: in every dimension the rows of ranks are rings, lines, cliques or on a switch."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from collsim.errors import InputError, unknown
from collsim.shapes.basic import parse_flag, spec_name
from collsim.shapes.grids import KINDS, Axis, Figure, connect
from collsim.topology import Topology, level_values
from collsim.units import parse_count


def product(
    dims: str | Sequence[str | tuple[str, int]], bandwidth: Figure, latency: Figure, *, half_duplex: bool = False
) -> Topology:
    """Return the product of small networks, such as nodes of four GPUs in a ring and switches between the nodes.

    The first dimension is the innermost one: its rows are the ranks 0, 1, ... that follow each other, and its digit
    of a rank's number runs fastest. (In `torus` it is the last.) Messages go dimension by dimension, the first one
    first; in a ring the shorter way round, where both are equally long upwards. The groups are the rows of the first
    dimension.

    Parameters
    ----------
    dims : str or sequence
        ``"ring4xswitch8"``, or ``[("ring", 4), ("switch", 8)]``. Each row of a dimension is a ``ring``, a ``line``,
        ``full`` (a cable between each two ranks), or has a ``switch`` of its own.
    bandwidth : float, str or a sequence of these
        Of each link and direction, in bytes per second or as text: one for all, or one a dimension in the order of
        `dims`, from the ranks outward: ``"300GB/s,25GB/s"``.
    latency : float, str or a sequence of these
        Of each link, in seconds or as text: one for all, or one a dimension in the same order.
    half_duplex : bool
        Whether the two directions of a cable share one capacity.

    Raises
    ------
    InputError
        If a kind is unknown, or a value is out of range or has an unknown unit.

    Notes
    -----
    The building blocks and the order of dimensions are those of W. Won et al., "ASTRA-sim2.0: Modeling hierarchical
    networks and disaggregated systems for large-model training at scale", ISPASS 2023.

    Examples
    --------
    >>> net = product("ring4xswitch8", bandwidth="300GB/s,25GB/s", latency="1us,2us")
    >>> net
    Topology('product:ring4xswitch8', ranks=32, switches=4, links=128)
    >>> [net.links[number].head for number in net.route(0, 6)]
    [1, 2, 'switch 2.2', 6]
    """
    given, shared = _parse_dims(dims), parse_flag(half_duplex, "half_duplex")
    speeds, delays = level_values(bandwidth, latency, len(given), "in the order of dims")
    sizes = [size for _, size in given]
    axes = [Axis(kind, size, math.prod(sizes[:i]), i + 1) for i, (kind, size) in enumerate(given)]
    inner = sizes[0]
    groups = [range(first, first + inner) for first in range(0, math.prod(sizes), inner)]
    name = spec_name(f"product:{'x'.join(f'{kind}{size}' for kind, size in given)}", half_duplex=shared)
    return connect(name, axes, speeds, delays, shared, "dimension order, the first one first", groups)


def _parse_dims(dims: Any) -> list[tuple[str, int]]:
    wrong = InputError(f"dims must be kinds and sizes, such as ring4xswitch8 or [['ring', 4]], got {dims!r}")
    given = dims.split("x") if isinstance(dims, str) else dims
    if not isinstance(given, Iterable) or not (items := list(given)):
        raise wrong
    return [_parse_dim(item, wrong) for item in items]


def _parse_dim(item: Any, wrong: InputError) -> tuple[str, int]:
    if isinstance(item, str):
        match = re.fullmatch(r"\s*([A-Za-z]+)\s*([^A-Za-z]\S*)\s*", item)
        pair: Sequence[Any] = match.groups() if match else ()
    else:
        pair = item if isinstance(item, Sequence) else ()
    if len(pair) != 2 or not isinstance(pair[0], str):
        raise wrong
    if pair[0] not in KINDS:
        raise unknown("kind of dimension", pair[0], KINDS)
    return pair[0], parse_count(pair[1], f"the size of {pair[0]!r} in dims")
