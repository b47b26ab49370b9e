"""The LogGP model: every rank is a host with a processor, a card that sends and a card that receives.

What a send and a receive cost these three is in `collsim.models.LogGP`. A message is taken in as soon as its
receiver's processor and card are free, whether or not its receive is posted; the receive is complete when it is posted
and the message taken in. Reductions and local work take the same processor.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import simpy

from collsim.engines.instants import Station
from collsim.engines.network import Network
from collsim.models import LogGP


class Host(Station):
    """A rank's processor and its two cards; who comes first is served first where all that it needs is free."""

    def turn(self, row: int, seconds: float) -> Generator[simpy.Event, Any, None]:
        """Wait until the processor is free for `row`; from then on it is busy with it for `seconds`."""
        return self.turn_at(row, {"cpu": seconds})


class LogGPNetwork(Network):
    """Carries messages from host to host; the sender of an eager one does not wait for its receiver."""

    two_ends = True

    def prepare(self, model: LogGP) -> None:
        """Set up the hosts, and what each message costs them."""
        self.hosts = self.processors = [Host(self.env) for _ in range(self.graph.ranks)]
        latency, gap = model.costs(self.graph.src, self.graph.dst)
        more = np.maximum(self.graph.nbytes - 1, 0)  # bytes after the first
        self.flight = (model.o + latency).tolist()
        self.sending = (model.o + more * model.O).tolist()
        self.receiving = (model.o + more * np.maximum(model.O, gap)).tolist()
        self.card = (model.g + more * gap).tolist()
        self.eager = (self.graph.nbytes <= model.S).tolist()
        self.posted = {row: self.env.event() for row in np.flatnonzero(self.graph.transfer).tolist()}

    def receive(self, row: int) -> None:
        """Post the receive of a message."""
        self.posted[row].succeed()

    def carry(self, row: int) -> Generator[simpy.Event, Any, None]:
        """Wait until a message has been taken in and its receive is posted."""
        sender, receiver = self.ends(row)
        yield from sender.turn_at(row, {"cpu": self.sending[row], "send": self.card[row]})
        self.start[row] = self.env.now
        own_part = self.env.timeout(self.sending[row])
        if self.eager[row]:
            own_part.callbacks.append(lambda _: self.sent(row))
        yield self.env.timeout(self.flight[row])
        yield from receiver.turn_at(row, {"cpu": self.receiving[row], "receive": self.card[row]})
        taken_in = self.env.timeout(self.receiving[row])
        if not self.eager[row]:
            (self.posted[row] & own_part).callbacks.append(lambda _: self.sent(row))
        yield taken_in & self.posted[row]

    def ends(self, row: int) -> tuple[Host, Host]:
        """Return the hosts that a message goes from and to."""
        return self.hosts[self.graph.src[row]], self.hosts[self.graph.dst[row]]
