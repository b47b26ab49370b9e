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
from collsim.shapes.basic import full, ring, star
from collsim.topology import Topology
from collsim.units import parse_count

__all__ = ["SHAPES", "Shape", "full", "ring", "star"]


def _ranks(ranks: int) -> dict[str, Any]:
    return {"ranks": ranks}


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

    def read(self, text: str) -> dict[str, Any]:
        """Return the parameters that stand in a spec after the colon: ``4x4`` or ``k=4,parallel=2``.

        Raises
        ------
        InputError
            If a parameter is not known or comes twice.
        """
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
        if not parameters:
            if self.fit is None:
                raise InputError(f"its size is missing; write it as in {self.example}")
            if ranks is None:
                raise InputError(f"it needs its number of ranks, for example {self.example}")
            parameters = self.fit(parse_count(ranks, "ranks"))
        return self.build(**parameters, bandwidth=bandwidth, latency=latency)


SHAPES: dict[str, Shape] = {
    "star": Shape(star, "K ranks on one switch", "star:8"),
    "full": Shape(full, "K ranks with a cable between each two of them", "full:8"),
    "ring": Shape(ring, "K ranks in a ring, each with a cable to the next", "ring:8"),
}
