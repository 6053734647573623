from __future__ import annotations

import shlex

import click

from customai import engine, planner, ui
from customai.cli import options
from customai.journal import Journal, folder_of
from customai.targets import load

MARKS = {"create": "+", "change": "~", "keep": "=", "delete": "-"}


@click.command("plan")
@options.spec
@options.target
@options.output
def command(spec: str, target: str, output: str) -> None:
    """What deploy would do, step by step, and what is already done. Changes nothing."""
    source = options.source_of(spec)
    folder = folder_of(source.name)
    there = load(target, folder)
    plan = planner.plan(source, there)
    changes = engine.diff(plan, there, Journal.read(folder))
    result = plan.to_json() | {"changes": [{"id": change.step.id, "action": change.action} for change in changes]}
    rows = [(MARKS[change.action], change.step.id, change.action, change.step.why) for change in changes]
    to_do = sum(change.action != "keep" for change in changes)
    summary = (
        f"{to_do} of {len(changes)} steps to do: customai deploy {shlex.quote(spec)}"
        if to_do
        else "Nothing to do: it is as planned."
    )
    head = f"{plan.name} (path {plan.path}) on target {plan.target}"
    ui.show(result, [head, "", *ui.table(rows, ("", "STEP", "ACTION", "WHY")), "", summary], output)
