"""Who is served when, where it is known who comes when: the rule of `collsim.engines.instants` without SimPy.

A timeline says when messages left and arrived, not when each link on their way, or each card, served them. Here the
same queues are run once more with the customers alone, which takes a few microseconds each.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Sequence
from typing import NamedTuple

_ORDINARY = -1  # sorts before any decision of the same instant


class Visit(NamedTuple):
    """One turn of a customer.

    Attributes
    ----------
    station : hashable
        Where.
    needs : tuple of (int, float)
        The parts of the station that it keeps busy (each a bit of its own), and for how many seconds.
    then : tuple of float
        Seconds, added one after another, from when it is served until it comes to its next station.
    """

    station: Hashable
    needs: tuple[tuple[int, float], ...]
    then: tuple[float, ...] = ()


class _Station:
    """What is busy, and who waits: a heap of (came, order, customer, place) for each set of parts that is needed."""

    __slots__ = ("busy", "queues")

    def __init__(self) -> None:
        self.busy = 0
        self.queues: dict[int, list[tuple[float, int, int, int]]] = {}

    def able(self) -> list[list[tuple[float, int, int, int]]]:
        """Return the queues whose first could be served now, the one that is next first."""
        found = [queue for parts, queue in self.queues.items() if queue and not parts & self.busy]
        if len(found) > 1:
            found.sort(key=lambda queue: queue[0][:2])
        return found


def serve(come: Sequence[float], order: Sequence[int], visits: Sequence[Sequence[Visit]]) -> list[list[float]]:
    """Return when each customer is served on each of its visits.

    Parameters
    ----------
    come : sequence of float
        When each customer comes to its first station.
    order : sequence of int
        Who is first among those who come at one instant.
    visits : sequence of sequences of Visit
        Where each customer goes.

    Returns
    -------
    list of list of float
        For each customer the time of each visit.

    Examples
    --------
    Two come at once; each takes 2 s of one server, and then 1 s until the next:

    >>> way = [Visit("first", ((1, 2.0),), (2.0, 1.0)), Visit("second", ((1, 2.0),))]
    >>> serve([0.0, 0.0], [1, 0], [way, way])
    [[2.0, 5.0], [0.0, 3.0]]
    """
    stations: dict[Hashable, _Station] = {}
    served: list[list[float]] = [[] for _ in come]
    # Of one instant come first the ordinary events (somebody comes, a part is free again), then decisions by order.
    heap: list[tuple[float, int, int, int, Hashable]] = []  # time, turn, number, what, whose
    number = len(come)
    heap = [(time, _ORDINARY, customer, 0, None) for customer, time in enumerate(come)]
    customers: dict[int, int] = dict(enumerate(range(number)))  # number of an event: who comes
    heapq.heapify(heap)

    def turn(able: list[list[tuple[float, int, int, int]]]) -> int:
        _, first, customer, place = able[0][0]
        if len(able) == 1 and len(able[0]) == 1:
            return first
        # A next one that takes no time lets those behind it through at this same instant.
        if min(seconds for _, seconds in visits[customer][place].needs) <= 0:
            return min(waiting[1] for queue in able for waiting in queue)
        return first

    while heap:
        now, decided, event, freed, where = heapq.heappop(heap)
        if decided != _ORDINARY:
            station = stations[where]
            able = station.able()
            if not able:
                continue
            next_turn = turn(able)
            if next_turn > decided:  # who brought this about has been served already
                number += 1
                heapq.heappush(heap, (now, next_turn, number, 0, where))
                continue
            _, _, customer, place = heapq.heappop(able[0])
            served[customer].append(now)
            visit = visits[customer][place]
            for part, seconds in visit.needs:
                station.busy |= part
                number += 1
                heapq.heappush(heap, (now + seconds, _ORDINARY, number, part, where))
            if place + 1 < len(visits[customer]):
                later = now
                for seconds in visit.then:
                    later += seconds
                number += 1
                customers[number] = customer
                heapq.heappush(heap, (later, _ORDINARY, number, 0, None))
        elif freed:
            station = stations[where]
            station.busy &= ~freed
            able = station.able()
            if able:
                number += 1
                heapq.heappush(heap, (now, turn(able), number, 0, where))
        else:
            customer = customers.pop(event)
            place = len(served[customer])
            if place >= len(visits[customer]):
                continue
            visit = visits[customer][place]
            came_to = stations.get(visit.station)
            if came_to is None:
                came_to = stations[visit.station] = _Station()
            parts = 0
            for part, _ in visit.needs:
                parts |= part
            heapq.heappush(came_to.queues.setdefault(parts, []), (now, order[customer], customer, place))
            number += 1
            heapq.heappush(heap, (now, order[customer], number, 0, visit.station))
    return served
