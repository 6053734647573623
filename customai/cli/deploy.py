from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from importlib import import_module

import click

from customai import engine, history, paths, planner, ui
from customai.cli import module_of, options
from customai.cli.plan import table_of
from customai.errors import StateError
from customai.journal import Header, Journal, folder_of, locked
from customai.model import Json, Plan
from customai.targets import load
from customai.targets.base import Target


@click.command("deploy")
@options.spec
@options.target
@click.option("--yes", is_flag=True, help="Do not ask, where it costs money.")
@click.option("--skip-checks", is_flag=True, help="Do not ask the target beforehand whether it can be done.")
@options.output
def command(spec: str, target: str, *, yes: bool, skip_checks: bool, output: str) -> None:
    """Run a path. Again, with nothing changed, it does nothing; with a change, only what differs.

    Where it costs money, it asks first.
    """
    options.hear_interrupts_once()
    source = options.source_of(spec)
    folder = folder_of(source.name)
    there = load(target, folder)
    plan = planner.plan(source, there)
    header = Header(plan.name, plan.path, plan.target, str(source.file.resolve()))
    with locked(folder, f"customai deploy {spec}"):
        is_ours(Journal.read(folder), header)
        there.carries_out(plan)
        if there.costs and not yes and not sys.stdin.isatty():
            raise click.UsageError("deploy asks before it makes what costs money; where nobody can answer, give --yes")
        if not skip_checks:
            there.check(plan)
        if there.costs and not yes:
            _ask(plan, there, Journal.read(folder))
        result = bring_about(plan, there, header, output, checked=True)
    ui.show(result, _lines(plan, result["outputs"], spec, changed=result["changed"]), output)


def bring_about(plan: Plan, there: Target, header: Header, output: str, *, checked: bool = False) -> Json:
    """Makes the target as the plan says, and keeps the plan. The deployment's lock must be held."""
    folder = folder_of(plan.name)
    if not checked:
        there.check(plan)
    journal = Journal.start(folder, header)
    history.ask(folder, plan)
    with ui.watching(output) as observer:
        results = engine.up(plan, there, journal, observer)
    history.reach(folder, plan)
    return {
        "name": plan.name,
        "path": plan.path,
        "target": plan.target,
        "changed": any(result.action != "kept" for result in results),
        "steps": [step.to_json() for step in results],
        "outputs": {id_: known.outputs for id_, known in journal.known.items()},
    }


def _ask(plan: Plan, there: Target, journal: Journal | None) -> None:
    """Whether it may be done; nobody is asked where there is nothing to do."""
    changes = engine.compare(plan, there, journal)
    to_do = [change for change in changes if change.action != "keep"]
    if not to_do:
        return
    for line in table_of(changes):
        ui.say(line)
    click.confirm(f"Do {len(to_do)} of {len(changes)} steps on {plan.target}? It costs money.", abort=True, err=True)


def is_ours(journal: Journal | None, header: Header) -> None:
    if journal is None:
        return
    before = journal.header
    if (before.path, before.target) != (header.path, header.target):
        raise StateError(
            f"'{header.name}' is already deployed: path {before.path} on target {before.target}, from {before.spec}",
            hint=f"choose another `name` in the spec, or: customai destroy {header.name}",
        )


def _lines(plan: Plan, outputs: Json, given: str, *, changed: bool) -> Iterator[str]:
    given = shlex.quote(given)
    state = "is done" if all(step.verb in ("run", "upload") for step in plan.steps) else "is up"
    state += "" if changed else " as it was: nothing to do"
    yield f"{plan.name} {state} (path {plan.path}, target {plan.target})"
    yield ""
    group = import_module(f"customai.cli.{module_of(paths.PATHS[plan.path].group)}")
    yield from group.deployed(plan, outputs, given)
    yield ""
    yield f"Next: customai status {given} | customai logs {given} -f | customai destroy {given}"
