"""Example 1.1.1: the gradient of a linear model, computed by several workers and by one machine.

The partial sums of the workers are combined by schedules that were verified and then executed, so that
the last bits are those of the algorithm's own order of summation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collsim.algorithms.table import ADMITS
from collsim.book import brief, choose_algorithms, grouped, listing
from collsim.catalog import ALGORITHMS, make_schedule
from collsim.replay import execute, verify
from collsim.simulation import simulate
from collsim.topology import Topology
from collsim.topology_files import load_topology
from collsim.units import format_size, format_time, parse_count

# With more workers than this only the book's own algorithms run by default: others write K^2 moves or more.
_MANY = 256
_BOOK = ("naive", "tree", "ring")

Array = NDArray[np.float64]

EXAMPLES, FEATURES, SEED = 100_000, 50, 0
BOOK_DIFFERENCE, BOOK_ERROR = "3.91e-14", "6.43e-15"
UNIT_ROUNDOFF = 2.0**-53


@dataclass(frozen=True)
class Combination:
    """What one all-reduce algorithm made of the partial sums.

    Attributes
    ----------
    algorithm : str
        Name in the catalogue.
    steps, messages : int
        Of its schedule.
    max_abs_difference : float
        Largest absolute difference of a component from the single-machine gradient, over all workers.
    relative_error : float
        2-norm of the difference over that of the gradient, at the worst worker.
    workers_agree : bool
        Whether all workers hold the same bits.
    time : float
        Simulated seconds of this all-reduce on the book's network.
    """

    algorithm: str
    steps: int
    messages: int
    max_abs_difference: float
    relative_error: float
    workers_agree: bool
    time: float


@dataclass(frozen=True)
class GradientFigures:
    """The figures of example 1.1.1.

    Attributes
    ----------
    examples, features : int
        N and d.
    seed : int
        Of the data.
    workers : int
        K.
    smallest_shard, largest_shard : int
        Examples of a worker.
    size : int
        Bytes of one gradient.
    latency : float
        Seconds of a message of no bytes between two workers.
    bandwidth : float
        Bytes per second between two workers.
    topology : str
        Name of the network.
    gradient_norm : float
        2-norm of the single-machine gradient.
    algorithms : tuple of Combination
        One an algorithm.
    """

    examples: int
    features: int
    seed: int
    workers: int
    smallest_shard: int
    largest_shard: int
    size: int
    latency: float
    bandwidth: float
    topology: str
    gradient_norm: float
    algorithms: tuple[Combination, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON has them, units in the names."""
        document = asdict(self)
        for old, new in (("size", "size_bytes"), ("latency", "latency_s"), ("bandwidth", "bandwidth_Bps")):
            document[new] = document.pop(old)
        records = [{**asdict(record), "time_s": record.time} for record in self.algorithms]
        for record in records:
            del record["time"]
        return {"example": "1.1.1", **document, "algorithms": records}


def regression(examples: int = EXAMPLES, features: int = FEATURES, seed: int = SEED) -> tuple[Array, Array]:
    """Return the data of the example: inputs (examples, features) and what a linear model of them should give.

    Inputs and true weights are standard normal, the targets have noise of 0.1.
    """
    random = np.random.default_rng(seed)
    inputs = random.standard_normal((examples, features))
    weights = random.standard_normal(features)
    targets = inputs @ weights + 0.1 * random.standard_normal(examples)
    return inputs, targets


def gradient_sum(inputs: Array, targets: Array) -> Array:
    """Return the gradient at w = 0 of the sum of squared errors over some examples, shape (features,).

    Divided by the number of examples it is the gradient of their mean squared error.
    """
    weights = np.zeros(inputs.shape[1])
    return 2.0 * (inputs.T @ (inputs @ weights - targets))


def relative_error(found: Array, reference: Array) -> float:
    """Return the 2-norm of the difference over that of the reference, of the worst row of `found`."""
    return float(np.linalg.norm(found - reference, axis=-1).max() / np.linalg.norm(reference))


def answer(
    workers: int | str = 8,
    *,
    examples: int | str = EXAMPLES,
    features: int | str = FEATURES,
    seed: int | str = SEED,
    algorithms: str | Iterable[str] | None = None,
) -> GradientFigures:
    """Compute the gradient once on one machine and once on several workers, and compare.

    Parameters
    ----------
    workers : int
        K, at least 1; the examples are shared out as `numpy.array_split` does.
    examples, features : int
        N and d, at least 1.
    seed : int
        Of the data.
    algorithms : iterable of str, optional
        All-reduce algorithms; default: all in the catalogue.

    Returns
    -------
    GradientFigures
        One record an algorithm inside.

    Raises
    ------
    InputError
        If a number is out of range or an algorithm not known.
    VerificationError
        If an algorithm of your own is wrong.

    Examples
    --------
    >>> figures = answer(workers=3, examples=1000, algorithms=["ring"])
    >>> figures.algorithms[0].workers_agree, figures.algorithms[0].relative_error < 1e-14
    (True, True)
    """
    count = parse_count(workers, "workers")
    number, width = parse_count(examples, "examples"), parse_count(features, "features")
    start = parse_count(seed, "seed", minimum=0)
    if algorithms is None:
        algorithms = [
            name
            for (owner, name), entry in ALGORITHMS.items()
            if owner == "all_reduce" and ADMITS[entry.admits](count) and (count <= _MANY or name in _BOOK)
        ]
    chosen = choose_algorithms(algorithms)

    inputs, targets = regression(number, width, start)
    reference = gradient_sum(inputs, targets) / number
    shards = list(zip(np.array_split(inputs, count), np.array_split(targets, count), strict=True))
    partial = np.array([gradient_sum(*shard) for shard in shards])
    sizes = [len(shard) for _, shard in shards]
    # Two at least: so that there are two workers between whom to state latency and bandwidth.
    network = load_topology("book", max(count, 2))
    return GradientFigures(
        examples=number,
        features=width,
        seed=start,
        workers=count,
        smallest_shard=min(sizes),
        largest_shard=max(sizes),
        size=reference.nbytes,
        latency=network.route_latency(0, 1),
        bandwidth=network.route_bandwidth(0, 1),
        topology="book",
        gradient_norm=float(np.linalg.norm(reference)),
        algorithms=tuple(_combine(name, partial, number, reference, network) for name in chosen),
    )


