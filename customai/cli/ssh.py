from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from customai import planner, ui
from customai.cli import options
from customai.errors import CustomAIError, NotAvailable, NotFound, TargetError
from customai.journal import Journal
from customai.model import Json, Step
from customai.targets import azure_machine, azure_run, load
from customai.targets.azure_machine import Machine
from customai.targets.base import Observed


@click.command("ssh")
@options.deployment()
@click.argument("words", metavar="[-- COMMAND...]", nargs=-1, type=click.UNPROCESSED)
@click.option("--debug", is_flag=True, expose_value=False, help="Show tracebacks of errors.")
def command(deployment: str, words: tuple[str, ...]) -> None:
    """Log in to the machine of 1-1, or run one command there: OpenSSH, with the deployment's key.

    The machine's own key is asked of Azure the first time; ssh then takes no other.
    """
    machine = reached(options.deployment_of(deployment))
    become([*machine.ssh(asks=True), *words])


def become(command: list[str]) -> NoReturn:
    """Ends this program by becoming that one: Ctrl-C, the terminal and the exit code are its own."""
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606 (no shell)


def reached(journal: Journal) -> Machine:
    """The deployment's machine, which is there, runs, and has its key pinned.

    Raises:
        NotAvailable, NotFound: it is not to be reached, and why; TargetError: Azure was not to be asked.
    """
    step, machine = _found(journal)
    target = load(journal.header.target, journal.folder)
    try:
        seen: Observed = target.read(step, journal.known[step.id].outputs)
    except TargetError:
        if machine.is_pinned:  # ssh needs no login
            return machine
        raise
    given = journal.header.name
    if not seen.present:
        hint = f"customai deploy {journal.header.spec} --target azure makes it again, customai destroy {given} takes away the rest"
        raise NotFound("the machine is not there any more: was it deleted by hand?", where=step.id, hint=hint)
    if any(each["property"] == "power" for each in seen.detail["differences"]):
        raise NotAvailable("the machine is stopped", where=step.id, hint=f"customai start {given}")
    if not machine.is_pinned:
        ui.say("Asking Azure for the machine's host key: once, half a minute")
        if not target.pin(step, machine):  # type: ignore[attr-defined]
            ui.say("Azure does not tell it: the key that the machine shows first is taken, and no other from then on")
    return machine


def _found(journal: Journal) -> tuple[Step, Machine]:
    if journal.header.target == "local":
        hint = "path 1-1 has one on Azure: customai deploy 1-1 --target azure"
        raise NotAvailable(f"{journal.header.name} is on this machine: there is no other to log in to", hint=hint)
    outputs: Json = {id_: known.outputs for id_, known in journal.known.items()}
    steps = [known.step for known in journal.known.values()]
    return azure_machine.found(steps, outputs, journal.folder, _keys(journal))


def _keys(journal: Journal) -> list[Path]:
    """Where the public key may be that the machine knows: the spec's, and those of the user."""
    keys = sorted((Path.home() / ".ssh").glob("*.pub"))
    with contextlib.suppress(CustomAIError, OSError):
        source = planner.read(Path(journal.header.spec))
        named = source.spec.azure.vm.ssh_key if source.spec.azure is not None else None
        if named is not None:
            keys.insert(0, Path(planner.SpecFiles(source.file.parent).absolute(named)))
    return keys


def runs_on(machine: Machine | None, journal: Journal) -> azure_run.Runs:
    return azure_run.Runs(journal.folder, machine, journal.header.name)


def runs_of(journal: Journal) -> azure_run.Runs:
    """The runs on the deployment's machine; what was last seen of them, where it is not known how to reach it."""
    machine = None
    with contextlib.suppress(CustomAIError):
        _, found = _found(journal)
        machine = found if found.is_pinned else None
    return runs_on(machine, journal)
