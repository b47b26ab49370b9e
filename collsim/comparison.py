"""One schedule under several network models, and which effect makes them disagree.

Nothing here is estimated: each effect is the difference between two simulations of the same schedule, one with
the effect and one without it, so the effects of a model and the time without any of them add up to its time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from collsim.catalog import make_schedule
from collsim.collectives import collective_name
from collsim.errors import InputError, unknown
from collsim.models import MODELS, AlphaBeta, Fifo, LogGP, MaxMin, Model
from collsim.results import Result
from collsim.schedule import Schedule
from collsim.simulation import check_parameters, simulate
from collsim.topology import Link, Topology, node_name
from collsim.units import Quantity, format_size, format_time

EFFECTS: dict[str, str] = {
    "ports": "ranks that send, or receive, one message after another",
    "sharing": "messages that cross a link at the same time and share its bandwidth",
    "queueing": "messages that wait until a link has served another",
    "store-and-forward": "every link takes a message (or packet) in full before it passes it on",
    "overhead": "what each message costs processors and network cards (o, g, O)",
    "eager": "senders that go on before their receivers are there",
}

# Who meets whom, as each model knows it; one of them stands against the other when two models are compared.
_MEETING = ("ports", "sharing", "queueing")

_SETTINGS = ("gamma", "ordering", "engine", "itemsize", "offsets", "header_bytes")

# Models whose times differ by less than this part are said to agree.
_AGREE = 0.01
# Two simulations whose times differ by less than this part differ in the order of additions only.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Comparison:
    """One algorithm under one model.

    Attributes
    ----------
    algorithm : str
        Its name.
    result : Result
        The simulation.
    alone : float
        Seconds it would take if no message ever waited for another, or met another on its way: the same
        under all models.
    effects : dict of str to float
        What each effect of `EFFECTS` that the model knows adds, in seconds; together ``time - alone``.
    """

    algorithm: str
    result: Result
    alone: float
    effects: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return the figures of the run, as ``collsim run --json`` names them, with ``alone_s`` and ``effects_s``."""
        return self.result.to_dict() | {"alone_s": self.alone, "effects_s": dict(self.effects)}


def compare(
    collective: str,
    algorithm: str | Iterable[str],
    topology: Topology,
    nbytes: Quantity,
    *,
    ranks: int | None = None,
    models: str | Iterable[str] = "all",
    parameters: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    **settings: Any,
) -> list[Comparison]:
    """Simulate algorithms under several network models, and take their times apart.

    Parameters
    ----------
    collective : str
        What is done.
    algorithm : str or iterable of str
        One algorithm or several.
    topology : Topology
        The network, the same for all models.
    nbytes : int or str
        Size of the whole vector.
    ranks : int, optional
        Default: all of the topology.
    models : str or iterable of str
        Names of models, or ``"all"``.
    parameters : mapping, optional
        Parameters of models, such as ``{"o": "1us", "packet_bytes": "4KiB"}``; each goes to the models that know it.
    options : mapping, optional
        Options of the algorithms.
    **settings
        Passed to `simulate`: ``gamma, ordering, engine, itemsize, offsets, header_bytes``.

    Returns
    -------
    list of Comparison
        Algorithm by algorithm, in the order of `models`.

    Raises
    ------
    InputError
        If a name or a parameter is not known, or a value is out of range.

    Examples
    --------
    A linear gather makes everybody send to one rank at once. On a star, a message crosses two links:

    >>> import collsim as cs
    >>> for found in cs.compare("gather", "flat", cs.star(5, "10GB/s", 0), "500MB", models=["maxmin", "fifo"]):
    ...     print(found.result.model, *(f"{name} {seconds:.3g}" for name, seconds in found.effects.items()))
    maxmin sharing 0.03
    fifo store-and-forward 0.01 queueing 0.03
    """
    if not isinstance(topology, Topology):
        raise InputError(f"models are compared on a Topology, as load_topology returns it, got {topology!r}")
    for setting in settings:
        if setting not in _SETTINGS:
            raise unknown("setting of compare:", setting, _SETTINGS)
    if options is not None and not isinstance(options, Mapping):
        raise InputError(f"options must be a mapping such as {{'root': 1}}, got {options!r}")
    names = _several(algorithm)
    if not names:
        raise InputError("no algorithm to compare: give one or several names")
    chosen = _models(models)
    given = check_parameters(parameters)
    for name in given:
        if not any(name in MODELS[model].parsers for model in chosen):
            raise unknown(f"parameter of {', '.join(chosen)}:", name, {p for m in chosen for p in MODELS[m].parsers})
    count = topology.ranks if ranks is None else ranks
    found = []
    for name in names:
        schedule = make_schedule(collective_name(collective), name, count, **(options or {}))
        run = _Runs(schedule, topology, nbytes, settings)
        found += [run.under(model, given) for model in chosen]
    return found


