"""The third verb, and the front door: `simulate` checks what it is given and hands it to an engine."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from collsim.bounds import lower_bound
from collsim.engines import ENGINES, choose_engine
from collsim.errors import InputError, unknown
from collsim.graph import ORDERINGS, lower
from collsim.models import MODELS, AlphaBeta, MaxMin, Model
from collsim.results import Result
from collsim.schedule import Floats, Schedule, need_schedule
from collsim.topology import Topology
from collsim.topology_files import load_topology
from collsim.units import Quantity, parse_count, parse_size, parse_time, parse_time_per_byte

if TYPE_CHECKING:
    import networkx as nx

Network = str | PathLike[str] | Topology


def simulate(
    schedule: Schedule,
    topology: Network | nx.Graph[Any] | nx.DiGraph[Any] | None = None,
    nbytes: Quantity = 0,
    *,
    model: str | None = None,
    engine: str = "auto",
    ordering: str = "step",
    alpha: Quantity | None = None,
    beta: Quantity | None = None,
    gamma: Quantity = 0.0,
    offsets: ArrayLike | None = None,
    itemsize: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Simulate a schedule on a network.

    Parameters
    ----------
    schedule : Schedule
        What to run.
    topology : Topology, str, path or networkx graph, optional
        The network, as `load_topology` takes it. Leave it out to give `alpha` and `beta` instead.
    nbytes : int or str
        Size of the whole vector, in bytes or as text (``"64MiB"``).
    model : {"alpha-beta", "maxmin"}, optional
        How messages share the network. Default: ``maxmin`` with a topology, else ``alpha-beta``.
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
    """
    need_schedule(schedule, "simulate")
    size = parse_size(nbytes)
    parameters, name = choose_model(schedule.ranks, topology, model, alpha, beta)
    starts, cost, item = check_settings(schedule.ranks, size, ordering, engine, gamma, offsets, itemsize)

    payload = schedule.message_bytes(size, item)
    graph = lower(schedule, payload, ordering=ordering, gamma=cost, offsets=starts)
    chosen = choose_engine(engine, graph, parameters)
    chosen.load()  # so that the time below is that of the simulation, not of an import
    began = time.perf_counter()
    with np.errstate(over="ignore"):  # said below, in words
        timeline = chosen.run(graph, parameters, progress)
    if not math.isfinite(timeline.end):
        raise InputError("the simulated time is too large for a number: check alpha, beta, gamma, latency and size")
    if graph.move_of_row is not None:
        timeline = timeline.at(graph.move_of_row)
    return Result(
        schedule=schedule,
        nbytes=size,
        payload=payload,
        timeline=timeline,
        topology=name,
        model=parameters.name,
        engine=chosen.name,
        ordering=ordering,
        bound=lower_bound(
            schedule.collective, schedule.ranks, size, parameters, gamma=cost, offsets=starts, itemsize=item
        ),
        wall_seconds=time.perf_counter() - began,
        last_start=0.0 if starts is None else float(starts.max()),
    )


def check_settings(
    ranks: int,
    size: int,
    ordering: str = "step",
    engine: str = "auto",
    gamma: Quantity = 0.0,
    offsets: ArrayLike | None = None,
    itemsize: int | None = None,
) -> tuple[Floats | None, float, int | None]:
    """Return offsets (seconds), gamma (seconds a byte) and itemsize (bytes), or raise an `InputError`."""
    if not isinstance(ordering, str) or ordering not in ORDERINGS:
        raise unknown("ordering", ordering, ORDERINGS)
    if engine not in ("auto", *ENGINES):
        raise unknown("engine", engine, ["auto", *ENGINES])
    item = None if itemsize is None else parse_count(itemsize, "itemsize")
    if item is not None and size % item:
        raise InputError(f"size of {size} bytes is not a whole number of elements of {item} bytes")
    starts = None if offsets is None else _offsets(offsets, ranks)
    return starts, parse_time_per_byte(gamma, "gamma"), item


def choose_model(
    ranks: int,
    topology: Network | nx.Graph[Any] | nx.DiGraph[Any] | None,
    model: str | None,
    alpha: Quantity | None,
    beta: Quantity | None,
) -> tuple[Model, str | None]:
    """Return the model's parameters and the name of the network."""
    if model is not None and (not isinstance(model, str) or model not in MODELS):
        raise unknown("model", model, MODELS)
    if topology is None:
        if model not in (None, AlphaBeta.name):
            raise InputError(f"model {model!r} needs a topology, for example 'star:8'")
        if alpha is None or beta is None:
            missing = "alpha and beta" if alpha is None and beta is None else "alpha" if alpha is None else "beta"
            raise InputError(f"no network: give a topology, or alpha and beta ({missing} missing)")
        return AlphaBeta(parse_time(alpha, "alpha"), parse_time_per_byte(beta)), None
    if alpha is not None or beta is not None:
        raise InputError("alpha and beta describe a network without a topology; give either those or a topology")
    if isinstance(topology, Topology):
        topology.check_connected(ranks)
        network = topology
    else:
        network = load_topology(topology, ranks)
    return AlphaBeta(topology=network) if model == AlphaBeta.name else MaxMin(network), network.name


def _offsets(offsets: Any, ranks: int) -> Floats:
    values = list(offsets) if isinstance(offsets, Iterable) and not isinstance(offsets, str) else [offsets]
    if len(values) != ranks:
        raise InputError(f"offsets must be one for each of the {ranks} ranks, got {len(values)}")
    return np.array([parse_time(value, "offset") for value in values])
