from __future__ import annotations

import contextlib
import shutil
import sys

import click

from customai import engine, paths, ui
from customai.cli import options
from customai.errors import Conflict, CustomAIError, TargetError
from customai.journal import Journal, home, locked
from customai.model import Json
from customai.targets import load
from customai.targets.base import Watch


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
    _ask(journal, yes=yes)
    receipt, error = _destroy(journal, deployment, output)
    if error is not None and output != "json":
        raise error
    gone = ", ".join(receipt["deleted"])
    written = (
        " What it wrote into folders of yours stays." if paths.find(journal.header.path).group == "score-batch" else ""
    )
    left = f"Nothing of it is left running or on disk.{written}"
    ui.show(receipt, [f"{journal.header.name} is gone: {gone}. {left}"], output)
    return 1 if receipt["remaining"] else 0


def _ask(journal: Journal, *, yes: bool) -> None:
    name, steps = journal.header.name, ", ".join(journal.known)
    target = load(journal.header.target, journal.folder)
    beside = target.beside([known.step for known in journal.known.values()])
    others = ", ".join(each.rpartition("/")[2] for each in beside)
    if beside and (yes or not sys.stdin.isatty()):
        hint = "move them, or answer on a terminal: customai destroy, without --yes"
        raise Conflict(f"customai did not make everything there, so --yes does not count: {others}", hint=hint)
    if yes:
        return
    if beside:
        ui.say(f"There is also what customai did not make: {others}. It stays, and so does the group it is in.")
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
            if target.costs and output == "text":
                ui.say(f"Taking {journal.header.name} away on {journal.header.target}; this may take minutes")
            with contextlib.suppress(TargetError):  # then each is taken away by itself, or says why not
                target.sweep([known.step for known in journal.known.values()], Watch())
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
