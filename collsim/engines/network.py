"""The interface of a network model in the SimPy engine: all that `collsim.engines.events` knows of one."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, ClassVar, Protocol

import simpy

from collsim.engines.instants import Server
from collsim.engines.timeline import Timeline
from collsim.graph import MoveGraph


class Processor(Protocol):
    """The processor of a rank, which reductions and local work take one after another."""

    def turn(self, row: int, seconds: float) -> Generator[simpy.Event, Any, None]:
        """Wait until it is free for `row`; from then on it is busy with it for `seconds`."""
        ...


class Network:
    """Carries messages. A model is a subclass with a `carry` of its own.

    A model whose sends do not wait for their receivers sets `two_ends`. `carry` is then called when the sender is
    ready, `receive` when the receiver is, and the model calls ``self.sent(row)`` when the sender is done; the message
    has arrived when `carry` ends. For all others `carry` is called when both ends are ready, and the sender is done
    when the move has finished.

    Parameters
    ----------
    env : simpy.Environment
        The clock.
    graph : MoveGraph
        The moves; they are named by their number.
    model : Model
        The parameters.
    timeline : Timeline
        `carry` writes into its `start` when a message leaves.
    sent : callable
        To be called with the number of a move when its sender is done with it, where there are two ends.

    Attributes
    ----------
    processors : sequence of Processor
        One a rank, for reductions and local work.
    """

    two_ends: ClassVar[bool] = False
    processors: Sequence[Processor]

    def __init__(
        self, env: simpy.Environment, graph: MoveGraph, model: Any, timeline: Timeline, sent: Callable[[int], None]
    ) -> None:
        self.env = env
        self.graph = graph
        self.start = timeline.start
        self.sent = sent
        self.processors = [Server(env) for _ in range(graph.ranks)]
        self.prepare(model)

    def prepare(self, model: Any) -> None:
        """Work out from the model's parameters whatever `carry` needs."""
        raise NotImplementedError

    def processor(self, row: int) -> Processor:
        """Return the processor that works on a move."""
        processor: Processor = self.processors[self.graph.dst[row]]
        return processor

    def number(self, row: int) -> int:
        """Return the place of a move in the order of whatever comes at one instant."""
        return row

    def carry(self, row: int) -> Generator[simpy.Event, Any, None]:
        """Wait until a message has arrived."""
        raise NotImplementedError

    def receive(self, row: int) -> None:
        """Take note that the receiver is ready for a message; called only where there are two ends."""
        raise NotImplementedError
