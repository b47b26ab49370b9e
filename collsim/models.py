"""How messages share a network: the parameters of each model. What they mean in time is in `collsim.engines`.

A new model is a class here with a line in `MODELS`, and a file beside `collsim.engines.maxmin` with a line in
`collsim.engines.events.NETWORKS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from collsim.collectives import Indices
from collsim.errors import InputError, unknown
from collsim.schedule import Floats, Ints
from collsim.topology import Topology
from collsim.units import Quantity, parse_size, parse_time, parse_time_per_byte

Parser = Callable[[Any, str], Any]


class Model:
    """What every model has: a name, a line about it, parameters that may be text with a unit, and a topology or None.

    Attributes
    ----------
    name, summary : str
        As in ``collsim list models``.
    parsers : mapping
        The names of its own parameters, and what reads the value of each, as ``parse(value, name)``.
    needs_topology : bool
        Whether it cannot do without one.
    topology : Topology or None
        The network; None for a model that does without and was given none.

    Raises
    ------
    InputError
        If a parameter is out of range or has an unknown unit.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    parsers: ClassVar[Mapping[str, Parser]]
    needs_topology: ClassVar[bool] = False
    topology: Topology | None

    def __post_init__(self) -> None:
        self._check_topology(self.topology)
        for name, parse in self.parsers.items():
            value = getattr(self, name)
            if value is not None or getattr(type(self), name) is not None:  # a default of None: not given
                object.__setattr__(self, name, parse(value, name))

    @classmethod
    def _check_topology(cls, topology: Topology | None) -> None:
        if topology is None and cls.needs_topology:
            raise InputError(f"model {cls.name!r} needs a topology, for example 'star:8'")
        if topology is not None and not isinstance(topology, Topology):
            raise InputError(
                f"the topology of model {cls.name!r} must be a Topology, as load_topology returns it, got {topology!r}"
            )

    @classmethod
    def from_parameters(cls, topology: Topology | None, parameters: Mapping[str, Any]) -> Self:
        """Return the model with these parameters: numbers in SI units, or text.

        Raises
        ------
        InputError
            If it has no parameter of that name, a value is wrong, or one is missing.

        Examples
        --------
        >>> LogGP.from_parameters(None, {"L": "2500ns", "o": "1.5us", "g": "1us", "G": "6ns/B"})
        LogGP(L=2.5e-06, o=1.5e-06, g=1e-06, G=6e-09, O=0.0, S=65535, topology=None)
        """
        cls._check_topology(topology)
        for name in parameters:
            if name not in cls.parsers:
                raise unknown(f"parameter of model {cls.name!r}:", name, cls.parsers)
        return cls(topology=topology, **parameters)  # type: ignore[call-arg]


@dataclass(frozen=True)
class AlphaBeta(Model):
    """`alpha` seconds a message and `beta` seconds a byte, through one send and one receive port a rank.

    Attributes
    ----------
    alpha, beta : float
        Seconds a message, seconds a byte; the same between any two ranks. Text with a unit is taken too.
    topology : Topology, optional
        If given, alpha and beta of each pair are those of its route instead: the sum of the latencies,
        and one over what a message alone gets.

    Raises
    ------
    InputError
        If a figure is out of range, or there are both figures and a topology.

    Notes
    -----
    R. Hockney, The communication challenge for MPP, Parallel Computing 20(3), 1994.

    Examples
    --------
    >>> AlphaBeta("5us", "0.1ns/B")
    AlphaBeta(alpha=5e-06, beta=1e-10, topology=None)
    """

    name: ClassVar[str] = "alpha-beta"
    summary: ClassVar[str] = (
        "alpha s a message, beta s a byte; one send and one receive port a rank, first come first served"
    )
    parsers: ClassVar[Mapping[str, Parser]] = {"alpha": parse_time, "beta": parse_time_per_byte}
    alpha: float = 0.0
    beta: float = 0.0
    topology: Topology | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.topology is not None and (self.alpha or self.beta):
            raise InputError("alpha and beta describe a network without a topology; give either those or a topology")

    def costs(self, src: Ints, dst: Ints) -> tuple[Floats, Floats]:
        """Return alpha and beta of each message, as arrays of the shape of `src`."""
        if self.topology is None:
            return np.full(len(src), self.alpha), np.full(len(src), self.beta)
        latency, bandwidth = route_costs(self.topology, src, dst)
        return latency, 1.0 / bandwidth


