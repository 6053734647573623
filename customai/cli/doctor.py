from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator

import click

from customai import planner, ui
from customai.cli import options
from customai.errors import CustomAIError
from customai.journal import folder_of
from customai.model import Plan
from customai.planner import Source
from customai.targets import load
from customai.targets.base import Target, Watch
from customai.targets.findings import OK, PROBLEM, UNKNOWN, WARNING, Finding, stops

MARKS = {OK: "✓", WARNING: "!", PROBLEM: "✗", UNKNOWN: "?"}
STOPPED = 3


@click.command("doctor")
@click.argument("spec", metavar="[PATH|FILE]", required=False, shell_complete=options.complete_path)
@options.target
@click.option("--fix", is_flag=True, help="Register the providers that are missing, without asking.")
@options.output
@click.pass_context
def command(context: click.Context, spec: str | None, target: str, *, fix: bool, output: str) -> None:
    """Would it work here? Looks at everything and changes nothing: what is wrong, why, and the command that mends it.

    On this machine: Python, extras, Java, ports, disk, memory, cores. On Azure: login, subscription, tenant, rights,
    providers, region, sizes, quota, names, images. With a PATH, what that one needs. Exit code 3 if something is wrong.
    """
    source = options.source_of(spec) if spec is not None else None
    there = load(target, folder_of(source.name if source is not None else "doctor"))
    plan, found = _planned(source, there)
    found += there.findings(plan)
    if missing := [name for finding in found for name in finding.register]:
        question = f"Register {', '.join(missing)} for your subscription? It is free."
        if fix or (sys.stdin.isatty() and click.confirm(question, err=True)):
            found = _registered(there, plan, missing, found)
    count = {state: sum(finding.state == state for finding in found) for state in MARKS}
    warnings = [each.to_json() for each in source.warnings] if source is not None else []
    result = {
        "name": plan.name if plan is not None else None,
        "path": plan.path if plan is not None else None,
        "target": there.name,
        "ready": not count[PROBLEM] and not count[UNKNOWN],
        "count": count,
        "findings": [finding.to_json() for finding in found],
        "warnings": warnings,
    }
    ui.show(result, _lines(plan, there.name, found, count, spec), output)
    if count[PROBLEM]:
        context.exit(STOPPED)


def _planned(source: Source | None, there: Target) -> tuple[Plan | None, list[Finding]]:
    """The plan, if there is one to be made: what stops that is a finding too, and the rest is looked at all the same."""
    if source is None:
        return None, []
    try:
        return planner.plan(source, there), []
    except CustomAIError as error:
        return None, [stops("plan", error)]


def _registered(there: Target, plan: Plan | None, names: list[str], before: list[Finding]) -> list[Finding]:
    """Registers them and looks again."""
    try:
        there.register(names, Watch(ui.say))
    except CustomAIError as error:
        ui.say(f"Not registered: {error.message}")
        return before
    return there.findings(plan)


def _lines(
    plan: Plan | None, target: str, found: list[Finding], count: dict[str, int], spec: str | None
) -> Iterator[str]:
    yield f"{f'{plan.name} (path {plan.path})' if plan is not None else 'What any path needs'} on target {target}"
    yield ""
    width = max((len(finding.check) for finding in found), default=0)
    for finding in found:
        where = f"  [{finding.where}]" if finding.where and finding.state != OK else ""
        yield f"{MARKS[finding.state]} {finding.check.ljust(width)}  {finding.message}{where}"
        if finding.hint and finding.state != OK:
            yield f"  {' ' * width}  -> {finding.hint}"
    yield ""
    yield ", ".join(f"{number} {state}" for state, number in count.items() if number)
    if plan is not None and not count[PROBLEM]:
        there = "" if target == "local" else f" --target {target}"
        yield f"Next: customai deploy {shlex.quote(spec or plan.path)}{there}"
