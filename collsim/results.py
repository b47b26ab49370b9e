"""What a simulation returns: the schedule's table with times joined on, and the figures drawn from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from collsim.bounds import Bound
from collsim.engines.timeline import TIMES, Timeline
from collsim.errors import InputError
from collsim.graph import MoveGraph, lower
from collsim.models import Model
from collsim.schedule import Floats, Ints, Schedule
from collsim.symmetric import SymmetricSchedule
from collsim.units import format_bandwidth, format_size, format_time

if TYPE_CHECKING:
    import pandas as pd

    from collsim.explanation import Explanation
    from collsim.occupancy import Life

# A bound and the time of a run that meets it are sums of the same numbers in other orders.
_ROUNDING = 1e-12


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """One simulated run.

    Attributes
    ----------
    schedule : Schedule
        What ran.
    nbytes : int
        Size of the vector in bytes, as nccl-tests means it.
    payload : ndarray of float, shape (moves,)
        Bytes of each message.
    ends : ndarray of float, shape (ranks,)
        When each rank was done with its last move, in seconds; 0 if it had none.
    moves : Timeline or None
        What `timeline` returns; None if no times of moves were kept (``simulate(..., timeline=False)``).
    topology : str or None
        Name of the network; None if alpha and beta were given.
    model, engine, ordering : str
        How it was simulated.
    bound : Bound
        The largest lower bound that is known to hold, and why.
    wall_seconds : float
        How long the simulation itself took.
    parameters : Model
        The model with its parameters; its ``topology`` is the network, or None.
    offsets : ndarray of float, shape (ranks,), optional
        When each rank started, in seconds; None if all did at 0.
    header_bytes : int
        Bytes that every message had on the wire besides its payload.
    gamma : float
        Seconds a byte that a reduction cost its receiver.
    itemsize : int, optional
        Bytes of one element, if messages were whole elements.
    """

    schedule: Schedule
    nbytes: int
    payload: Floats
    ends: Floats
    moves: Timeline | None
    topology: str | None
    model: str
    engine: str
    ordering: str
    bound: Bound
    wall_seconds: float
    parameters: Model
    offsets: Floats | None = None
    header_bytes: int = 0
    gamma: float = 0.0
    itemsize: int | None = None

    def __repr__(self) -> str:
        return (
            f"Result({self.schedule.collective.name}, {self.schedule.algorithm}, ranks={self.schedule.ranks}, "
            f"nbytes={self.nbytes}, time={format_time(self.time)}, busbw={format_bandwidth(self.busbw)})"
        )

    @property
    def time(self) -> float:
        """Seconds from the start until the last rank has finished."""
        return float(self.rank_times.max())

    @property
    def timeline(self) -> Timeline:
        """Times of every move, in seconds.

        Raises
        ------
        InputError
            If they were not kept.
        """
        if self.moves is None:
            raise InputError("the times of single moves were not kept: simulate with timeline=True (the default)")
        return self.moves

    @cached_property
    def graph(self) -> MoveGraph:
        """What the engine ran: messages and local work, and what each of them waited for."""
        return lower(
            self.schedule,
            self.payload,
            ordering=self.ordering,
            gamma=self.gamma,
            offsets=self.offsets,
            header_bytes=self.header_bytes,
        )

    @cached_property
    def life(self) -> Life:
        """What happened to every move between the times of the timeline, worked out when first asked for."""
        from collsim.occupancy import Life

        return Life.of(self)

    @property
    def _starts(self) -> Floats:
        return np.zeros(self.schedule.ranks) if self.offsets is None else self.offsets

    @cached_property
    def rank_times(self) -> Floats:
        """When each rank has finished in seconds, shape (ranks,).

        That is when it is done with all that it sends, receives and computes; at the earliest when it started.
        """
        return np.maximum(self._starts, self.ends)

    @property
    def algbw(self) -> float:
        """Size over time, in bytes per second; infinite if a vector takes no time."""
        if self.time > 0:
            return self.nbytes / self.time
        return math.inf if self.nbytes else 0.0

    @property
    def busbw(self) -> float:
        """`algbw` times the collective's factor (nccl-tests), in bytes per second: comparable with a link's rate."""
        factor = self.schedule.collective.bus_factor(self.schedule.ranks)
        return self.algbw * factor if factor else 0.0

    @property
    def efficiency(self) -> float:
        """Lower bound over time; 1 if both are 0, or differ by rounding alone."""
        ratio = self.bound.seconds / self.time if self.time > 0 else 1.0
        return 1.0 if 1 < ratio < 1 + _ROUNDING else ratio

    @cached_property
    def _wire_bytes(self) -> Floats:
        """Bytes of every row on the wire, shape (moves,); the header of a message is with its first row."""
        first = np.diff(self.schedule.message, prepend=-1) > 0
        return self.payload + self.header_bytes * (first & self.schedule.transfers)

    @property
    def wire_bytes(self) -> float:
        """The sum of the sizes of all messages, in bytes, headers included."""
        return float(self._wire_bytes.sum())

    @cached_property
    def sent_bytes(self) -> Floats:
        """Bytes that each rank sends, headers included, shape (ranks,)."""
        sent = np.bincount(self.schedule.src, weights=self._wire_bytes, minlength=self.schedule.ranks)
        return sent.astype(np.float64)

    @cached_property
    def _between_groups(self) -> NDArray[np.bool_] | None:
        """Which rows go from one group of the topology to another, shape (moves,)."""
        topology = self.parameters.topology
        if topology is None:
            return None
        group = topology.group_of
        between: NDArray[np.bool_] = group[self.schedule.src] != group[self.schedule.dst]
        return between

    @property
    def messages_between_groups(self) -> int | None:
        """Number of messages from one group of the topology (node, leaf switch) to another; None without one."""
        between = self._between_groups
        return None if between is None else _different(self.schedule.message[between])

    @property
    def bytes_between_groups(self) -> float | None:
        """Bytes of the messages from one group of the topology to another, headers included; None without one."""
        between = self._between_groups
        return None if between is None else float(self._wire_bytes[between].sum())

    def explain(self) -> Explanation:
        """Say why it took that long: its critical path, what its time consists of, and what would help.

        See Also
        --------
        collsim.explain : the same, as a function.

        Examples
        --------
        >>> import collsim as cs
        >>> result = cs.simulate(cs.make_schedule("all_reduce", "ring", 4), alpha="1us", beta="1ns", nbytes="4kB")
        >>> {part: round(seconds * 1e6, 9) for part, seconds in result.explain().parts.items() if seconds}
        {'latency': 6.0, 'serialisation': 6.0}
        """
        from collsim.explanation import explain

        return explain(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the figures of the run under the names of ``collsim run --json``."""
        return {
            "collective": self.schedule.collective.name,
            "algorithm": self.schedule.algorithm,
            "ranks": self.schedule.ranks,
            "size_bytes": self.nbytes,
            "topology": self.topology,
            "placement": None if self.parameters.topology is None else self.parameters.topology.placement,
            "model": self.model,
            "engine": self.engine,
            "ordering": self.ordering,
            "time_s": self.time,
            "algbw_Bps": self.algbw if math.isfinite(self.algbw) else None,
            "busbw_Bps": self.busbw if math.isfinite(self.busbw) else None,
            "steps": self.schedule.steps,
            "messages": self.schedule.messages,
            "wire_bytes": _whole(self.wire_bytes),
            "max_sent_bytes": _whole(float(self.sent_bytes.max(initial=0.0))),
            "messages_between_groups": self.messages_between_groups,
            "bytes_between_groups": None if self.bytes_between_groups is None else _whole(self.bytes_between_groups),
            "lower_bound_s": self.bound.seconds,
            "lower_bound_kind": self.bound.kind,
            "lower_bound_reason": self.bound.reason,
            "efficiency": self.efficiency,
            "wall_s": self.wall_seconds,
        }

    def facts(self) -> dict[str, str | tuple[str, str]]:
        """Return the figures for people: name, value and remark of each line of ``collsim run``."""
        bound = self.bound
        return {
            "time": format_time(self.time),
            "algbw": (format_bandwidth(self.algbw), "size / time"),
            "busbw": (format_bandwidth(self.busbw), "algbw x the collective's factor: comparable with a link"),
            "lower bound": (
                format_time(bound.seconds),
                bound.reason if bound.kind == "none" else f"{bound.kind}: {bound.reason}",
            ),
            "efficiency": (f"{100 * self.efficiency:.4g} %", "lower bound / time"),
            "steps": str(self.schedule.steps),
            "messages": str(self.schedule.messages),
            **self._places_in_words(),
            "on the wire": (format_size(self.wire_bytes), "all messages together"),
            "sent at most": (format_size(float(self.sent_bytes.max(initial=0.0))), "by one rank"),
            "simulated in": (format_time(self.wall_seconds), f"engine {self.engine}"),
        }

    def _places_in_words(self) -> dict[str, str | tuple[str, str]]:
        """Return the lines about who sits where, if the network has places that differ."""
        topology = self.parameters.topology
        if topology is None:
            return {}
        found: dict[str, str | tuple[str, str]] = {}
        if topology.placement != "linear":
            found["placement"] = (topology.placement, "which rank sits where")
        # The groups of a network of equal dimensions are known without its links, of which there may be millions.
        lattice = topology.lattice
        groups = len(topology.groups) if lattice is None else topology.ranks // lattice.group
        if 1 < groups < topology.ranks:
            crossing = f"{self.messages_between_groups} of {self.schedule.messages} messages"
            found["between groups"] = (
                f"{crossing}, {format_size(self.bytes_between_groups or 0)}",
                f"{groups} groups: nodes, or the ranks of a switch",
            )
        return found

    @property
    def title(self) -> str:
        """What ran where, in a line.

        Examples
        --------
        >>> import collsim as cs
        >>> cs.simulate(cs.make_schedule("all_reduce", "ring", 4), alpha="1us", beta="1ns", nbytes="4kB").title
        'all_reduce by ring: 4 ranks, 4 kB without a topology (model alpha-beta, ordering step)'
        """
        schedule = self.schedule
        where = f"on {self.topology}" if self.topology else "without a topology"
        return (
            f"{schedule.collective.name} by {schedule.algorithm}: {schedule.ranks} ranks, {format_size(self.nbytes)} "
            f"{where} (model {self.model}, ordering {self.ordering})"
        )

    def _repr_html_(self) -> str:
        from collsim.html_views import facts_table

        return facts_table(self.title, self.facts())

    def to_frame(self) -> pd.DataFrame:
        """Return the schedule's table with ``nbytes`` and the times of every move joined on.

        Raises
        ------
        InputError
            If the times of moves were not kept.

        Returns
        -------
        pandas.DataFrame
            One row a move; times ``ready, start, sent, arrive, finish`` in seconds, as in `Timeline`. What each
            column is stands in `collsim.glossary` (``collsim list columns``).
        """
        timeline = self.timeline
        frame = self.schedule.to_frame()
        frame["nbytes"] = self.payload
        for name in TIMES:
            frame[f"{name}_s"] = getattr(timeline, name)
        return frame


