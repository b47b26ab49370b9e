"""What each collective promises: who holds what before it, and who must hold what after it.

A collective is a precondition and a postcondition on contribution sets, nothing more. The buffer of
every rank is cut into chunks; a contribution to a chunk is one rank's own values for it. Nothing here
knows how a collective is carried out. A new one is a few lines and a line in `COLLECTIVES`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from collsim.errors import unknown


@dataclass(frozen=True)
class Collective:
    """A precondition and a postcondition.

    Attributes
    ----------
    name : str
        As torch.distributed spells it: ``all_reduce``.
    summary : str
        One line for tables.
    before : callable
        ``before(ranks, chunks, rank)`` returns booleans of shape (chunks,): the chunks for which
        `rank` brings its own values. The other chunks of its buffer hold nothing yet.
    after : callable
        ``after(ranks, chunks, rank)`` returns booleans of shape (chunks, ranks): the ranks whose
        contributions, each exactly once, the chunk must hold at `rank`. A row without any is a chunk
        that is not promised.
    bus_factor : callable
        ``bus_factor(ranks)``: what nccl-tests multiplies algbw by to get busbw.
    """

    name: str
    summary: str
    before: Callable[[int, int, int], NDArray[np.bool_]]
    after: Callable[[int, int, int], NDArray[np.bool_]]
    bus_factor: Callable[[int], float]


ALL_REDUCE = Collective(
    name="all_reduce",
    summary="every rank ends with the reduction of all ranks' vectors",
    before=lambda ranks, chunks, rank: np.ones(chunks, dtype=bool),
    after=lambda ranks, chunks, rank: np.ones((chunks, ranks), dtype=bool),
    bus_factor=lambda ranks: 2 * (ranks - 1) / ranks,
)

COLLECTIVES: dict[str, Collective] = {collective.name: collective for collective in (ALL_REDUCE,)}


def get_collective(name: str | Collective) -> Collective:
    """Return a collective by its name; spellings such as ``allreduce`` and ``all-reduce`` are taken too.

    Raises
    ------
    InputError
        If no collective has that name.

    Examples
    --------
    >>> get_collective("allreduce").name
    'all_reduce'
    """
    if isinstance(name, Collective):
        return name
    plain = str(name).lower().replace("_", "").replace("-", "")
    for collective in COLLECTIVES.values():
        if collective.name.replace("_", "") == plain:
            return collective
    raise unknown("collective", name, COLLECTIVES)
