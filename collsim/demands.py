"""What each collective asks of its ranks, whatever the algorithm: bytes that come, go and cross, and who hears of whom.

One table, `DEMANDS`. What that costs on a network is in `collsim.bounds`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from collsim.collectives import Bools, Collective, root_of
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
    hearing : callable
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
    """

    receive: Floats
    send: Floats
    received: str
    sent: str
    leaving: Callable[[Bools], float]
    hearing: Callable[[int], Bools]
    moved: str = "(K-1)n bytes"
    among: Callable[[Sequence[Bools]], float] | None = None
    added: float = 0.0
    sums: str = "(K-1)n bytes"
    traffic: Floats | None = None
    taking_part: Bools = field(default_factory=lambda: np.ones(0, dtype=bool))

    def __post_init__(self) -> None:
        if not len(self.taking_part):
            object.__setattr__(self, "taking_part", np.ones(len(self.receive), dtype=bool))

    @cached_property
    def total(self) -> float:
        """What all messages must have together, in bytes."""
        singles = max(float(self.receive.sum()), float(self.send.sum()))
        return singles if self.among is None else max(singles, self.among(list(np.eye(len(self.receive), dtype=bool))))

    def between(self, parts: Sequence[Bools]) -> float:
        """Return what all messages between these sets of ranks must have together, in bytes."""
        if len(parts) == len(self.receive) and all(part.sum() == 1 for part in parts):
            return self.total  # every rank alone: what each must move is known, and there may be many
        crossing = max(sum(self.leaving(part) for part in parts), sum(self.leaving(~part) for part in parts))
        return crossing if self.among is None else max(crossing, self.among(parts))


# size(chunks) is what each chunk has in bytes when a vector is cut into so many.
Size = Callable[[int], Floats]
_OTHERS, _OWN = "all parts but its own", "its own part"


def _all(ranks: int) -> Callable[[int], Bools]:
    """Everybody must hear of everybody else."""
    return lambda rank: np.arange(ranks) != rank


def _of_root(collective: Collective, ranks: int) -> Callable[[int], Bools]:
    root = _root(collective, ranks)
    return lambda rank: ~root & root[rank]


def _at_root(collective: Collective, ranks: int) -> Callable[[int], Bools]:
    root = _root(collective, ranks)
    return lambda rank: root & ~root[rank]


def _all_reduce(collective: Collective, ranks: int, size: Size) -> Demand:
    n = size(1).repeat(ranks)

    def leaving(inside: Bools) -> float:
        return float(n[0]) if inside.any() and not inside.all() else 0.0

    def among(parts: Sequence[Bools]) -> float:
        return 2.0 * (int(np.any(parts, axis=1).sum()) - 1) * float(n[0])

    words = ("n bytes", "n bytes")
    return Demand(n, n, *words, leaving, _all(ranks), "2(K-1)n bytes", among, added=(ranks - 1) * n[0])


def _reduce(collective: Collective, ranks: int, size: Size) -> Demand:
    n, root = size(1)[0], _root(collective, ranks)

    def leaving(inside: Bools) -> float:
        return float(n) if inside.any() and not (inside & root).any() else 0.0

    words = ("n bytes", "n bytes")
    return Demand(root * n, ~root * n, *words, leaving, _at_root(collective, ranks), added=(ranks - 1) * n)


def _broadcast(collective: Collective, ranks: int, size: Size) -> Demand:
    n, root = size(1)[0], _root(collective, ranks)

    def leaving(inside: Bools) -> float:
        return float(n) if not inside.all() and (inside & root).any() else 0.0

    return Demand(~root * n, root * n, "n bytes", "n bytes", leaving, _of_root(collective, ranks))


def _all_gather(collective: Collective, ranks: int, size: Size) -> Demand:
    part = size(ranks)

    def leaving(inside: Bools) -> float:
        return 0.0 if inside.all() else float(part[inside].sum())

    return Demand(part.sum() - part, part, _OTHERS, _OWN, leaving, _all(ranks))


def _reduce_scatter(collective: Collective, ranks: int, size: Size) -> Demand:
    part = size(ranks)

    def leaving(inside: Bools) -> float:
        return float(part[~inside].sum()) if inside.any() else 0.0

    added = (ranks - 1) * part.sum()
    return Demand(part, part.sum() - part, _OWN, _OTHERS, leaving, _all(ranks), added=added)


def _gather(collective: Collective, ranks: int, size: Size) -> Demand:
    part, root = size(ranks), _root(collective, ranks)

    def leaving(inside: Bools) -> float:
        return 0.0 if (inside & root).any() else float(part[inside].sum())

    receive, send, words = root * (part.sum() - part), ~root * part, "all parts but the root's"
    return Demand(receive, send, _OTHERS, _OWN, leaving, _at_root(collective, ranks), words)


def _scatter(collective: Collective, ranks: int, size: Size) -> Demand:
    part, root = size(ranks), _root(collective, ranks)

    def leaving(inside: Bools) -> float:
        return float(part[~inside].sum()) if (inside & root).any() else 0.0

    receive, send, words = ~root * part, root * (part.sum() - part), "all parts but the root's"
    return Demand(receive, send, _OWN, _OTHERS, leaving, _of_root(collective, ranks), words)


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

    def hearing(src: int) -> Bools:
        heard: Bools = moves & (rank == to[src])
        return heard

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
    return Demand(receive, send, "n bytes", "n bytes", leaving, lambda src: rank > src, added=added)


def _exscan(collective: Collective, ranks: int, size: Size) -> Demand:
    # As a scan, but that the longest sum has one term less.
    scan = _scan(collective, ranks, size)
    added = (ranks - 2) * size(1)[0]
    words = ("n bytes", "n bytes")
    return Demand(scan.receive, scan.send, *words, scan.leaving, scan.hearing, added=added, sums="(K-2)n bytes")


def _barrier(collective: Collective, ranks: int, size: Size) -> Demand:
    nothing = np.zeros(ranks)
    return Demand(nothing, nothing, "a message", "a message", lambda inside: 0.0, _all(ranks), "messages")


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

    def hearing(rank: int) -> Bools:
        heard = np.zeros(ranks, dtype=bool)
        for members, demand in parts:
            for position in np.flatnonzero(members == rank).tolist():
                heard[members] |= demand.hearing(position)
        return heard

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
        hearing,
        "all that the groups must move",
        among,
        added=added,
        sums="all terms of all groups",
        traffic=traffic,
        taking_part=taking_part,
    )


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
