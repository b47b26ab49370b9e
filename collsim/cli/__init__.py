"""The command line: parse, call, print. One file a command; nothing here computes.

A command's module is imported when the command is used, so that ``collsim --help`` stays quick. Whatever
goes wrong ends in one line on stderr and a status: 2 for bad usage or bad input, 1 for a failed check,
130 when interrupted.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

import collsim
from collsim.errors import CollsimError, SimulationError, VerificationError, unknown

COMMANDS = {
    "show": "show an algorithm step by step: who sends what, and what every rank then holds",
    "run": "simulate one collective and report its time, bandwidth and bounds",
    "sweep": "simulate every combination of algorithms, ranks and sizes",
    "explain": "say why a collective takes as long as it does, and what would help",
    "plot": "draw a picture of a run, or of many: who sends when, which link is busy, which algorithm wins where",
    "compare": "run one schedule under several network models and say why they disagree",
    "topo": "show what a network is like and draw it, or check a file of one",
    "bound": "the best that any algorithm can do on a network, and the cut that limits it",
    "verify": "prove that an algorithm counts each contribution exactly once",
    "check": "check an algorithm of your own and say what is wrong with it",
    "numerics": "measure how exactly each algorithm sums, against the bound of theory",
    "list": "list what has a name: algorithms, topologies, routings, collectives, models, ...",
    "example": "the textbook's examples, run",
    "exercise": "the textbook's exercises, answered with numbers",
    "lesson": "learn it from the beginning, with exercises that are checked",
    "completion": "print the script that makes your shell complete collsim",
}


class LazyGroup(click.Group):
    """A group whose commands live in modules of the same name, imported when used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of the table."""
        return [*COMMANDS]  # `list` may be the module beside this one

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        return importlib.import_module(f"collsim.cli.{cmd_name}").command  # type: ignore[no-any-return]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve a command; for an unknown one name the nearest."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise unknown("command", args[0], COMMANDS)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands from the table, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([*COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Examples:
  collsim run all_reduce -a ring -n 8 -s 4GB --alpha 5us --beta 0.1ns
  collsim sweep all_reduce -a naive,ring,tree -n 2,4,8,16 -s 4GB -t star --bandwidth 10GB/s --latency 5us
  collsim exercise 1.1.3
""",
)
@click.version_option(collsim.__version__, prog_name="collsim")
@click.option(
    "--load",
    "plugins",
    multiple=True,
    metavar="FILE.py",
    help="Run a Python file of yours first; it may register algorithms. May be repeated.",
)
def cli(plugins: tuple[str, ...]) -> None:
    """Simulate collective communication: exact results, a proof, and timings."""
    if plugins:
        from collsim.catalog import load_plugin

        for path in plugins:
            load_plugin(path)


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its status."""
    try:
        status = cli.main(args, prog_name="collsim", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as stop:
        status = stop.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        status = 2
    except click.ClickException as error:
        where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "collsim"
        status = _fail(f"{error.format_message().rstrip('.')} (see '{where} --help')", 2)
    except (VerificationError, SimulationError) as error:
        status = _fail(str(error), 1)
    except CollsimError as error:
        status = _fail(str(error), 2)
    except MemoryError as error:
        status = _fail(f"out of memory ({error}); use fewer ranks or a smaller size", 2)
    except (click.Abort, KeyboardInterrupt):
        status = _fail("interrupted", 130)
    except BrokenPipeError:
        # Whoever read our output has gone; keep the interpreter from complaining about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str, status: int) -> int:
    line = " ".join(str(message).split())
    click.echo(f"collsim: error: {line}", err=True)
    return status


def comma_separated(ctx: click.Context, parameter: click.Parameter, value: Any) -> list[str]:
    """Split ``a,b,c``; for click's callbacks."""
    parts = [part.strip() for part in str(value or "").split(",")]
    return [part for part in parts if part]
