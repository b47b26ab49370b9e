"""The engines: each runs a graph of moves under a model and returns a `Timeline`.

A new one is a file with ``run(graph, model, progress)`` and a line in `ENGINES`.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from collsim.engines.timeline import Timeline
from collsim.errors import InputError, unknown
from collsim.graph import MoveGraph
from collsim.models import Model

__all__ = ["ENGINES", "Engine", "Timeline", "choose_engine"]


@dataclass(frozen=True)
class Engine:
    """One line of the table; the module is imported when it is first used."""

    name: str
    module: str
    summary: str

    @property
    def _module(self) -> Any:
        return importlib.import_module(self.module)

    def load(self) -> None:
        """Import the engine's module."""
        _ = self._module

    def refusal(self, graph: MoveGraph, model: Model) -> str | None:
        """Return why this engine cannot run a graph under a model, or None if it can."""
        check = getattr(self._module, "can_run", None)
        return check(graph, model) if check else None

    def run(self, graph: MoveGraph, model: Model, progress: Any = None) -> Timeline:
        """Simulate."""
        return self._module.run(graph, model, progress)  # type: ignore[no-any-return]


# The fastest first: "auto" takes the first that can do the job.
ENGINES: dict[str, Engine] = {
    engine.name: engine
    for engine in (
        Engine("stepwise", "collsim.engines.stepwise", "alpha-beta ordered by step, whole steps in numpy"),
        Engine("events", "collsim.engines.events", "discrete events on SimPy: every model and ordering, the reference"),
    )
}


def choose_engine(name: str, graph: MoveGraph, model: Model) -> Engine:
    """Return the engine of that name, or for "auto" the fastest that can run this.

    Raises
    ------
    InputError
        If there is none of that name, or the one that was asked for cannot do the job.
    """
    if name == "auto":
        return next(engine for engine in ENGINES.values() if engine.refusal(graph, model) is None)
    if name not in ENGINES:
        raise unknown("engine", name, ["auto", *ENGINES])
    refusal = ENGINES[name].refusal(graph, model)
    if refusal:
        raise InputError(f"engine {name!r} cannot run this: {refusal}; use engine 'auto'")
    return ENGINES[name]