def verdict(found: Iterable[Comparison]) -> str:
    """Return in a sentence or two how far the models disagree about one algorithm, and why.

    Raises
    ------
    InputError
        If there is nothing to say something about.
    """
    rows = sorted(found, key=lambda one: one.result.time)
    if not rows:
        raise InputError("no comparison to give a verdict on: it must have at least one model")
    first, last = rows[0], rows[-1]
    name = first.algorithm
    if len(rows) == 1:
        return f"{name}: {first.result.model} is the only model."
    if last.result.time <= first.result.time * (1 + _AGREE):
        return f"{name}: the models agree within {100 * _AGREE:.0f} %."
    if first.result.time > 0:
        words = f"{name}: {last.result.model} takes {last.result.time / first.result.time:.3g} times as long as "
        words += first.result.model
    else:
        words = f"{name}: {last.result.model} takes {format_time(last.result.time)}, {first.result.model} no time"
    cause = _cause(first, last)
    if cause is None:
        words += f", for without any effect they take {format_time(last.alone)} and {format_time(first.alone)} already"
    elif last.effects.get(cause, 0.0) > 0:
        part = last.effects[cause] / last.result.time
        words += (
            f", for {format_time(last.effects[cause])} of its {format_time(last.result.time)} ({100 * part:.0f} %) are "
            f"{cause}: {EFFECTS[cause]}"
        )
    else:
        words += f", which saves {format_time(-first.effects[cause])} by {cause}: {EFFECTS[cause]}"
    words += "."
    if cause in ("sharing", "queueing"):
        words += f" {busiest_link(last.result)}"
    return words


def _cause(first: Comparison, last: Comparison) -> str | None:
    """Return the effect that makes most of the difference between the fastest model and the slowest.

    What both have alike makes none. None if they differ most where there is no effect at all: in links with other
    figures (a calibration).
    """
    meeting = sum(first.effects.get(effect, 0.0) for effect in _MEETING)
    parts: dict[str | None, float] = {None: last.alone - first.alone}
    for effect in dict.fromkeys([*last.effects, *first.effects]):
        if effect not in _MEETING:
            parts[effect] = last.effects.get(effect, 0.0) - first.effects.get(effect, 0.0)
        elif effect in last.effects:
            parts[effect] = last.effects[effect] - meeting
    return max(parts, key=lambda effect: parts[effect])


def busiest_link(result: Result) -> str:
    """Return in words at which link messages of one step meet most, or if none do, which has most to carry.

    Raises
    ------
    InputError
        If the run has no topology, no message, or no times of single messages.
    """
    topology = result.parameters.topology
    schedule = result.schedule
    if topology is None or not schedule.transfers.any():
        raise InputError("there is no link: the run has no topology, or no messages")
    life, links = result.life, len(topology.links)
    some = ~topology.fatpipe[life.routed.link]
    move, channel = life.routed.move[some], topology.channel[life.routed.link[some]]
    nbytes = life.routed.share[some] * life.graph.nbytes[move]
    places, place = np.unique(schedule.step[life.row[move]].astype(np.int64) * links + channel, return_inverse=True)
    carried = np.bincount(place, weights=nbytes, minlength=len(places))
    # One message counts once, however often or in how many parts it comes by.
    met = np.unique(np.stack([place, move], axis=1), axis=0)[:, 0]
    crossing = np.bincount(met, minlength=len(places))
    channel = places % links
    shared = crossing > 1 if (crossing > 1).any() else crossing > 0
    seconds = carried[shared] / topology.bandwidth[channel[shared]]
    link = int(np.argmax(np.bincount(channel[shared], weights=seconds, minlength=links)))
    most = int(crossing[channel == link].max(initial=0))
    total = float(carried[channel == link].sum())
    ends = topology.links[link]
    return (
        f"The {'most shared' if most > 1 else 'busiest'} link, from {node_name(ends.tail)} to {node_name(ends.head)}, "
        f"carries {format_size(total)}, up to {most} message{'s' * (most != 1)} a step, and needs "
        f"{format_time(total / ends.bandwidth)} for that alone."
    )


