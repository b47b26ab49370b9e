"""Exercise 1.1.2: the mean gradients of unequal shards, averaged plainly and weighted by size.

Both combinations are executed all-reduces, on the data of example 1.1.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from collsim.book import brief, choose_algorithms, grouped, percent, several
from collsim.book.example_1_1_1 import FEATURES, SEED, Array, gradient_sum, regression, relative_error
from collsim.catalog import make_schedule
from collsim.errors import InputError
from collsim.replay import execute, verify
from collsim.schedule import Schedule
from collsim.units import parse_count

SHARDS = (99_000, 400, 300, 200, 100)


@dataclass(frozen=True)
class Combination:
    """How near one way of combining the shards' gradients comes to the gradient of all examples.

    Attributes
    ----------
    name : str
        ``"plain"``, ``"weighted"``, or ``"plain, equal shards"``: the same data in shards as equal as can be.
    shards : tuple of int
        Examples of each shard.
    max_abs_error : float
        Largest absolute error of a component, over all workers.
    relative_error : float
        2-norm of the error over that of the gradient, at the worst worker.
    """

    name: str
    shards: tuple[int, ...]
    max_abs_error: float
    relative_error: float


@dataclass(frozen=True)
class ShardFigures:
    """The figures of exercise 1.1.2.

    Attributes
    ----------
    shards : tuple of int
        Examples n_i of each shard.
    features, seed : int
        d, and the seed of the data.
    algorithm : str
        The all-reduce that combined.
    gradient_norm : float
        2-norm of the gradient of all examples.
    combinations : tuple of Combination
        Plain and weighted; then, unless the shards are equal already, plain with equal shards.
    """

    shards: tuple[int, ...]
    features: int
    seed: int
    algorithm: str
    gradient_norm: float
    combinations: tuple[Combination, ...]

    @property
    def examples(self) -> int:
        """N, of all shards together."""
        return sum(self.shards)

    @property
    def equal(self) -> bool:
        """Whether all shards have the same size."""
        return len(set(self.shards)) == 1

    def overweight(self, size: int) -> float:
        """Return how many times its due an example counts in the plain average, in a shard of `size` examples.

        It counts 1/(K n_i) where 1/N is right: N / (K n_i) times that.
        """
        return self.examples / (len(self.shards) * size)

    @property
    def effective_examples(self) -> float:
        """Kish's effective sample size of the plain average, K^2 / sum(1/n_i).

        So many examples, weighted evenly, would be as noisy if all shards are random samples.
        """
        return len(self.shards) ** 2 / sum(1 / size for size in self.shards)

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON has them."""
        return {
            "exercise": "1.1.2",
            "examples": self.examples,
            "features": self.features,
            "seed": self.seed,
            "algorithm": self.algorithm,
            "gradient_norm": self.gradient_norm,
            "equal_shards": self.equal,
            "effective_examples": self.effective_examples,
            "shards": [
                {
                    "examples": size,
                    "plain_weight": 1 / (len(self.shards) * size),
                    "right_weight": 1 / self.examples,
                    "overweight": self.overweight(size),
                }
                for size in self.shards
            ],
            "combinations": [{**asdict(one), "shards": list(one.shards)} for one in self.combinations],
        }


def answer(
    shards: Iterable[int | str] = SHARDS,
    *,
    features: int | str = FEATURES,
    seed: int | str = SEED,
    algorithm: str = "ring",
) -> ShardFigures:
    """Combine the mean gradients of unequal shards in two ways and compare with the gradient of all examples.

    Parameters
    ----------
    shards : iterable of int
        Examples of each shard, each at least 1.
    features, seed : int
        d, and the seed of the data.
    algorithm : str
        The all-reduce that combines.

    Returns
    -------
    ShardFigures
        One record a combination inside.

    Raises
    ------
    InputError
        If there is no shard, a number is out of range, or the algorithm is not known.

    Examples
    --------
    >>> plain, weighted, equal = answer([980, 10, 10]).combinations
    >>> plain.relative_error > 0.1, weighted.relative_error < 1e-12
    (True, True)
    """
    sizes = tuple(parse_count(size, "the size of a shard") for size in several(shards))
    if not sizes:
        raise InputError("no shards are given; write the number of examples of each, such as 99000,400,300,200,100")
    width, start = parse_count(features, "features"), parse_count(seed, "seed", minimum=0)
    name = choose_algorithms(algorithm)[0]
    schedule = make_schedule("all_reduce", name, len(sizes))
    verify(schedule)

    inputs, targets = regression(sum(sizes), width, start)
    reference = gradient_sum(inputs, targets) / sum(sizes)
    base, longer = divmod(sum(sizes), len(sizes))
    even = tuple(base + (shard < longer) for shard in range(len(sizes)))
    found = [("plain", sizes, _plain), ("weighted", sizes, _weighted)]
    if len(set(sizes)) > 1:
        found.append(("plain, equal shards", even, _plain))
    combinations = []
    for title, cut, combine in found:
        gradients = combine(schedule, _means(inputs, targets, cut), cut)
        error = float(np.abs(gradients - reference).max())
        combinations.append(Combination(title, cut, error, relative_error(gradients, reference)))
    norm = float(np.linalg.norm(reference))
    return ShardFigures(sizes, width, start, name, norm, tuple(combinations))


