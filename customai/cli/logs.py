from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import click

from customai import ui
from customai.cli import azure_ml, options, ssh
from customai.journal import Journal
from customai.targets import load


@click.command("logs")
@options.deployment()
@click.option("-f", "--follow", is_flag=True, help="Go on as lines are written, until Ctrl-C.")
@click.option("--tail", type=click.IntRange(min=0), default=None, help="Only the last lines.")
@options.output
def command(deployment: str, *, follow: bool, tail: int | None, output: str) -> None:
    """What the deployment's processes have written, one line each: JSON for a request, text for the rest."""
    if follow and (output == "json" or tail is not None):
        raise click.UsageError("--follow goes with neither --tail nor --output json")
    lines = _lines(options.deployment_of(deployment), follow=follow)
    if output == "json":
        ui.show({"lines": list(lines if tail is None else deque(lines, tail))}, (), output)
    else:
        ui.show(None, lines if tail is None else deque(lines, tail), output)


def _lines(journal: Journal, *, follow: bool) -> Iterator[str]:
    target = load(journal.header.target, journal.folder)
    for known in list(journal.known.values()):
        for line in target.logs(known.step, known.outputs, follow=follow):
            yield line.rstrip("\n")
        if known.step.kind == "dsvm":
            yield from _of_a_machine(journal, follow=follow)
    yield from azure_ml.written(journal, follow=follow)


def _of_a_machine(journal: Journal, *, follow: bool) -> Iterator[str]:
    """What the newest training on it has written."""
    if not ssh.runs_of(journal).any():
        ui.say(f"Nothing was trained there yet: customai train-single run {journal.header.spec}")
        return
    runs = ssh.runs_on(ssh.reached(journal), journal)
    yield from (line.rstrip("\n") for line in runs.log(follow=follow))
