"""The alpha-beta model: ports at the ranks, nothing in between.

A message holds its sender's port for n*beta. Its head is at the receiver alpha after it left, and holds
the receiver's port for n*beta from then on, or from when that port is free; so alone it takes
alpha + n*beta, and the sender's next message leaves while this one is still under way.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import simpy

from collsim.engines.instants import Server
from collsim.engines.network import Network
from collsim.models import AlphaBeta


class AlphaBetaNetwork(Network):
    """Carries messages through one send port and one receive port a rank."""

    def prepare(self, model: AlphaBeta) -> None:
        """Set up the ports, and what each message costs."""
        self.send_ports = [Server(self.env) for _ in range(self.graph.ranks)]
        self.receive_ports = [Server(self.env) for _ in range(self.graph.ranks)]
        alpha, beta = model.costs(self.graph.src, self.graph.dst)
        self.alpha = alpha.tolist()
        self.busy = (beta * self.graph.nbytes).tolist()

    def carry(self, row: int) -> Generator[simpy.Event, Any, None]:
        """Wait until a message has arrived."""
        busy = self.busy[row]
        send, receive = self.ports(row)
        yield from send.turn(row, busy)
        self.start[row] = self.env.now
        yield self.env.timeout(self.alpha[row])
        yield from receive.turn(row, busy)
        yield self.env.timeout(busy)

    def ports(self, row: int) -> tuple[Server, Server]:
        """Return the ports that a message leaves and arrives by."""
        return self.send_ports[self.graph.src[row]], self.receive_ports[self.graph.dst[row]]
