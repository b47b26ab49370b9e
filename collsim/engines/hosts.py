"""One host under LogGP that stands for all of them, for a step in which all do the same.

What a host sends comes to another one exactly as what another one sends comes to it. So one host is enough: it takes
in, a flight later, the very messages that it has sent. What messages cost is in `collsim.models.LogGP`, who is served
next in `collsim.engines.instants.Station`; `collsim.engines.symmetric` says when all hosts do the same.
"""

from __future__ import annotations

import math
from heapq import heappop, heappush
from typing import NamedTuple


class Kind(NamedTuple):
    """What a message costs, in seconds.

    Attributes
    ----------
    flight : float
        From when it is sent until it is at its receiver.
    sending, receiving : float
        Of the sender's and of the receiver's processor.
    card : float
        Of either card.
    work : float
        Of the receiver's processor once the message is in; 0 if there is nothing to add.
    surely_sending, surely_receiving : float
        What the second and the third are at least, compared with `card`, however they are rounded.
    """

    flight: float
    sending: float
    receiving: float
    card: float
    work: float
    surely_sending: float
    surely_receiving: float


# Until when the card that sends and the one that receives are busy.
Cards = tuple[float, float]

# By how much a duration must be longer than another one if rounding is to make no difference.
LONGER = 1e-9

_NOBODY = (math.inf, 0, 0)


class _Line:
    """Messages that wait for the same parts of a host: who came first is first, of those who came together the lowest.

    Parameters
    ----------
    sorts : list of int
        For each kind of message its sort: of one sort are those that cost the same from here on, so that it makes no
        difference who of them is served first.

    Attributes
    ----------
    came, hop, kind : float, int, int
        Of the first; `came` is infinite if nobody waits.
    unlike : float
        When the first of those came who are of another sort.
    """

    def __init__(self, sorts: list[int]) -> None:
        self._sorts = sorts
        self._waiting: list[list[tuple[float, int, int]]] = [[] for _ in range(max(sorts) + 1)]
        self.unlike = math.inf
        self._look()

    def _look(self) -> None:
        if len(self._waiting) == 1:
            heap = self._waiting[0]
            self.came, self.hop, self.kind = heap[0] if heap else _NOBODY
        else:
            first = sorted(heap[0] for heap in self._waiting if heap)
            self.came, self.hop, self.kind = first[0] if first else _NOBODY
            self.unlike = first[1][0] if len(first) > 1 else math.inf

    def put(self, came: float, hop: int, kind: int) -> None:
        """Let a message wait from when it comes."""
        heappush(self._waiting[self._sorts[kind]], (came, hop, kind))
        self._look()

    def take(self) -> None:
        """Let the first one go."""
        heappop(self._waiting[self._sorts[self.kind]])
        self._look()


def _numbered(figures: list[tuple[float, ...]]) -> list[int]:
    number: dict[tuple[float, ...], int] = {}
    return [number.setdefault(one, len(number)) for one in figures]


def serve_one(kind: Kind, begin: float, cards: Cards) -> tuple[float, Cards]:
    """Return what `serve` does if there is one message: nobody but its cards can keep it waiting.

    Examples
    --------
    >>> serve_one(Kind(5.0, 1.0, 1.0, 2.0, 0.0, 1.0, 1.0), 0.0, (0.0, 6.0))
    (7.0, (2.0, 8.0))
    """
    send = max(begin, cards[0])
    taken = max(send + kind.sending, send + kind.flight, cards[1])
    return taken + kind.receiving + kind.work, (send + kind.card, taken + kind.card)


