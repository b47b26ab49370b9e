"""Exercise 1.1.3: from how many workers on does communication dominate a training step?

Every time is simulated. The conclusion is put together from the figures, so that it is right for other
models and networks than the book's too.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from collsim.book import brief, choose_algorithms, listing, percent, several
from collsim.catalog import make_schedule
from collsim.errors import InputError
from collsim.simulation import simulate
from collsim.topology_files import load_topology
from collsim.units import (
    Quantity,
    format_time,
    parse_bandwidth,
    parse_count,
    parse_time,
)

PARAMETERS, ITEMSIZE = 10**9, 4
COMPUTE = "300ms"
WORKERS = tuple(2**power for power in range(1, 11))
ALGORITHMS = ("naive", "tree", "ring")

# Engines and closed forms agree to this much, so that no smaller difference decides what dominates.
_TOLERANCE = 1e-9
_LARGEST = 10**24


@dataclass(frozen=True)
class Record:
    """One algorithm, one number of workers, one compute time.

    Attributes
    ----------
    algorithm : str
        Name in the catalogue.
    workers : int
        K.
    compute : float
        Seconds that every worker computes in a step.
    time : float
        Simulated seconds of one all-reduce of the gradient.
    """

    algorithm: str
    workers: int
    compute: float
    time: float

    @property
    def ratio(self) -> float:
        """Communication over compute."""
        return self.time / self.compute

    @property
    def share(self) -> float:
        """Part of a step that is communication if nothing overlaps."""
        return self.time / (self.time + self.compute)

    @property
    def exposed_share(self) -> float:
        """Part of a step that is still communication alone if the two overlap perfectly."""
        return max(0.0, self.time - self.compute) / max(self.time, self.compute)


@dataclass(frozen=True)
class Crossing:
    """Where communication begins to dominate.

    Attributes
    ----------
    algorithm : str
        Name in the catalogue.
    compute : float
        Seconds that every worker computes in a step.
    workers : int or None
        The smallest K >= 2 whose all-reduce takes longer; None if there is none up to the limit.
    """

    algorithm: str
    compute: float
    workers: int | None


@dataclass(frozen=True)
class ScalingFigures:
    """The figures of exercise 1.1.3.

    Attributes
    ----------
    parameters, itemsize : int
        P, and bytes of each.
    bandwidth : float
        Bytes per second of each worker's port, either way.
    latency : float
        Seconds of a message, end to end.
    compute : tuple of float
        Seconds that every worker computes in a step: one, or the ends of a range.
    workers : tuple of int
        The K that were simulated, ascending.
    algorithms : tuple of str
        The algorithms compared.
    up_to : int
        The largest K up to which crossings were looked for.
    records : tuple of Record
        By algorithm, then K, then compute time.
    crossings : tuple of Crossing
        By algorithm, then compute time.
    """

    parameters: int
    itemsize: int
    bandwidth: float
    latency: float
    compute: tuple[float, ...]
    workers: tuple[int, ...]
    algorithms: tuple[str, ...]
    up_to: int
    records: tuple[Record, ...]
    crossings: tuple[Crossing, ...]

    @property
    def size(self) -> int:
        """Bytes of one gradient, n."""
        return self.parameters * self.itemsize

    @property
    def once(self) -> float:
        """Seconds that one gradient takes over one link, once: n/B."""
        return self.size / self.bandwidth

    def bound(self, workers: int) -> float:
        """Return seconds below which no all-reduce can be, 2(K-1)/K n/B (Patarasuk and Yuan, 2009)."""
        return 2 * (workers - 1) / workers * self.once

    def at(self, algorithm: str, workers: int) -> list[Record]:
        """Return the records of one algorithm and K, one a compute time."""
        return [record for record in self.records if (record.algorithm, record.workers) == (algorithm, workers)]

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON has them, units in the names."""
        return {
            "exercise": "1.1.3",
            "parameters": self.parameters,
            "itemsize": self.itemsize,
            "size_bytes": self.size,
            "bandwidth_Bps": self.bandwidth,
            "latency_s": self.latency,
            "compute_s": list(self.compute),
            "once_s": self.once,
            "up_to": self.up_to,
            "records": [
                {
                    "algorithm": record.algorithm,
                    "workers": record.workers,
                    "compute_s": record.compute,
                    "time_s": record.time,
                    "bound_s": self.bound(record.workers),
                    "ratio": record.ratio,
                    "share": record.share,
                    "exposed_share": record.exposed_share,
                }
                for record in self.records
            ],
            "dominates_from": [
                {"algorithm": crossing.algorithm, "compute_s": crossing.compute, "workers": crossing.workers}
                for crossing in self.crossings
            ],
            "conclusion": conclude(self),
        }