def _combine(algorithm: str, partial: Array, examples: int, reference: Array, network: Topology) -> Combination:
    schedule = make_schedule("all_reduce", algorithm, len(partial))
    verify(schedule)
    gradients = execute(schedule, partial) / examples
    # On one switch both models give the same time; this one also has a fast engine, for many workers.
    result = simulate(schedule, network, reference.nbytes, model="alpha-beta", itemsize=reference.itemsize)
    return Combination(
        algorithm=schedule.algorithm,
        steps=schedule.steps,
        messages=schedule.messages,
        max_abs_difference=float(np.abs(gradients - reference).max()),
        relative_error=relative_error(gradients, reference),
        workers_agree=gradients.tobytes() == gradients[:1].tobytes() * len(gradients),
        time=result.time,
    )


def explain(figures: GradientFigures) -> list[str]:
    """Return the words that go with the figures, a paragraph each.

    Examples
    --------
    >>> print(explain(answer(workers=1, examples=10))[0])
    One worker sums the gradients of all 10 examples: nothing is sent, and there is nothing to combine.
    """
    paragraphs = [_what_was_done(figures), _how_near(figures)]
    if figures.workers > 1:
        paragraphs += [_same_bits(figures), _how_long(figures)]
    return paragraphs


def _what_was_done(figures: GradientFigures) -> str:
    if figures.workers == 1:
        return (
            f"One worker sums the gradients of all {grouped(figures.examples)} examples: nothing is sent, and there "
            "is nothing to combine."
        )
    low, high = grouped(figures.smallest_shard), grouped(figures.largest_shard)
    return (
        f"Each of the {grouped(figures.workers)} workers sums the gradients of its own "
        f"{low if low == high else f'{low} or {high}'} examples; an all-reduce adds these sums, and dividing by "
        f"N = {grouped(figures.examples)} gives every worker the gradient of all of them. In exact arithmetic that "
        "is the single-machine gradient: a sum may be cut into parts, and the parts added in any order."
    )


def _how_near(figures: GradientFigures) -> str:
    worst = max(figures.algorithms, key=lambda record: record.relative_error)
    largest = max(record.max_abs_difference for record in figures.algorithms)
    if largest == 0:
        found = "Here not even rounding makes a difference."
    else:
        found = (
            f"In floating point each order rounds differently: what is left is at most {brief(largest)}, relative to "
            f"the gradient {brief(worst.relative_error)}, or {brief(worst.relative_error / UNIT_ROUNDOFF)} times the "
            "unit roundoff of float64 (1.1e-16). The single-machine gradient is rounded as well: neither of the two "
            "is the exact one."
        )
    return (
        f"{found} The book shows {BOOK_DIFFERENCE} and {BOOK_ERROR} (N = {grouped(EXAMPLES)}, d = {FEATURES}): compare "
        "the order of magnitude only, for the last digits depend on the BLAS, which sums within a shard in an order "
        "of its own, and on the order in which the all-reduce adds the shards."
    )


def _same_bits(figures: GradientFigures) -> str:
    differing = [record.algorithm for record in figures.algorithms if not record.workers_agree]
    if differing:
        return (
            f"With {listing(differing)} the workers do not all hold the same bits: their copies of the model would "
            "drift apart, step by step."
        )
    return "All workers hold the same bits afterwards, so that their copies of the model stay the same."


def _how_long(figures: GradientFigures) -> str:
    by_time = sorted(figures.algorithms, key=lambda record: record.time)
    fastest, slowest = by_time[0], by_time[-1]
    transfer = figures.size / figures.bandwidth
    text = (
        f"On the book's network {format_size(figures.size)} take {format_time(transfer)} to send, after a latency of "
        f"{format_time(figures.latency)}"
    )
    if fastest.time == slowest.time:
        return f"{text}."
    reason = ", so the number of steps decides: " if transfer * figures.workers < figures.latency else ": "
    return (
        f"{text}{reason}{fastest.algorithm} ({counted(fastest.steps)}) takes {format_time(fastest.time)}, "
        f"{slowest.algorithm} ({counted(slowest.steps)}) {format_time(slowest.time)}."
    )


def counted(steps: int) -> str:
    """Return a number of steps in words."""
    return f"{steps} step" if steps == 1 else f"{steps} steps"
