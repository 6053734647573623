from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from typing import NamedTuple

import click

from customai import engine, resources, ui
from customai.cli import options
from customai.errors import NotFound, NotLoggedIn
from customai.journal import Journal, locked
from customai.model import Json
from customai.targets import load
from customai.targets.base import Target

Switch = Callable[[Target, Journal, engine.Observer], tuple[engine.Result, ...]]


@click.command("stop")
@options.deployment()
@options.output
def command(deployment: str, output: str) -> None:
    """Stop what runs, and keep everything else: a machine is deallocated, a cluster stopped, a local server ended.

    It says what is still paid for meanwhile. `start` brings it back as it was, and so does `deploy`.
    """
    found = switched(deployment, "stop", engine.stop, output)
    billed = resources.billed_at_rest(known.step for known in found.journal.known.values())
    told = found.told("stopped") | {"billed_at_rest": billed}
    ui.show(told, _lines(found, billed, shlex.quote(deployment)), output)


class Switched(NamedTuple):
    journal: Journal
    results: tuple[engine.Result, ...]

    def told(self, word: str) -> Json:
        header, by_action = self.journal.header, {action: self.ids(action) for action in (word, "kept")}
        return {
            "name": header.name,
            "path": header.path,
            "target": header.target,
            word: by_action[word],
            "already": by_action["kept"],
        }

    def ids(self, action: str) -> list[str]:
        return [result.step.id for result in self.results if result.action == action]


def switched(given: str, verb: str, switch: Switch, output: str) -> Switched:
    """Stops or starts what of the deployment can be. Raises StepsFailed where something could not."""
    options.hear_interrupts_once()
    journal = options.deployment_of(given)
    with locked(journal.folder, f"customai {verb} {given}"):
        journal = Journal.start(journal.folder, journal.header)
        target = load(journal.header.target, journal.folder)
        with ui.watching(output) as observer:
            results = switch(target, journal, observer)
    failed = [result for result in results if result.error is not None]
    for result in failed:
        if isinstance(result.error, NotLoggedIn | NotFound):
            raise result.error  # as it stands: no step of ours has failed
    if failed:
        raise engine.StepsFailed(results)
    return Switched(journal, results)


def _lines(found: Switched, billed: list[str], given: str) -> Iterator[str]:
    name, stopped = found.journal.header.name, found.ids("stopped")
    if not found.results:
        yield f"Nothing of {name} runs by itself: there is nothing to stop."
        return
    yield f"{name} is stopped: {', '.join(stopped)}" if stopped else f"{name} stands still already: nothing to do"
    if billed:
        yield "Still paid for: " + "; ".join(billed)
    yield f"Next: customai start {given} | customai destroy {given}"
