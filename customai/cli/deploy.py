from __future__ import annotations

import shlex
import signal
from collections.abc import Iterator
from importlib import import_module

import click

from customai import engine, paths, planner, ui
from customai.cli import module_of, options
from customai.errors import StateError
from customai.journal import Header, Journal, folder_of, locked
from customai.model import Json, Plan
from customai.targets import load


@click.command("deploy")
@options.spec
@options.target
@options.output
def command(spec: str, target: str, output: str) -> None:
    """Run a path. Again, with nothing changed, it does nothing; with a change, only what differs."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what runs is brought to an end
    source = options.source_of(spec)
    folder = folder_of(source.name)
    there = load(target, folder)
    plan = planner.plan(source, there)
    header = Header(plan.name, plan.path, plan.target, str(source.file.resolve()))
    with locked(folder, f"customai deploy {spec}"):
        _is_ours(Journal.read(folder), header)
        there.check(plan)
        journal = Journal.start(folder, header)
        with ui.watching(output) as observer:
            results = engine.up(plan, there, journal, observer)
        outputs = {id_: known.outputs for id_, known in journal.known.items()}
    changed = any(result.action != "kept" for result in results)
    result = {
        "name": plan.name,
        "path": plan.path,
        "target": plan.target,
        "changed": changed,
        "steps": [step.to_json() for step in results],
        "outputs": outputs,
    }
    ui.show(result, _lines(plan, outputs, spec, changed=changed), output)


def _is_ours(journal: Journal | None, header: Header) -> None:
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
    state = "is up" if changed else "is up as it was: nothing to do"
    yield f"{plan.name} {state} (path {plan.path}, target {plan.target})"
    yield ""
    group = import_module(f"customai.cli.{module_of(paths.PATHS[plan.path].group)}")
    yield from group.deployed(plan, outputs, given)
    yield ""
    yield f"Next: customai status {given} | customai logs {given} -f | customai destroy {given}"
