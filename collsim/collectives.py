"""What each collective promises: who holds what before it, and who must hold what after it.

A collective is a precondition and a postcondition on contribution sets, and how vectors are cut into
chunks; nothing here knows how it is carried out. A chunk is a piece of data with one identity
everywhere; a contribution to it is one rank's own values for it. A new collective is a few lines and a
line in `COLLECTIVES`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from collsim.errors import InputError, unknown
from collsim.units import parse_count

Bools = NDArray[np.bool_]
Indices = NDArray[np.int64]


def split(elements: int, chunks: int) -> Indices:
    """Return the edges of `chunks` nearly equal parts, as `numpy.array_split` cuts.

    Parameters
    ----------
    elements, chunks : int
        Length of the vector and number of parts; the first ``elements % chunks`` are one longer.

    Returns
    -------
    ndarray of int64, shape (chunks + 1,)
        Part c is ``[edges[c], edges[c + 1])``.

    Examples
    --------
    >>> split(10, 4).tolist()
    [0, 3, 6, 8, 10]
    """
    base, longer = divmod(elements, chunks)
    part = np.arange(chunks + 1, dtype=np.int64)
    return part * base + np.minimum(part, longer)


def whole_row(ranks: int, chunks: int, rank: int) -> Indices:
    """Return all chunks in order: what most vectors consist of."""
    return np.arange(chunks)


def _cut_evenly(ranks: int, chunks: int, elements: int) -> Indices:
    return np.diff(split(elements, chunks))


def _equal_shares(ranks: int, chunks: int) -> NDArray[np.float64]:
    return np.full(chunks, 1.0 / chunks)


@dataclass(frozen=True, eq=False, repr=False)
class Collective:
    """A precondition, a postcondition, and how vectors are cut.

    Attributes
    ----------
    name : str
        As torch.distributed spells it: ``all_reduce``.
    summary : str
        One line for tables.
    before : callable
        ``before(ranks, chunks, rank)`` returns booleans of shape (chunks,): the chunks for which
        `rank` brings its own values. It holds nothing of the others yet.
    after : callable
        ``after(ranks, chunks, rank)`` returns booleans of shape (len(outputs), ranks): for each chunk of
        the rank's result, the ranks whose contributions it must hold, each exactly once. A row without
        any is a chunk that is not promised.
    bus_factor : callable
        ``bus_factor(ranks)``: what nccl-tests multiplies algbw by to get busbw.
    inputs, outputs : callable
        ``inputs(ranks, chunks, rank)`` returns the chunks of which the rank's vector consists before,
        and `outputs` after, in the order in which they stand there. Default: all, in order.
    cut : callable
        ``cut(ranks, chunks, elements)`` returns how many elements each chunk has, shape (chunks,), where
        `elements` is the length of one rank's vector. Default: as `numpy.array_split`.
    shares : callable
        ``shares(ranks, chunks)`` returns the fraction of one rank's vector that each chunk is, shape
        (chunks,). Default: equal.
    at_least_once : bool
        Whether it is enough that a contribution has come, however often (a barrier).
    options : mapping
        What it was made with, such as the root.
    """

    name: str
    summary: str
    before: Callable[[int, int, int], Bools]
    after: Callable[[int, int, int], Bools]
    bus_factor: Callable[[int], float]
    inputs: Callable[[int, int, int], Indices] = whole_row
    outputs: Callable[[int, int, int], Indices] = whole_row
    cut: Callable[[int, int, int], Indices] = _cut_evenly
    shares: Callable[[int, int], NDArray[np.float64]] = _equal_shares
    at_least_once: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Collective({self.name}{''.join(f', {key}={value}' for key, value in self.options.items())})"

    def __reduce__(self) -> Any:
        # Functions made on the fly cannot be sent to another process; what made them can.
        if self.name in COLLECTIVES:
            return _restore, (self.name, dict(self.options))
        return super().__reduce__()


def all_reduce() -> Collective:
    """Return all_reduce: every rank ends with the reduction of all ranks' vectors."""
    return Collective("all_reduce", _summary(all_reduce), _brings_all, _gets_all_from_all, lambda k: 2 * (k - 1) / k)


def reduce(root: int = 0) -> Collective:
    """Return reduce: the root ends with the reduction of all ranks' vectors."""
    return Collective(
        "reduce",
        _summary(reduce),
        _brings_all,
        lambda ranks, chunks, rank: np.full((chunks, ranks), rank == root),
        lambda ranks: 1.0,
        options={"root": root},
    )


