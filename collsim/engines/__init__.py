"""The engines: each runs a graph of moves under a model and returns a `Timeline`.

A new one is a file with ``run(graph, model, progress)`` and a line in `ENGINES`.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from collsim.engines.timeline import Timeline
from collsim.errors import InputError, unknown
from collsim.graph import MoveGraph
from collsim.models import Model
from collsim.schedule import Floats

__all__ = ["ENGINES", "Engine", "Timeline", "choose_engine"]


@dataclass(frozen=True)
class Engine:
    """One line of the table; the module is imported when it is first used.

    Attributes
    ----------
    name, module, summary : str
        As in ``collsim list engines``.
    startup : float
        Seconds before it does anything, roughly: what "auto" reckons with.
    rate : float
        Moves a second, roughly.
    needs : str
        A package that it cannot do without and that collsim does not bring.
    """

    name: str
    module: str
    summary: str
    startup: float
    rate: float
    needs: str = ""

    @property
    def _module(self) -> Any:
        return importlib.import_module(self.module)

    def load(self) -> None:
        """Import the engine's module."""
        _ = self._module

    def missing(self) -> str | None:
        """Return what must be installed before this engine can run, or None."""
        try:
            self.load()
        except ImportError as error:
            if not self.needs:
                raise
            return f"it needs {self.needs} ({error}): pip install {self.needs}"
        return None

    def refusal(self, graph: MoveGraph, model: Model) -> str | None:
        """Return why this engine cannot run a graph under a model, or None if it can."""
        missing = self.missing()
        if missing:
            return missing
        check = getattr(self._module, "can_run", None)
        return check(graph, model) if check else None

    def seconds_before(self, graph: MoveGraph, model: Model) -> float:
        """Return how long it took already to find out whether it can run a graph, where that is most of the work."""
        asked = getattr(self._module, "seconds_before", None)
        return asked(graph, model) if asked else 0.0

    def seconds(self, pieces: float) -> float:
        """Return roughly how long it takes for so many moves."""
        return self.startup + pieces / self.rate

    def run(self, graph: MoveGraph, model: Model, progress: Any = None) -> Timeline:
        """Simulate."""
        return self._module.run(graph, model, progress)  # type: ignore[no-any-return]

    def rank_ends(self, graph: MoveGraph, model: Model, progress: Any = None) -> Floats:
        """Simulate, and return only when each rank is done with its last move, shape (ranks,); 0 if it has none."""
        if hasattr(self._module, "rank_ends"):
            return self._module.rank_ends(graph, model, progress)  # type: ignore[no-any-return]
        return self.run(graph, model, progress).rank_ends(graph.ranks, graph.src, graph.dst)


# Start-up and rate (measured on a two-core machine of 2.8 GHz, CPython 3.11) decide what "auto" takes: to import numba
# and fetch compiled code takes as long as 5000 moves in SimPy, or 700 000 in `stepwise`. To find out which moves are
# alike takes 2 to 5 us a move, also if it is in vain, which is why `symmetric` is said to begin late: so it is tried
# from 1000 moves on, up to 84 000 if there is numba. They depend on no clock, so that the same run always takes the
# same engine.
ENGINES: dict[str, Engine] = {
    engine.name: engine
    for engine in (
        Engine(
            "compiled",
            "collsim.engines.compiled",
            "every model and ordering, millions of moves a second, by numba",
            startup=0.5,
            rate=4e6,
            needs="numba",
        ),
        Engine(
            "stepwise",
            "collsim.engines.stepwise",
            "alpha-beta ordered by step, whole steps in numpy",
            startup=0.0,
            rate=1e6,
        ),
        Engine(
            "symmetric",
            "collsim.engines.symmetric",
            "one rank for all, one move for all that are alike: up to millions of ranks",
            startup=0.1,
            rate=2e5,
        ),
        Engine(
            "events",
            "collsim.engines.events",
            "discrete events on SimPy: every model and ordering, the reference",
            startup=0.0,
            rate=1e4,
        ),
    )
}


def choose_engine(name: str, graph: MoveGraph, model: Model) -> Engine:
    """Return the engine of that name, or for "auto" the one that will have the answer first.

    Raises
    ------
    InputError
        If there is none of that name, or the one that was asked for cannot do the job.
    """
    if name == "auto":
        pieces = _pieces(graph, model)
        for engine in sorted(ENGINES.values(), key=lambda engine: engine.seconds(pieces)):
            refusal = engine.refusal(graph, model)
            if refusal is None:
                return engine
            if engine.needs and sys.stderr.isatty():
                print(f"collsim: without engine {engine.name!r} this takes longer; {refusal}", file=sys.stderr)
    if name not in ENGINES:
        raise unknown("engine", name, ["auto", *ENGINES])
    refusal = ENGINES[name].refusal(graph, model)
    if refusal:
        raise InputError(f"engine {name!r} cannot run this: {refusal}; use engine 'auto'")
    return ENGINES[name]


def _pieces(graph: MoveGraph, model: Model) -> float:
    """Return the number of moves, those that are cut into packets once a packet."""
    packet = getattr(model, "packet_bytes", None)
    return float(len(graph) if packet is None else np.maximum(1, graph.nbytes / packet).sum())
