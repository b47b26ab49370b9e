"""How messages share a network: the parameters of each model. What they mean in time is in `collsim.engines`.

A new model is a class here, a file beside `collsim.engines.maxmin`, and a line in each of the two tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from collsim.schedule import Floats, Ints
from collsim.topology import Topology


@dataclass(frozen=True)
class AlphaBeta:
    """`alpha` seconds a message and `beta` seconds a byte, through one send and one receive port a rank.

    Attributes
    ----------
    alpha, beta : float
        Seconds a message, seconds a byte; the same between any two ranks.
    topology : Topology, optional
        If given, alpha and beta of each pair are those of its route instead: the sum of the latencies,
        and one over the least bandwidth.
    """

    name: ClassVar[str] = "alpha-beta"
    alpha: float = 0.0
    beta: float = 0.0
    topology: Topology | None = None

    def costs(self, src: Ints, dst: Ints) -> tuple[Floats, Floats]:
        """Return alpha and beta of each message, as arrays of the shape of `src`."""
        if self.topology is None:
            return np.full(len(src), self.alpha), np.full(len(src), self.beta)
        latency, bandwidth = route_costs(self.topology, src, dst)
        return latency, 1.0 / bandwidth


@dataclass(frozen=True)
class MaxMin:
    """Fluid flows that get their max-min fair share of every link on their route."""

    name: ClassVar[str] = "maxmin"
    topology: Topology


Model = AlphaBeta | MaxMin

MODELS: dict[str, str] = {
    AlphaBeta.name: "alpha s a message, beta s a byte; one send and one receive port a rank, first come first served",
    MaxMin.name: "fluid flows with max-min fair shares of every link on their route",
}


def route_costs(topology: Topology, src: Ints, dst: Ints) -> tuple[Floats, Floats]:
    """Return latency (seconds) and least bandwidth (bytes per second) of each message's route.

    A move on one rank (``src == dst``) crosses nothing: no latency, unlimited bandwidth.
    """
    pairs, which = np.unique(np.stack([src, dst], axis=1), axis=0, return_inverse=True)
    latency = np.zeros(len(pairs))
    bandwidth = np.full(len(pairs), np.inf)
    for i, (tail, head) in enumerate(pairs.tolist()):
        if tail != head:
            latency[i] = topology.route_latency(tail, head)
            bandwidth[i] = topology.route_bandwidth(tail, head)
    return latency[which], bandwidth[which]
