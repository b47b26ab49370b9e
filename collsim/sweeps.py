"""Many simulations at once: every combination of the values given, one flat record each."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

from collsim.catalog import get_algorithm
from collsim.collectives import collective_name
from collsim.errors import InputError, unknown
from collsim.overrides import Overrides
from collsim.routing import ExplicitRoutes
from collsim.schedule import Schedule
from collsim.simulation import Network, check_settings, choose_model, choose_schedule, simulate
from collsim.symmetric import SymmetricSchedule
from collsim.topology import Topology
from collsim.topology_files import load_topology
from collsim.units import Quantity, parse_count, parse_size

if TYPE_CHECKING:
    import networkx as nx

Record = dict[str, Any]

_Job = tuple[tuple[str, str, int], dict[str, Any], int, Topology | None, dict[str, Any]]

_OF_THE_MODEL = ("model", "alpha", "beta", "parameters")
_OF_A_RUN = ("gamma", "ordering", "engine", "itemsize", "offsets", "header_bytes")


def sweep(
    collective: str | Iterable[str] = "all_reduce",
    algorithm: str | Iterable[str] = "ring",
    ranks: int | Iterable[int] = 8,
    nbytes: Quantity | Iterable[Quantity] = "1GB",
    *,
    topology: Network | nx.Graph[Any] | Iterable[Any] | None = None,
    bandwidth: Quantity | None = None,
    latency: Quantity | None = None,
    routing: str | ExplicitRoutes | None = None,
    placement: str | Sequence[int] | None = None,
    overrides: Overrides = (),
    injection: Quantity | Sequence[Quantity] | None = None,
    options: Mapping[str, Any] | None = None,
    executor: Executor | None = None,
    **settings: Any,
) -> list[Record]:
    """Simulate every combination of the values given.

    Parameters
    ----------
    collective, algorithm, ranks, nbytes, topology
        As for `make_schedule` and `simulate`; each one value or several.
    bandwidth, latency : float or str, optional
        Of every link, where the topology is a shape.
    routing, placement, overrides, injection : optional
        What is changed about every topology, as `load_topology` takes it.
    options : mapping, optional
        Options of the algorithms, such as ``{"root": 1}``; all of them must take these.
    executor : concurrent.futures.Executor, optional
        Runs the simulations; default: one after the other, here.
    **settings
        Passed to `simulate`: ``alpha, beta, gamma, model, parameters, ordering, engine, itemsize, offsets,
        header_bytes``.

    Returns
    -------
    list of dict
        One record a combination, under the names of ``collsim run --json``, the last-named parameter
        varying fastest. The order does not depend on the executor.

    Raises
    ------
    InputError
        If any value is wrong: all are checked before the first simulation starts.

    Examples
    --------
    >>> rows = sweep(algorithm=["ring", "tree"], ranks=[2, 4], nbytes="1MB", alpha="5us", beta="0.1ns/B")
    >>> [(row["algorithm"], row["ranks"], round(row["time_s"] * 1e6)) for row in rows]
    [('ring', 2, 110), ('ring', 4, 180), ('tree', 2, 210), ('tree', 4, 420)]
    """
    return list(
        iter_sweep(
            collective,
            algorithm,
            ranks,
            nbytes,
            topology=topology,
            bandwidth=bandwidth,
            latency=latency,
            routing=routing,
            placement=placement,
            overrides=overrides,
            injection=injection,
            options=options,
            executor=executor,
            **settings,
        )
    )


def iter_sweep(
    collective: str | Iterable[str],
    algorithm: str | Iterable[str],
    ranks: int | Iterable[int],
    nbytes: Quantity | Iterable[Quantity],
    *,
    topology: Any = None,
    bandwidth: Quantity | None = None,
    latency: Quantity | None = None,
    routing: str | ExplicitRoutes | None = None,
    placement: str | Sequence[int] | None = None,
    overrides: Overrides = (),
    injection: Quantity | Sequence[Quantity] | None = None,
    options: Mapping[str, Any] | None = None,
    executor: Executor | None = None,
    **settings: Any,
) -> Iterator[Record]:
    """Yield the records of `sweep` as they are done, in its order."""
    points = list(
        itertools.product(
            [collective_name(name) for name in _several(collective)],
            list(_several(algorithm)),
            [parse_count(count, "ranks") for count in _several(ranks)],
            [parse_size(size) for size in _several(nbytes)],
            list(enumerate(_several(topology))),
        )
    )
    for setting in settings:
        if setting not in (*_OF_THE_MODEL, *_OF_A_RUN):
            raise unknown("setting of sweep:", setting, [*_OF_THE_MODEL, *_OF_A_RUN])
    if options is not None and not isinstance(options, Mapping):
        raise InputError(f"options must be a mapping such as {{'root': 1}}, got {options!r}")
    changes = {
        "bandwidth": bandwidth,
        "latency": latency,
        "routing": routing,
        "placement": placement,
        "overrides": tuple(overrides) if isinstance(overrides, Iterator) else overrides,
        "injection": injection,
    }
    # Points with the same network share it, and so the routes that it has found.
    networks: dict[tuple[int, int], Topology] = {}
    jobs: list[_Job] = []
    for name, method, count, size, (place, spec) in points:
        get_algorithm(name, method)
        network = networks.get((place, count))
        if network is None and spec is not None:
            network = _of_any_size(networks, place, count, changes)
            if network is None:
                network = load_topology(spec, count, **changes)  # type: ignore[arg-type]
            networks[place, count] = network
        elif network is None:
            _refuse_changes(changes)
        choose_model(count, network, *(settings.get(key) for key in _OF_THE_MODEL))
        check_settings(count, size, **{key: value for key, value in settings.items() if key not in _OF_THE_MODEL})
        jobs.append(((name, method, count), dict(options or {}), size, network, settings))
    # Only writing it shows whether an algorithm takes these options and this number of ranks.
    schedules = {
        key: choose_schedule(*key, given, settings) for key, given, *_ in {job[0]: job for job in jobs}.values()
    }
    for key, _, size, *_ in jobs:
        schedules[key].message_bytes(size)
    if executor is None:
        return (_record(schedules[key], network, size, given) for key, _, size, network, given in jobs)
    return iter(executor.map(_run, jobs))


def _of_any_size(
    networks: Mapping[tuple[int, int], Topology], place: int, count: int, changes: Mapping[str, Any]
) -> Topology | None:
    """Return a network that is there already and that another number of ranks does not change."""
    if changes["placement"] is not None:
        return None
    # What has more ranks than were asked for was not made for their number.
    larger = (one for (spec, asked), one in networks.items() if spec == place and one.ranks > asked)
    return next((one for one in larger if one.ranks >= count), None)


def _run(job: _Job) -> Record:
    # What goes to another process is the names: the schedule is written again there.
    key, options, size, network, settings = job
    return _record(choose_schedule(*key, options, settings), network, size, settings)


def _record(
    schedule: Schedule | SymmetricSchedule, network: Topology | None, size: int, settings: Mapping[str, Any]
) -> Record:
    return simulate(schedule, network, size, timeline=False, **settings).to_dict()  # no record has times of moves


def _refuse_changes(changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if value is not None and (value or key != "overrides"):
            article = "an" if key[0] in "aeiou" else "a"
            raise InputError(f"{article} {key.removesuffix('s')} needs a topology (without one give alpha and beta)")


def _several(values: Any) -> Iterable[Any]:
    """Return one value or several as several; text, a graph and a topology are one value."""
    if isinstance(values, str | Topology) or hasattr(values, "nodes") or not isinstance(values, Iterable):
        return [values]
    return values