def broadcast(root: int = 0) -> Collective:
    """Return broadcast: every rank ends with the root's vector."""
    return Collective(
        "broadcast",
        _summary(broadcast),
        lambda ranks, chunks, rank: np.full(chunks, rank == root),
        lambda ranks, chunks, rank: np.tile(np.arange(ranks) == root, (chunks, 1)),
        lambda ranks: 1.0,
        options={"root": root},
    )


def all_gather(counts: Sequence[int] | None = None) -> Collective:
    """Return all_gather: every rank ends with all ranks' parts, in the order of ranks."""
    return _by_parts(
        "all_gather",
        _summary(all_gather),
        counts,
        before=lambda owner, rank: owner == rank,
        after=lambda owner, ranks, rank: _one_hot(owner, ranks),
    )


def reduce_scatter(counts: Sequence[int] | None = None) -> Collective:
    """Return reduce_scatter: each rank ends with its own part of the reduction of all ranks' vectors."""
    return _by_parts(
        "reduce_scatter",
        _summary(reduce_scatter),
        counts,
        before=lambda owner, rank: np.ones(len(owner), dtype=bool),
        after=lambda owner, ranks, rank: np.repeat((owner == rank)[:, None], ranks, axis=1),
    )


def gather(root: int = 0, counts: Sequence[int] | None = None) -> Collective:
    """Return gather: the root ends with all ranks' parts, in the order of ranks."""
    return _by_parts(
        "gather",
        _summary(gather),
        counts,
        before=lambda owner, rank: owner == rank,
        after=lambda owner, ranks, rank: _one_hot(owner, ranks) & (rank == root),
        root=root,
    )


def scatter(root: int = 0, counts: Sequence[int] | None = None) -> Collective:
    """Return scatter: each rank ends with its part of the root's vector."""
    return _by_parts(
        "scatter",
        _summary(scatter),
        counts,
        before=lambda owner, rank: np.full(len(owner), rank == root),
        after=lambda owner, ranks, rank: (owner == rank)[:, None] & (np.arange(ranks) == root),
        root=root,
    )


def all_to_all(counts: ArrayLike | None = None) -> Collective:
    """Return all_to_all: part d of rank s's vector becomes part s of rank d's."""
    # Chunk s * ranks + d is what rank s has for rank d.
    table = None if counts is None else _counts(counts, 2)

    def check(ranks: int, chunks: int) -> None:
        if chunks != ranks * ranks:
            raise InputError(f"all_to_all on {ranks} ranks needs {ranks * ranks} chunks, got {chunks}")
        if table is not None and len(table) != ranks:
            raise InputError(f"counts must be a table of {ranks} rows of {ranks}, got {len(table)} rows")

    def cut(ranks: int, chunks: int, elements: int) -> Indices:
        check(ranks, chunks)
        if table is not None:
            _check_total(table, elements)
            return table.ravel()
        # Parts differ by one element at most, and so that rows and columns both add up to `elements`:
        # every rank then receives as much as it sends.
        src, dst = np.divmod(np.arange(chunks), ranks)
        return elements // ranks + ((dst - src) % ranks < elements % ranks)

    def shares(ranks: int, chunks: int) -> NDArray[np.float64]:
        check(ranks, chunks)
        if table is None:
            return np.full(chunks, 1.0 / ranks)
        return table.ravel() / max(1, int(table.sum(axis=1).max()))

    return Collective(
        "all_to_all" if table is None else "all_to_allv",
        _summary(all_to_all),
        before=lambda ranks, chunks, rank: np.arange(chunks) // ranks == rank,
        after=lambda ranks, chunks, rank: np.eye(ranks, dtype=bool),
        bus_factor=_others,
        inputs=lambda ranks, chunks, rank: np.arange(rank * ranks, (rank + 1) * ranks),
        outputs=lambda ranks, chunks, rank: np.arange(rank, chunks, ranks),
        cut=cut,
        shares=shares,
        options={} if table is None else {"counts": table.tolist()},
    )


