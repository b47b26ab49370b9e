"""What a simulation returns: the schedule's table with times joined on, and the figures drawn from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from collsim.bounds import Bound
from collsim.engines.timeline import Timeline
from collsim.schedule import Floats, Schedule
from collsim.units import format_bandwidth, format_time

if TYPE_CHECKING:
    import pandas as pd


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
    timeline : Timeline
        Times of every move, in seconds.
    topology : str or None
        Name of the network; None if alpha and beta were given.
    model, engine, ordering : str
        How it was simulated.
    bound : Bound
        The largest lower bound that is known to hold, and why.
    wall_seconds : float
        How long the simulation itself took.
    last_start : float
        When the last rank started, in seconds.
    """

    schedule: Schedule
    nbytes: int
    payload: Floats
    timeline: Timeline
    topology: str | None
    model: str
    engine: str
    ordering: str
    bound: Bound
    wall_seconds: float
    last_start: float = 0.0

    def __repr__(self) -> str:
        return (
            f"Result({self.schedule.collective.name}, {self.schedule.algorithm}, ranks={self.schedule.ranks}, "
            f"nbytes={self.nbytes}, time={format_time(self.time)}, busbw={format_bandwidth(self.busbw)})"
        )

    @property
    def time(self) -> float:
        """Seconds from the start until the last rank has finished."""
        return max(self.timeline.end, self.last_start)

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
        """Lower bound over time; 1 if both are 0."""
        return self.bound.seconds / self.time if self.time > 0 else 1.0

    @cached_property
    def sent_bytes(self) -> Floats:
        """Bytes that each rank sends, shape (ranks,)."""
        sent = np.bincount(self.schedule.src, weights=self.payload, minlength=self.schedule.ranks)
        return sent.astype(np.float64)

    def to_dict(self) -> dict[str, Any]:
        """Return the figures of the run under the names of ``collsim run --json``."""
        return {
            "collective": self.schedule.collective.name,
            "algorithm": self.schedule.algorithm,
            "ranks": self.schedule.ranks,
            "size_bytes": self.nbytes,
            "topology": self.topology,
            "model": self.model,
            "engine": self.engine,
            "ordering": self.ordering,
            "time_s": self.time,
            "algbw_Bps": self.algbw if math.isfinite(self.algbw) else None,
            "busbw_Bps": self.busbw if math.isfinite(self.busbw) else None,
            "steps": self.schedule.steps,
            "messages": self.schedule.messages,
            "wire_bytes": _whole(float(self.payload.sum())),
            "max_sent_bytes": _whole(float(self.sent_bytes.max(initial=0.0))),
            "lower_bound_s": self.bound.seconds,
            "efficiency": self.efficiency,
            "wall_s": self.wall_seconds,
        }

    def to_frame(self) -> pd.DataFrame:
        """Return the schedule's table with ``nbytes`` and the times of every move joined on.

        Returns
        -------
        pandas.DataFrame
            One row a move; times ``ready, start, arrive, finish`` in seconds, as in `Timeline`.
        """
        frame = self.schedule.to_frame()
        frame["nbytes"] = self.payload
        for name in ("ready", "start", "arrive", "finish"):
            frame[f"{name}_s"] = getattr(self.timeline, name)
        return frame


def _whole(nbytes: float) -> float | int:
    """Return bytes as an int where they are whole: an evenly divided vector may not be."""
    return int(nbytes) if nbytes.is_integer() else nbytes
