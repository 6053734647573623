from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from customai import cli, ui

HELP = """A script that completes customai's commands, paths and files in your SHELL: bash, zsh or fish.

\b
bash:  customai completion bash >> ~/.bashrc
zsh:   customai completion zsh >> ~/.zshrc
fish:  customai completion fish > ~/.config/fish/completions/customai.fish

Then open a new terminal.
"""


@click.command("completion", help=HELP)
@click.argument("shell", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"there is no completion for {shell}")
    ui.show(None, [kind(cli.root, {}, "customai", "_CUSTOMAI_COMPLETE").source().rstrip()], "text")