@dataclass(frozen=True)
class LogGP(Model):
    """Latency, overheads of the processors and gaps of the network cards, as in LogGOPSim.

    A send of n bytes starts when its sender's processor and send card are free, and keeps the processor busy for
    ``o + (n-1)O`` and the card for ``g + (n-1)G``. ``o + L`` later the message is at its receiver. When the
    processor and the receive card there are free it is taken in, which keeps them busy for ``o + (n-1)max(O,G)``
    and ``g + (n-1)G``.

    Attributes
    ----------
    L : float
        Latency in seconds.
    o, g : float
        Seconds of the processor a message, and least seconds between two messages of one card. Default 0.
    G : float
        Seconds a byte on the wire.
    O : float
        Seconds of the processor a byte. Default 0.
    S : int
        Bytes up to which a message is *eager*: its sender is done with it after its own part, whether or not the
        receiver is ready for it. With a longer one the sender waits until the receiver takes it in. Default 65535,
        LogGOPSim's, so that the same parameters mean the same; eager sends are also what the literature's LogGP
        formulas assume, so make it large to compare long messages with them.
    topology : Topology, optional
        If given, L and G of each pair are those of its route instead: the sum of the latencies, and one over what a
        message alone gets. Nothing on the way is shared.

    Raises
    ------
    InputError
        If a figure is out of range, L and G are missing, or given beside a topology.

    Notes
    -----
    A. Alexandrov, M. Ionescu, K. Schauser and C. Scheiman, LogGP, SPAA 1995. With O and S: T. Hoefler, T. Schneider
    and A. Lumsdaine, LogGOPSim - simulating large-scale applications in the LogGOPS model, HPDC 2010.

    Examples
    --------
    >>> LogGP(L="2500ns", o="1500ns", g="1000ns", G="6ns/B").S
    65535
    """

    name: ClassVar[str] = "loggp"
    summary: ClassVar[str] = "L, o, g, G, O, S as in LogGOPSim: latency, overhead of processors, gaps of network cards"
    parsers: ClassVar[Mapping[str, Parser]] = {
        "L": parse_time,
        "o": parse_time,
        "g": parse_time,
        "G": parse_time_per_byte,
        "O": parse_time_per_byte,
        "S": parse_size,
    }
    L: float | None = None
    o: float = 0.0
    g: float = 0.0
    G: float | None = None
    O: float = 0.0  # noqa: E741 - the model's own letter
    S: int = 65535
    topology: Topology | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        given = [name for name in ("L", "G") if getattr(self, name) is not None]
        if self.topology is not None and given:
            raise InputError(
                f"model 'loggp' takes L and G from the topology, so {given[0]} cannot be given too: give either a "
                "topology, or L and G"
            )
        if self.topology is None and len(given) < 2:
            missing = " and ".join(name for name in ("L", "G") if name not in given)
            raise InputError(
                f"model 'loggp' needs a topology, or its parameters L and G, such as L=2500ns and G=6ns/B "
                f"({missing} missing)"
            )

    def costs(self, src: Ints, dst: Ints) -> tuple[Floats, Floats]:
        """Return L and G of each message, as arrays of the shape of `src`."""
        if self.topology is None:
            return np.full(len(src), self.L), np.full(len(src), self.G)
        latency, bandwidth = route_costs(self.topology, src, dst)
        return latency, 1.0 / bandwidth


# Correction factors that SimGrid applies to latency and bandwidth of every link, by the name of its network model.
CALIBRATIONS: dict[str, tuple[float, float]] = {"LV08": (13.01, 0.97)}


def _parse_factor(value: Any, what: str) -> float:
    try:
        factor = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        factor = math.nan
    if not 0 < factor < math.inf:
        raise InputError(f"{what} must be a positive number, got {value!r}")
    return factor


def _parse_calibration(value: Any, what: str) -> str:
    if not isinstance(value, str) or value not in CALIBRATIONS:
        raise unknown(what, value, CALIBRATIONS)
    return value