def answer(
    parameters: int | float | str = PARAMETERS,
    *,
    itemsize: int | str = ITEMSIZE,
    bandwidth: Quantity | None = None,
    latency: Quantity | None = None,
    compute: Quantity | tuple[Quantity, Quantity] = COMPUTE,
    workers: Iterable[int | str] = WORKERS,
    algorithms: str | Iterable[str] = ALGORITHMS,
    up_to: int | str | None = None,
) -> ScalingFigures:
    """Simulate the all-reduce of one gradient for many numbers of workers, and set it against the compute time.

    Parameters
    ----------
    parameters : int
        P, the elements of a gradient.
    itemsize : int
        Bytes of one element.
    bandwidth : float or str, optional
        Of each worker's port, in bytes per second or as text. Default: that of the topology ``"book"``, 10 GB/s.
    latency : float or str, optional
        Of a message end to end, in seconds or as text. Default: that of the topology ``"book"``, 5 us.
    compute : float or str, or a pair of these
        Seconds that every worker computes in a step, the same for every K; a pair or ``"100ms..500ms"`` is a range.
    workers : iterable of int
        The K to simulate.
    algorithms : iterable of str
        All-reduce algorithms to compare.
    up_to : int, optional
        The largest K up to which to look for where communication begins to dominate. Default: 1024, or the
        largest of `workers` if that is more.

    Returns
    -------
    ScalingFigures
        One record for each algorithm, K and compute time inside.

    Raises
    ------
    InputError
        If a value is out of range, its unit unknown, or an algorithm not known.

    Notes
    -----
    The smallest K is bracketed among 2^j and 2^j + 1, then bisected: that finds it for times that do not
    fall as K grows, and for those that do so at powers of two only, as of algorithms that fold the rest.

    Examples
    --------
    >>> figures = answer(workers=[2, 8], algorithms=["ring"], compute="500ms")
    >>> [round(record.time, 6) for record in figures.records], figures.crossings[0].workers
    ([0.40001, 0.70007], 3)
    """
    elements = _whole(parameters, "parameters")
    item = parse_count(itemsize, "itemsize")
    wire = load_topology("book", 2)
    rate = wire.route_bandwidth(0, 1) if bandwidth is None else parse_bandwidth(bandwidth)
    delay = wire.route_latency(0, 1) if latency is None else parse_time(latency, "latency")
    costs = _compute_times(compute)
    counts = sorted({parse_count(count, "workers") for count in several(workers)})
    if not counts:
        raise InputError("no numbers of workers are given; write some, such as 2,4,8")
    limit = max(1024, counts[-1]) if up_to is None else parse_count(up_to, "up_to", minimum=2)
    chosen = choose_algorithms(algorithms)

    size = elements * item
    if size > _LARGEST:
        raise InputError(
            f"a gradient must not be larger than 1e24 bytes, got {parameters!r} parameters of {item} bytes"
        )
    _check_comparable(size / rate, costs[0])

    @functools.cache
    def seconds(algorithm: str, ranks: int) -> float:
        schedule = make_schedule("all_reduce", algorithm, ranks)
        return _check_comparable(simulate(schedule, alpha=delay, beta=1 / rate, nbytes=size).time, costs[0])

    return ScalingFigures(
        parameters=elements,
        itemsize=item,
        bandwidth=rate,
        latency=delay,
        compute=costs,
        workers=tuple(counts),
        algorithms=tuple(chosen),
        up_to=limit,
        records=tuple(
            Record(name, count, cost, seconds(name, count))
            for name, count, cost in itertools.product(chosen, counts, costs)
        ),
        crossings=tuple(
            Crossing(name, cost, _first_above(functools.partial(seconds, name), cost, limit))
            for name, cost in itertools.product(chosen, costs)
        ),
    )


def _whole(value: int | float | str, what: str) -> int:
    """Return a whole number; unlike elsewhere 1e9 is taken as text too."""
    if isinstance(value, str) and "e" in value.lower():
        try:
            return parse_count(float(value), what)
        except ValueError:
            pass  # the error below shows the text as it was written
    return parse_count(value, what)


def _check_comparable(communication: float, compute: float) -> float:
    if not math.isfinite(communication / compute):
        raise InputError(
            f"communication of {communication:g} s and compute of {compute:g} s are too far apart to compare"
        )
    return communication


def _compute_times(compute: Quantity | tuple[Quantity, Quantity]) -> tuple[float, ...]:
    """Return one compute time, or the two ends of a range."""
    shown: object = compute
    ends: tuple[Quantity, ...]
    if isinstance(compute, str):
        low, dots, high = compute.partition("..")
        ends = (low, high) if dots else (low,)
    else:
        ends = tuple(compute) if isinstance(compute, tuple | list) else (compute,)
    if len(ends) > 2 or (len(ends) == 2 and "" in ends) or not ends:
        raise InputError(f"compute must be a time such as 300ms or a range such as 100ms..500ms, got {shown!r}")
    times = tuple(parse_time(end, "compute") for end in ends)
    if min(times) <= 0:
        raise InputError(f"compute must be positive, got {shown!r}; write a time such as 300ms")
    if times[0] > times[-1]:
        raise InputError(f"the range of compute must ascend, as 100ms..500ms does (each with its unit), got {shown!r}")
    return times[:1] if times[0] == times[-1] else times


