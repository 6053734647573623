from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from customai import engine, history, paths, planner, ui
from customai.cli import azure_ml, cost, databricks, module_of, options
from customai.cli.plan import table_of
from customai.errors import StateError
from customai.journal import Header, Journal, folder_of, locked
from customai.model import Json, Plan
from customai.targets import load
from customai.targets.base import Target

if TYPE_CHECKING:
    from customai.cost.sheet import Sheet


@click.command("deploy")
@options.spec
@options.target
@click.option("--yes", is_flag=True, help="Do not ask, where it costs money.")
@click.option("--skip-checks", is_flag=True, help="Do not ask the target beforehand whether it can be done.")
@click.option(
    "--no-wait", is_flag=True, help="On Azure: begin what can be begun, and leave the rest to a later deploy."
)
@options.max_hourly
@options.output
def command(
    spec: str,
    target: str,
    *,
    yes: bool,
    skip_checks: bool,
    no_wait: bool,
    max_hourly_usd: float | None,
    output: str,
) -> None:
    """Run a path. Again, with nothing changed, it does nothing; with a change, only what differs.

    Where it costs money, it asks first.
    """
    options.hear_interrupts_once()
    source = options.source_of(spec)
    folder = folder_of(source.name)
    there = load(target, folder)
    if no_wait and not there.costs:
        raise click.UsageError("--no-wait is for Azure: on this machine, what deploy begins ends with it")
    plan = planner.plan(source, there)
    sheet = cost.sheet_of(plan, max_hourly_usd)
    header = Header(plan.name, plan.path, plan.target, str(source.file.resolve()))
    with locked(folder, f"customai deploy {spec}"):
        is_ours(Journal.read(folder), header)
        there.carries_out(plan)
        if there.costs and not yes and not sys.stdin.isatty():
            raise click.UsageError("deploy asks before it makes what costs money; where nobody can answer, give --yes")
        if not skip_checks:
            there.check(plan)
        if there.costs and not yes:
            _ask(plan, there, Journal.read(folder), sheet)
        result = bring_about(plan, there, header, output, checked=True, wait=not no_wait)
    if there.costs:
        from customai.targets import azure_workspace

        config = azure_workspace.written(plan.steps, Path(planner.SpecFiles(source.file.parent).output(".")))
        result |= {} if config is None else {"azureml_config": str(config)}
    if "begun" in result:
        ui.show(result, _begun(plan, result, spec), output)
        return
    ui.show(result, _lines(plan, result["outputs"], spec, changed=result["changed"]), output)


def bring_about(
    plan: Plan, there: Target, header: Header, output: str, *, checked: bool = False, wait: bool = True
) -> Json:
    """Makes the target as the plan says, and keeps the plan. The deployment's lock must be held.

    Without `wait`, the result tells what was begun and what is still to come, and the plan is not yet reached.
    """
    folder = folder_of(plan.name)
    if not checked:
        there.check(plan)
    journal = Journal.start(folder, header)
    history.ask(folder, plan)
    with ui.watching(output) as observer:
        results = engine.up(plan, there, journal, observer, wait=wait)
    unfinished = [result for result in results if result.action in ("begun", "skipped")]
    begun = [result.step.id for result in unfinished if result.action == "begun" and result.step.is_request]
    to_come = [result.step.id for result in unfinished if result.step.id not in begun]
    if not unfinished:
        history.reach(folder, plan)
    return {
        **({"begun": begun, "to_come": to_come} if unfinished else {}),
        "name": plan.name,
        "path": plan.path,
        "target": plan.target,
        "changed": any(result.action != "kept" for result in results),
        "steps": [step.to_json() for step in results],
        "outputs": {id_: known.outputs for id_, known in journal.known.items()},
    }


def _ask(plan: Plan, there: Target, journal: Journal | None, sheet: Sheet | None) -> None:
    """Whether it may be done; nobody is asked where there is nothing to do."""
    changes = engine.compare(plan, there, journal)
    to_do = [change for change in changes if change.action != "keep"]
    if not to_do:
        return
    for line in (*table_of(changes, sheet), "", *(cost.sheet_lines(sheet) if sheet else ())):
        ui.say(line)
    click.confirm(f"Do {len(to_do)} of {len(changes)} steps on {plan.target}? It costs money.", abort=True, err=True)


def _begun(plan: Plan, result: Json, given: str) -> Iterator[str]:
    done = sum(step["action"] not in ("begun", "skipped") for step in result["steps"])
    again = f"customai deploy {shlex.quote(given)} --target {plan.target}"
    yield f"{plan.name} is on its way (path {plan.path}, target {plan.target}): {done} of {len(plan.steps)} steps are done"
    yield ""
    rows = [("goes on", ", ".join(result["begun"])), ("to come", ", ".join(result["to_come"]))]
    yield from ui.table([row for row in rows if row[1]])
    yield ""
    yield f"Nobody begins what is to come until you do: {again}, which waits; or the same with --no-wait, again"
    yield f"How far it is: customai status {shlex.quote(given)}"


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
    if azure_ml.runs(plan):
        yield from azure_ml.deployed(plan, outputs, given)
    elif databricks.runs(plan):
        yield from databricks.deployed(plan, outputs)
    else:
        group = import_module(f"customai.cli.{module_of(paths.PATHS[plan.path].group)}")
        yield from group.deployed(plan, outputs, given)
    yield ""
    yield f"Next: customai status {given} | customai logs {given} -f | customai destroy {given}"
