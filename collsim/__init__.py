"""collsim: a simulator of collective communication with exact results, a proof, and timings.

One noun, three verbs: a `Schedule` is a collective algorithm as data; `verify` proves what it does,
`execute` runs it on real vectors, `simulate` says when each of its messages starts and finishes.

>>> import collsim as cs
>>> schedule = cs.make_schedule("all_reduce", "ring", ranks=4)
>>> cs.verify(schedule)
>>> cs.execute(schedule, [[1.0], [2.0], [3.0], [4.0]])[0]
array([10.])
>>> cs.simulate(schedule, cs.star(4, bandwidth="10GB/s", latency="5us"), nbytes="4GB")
Result(all_reduce, ring, ranks=4, nbytes=4000000000, time=600.1 ms, busbw=9.999 GB/s)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collsim.catalog import make_schedule as make_schedule
    from collsim.catalog import register as register
    from collsim.catalog import symmetric_schedule as symmetric_schedule
    from collsim.collectives import Collective as Collective
    from collsim.collectives import get_collective as get_collective
    from collsim.comparison import Comparison as Comparison
    from collsim.comparison import compare as compare
    from collsim.contents import History as History
    from collsim.contents import history as history
    from collsim.errors import CollsimError as CollsimError
    from collsim.errors import InputError as InputError
    from collsim.errors import MissingDependencyError as MissingDependencyError
    from collsim.errors import SimulationError as SimulationError
    from collsim.errors import VerificationError as VerificationError
    from collsim.explanation import Explanation as Explanation
    from collsim.explanation import explain as explain
    from collsim.formats import write_trace as write_trace
    from collsim.groups import on_groups as on_groups
    from collsim.models import AlphaBeta as AlphaBeta
    from collsim.models import Fifo as Fifo
    from collsim.models import LogGP as LogGP
    from collsim.models import MaxMin as MaxMin
    from collsim.overrides import limit_injection as limit_injection
    from collsim.overrides import override as override
    from collsim.placement import place as place
    from collsim.player import player_page as player_page
    from collsim.replay import execute as execute
    from collsim.replay import verify as verify
    from collsim.results import Result as Result
    from collsim.rounding import numerics as numerics
    from collsim.route_tables import NamedLink as NamedLink
    from collsim.route_tables import network_of_routes as network_of_routes
    from collsim.routing import reroute as reroute
    from collsim.schedule import Op as Op
    from collsim.schedule import Schedule as Schedule
    from collsim.schedule import ScheduleBuilder as ScheduleBuilder
    from collsim.shapes import backbone as backbone
    from collsim.shapes import bus as bus
    from collsim.shapes import dragonfly as dragonfly
    from collsim.shapes import fat_tree as fat_tree
    from collsim.shapes import full as full
    from collsim.shapes import hybrid_cube_mesh as hybrid_cube_mesh
    from collsim.shapes import hypercube as hypercube
    from collsim.shapes import leaf_spine as leaf_spine
    from collsim.shapes import line as line
    from collsim.shapes import mesh as mesh
    from collsim.shapes import product as product
    from collsim.shapes import rail as rail
    from collsim.shapes import ring as ring
    from collsim.shapes import star as star
    from collsim.shapes import torus as torus
    from collsim.shapes import tree as tree
    from collsim.showing import show_text as show_text
    from collsim.simulation import simulate as simulate
    from collsim.sweeps import sweep as sweep
    from collsim.symmetric import SymmetricSchedule as SymmetricSchedule
    from collsim.testing import check_algorithm as check_algorithm
    from collsim.topology import Link as Link
    from collsim.topology import Topology as Topology
    from collsim.topology_files import load_topology as load_topology

__version__ = "0.1.0"

# The public names and where they live. They are imported when first used: the command line answers
# --help, and completes a word, without waiting for numpy.
_PUBLIC = {
    "AlphaBeta": "models",
    "Collective": "collectives",
    "CollsimError": "errors",
    "Explanation": "explanation",
    "Fifo": "models",
    "Comparison": "comparison",
    "History": "contents",
    "InputError": "errors",
    "Link": "topology",
    "LogGP": "models",
    "MaxMin": "models",
    "MissingDependencyError": "errors",
    "NamedLink": "route_tables",
    "Op": "schedule",
    "Result": "results",
    "Schedule": "schedule",
    "ScheduleBuilder": "schedule",
    "SimulationError": "errors",
    "SymmetricSchedule": "symmetric",
    "Topology": "topology",
    "VerificationError": "errors",
    "backbone": "shapes",
    "bus": "shapes",
    "check_algorithm": "testing",
    "dragonfly": "shapes",
    "compare": "comparison",
    "execute": "replay",
    "explain": "explanation",
    "fat_tree": "shapes",
    "full": "shapes",
    "get_collective": "collectives",
    "history": "contents",
    "hybrid_cube_mesh": "shapes",
    "hypercube": "shapes",
    "leaf_spine": "shapes",
    "limit_injection": "overrides",
    "line": "shapes",
    "load_topology": "topology_files",
    "make_schedule": "catalog",
    "mesh": "shapes",
    "network_of_routes": "route_tables",
    "numerics": "rounding",
    "on_groups": "groups",
    "override": "overrides",
    "place": "placement",
    "player_page": "player",
    "product": "shapes",
    "rail": "shapes",
    "register": "catalog",
    "reroute": "routing",
    "ring": "shapes",
    "show_text": "showing",
    "simulate": "simulation",
    "star": "shapes",
    "sweep": "sweeps",
    "symmetric_schedule": "catalog",
    "torus": "shapes",
    "tree": "shapes",
    "verify": "replay",
    "write_trace": "formats",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'collsim' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"collsim.{_PUBLIC[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
