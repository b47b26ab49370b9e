"""Random runs of everything that engines must agree on: networks, schedules, models, orderings, late ranks."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import collsim as cs
from collsim.graph import MoveGraph, lower
from collsim.models import AlphaBeta, Fifo, LogGP, MaxMin, Model
from collsim.routing import reroute
from collsim.topology import Link, Topology


class Run(NamedTuple):
    graph: MoveGraph
    model: Model


def random_topology(rng: np.random.Generator) -> Topology:
    """A connected network with cables of one medium, fatpipes, parallel links and, often, messages that are spread."""
    ranks, switches = int(rng.integers(2, 7)), int(rng.integers(0, 4))
    nodes: list[Any] = [*range(ranks), *(f"s{i}" for i in range(switches))]
    nodes = [nodes[i] for i in rng.permutation(len(nodes))]
    links: list[Link] = []

    def figures() -> tuple[float, float]:
        return float(rng.choice([1, 2, 3, 5, 7.3])), float(rng.choice([0, 0, 1, 0.5, 0.37]))

    def cable(one: Any, other: Any, number: int) -> None:
        kind = rng.integers(0, 6)
        there = figures()
        back = there if kind in (0, 2) else figures()
        medium = ("medium", number) if kind == 0 else None
        links.append(Link(one, other, *there, medium, bool(kind == 1)))
        links.append(Link(other, one, *back, medium, bool(kind == 1)))

    for i in range(1, len(nodes)):
        cable(nodes[i], nodes[rng.integers(0, i)], i)
    for j in range(rng.integers(0, 5)):
        one, other = rng.choice(len(nodes), 2, replace=False)
        cable(nodes[one], nodes[other], 100 + j)
    topology = Topology("random", ranks, links)
    return reroute(topology, "spread") if rng.random() < 0.4 else topology


def random_schedule(rng: np.random.Generator, ranks: int) -> cs.Schedule:
    """Any moves: messages of several chunks, packed ones, local work, explicit dependencies. It need not be right."""
    plan = cs.ScheduleBuilder("all_reduce", ranks, chunks=4)
    step = 0
    rows: list[int] = []
    for _ in range(rng.integers(1, 25)):
        step += int(rng.integers(0, 2))
        after = [rows[int(rng.integers(len(rows)))]] if rows and rng.random() < 0.2 else []
        if rng.random() < 0.15:
            seconds = float(rng.choice([0, 1, 2.5]))
            rows += plan.compute(step, int(rng.integers(ranks)), seconds, after=after).tolist()
            continue
        src, dst = rng.choice(ranks, 2, replace=False).tolist()
        send = plan.reduce if rng.random() < 0.5 else plan.copy
        if rng.random() < 0.1:
            rows += send(step, src, dst, [0, 3], packed=True, after=after).tolist()
        else:
            chunk = int(rng.integers(0, 4))
            rows += send(step, src, dst, chunk, int(rng.integers(1, 5 - chunk)), after=after).tolist()
    return plan.build()


def random_model(rng: np.random.Generator, topology: Topology) -> Model:
    """A model with figures that make many ties, and some that make none; zeros, too."""

    def one_of(*values: float) -> float:
        return float(rng.choice(values))

    kind = int(rng.integers(0, 7))
    if kind == 0:
        return AlphaBeta(one_of(0, 1, 0.3), one_of(0, 1, 0.7))
    if kind == 1:
        return AlphaBeta(topology=topology)
    if kind == 2:
        return MaxMin(topology)
    if kind == 3:
        return Fifo(topology)
    if kind == 4:
        return Fifo(topology, packet_bytes=int(rng.choice([1, 3, 4])))
    overheads = {
        "o": one_of(0, 0, 1, 0.2),
        "g": one_of(0, 0, 2, 0.6),
        "O": one_of(0, 0.5),
        "S": int(one_of(0, 5, 1000)),
    }
    if kind == 5:
        return LogGP(L=one_of(0, 0, 1, 0.3), G=one_of(0, 1, 0.4), **overheads)
    return LogGP(topology=topology, **overheads)


def random_run(rng: np.random.Generator) -> Run:
    """One run: a graph of moves and a model."""
    topology = random_topology(rng)
    schedule = random_schedule(rng, topology.ranks)
    graph = lower(
        schedule,
        schedule.message_bytes(int(rng.choice([0, 4, 8, 12, 40, 37]))),
        ordering=str(rng.choice(["step", "dataflow", "explicit"])),
        gamma=float(rng.choice([0, 0, 0.5, 0.33])),
        offsets=rng.choice([0, 0, 1.0, 2.3], topology.ranks) if rng.random() < 0.5 else None,
        header_bytes=float(rng.choice([0, 0, 1.5])),
    )
    return Run(graph, random_model(rng, topology))
