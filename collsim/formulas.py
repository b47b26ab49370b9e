"""Closed forms: what theory says an algorithm costs, as text that can be read and evaluated.

They are oracles for the engines and explanations for people, never a substitute for simulating. The
letters are those of the literature: K ranks, n bytes of the whole vector, a seconds a message (alpha),
b seconds a byte (beta), g seconds a reduced byte (gamma); ``lg(K)`` is ``ceil(log2(K))``, ``p2(K)`` the
largest power of two not above K; an algorithm's options go by their names.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import CodeType
from typing import Any

from collsim.errors import InputError
from collsim.units import parse_count


def grid(ranks: int, sides: Sequence[int] | int | str | None = None, what: str = "sides") -> tuple[int, ...]:
    """Return the sides of a grid of ranks: those given, or two that are as nearly equal as can be.

    Parameters
    ----------
    ranks : int
        Number of ranks.
    sides : sequence of int or str, optional
        The sides, ``[4, 2]`` or ``"4x2"``, if it is not for us to choose.
    what : str
        What they are called in an error.

    Returns
    -------
    tuple of int
        Those chosen: the larger first; one only if the number is prime, or 1.

    Raises
    ------
    InputError
        If a side is not a whole number of at least 1, or their product is not the number of ranks.

    Examples
    --------
    >>> grid(32), grid(7), grid(32, "2x4x4")
    ((8, 4), (7,), (2, 4, 4))
    """
    number = parse_count(ranks, "ranks")
    smaller = next(side for side in range(math.isqrt(number), 0, -1) if number % side == 0)
    chosen = (number // smaller, smaller) if smaller > 1 else (number,)
    if sides is None:
        return chosen
    given = sides.replace(",", "x").split("x") if isinstance(sides, str) else sides
    found = tuple(
        parse_count(side, f"a number in {what}") for side in (given if isinstance(given, Iterable) else [given])
    )
    if not found or math.prod(found) != number:
        raise InputError(f"{what} must be numbers whose product is {number}, such as {list(chosen)}, got {sides!r}")
    return found


_FUNCTIONS: dict[str, Any] = {
    "__builtins__": {},
    "ceil": math.ceil,
    "grid": grid,
    "len": len,
    "lg": lambda number: (int(number) - 1).bit_length(),  # ceil(log2(number))
    "max": max,
    "min": min,
    "p2": lambda number: 1 << (int(number).bit_length() - 1),  # the largest power of two not above
    "popcount": lambda number: int(number).bit_count(),
    "prod": math.prod,
    "range": range,
    "sum": sum,
}


@dataclass(frozen=True)
class Formula:
    """An expression in K, n, a, b, g that can be printed and evaluated.

    Attributes
    ----------
    text : str
        The expression, in Python's syntax.
    source : str
        Where it comes from: paper or derivation.

    Examples
    --------
    >>> round(RING_ALL_REDUCE(ranks=4, nbytes=4e9, alpha=5e-6, beta=1e-10), 9)
    0.60003
    >>> print(RING_ALL_REDUCE)
    2*(K-1)*(a + n/K*b) + (K-1)*n/K*g
    """

    text: str
    source: str = ""

    def __str__(self) -> str:
        return self.text

    @cached_property
    def _code(self) -> CodeType:
        return compile(self.text, f"<formula {self.text}>", "eval")

    def __call__(
        self,
        ranks: int,
        nbytes: float = 0.0,
        alpha: float = 0.0,
        beta: float = 0.0,
        gamma: float = 0.0,
        **options: Any,
    ) -> float:
        """Evaluate.

        Parameters
        ----------
        ranks : int
            K.
        nbytes : float
            n, the size of the whole vector in bytes.
        alpha, beta, gamma : float
            Seconds a message, seconds a byte sent, seconds a byte reduced.
        **options
            The algorithm's options, such as ``segments``.

        Returns
        -------
        float
            The value; 0 for one rank, which has nothing to do.
        """
        if ranks == 1:
            return 0.0
        letters = {"K": ranks, "n": nbytes, "a": alpha, "b": beta, "g": gamma}
        # One namespace: a generator inside an expression does not see the locals of eval.
        return eval(self._code, {**_FUNCTIONS, **options, **letters})  # type: ignore[no-any-return]


# K-1 whole vectors arrive at the root's port one after another, latencies overlapping; each is added when
# it is there and the adder is free, so that K-2 times the slower of receiving and adding stands between the
# first arrival and the last addition. Then the same port sends K-1 vectors.
NAIVE_ALL_REDUCE = Formula(
    "2*a + 2*(K-1)*n*b + n*g + (K-2)*max(0, n*g - n*b)",
    "incast: (K-1) n bytes through the root's receive port, then as many through its send port",
)

# The root takes part in all lg(K) rounds of either half and never waits in between.
TREE_ALL_REDUCE = Formula(
    "lg(K)*(2*a + 2*n*b + n*g)",
    "Thakur, Rabenseifner and Gropp, IJHPCA 19(1), 2005, section 4: binomial reduce, then broadcast",
)

# K-1 steps of n/K bytes to sum, K-1 to spread; every port is busy all the time.
RING_ALL_REDUCE = Formula(
    "2*(K-1)*(a + n/K*b) + (K-1)*n/K*g",
    "Patarasuk and Yuan, JPDC 69(2), 2009, section 3",
)