def send_recv(to: Sequence[int] | None = None) -> Collective:
    """Return send_recv: rank r's vector moves to rank to[r]; by default to the next rank."""
    targets = None if to is None else tuple(parse_count(rank, "a rank in 'to'", minimum=0) for rank in to)

    def target(ranks: int) -> Indices:
        there = (np.arange(ranks) + 1) % ranks if targets is None else np.array(targets, dtype=np.int64)
        if sorted(there.tolist()) != list(range(ranks)):
            raise InputError(f"'to' must be a permutation of the ranks 0..{ranks - 1}, got {there.tolist()}")
        return there

    def outputs(ranks: int, chunks: int, rank: int) -> Indices:
        return np.flatnonzero(target(ranks) == rank)

    return Collective(
        "send_recv",
        _summary(send_recv),
        before=lambda ranks, chunks, rank: np.arange(chunks) == rank,
        after=lambda ranks, chunks, rank: _one_hot(outputs(ranks, chunks, rank), ranks),
        bus_factor=lambda ranks: 1.0,
        inputs=lambda ranks, chunks, rank: np.array([rank]),
        outputs=outputs,
        cut=lambda ranks, chunks, elements: np.full(chunks, elements, dtype=np.int64),
        shares=lambda ranks, chunks: np.ones(chunks),
        options={} if targets is None else {"to": list(targets)},
    )


def scan() -> Collective:
    """Return scan: rank r ends with the reduction of the vectors of ranks 0 to r."""
    return Collective(
        "scan",
        _summary(scan),
        _brings_all,
        lambda ranks, chunks, rank: np.tile(np.arange(ranks) <= rank, (chunks, 1)),
        lambda ranks: 1.0,
    )


def exscan() -> Collective:
    """Return exscan: rank r > 0 ends with the reduction of the vectors of ranks 0 to r - 1."""
    return Collective(
        "exscan",
        _summary(exscan),
        _brings_all,
        lambda ranks, chunks, rank: np.tile(np.arange(ranks) < rank, (chunks, 1)),
        lambda ranks: 1.0,
    )


def barrier() -> Collective:
    """Return barrier: no rank ends before it has heard, directly or not, from every other."""
    return Collective(
        "barrier",
        _summary(barrier),
        _brings_all,
        _gets_all_from_all,
        lambda ranks: 1.0,
        cut=lambda ranks, chunks, elements: np.zeros(chunks, dtype=np.int64),
        shares=lambda ranks, chunks: np.zeros(chunks),
        at_least_once=True,
    )


def _vector_form(plain: Callable[..., Collective]) -> Callable[..., Collective]:
    """Return the v-form of a collective: the same with a number of elements for each rank's part."""

    def with_counts(counts: ArrayLike, **options: Any) -> Collective:
        return plain(counts=counts, **options)

    with_counts.__doc__ = (plain.__doc__ or "").replace(f"Return {plain.__name__}:", f"Return {plain.__name__}v:")
    return with_counts


COLLECTIVES: dict[str, Callable[..., Collective]] = {
    "all_reduce": all_reduce,
    "reduce_scatter": reduce_scatter,
    "all_gather": all_gather,
    "all_to_all": all_to_all,
    "broadcast": broadcast,
    "reduce": reduce,
    "gather": gather,
    "scatter": scatter,
    "send_recv": send_recv,
    "scan": scan,
    "exscan": exscan,
    "barrier": barrier,
    "reduce_scatterv": _vector_form(reduce_scatter),
    "all_gatherv": _vector_form(all_gather),
    "gatherv": _vector_form(gather),
    "scatterv": _vector_form(scatter),
    "all_to_allv": _vector_form(all_to_all),
}


def collective_name(name: str | Collective) -> str:
    """Return the spelling of a collective's name in the table; ``allreduce`` and ``all-reduce`` are taken too.

    Raises
    ------
    InputError
        If no collective has that name.

    Examples
    --------
    >>> collective_name("allreduce")
    'all_reduce'
    """
    if isinstance(name, Collective):
        return name.name
    plain = str(name).lower().replace("_", "").replace("-", "")
    for known in COLLECTIVES:
        if known.replace("_", "") == plain:
            return known
    raise unknown("collective", name, COLLECTIVES)


def get_collective(name: str | Collective, **options: Any) -> Collective:
    """Return a collective by its name.

    Parameters
    ----------
    name : str or Collective
        For example ``"broadcast"``; a `Collective` is returned as it is.
    **options
        What it takes: `root`, `counts` (of the v-forms), `to` (of send_recv).

    Raises
    ------
    InputError
        If the name or an option is not known, or one is missing.

    Examples
    --------
    >>> get_collective("broadcast", root=2).options
    {'root': 2}
    """
    if isinstance(name, Collective):
        return name
    known = collective_name(name)
    try:
        inspect.signature(COLLECTIVES[known]).bind(**options)
    except TypeError as error:
        raise InputError(f"collective {known!r}: {error}") from None
    return COLLECTIVES[known](**options)


