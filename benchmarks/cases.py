"""What is measured: collectives on networks of growing size, and how many messages each is before it is built."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import collsim as cs

SIZE = 64 * 2**20
BANDWIDTH, LATENCY = "10GB/s", "2us"
ALL_RANKS = (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
SOME_RANKS = (8, 64, 256, 1024)


def _log2(ranks: int) -> int:
    return (ranks - 1).bit_length()


@dataclass(frozen=True)
class Work:
    """A collective by an algorithm; `messages` says how many there will be, to know what would take too long."""

    name: str
    collective: str
    algorithm: str
    messages: Callable[[int], int]

    def build(self, ranks: int) -> cs.Schedule:
        """Write the schedule."""
        return cs.make_schedule(self.collective, self.algorithm, ranks)


WORKS = {
    work.name: work
    for work in (
        Work("ring", "all_reduce", "ring", lambda k: 2 * k * (k - 1)),
        Work("halving_doubling", "all_reduce", "halving_doubling", lambda k: 2 * k * _log2(k)),
        Work("tree", "all_reduce", "tree", lambda k: 2 * (k - 1)),
        Work("all_to_all", "all_to_all", "pairwise", lambda k: k * (k - 1)),
        Work("gather", "gather", "binomial", lambda k: k - 1),
    )
}


def _square(ranks: int) -> str:
    side = 2 ** (_log2(ranks) // 2)
    return f"{ranks // side}x{side}"


# A fat tree of two levels with full bisection: as many cables up from every leaf switch as down.
def _fat_tree(ranks: int) -> str:
    side = 2 ** (_log2(ranks) // 2)
    return f"down={side}x{ranks // side},up=1x{side}"


NETWORKS: dict[str, Callable[[int], str]] = {
    "star": lambda k: f"star:{k}",
    "uneven-star": lambda k: f"star:{k}",
    "torus": lambda k: f"torus:{_square(k)}",
    "fat-tree": lambda k: f"fat-tree:{_fat_tree(k)}",
}


# Every link of the star another one: no two messages come at the same time, and no shortcut for equal ones helps.
UNEVEN = "uneven-star"
_SEED = 1


def network(name: str, ranks: int) -> cs.Topology:
    """Return a network of so many ranks (a power of two)."""
    found = cs.load_topology(NETWORKS[name](ranks), bandwidth=BANDWIDTH, latency=LATENCY)
    if name != UNEVEN:
        return found
    draw = random.Random(_SEED)
    return found.with_links(
        [
            replace(link, bandwidth=link.bandwidth * draw.uniform(0.5, 1), latency=link.latency * draw.uniform(0.5, 1))
            for link in found.links
        ]
    )


# LogGP without overheads is alpha-beta; these are LogGOPSim's own, beside L and G of the network.
PARAMETERS: dict[str, dict[str, str]] = {"loggp": {"o": "1.5us", "g": "1us"}}