def _means(inputs: Array, targets: Array, sizes: tuple[int, ...]) -> Array:
    """Return the mean gradient of each shard, shape (shards, features)."""
    edges = np.cumsum(sizes)[:-1]
    parts = zip(np.split(inputs, edges), np.split(targets, edges), strict=True)
    return np.array([gradient_sum(*part) / len(part[1]) for part in parts])


def _plain(schedule: Schedule, means: Array, sizes: tuple[int, ...]) -> Array:
    return execute(schedule, means, op="avg")


def _weighted(schedule: Schedule, means: Array, sizes: tuple[int, ...]) -> Array:
    # Every worker adds its n_i as one more element, so that one all-reduce brings the sum and N with it.
    own = np.array(sizes, dtype=np.float64)[:, None]
    total = execute(schedule, np.hstack([own * means, own]), op="sum")
    return np.asarray(total[:, :-1] / total[:, -1:])


def explain(figures: ShardFigures) -> list[str]:
    """Return the words that go with the figures, a paragraph each.

    Examples
    --------
    >>> print(explain(answer([50, 50]))[-1])
    All shards are of one size, so n_i/N = 1/K: plain and weighted are the same, and only rounding is left.
    """
    shards = len(figures.shards)
    if shards == 1:
        return ["One shard holds all examples: there is nothing to combine."]
    done = (
        f"The {grouped(shards)} workers hold {grouped(figures.examples)} examples, and each computes the mean "
        f"gradient of its own shard; a {figures.algorithm} all-reduce combines them. The gradient of all examples is "
        "the reference."
    )
    if figures.equal:
        same = "All shards are of one size, so n_i/N = 1/K: plain and weighted are the same, and only rounding is left."
        return [done, same]
    return [done, _why(figures), _cure(figures)]


def _why(figures: ShardFigures) -> str:
    shards, total = len(figures.shards), figures.examples
    smallest, largest = min(figures.shards), max(figures.shards)
    small = [size for size in figures.shards if size * shards < total]
    held, say = percent(sum(small) / total), percent(len(small) / shards)
    plain = figures.combinations[0]
    who = "The one shard" if len(small) == 1 else f"The {grouped(len(small))} shards"
    return (
        f"The plain average is off by {percent(plain.relative_error)}. It gives every shard the same say, 1/K = "
        f"{percent(1 / shards)}, so an example of a shard of n_i counts 1/(K n_i) where 1/N is right: one in the "
        f"smallest shard ({grouped(smallest)} examples) {_times(figures.overweight(smallest))}, one in the largest "
        f"({grouped(largest)}) {_times(figures.overweight(largest))}. {who} below the average size "
        f"{'holds' if len(small) == 1 else 'hold'} {held} of the examples and "
        f"{'has' if len(small) == 1 else 'have'} {say} of the say. If the shards are random samples, the plain average "
        f"is as noisy as a gradient of about {_about(figures.effective_examples)} examples; if they are of different "
        "kinds, it is systematically wrong as well."
    )


def _cure(figures: ShardFigures) -> str:
    _, weighted, equal = figures.combinations
    text = (
        "Weighting each mean by n_i/N gives every example 1/N again: the workers send n_i times their mean, which is "
        "the sum over their shard, and n_i along with it, and divide one total by the other. What is left, "
        f"{brief(weighted.relative_error)}, is rounding."
    )
    if len(set(equal.shards)) == 1:
        return f"{text} With equal shards n_i/N = 1/K: then the plain average is right too."
    return (
        f"{text} With equal shards n_i/N = 1/K, and the plain average is right too; {grouped(figures.examples)} "
        f"examples do not divide by {grouped(len(figures.shards))}, so shards that differ by one example still leave "
        f"{percent(equal.relative_error)}."
    )


def _times(factor: float) -> str:
    if factor >= 2:
        return f"{brief(factor)} times too much"
    if factor <= 0.5:
        return f"{brief(1 / factor)} times too little"
    return f"{percent(abs(factor - 1))} too {'much' if factor > 1 else 'little'}"


def _about(number: float) -> str:
    return grouped(round(float(f"{number:.2g}"))) if number >= 10 else brief(number)
