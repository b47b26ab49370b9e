"""The third verb, and the front door: `simulate` checks what it is given and hands it to an engine."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from collsim.bounds import MOST_SEARCHED, bound_of_alike, lower_bound
from collsim.catalog import make_schedule, symmetric_schedule
from collsim.collectives import Collective
from collsim.engines import ENGINES, choose_engine
from collsim.engines.symmetric import Refused, run_schedule
from collsim.errors import InputError, unknown
from collsim.graph import ORDERINGS, lower
from collsim.memory import refuse_too_large
from collsim.models import MODELS, AlphaBeta, MaxMin, Model
from collsim.results import Result, SymmetricResult
from collsim.schedule import BYTES_A_ROW, Floats, Schedule, need_schedule
from collsim.symmetric import SymmetricSchedule
from collsim.topology import Topology
from collsim.topology_files import load_topology
from collsim.units import Quantity, parse_count, parse_size, parse_time, parse_time_per_byte

if TYPE_CHECKING:
    import networkx as nx

_TOO_LONG = "the simulated time is too large for a number: check size, latency, bandwidth and the model's parameters"

Network = str | PathLike[str] | Topology


def simulate(
    schedule: Schedule | SymmetricSchedule,
    topology: Network | nx.Graph[Any] | nx.DiGraph[Any] | None = None,
    nbytes: Quantity = 0,
    *,
    model: str | Model | None = None,
    parameters: Mapping[str, Any] | None = None,
    engine: str = "auto",
    ordering: str = "step",
    alpha: Quantity | None = None,
    beta: Quantity | None = None,
    gamma: Quantity = 0.0,
    offsets: ArrayLike | None = None,
    itemsize: int | None = None,
    header_bytes: Quantity = 0,
    timeline: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Simulate a schedule on a network.

    Parameters
    ----------
    schedule : Schedule or SymmetricSchedule
        What to run. The latter, in which all ranks do the same (see `collsim.symmetric_schedule`), is simulated
        for all ranks at once, if the network is alike for all of them too: the result then has no times of single
        messages. Otherwise the schedule of the same name is written out.
    topology : Topology, str, path or networkx graph, optional
        The network, as `load_topology` takes it. Leave it out to give `alpha` and `beta` instead, or a model that
        has its own.
    nbytes : int or str
        Size of the whole vector, in bytes or as text (``"64MiB"``).
    model : {"alpha-beta", "loggp", "maxmin", "fifo"} or Model, optional
        How messages share the network: by name, or a model with its parameters and its topology, such as
        ``LogGP(L="2500ns", o="1500ns", G="6ns/B")``. Default: ``maxmin`` with a topology, else ``alpha-beta``.
    parameters : mapping, optional
        The model's own parameters, where it is given by name: ``{"packet_bytes": "4KiB"}`` of ``fifo``,
        ``{"calibration": "LV08"}`` of ``maxmin``; numbers in SI units or text.
    engine : str
        ``"auto"`` (the fastest that can do it) or the name of one.
    ordering : {"step", "dataflow", "explicit"}
        What a move waits for.
    alpha, beta : float or str, optional
        Seconds a message and seconds a byte; only without a topology.
    gamma : float or str
        Seconds a byte that a reduction costs its receiver.
    offsets : array_like of float or str, shape (ranks,), optional
        When each rank starts, in seconds or as text; default 0.
    itemsize : int, optional
        Bytes of one element: messages are then whole elements. Default: the vector is divided evenly,
        to fractions of a byte, as closed forms do.
    header_bytes : int or str
        Bytes that every message has on the wire besides its payload (its envelope), also one without payload.
    timeline : bool
        Whether to keep the times of every move. Without them the result has ``.time``, ``.rank_times`` and all that
        is drawn from these, and takes some 30 bytes a move less.
    progress : callable, optional
        Called as ``progress(finished_moves, moves)`` now and then.

    Returns
    -------
    Result
        With ``.time``, ``.algbw``, ``.busbw``, ``.timeline`` and ``.to_frame()``.

    Raises
    ------
    InputError
        If a value is out of range, a name unknown, the network too small or disconnected, or the
        engine that was asked for cannot do the job.

    Examples
    --------
    >>> import collsim as cs
    >>> schedule = cs.make_schedule("all_reduce", "ring", ranks=8)
    >>> cs.simulate(schedule, alpha="5us", beta="0.1ns/B", nbytes="4GB")
    Result(all_reduce, ring, ranks=8, nbytes=4000000000, time=700.1 ms, busbw=9.999 GB/s)
    >>> net = cs.star(8, bandwidth="10GB/s", latency="2.5us")
    >>> round(cs.simulate(schedule, net, nbytes="4GB").time, 9)
    0.70007
    >>> simulate(schedule, net, "4GB", model="fifo", parameters={"packet_bytes": "4MB"}, header_bytes=16).model
    'fifo'
    >>> round(simulate(schedule, nbytes=1024, model=cs.LogGP(L="2500ns", o="1500ns", g="1us", G="6ns/B")).time, 9)
    8.7668e-05
    """
    if not isinstance(schedule, SymmetricSchedule):
        need_schedule(schedule, "simulate")
    size = parse_size(nbytes)
    network, name = choose_model(schedule.ranks, topology, model, alpha, beta, parameters)
    starts, cost, item, header = check_settings(
        schedule.ranks, size, ordering, engine, gamma, offsets, itemsize, header_bytes
    )
    reason = ""
    if isinstance(schedule, SymmetricSchedule):
        settings = _Settings(size, ordering, starts, cost, item, header)
        found = _all_at_once(schedule, network, name, engine, settings, progress)
        if isinstance(found, Result):
            return found
        schedule, reason = _written_out(schedule, found), found

    payload = schedule.message_bytes(size, item)
    graph = lower(schedule, payload, ordering=ordering, gamma=cost, offsets=starts, header_bytes=header)
    if reason and engine == "symmetric" and (refusal := ENGINES[engine].refusal(graph, network)):
        raise InputError(f"engine 'symmetric' cannot run this: {reason}; and {refusal}; use engine 'auto'")
    moves = None
    try:
        chosen = choose_engine(engine, graph, network)
        chosen.load()  # so that the time below is that of the simulation, not of an import
        began = time.perf_counter()
        with np.errstate(over="ignore"):  # said below, in words
            if timeline:
                moves = chosen.run(graph, network, progress)
                ends = moves.rank_ends(graph.ranks, graph.src, graph.dst)
            else:
                ends = chosen.rank_ends(graph, network, progress)
    except OverflowError:  # of a sum in Python
        raise InputError(_TOO_LONG) from None
    if not math.isfinite(ends.max()):
        raise InputError(_TOO_LONG)
    if moves is not None and graph.move_of_row is not None:
        moves = moves.at(graph.move_of_row)
    return Result(
        schedule=schedule,
        nbytes=size,
        payload=payload,
        ends=ends,
        moves=moves,
        topology=name,
        model=network.name,
        engine=chosen.name,
        ordering=ordering,
        bound=lower_bound(
            schedule.collective, schedule.ranks, size, network, gamma=cost, offsets=starts, itemsize=item
        ),
        wall_seconds=time.perf_counter() - began + chosen.seconds_before(graph, network),
        parameters=network,
        offsets=starts,
        header_bytes=header,
        gamma=cost,
        itemsize=item,
    )


