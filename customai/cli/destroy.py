from __future__ import annotations

import contextlib
import shlex
import shutil
import sys
from collections.abc import Iterator

import click

from customai import engine, paths, ui
from customai.cli import options
from customai.errors import Conflict, CustomAIError, TargetError
from customai.journal import Journal, home, locked
from customai.model import Json, Step
from customai.targets import load
from customai.targets.base import Target, Watch


@click.command("destroy")
@options.deployment()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--purge", is_flag=True, help="On Azure: for good, also what Azure would keep for a while.")
@options.output
def command(deployment: str, *, yes: bool, purge: bool, output: str) -> int:
    """Stop everything of a deployment and take it away. The receipt says what is gone; exit 1 while anything remains.

    Azure keeps some things for a while after they are deleted, so that they can be brought back. They remain, until
    --purge, which nothing brings back.
    """
    options.hear_interrupts_once()
    found = options.deployments_of(deployment)
    journal = options.deployment_of(deployment) if len(found) > 1 else found[0] if found else None
    if journal is None:
        ui.show(
            {"name": deployment, "deleted": [], "remaining": [], "purged": []},
            [f"{deployment} is not deployed: nothing to do"],
            output,
        )
        return 0
    _ask(journal, yes=yes)
    receipt, error = _destroy(journal, deployment, output, purge=purge)
    if error is not None and output != "json":
        raise error
    if receipt["remaining"]:
        ui.show(receipt, _kept(receipt, shlex.quote(deployment), purge=purge), output)
        return 1
    gone = ", ".join(receipt["deleted"])
    written = (
        " What it wrote into folders of yours stays." if paths.find(journal.header.path).group == "score-batch" else ""
    )
    left = f"Nothing of it is left running or on disk.{written}"
    ui.show(receipt, [f"{journal.header.name} is gone: {gone}. {left}"], output)
    return 0


def _kept(receipt: Json, given: str, *, purge: bool) -> Iterator[str]:
    """Everything is deleted, and something is kept."""
    yield f"{receipt['name']} is deleted: {', '.join(receipt['deleted'])}"
    yield f"Azure keeps {', '.join(receipt['remaining'])} for a while, at no cost; the next deploy brings it back."
    if purge:
        yield "It is protected: nobody can delete it for good before its time is over (a key vault: 7 days)."
    else:
        yield f"To delete that for good, which nothing brings back: customai destroy {given} --purge"


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


def _destroy(journal: Journal, given: str, output: str, *, purge: bool) -> tuple[Json, CustomAIError | None]:
    folder = journal.folder
    with locked(folder, f"customai destroy {given}"):
        journal = Journal.start(folder, journal.header)
        target = load(journal.header.target, folder)
        with ui.watching(output) as observer:
            if target.costs and output == "text":
                ui.say(f"Taking {journal.header.name} away on {journal.header.target}; this may take minutes")
            steps = [known.step for known in journal.known.values()]
            purged, error = _purged(target, steps) if purge else ([], None)
            results: tuple[engine.Result, ...] = ()
            if error is None or any(known.event != "kept" for known in journal.known.values()):
                with contextlib.suppress(TargetError):  # then each is taken away by itself, or says why not
                    target.sweep(steps, Watch())
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
        "deleted": [step.id for step in reversed(steps) if step.id not in journal.known],
        "remaining": list(journal.known),
        "purged": purged,
    }
    if any(result.error is not None for result in results):
        error = engine.StepsFailed(results)
    if error is not None and journal.known:
        return receipt | {"error": error.to_json()}, error
    return receipt, None


def _purged(target: Target, steps: list[Step]) -> tuple[list[str], CustomAIError | None]:
    """The steps of what has gone for good, and why not all have, if so: the rest is taken away all the same."""
    try:
        return target.purge(steps, Watch()), None
    except TargetError as error:
        return [], error
