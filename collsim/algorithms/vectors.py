"""The v-forms: the same moves as a plain algorithm, with a number of elements of its own for each rank's part."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from numpy.typing import ArrayLike

from collsim.collectives import get_collective
from collsim.schedule import Schedule


def with_counts(build: Callable[..., Schedule]) -> Callable[..., Schedule]:
    """Return the builder of the v-form of an algorithm.

    Parameters
    ----------
    build : callable
        ``build(ranks, **options)`` of a plain collective on parts, such as all_gather.

    Returns
    -------
    callable
        ``build(ranks, *, counts, **options)``, where `counts` is the number of elements of each rank's
        part, zeros included (for all_to_allv a square table: row s is what rank s has for each rank).

    Examples
    --------
    >>> import collsim as cs
    >>> schedule = cs.make_schedule("all_gatherv", "ring", ranks=3, counts=[2, 0, 1])
    >>> cs.execute(schedule, [[7, 8, 0], [0, 0, 0], [0, 0, 9]])[1].tolist()
    [7, 8, 9]
    """

    def build_with_counts(ranks: int, *, counts: ArrayLike, **options: Any) -> Schedule:
        plain = build(ranks, **options)
        collective = get_collective(f"{plain.collective.name}v", counts=counts, **plain.collective.options)
        collective.shares(plain.ranks, plain.chunks)  # refuses counts for another number of ranks now, not later
        return replace(plain, collective=collective)

    parameters = list(inspect.signature(build).parameters.values())
    keyword = inspect.Parameter("counts", inspect.Parameter.KEYWORD_ONLY)
    build_with_counts.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [parameters[0], keyword, *parameters[1:]]
    )
    build_with_counts.__doc__ = build.__doc__
    return build_with_counts
