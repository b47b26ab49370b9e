"""What a network lets its ranks do, whatever the collective: ports, latencies, cuts and partitions to try.

What follows from it for the time of a collective is in `collsim.bounds`.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple
from weakref import WeakKeyDictionary, ref

import numpy as np

from collsim.collectives import Bools, Indices
from collsim.cuts import Budget, Cut, channel_capacity, crossing_links, is_symmetric, smallest_cut, tightest_cut
from collsim.demands import Demand, Supply
from collsim.errors import InputError
from collsim.schedule import Floats
from collsim.topology import Node, Topology
from collsim.units import format_bandwidth

# What a run may spend on looking for tight cuts: links looked at, for each question. About a quarter of a second.
RUN_WORK = 400_000
# With more ranks the distance between all of them is not worked out, and not every rank is a cut to try.
FEW = 64
# With so few links the ways from one rank are found one by one.
_SHORT = 2000


class Ports(NamedTuple):
    """What each rank can receive, send, and do of both together, in bytes per second; and the least latency there."""

    receive: Floats
    send: Floats
    both: Floats
    heard: Floats
    telling: Floats


class Side(NamedTuple):
    """A cut, and what crosses it: ranks inside, bytes per second out, in and both ways, and the latencies across."""

    cut: Cut
    mask: Bools
    exact: tuple[Fraction | None, Fraction | None, Fraction | None]
    out: float
    into: float
    both: float
    latency_out: float
    latency_into: float

    @property
    def shared(self) -> bool:
        """Whether some medium carries both directions."""
        return self.both < (self.out + self.into) * (1 - 1e-12)


class Partition(NamedTuple):
    """Disjoint sets of ranks, the links that leave (or enter) any, what these carry, and the least latency between."""

    parts: list[Bools]
    links: list[int]
    exact: Fraction
    capacity: float
    latency: float


class Metric(NamedTuple):
    """Lengths of links: distances between ranks, shape (ranks, ranks), and capacity times length of all links."""

    distance: Floats
    capacity: float


def limits_of(topology: Topology, ranks: int, work: int | None = RUN_WORK) -> Limits:
    """Return what a network lets its first ranks do; worked out once for each topology, as far as it is asked for."""
    if ranks > topology.ranks:
        raise InputError(f"topology {topology.name!r} has {topology.ranks} ranks, fewer than the {ranks} asked for")
    known = _KNOWN.setdefault(topology, {})
    if (ranks, work) not in known:
        known[ranks, work] = Limits(topology, ranks, work)
    return known[ranks, work]


class Limits:
    """What a network lets its first ranks do, whatever the collective and its size; worked out when asked for.

    Attributes
    ----------
    ranks : int
        How many of its ranks take part; the others act as switches.
    work : int or None
        How many links each search for cuts may look at.
    """

    def __init__(self, topology: Topology, ranks: int, work: int | None) -> None:
        # A value that kept its key alive would stay in a WeakKeyDictionary for ever.
        self._topology = ref(topology)
        self.ranks = ranks
        self.work = work
        self._numbers = {node: number for number, node in enumerate((*range(topology.ranks), *topology.switches))}
        self._answers: dict[Supply, Side | None] = {}
        self._distances: dict[tuple[int, bool], Floats] = {}

    @property
    def topology(self) -> Topology:
        """The network."""
        topology = self._topology()
        assert topology is not None
        return topology

    @cached_property
    def _ends(self) -> tuple[Indices, Indices]:
        """The ranks that take part at the tail and the head of every link, -1 for any other node."""
        tail, head = (np.where(end < self.ranks, end, -1) for end in self.topology.ends)
        return tail, head

    # What each rank can do

    @cached_property
    def ports(self) -> Ports:
        """Where messages share links: all links of a rank together; those of one medium count once."""
        tail, head = self._ends
        heard, telling = self._latencies
        return Ports(self._at_ranks(head), self._at_ranks(tail), self._at_ranks(head, tail), heard, telling)

    @cached_property
    def ports_alone(self) -> Ports:
        """Where one message goes at a time, and alone: the most that any has; one that is spread has several links."""
        topology, (tail, head) = self.topology, self._ends
        heard, telling = self._latencies
        if topology.takes_one_path:
            receive, send = np.zeros(self.ranks), np.zeros(self.ranks)
            for capacity, end in ((receive, head), (send, tail)):
                np.maximum.at(capacity, end[end >= 0], topology.bandwidth[end >= 0])
        elif self.ranks <= FEW // 2:
            pairs = [
                [topology.route_bandwidth(s, d) if s != d else 0.0 for d in range(self.ranks)]
                for s in range(self.ranks)
            ]
            receive, send = np.max(pairs, axis=0), np.max(pairs, axis=1)
        else:
            receive, send = self._at_ranks(head), self._at_ranks(tail)
        return Ports(receive, send, receive + send, heard, telling)

    def _at_ranks(self, *ends: Indices) -> Floats:
        """Return the bandwidths of the links that end at each rank, together."""
        topology = self.topology
        rank, channel = np.concatenate(ends), np.tile(topology.channel, len(ends))
        # Not np.unique, which imports numpy.ma: that takes longer than a small run.
        both = np.sort((rank * len(channel) + channel)[rank >= 0])
        there, used = np.divmod(both[np.diff(both, prepend=-1) > 0], max(1, len(channel)))
        capacity = np.where(topology.fatpipe, np.inf, topology.bandwidth)
        total = np.bincount(there, weights=capacity[used], minlength=self.ranks)
        return total.astype(np.float64)

    @cached_property
    def _latencies(self) -> tuple[Floats, Floats]:
        """A latency that no message to, and from, each rank undercuts: its last link, and any other rank's first."""
        latency, (tail, head) = self.topology.latency, self._ends
        found = []
        for here, there in ((head, tail), (tail, head)):
            other = latency[there >= 0].min(initial=np.inf)
            least = np.full(self.ranks, np.inf)
            ours = here >= 0
            np.minimum.at(least, here[ours], latency[ours] + np.where(there[ours] >= 0, 0.0, other))
            found.append(least)
        return found[0], found[1]

    @cached_property
    def least_latency(self) -> float:
        """A latency that no message undercuts."""
        return float(self._latencies[0].min())

    # Who is far from whom

    def far_apart(self, demand: Demand) -> list[tuple[int, int, float]]:
        """Return pairs (rank, one that must hear of it, least latency between them) that are far apart.

        With few ranks the farthest for each rank; else a few pairs, found by going to the farthest rank and back.
        """
        if self.ranks <= FEW:
            rows = ((src, demand.hearing(src)) for src in range(self.ranks))
            return [self._farthest(src, row, reverse=False) for src, row in rows if row.any()]
        src = int(np.argmax(demand.hearing.speakers))
        found = []
        for _ in range(2):
            if not (row := demand.hearing(src)).any():
                break
            found.append(self._farthest(src, row, reverse=False))
            dst = found[-1][1]
            found.append(self._farthest(dst, demand.hearing.by(dst), reverse=True))
            src = found[-1][0]
        return found

    def _farthest(self, rank: int, others: Bools, *, reverse: bool) -> tuple[int, int, float]:
        if (rank, reverse) not in self._distances:
            self._distances[rank, reverse] = self._from(rank, self.topology.latency, reverse=reverse)
        away = np.where(others, self._distances[rank, reverse], -1.0)
        other = int(np.argmax(away))
        return (other, rank, float(away[other])) if reverse else (rank, other, float(away[other]))

    def _from(self, rank: int, length: Floats, *, reverse: bool = False) -> Floats:
        """Return the distances of all ranks from one, or to it."""
        if len(length) <= _SHORT:  # arrays would take longer
            return np.array(self._way([rank], length.tolist(), reverse)[: self.ranks])
        return self.topology.distances(rank, length, reverse=reverse)[: self.ranks]

    def _latency_from(self, inside: Bools) -> float:
        """Return the least latency from any rank of a set to any other rank."""
        latency, ranks, others = self.topology.latency, np.flatnonzero(inside), np.flatnonzero(~inside)
        if len(latency) <= _SHORT:
            return self._way(ranks.tolist(), latency.tolist(), until=~inside)[-1]
        return float(self.topology.distances(ranks, latency, until=others)[others].min())

    def _way(
        self, sources: Iterable[int], length: Sequence[float], reverse: bool = False, until: Bools | None = None
    ) -> list[float]:
        """Return the length of the shortest way from any source to every node (E. W. Dijkstra, 1959).

        It stops at the first rank of `until`, whose distance is then the last of the list.
        """
        _, onward, back = self.topology.indexed
        steps = back if reverse else onward
        away = [math.inf] * len(steps)
        for source in sources:
            away[source] = 0.0
        heap = [(0.0, source) for source in sources]
        while heap:
            far, node = heapq.heappop(heap)
            if far > away[node]:
                continue
            if until is not None and node < self.ranks and until[node]:
                return [far]
            for number, other in steps[node]:
                reached = far + length[number]
                if reached < away[other]:
                    away[other] = reached
                    heapq.heappush(heap, (reached, other))
        return away

    # What is known of all cuts without looking for one

    @cached_property
    def narrowest(self) -> float:
        """Bytes per second that every set of nodes which parts two ranks can send at least; media are left out.

        Of a lattice: a set that parts two ranks either parts a row of every place of the other dimensions, or there
        are whole rows inside it or outside it of both; then it parts a row of each (as by J. Xu and C. Yang,
        Connectivity of Cartesian product graphs, Discrete Mathematics 306, 2006). Of any other network: one link
        leaves the set, of those fast links that suffice to reach all ranks from each other.
        """
        lattice = self.topology.lattice
        if lattice is not None:
            return lattice.narrowest
        speed = np.where(self.topology.fatpipe, np.inf, self.topology.bandwidth)
        speeds = sorted(set(speed.tolist()))
        low, high = 0, len(speeds)  # all are reached over links of speeds[low], if at all, and not over speeds[high]
        while high - low > 1:
            middle = (low + high) // 2
            if self._all_reached(speed >= speeds[middle]):
                low = middle
            else:
                high = middle
        return float(speeds[low]) if self._all_reached(speed >= speeds[low]) else 0.0

    def _all_reached(self, usable: Bools) -> bool:
        """Return whether all ranks reach each other over the usable links."""
        length = np.where(usable, 0.0, np.inf)
        ways = (self.topology.distances(0, length, reverse=reverse)[: self.ranks] for reverse in (False, True))
        return all(bool(np.isfinite(way).all()) for way in ways)

    def bare_is_smallest(self, parts: Sequence[Bools]) -> bool:
        """Return whether no cut around a rank that is alone in its part is known to be smaller than its own links."""
        alone = [int(np.argmax(part)) for part in parts if part.sum() == 1]
        return all(max(self.ports.send[rank], self.ports.receive[rank]) <= self.narrowest for rank in alone)

    @cached_property
    def fair(self) -> float:
        """Bytes per second c, such that any m ranks can send m c to the others if these are as many; 0: not known."""
        lattice = self.topology.lattice
        return 0.0 if lattice is None else lattice.fair

    @cached_property
    def across(self) -> float:
        """Seconds within which any set of ranks can reach some rank outside it."""
        lattice = self.topology.lattice
        if lattice is not None:
            return lattice.next_rank
        latency = self.topology.latency
        return max(float(self._from(0, latency, reverse=reverse).max()) for reverse in (False, True))

    @cached_property
    def two_way(self) -> bool:
        """Whether links are in pairs, equally fast both ways."""
        topology, ends = self.topology, self.topology.ends
        there, back = np.lexsort((topology.bandwidth, *ends)), np.lexsort((topology.bandwidth, *ends[::-1]))
        same = (topology.bandwidth[there] == topology.bandwidth[back]).all()
        return bool(same and all((ends[i][there] == ends[1 - i][back]).all() for i in (0, 1)))

    # Cuts

    def tightest(self, question: Supply) -> Side | None:
        """Return the tightest cut for data that some ranks must get; None if nothing must cross one."""
        if question not in self._answers:
            topology = self.topology
            cut = tightest_cut(topology, question.weights, question.targets, reverse=question.reverse, work=self.work)
            self._answers[question] = self._side(cut)
        return self._answers[question]

    def _side(self, cut: Cut) -> Side | None:
        topology = self.topology
        mask = np.array([rank in cut.inside for rank in range(self.ranks)], dtype=bool)
        if mask.all() or not mask.any():
            return None
        leaving, entering = (crossing_links(topology, cut.inside, reverse=reverse) for reverse in (False, True))
        out, into, both = (channel_capacity(topology, links) for links in (leaving, entering, [*leaving, *entering]))
        return Side(
            cut,
            mask,
            (out, into, both),
            out=_figure(out),
            into=_figure(into),
            both=_figure(both),
            latency_out=self._latency_from(mask),
            latency_into=self._latency_from(~mask),
        )

    @cached_property
    def sides(self) -> list[Side]:
        """Cuts to try whatever the collective is: around groups, clusters, halves, and with few ranks each alone."""
        budget = None if self.work is None else Budget(self.work)
        ways = (False,) if is_symmetric(self.topology) else (False, True)
        found: list[Side] = []
        seen: set[bytes] = set()
        for mask in self._sets_to_try():
            small = mask if 2 * mask.sum() <= self.ranks else ~mask
            if small.tobytes() in seen or not small.any() or (~small).tobytes() in seen:
                continue
            seen.add(small.tobytes())
            for reverse in ways:
                inner, outer = np.flatnonzero(small).tolist(), np.flatnonzero(~small).tolist()
                cut = smallest_cut(self.topology, inner, outer, reverse=reverse, budget=budget)
                if cut is None:
                    return found
                side = self._side(cut)
                if side is not None:
                    found.append(side)
        return found

    def _sets_to_try(self) -> Iterator[Bools]:
        for parts in self.groupings:
            yield from parts
        rank = np.arange(self.ranks)
        for period in range(2, self.ranks + 1):
            if self.ranks % period == 0 or period == self.ranks:
                yield rank % period < period // 2
        order = np.argsort(self._from(0, np.ones(len(self.topology.links))), kind="stable")
        yield np.isin(rank, order[: self.ranks // 2])
        if self.ranks <= FEW:
            yield from np.eye(self.ranks, dtype=bool)

    @cached_property
    def groupings(self) -> list[list[Bools]]:
        """Ways to divide the ranks into sets: the network's groups, and what hangs together by its faster links."""
        topology = self.topology
        found = [topology.group_of[: self.ranks]]
        speeds = sorted(set(np.where(topology.fatpipe, np.inf, topology.bandwidth).tolist()))
        found += [self._clusters(speed) for speed in speeds[:-1][:8]]
        groupings: list[list[Bools]] = []
        for part_of in found:
            parts = np.flatnonzero(np.bincount(part_of)).tolist()
            if 1 < len(parts) <= min(FEW, self.ranks - 1):
                groupings.append([part_of == part for part in parts])
        return groupings

    def _clusters(self, speed: float) -> Indices:
        """Return numbers of the ranks' sets: those joined by links faster than `speed`, in order of the first ranks."""
        topology = self.topology
        fast = topology.fatpipe | (topology.bandwidth > speed)
        tails, heads = (end[fast] for end in topology.ends)
        least = np.arange(topology.ranks + len(topology.switches))  # of the nodes known to be in the same set
        while True:  # as by Y. Shiloach and U. Vishkin: sets join, and all in them point to the least of theirs
            near = np.minimum(least[tails], least[heads])
            joined = least.copy()
            for ends in (tails, heads):
                np.minimum.at(joined, least[ends], near)
            while (joined[joined] != joined).any():
                joined = joined[joined]
            if (joined == least).all():
                return least[: self.ranks]
            least = joined

    @cached_property
    def partitions(self) -> list[Partition]:
        """Ways to divide the ranks, every rank alone among them, with what the links between the parts carry."""
        around: dict[bytes, Iterable[Node]] = {}
        for side in self.sides:
            around[(~side.mask).tobytes()] = self._numbers.keys() - side.cut.inside
        around.update((side.mask.tobytes(), side.cut.inside) for side in self.sides)
        found = []
        for parts in self.groupings:
            bare = [np.flatnonzero(part).tolist() for part in parts]
            closed = [around.get(part.tobytes(), inside) for part, inside in zip(parts, bare, strict=True)]
            for reverse in (False, True):
                links = {i for inside in closed for i in crossing_links(self.topology, inside, reverse=reverse)}
                found += self._partition(parts, links)
        return [*found, *self._alone_in(around), *self.alone]

    def _alone_in(self, around: Mapping[bytes, Iterable[Node]]) -> list[Partition]:
        """Return every rank as a part of its own, within the smallest cut around it where one is known."""
        parts = self._each
        known = {rank: around[part.tobytes()] for rank, part in enumerate(parts) if part.tobytes() in around}
        if all(set(inside) == {rank} for rank, inside in known.items()):
            return []  # then they are those of `alone`
        others = np.ones(self.ranks, dtype=bool)
        others[list(known)] = False
        found = []
        for reverse in (False, True):
            links = self._links_of(others, reverse=reverse)
            for inside in known.values():
                links.update(crossing_links(self.topology, inside, reverse=reverse))
            found += self._partition(parts, links)
        return found

    @cached_property
    def alone(self) -> list[Partition]:
        """Every rank as a part of its own.

        The smallest cuts around the ranks one by one need not be the smallest together.
        """
        everyone = np.ones(self.ranks, dtype=bool)
        ways = [self._links_of(everyone, reverse=reverse) for reverse in (False, True)]
        return [partition for links in ways for partition in self._partition(self._each, links)]

    @cached_property
    def _each(self) -> list[Bools]:
        return list(np.eye(self.ranks, dtype=bool)) if self.ranks <= 4096 else []

    def _links_of(self, ranks: Bools, *, reverse: bool) -> set[int]:
        """Return the links that leave any of these ranks, or that enter it."""
        tail, head = self._ends
        end = head if reverse else tail
        crosses = (end >= 0) & (tail != head)
        crosses[crosses] = ranks[end[crosses]]
        return set(np.flatnonzero(crosses).tolist()) if self._each else set()

    def _partition(self, parts: list[Bools], links: Iterable[int]) -> list[Partition]:
        numbers = sorted(links)
        capacity = channel_capacity(self.topology, numbers) if parts else None
        if capacity is None:
            return []
        return [Partition(parts, numbers, capacity, float(capacity), self.least_latency)]

    # Distances

    @cached_property
    def metrics(self) -> list[tuple[Metric, str]]:
        """Distances over links of length 1, and over links as long as they are slow; none with many ranks or media."""
        links = self.topology.links
        if self.ranks > FEW or any(link.fatpipe or link.medium is not None for link in links):
            return []
        speed = [link.bandwidth for link in links]
        carried = f"each byte needs every link of its way, and all links together carry {format_bandwidth(sum(speed))}"
        found = [(self._metric([1.0] * len(links), math.fsum(speed)), carried)]
        if len(set(speed)) > 1:
            busy = "each byte keeps every link of its way busy, slow ones longer, and there are only so many links"
            found.append((self._metric([1 / each for each in speed], float(len(links))), busy))
        return found

    def _metric(self, length: list[float], capacity: float) -> Metric:
        distance = [self._way([rank], length)[: self.ranks] for rank in range(self.ranks)]
        return Metric(np.array(distance), capacity)


_KNOWN: WeakKeyDictionary[Topology, dict[tuple[int, int | None], Limits]] = WeakKeyDictionary()


def _figure(capacity: Fraction | None) -> float:
    return math.inf if capacity is None else float(capacity)


def crossing_in_words(inside: Bools, size: str, capacity: float, leaves: bool | None) -> str:
    """Return in words what must cross a cut; named by the smaller side."""
    smaller = bool(2 * inside.sum() <= len(inside))
    who = name_ranks(np.flatnonzero(inside if smaller else ~inside).tolist())
    rate = format_bandwidth(capacity)
    if leaves is None:
        return f"{size} must enter and leave {who} over {rate} that both directions share"
    return f"{size} must {'leave' if leaves == smaller else 'enter'} {who} over {rate}"


def exchange_in_words(partition: Partition, ranks: int, size: str) -> str:
    """Return in words what the parts of a partition must send each other."""
    number = len(partition.parts)
    who = "all ranks" if number == ranks else f"{number} groups of ranks"
    return f"{who} must send each other {size} over {format_bandwidth(partition.capacity)} in all"


def name_ranks(ranks: Sequence[int], most: int = 4) -> str:
    """Return ranks in words, neighbours as ranges.

    Examples
    --------
    >>> name_ranks([3]), name_ranks([0, 1, 2, 3, 8, 9]), name_ranks(range(0, 64, 2))
    ('rank 3', 'ranks 0-3, 8, 9', 'ranks 0, 2, 4, 6, ... (32 ranks)')
    """
    runs: list[list[int]] = []
    for rank in ranks:
        if runs and rank == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], rank]
        else:
            runs.append([rank])
    words: list[str] = []
    for run in runs:
        words += [str(r) for r in run] if run[-1] - run[0] < 2 else [f"{run[0]}-{run[-1]}"]
    if len(words) > most + 2:
        words = [*words[:most], f"... ({len(ranks)} ranks)"]
    return f"rank{'s' * (len(ranks) != 1)} {', '.join(words)}"
