"""The reference engine: discrete events, on SimPy. Read this one to know what collsim simulates.

A move waits until all that it depends on has finished. Then it is a SimPy process: a message is carried
by the network model (`collsim.engines.network`), and when it is there the receiver's processor works on it; local
work goes straight to the processor. When a move finishes, the moves that waited for it are counted down.

Whatever happens at one instant is settled at the end of that instant, by row: the outcome never depends
on the order in which SimPy happens to run processes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any

import numpy as np
import simpy

from collsim.engines.alpha_beta import AlphaBetaNetwork
from collsim.engines.fifo import FifoNetwork
from collsim.engines.loggp import LogGPNetwork
from collsim.engines.maxmin import MaxMinNetwork
from collsim.engines.network import Network
from collsim.engines.timeline import Timeline
from collsim.errors import SimulationError
from collsim.graph import MoveGraph
from collsim.models import AlphaBeta, Fifo, LogGP, MaxMin, Model

Progress = Callable[[int, int], None]

# Every model needs a line here; `collsim.engines.network` says what a network is.
NETWORKS: dict[type[Model], type[Network]] = {
    AlphaBeta: AlphaBetaNetwork,
    LogGP: LogGPNetwork,
    MaxMin: MaxMinNetwork,
    Fifo: FifoNetwork,
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
    """One run: the environment, the network with its processors, and who still waits for whom."""

    def __init__(
        self,
        graph: MoveGraph,
        model: Model,
        progress: Progress | None = None,
        network: type[Network] | None = None,
    ) -> None:
        self.env = simpy.Environment()
        self.graph = graph
        network = network or NETWORKS[type(model)]
        self.timeline = Timeline.unknown(len(graph), two_ends=network.two_ends)
        self.network = network(self.env, graph, model, self.timeline, self.sent)
        self.first, self.gates = (array.tolist() for array in graph.followers)
        self.waits = (graph.waits + 1).tolist()  # of each gate (see collsim.graph.Followers); 1 for the start
        self.progress = progress
        self.finished = 0
        self.hold_until_released()
        self.count_down(graph.gates.tolist())

    def hold_until_released(self) -> None:
        """Let every end of a move wait for its release, too."""
        held: dict[float, list[int]] = {}
        for end, release in enumerate(self.graph.release):
            for row in np.flatnonzero(release > 0).tolist():
                if end == 0 or self.graph.transfer[row]:
                    held.setdefault(float(release[row]), []).append(2 * row + end)
        for time, gates in held.items():
            for gate in gates:
                self.waits[gate] += 1
            # Alarms set at time 0: a delay from any later time could miss the release by a rounding.
            self.env.timeout(time, gates).callbacks.append(lambda alarm: self.count_down(alarm.value))

    def open(self, gate: int) -> None:
        """One end of a move is ready; start what can start. A join is passed through."""
        row, receiver = divmod(gate, 2)
        if row >= len(self.graph):
            self.passed(2 * row + 1)
        elif self.network.two_ends and receiver:
            self.network.receive(row)
        elif self.network.two_ends or not self.graph.two_ends[row] or self.waits[gate ^ 1] == 0:
            self.env.process(self.play(row))

    def play(self, row: int) -> Generator[simpy.Event, Any, None]:
        """Live the life of a move, from when all that it depends on has finished."""
        env, times = self.env, self.timeline
        times.ready[row] = env.now
        if self.graph.transfer[row]:
            yield from self.network.carry(row)
            times.arrive[row] = env.now
        work = float(self.graph.work[row])
        if work > 0:
            yield from self.network.processor(row).turn(self.network.number(row), work)
        if not self.graph.transfer[row]:
            times.start[row] = times.arrive[row] = env.now
        if work > 0:
            yield env.timeout(work)
        times.finish[row] = env.now
        if not (self.network.two_ends and self.graph.transfer[row]):
            self.sent(row)
        self.passed(2 * row + 1)
        self.finished += 1
        if self.progress is not None and (self.finished % 1024 == 0 or self.finished == len(self.graph)):
            self.progress(self.finished, len(self.graph))

    def sent(self, row: int) -> None:
        """Take note that the sender of a move is done with it."""
        self.timeline.sent[row] = self.env.now
        self.passed(2 * row)

    def passed(self, moment: int) -> None:
        """Tell all that wait for a moment of a move that it has come."""
        self.count_down(self.gates[self.first[moment] : self.first[moment + 1]])

    def count_down(self, gates: Iterable[int]) -> None:
        """Take one off what each of these gates waits for, and open those that wait for nothing more."""
        for gate in gates:
            self.waits[gate] -= 1
            if self.waits[gate] == 0:
                self.open(gate)

    def check_complete(self) -> None:
        """Raise if a move has not finished: moves that wait for each other in a circle never do."""
        stuck = np.flatnonzero(np.isnan(self.timeline.finish))
        if len(stuck):
            raise SimulationError(
                f"{len(stuck)} of {len(self.graph)} moves can never run: they wait for each other (the first is row "
                f"{stuck[0]}, rank {self.graph.src[stuck[0]]} to rank {self.graph.dst[stuck[0]]})"
            )
