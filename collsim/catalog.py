"""Algorithms by name: `make_schedule`, and `register` for your own.

Those that come with collsim stand in `collsim.algorithms.table`.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from collsim.algorithms.symmetric import hops_of
from collsim.algorithms.table import TABLE, Algorithm, Builder
from collsim.collectives import Collective, collective_name, get_collective
from collsim.errors import CollsimError, InputError, unknown
from collsim.memory import refuse_too_large
from collsim.schedule import Schedule
from collsim.symmetric import SymmetricSchedule
from collsim.units import parse_count

# How to write options that have no default, for messages.
_EXAMPLES = {"counts": "counts=[4,0,2]"}

# The least that any schedule takes while it is built.
_BYTES_A_RANK = 500

ALGORITHMS: dict[tuple[str, str], Algorithm] = {(row.collective, row.name): row for row in TABLE}


def register(collective: str | Collective, name: str, build: Builder, summary: str = "") -> Algorithm:
    """Add your own algorithm to the table.

    Parameters
    ----------
    collective : str or Collective
        What it carries out.
    name : str
        What to call it; an existing name is replaced.
    build : callable
        ``build(ranks, **options)`` returns a `Schedule`.
    summary : str
        One line for ``list``; default: the first line of the function's docstring.

    Returns
    -------
    Algorithm
        The new line of the table.

    Raises
    ------
    InputError
        If `build` cannot be called, or the name is empty.

    Examples
    --------
    >>> import collsim as cs
    >>> def exchange(ranks):
    ...     plan = cs.ScheduleBuilder("all_reduce", ranks)
    ...     for distance in (1, 2):
    ...         rank = np.arange(ranks)
    ...         _ = plan.reduce(step=distance, src=rank, dst=rank ^ distance)
    ...     return plan.build()
    >>> import numpy as np
    >>> _ = cs.register("all_reduce", "exchange", exchange)
    >>> cs.verify(cs.make_schedule("all_reduce", "exchange", ranks=4))
    >>> del ALGORITHMS["all_reduce", "exchange"]
    """
    if not callable(build):
        raise InputError(f"an algorithm must be a function (ranks, **options) -> Schedule, got {build!r}")
    if not name or not isinstance(name, str):
        raise InputError(f"an algorithm needs a name, got {name!r}")
    promised = collective_name(collective)
    first_line = (inspect.getdoc(build) or "").partition("\n")[0]
    entry = Algorithm(promised, name, build, summary or first_line)
    ALGORITHMS[promised, name] = entry
    return entry


def get_algorithm(collective: str | Collective, name: str) -> Algorithm:
    """Return an algorithm by its name, or from a file.

    Parameters
    ----------
    collective : str or Collective
        What it must carry out.
    name : str
        A name in the table, or ``"file.py:function"`` for a function of your own.

    Raises
    ------
    InputError
        If there is none of that name, or the file or function cannot be had.
    """
    promised = collective_name(collective)
    file, colon, function = str(name).rpartition(":")
    if colon and file.endswith(".py"):
        return Algorithm(promised, name, _function(Path(file), function))
    found = ALGORITHMS.get((promised, str(name)))
    if found is None:
        raise unknown(f"{promised} algorithm", name, [known for owner, known in ALGORITHMS if owner == promised])
    return found


def make_schedule(collective: str | Collective, algorithm: str, ranks: int, **options: Any) -> Schedule:
    """Return the schedule of an algorithm for a number of ranks.

    Parameters
    ----------
    collective : str or Collective
        For example ``"all_reduce"``.
    algorithm : str
        A name that ``collsim list algorithms`` shows, or ``"file.py:function"``.
    ranks : int
        Number of ranks, at least 1.
    **options
        What the algorithm takes besides, for example ``root=3``.

    Raises
    ------
    InputError
        If a name or an option is not known, or a value is out of range.

    Examples
    --------
    >>> make_schedule("all_reduce", "ring", ranks=8)
    Schedule(all_reduce, ring, ranks=8, chunks=8, steps=14, messages=112)
    """
    entry, bound = _bound(collective, algorithm, ranks, options)
    number = bound.args[0]
    refuse_too_large(number * _BYTES_A_RANK, f"a schedule for {number} ranks", "use fewer ranks")
    try:
        schedule = entry.build(*bound.args, **bound.kwargs)
    except CollsimError:
        raise
    except (Exception, SystemExit) as error:
        if entry.build.__module__.startswith("collsim."):
            raise
        raise InputError(
            f"algorithm {algorithm!r} failed for {number} ranks: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(schedule, Schedule):
        raise InputError(f"algorithm {algorithm!r} must return a Schedule, it returned {type(schedule).__name__}")
    if schedule.collective.name != entry.collective or schedule.ranks != number:
        raise InputError(
            f"algorithm {algorithm!r} must return a schedule of {entry.collective} for {number} ranks, "
            f"it returned {schedule!r}"
        )
    return replace(schedule, algorithm=entry.name, options=_given(entry, bound))


def symmetric_schedule(
    collective: str | Collective, algorithm: str, ranks: int, **options: Any
) -> SymmetricSchedule | None:
    """Return the schedule of an algorithm in which all ranks do the same, without its rows; None if it is not one.

    It takes next to no memory, so that `simulate` can be asked about a million ranks.

    Parameters
    ----------
    collective, algorithm, ranks, **options
        As for `make_schedule`.

    Raises
    ------
    InputError
        If a name or an option is not known.

    See Also
    --------
    make_schedule : the same with all rows, for any algorithm.

    Examples
    --------
    >>> symmetric_schedule("all_reduce", "ring", ranks=2**20)
    SymmetricSchedule(all_reduce, ring, ranks=1048576, chunks=1048576, steps=2097150, messages=2199021158400)
    >>> symmetric_schedule("all_reduce", "tree", ranks=2**20) is None
    True
    """
    entry, bound = _bound(collective, algorithm, ranks, options)
    number, given = bound.args[0], _given(entry, bound)
    found = hops_of(entry.collective, entry.name, number, **given)
    if found is None:
        return None
    chunks, phases = found
    given_to = {"to": ((np.arange(number) + given["shift"]) % number).tolist()} if "shift" in given else {}
    shares = {"all_to_all": 1.0 / number, "send_recv": 1.0, "barrier": 0.0}
    return SymmetricSchedule(
        get_collective(entry.collective, **given_to),
        number,
        chunks,
        tuple(phases),
        shares.get(entry.collective, 1.0 / chunks),
        entry.name,
        given,
    )


def _given(entry: Algorithm, bound: inspect.BoundArguments) -> dict[str, Any]:
    """Return the options of an algorithm, those by default included."""
    return {key: value for key, value in bound.arguments.items() if key in entry.options}


def _bound(
    collective: str | Collective, algorithm: str, ranks: int, options: Mapping[str, Any]
) -> tuple[Algorithm, inspect.BoundArguments]:
    """Return an algorithm and what to call it with, or raise an `InputError`."""
    entry = get_algorithm(collective, algorithm)
    number = parse_count(ranks, "ranks")
    try:
        bound = inspect.signature(entry.build).bind(number, **options)
    except TypeError:
        wrong = next((key for key in options if key not in entry.options), None)
        if wrong is not None:
            known = ", ".join(f"{key}={default!r}" for key, default in entry.options.items()) or "none"
            raise InputError(f"algorithm {algorithm!r} has no option {wrong!r} (it takes: {known})") from None
        missing = [key for key, default in entry.options.items() if default is inspect.Parameter.empty]
        if missing:
            example = _EXAMPLES.get(missing[0], f"{missing[0]}=...")
            if entry.collective == "all_to_allv":
                example = "counts=[[0,1],[2,1]]"
            what = f"option{'s' if len(missing) > 1 else ''} {', '.join(missing)}"
            raise InputError(f"algorithm {algorithm!r} needs the {what}, for example {example}") from None
        raise InputError(f"algorithm {algorithm!r} must take the number of ranks as its first argument") from None
    except ValueError:
        raise InputError(f"algorithm {algorithm!r} is not a function with a signature: {entry.build!r}") from None
    bound.apply_defaults()
    return entry, bound


def load_plugin(path: str | Path) -> Any:
    """Run a Python file of the user's, which may call `register`, and return it as a module.

    Raises
    ------
    InputError
        If it cannot be read or raises.
    """
    file = Path(path)
    spec = importlib.util.spec_from_file_location(f"collsim_plugin_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise InputError(f"{str(path)!r} is not a Python file (its name must end in .py)")
    try:
        file.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror}") from None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # while it runs, too: dataclasses look there
    # As for a script, so that it can import what stands beside it.
    sys.path.insert(0, str(file.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise InputError(f"{path}: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(file.resolve().parent))
    return module


def _function(path: Path, name: str) -> Builder:
    module = load_plugin(path)
    function = getattr(module, name, None)
    if not callable(function):
        raise InputError(f"{path} has no function {name!r}")
    return function  # type: ignore[no-any-return]