@dataclass(frozen=True)
class MaxMin(Model):
    """Fluid flows that get their max-min fair share of every link on their route.

    Attributes
    ----------
    topology : Topology
        The network. If there are factors, the figures of its links are multiplied by them here, once, so that
        whatever reads this attribute (routes, bounds, messages alone) sees the network that is simulated.
    latency_factor, bandwidth_factor : float
        What the latency and the bandwidth of every link are multiplied by. Default 1.
    calibration : {"LV08"}, optional
        Both factors by name, instead of the two.

    Raises
    ------
    InputError
        If there is no topology, a factor is not positive, or there are both a calibration and factors.

    Notes
    -----
    ``LV08`` has the factors of SimGrid's default network model: latency x 13.01 and bandwidth x 0.97, fitted to TCP
    flows in P. Velho and A. Legrand, Accuracy study and improvement of network simulation in the SimGrid framework,
    SIMUTools 2009. Of that model three things are *not* here: flows weighted by their round-trip time when they
    share a link (its ``weight-S`` of 20537), the limit that the TCP window sets to the rate of a flow (its
    ``TCP-gamma`` over twice the latency), and the 5 % that a flow takes of the links on its way back (its
    ``crosstraffic``). So times agree where latencies are equal, short, and nothing flows the other way.

    Examples
    --------
    >>> import collsim as cs
    >>> star = cs.star(4, "10GB/s", "1us")
    >>> round(MaxMin(star, calibration="LV08").topology.route_latency(0, 1) * 1e6, 9)
    26.02
    """

    name: ClassVar[str] = "maxmin"
    summary: ClassVar[str] = "fluid flows with max-min fair shares of every link on their route"
    parsers: ClassVar[Mapping[str, Parser]] = {
        "latency_factor": _parse_factor,
        "bandwidth_factor": _parse_factor,
        "calibration": _parse_calibration,
    }
    needs_topology: ClassVar[bool] = True
    topology: Topology
    latency_factor: float = 1.0
    bandwidth_factor: float = 1.0
    calibration: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.calibration is not None:
            if (self.latency_factor, self.bandwidth_factor) != (1.0, 1.0):
                raise InputError(
                    f"calibration {self.calibration!r} sets latency_factor and bandwidth_factor; give either it or them"
                )
            for name, factor in zip(
                ("latency_factor", "bandwidth_factor"), CALIBRATIONS[self.calibration], strict=True
            ):
                object.__setattr__(self, name, factor)
        if (self.latency_factor, self.bandwidth_factor) != (1.0, 1.0):
            links = [
                replace(
                    link, bandwidth=link.bandwidth * self.bandwidth_factor, latency=link.latency * self.latency_factor
                )
                for link in self.topology.links
            ]
            object.__setattr__(self, "topology", self.topology.with_links(links))


def _parse_packet(value: Quantity, what: str) -> int:
    size = parse_size(value, what)
    if size < 1:
        raise InputError(f"{what} must be at least 1 byte, got {value!r}")
    return size


@dataclass(frozen=True)
class Fifo(Model):
    """Every link serves messages, or packets, one at a time, store-and-forward, first come first served.

    Attributes
    ----------
    topology : Topology
        The network.
    packet_bytes : int, optional
        Bytes of the packets that messages are cut into; the last one has the rest. Small packets come close to
        cut-through. Default: a message is one packet.

    Raises
    ------
    InputError
        If there is no topology, or packets would have no bytes.

    Examples
    --------
    >>> import collsim as cs
    >>> Fifo(cs.star(4, "10GB/s", "1us"), packet_bytes="4KiB").packet_bytes
    4096
    """

    name: ClassVar[str] = "fifo"
    summary: ClassVar[str] = "every link serves messages (or packets) one at a time, store-and-forward"
    parsers: ClassVar[Mapping[str, Parser]] = {"packet_bytes": _parse_packet}
    needs_topology: ClassVar[bool] = True
    topology: Topology
    packet_bytes: int | None = None


MODELS: dict[str, type[Model]] = {model.name: model for model in (AlphaBeta, LogGP, MaxMin, Fifo)}


def route_costs(topology: Topology, src: Ints, dst: Ints) -> tuple[Floats, Floats]:
    """Return latency (seconds) and bandwidth (bytes per second) of each message alone on its route.

    A move on one rank (``src == dst``) crosses nothing: no latency, unlimited bandwidth.
    """
    keys, which = np.unique(src.astype(np.int64) * topology.ranks + dst, return_inverse=True)
    tails, heads = np.divmod(keys, topology.ranks)
    latency = np.zeros(len(keys))
    bandwidth = np.full(len(keys), np.inf)
    away = tails != heads
    alone = _costs_of_many(topology, tails[away], heads[away])
    if alone is not None:
        latency[away], bandwidth[away] = alone
        return latency[which], bandwidth[which]
    for i, (tail, head) in enumerate(zip(tails.tolist(), heads.tolist(), strict=True)):
        if tail != head:
            latency[i] = topology.route_latency(tail, head)
            bandwidth[i] = topology.route_bandwidth(tail, head)
    return latency[which], bandwidth[which]


def _costs_of_many(topology: Topology, src: Indices, dst: Indices) -> tuple[Floats, Floats] | None:
    """Return latency and bandwidth of routes that are found all at once, as `route_costs` does; None if they are not.

    Of a medium a route may cross several links, which then share it.
    """
    if not topology.finds_many or not len(src) or (topology.channel != np.arange(len(topology.links))).any():
        return None
    paths = topology.paths(src, dst)
    latency = topology.path_latency(paths)
    if not np.isfinite(latency).all():
        return None  # it is said there between which ranks
    return latency, np.minimum.reduceat(topology.bandwidth[paths.link], paths.first[:-1])
