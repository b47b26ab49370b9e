"""Regular networks as functions that return a `Topology`, and the table of them.

A new one is a function in a file here and a line in `SHAPES`. It takes its parameters as numbers or as text, as
they stand in a spec such as ``torus:4x4``, and last ``bandwidth`` and ``latency``: one value, or one a level
from the ranks outward (see `collsim.topology.level_values`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from collsim.errors import InputError, unknown
from collsim.formulas import grid
from collsim.shapes.basic import backbone, bus, full, star
from collsim.shapes.clusters import hybrid_cube_mesh, rail
from collsim.shapes.dragonfly import dragonfly, fit_dragonfly
from collsim.shapes.grids import hypercube, line, mesh, ring, torus
from collsim.shapes.product import product
from collsim.shapes.trees import fat_tree, fit_fat_tree, fit_tree, leaf_spine, tree
from collsim.topology import Topology
from collsim.units import parse_count

__all__ = [
    "SHAPES",
    "Shape",
    "backbone",
    "bus",
    "dragonfly",
    "fat_tree",
    "full",
    "hybrid_cube_mesh",
    "hypercube",
    "leaf_spine",
    "line",
    "mesh",
    "product",
    "rail",
    "ring",
    "star",
    "torus",
    "tree",
]


def _ranks(ranks: int) -> dict[str, Any]:
    return {"ranks": ranks}


def _sides(ranks: int) -> dict[str, Any]:
    return {"dims": grid(ranks)}


@dataclass(frozen=True)
class Shape:
    """One line of the table.

    Attributes
    ----------
    build : callable
        ``build(**parameters, bandwidth=..., latency=...)`` returns the topology.
    summary : str
        What it is, in a line.
    example : str
        A spec, such as ``torus:4x4``.
    main : str
        The parameter that a word without a key means: ``4x4`` in ``torus:4x4`` are its ``dims``.
    fit : callable, optional
        Returns the parameters for so many ranks, for when none are given; None where there is no obvious choice.
    """

    build: Callable[..., Topology]
    summary: str
    example: str
    main: str = "ranks"
    fit: Callable[[int], Mapping[str, Any]] | None = _ranks

    @property
    def parameters(self) -> list[str]:
        """The names of the parameters, without bandwidth and latency."""
        return [name for name in inspect.signature(self.build).parameters if name not in ("bandwidth", "latency")]

    @property
    def _required(self) -> set[str]:
        given = inspect.signature(self.build).parameters
        return {name for name in self.parameters if given[name].default is inspect.Parameter.empty}

    def read(self, text: str) -> dict[str, Any]:
        """Return the parameters that stand in a spec after the colon: ``4x4`` or ``k=4,parallel=2``.

        Raises
        ------
        InputError
            If a parameter is not known or comes twice.
        """
        if not self.parameters:
            raise InputError(f"it takes no parameters; write it as {self.example}")
        found: dict[str, Any] = {}
        for item in text.split(","):
            key, equals, value = item.partition("=")
            name, given = (key.strip().replace("-", "_"), value) if equals else (self.main, item)
            if name not in self.parameters:
                raise unknown("parameter", name, self.parameters)
            if name in found or not given.strip():
                what = "comes twice" if name in found else "has no value"
                raise InputError(f"parameter {name!r} {what}; write it as in {self.example}")
            found[name] = given.strip()
        return found

    def make(self, parameters: Mapping[str, Any], ranks: int | None, bandwidth: Any, latency: Any) -> Topology:
        """Return the topology for these parameters, or where there are none for so many ranks.

        Raises
        ------
        InputError
            If a parameter is unknown, missing or out of range.
        """
        for name in parameters:
            if name not in self.parameters:
                raise unknown("parameter", name, self.parameters)
        if self.parameters and (not parameters or not parameters.keys() >= self._required):
            if self.fit is None:
                raise InputError(f"its size is missing; write it as in {self.example}")
            if ranks is None:
                raise InputError(f"it needs its number of ranks, for example {self.example}")
            fitted = self.fit(parse_count(ranks, "ranks"))
            # What is given stays, if the rest alone follows from the number of ranks: star:half_duplex=true.
            if parameters.keys() & fitted.keys() or not parameters.keys() | fitted.keys() >= self._required:
                missing = ", ".join(sorted(self._required - parameters.keys()))
                raise InputError(f"its {missing} is missing; write it as in {self.example}")
            parameters = {**fitted, **parameters}
        return self.build(**parameters, bandwidth=bandwidth, latency=latency)


SHAPES: dict[str, Shape] = {
    "star": Shape(star, "K ranks on one switch", "star:8"),
    "full": Shape(full, "K ranks with a cable between each two of them", "full:8"),
    "line": Shape(line, "K ranks in a line, each with a cable to the next", "line:8"),
    "ring": Shape(ring, "K ranks in a ring, each with a cable to the next", "ring:8"),
    "mesh": Shape(mesh, "a grid of any dimension, the last one running fastest", "mesh:4x4", "dims", _sides),
    "torus": Shape(torus, "a mesh whose rows are closed to rings", "torus:4x4x4", "dims", _sides),
    "hypercube": Shape(hypercube, "a cable between ranks that differ in one bit, K a power of two", "hypercube:16"),
    "product": Shape(
        product,
        "rows of ring, line, full or switch in every dimension, innermost first",
        "product:ring4xswitch8",
        "dims",
        None,
    ),
    "bus": Shape(bus, "K ranks on one wire that all messages share", "bus:8"),
    "backbone": Shape(backbone, "K ranks on cables of their own to a link that all messages cross", "backbone:8"),
    "tree": Shape(tree, "arity^depth ranks, the leaves of a tree of switches", "tree:2x3", "arity", fit_tree),
    "fat-tree": Shape(
        fat_tree,
        "k^3/4 ranks on switches with k ports, or down=4x4,up=1x2,parallel=1x2",
        "fat-tree:4",
        "k",
        fit_fat_tree,
    ),
    "leaf-spine": Shape(
        leaf_spine,
        "leaves x ranks a leaf, under spines=2 or oversubscription=4",
        "leaf-spine:4x8",
        "leaves",
        None,
    ),
    "dragonfly": Shape(
        dragonfly,
        "p ranks a router, a routers a group, h global links a router; by default a = 2h, p = h",
        "dragonfly:p=2,a=4,h=2",
        "h",
        fit_dragonfly,
    ),
    "rail": Shape(rail, "nodes x GPUs behind an NVSwitch, card i of every node on rail i", "rail:4x8", "nodes", None),
    "hybrid-cube-mesh": Shape(
        hybrid_cube_mesh, "the 8 GPUs of a DGX-1 with V100s, without a switch", "hybrid-cube-mesh", fit=None
    ),
}
