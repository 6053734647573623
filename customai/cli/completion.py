from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from customai import cli, ui


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """A script that completes customai's commands. For bash: customai completion bash >> ~/.bashrc"""
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"there is no completion for {shell}")
    ui.show(None, [kind(cli.root, {}, "customai", "_CUSTOMAI_COMPLETE").source()], "text")
