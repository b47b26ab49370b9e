"""The max-min model: messages are fluid flows that share every link on their way fairly.

A message first takes the latency of its route, without using bandwidth. Then it flows at its max-min
fair rate; all rates are worked out anew whenever a flow starts or ends.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import simpy

from collsim.engines.instants import EndOfInstant
from collsim.engines.timeline import Timeline
from collsim.graph import MoveGraph
from collsim.models import MaxMin, route_costs

# Flows whose ends differ by rounding alone end together; far below the 1e-9 that engines agree to.
_SAME_TIME = 1 + 1e-14
_SAME_SHARE = 1 + 1e-13


def max_min_shares(routes: Sequence[Sequence[int]], bandwidth: Sequence[float]) -> list[float]:
    """Return the max-min fair rate of every flow, by progressive filling.

    All rates grow together until a link is full; its flows keep the rate that they have reached, and the
    rest go on growing. In the end every flow has a bottleneck: a full link on which no flow is faster.

    Parameters
    ----------
    routes : sequence of sequences of int
        The links that each flow crosses, at least one.
    bandwidth : sequence of float
        Of every link, in bytes per second.

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
    """
    rate = [0.0] * len(routes)
    growing: dict[int, set[int]] = {}  # link -> its flows that have no rate yet
    for flow, route in enumerate(routes):
        for link in route:
            growing.setdefault(link, set()).add(flow)
    left = {link: bandwidth[link] for link in growing}
    while growing:
        level = {link: left[link] / len(flows) for link, flows in growing.items()}
        fair = min(level.values())
        stopped = sorted({flow for link in growing if level[link] <= fair * _SAME_SHARE for flow in growing[link]})
        for flow in stopped:
            rate[flow] = fair
            for link in routes[flow]:
                growing[link].discard(flow)
                left[link] = max(0.0, left[link] - fair)
                if not growing[link]:
                    del growing[link]
    return rate


@dataclass
class Flow:
    """A message on its way: how much of it was left at `since`, and its rate from then on."""

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


class MaxMinNetwork:
    """Carries messages as flows over the links of a topology."""

    def __init__(self, env: simpy.Environment, graph: MoveGraph, model: MaxMin, timeline: Timeline) -> None:
        self.env = env
        self.graph = graph
        self.topology = model.topology
        self.bandwidth = model.topology.bandwidth.tolist()
        self.latency = route_costs(model.topology, graph.src, graph.dst)[0].tolist()
        self.start = timeline.start
        self.flows: dict[int, Flow] = {}
        self.alarm: simpy.Event | None = None
        self.settling = False

    def carry(self, row: int) -> Generator[simpy.Event, Any, None]:
        """Wait until a message has arrived."""
        self.start[row] = self.env.now
        yield self.env.timeout(self.latency[row])
        nbytes = float(self.graph.nbytes[row])
        if nbytes > 0:
            route = self.topology.route(int(self.graph.src[row]), int(self.graph.dst[row]))
            flow = Flow(route, left=nbytes, since=self.env.now, done=self.env.event())
            self.flows[row] = flow
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
            flows = [self.flows[row] for row in sorted(self.flows)]
            rates = max_min_shares([flow.route for flow in flows], self.bandwidth)
            for flow, rate in zip(flows, rates, strict=True):
                flow.set_rate(rate, self.env.now)
            self.alarm = self.env.timeout(max(0.0, min(flow.end for flow in flows) - self.env.now))
            self.alarm.callbacks.append(self._end_flows)

    def _end_flows(self, alarm: simpy.Event) -> None:
        if alarm is self.alarm:  # an older one was for rates that are no more
            due = min(flow.end for flow in self.flows.values()) * _SAME_TIME
            for row in sorted(row for row, flow in self.flows.items() if flow.end <= due):
                self.flows.pop(row).done.succeed()
            self._settle()
