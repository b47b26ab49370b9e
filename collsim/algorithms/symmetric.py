"""The hops of the algorithms in which all ranks do the same: see `collsim.symmetric`.

A new one is a function here and a line in `SYMMETRIC`. It takes the number of ranks and the options of the algorithm
and returns chunks and phases, or None where ranks differ or an option is not one that it knows (the algorithm itself
then says what is wrong). The tests hold the messages of each to those of the schedule that the algorithm writes,
rank by rank in the same order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from collsim.algorithms.ring import _strides
from collsim.algorithms.swing import _rho, _rounds_of_blocks
from collsim.formulas import grid
from collsim.schedule import Op
from collsim.symmetric import MIRROR, SHIFT, XOR, Indices, Phase, joined

Found = tuple[int, Sequence[Phase]] | None
Hops = Callable[..., Found]


def _is_power(ranks: int) -> bool:
    return ranks & (ranks - 1) == 0


def _phase(ranks: int, by: ArrayLike, count: ArrayLike, op: Op, action: str = SHIFT) -> Phase:
    """Return a phase of one digit; `by` and `count` are one a step, or tables of shape (steps, hops)."""
    distance, chunks = np.asarray(by, dtype=np.int64), np.asarray(count, dtype=np.int64)
    if max(distance.ndim, chunks.ndim) == 1:
        distance, chunks = (np.reshape(column, (-1, 1)) for column in (distance, chunks))
    distance, chunks = np.broadcast_arrays(distance, chunks)
    return Phase((ranks,), (action,), distance[..., None], chunks, op)


def _equal(ranks: int, steps: int, by: ArrayLike, count: int, op: Op) -> Phase:
    """Return a phase of equal steps."""
    distances = np.atleast_1d(np.asarray(by, dtype=np.int64))
    shape = (steps, len(distances))
    return _phase(ranks, np.broadcast_to(distances, shape), np.broadcast_to(np.int64(count), shape), op)


def _distances(ranks: int) -> Indices:
    return 1 << np.arange((ranks - 1).bit_length(), dtype=np.int64)


# All-reduce


def _ring(ranks: int) -> Found:
    return ranks, [_equal(ranks, ranks - 1, 1, 1, Op.REDUCE), _equal(ranks, ranks - 1, 1, 1, Op.COPY)]


def _rings(ranks: int, strides: Sequence[int]) -> Found:
    return ranks * len(strides), [_equal(ranks, ranks - 1, strides, 1, op) for op in (Op.REDUCE, Op.COPY)]


def _bidirectional(ranks: int) -> Found:
    return _rings(ranks, [1, -1])


def _multi_ring(ranks: int, channels: Any) -> Found:
    if not _whole(channels):
        return None
    # The nearest strides are all that are used: to list all of them takes long for many ranks.
    strides = _strides(ranks) if ranks <= 64 else _nearest_strides(ranks, channels)
    return _rings(ranks, [strides[channel % len(strides)] for channel in range(channels)])


def _nearest_strides(ranks: int, number: int) -> list[int]:
    found: list[int] = []
    for stride in range(1, ranks // 2 + 1):
        if len(found) >= number:
            break
        if math.gcd(stride, ranks) == 1:
            found += [stride, ranks - stride]
    return found


def _segmented_ring(ranks: int, segments: Any) -> Found:
    if not _whole(segments):
        return None
    summing = _equal(ranks, segments * (ranks - 1), 1, 1, Op.REDUCE)
    return ranks * segments, [summing, _equal(ranks, ranks - 1, 1, segments, Op.COPY)]


def _direct(ranks: int) -> Found:
    return 1, [_equal(ranks, 1, -np.arange(1, ranks), 1, Op.REDUCE)]


def _recursive_doubling(ranks: int) -> Found:
    return (1, [_phase(ranks, _distances(ranks), 1, Op.REDUCE, XOR)]) if _is_power(ranks) else None


def _there_and_back(ranks: int, by: Indices, count: Indices, action: str) -> Sequence[Phase]:
    return [
        _phase(ranks, by, count, Op.REDUCE, action),
        _phase(ranks, by[::-1].copy(), count[::-1].copy(), Op.COPY, action),
    ]


def _halving_doubling(ranks: int, fold: Any) -> Found:
    if not _is_power(ranks) or fold not in ("mpich", "openmpi"):
        return None
    distances = _distances(ranks)
    return ranks, _there_and_back(ranks, distances, distances[::-1].copy(), XOR)


def _swings(ranks: int) -> Indices:
    return np.array([_rho(t) for t in range((ranks - 1).bit_length())], dtype=np.int64)


def _swing(ranks: int, form: Any) -> Found:
    if ranks % 2 and ranks > 1:
        return None
    if form == "latency":
        return (1, [_phase(ranks, _swings(ranks), 1, Op.REDUCE, MIRROR)]) if _is_power(ranks) else None
    if form != "bandwidth":
        return None
    rounds = _rounds_of_blocks(ranks)
    count = np.bincount(rounds[rounds >= 0], minlength=len(_swings(ranks)))
    return ranks, _there_and_back(ranks, _swings(ranks), count, MIRROR)


def _bine(ranks: int, form: Any) -> Found:
    if not _is_power(ranks) or form not in ("bandwidth", "latency"):
        return None
    if form == "latency":
        return _swing(ranks, form)
    return ranks, _there_and_back(ranks, _swings(ranks), _distances(ranks)[::-1].copy(), MIRROR)


def _reduce_scatter_all_gather(ranks: int, reduce_scatter: Any, all_gather: Any) -> Found:
    parts = hops_of("reduce_scatter", reduce_scatter, ranks), hops_of("all_gather", all_gather, ranks)
    return None if parts[0] is None or parts[1] is None else joined([parts[0], parts[1]])


def _hierarchical(ranks: int, groups: Any, reduce_scatter: Any, all_reduce: Any, all_gather: Any) -> Found:
    return _levels(grid(ranks, groups, "groups"), reduce_scatter, all_reduce, all_gather)


def _levels(sizes: Sequence[int], reduce_scatter: Any, all_reduce: Any, all_gather: Any) -> Found:
    size, *outer = sizes
    if not outer:
        return hops_of("all_reduce", all_reduce, size)
    there, back = hops_of("reduce_scatter", reduce_scatter, size), hops_of("all_gather", all_gather, size)
    between = _levels(outer, reduce_scatter, all_reduce, all_gather)
    if there is None or back is None or between is None:
        return None
    others = math.prod(outer)
    return joined(
        [
            (there[0], [phase.within(others, 1) for phase in there[1]]),
            # In the middle each group of the others works on its own part.
            (between[0] * size, [phase.within(1, size) for phase in between[1]]),
            (back[0], [phase.within(others, 1) for phase in back[1]]),
        ]
    )


def _torus(ranks: int, dims: Any) -> Found:
    sides = grid(ranks, dims, "dims")
    return ranks, _along(sides, [(list(reversed(range(len(sides)))), 1)])


def _torus_bucket(ranks: int, dims: Any) -> Found:
    sides = [side for side in grid(ranks, dims, "dims") if side > 1] or [1]
    turns = [np.roll(np.arange(len(sides)), -turn).tolist() for turn in range(len(sides))]
    parts = [(order, direction) for direction in (1, -1) for order in turns]
    return len(parts) * ranks, [replace(phase, neighbours=True) for phase in _along(sides, parts)]


def _along(sides: Sequence[int], parts: Sequence[tuple[list[int], int]]) -> list[Phase]:
    """Return rings along one dimension after the other and back: one hop for each part (order, direction)."""
    half = sum(side - 1 for side in sides)
    by = np.zeros((half, len(parts), len(sides)), dtype=np.int64)
    count = np.zeros((half, len(parts)), dtype=np.int64)
    for part, (order, direction) in enumerate(parts):
        step, size = 0, math.prod(sides)
        for axis in order:
            size //= sides[axis]
            steps = slice(step, step + sides[axis] - 1)
            by[steps, part, axis] = direction
            count[steps, part] = size
            step += sides[axis] - 1
    actions = (SHIFT,) * len(sides)
    return [
        Phase(tuple(sides), actions, by, count, Op.REDUCE),
        Phase(tuple(sides), actions, by[::-1].copy(), count[::-1].copy(), Op.COPY),
    ]


def _sharded(ranks: int) -> Found:
    others = np.arange(1, ranks)
    return ranks, [_equal(ranks, 1, others, 1, op) for op in (Op.REDUCE, Op.COPY)]


def _parameter_server(ranks: int, servers: Any) -> Found:
    return _sharded(ranks) if servers == ranks else None


# Reduce-scatter and all-gather


def _one_ring(op: Op) -> Hops:
    return lambda ranks: (ranks, [_equal(ranks, ranks - 1, 1, 1, op)])


def _pairwise_reduce_scatter(ranks: int) -> Found:
    return ranks, [_phase(ranks, np.arange(1, ranks), 1, Op.REDUCE)]


def _pairwise_all_gather(ranks: int, partners: Any) -> Found:
    if partners not in ("auto", "shift"):
        return None
    action = XOR if partners == "auto" and _is_power(ranks) else SHIFT
    return ranks, [_phase(ranks, np.arange(1, ranks), 1, Op.COPY, action)]


def _direct_all_gather(ranks: int) -> Found:
    return ranks, [_equal(ranks, 1, np.arange(1, ranks), 1, Op.COPY)]


def _recursive_halving(ranks: int) -> Found:
    if not _is_power(ranks):
        return None
    distances = _distances(ranks)[::-1].copy()
    return ranks, [_phase(ranks, distances, distances, Op.REDUCE, XOR)]


def _doubling_all_gather(ranks: int) -> Found:
    return (ranks, [_phase(ranks, _distances(ranks), _distances(ranks), Op.COPY, XOR)]) if _is_power(ranks) else None


def _bruck(op: Op) -> Hops:
    def hops(ranks: int) -> Found:
        distances = _distances(ranks)
        if op == Op.REDUCE:
            return ranks, [_phase(ranks, distances[::-1].copy(), np.minimum(distances, ranks - distances)[::-1], op)]
        return ranks, [_phase(ranks, -distances, np.minimum(distances, ranks - distances), op)]

    return hops


def _striped(op: Op, sign: int, *, nearest_first: bool) -> Hops:
    def hops(ranks: int) -> Found:
        distances = _distances(ranks) if nearest_first else _distances(ranks)[::-1].copy()
        return ranks, [_phase(ranks, sign * distances, -(-(ranks - distances) // (2 * distances)), op)]

    return hops


def _neighbour_exchange(ranks: int) -> Found:
    if ranks % 2:
        return (1, []) if ranks == 1 else None
    step = np.arange(ranks // 2)
    # Even ranks look up in even rounds and down in odd ones, odd ranks the other way.
    return ranks, [_phase(ranks, 1 - 2 * (step % 2), 2 - (step == 0), Op.COPY, MIRROR)]


# All-to-all, send and receive, barrier


def _pairwise_all_to_all(ranks: int, partners: Any) -> Found:
    found = _pairwise_all_gather(ranks, partners)
    return None if found is None else (ranks * ranks, found[1])


def _spread(ranks: int) -> Found:
    return ranks * ranks, [_equal(ranks, 1, np.arange(1, ranks), 1, Op.COPY)]


def _bruck_all_to_all(ranks: int, radix: Any) -> Found:
    if not _whole(radix, least=2):
        return None
    offset = np.arange(ranks)
    phases, place = [], 1
    while place < ranks:
        values = range(1, min(radix, -(-ranks // place)))
        digits = np.bincount(offset // place % radix, minlength=len(values) + 1)
        phases.append(_phase(ranks, [[v * place for v in values]], [[digits[v] for v in values]], Op.COPY))
        place *= radix
    return ranks * ranks, phases


def _ring_all_to_all(ranks: int) -> Found:
    return ranks * ranks, [_phase(ranks, np.ones(ranks - 1), np.arange(ranks - 1, 0, -1), Op.COPY)]


def _send_recv(ranks: int, to: Any, shift: Any) -> Found:
    if to is not None or not _whole(shift, least=1 - ranks):
        return None
    return ranks, [_equal(ranks, 1, shift % ranks, 1, Op.COPY)] if shift % ranks else []


def _dissemination(ranks: int) -> Found:
    return 1, [_phase(ranks, _distances(ranks), 1, Op.REDUCE)]


def _ring_barrier(ranks: int) -> Found:
    return 1, [_equal(ranks, ranks - 1, 1, 1, Op.REDUCE)]


def _whole(value: Any, least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


# fmt: off
SYMMETRIC: dict[tuple[str, str], Hops] = {
    ("all_reduce", "ring"): _ring,
    ("all_reduce", "bidirectional_ring"): _bidirectional,
    ("all_reduce", "multi_ring"): _multi_ring,
    ("all_reduce", "segmented_ring"): _segmented_ring,
    ("all_reduce", "direct"): _direct,
    ("all_reduce", "recursive_doubling"): _recursive_doubling,
    ("all_reduce", "halving_doubling"): _halving_doubling,
    ("all_reduce", "swing"): _swing,
    ("all_reduce", "bine"): _bine,
    ("all_reduce", "reduce_scatter_all_gather"): _reduce_scatter_all_gather,
    ("all_reduce", "hierarchical"): _hierarchical,
    ("all_reduce", "torus"): _torus,
    ("all_reduce", "torus_bucket"): _torus_bucket,
    ("all_reduce", "parameter_server"): _parameter_server,
    ("all_reduce", "sharded_parameter_server"): _sharded,
    ("reduce_scatter", "ring"): _one_ring(Op.REDUCE),
    ("reduce_scatter", "pairwise"): _pairwise_reduce_scatter,
    ("reduce_scatter", "recursive_halving"): _recursive_halving,
    ("reduce_scatter", "bruck"): _bruck(Op.REDUCE),
    ("reduce_scatter", "pat"): _striped(Op.REDUCE, 1, nearest_first=True),
    ("all_gather", "ring"): _one_ring(Op.COPY),
    ("all_gather", "pairwise"): _pairwise_all_gather,
    ("all_gather", "direct"): _direct_all_gather,
    ("all_gather", "bruck"): _bruck(Op.COPY),
    ("all_gather", "recursive_doubling"): _doubling_all_gather,
    ("all_gather", "neighbour_exchange"): _neighbour_exchange,
    ("all_gather", "pat"): _striped(Op.COPY, -1, nearest_first=False),
    ("all_gather", "sparbit"): _striped(Op.COPY, 1, nearest_first=False),
    ("all_to_all", "pairwise"): _pairwise_all_to_all,
    ("all_to_all", "spread"): _spread,
    ("all_to_all", "bruck"): _bruck_all_to_all,
    ("all_to_all", "ring"): _ring_all_to_all,
    ("send_recv", "direct"): _send_recv,
    ("barrier", "dissemination"): _dissemination,
    ("barrier", "ring"): _ring_barrier,
}
# fmt: on


def hops_of(collective: str, algorithm: Any, ranks: int, **options: Any) -> Found:
    """Return chunks and phases of an algorithm that all ranks carry out alike; None if it is not (known to be) one.

    Options that are not given are as they are by default.

    Examples
    --------
    >>> chunks, phases = hops_of("all_reduce", "halving_doubling", 8)
    >>> [(phase.op.name, phase.by.ravel().tolist(), phase.count.ravel().tolist()) for phase in phases]
    [('REDUCE', [1, 2, 4], [4, 2, 1]), ('COPY', [4, 2, 1], [1, 2, 4])]
    >>> hops_of("all_reduce", "halving_doubling", 6) is None
    True
    """
    from collsim.algorithms.table import TABLE
    from collsim.catalog import ALGORITHMS

    hops = SYMMETRIC.get((collective, algorithm)) if isinstance(algorithm, str) else None
    row = ALGORITHMS.get((collective, algorithm))
    if hops is None or row is None or not any(row is known for known in TABLE):  # a name can be registered anew
        return None
    if options.keys() - row.options.keys():
        return None
    found = hops(ranks, **{**row.options, **options})
    if found is None:
        return None
    chunks, phases = found
    return chunks, [phase for phase in phases if phase.steps and phase.hops and ranks > 1]