class _Settings(NamedTuple):
    """The settings of a run, read and checked."""

    nbytes: int
    ordering: str
    offsets: Floats | None
    gamma: float
    itemsize: int | None
    header_bytes: int


def _all_at_once(
    schedule: SymmetricSchedule,
    model: Model,
    name: str | None,
    engine: str,
    settings: _Settings,
    progress: Callable[[int, int], None] | None,
) -> SymmetricResult | str:
    """Return the result of one run for all ranks, or why it cannot be had."""
    if engine not in ("auto", "symmetric"):
        return f"engine {engine!r} was asked for"
    size, ordering, offsets, gamma, itemsize, header = settings
    schedule.message_bytes(size)  # refuses bytes of a collective that has none
    began = time.perf_counter()
    reason = None
    steps = None
    if ordering != "step":
        reason = "it knows moves ordered by step only"
    elif offsets is not None and (offsets != offsets[0]).any():
        reason = "ranks do not start together"
    elif offsets is not None and offsets[0] > 0:
        reason = "ranks do not start at 0"
    elif itemsize is not None and size * schedule.share % itemsize:
        reason = f"chunks of whole elements of {itemsize} bytes are not all of one size"
    else:
        try:
            with np.errstate(over="ignore"):
                steps = run_schedule(schedule, size, model, gamma=gamma, header_bytes=header, progress=progress)
        except Refused as refusal:
            reason = str(refusal)
    if steps is None:
        return str(reason)
    if not math.isfinite(steps.time):
        raise InputError(_TOO_LONG)
    bound = bound_of_alike if schedule.ranks > MOST_SEARCHED else lower_bound
    return SymmetricResult(
        schedule=schedule,
        nbytes=size,
        payload=np.zeros(0),
        ends=np.zeros(0),
        moves=None,
        topology=name,
        model=model.name,
        engine="symmetric",
        ordering=ordering,
        bound=bound(schedule.collective, schedule.ranks, size, model, gamma=gamma),
        wall_seconds=time.perf_counter() - began,
        parameters=model,
        offsets=offsets,
        header_bytes=header,
        gamma=gamma,
        itemsize=itemsize,
        step_seconds=steps.seconds,
    )


def _written_out(schedule: SymmetricSchedule, reason: str) -> Schedule:
    """Return the schedule with all rows, if they fit into memory."""
    what = f"a schedule of {schedule.messages} messages (one for all ranks does not do: {reason})"
    refuse_too_large(schedule.messages * BYTES_A_ROW, what, "use fewer ranks")
    return make_schedule(schedule.collective, schedule.algorithm, schedule.ranks, **schedule.options)


