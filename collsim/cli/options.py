"""Options that several commands share, and what becomes of their text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from collsim.cli import comma_separated
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


def simulation_options(command: Command) -> Command:
    """Add how messages are simulated, and alpha and beta instead of a topology.

    What describes a topology is in `collsim.cli.networks.topology_options`.
    """
    for option in reversed(
        (
            click.option("--alpha", metavar="TIME", help="Seconds a message, without a topology: 5us."),
            click.option("--beta", metavar="TIME", help="Seconds a byte, without a topology: 0.1ns."),
            click.option("--gamma", metavar="TIME", default="0", help="Seconds a byte that a reduction costs: 0.05ns."),
            click.option("--model", metavar="NAME", help=f"One of {', '.join(MODELS)}."),
            click.option(
                "-p",
                "--parameter",
                "parameters",
                multiple=True,
                metavar="KEY=VALUE",
                help="A parameter of the model: packet_bytes=4KiB (fifo), L=2500ns (loggp), calibration=LV08 (maxmin). "
                "May be repeated.",
            ),
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
            click.option(
                "--header-bytes",
                metavar="SIZE",
                default="0",
                help="Bytes that every message has on the wire besides its payload: 16.",
            ),
        )
    ):
        command = option(command)
    return command


def settings(**values: Any) -> dict[str, Any]:
    """Return those of the shared options that go to `simulate`; the parameters of the model as a dict."""
    same = ("model", "engine", "ordering", "alpha", "beta", "gamma", "itemsize", "header_bytes")
    return {"parameters": parse_parameters(values["parameters"]), **{key: values[key] for key in same}}


# The most numbers of ranks that a range may stand for.
_MOST_COUNTS = 100_000


def separate_counts(ctx: click.Context, parameter: click.Parameter, value: Any) -> list[int | str]:
    """Split ``2,4,8..64*2``; for click's callbacks.

    Examples
    --------
    >>> separate_counts(None, None, "2,4..7,8..20+5,16..65*2")
    ['2', 4, 5, 6, 7, 8, 13, 18, 16, 32, 64]
    """
    found: list[int | str] = []
    for part in comma_separated(ctx, parameter, value):
        match = re.fullmatch(r"(\d+)\.\.(\d+)(?:([+*])(\d+))?", part)
        if match is None:
            found.append(part)  # one number; or it is refused, like any other wrong one
            continue
        first, last, by = int(match[1]), int(match[2]), int(match[4] or 1)
        times = match[3] == "*"
        if last < first or by < 1 + times or first < 1:
            raise click.BadParameter(
                f"{part!r} is no range of numbers from 1 on: write 2..8 for 2,3,...,8, 2..8+2 for 2,4,6,8 and "
                "2..8*2 for 2,4,8"
            )
        while first <= last:
            found.append(first)
            first = first * by if times else first + by
            if len(found) > _MOST_COUNTS:
                raise click.BadParameter(f"{part!r} is more than {_MOST_COUNTS} numbers of ranks")
    return found


# Settings that are a network themselves, so that no topology is needed.
_OF_A_NETWORK = frozenset(("alpha", "beta", "L", "G"))


def bring_a_network(given: dict[str, Any]) -> bool:
    """Return whether `settings` say what a message costs, without a topology."""
    said = {key for key, value in given.items() if value is not None} | given["parameters"].keys()
    return not _OF_A_NETWORK.isdisjoint(said)


def was_given(name: str) -> bool:
    """Return whether an option of the command that runs was given, and is not its default."""
    source = click.get_current_context().get_parameter_source(name)
    return source not in (None, click.core.ParameterSource.DEFAULT)


def parse_options(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Return the options ``key=value`` as a dict; numbers become numbers.

    Raises
    ------
    InputError
        If one has no ``=`` or comes twice.
    """
    return {key: _value(text) for key, text in _key_values(pairs, "option", "root=3").items()}


def parse_parameters(pairs: tuple[str, ...]) -> dict[str, str]:
    """Return the parameters ``key=value`` of a model as a dict; it is the model that reads the values.

    Raises
    ------
    InputError
        If one has no ``=`` or comes twice.
    """
    return _key_values(pairs, "parameter", "packet_bytes=4KiB")


def _key_values(pairs: tuple[str, ...], what: str, example: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            article = "an" if what[0] in "aeiou" else "a"
            raise InputError(f"{article} {what} must be KEY=VALUE, such as {example}, got {pair!r}")
        key = key.replace("-", "_")
        if key in found:
            raise InputError(f"{what} {key!r} is given twice")
        found[key] = text
    return found


def parse_offsets(pairs: tuple[str, ...], ranks: int) -> list[str] | None:
    """Return one offset a rank from ``RANK=TIME`` pairs, or None if there is none.

    Raises
    ------
    InputError
        If one is not of that form, its rank does not exist or comes twice.
    """
    if not pairs:
        return None
    offsets = ["0"] * ranks
    given: set[int] = set()
    for pair in pairs:
        rank, equals, text = pair.partition("=")
        if not equals:
            raise InputError(f"an offset must be RANK=TIME, such as 3=1ms, got {pair!r}")
        number = parse_count(rank, "the rank of an offset", minimum=0)
        if number >= ranks:
            raise InputError(f"offset {pair!r} is for a rank that does not exist (there are 0..{ranks - 1})")
        if number in given:
            raise InputError(f"the offset of rank {number} is given twice")
        given.add(number)
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
