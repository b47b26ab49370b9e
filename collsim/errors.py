"""Every error that collsim raises on purpose, under one root.

`InputError` is yours (what you passed in is wrong), `VerificationError` is the schedule's (it does
not do what its collective promises), `SimulationError` is the engine's, and
`MissingDependencyError` names the optional extra to install.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CollsimError(Exception):
    """Root of all errors raised by collsim."""


class InputError(CollsimError, ValueError):
    """An argument is wrong; the message says which, its value, and what would be right."""


class VerificationError(CollsimError):
    """A schedule does not do what its collective promises.

    Attributes
    ----------
    rank, chunk : int or None
        The first place that is wrong.
    step : int or None
        The step, where the fault can be pinned to one.
    """

    def __init__(
        self,
        message: str,
        *,
        rank: int | None = None,
        chunk: int | None = None,
        step: int | None = None,
    ) -> None:
        super().__init__(message)
        self.rank = rank
        self.chunk = chunk
        self.step = step


class SimulationError(CollsimError):
    """A simulation cannot come to its end; the message names a move that never ran."""


class MissingDependencyError(CollsimError, ImportError):
    """An optional library is needed; the message names the extra that brings it."""


def unknown(what: str, name: object, known: Iterable[str]) -> InputError:
    """Return the error for a name that is not in a table: it lists the known ones and the nearest."""
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return InputError(f"unknown {what} {name!r}{hint} (known: {', '.join(names)})")
