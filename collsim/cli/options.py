"""Options that several commands share, and what becomes of their text."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import click

from collsim.engines import ENGINES
from collsim.errors import InputError
from collsim.graph import ORDERINGS
from collsim.models import MODELS
from collsim.units import parse_count

Command = TypeVar("Command", bound=Callable[..., Any])


def algorithm_options(command: Command) -> Command:
    """Add ``-o KEY=VALUE``."""
    return click.option(
        "-o",
        "--option",
        "options",
        multiple=True,
        metavar="KEY=VALUE",
        help="An option of the algorithm, such as root=3 or counts=4,0,2. May be repeated.",
    )(command)


def network_options(command: Command) -> Command:
    """Add what describes the network and how it is simulated."""
    for option in reversed(
        (
            click.option("--bandwidth", metavar="RATE", help="Of every link of a shape: 10GB/s, 200Gbit/s."),
            click.option("--latency", metavar="TIME", help="Of every link of a shape: 5us."),
            click.option("--alpha", metavar="TIME", help="Seconds a message, without a topology: 5us."),
            click.option("--beta", metavar="TIME", help="Seconds a byte, without a topology: 0.1ns."),
            click.option("--gamma", metavar="TIME", default="0", help="Seconds a byte that a reduction costs: 0.05ns."),
            click.option("--model", metavar="NAME", help=f"One of {', '.join(MODELS)}."),
            click.option(
                "--engine",
                metavar="NAME",
                default="auto",
                show_default=True,
                help=f"auto (the fastest) or one of {', '.join(ENGINES)}.",
            ),
            click.option(
                "--ordering",
                metavar="NAME",
                default="step",
                show_default=True,
                help=f"What a move waits for: {', '.join(ORDERINGS)}.",
            ),
            click.option(
                "--itemsize",
                metavar="BYTES",
                help="Send whole elements of so many bytes (default: the vector is divided evenly).",
            ),
        )
    ):
        command = option(command)
    return command


def settings(**values: Any) -> dict[str, Any]:
    """Return those of the shared options that go to `simulate` as they are."""
    return {key: values[key] for key in ("model", "engine", "ordering", "alpha", "beta", "gamma", "itemsize")}


def parse_options(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Return the options ``key=value`` as a dict; numbers become numbers.

    Raises
    ------
    InputError
        If one has no ``=`` or comes twice.
    """
    options: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise InputError(f"an option must be KEY=VALUE, such as root=3, got {pair!r}")
        if key in options:
            raise InputError(f"option {key!r} is given twice")
        options[key.replace("-", "_")] = _value(text)
    return options


def parse_offsets(pairs: tuple[str, ...], ranks: int) -> list[str] | None:
    """Return one offset a rank from ``RANK=TIME`` pairs, or None if there is none.

    Raises
    ------
    InputError
        If one is not of that form or its rank does not exist.
    """
    if not pairs:
        return None
    offsets = ["0"] * ranks
    for pair in pairs:
        rank, equals, text = pair.partition("=")
        if not equals:
            raise InputError(f"an offset must be RANK=TIME, such as 3=1ms, got {pair!r}")
        number = parse_count(rank, "the rank of an offset", minimum=0)
        if number >= ranks:
            raise InputError(f"offset {pair!r} is for a rank that does not exist (there are 0..{ranks - 1})")
        offsets[number] = text
    return offsets


def _value(text: str) -> Any:
    if text.startswith("["):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise InputError(f"{text[:60]!r} is not a list such as [1,2,3] or [[1,2],[3,4]]") from None
    if "," in text:
        return [_value(part) for part in text.split(",")]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
