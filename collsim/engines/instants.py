"""What SimPy leaves open: what happens among things that come at the same instant. Here: by row.

SimPy runs the events of one instant in the order in which they were scheduled. Decisions that must not
depend on that order are put off to the end of the instant, when all who come at it have come.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

import simpy
from simpy.events import NORMAL, EventPriority

_AFTER_ALL_ROWS = 1 << 62


class EndOfInstant(simpy.Event):
    """An event that is processed at the present time, after all ordinary events of this time.

    Of several, the one for the lowest row comes first, and what it brings about at this same instant is
    settled before the next: a move only ever waits for moves of lower rows, so none can come too late.
    """

    def __init__(
        self, env: simpy.Environment, callback: Callable[[simpy.Event], None], row: int = _AFTER_ALL_ROWS
    ) -> None:
        super().__init__(env)
        self.callbacks.append(callback)
        self._ok = True
        self._value = None
        env.schedule(self, EventPriority(NORMAL + 1 + row))


class Customer(NamedTuple):
    """Who waits at a server; the heap orders them by when they came, then by row."""

    came: float
    row: int
    seconds: float
    served: simpy.Event


class Server:
    """Serves one at a time, first come first served; those who come at the same instant by row.

    A port of the alpha-beta model is one, and so is the processor of a rank.
    """

    def __init__(self, env: simpy.Environment) -> None:
        self.env = env
        self._queue: list[Customer] = []
        self._busy = False

    def turn(self, row: int, seconds: float) -> Generator[simpy.Event, Any, None]:
        """Wait until `row` is served; from then on the server is busy with it for `seconds`."""
        served = self.env.event()
        heapq.heappush(self._queue, Customer(self.env.now, row, seconds, served))
        EndOfInstant(self.env, self._serve, row)
        yield served

    def _serve(self, _: simpy.Event) -> None:
        if self._queue and not self._busy:
            customer = heapq.heappop(self._queue)
            self._busy = True
            customer.served.succeed()
            self.env.timeout(customer.seconds).callbacks.append(self._release)

    def _release(self, _: simpy.Event) -> None:
        self._busy = False
        if self._queue:
            # A next one that takes no time lets those behind it through at this same instant.
            head = self._queue[0]
            row = head.row if head.seconds > 0 else min(customer.row for customer in self._queue)
            EndOfInstant(self.env, self._serve, row)