def choose_schedule(
    collective: str | Collective,
    algorithm: str,
    ranks: int,
    options: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Schedule | SymmetricSchedule:
    """Return the schedule of an algorithm in the form that `simulate` takes the least time for.

    Parameters
    ----------
    collective, algorithm, ranks, options
        As for `make_schedule`.
    settings : mapping, optional
        What `simulate` will be given: the engine, the ordering and the offsets matter.

    Examples
    --------
    >>> type(choose_schedule("all_reduce", "ring", 8)).__name__
    'Schedule'
    >>> type(choose_schedule("all_reduce", "ring", 4096)).__name__
    'SymmetricSchedule'
    """
    given, asked = dict(options or {}), dict(settings or {})
    engine = asked.get("engine", "auto")
    if engine in ("auto", "symmetric") and asked.get("ordering", "step") == "step" and asked.get("offsets") is None:
        found = symmetric_schedule(collective, algorithm, ranks, **given)
        if found is not None and (found.messages >= _MANY or engine == "symmetric"):
            return found
    return make_schedule(collective, algorithm, ranks, **given)


# From so many messages on it pays to look for symmetry, and single times are no longer looked at one by one.
_MANY = 1 << 14


def check_settings(
    ranks: int,
    size: int,
    ordering: str = "step",
    engine: str = "auto",
    gamma: Quantity = 0.0,
    offsets: ArrayLike | None = None,
    itemsize: int | None = None,
    header_bytes: Quantity = 0,
) -> tuple[Floats | None, float, int | None, int]:
    """Return offsets (seconds), gamma (seconds a byte), itemsize and header (bytes), or raise an `InputError`."""
    if not isinstance(ordering, str) or ordering not in ORDERINGS:
        raise unknown("ordering", ordering, ORDERINGS)
    if engine not in ("auto", *ENGINES):
        raise unknown("engine", engine, ["auto", *ENGINES])
    item = None if itemsize is None else parse_count(itemsize, "itemsize")
    if item is not None and size % item:
        raise InputError(f"size of {size} bytes is not a whole number of elements of {item} bytes")
    starts = None if offsets is None else _offsets(offsets, ranks)
    return starts, parse_time_per_byte(gamma, "gamma"), item, parse_size(header_bytes, "header_bytes")


def choose_model(
    ranks: int,
    topology: Network | nx.Graph[Any] | nx.DiGraph[Any] | None,
    model: str | Model | None,
    alpha: Quantity | None,
    beta: Quantity | None,
    parameters: Mapping[str, Any] | None = None,
) -> tuple[Model, str | None]:
    """Return the model with its parameters, and the name of the network."""
    own = dict(check_parameters(parameters))
    for name, value in (("alpha", alpha), ("beta", beta)):
        if value is not None:
            if name in own:
                raise InputError(f"{name} is given twice: as {name} and among the parameters of the model")
            own[name] = value
    if isinstance(model, Model):
        return _given_model(ranks, topology, model, own)
    if model is not None and (not isinstance(model, str) or model not in MODELS):
        raise unknown("model", model, MODELS)
    if topology is None:
        kind = MODELS[model or AlphaBeta.name]
        found = kind.from_parameters(None, own)
        missing = [name for name in AlphaBeta.parsers if kind is AlphaBeta and name not in own]
        if missing:
            raise InputError(f"no network: give a topology, or alpha and beta ({' and '.join(missing)} missing)")
        return found, None
    if alpha is not None or beta is not None:
        raise InputError("alpha and beta describe a network without a topology; give either those or a topology")
    if isinstance(topology, Topology):
        topology.check_connected(ranks)
        network = topology
    else:
        network = load_topology(topology, ranks)
    return MODELS[model or MaxMin.name].from_parameters(network, own), network.name


def _given_model(ranks: int, topology: object, model: Model, own: Mapping[str, Any]) -> tuple[Model, str | None]:
    """Return a model that brings its own parameters and network, and the name of that."""
    if own:
        raise InputError(f"{next(iter(own))!r} cannot be given beside a model with its parameters, {model.name!r}")
    if topology is not None and topology is not model.topology:
        raise InputError(
            f"the topology cannot be given beside a model with its own, {model.name!r}: give it to the model"
        )
    if model.topology is None:
        return model, None
    model.topology.check_connected(ranks)
    return model, model.topology.name


def check_parameters(parameters: object) -> Mapping[str, Any]:
    """Return the parameters of models, given by name; none if None. Raise an `InputError` if they are no mapping."""
    if parameters is None:
        return {}
    if not isinstance(parameters, Mapping) or not all(isinstance(name, str) for name in parameters):
        raise InputError(f"parameters must be a mapping such as {{'packet_bytes': '4KiB'}}, got {parameters!r}")
    return parameters


def _offsets(offsets: Any, ranks: int) -> Floats:
    values = list(offsets) if isinstance(offsets, Iterable) and not isinstance(offsets, str) else [offsets]
    if len(values) != ranks:
        raise InputError(f"offsets must be one for each of the {ranks} ranks, got {len(values)}")
    return np.array([parse_time(value, "offset") for value in values])