@dataclass(frozen=True, eq=False, repr=False)
class SymmetricResult(Result):
    """One simulated run in which all ranks did the same; what is known of one is known of all.

    It has the figures of a `Result`, but no times of single messages.

    Attributes
    ----------
    schedule : SymmetricSchedule
        What ran.
    payload : ndarray of float
        Empty.
    step_seconds : sequence of ndarray of float
        How long each step took, phase by phase.
    """

    schedule: SymmetricSchedule  # type: ignore[assignment]
    step_seconds: Sequence[Floats] = ()

    @property
    def timeline(self) -> Timeline:
        """Raise an `InputError`: what is known is the steps."""
        raise InputError("one rank was simulated for all: there are no times of single moves, only of steps (to_frame)")

    @property
    def graph(self) -> MoveGraph:
        """Raise an `InputError`, as `timeline` does."""
        raise InputError("one rank was simulated for all: there is no graph of single moves, only steps (to_frame)")

    @property
    def time(self) -> float:
        """Seconds from the start until all ranks have finished."""
        return math.fsum(float(np.sum(part)) for part in self.step_seconds)

    @cached_property
    def step_ends(self) -> Floats:
        """When all ranks have finished each step in seconds, shape (steps,)."""
        return np.cumsum(np.concatenate([np.zeros(0), *self.step_seconds]))

    @cached_property
    def rank_times(self) -> Floats:
        """When each rank has finished in seconds, shape (ranks,)."""
        return np.full(self.schedule.ranks, self.time)

    @cached_property
    def _sent_by_each(self) -> float:
        payload = math.fsum(float(self.schedule.payload(phase, self.nbytes).sum()) for phase in self.schedule.phases)
        return payload + self.header_bytes * (self.schedule.messages // self.schedule.ranks)

    @property
    def wire_bytes(self) -> float:
        """The sum of the sizes of all messages, in bytes, headers included."""
        return self._sent_by_each * self.schedule.ranks

    @cached_property
    def sent_bytes(self) -> Floats:
        """Bytes that each rank sends, headers included, shape (ranks,)."""
        return np.full(self.schedule.ranks, self._sent_by_each)

    @cached_property
    def _from_group_to_group(self) -> tuple[int, float] | None:
        """Number of messages between groups of the topology, and their bytes."""
        topology, ranks = self.parameters.topology, self.schedule.ranks
        if topology is None:
            return None
        lattice = topology.lattice if topology.ranks == ranks else None
        if lattice is None:
            some, group = np.arange(ranks), topology.group_of
        else:  # all groups are alike: one will do
            some, group = np.arange(lattice.group), np.arange(max(2, ranks)) // lattice.group
        messages, nbytes = 0, 0.0
        for phase in self.schedule.phases:
            wire = self.schedule.payload(phase, self.nbytes) + self.header_bytes
            if lattice is not None and lattice.group in (1, ranks):
                crossing = np.full(wire.shape, ranks if lattice.group < ranks else 0)
            else:
                hops = phase.by.reshape(-1, len(phase.sides))
                _, first, which = np.unique(hops, axis=0, return_index=True, return_inverse=True)
                found = []
                for place in first.tolist():
                    step, hop = np.unravel_index(place, wire.shape)
                    there = phase.receivers(some, int(step), int(hop))
                    found.append(int((group[there] != group[some]).sum()) * (ranks // len(some)))
                crossing = np.array(found)[which.ravel()].reshape(wire.shape)
            messages += int(crossing.sum())
            nbytes += float((crossing * wire).sum())
        return messages, nbytes

    @property
    def messages_between_groups(self) -> int | None:
        """Number of messages from one group of the topology (node, leaf switch) to another; None without one."""
        return None if self._from_group_to_group is None else self._from_group_to_group[0]

    @property
    def bytes_between_groups(self) -> float | None:
        """Bytes of the messages from one group of the topology to another, headers included; None without one."""
        return None if self._from_group_to_group is None else self._from_group_to_group[1]

    def to_frame(self) -> pd.DataFrame:
        """Return a row a step: when all ranks began and ended it, and what each of them sent.

        Returns
        -------
        pandas.DataFrame
            With ``step, messages, nbytes`` (of every rank), ``op, start_s, finish_s``.
        """
        import pandas as pd

        ends = self.step_ends
        phases = self.schedule.phases
        nothing = np.zeros(0)
        return pd.DataFrame(
            {
                "step": np.arange(len(ends)),
                "messages": np.repeat([phase.hops for phase in phases], [phase.steps for phase in phases]),
                "nbytes": np.concatenate(
                    [nothing, *(self.schedule.payload(p, self.nbytes).sum(axis=1) for p in phases)]
                ),
                "op": np.repeat([phase.op.name for phase in phases], [phase.steps for phase in phases]),
                "start_s": ends - np.concatenate([nothing, *self.step_seconds]),
                "finish_s": ends,
            }
        )


def _different(message: Ints) -> int:
    """Return how many messages rows belong to: rows of one message are neighbours."""
    return int(np.count_nonzero(np.diff(message, prepend=-1)))


def _whole(nbytes: float) -> float | int:
    """Return bytes as an int where they are whole: an evenly divided vector may not be."""
    return int(nbytes) if nbytes.is_integer() else nbytes
