"""What SimPy leaves open: what happens among things that come at the same instant. Here: by row.

SimPy runs the events of one instant in the order in which they were scheduled. Decisions that must not
depend on that order are put off to the end of the instant, when all who come at it have come.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import Any, NamedTuple

import simpy
from simpy.events import NORMAL, EventPriority

_AFTER_ALL_ROWS = 1 << 62


class EndOfInstant(simpy.Event):
    """An event that is processed at the present time, after all ordinary events of this time.

    Of several, the one for the lowest row comes first, and what it brings about at this same instant is
    settled before the next: a move only ever waits for moves of lower rows, so none can come too late.
    """

    def __init__(self, env: simpy.Environment, callback: Callable[[Any], None], row: int = _AFTER_ALL_ROWS) -> None:
        super().__init__(env)
        self.row = row
        self.callbacks.append(callback)
        self._ok = True
        self._value = None
        env.schedule(self, EventPriority(NORMAL + 1 + row))


class Customer(NamedTuple):
    """Who waits at a station; the heap orders them by when they came, then by row."""

    came: float
    row: int
    needs: Mapping[str, float]
    served: simpy.Event

    @property
    def takes_no_time(self) -> bool:
        """Whether some part is free again at once."""
        return min(self.needs.values()) <= 0


class Station:
    """Serves customers, each of whom keeps one or several of its parts busy for a while.

    Of those whose parts are all free the one who came first is served first; those who came at the same instant by
    row. So nobody waits for a part that nobody uses.
    """

    def __init__(self, env: simpy.Environment) -> None:
        self.env = env
        self._queues: dict[tuple[str, ...], list[Customer]] = {}  # those in a queue need the same parts
        self._busy: set[str] = set()

    def turn_at(self, row: int, needs: Mapping[str, float]) -> Generator[simpy.Event, Any, None]:
        """Wait until `row` is served; from then on each part is busy with it for the seconds that `needs` says."""
        served = self.env.event()
        heapq.heappush(self._queues.setdefault(tuple(needs), []), Customer(self.env.now, row, needs, served))
        EndOfInstant(self.env, self._serve, row)
        yield served

    def _able(self) -> list[list[Customer]]:
        """Return the queues whose first could be served now, the one that is to be served next first."""
        able = [queue for parts, queue in self._queues.items() if queue and self._busy.isdisjoint(parts)]
        return sorted(able, key=lambda queue: queue[0][:2]) if len(able) > 1 else able

    def _turn(self, able: list[list[Customer]]) -> int:
        """Return the row whose turn within an instant it is when one of these queues is served."""
        head = able[0][0]
        # A next one that takes no time lets those behind it through at this same instant.
        return min(customer.row for queue in able for customer in queue) if head.takes_no_time else head.row

    def _serve(self, decision: EndOfInstant) -> None:
        able = self._able()
        if not able:
            return
        turn = self._turn(able)
        if turn > decision.row:  # who brought this decision about has been served already, by an earlier one
            EndOfInstant(self.env, self._serve, turn)
            return
        customer = heapq.heappop(able[0])
        self._busy.update(customer.needs)
        customer.served.succeed()
        for part, seconds in customer.needs.items():
            self.env.timeout(seconds).callbacks.append(partial(self._release, part))

    def _release(self, part: str, _: simpy.Event) -> None:
        self._busy.discard(part)
        able = self._able()
        if able:
            EndOfInstant(self.env, self._serve, self._turn(able))


class Server(Station):
    """A station of one part: serves one at a time, first come first served; those who come at the same instant by row.

    A port of the alpha-beta model is one, and so is a link that messages queue for, and the processor of a rank.
    """

    def turn(self, row: int, seconds: float) -> Generator[simpy.Event, Any, None]:
        """Wait until `row` is served; from then on the server is busy with it for `seconds`."""
        return self.turn_at(row, {"server": seconds})