def serve(kinds: list[Kind], of: list[int], begin: float, cards: Cards, tolerance: float) -> tuple[float, Cards] | None:
    """Return when a host is done with the messages of a step, and until when its cards are busy.

    Parameters
    ----------
    kinds : list of Kind
        What messages cost.
    of : list of int
        The kind of each message, in the order in which they are sent.
    begin : float
        When the step begins.
    cards : tuple of float
        Until when the card that sends and the one that receives are busy with earlier ones.
    tolerance : float
        Times that differ by less than so many seconds are nearly the same: rounding could make them change places.
        ``-inf`` if that is not to be asked, because the same numbers are added elsewhere in the same order.

    Returns
    -------
    tuple or None
        None if rounding may decide who is served first, and that matters.

    Notes
    -----
    Three lines wait for the processor: messages to be sent, all of which came at the beginning, messages to be taken
    in, and work. The first of each could be served when the processor and its card are free; who can be earliest is,
    and of several who came first. That is right in any rounding if each of the others

    - can be served only later, by more than the tolerance,
    - or came later by more than the tolerance and can surely not be served before the one that is chosen. For both
      wait for the processor; so the card of the chosen one must surely be free no later than the processor, the other
      one's card, or the coming of the other one.

    Two times that are nearly the same are surely in order if each is the beginning of a service and a duration after
    it: the one whose service began no later and lasts no longer is not the later one, as rounding is monotone.

    A service takes a time that grows with the logarithm of the number of messages.

    Examples
    --------
    Sending takes 1 s, a flight 5 s, taking in 1 s, and each card rests 2 s: the second message is sent at 2 s, is
    there at 7 s and taken in at 8 s, when the card that received it is busy for another second.

    >>> serve([Kind(5.0, 1.0, 1.0, 2.0, 0.0, 1.0, 1.0)], [0, 0], 0.0, (0.0, 0.0), 1e-9)
    (8.0, (4.0, 9.0))
    """
    hops, hop = len(of), 0
    arrived = _Line(_numbered([(kind.receiving, kind.card, kind.work) for kind in kinds]))
    summing = _Line(_numbered([(kind.work,) for kind in kinds]))
    cpu, (send, receive) = begin, cards  # until when they are busy
    # With which service, and for how long: the processor at least, the cards at most.
    service, served, cpu_for = 0, 0, 0.0
    sent, send_for = 0, math.inf if send > begin else 0.0
    received, receive_for = 0, math.inf if receive > begin else 0.0
    while True:
        # What max and min would return; to call them would take as long as all the rest.
        able = receive if receive > arrived.came else arrived.came
        at_send = math.inf if hop == hops else send if send > cpu else cpu
        at_receive = able if able > cpu else cpu
        at_sum = summing.came if summing.came > cpu else cpu
        now = at_send if at_send < at_receive else at_receive
        now = at_sum if at_sum < now else now
        soon, free = now + tolerance, cpu - tolerance
        if now == at_send < math.inf:
            ready = send < free or (sent <= served and send_for <= cpu_for)
            if able <= soon and (
                arrived.came <= begin + tolerance
                or not (ready or send < able - tolerance or (sent <= received and send_for <= receive_for))
            ):
                return None
            if summing.came <= soon and not (ready or send < summing.came - tolerance):
                return None
            service += 1
            flight, seconds, _, card, _, at_least, _ = kinds[of[hop]]
            cpu, send, sent, send_for = now + seconds, now + card, service, card
            arrived.put(now + flight, hop, of[hop])
            hop += 1
        elif now == at_receive < math.inf and (
            now < at_sum or (arrived.came, arrived.hop) < (summing.came, summing.hop)
        ):
            later = arrived.came + tolerance
            ready = receive < free or (received <= served and receive_for <= cpu_for)
            if (hop < hops and send <= soon) or min(arrived.unlike, summing.came) <= later:
                return None
            if summing.came <= soon and not (ready or receive < summing.came - tolerance):
                return None
            service += 1
            _, _, seconds, card, work, _, at_least = kinds[arrived.kind]
            cpu, receive, received, receive_for = now + seconds, now + card, service, card
            if work > 0:
                summing.put(cpu, arrived.hop, arrived.kind)
            arrived.take()
        elif now == at_sum < math.inf:
            later = summing.came + tolerance
            if (hop < hops and send <= soon) or summing.unlike <= later:
                return None
            if able <= soon and arrived.came <= later:
                return None
            service += 1
            seconds = kinds[summing.kind].work
            cpu, at_least = now + seconds, seconds * (1 - LONGER)
            summing.take()
        else:
            return cpu, (send, receive)
        if seconds > 0:  # else the processor is free no earlier than it was
            served, cpu_for = service, at_least
