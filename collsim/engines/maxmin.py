"""The max-min model: messages are fluid flows that share every link on their way fairly.

A message first takes the latency of its route, without using bandwidth. Then it flows at its max-min
fair rate; all rates are worked out anew whenever a flow starts or ends. A message that is spread over several
routes is a flow on each of them, with its share of the bytes, and has arrived when all of these have.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import simpy

from collsim.engines.instants import EndOfInstant
from collsim.engines.network import Network
from collsim.models import MaxMin

# A link that flows share, or (a fatpipe) a link and the one flow that has it for itself.
Resource = tuple[int, int | None]

# Flows whose ends differ by rounding alone end together; far below the 1e-9 that engines agree to.
_SAME_TIME = 1 + 1e-14
_SAME_SHARE = 1 + 1e-13


def max_min_shares(
    routes: Sequence[Sequence[int]], bandwidth: Sequence[float], fatpipe: Sequence[bool] | None = None
) -> list[float]:
    """Return the max-min fair rate of every flow, by progressive filling.

    All rates grow together until a link is full; its flows keep the rate that they have reached, and the
    rest go on growing. In the end every flow has a bottleneck: a full link on which no flow is faster.

    Parameters
    ----------
    routes : sequence of sequences of int
        The links that each flow crosses, at least one. A flow that crosses a link m times takes m times its rate of
        it: so it is with links of one medium, which count as one.
    bandwidth : sequence of float
        Of every link, in bytes per second.
    fatpipe : sequence of bool, optional
        Of which links every flow has the full bandwidth for itself. Default: of none.

    Returns
    -------
    list of float
        The rate of each flow in bytes per second.

    Notes
    -----
    D. Bertsekas and R. Gallager, Data Networks, 2nd edition, section 6.5.2.

    Examples
    --------
    Two flows share link 0; one of them also crosses the slow link 1:

    >>> max_min_shares([[0], [0, 1]], [10.0, 2.0])
    [8.0, 2.0]

    The same where link 0 is a fatpipe, and where the second flow crosses link 0 twice:

    >>> max_min_shares([[0], [0, 1]], [10.0, 2.0], fatpipe=[True, False])
    [10.0, 2.0]
    >>> max_min_shares([[0], [0, 0]], [9.0])
    [3.0, 3.0]
    """
    rate = [0.0] * len(routes)
    crossed: list[dict[Resource, int]] = []  # by each flow, and how many times
    growing: dict[Resource, dict[int, int]] = {}  # its flows that have no rate yet, and how many times each crosses it
    for flow, route in enumerate(routes):
        own: dict[Resource, int] = {}
        for link in route:
            if fatpipe is not None and fatpipe[link]:
                own[link, flow] = 1  # a link for this flow alone
            else:
                own[link, None] = own.get((link, None), 0) + 1
        crossed.append(own)
        for resource, times in own.items():
            growing.setdefault(resource, {})[flow] = times
    left = {resource: bandwidth[resource[0]] for resource in growing}
    while growing:
        level = {resource: left[resource] / sum(flows.values()) for resource, flows in growing.items()}
        fair = min(level.values())
        full = [resource for resource in growing if level[resource] <= fair * _SAME_SHARE]
        gone: dict[Resource, int] = {}
        for flow in {flow for resource in full for flow in growing[resource]}:
            rate[flow] = fair
            for resource, times in crossed[flow].items():
                del growing[resource][flow]
                gone[resource] = gone.get(resource, 0) + times
        for resource, times in gone.items():  # at once, so that the order of the flows makes no difference
            left[resource] = max(0.0, left[resource] - times * fair)
            if not growing[resource]:
                del growing[resource]
    return rate


def weighted_shares(
    crossed: Sequence[Mapping[int, float]], cap: Sequence[float], bandwidth: Sequence[float] | Mapping[int, float]
) -> list[float]:
    """Return max-min fair rates of flows that stand for several.

    Parameters
    ----------
    crossed : sequence of mappings
        The links that each flow crosses, and how much of its rate it takes of each.
    cap : sequence of float
        The rate that each flow cannot exceed; infinity where there is none.
    bandwidth : sequence or mapping
        Of the links.

    Examples
    --------
    Three flows, two of which are alike, share a link of 9 B/s, and these two have another one for themselves:

    >>> weighted_shares([{0: 2, 1: 1}, {0: 1}], [math.inf, math.inf], [9.0, 2.0])
    [2.0, 5.0]
    """
    rate = [0.0] * len(crossed)
    growing = dict.fromkeys(range(len(crossed)))
    left = {link: bandwidth[link] for own in crossed for link in own}
    load = dict.fromkeys(left, 0.0)
    for own in crossed:
        for link, times in own.items():
            load[link] += times
    while growing:
        level = {link: left[link] / load[link] for link in left if load[link] > 0}
        fair = min(min(level.values(), default=math.inf), min(cap[flow] for flow in growing))
        limit = fair * _SAME_SHARE
        full = {link for link, value in level.items() if value <= limit}
        for flow in [flow for flow in growing if cap[flow] <= limit or not full.isdisjoint(crossed[flow])]:
            rate[flow] = fair
            del growing[flow]
            for link, times in crossed[flow].items():
                load[link] -= times
                left[link] = max(0.0, left[link] - times * fair)
        for link in full:
            load[link] = 0.0
    return rate


@dataclass
class Flow:
    """What is on one route: how much of it was left at `since`, and its rate from then on."""

    route: tuple[int, ...]
    left: float
    since: float
    done: simpy.Event
    rate: float = 0.0
    end: float = float("inf")

    def set_rate(self, rate: float, now: float) -> None:
        """Flow at another rate from `now` on; the same rate changes nothing, not even the last bit."""
        if rate != self.rate:
            self.left = max(0.0, self.left - self.rate * (now - self.since))
            self.since, self.rate = now, rate
            self.end = now + self.left / rate


class MaxMinNetwork(Network):
    """Carries messages as flows over the links of a topology, one flow a route."""

    def prepare(self, model: MaxMin) -> None:
        """Take the figures of the network."""
        self.topology = model.topology
        self.bandwidth = self.topology.bandwidth.tolist()
        self.latency = self.topology.latency.tolist()
        self.fatpipe = self.topology.fatpipe.tolist() if self.topology.fatpipe.any() else None
        self.channel = self.topology.channel.tolist()
        self.flows: dict[tuple[int, int], Flow] = {}
        self.alarm: simpy.Event | None = None
        self.settling = False

    def carry(self, row: int) -> Generator[simpy.Event, Any, None]:
        """Wait until all parts of a message have arrived."""
        self.start[row] = self.env.now
        nbytes = float(self.graph.nbytes[row])
        routes = self.topology.routes(int(self.graph.src[row]), int(self.graph.dst[row]))
        parts = [self._flow((row, i), route.links, route.share * nbytes) for i, route in enumerate(routes)]
        if len(parts) == 1:
            yield from parts[0]
        else:
            yield self.env.all_of([self.env.process(part) for part in parts])

    def _flow(self, key: tuple[int, int], links: Sequence[int], nbytes: float) -> Generator[simpy.Event, Any, None]:
        yield self.env.timeout(math.fsum(self.latency[link] for link in links))
        if nbytes > 0:
            channels = tuple(self.channel[link] for link in links)
            flow = Flow(channels, left=nbytes, since=self.env.now, done=self.env.event())
            self.flows[key] = flow
            self._settle()
            yield flow.done

    def _settle(self) -> None:
        """Share anew at the end of this instant, once, however many flows start or end in it."""
        if not self.settling:
            self.settling = True
            EndOfInstant(self.env, self._share)

    def _share(self, _: simpy.Event) -> None:
        self.settling = False
        self.alarm = None
        if self.flows:
            keys = sorted(self.flows)
            for key, rate in zip(keys, self.rates(keys), strict=True):
                self.flows[key].set_rate(rate, self.env.now)
            self.alarm = self.env.timeout(max(0.0, min(flow.end for flow in self.flows.values()) - self.env.now))
            self.alarm.callbacks.append(self._end_flows)

    def rates(self, flows: Sequence[tuple[int, int]]) -> list[float]:
        """Return the rates of flows, each given by its message and route."""
        return max_min_shares([self.flows[key].route for key in flows], self.bandwidth, self.fatpipe)

    def _end_flows(self, alarm: simpy.Event) -> None:
        if alarm is self.alarm:  # an older one was for rates that are no more
            due = min(flow.end for flow in self.flows.values()) * _SAME_TIME
            for key in sorted(key for key, flow in self.flows.items() if flow.end <= due):
                self.flows.pop(key).done.succeed()
            self._settle()
