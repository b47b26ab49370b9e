"""Which rank sits where: `place`, and the table of ways to do it.

A network has places, numbered as its ranks are when nothing is said: rank i sits at place i. Another placement gives
the places to other ranks; the network itself stays what it is. Algorithms talk to rank i + 1 or to rank i xor 4, so
their time depends on where these sit.
"""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collsim.collectives import Indices
from collsim.errors import InputError, unknown
from collsim.topology import Node, Route, Topology, noted
from collsim.units import parse_count

_LONGEST_LIST = 16  # places that are written out in the name of a topology


@dataclass(frozen=True)
class Placement:
    """One line of the table.

    Attributes
    ----------
    order : callable
        ``order(topology, argument)`` returns the places in the order of ranks; `argument` is the text after the
        colon, or None.
    summary : str
        What it does, in a line.
    example : str
        How it is written, such as ``random:7``.
    """

    order: Callable[[Topology, str | None], list[int]]
    summary: str
    example: str


def place(topology: Topology, how: str | Sequence[int], ranks: int | None = None) -> Topology:
    """Return the same network with its ranks sitting elsewhere.

    Parameters
    ----------
    topology : Topology
        The network; its places are its ranks.
    how : str or sequence of int
        A name from `PLACEMENTS`, or the places of rank 0, rank 1, ... as numbers or as text (``"0,4,1,5"``, also with
        ranges: ``"0-3,8-11"``). Places that a list leaves out come after it, in their order.
    ranks : int, optional
        How many ranks will be used, if not all: a list must have a place for each of them.

    Returns
    -------
    Topology
        Links have the numbers that they had; routes and groups follow the ranks. Its `placement` says how.

    Raises
    ------
    InputError
        If the name is not known, a seed is missing, or a place does not exist or is given twice.

    Examples
    --------
    >>> import collsim as cs
    >>> net = cs.leaf_spine(2, 2, bandwidth="10GB/s", latency="1us")
    >>> net.groups, place(net, "round-robin").groups
    (((0, 1), (2, 3)), ((0, 2), (1, 3)))
    >>> place(net, [3, 0]).groups
    ((1, 2), (0, 3))
    """
    if not isinstance(topology, Topology):
        raise InputError(f"what ranks are placed on must be a Topology, got {type(topology).__name__}")
    order, words = _order(topology, how)
    if ranks is not None and len(order) < parse_count(ranks, "ranks"):
        raise InputError(f"placement {words!r} has {len(order)} places for the {ranks} ranks asked for")
    taken = set(order)
    order += [spot for spot in range(topology.ranks) if spot not in taken]
    if order == list(range(topology.ranks)):
        return topology
    rank_at: dict[Node, Node] = {spot: rank for rank, spot in enumerate(order)}
    links = [
        dataclasses.replace(link, tail=rank_at.get(link.tail, link.tail), head=rank_at.get(link.head, link.head))
        for link in topology.links
    ]
    short = words if len(words.split(",")) <= _LONGEST_LIST else f"{','.join(words.split(',')[:_LONGEST_LIST])},..."
    return Topology(
        noted(topology.name, f"placement {short}"),
        topology.ranks,
        links,
        routes=partial(_placed, topology, tuple(order)),
        routing=topology.routing,
        groups=[sorted(rank_at[spot] for spot in group) for group in topology.groups],  # type: ignore[misc]
        paths=partial(_placed_paths, topology, np.array(order)) if topology.finds_many else None,
        placement=words if topology.placement == "linear" else f"{topology.placement}, then {words}",
    )


def _placed(base: Topology, order: tuple[int, ...], _: Topology, src: int, dst: int) -> tuple[Route, ...]:
    return base.routes(order[src], order[dst])


def _placed_paths(base: Topology, order: Indices, src: Indices, dst: Indices) -> tuple[Indices, NDArray[Any]]:
    paths = base.paths(order[src], order[dst])
    return np.diff(paths.first), paths.link


