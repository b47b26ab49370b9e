"""``collsim completion``: shell completion."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_INSTALL = {
    "bash": 'eval "$(collsim completion bash)"   # in ~/.bashrc',
    "zsh": 'eval "$(collsim completion zsh)"    # in ~/.zshrc',
    "fish": "collsim completion fish | source     # in ~/.config/fish/config.fish",
}


@click.command("completion", epilog="\b\nTo switch it on:\n" + "\n".join(f"  {line}" for line in _INSTALL.values()))
@click.argument("shell", type=click.Choice(list(_INSTALL)))
def command(shell: str) -> None:
    """Print the script that makes your SHELL complete collsim."""
    from collsim.cli import cli

    complete = get_completion_class(shell)
    assert complete is not None
    click.echo(complete(cli, {}, "collsim", "_COLLSIM_COMPLETE").source())
