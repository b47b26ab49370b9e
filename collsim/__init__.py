"""collsim: a simulator of collective communication with exact results, a proof, and timings.

One noun, three verbs: a `Schedule` is a collective algorithm as data; `verify` proves what it does,
`execute` runs it on real vectors, `simulate` says when each of its messages starts and finishes.
"""

from __future__ import annotations

from collsim.catalog import make_schedule, register
from collsim.collectives import Collective, get_collective
from collsim.errors import CollsimError, InputError, MissingDependencyError, SimulationError, VerificationError
from collsim.replay import execute, verify
from collsim.results import Result
from collsim.schedule import Op, Schedule, ScheduleBuilder
from collsim.shapes import full, ring, star
from collsim.simulation import simulate
from collsim.sweeps import sweep
from collsim.topology import Link, Topology
from collsim.topology_files import load_topology

__version__ = "0.1.0"

__all__ = [
    "Collective",
    "CollsimError",
    "InputError",
    "Link",
    "MissingDependencyError",
    "Op",
    "Result",
    "Schedule",
    "ScheduleBuilder",
    "SimulationError",
    "Topology",
    "VerificationError",
    "execute",
    "full",
    "get_collective",
    "load_topology",
    "make_schedule",
    "register",
    "ring",
    "simulate",
    "star",
    "sweep",
    "verify",
]