def _models(models: str | Iterable[str]) -> list[str]:
    if models == "all":
        return list(MODELS)
    names = _several(models)
    for name in names:
        if name not in MODELS:
            raise unknown("model", name, ["all", *MODELS])
    if not names:
        raise InputError("no model to compare: give one or several names, or 'all'")
    return names


def _several(names: Any) -> list[Any]:
    return list(names) if isinstance(names, Iterable) and not isinstance(names, str) else [names]


class _Runs:
    """The simulations of one schedule: under a model, and with each of its effects left out."""

    def __init__(self, schedule: Schedule, topology: Topology, nbytes: Quantity, settings: Mapping[str, Any]) -> None:
        self.schedule = schedule
        self.topology = topology
        self.nbytes = nbytes
        self.settings = settings
        self._alone: dict[Topology, float] = {}

    def under(self, name: str, parameters: Mapping[str, Any]) -> Comparison:
        """Return one model's time, taken apart."""
        own = {key: value for key, value in parameters.items() if key in MODELS[name].parsers}
        model = MODELS[name].from_parameters(self.topology, own)
        result = self._run(model)
        assert model.topology is not None
        alone = self._time_alone(model.topology)
        effects: dict[str, float] = {}
        before = alone
        for effect, without in _without(model).items():
            after = result.time if without is None else self._run(without).time
            effects[effect] = 0.0 if math.isclose(after, before, rel_tol=_ROUNDING) else after - before
            before = after
        return Comparison(self.schedule.algorithm, result, alone, effects)

    def _run(self, model: Model) -> Result:
        return simulate(self.schedule, nbytes=self.nbytes, model=model, **self.settings)

    def _time_alone(self, topology: Topology) -> float:
        """Return the time if every message had its route to itself: a link of its own, which nobody shares."""
        if topology not in self._alone:
            transfers = self.schedule.transfers
            pairs = np.stack([self.schedule.src[transfers], self.schedule.dst[transfers]], axis=1)
            round_all = np.stack([np.arange(count := self.schedule.ranks), np.roll(np.arange(count), -1)], axis=1)
            if count > 1:  # a network must be connected, whatever the schedule uses of it
                pairs = np.concatenate([pairs, round_all])
            links = [
                Link(src, dst, topology.route_bandwidth(src, dst), topology.route_latency(src, dst), fatpipe=True)
                for src, dst in np.unique(pairs, axis=0).tolist()
            ]
            direct = Topology(topology.name, self.schedule.ranks, links)
            self._alone[topology] = self._run(MaxMin(direct)).time
        return self._alone[topology]


def _without(model: Model) -> dict[str, Model | None]:
    """Return the effects of a model, each with the model that has it and those before it; None: the model itself."""
    if isinstance(model, AlphaBeta):
        return {"ports": None}
    if isinstance(model, LogGP):
        # Without overheads it is alpha-beta, but its ends do not wait for each other and the first byte is free.
        bare = replace(model, o=0.0, g=0.0, O=0.0)
        return {"ports": AlphaBeta(topology=model.topology), "eager": bare, "overhead": None}
    if isinstance(model, MaxMin):
        return {"sharing": None}
    if isinstance(model, Fifo):
        nobody_shares = [replace(link, medium=None, fatpipe=True) for link in model.topology.links]
        return {
            "store-and-forward": replace(model, topology=model.topology.with_links(nobody_shares)),
            "queueing": None,
        }
    return {}
