"""What a simulation returns: the schedule's table with times joined on, and the figures drawn from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from collsim.bounds import Bound
from collsim.engines.timeline import Timeline
from collsim.errors import InputError
from collsim.models import Model
from collsim.schedule import Floats, Schedule
from collsim.units import format_bandwidth, format_time

if TYPE_CHECKING:
    import pandas as pd

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
        return None if between is None else len(set(self.schedule.message[between].tolist()))

    @property
    def bytes_between_groups(self) -> float | None:
        """Bytes of the messages from one group of the topology to another, headers included; None without one."""
        between = self._between_groups
        return None if between is None else float(self._wire_bytes[between].sum())

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

    def to_frame(self) -> pd.DataFrame:
        """Return the schedule's table with ``nbytes`` and the times of every move joined on.

        Raises
        ------
        InputError
            If the times of moves were not kept.

        Returns
        -------
        pandas.DataFrame
            One row a move; times ``ready, start, sent, arrive, finish`` in seconds, as in `Timeline`.
        """
        timeline = self.timeline
        frame = self.schedule.to_frame()
        frame["nbytes"] = self.payload
        for name in ("ready", "start", "sent", "arrive", "finish"):
            frame[f"{name}_s"] = getattr(timeline, name)
        return frame


def _whole(nbytes: float) -> float | int:
    """Return bytes as an int where they are whole: an evenly divided vector may not be."""
    return int(nbytes) if nbytes.is_integer() else nbytes