def root_of(collective: Collective, ranks: int) -> int:
    """Return the root of a collective, 0 if it has none.

    Raises
    ------
    InputError
        If it is not one of so many ranks.

    Examples
    --------
    >>> root_of(broadcast(root=2), 4)
    2
    """
    root = parse_count(collective.options.get("root", 0), "root", minimum=0)
    if root >= ranks:
        # Otherwise nobody would be promised anything, and anything would keep the promise.
        raise InputError(f"root of {collective.name} must be one of 0..{ranks - 1}, got {root}")
    return root


def _restore(name: str, options: dict[str, Any]) -> Collective:
    return COLLECTIVES[name](**options)


def summary(name: str) -> str:
    """Return one line on what a collective promises."""
    return _summary(COLLECTIVES[name])


def _summary(function: Callable[..., Collective]) -> str:
    return (function.__doc__ or "").partition(": ")[2].rstrip(".")


def _brings_all(ranks: int, chunks: int, rank: int) -> Bools:
    return np.ones(chunks, dtype=bool)


def _gets_all_from_all(ranks: int, chunks: int, rank: int) -> Bools:
    return np.ones((chunks, ranks), dtype=bool)


def _one_hot(owner: Indices, ranks: int) -> Bools:
    hot: Bools = owner[:, None] == np.arange(ranks)
    return hot


def _others(ranks: int) -> float:
    return (ranks - 1) / ranks


def _by_parts(
    name: str,
    text: str,
    counts: ArrayLike | None,
    before: Callable[[Indices, int], Bools],
    after: Callable[[Indices, int, int], Bools],
    **options: Any,
) -> Collective:
    """Return a collective on vectors of one part a rank; each part may be several chunks."""
    parts = None if counts is None else _counts(counts, 1)

    def owner(ranks: int, chunks: int) -> Indices:
        _check_parts(ranks, chunks, name)
        return np.repeat(np.arange(ranks), chunks // ranks)

    def cut(ranks: int, chunks: int, elements: int) -> Indices:
        _check_parts(ranks, chunks, name)
        if parts is None:
            sizes = np.diff(split(elements, ranks))
        else:
            _check_total(parts, elements)
            sizes = parts
        if len(sizes) != ranks:
            raise InputError(f"counts must be one for each of the {ranks} ranks, got {len(sizes)}")
        pieces = chunks // ranks
        return (sizes[:, None] // pieces + (np.arange(pieces) < sizes[:, None] % pieces)).ravel()

    def shares(ranks: int, chunks: int) -> NDArray[np.float64]:
        if parts is None:
            return np.full(chunks, 1.0 / chunks)
        _check_parts(ranks, chunks, name)
        if len(parts) != ranks:
            raise InputError(f"counts must be one for each of the {ranks} ranks, got {len(parts)}")
        return np.repeat(parts / max(1, int(parts.sum())) / (chunks // ranks), chunks // ranks)

    return Collective(
        name if parts is None else f"{name}v",
        text,
        before=lambda ranks, chunks, rank: before(owner(ranks, chunks), rank),
        after=lambda ranks, chunks, rank: after(owner(ranks, chunks), ranks, rank),
        bus_factor=_others,
        cut=cut,
        shares=shares,
        options=options if parts is None else {**options, "counts": parts.tolist()},
    )


def _check_parts(ranks: int, chunks: int, name: str) -> None:
    if chunks % ranks:
        raise InputError(f"{name} needs a number of chunks that is a multiple of {ranks}, got {chunks}")


def _counts(counts: ArrayLike, dimensions: int) -> Indices:
    array = np.asarray(counts)
    shape = "a list of numbers, one a rank" if dimensions == 1 else "a square table of numbers, one row a rank"
    if array.dtype.kind not in "iu" or array.ndim != dimensions or len(set(array.shape)) > 1 or (array < 0).any():
        raise InputError(f"counts must be {shape}, none negative, got {counts!r}")
    return array.astype(np.int64)


def _check_total(counts: Indices, elements: int) -> None:
    # For all_to_allv each rank sends its row; vectors are as long as the longest.
    rows = counts.sum(axis=-1)
    if int(np.max(rows, initial=0)) != elements:
        raise InputError(f"counts add up to {int(np.max(rows, initial=0))} elements, the vectors have {elements}")
