"""What each collective asks of its ranks, whatever the algorithm: bytes that come, go and cross, and who hears of whom.

One table, `DEMANDS`. What that costs on a network is in `collsim.bounds`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from collsim.collectives import Bools, Collective, Indices, root_of
from collsim.groups import GroupedCollective
from collsim.schedule import Floats


class Supply(NamedTuple):
    """Bytes that certain ranks must get from all others: the question that `collsim.cuts.tightest_cut` answers.

    Attributes
    ----------
    weights : tuple of int
        What each rank has, in proportion.
    targets : tuple of int
        Who needs all of it.
    reverse : bool
        Whether it is the other way round: what each rank needs, and who has something for all of it.
    """

    weights: tuple[int, ...]
    targets: tuple[int, ...]
    reverse: bool


@dataclass(frozen=True, eq=False)
class Hearing:
    """Who cannot be finished without having heard of whom.

    Attributes
    ----------
    of, by : callable
        ``of(rank)`` returns booleans of shape (ranks,): who must hear of `rank`; ``by(rank)`` those of whom it must.
    counts : callable
        ``counts()`` returns two arrays of int, shape (ranks,): how many must hear of each rank, and of how many each
        rank must. Asked for once, instead of a row a rank.
    speakers : ndarray of bool, shape (ranks,)
        Of whom anybody must hear.
    """

    of: Callable[[int], Bools]
    by: Callable[[int], Bools]
    counts: Callable[[], tuple[Indices, Indices]]
    speakers: Bools

    def __call__(self, rank: int) -> Bools:
        """Return who must hear of a rank."""
        return self.of(rank)


@dataclass(frozen=True, eq=False)
class Demand:
    """What a collective asks of its ranks, whatever the algorithm; in bytes, and in words for people.

    Attributes
    ----------
    receive, send : ndarray of float, shape (ranks,)
        What each rank must receive and send at least.
    received, sent : str
        The same in words.
    leaving : callable
        ``leaving(inside)``, for booleans of shape (ranks,), returns what ranks inside must at least send to ranks
        outside, together.
    hearing : Hearing
        ``hearing(rank)`` returns booleans of shape (ranks,): who cannot be finished without having heard of `rank`.
    moved : str
        What all messages must have together, in words.
    among : callable, optional
        ``among(parts)``, for a list of disjoint sets of ranks as booleans, returns what all messages between
        different sets must have together. Default: the larger of what must leave, and enter, each of them.
    added : float
        Bytes that must be added.
    sums : str
        The same in words.
    traffic : ndarray of float, shape (ranks, ranks), optional
        What each rank has for each other alone, where nothing else is asked for.
    taking_part : ndarray of bool, shape (ranks,), optional
        Which ranks must receive or send a message, be it one without bytes. Default: all.
    together : float, optional
        What `among` returns if every rank is a set of its own, where that is known without asking for so many sets.
    most : float
        No set of ranks must send the others more than that.
    """

    receive: Floats
    send: Floats
    received: str
    sent: str
    leaving: Callable[[Bools], float]
    hearing: Hearing
    moved: str = "(K-1)n bytes"
    among: Callable[[Sequence[Bools]], float] | None = None
    added: float = 0.0
    sums: str = "(K-1)n bytes"
    traffic: Floats | None = None
    taking_part: Bools = field(default_factory=lambda: np.ones(0, dtype=bool))
    together: float | None = None
    most: float = math.inf

    def __post_init__(self) -> None:
        if not len(self.taking_part):
            object.__setattr__(self, "taking_part", np.ones(len(self.receive), dtype=bool))

    @cached_property
    def total(self) -> float:
        """What all messages must have together, in bytes."""
        singles = max(float(self.receive.sum()), float(self.send.sum()))
        if self.together is not None:
            return max(singles, self.together)
        return singles if self.among is None else max(singles, self.among(list(np.eye(len(self.receive), dtype=bool))))

    def between(self, parts: Sequence[Bools]) -> float:
        """Return what all messages between these disjoint sets of ranks, none of them empty, must have together."""
        if len(parts) == len(self.receive):
            return self.total  # every rank alone: what each must move is known, and there may be many
        crossing = max(sum(self.leaving(part) for part in parts), sum(self.leaving(~part) for part in parts))
        return crossing if self.among is None else max(crossing, self.among(parts))


# size(chunks) is what each chunk has in bytes when a vector is cut into so many.
Size = Callable[[int], Floats]
_OTHERS, _OWN = "all parts but its own", "its own part"


def _all(ranks: int) -> Hearing:
    """Everybody must hear of everybody else."""

    def others(rank: int) -> Bools:
        apart: Bools = np.arange(ranks) != rank
        return apart

    def counts() -> tuple[Indices, Indices]:
        number = np.full(ranks, ranks - 1)
        return number, number

    return Hearing(others, others, counts, np.full(ranks, ranks > 1))


def _from_to(senders: Bools, receivers: Bools) -> Hearing:
    """All of some must be heard of by all of some others."""

    def of(rank: int) -> Bools:
        heard: Bools = receivers & senders[rank]
        return heard

    def by(rank: int) -> Bools:
        heard: Bools = senders & receivers[rank]
        return heard

    def counts() -> tuple[Indices, Indices]:
        return senders * receivers.sum(), receivers * senders.sum()

    return Hearing(of, by, counts, senders & receivers.any())


def _of_root(collective: Collective, ranks: int) -> Hearing:
    root = _root(collective, ranks)
    return _from_to(root, ~root)


def _at_root(collective: Collective, ranks: int) -> Hearing:
    root = _root(collective, ranks)
    return _from_to(~root, root)


def _all_reduce(collective: Collective, ranks: int, size: Size) -> Demand:
    n = size(1).repeat(ranks)

    def leaving(inside: Bools) -> float:
        return float(n[0]) if inside.any() and not inside.all() else 0.0

    def among(parts: Sequence[Bools]) -> float:
        return 2.0 * (int(np.any(parts, axis=1).sum()) - 1) * float(n[0])

    return Demand(
        n,
        n,
        "n bytes",
        "n bytes",
        leaving,
        _all(ranks),
        "2(K-1)n bytes",
        among,
        added=(ranks - 1) * n[0],
        together=2.0 * (ranks - 1) * float(n[0]),
        most=float(n[0]),
    )


def _reduce(collective: Collective, ranks: int, size: Size) -> Demand:
    n, root = size(1)[0], _root(collective, ranks)

    def leaving(inside: Bools) -> float:
        return float(n) if inside.any() and not (inside & root).any() else 0.0

    words = ("n bytes", "n bytes")
    hearing, added = _at_root(collective, ranks), (ranks - 1) * n
    return Demand(root * n, ~root * n, *words, leaving, hearing, added=added, most=float(n))


def _broadcast(collective: Collective, ranks: int, size: Size) -> Demand:
    n, root = size(1)[0], _root(collective, ranks)

    def leaving(inside: Bools) -> float:
        return float(n) if not inside.all() and (inside & root).any() else 0.0

    hearing = _of_root(collective, ranks)
    return Demand(~root * n, root * n, "n bytes", "n bytes", leaving, hearing, most=float(n))


def _all_gather(collective: Collective, ranks: int, size: Size) -> Demand:
    part = size(ranks)

    def leaving(inside: Bools) -> float:
        return 0.0 if inside.all() else float(part[inside].sum())

    receive = part.sum() - part
    return Demand(receive, part, _OTHERS, _OWN, leaving, _all(ranks), most=float(receive.max()))


def _reduce_scatter(collective: Collective, ranks: int, size: Size) -> Demand:
    part = size(ranks)

    def leaving(inside: Bools) -> float:
        return float(part[~inside].sum()) if inside.any() else 0.0

    added, send = (ranks - 1) * part.sum(), part.sum() - part
    return Demand(part, send, _OWN, _OTHERS, leaving, _all(ranks), added=added, most=float(send.max()))


def _gather(collective: Collective, ranks: int, size: Size) -> Demand:
    part, root = size(ranks), _root(collective, ranks)

    def leaving(inside: Bools) -> float:
        return 0.0 if (inside & root).any() else float(part[inside].sum())

    receive, send, words = root * (part.sum() - part), ~root * part, "all parts but the root's"
    return Demand(receive, send, _OTHERS, _OWN, leaving, _at_root(collective, ranks), words, most=float(receive.max()))


def _scatter(collective: Collective, ranks: int, size: Size) -> Demand:
    part, root = size(ranks), _root(collective, ranks)

    def leaving(inside: Bools) -> float:
        return float(part[~inside].sum()) if (inside & root).any() else 0.0

    receive, send, words = ~root * part, root * (part.sum() - part), "all parts but the root's"
    return Demand(receive, send, _OWN, _OTHERS, leaving, _of_root(collective, ranks), words, most=float(send.max()))


def _all_to_all(collective: Collective, ranks: int, size: Size) -> Demand:
    block = size(ranks * ranks).reshape(ranks, ranks) * ~np.eye(ranks, dtype=bool)

    def leaving(inside: Bools) -> float:
        return float(block[inside][:, ~inside].sum())

    words = ("what all others have for it", "what it has for all others")
    return Demand(
        block.sum(axis=0),
        block.sum(axis=1),
        *words,
        leaving,
        _all(ranks),
        "all blocks that are for others",
        traffic=block,
    )


def _send_recv(collective: Collective, ranks: int, size: Size) -> Demand:
    collective.outputs(ranks, ranks, 0)  # raises if `to` is no permutation of these ranks
    rank = np.arange(ranks)
    to = np.asarray(collective.options.get("to", (rank + 1) % ranks))
    moves = to != rank
    n = size(ranks) * moves  # who keeps its own vector gets nobody else's: `to` is a permutation

    def leaving(inside: Bools) -> float:
        return float(n[inside & ~inside[to]].sum())

    def of(src: int) -> Bools:
        heard: Bools = moves & (rank == to[src])
        return heard

    def by(dst: int) -> Bools:
        heard: Bools = moves & (to == dst)
        return heard

    hearing = Hearing(of, by, lambda: (moves.astype(np.int64), moves.astype(np.int64)), moves)
    traffic = n[:, None] * (to[:, None] == rank)
    words = ("n bytes", "n bytes", leaving, hearing, "all vectors that move")
    return Demand(n, n, *words, traffic=traffic, taking_part=moves)


def _scan(collective: Collective, ranks: int, size: Size) -> Demand:
    n, rank = size(1)[0], np.arange(ranks)

    def leaving(inside: Bools) -> float:
        crosses = (
            inside.any() and not inside.all() and int(np.argmax(inside)) < ranks - 1 - int(np.argmin(inside[::-1]))
        )
        return float(n) if crosses else 0.0

    added, receive, send = (ranks - 1) * n, (rank > 0) * n, (rank < ranks - 1) * n
    counts = ranks - 1 - rank, rank
    hearing = Hearing(lambda src: rank > src, lambda dst: rank < dst, lambda: counts, counts[0] > 0)
    return Demand(receive, send, "n bytes", "n bytes", leaving, hearing, added=added, most=float(n))


def _exscan(collective: Collective, ranks: int, size: Size) -> Demand:
    # As a scan, but that the longest sum has one term less.
    scan = _scan(collective, ranks, size)
    added = (ranks - 2) * size(1)[0]
    words = ("n bytes", "n bytes")
    return Demand(
        scan.receive,
        scan.send,
        *words,
        scan.leaving,
        scan.hearing,
        added=added,
        sums="(K-2)n bytes",
        most=scan.most,
    )


def _barrier(collective: Collective, ranks: int, size: Size) -> Demand:
    nothing = np.zeros(ranks)
    return Demand(nothing, nothing, "a message", "a message", lambda inside: 0.0, _all(ranks), "messages", most=0.0)


DEMANDS: dict[str, Callable[[Collective, int, Size], Demand]] = {
    "all_reduce": _all_reduce,
    "reduce": _reduce,
    "broadcast": _broadcast,
    "all_gather": _all_gather,
    "all_gatherv": _all_gather,
    "reduce_scatter": _reduce_scatter,
    "reduce_scatterv": _reduce_scatter,
    "gather": _gather,
    "gatherv": _gather,
    "scatter": _scatter,
    "scatterv": _scatter,
    "all_to_all": _all_to_all,
    "all_to_allv": _all_to_all,
    "send_recv": _send_recv,
    "scan": _scan,
    "exscan": _exscan,
    "barrier": _barrier,
}


def _root(collective: Collective, ranks: int) -> Bools:
    root: Bools = np.arange(ranks) == root_of(collective, ranks)
    return root


def demand_of(collective: Collective, ranks: int, nbytes: float, itemsize: int | None = None) -> Demand | None:
    """Return what a collective asks of its ranks; None if nothing is known of it.

    Parameters
    ----------
    collective : Collective
        What must be done.
    ranks : int
        Number of ranks.
    nbytes : float
        Size of the vector in bytes.
    itemsize : int, optional
        Bytes of one element, if vectors are cut between elements only.

    Raises
    ------
    InputError
        If the root, `to` or the counts of the collective are not for so many ranks.

    Examples
    --------
    >>> from collsim.collectives import all_gather
    >>> demand_of(all_gather(), 4, 12.0).receive.tolist()
    [9.0, 9.0, 9.0, 9.0]
    """
    if isinstance(collective, GroupedCollective):
        return _demand_of_groups(collective, ranks, nbytes / collective.vectors, itemsize)
    if collective.name not in DEMANDS:
        return None

    def size(chunks: int) -> Floats:
        if itemsize is None:
            return np.asarray(collective.shares(ranks, chunks) * nbytes, dtype=np.float64)
        return np.asarray(collective.cut(ranks, chunks, int(nbytes) // itemsize) * itemsize, dtype=np.float64)

    return DEMANDS[collective.name](collective, ranks, size)


def _demand_of_groups(collective: GroupedCollective, ranks: int, nbytes: float, itemsize: int | None) -> Demand | None:
    receive, send, taking_part = np.zeros(ranks), np.zeros(ranks), np.zeros(ranks, dtype=bool)
    added = 0.0
    parts: list[tuple[Any, Demand]] = []
    for part, members, _ in collective.parts:
        demand = demand_of(part, len(members), nbytes, itemsize)
        if demand is None:
            return None
        if len(members) > 1:
            receive[members] += demand.receive
            send[members] += demand.send
            taking_part[members] |= demand.taking_part
            added += demand.added
            parts.append((members, demand))

    def among(sets: Sequence[Bools]) -> float:
        return sum(demand.between([one[members] for one in sets if one[members].any()]) for members, demand in parts)

    traffic = None if any(demand.traffic is None for _, demand in parts) else np.zeros((ranks, ranks))
    if traffic is not None:
        for members, demand in parts:
            traffic[np.ix_(members, members)] += np.asarray(demand.traffic)

    return Demand(
        receive,
        send,
        "what its groups have for it",
        "what its groups need of it",
        lambda inside: sum(demand.leaving(inside[members]) for members, demand in parts),
        _hearing_in_groups(parts, ranks),
        "all that the groups must move",
        among,
        added=added,
        sums="all terms of all groups",
        traffic=traffic,
        taking_part=taking_part,
        together=sum(demand.total for _, demand in parts),
    )


def _hearing_in_groups(parts: Sequence[tuple[Any, Demand]], ranks: int) -> Hearing:
    """Return who must hear of whom in any of these groups, given by their members."""
    speakers = np.zeros(ranks, dtype=bool)
    within: dict[int, list[tuple[int, int]]] = {}  # rank -> groups, and its place in each
    for number, (members, demand) in enumerate(parts):
        speakers[members] |= demand.hearing.speakers
        for place, rank in enumerate(np.asarray(members).tolist()):
            within.setdefault(rank, []).append((number, place))

    def of(rank: int) -> Bools:
        heard = np.zeros(ranks, dtype=bool)
        for number, place in within.get(rank, ()):
            members, demand = parts[number]
            heard[members] |= demand.hearing.of(place)
        return heard

    def by(rank: int) -> Bools:
        heard = np.zeros(ranks, dtype=bool)
        for number, place in within.get(rank, ()):
            members, demand = parts[number]
            heard[members] |= demand.hearing.by(place)
        return heard

    def counts() -> tuple[Indices, Indices]:
        if any(len(places) > 1 for places in within.values()):  # who is heard of in two groups counts once
            table = np.stack([of(rank) for rank in range(ranks)])
            return table.sum(axis=1), table.sum(axis=0)
        found = np.zeros((2, ranks), dtype=np.int64)
        for members, demand in parts:
            found[:, members] = demand.hearing.counts()
        return found[0], found[1]

    return Hearing(of, by, counts, speakers)


def supplies(collective: Collective, ranks: int) -> list[Supply] | None:
    """Return the questions to `tightest_cut` whose answers are all the cuts that matter; None where they do not do.

    Where a rank's bytes are the same whoever they are for (or whoever they are from), the cut that is worst for a
    collective is found by maximum flows. Of an all_to_all, whose bytes all differ, it is the sparsest cut of the
    network: NP-hard, so there are only cuts to try (T. Leighton and S. Rao, Journal of the ACM 46(6), 1999).

    Examples
    --------
    >>> from collsim.collectives import broadcast
    >>> supplies(broadcast(root=1), 3)
    [Supply(weights=(0, 1, 0), targets=(0, 1, 2), reverse=False)]
    """
    everyone = tuple(range(ranks))
    root = root_of(collective, ranks)
    counts = tuple(collective.options.get("counts", [1] * ranks))
    of_root = tuple(int(rank == root) for rank in everyone)
    plain = collective.name.removesuffix("v")
    if plain in ("all_gather", "reduce_scatter"):
        return [Supply(counts, everyone, plain == "reduce_scatter")]
    if plain in ("gather", "scatter"):
        return [Supply(counts, (root,), plain == "scatter")]
    if plain in ("broadcast", "reduce"):
        return [Supply(of_root, everyone, plain == "reduce")]
    if plain == "all_reduce":  # a cut with rank 0 inside, or outside: all cuts that part two ranks
        return [Supply(of_root, everyone, reverse) for reverse in (False, True)]
    if plain in ("scan", "exscan"):
        # A set has a rank inside and a higher one outside if and only if this is so for two neighbours.
        return [Supply(tuple(int(r == rank) for r in everyone), (rank + 1,), False) for rank in range(ranks - 1)]
    return None


def whole_vector(collective: Collective, ranks: int) -> int:
    """Return a number of elements that can be cut into whole ones at every rank.

    Examples
    --------
    >>> from collsim.collectives import all_gather
    >>> whole_vector(all_gather(), 4), whole_vector(all_gather([3, 1, 0]), 3)
    (16, 4)
    """
    if isinstance(collective, GroupedCollective):
        raise TypeError("groups have vectors of their own")
    counts = collective.options.get("counts")
    return ranks * ranks if counts is None else int(np.max(np.sum(counts, axis=-1), initial=0))