def _order(topology: Topology, how: Any) -> tuple[list[int], str]:
    """Return the places in the order of ranks, and what the placement is called."""
    if not isinstance(how, str):
        if not hasattr(how, "__iter__"):
            raise InputError(f"a placement must be a name such as 'round-robin' or a list of places, got {how!r}")
        return _listed(topology, how), ",".join(map(str, how))
    text = how.strip()
    if text[:1].isdigit():
        return _listed(topology, _numbers(topology, text)), text
    name, colon, argument = text.partition(":")
    key = name.strip().lower().replace("_", "-")
    if key not in PLACEMENTS:
        raise unknown("placement", name, [*PLACEMENTS, "the places of the ranks, such as 0,4,1,5"])
    return PLACEMENTS[key].order(topology, argument if colon else None), key + colon + argument


def _numbers(topology: Topology, text: str) -> list[str | int]:
    found: list[str | int] = []
    for part in text.split(","):
        first, dash, last = (end.strip() for end in part.partition("-"))
        if dash and first.isdecimal() and last.isdecimal():
            if int(last) < int(first):
                raise InputError(f"a range of places must go upwards, such as 0-3, got {part!r}")
            # A last place that does not exist is refused later; it need not come with all those before it.
            found += range(int(first), min(int(last), max(int(first), topology.ranks)) + 1)
        else:
            found.append(part.strip())
    return found


def _listed(topology: Topology, places: Any) -> list[int]:
    found: list[int] = []
    for spot in places:
        number = parse_count(spot, "a place", minimum=0)
        if number >= topology.ranks:
            raise InputError(f"place {number} does not exist: topology {topology.name!r} has 0-{topology.ranks - 1}")
        found.append(number)
    if len(set(found)) < len(found):
        twice = next(spot for i, spot in enumerate(found) if spot in found[:i])
        raise InputError(f"place {twice} is given to two ranks; every rank needs its own")
    return found


def linear(topology: Topology, argument: str | None = None) -> list[int]:
    """Return the places as they are numbered.

    Examples
    --------
    >>> import collsim as cs
    >>> linear(cs.ring(4, bandwidth="10GB/s", latency="1us"))
    [0, 1, 2, 3]
    """
    _refuse(argument, "linear")
    return list(range(topology.ranks))


def round_robin(topology: Topology, argument: str | None = None) -> list[int]:
    """Return one place of every group in turn: rank 0 in group 0, rank 1 in group 1, and so on.

    Examples
    --------
    >>> import collsim as cs
    >>> round_robin(cs.leaf_spine(2, 3, bandwidth="10GB/s", latency="1us"))
    [0, 3, 1, 4, 2, 5]
    """
    _refuse(argument, "round-robin")
    turns = itertools.zip_longest(*topology.groups)
    return [spot for turn in turns for spot in turn if spot is not None]


def shuffled(topology: Topology, argument: str | None = None) -> list[int]:
    """Return the places in an order drawn from a seed.

    Raises
    ------
    InputError
        If the seed is missing or not a whole number of at least 0.

    Examples
    --------
    >>> import collsim as cs
    >>> sorted(shuffled(cs.ring(4, bandwidth="10GB/s", latency="1us"), "7"))
    [0, 1, 2, 3]
    """
    if not argument or not argument.strip():
        raise InputError("a random placement needs its seed, such as random:7")
    seed = parse_count(argument.strip().removeprefix("seed="), "the seed of a random placement", minimum=0)
    # Of Python's generator only random() is promised to give the same numbers in every version, so we sort by these.
    draw = random.Random(seed)
    keys = [draw.random() for _ in range(topology.ranks)]
    return sorted(range(topology.ranks), key=keys.__getitem__)


def _refuse(argument: str | None, name: str) -> None:
    if argument is not None:
        raise InputError(f"placement {name!r} takes nothing after it, got {argument!r}")


PLACEMENTS: dict[str, Placement] = {
    "linear": Placement(linear, "rank i at place i", "linear"),
    "round-robin": Placement(round_robin, "one rank in every group (node, leaf switch) in turn", "round-robin"),
    "random": Placement(shuffled, "in an order drawn from a seed", "random:7"),
}