def _first_above(seconds: Callable[[int], float], compute: float, limit: int) -> int | None:
    """Return the smallest number of workers whose communication takes longer than the compute."""
    threshold = compute * (1 + _TOLERANCE)
    below = 1
    for probe in _probes(limit):
        if seconds(probe) > threshold:
            above = probe
            while above - below > 1:
                middle = (below + above) // 2
                below, above = (below, middle) if seconds(middle) > threshold else (middle, above)
            return above
        below = probe
    return None


def _probes(limit: int) -> list[int]:
    powers = [2**power for power in range(1, limit.bit_length())]
    return sorted({min(limit, power + extra) for power in powers for extra in (0, 1)} | {limit})


def explain(figures: ScalingFigures) -> list[str]:
    """Return the words that go with the figures, a paragraph each; the last is the conclusion, two sentences.

    Examples
    --------
    >>> import textwrap
    >>> print(textwrap.fill(explain(answer(workers=[2], compute="1s", up_to=2))[-1], 108))
    Up to K = 2 communication never dominates the compute (1 s) with naive, tree or ring. With K = 2 workers the
    fastest, ring, takes 400 ms, 0.40 times the compute: without overlap 29 % of a step is communication, and
    perfect overlap hides all of it.
    """
    return [
        "Compute is what every worker does in a step, the same for every K (each brings its own batch). Without "
        "overlap a step takes communication + compute; with perfect overlap it takes the longer of the two, and what "
        "the compute does not hide remains.",
        conclude(figures),
    ]


def conclude(figures: ScalingFigures) -> str:
    """Return the conclusion in two sentences: where communication dominates, and what that means."""
    return f"{_where_it_dominates(figures)} {_what_it_means(figures)}"


def format_once(figures: ScalingFigures) -> str:
    """Return the time of one gradient over one link: in seconds, as the book has it, unless it is far less."""
    return f"{figures.once:.4g} s" if figures.once >= 0.01 else format_time(figures.once)


def format_compute(figures: ScalingFigures) -> str:
    """Return the compute time, or the range of it."""
    return " to ".join(format_time(cost) for cost in figures.compute)


def _where_it_dominates(figures: ScalingFigures) -> str:
    alike: dict[tuple[int | None, ...], list[str]] = {}
    for crossing in figures.crossings:
        ends = tuple(other.workers for other in figures.crossings if other.algorithm == crossing.algorithm)
        names = alike.setdefault(ends, [])
        if crossing.algorithm not in names:
            names.append(crossing.algorithm)
    never = (None,) * len(figures.compute)
    compute, limit = format_compute(figures), figures.up_to
    quiet = alike.pop(never, [])
    if not alike:
        return f"Up to K = {limit} communication never dominates the compute ({compute}) with {listing(quiet, 'or')}."
    parts = [f"{_from(figures, ends)} with {listing(names)}" for ends, names in alike.items()]
    if quiet:
        parts.append(f"but never up to K = {limit} with {listing(quiet)}")
    separator = ", " if len(figures.compute) == 1 else "; "
    text = f"Communication dominates the compute ({compute}) {separator.join(parts)}"
    if figures.once > figures.compute[-1]:
        text += f": sending one gradient once ({format_once(figures)}) takes longer already"
    return f"{text}."


def _from(figures: ScalingFigures, ends: tuple[int | None, ...]) -> str:
    """Return from which K on, for each end of the compute range if they differ."""
    texts = [f"never up to K = {figures.up_to}" if end is None else f"from K = {end} on" for end in ends]
    if len(set(texts)) == 1:
        return texts[0]
    return " and ".join(f"{text} at {format_time(cost)}" for text, cost in zip(texts, figures.compute, strict=True))


def _what_it_means(figures: ScalingFigures) -> str:
    workers = figures.workers[-1]
    best = min(figures.algorithms, key=lambda name: figures.at(name, workers)[0].time)
    records = figures.at(best, workers)
    hard, easy = records[0], records[-1]  # the least compute to hide behind, and the most
    if hard.time == 0:
        return "A single worker has nothing to send."
    who = f"the fastest, {best}," if len(figures.algorithms) > 1 else best
    ratios = _span(brief(easy.ratio), brief(hard.ratio))
    text = f"With K = {workers} workers {who} takes {format_time(hard.time)}, {ratios} times the compute: "
    text += f"without overlap {_span(percent(easy.share), percent(hard.share))} of a step is communication, and "
    if hard.exposed_share == 0:
        return f"{text}perfect overlap hides all of it."
    if easy.exposed_share == 0:
        return (
            f"{text}perfect overlap hides all of it behind {format_time(easy.compute)} of compute, but leaves "
            f"{percent(hard.exposed_share)} behind {format_time(hard.compute)}."
        )
    remedies = ["a faster network", "more compute between two exchanges"]
    if 2 * figures.bound(workers) > hard.time:  # bytes, not latency, are most of it
        remedies.insert(1, "fewer bytes")
    return (
        f"{text}with perfect overlap {_span(percent(easy.exposed_share), percent(hard.exposed_share))} still is, so "
        f"that {listing(remedies, 'or')} would help, but more workers would not."
    )


def _span(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"
