"""The fifo model: every link serves packets one at a time, and each waits whole at every node (store-and-forward).

A packet of n bytes keeps a link busy for n/bandwidth, is at the next node the link's latency later, and there waits
for the next link. A message that is not cut is one packet. Links of one medium are one server; a fatpipe serves any
number of messages at once, each as if it were alone. A packet without bytes waits for its turn like any other and
keeps nobody waiting.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any, NamedTuple

import simpy

from collsim.engines.instants import Server
from collsim.engines.network import Network
from collsim.errors import InputError
from collsim.models import Fifo

# Each takes this engine some 50 us on every link (measured, CPython 3.11) and 2 kB while its message is on the way.
MOST_PACKETS = 1_000_000


class Packet(NamedTuple):
    """A part of a message on one of its routes; `order` is by row, then by route, then by place in the message."""

    order: int
    nbytes: float
    links: tuple[int, ...]
    servers: tuple[Server, ...]  # of these links


class FifoNetwork(Network):
    """Carries packets through a queue before every link."""

    def prepare(self, model: Fifo) -> None:
        """Set up the queues, and give each packet its number."""
        self.topology = model.topology
        self.packet_bytes = math.inf if model.packet_bytes is None else model.packet_bytes
        self.bandwidth = self.topology.bandwidth.tolist()
        self.latency = self.topology.latency.tolist()
        self.channel, self.fatpipe = self.topology.channel.tolist(), self.topology.fatpipe.tolist()
        self.queues: dict[int, Server] = {}  # of the channels that somebody has come to
        self.first_order, packets, uncut, works = [], 0, 0, 0
        for row in range(len(self.graph)):
            self.first_order.append(packets + works)
            if self.graph.transfer[row]:
                counts = [self._count(nbytes) for nbytes, _ in self._parts(row)]
                packets += sum(counts)
                uncut += len(counts)
            else:
                works += 1
        times = -(-(packets - uncut) // MOST_PACKETS)  # messages that are not cut can be no fewer
        if times > 1:
            raise InputError(
                f"packets of {self.packet_bytes} bytes would be {packets} packets in all, more than {MOST_PACKETS}: "
                f"choose larger ones, for example packet_bytes={self.packet_bytes * times}"
            )

    def number(self, row: int) -> int:
        """Return the number of the first packet of a message, which has left when its processor is asked for.

        So rows and packets stand in one order; local work has a number among these, too.
        """
        return self.first_order[row]

    def _parts(self, row: int) -> list[tuple[float, tuple[int, ...]]]:
        """Return the bytes of a message on each of its routes, and the route."""
        nbytes = float(self.graph.nbytes[row])
        routes = self.topology.routes(int(self.graph.src[row]), int(self.graph.dst[row]))
        return [(nbytes * route.share, route.links) for route in routes]

    def _count(self, nbytes: float) -> int:
        return max(1, math.ceil(nbytes / self.packet_bytes))

    def _packets(self, row: int) -> list[Packet]:
        packets: list[Packet] = []
        place = 0
        for nbytes, links in self._parts(row):
            last = self._count(nbytes) - 1
            sizes = [self.packet_bytes] * last + [nbytes - last * self.packet_bytes if last else nbytes]
            order = self.first_order[row] + len(packets)
            # Nobody shares a fatpipe, but the packets of one message take turns: together they have its bandwidth once.
            servers = tuple(self.queue(row, i, link) or Server(self.env) for i, link in enumerate(links, place))
            place += len(links)
            packets += [Packet(order + i, size, links, servers) for i, size in enumerate(sizes)]
        return packets

    def queue(self, row: int, place: int, link: int) -> Server | None:
        """Return where a message waits for a link, of all on its routes the one at `place`; None for a fatpipe."""
        if self.fatpipe[link]:
            return None
        channel = self.channel[link]
        if channel not in self.queues:
            self.queues[channel] = Server(self.env)
        return self.queues[channel]

    def carry(self, row: int) -> Generator[simpy.Event, Any, None]:
        """Wait until the last packet of a message has arrived."""
        packets = self._packets(row)
        if len(packets) == 1:
            yield from self._forward(row, packets[0])
        else:
            yield self.env.all_of([self.env.process(self._forward(row, packet)) for packet in packets])

    def _forward(self, row: int, packet: Packet) -> Generator[simpy.Event, Any, None]:
        for hop, (link, server) in enumerate(zip(packet.links, packet.servers, strict=True)):
            busy = packet.nbytes / self.bandwidth[link]
            yield from server.turn(packet.order, busy)
            if hop == 0 and not self.start[row] <= self.env.now:
                self.start[row] = self.env.now  # the first of its packets leaves
            yield self.env.timeout(busy)
            yield self.env.timeout(self.latency[link])
