from __future__ import annotations

import shlex

import click

from customai import engine, ui
from customai.cli import options
from customai.cli.stop import switched


@click.command("start")
@options.deployment()
@options.output
def command(deployment: str, output: str) -> None:
    """Start again what was stopped, as it was, and wait until it runs. What never came to its end is deploy's business."""
    found = switched(deployment, "start", engine.start, output)
    name, started, given = found.journal.header.name, found.ids("started"), shlex.quote(deployment)
    if started:
        line = f"{name} runs again: {', '.join(started)}"
    elif found.results:
        line = f"{name} runs already: nothing to do"
    else:
        line = (
            f"Nothing of {name} was stopped that could be started. Is it deployed to its end? customai status {given}"
        )
    ui.show(found.told("started"), [line, f"Next: customai status {given} | customai stop {given}"], output)
