from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from customai import engine, planner, resources, ui
from customai.cli import cost, options
from customai.engine import Change
from customai.errors import TargetError
from customai.journal import Journal, folder_of
from customai.model import Plan
from customai.targets import load
from customai.targets.base import Target

if TYPE_CHECKING:
    from customai.cost.sheet import Sheet

MARKS = {"create": "+", "change": "~", "keep": "=", "delete": "-"}


@click.command("plan")
@options.spec
@options.target
@options.max_hourly
@options.output
def command(spec: str, target: str, *, max_hourly_usd: float | None, output: str) -> None:
    """What deploy would do, step by step, and what is already done. Changes nothing.

    On Azure it ends with what one has to know before money is spent.
    """
    source = options.source_of(spec)
    folder = folder_of(source.name)
    there = load(target, folder)
    plan = planner.plan(source, there)
    sheet = cost.sheet_of(plan, max_hourly_usd)
    changes = _changes(plan, there, Journal.read(folder))
    result = plan.to_json() | {"changes": None if changes is None else [_told(change) for change in changes]}
    result["sheet"] = sheet and sheet.to_json()
    result["warnings"] = [each.to_json() for each in source.warnings]
    ui.show(result, _lines(plan, changes, spec, sheet), output)


def _changes(plan: Plan, there: Target, journal: Journal | None) -> tuple[Change, ...] | None:
    """What is to be done; None where it is not known what is there: no login, or no way to ask."""
    if there.name == "local":
        return engine.diff(plan, there, journal)
    if not there.can_read():
        return None
    try:
        return engine.compare(plan, there, journal)
    except TargetError as error:
        ui.say(f"What is there already is not known: {error.message}")
        return None


def _told(change: Change) -> dict[str, object]:
    found: dict[str, object] = {"id": change.step.id, "action": change.action}
    return found | ({"differences": list(change.ways)} if change.ways else {})


def _lines(plan: Plan, changes: Sequence[Change] | None, spec: str, sheet: Sheet | None) -> Iterator[str]:
    yield f"{plan.name} (path {plan.path}) on target {plan.target}"
    yield ""
    if plan.target == "local":
        rows = [(MARKS[each.action], each.step.id, each.action, each.step.why) for each in changes or ()]
        yield from ui.table(rows, ("", "STEP", "ACTION", "WHY"))
    else:
        planned = changes if changes is not None else [Change(step, "") for step in engine.ordered(plan.steps)]
        yield from table_of(planned, sheet)
    yield ""
    if sheet is not None:
        yield from cost.sheet_lines(sheet)
        yield f"  What is unknown here, customai doctor {shlex.quote(spec)} --target {plan.target} asks."
        yield ""
    deploy = f"customai deploy {shlex.quote(spec)}" + ("" if plan.target == "local" else f" --target {plan.target}")
    if changes is None:
        yield f"{len(plan.steps)} steps; what is there already shows only with a login (az login): {deploy}"
        return
    to_do = sum(change.action != "keep" for change in changes)
    yield f"{to_do} of {len(changes)} steps to do: {deploy}" if to_do else "Nothing to do: it is as planned."


def table_of(changes: Sequence[Change], sheet: Sheet | None = None) -> Iterator[str]:
    """Resource by resource: what would be done, what it costs, and each property that differs."""
    head = ("", "RESOURCE", "NAME", "SIZE", *(("USD/HOUR", "USD/MONTH") if sheet else ()), "WHY")
    rows = [
        (
            MARKS.get(each.action, " "),
            each.step.id,
            *resources.name_and_size(each.step),
            *(sheet.of(each.step.id) if sheet else ()),
            each.step.why,
        )
        for each in changes
    ]
    table = ui.table(rows, head)
    yield next(table)
    for change, line in zip(changes, table, strict=True):
        yield line
        yield from (f"     {way}" for way in map(resources.way, change.ways))
