"""`ringback completion`: what the Tab key knows."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a script for the Tab key.

    It completes commands, options and keys.

    \b
    Examples:
      eval "$(ringback completion bash)"                                    in ~/.bashrc
      eval "$(ringback completion zsh)"                                     in ~/.zshrc
      ringback completion fish > ~/.config/fish/completions/ringback.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None  # click knows all three
    click.echo(kind(ctx.find_root().command, {}, "ringback", "_RINGBACK_COMPLETE").source())
