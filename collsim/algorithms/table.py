"""The visible table of algorithms: what can be asked for by name, with its costs and its source.

A new algorithm is a function in a file of this folder and a line here. The figures are formulas in the
letters of `collsim.formulas`; ``collsim list algorithms`` and the documentation print them, and the tests
hold every schedule to them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from collsim import formulas
from collsim.algorithms import naive, ring, tree
from collsim.algorithms.vectors import with_counts
from collsim.formulas import Formula
from collsim.schedule import Schedule

Builder = Callable[..., Schedule]

# Which numbers of ranks an algorithm works for.
ADMITS: dict[str, Callable[[int], bool]] = {
    "any": lambda ranks: True,
    "even": lambda ranks: ranks % 2 == 0 or ranks == 1,
    "power of two": lambda ranks: ranks & (ranks - 1) == 0,
}


@dataclass(frozen=True)
class Algorithm:
    """One line of the table.

    Attributes
    ----------
    collective, name : str
        What it carries out, and what it is called.
    build : callable
        ``build(ranks, **options)`` returns the `Schedule`.
    summary : str
        One line for people.
    source : str
        Paper or implementation.
    steps : Formula, optional
        Number of steps.
    sent : Formula, optional
        The most bytes that one rank sends.
    wire : Formula, optional
        Bytes of all messages together.
    time : Formula, optional
        Seconds under the alpha-beta model, ordered by steps.
    admits : str
        Which numbers of ranks it works for: a key of `ADMITS`.
    variants : tuple of mappings
        Options that are tried besides the defaults.
    """

    collective: str
    name: str
    build: Builder
    summary: str = ""
    source: str = ""
    steps: Formula | None = None
    sent: Formula | None = None
    wire: Formula | None = None
    time: Formula | None = None
    admits: str = "any"
    variants: tuple[Mapping[str, Any], ...] = ()

    @property
    def options(self) -> dict[str, Any]:
        """The options that `build` takes besides the number of ranks, with their defaults."""
        parameters = list(inspect.signature(self.build).parameters.values())[1:]
        named = (parameter for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD)
        return {parameter.name: parameter.default for parameter in named}


def _row(
    collective: str,
    name: str,
    build: Builder,
    summary: str,
    source: str,
    *,
    steps: str,
    sent: str,
    wire: str,
    time: str | None = None,
    admits: str = "any",
    variants: tuple[Mapping[str, Any], ...] = (),
) -> Algorithm:
    """Return a line; every figure is a formula."""
    figures = (Formula(steps), Formula(sent), Formula(wire), None if time is None else Formula(time))
    return Algorithm(collective, name, build, summary, source, *figures, admits, variants)


def _vector(row: Algorithm) -> Algorithm:
    """Return the line of an algorithm's v-form: the same steps; the bytes depend on the counts."""
    return replace(row, collective=f"{row.collective}v", build=with_counts(row.build), sent=None, wire=None, time=None)


# The collectives whose v-form every one of their algorithms has.
VECTOR_FORMS = ("reduce_scatter", "all_gather", "gather", "scatter", "all_to_all")

# fmt: off
_PLAIN = (
    # ---- all_reduce
    _row("all_reduce", "naive", naive.all_reduce, "gather to one rank, sum there, send back",
         "the baseline of textbooks", steps="2", sent="(K-1)*n", wire="2*(K-1)*n",
         time=formulas.NAIVE_ALL_REDUCE.text),
    _row("all_reduce", "tree", tree.all_reduce, "binomial reduce, then binomial broadcast",
         "Thakur, Rabenseifner and Gropp, IJHPCA 19(1), 2005", steps="2*lg(K)", sent="lg(K)*n", wire="2*(K-1)*n",
         time=formulas.TREE_ALL_REDUCE.text),
    _row("all_reduce", "ring", ring.all_reduce, "reduce-scatter round a ring, then all-gather",
         "Patarasuk and Yuan, JPDC 69(2), 2009", steps="2*(K-1)", sent="2*n*(K-1)/K", wire="2*(K-1)*n",
         time=formulas.RING_ALL_REDUCE.text),
    # ---- reduce_scatter
    # ---- all_gather
    _row("all_gather", "ring", ring.all_gather, "pass every part round a ring",
         "Thakur, Rabenseifner and Gropp, IJHPCA 19(1), 2005", steps="K-1", sent="n*(K-1)/K", wire="(K-1)*n",
         time="(K-1)*(a + n/K*b)"),
    # ---- broadcast
    # ---- reduce
    # ---- gather
    # ---- scatter
    # ---- all_to_all
    # ---- send_recv
    # ---- scan and exscan
    # ---- barrier
)
# fmt: on

TABLE = _PLAIN + tuple(_vector(row) for row in _PLAIN if row.collective in VECTOR_FORMS)
