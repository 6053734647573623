from __future__ import annotations

import contextlib
import shutil
import sys

import click

from customai import engine, ui
from customai.cli import options
from customai.errors import CustomAIError
from customai.journal import Journal, home, locked
from customai.model import Json
from customai.targets import load


@click.command("destroy")
@options.deployment()
@click.option("--yes", is_flag=True, help="Do not ask.")
@options.output
def command(deployment: str, *, yes: bool, output: str) -> int:
    """Stop everything of a deployment and take it away. The receipt says what is gone; exit 1 while anything remains."""
    options.hear_interrupts_once()
    found = options.deployments_of(deployment)
    journal = options.deployment_of(deployment) if len(found) > 1 else found[0] if found else None
    if journal is None:
        ui.show(
            {"name": deployment, "deleted": [], "remaining": []},
            [f"{deployment} is not deployed: nothing to do"],
            output,
        )
        return 0
    if not yes:
        _ask(journal)
    receipt, error = _destroy(journal, deployment, output)
    if error is not None and output != "json":
        raise error
    gone = ", ".join(receipt["deleted"])
    ui.show(receipt, [f"{journal.header.name} is gone: {gone}. Nothing of it is left running or on disk."], output)
    return 1 if receipt["remaining"] else 0


def _ask(journal: Journal) -> None:
    name, steps = journal.header.name, ", ".join(journal.known)
    if not sys.stdin.isatty():
        raise click.UsageError(f"destroy asks before it deletes {name}; where nobody can answer, give --yes")
    click.confirm(
        f"Stop {name} (path {journal.header.path}, target {journal.header.target}) and delete {steps}?",
        abort=True,
        err=True,
    )


def _destroy(journal: Journal, given: str, output: str) -> tuple[Json, CustomAIError | None]:
    folder = journal.folder
    with locked(folder, f"customai destroy {given}"):
        journal = Journal.start(folder, journal.header)
        target = load(journal.header.target, folder)
        with ui.watching(output) as observer:
            results = engine.down(target, journal, observer)
        if not journal.known:
            for left in folder.iterdir():
                if left.name != "lock":  # removed with the folder when it is let go
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
    for parent in (folder.parent, home()):
        with contextlib.suppress(OSError):
            parent.rmdir()  # only if empty
    receipt = {
        "name": journal.header.name,
        "deleted": [result.step.id for result in results if result.action == "deleted"],
        "remaining": list(journal.known),
    }
    return receipt, engine.StepsFailed(results) if journal.known else None
