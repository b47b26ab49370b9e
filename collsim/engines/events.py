"""The reference engine: discrete events, on SimPy. Read this one to know what collsim simulates.

A move waits until all that it depends on has finished. Then it is a SimPy process: a message is carried
by the network model, and when it is there the receiver's processor works on it; local work goes straight
to the processor. When a move finishes, the moves that waited for it are counted down.

Whatever happens at one instant is settled at the end of that instant, by row: the outcome never depends
on the order in which SimPy happens to run processes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import simpy

from collsim.engines.alpha_beta import AlphaBetaNetwork
from collsim.engines.instants import Server
from collsim.engines.maxmin import MaxMinNetwork
from collsim.engines.timeline import Timeline
from collsim.errors import SimulationError
from collsim.graph import MoveGraph
from collsim.models import AlphaBeta, MaxMin, Model

Progress = Callable[[int, int], None]

NETWORKS: dict[type[Model], Callable[[simpy.Environment, MoveGraph, Any, Timeline], Any]] = {
    AlphaBeta: AlphaBetaNetwork,
    MaxMin: MaxMinNetwork,
}


def run(graph: MoveGraph, model: Model, progress: Progress | None = None) -> Timeline:
    """Simulate a graph of moves.

    Parameters
    ----------
    graph : MoveGraph
        What to run.
    model : Model
        How messages share the network.
    progress : callable, optional
        Called as ``progress(finished, moves)`` now and then.

    Returns
    -------
    Timeline
        Times of every move.

    Raises
    ------
    SimulationError
        If moves are left that can never run.
    """
    simulation = Simulation(graph, model, progress)
    simulation.env.run()
    simulation.check_complete()
    return simulation.timeline


class Simulation:
    """One run: the environment, a processor for each rank, the network, and who still waits for whom."""

    def __init__(self, graph: MoveGraph, model: Model, progress: Progress | None = None) -> None:
        self.env = simpy.Environment()
        self.graph = graph
        self.timeline = Timeline.unknown(len(graph))
        self.network = NETWORKS[type(model)](self.env, graph, model, self.timeline)
        self.processors = [Server(self.env) for _ in range(graph.ranks)]
        self.waits = graph.waits.tolist()
        # Alarms set at time 0: a delay from any later time could miss the release by a rounding.
        self.released = {time: self.env.timeout(time) for time in np.unique(graph.release).tolist()}
        self.progress = progress
        self.finished = 0
        for row in range(len(graph)):
            if self.waits[row] == 0:
                self.env.process(self.play(row))

    def play(self, row: int) -> Generator[simpy.Event, Any, None]:
        """Live the life of a move, from when all that it depends on has finished."""
        env, times = self.env, self.timeline
        release = float(self.graph.release[row])
        if env.now < release:
            yield self.released[release]
        times.ready[row] = env.now
        if self.graph.transfer[row]:
            yield from self.network.carry(row)
            times.arrive[row] = env.now
        work = float(self.graph.work[row])
        if work > 0:
            yield from self.processors[self.graph.dst[row]].turn(row, work)
        if not self.graph.transfer[row]:
            times.start[row] = times.arrive[row] = env.now
        if work > 0:
            yield env.timeout(work)
        times.finish[row] = env.now
        self.count_down(row)
        self.finished += 1
        if self.progress is not None and (self.finished % 1024 == 0 or self.finished == len(self.graph)):
            self.progress(self.finished, len(self.graph))

    def count_down(self, node: int) -> None:
        """Tell all that wait for `node` that it has finished, and start those that wait for nothing more."""
        for follower in self.graph.followers[node]:
            self.waits[follower] -= 1
            if self.waits[follower] == 0:
                if follower < len(self.graph):
                    self.env.process(self.play(follower))
                else:
                    self.count_down(follower)

    def check_complete(self) -> None:
        """Raise if a move has not finished: moves that wait for each other in a circle never do."""
        stuck = np.flatnonzero(np.isnan(self.timeline.finish))
        if len(stuck):
            raise SimulationError(
                f"{len(stuck)} of {len(self.graph)} moves can never run: they wait for each other (the first is row "
                f"{stuck[0]}, rank {self.graph.src[stuck[0]]} to rank {self.graph.dst[stuck[0]]})"
            )
