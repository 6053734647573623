from __future__ import annotations

import shlex
import signal
from collections.abc import Iterator

import click

from customai import engine, planner, ui
from customai.cli import options
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
    state = "is up" if changed else "is up as it was: nothing to do"
    yield f"{plan.name} {state} (path {plan.path}, target {plan.target})"
    yield ""
    by_kind = {step.kind: step for step in plan.steps}
    rows = []
    if "endpoint" in by_kind:
        replicas = by_kind["endpoint"].inputs["server"]["replicas"]
        rows.append(("endpoint", f"{outputs['endpoint']['url']}  ({replicas} replica{'s' * (replicas > 1)})"))
        rows.append(("model", f"sha256 {outputs['model']['sha256'][:12]}  ({outputs['model']['bytes'] / 1e3:.0f} kB)"))
    if "smoke_test" in by_kind:
        answer = outputs[by_kind["smoke_test"].id]
        rows.append(("smoke test", f"'{answer['label']}' with {answer['probability']:.1%}, as expected"))
        yield from ui.table(rows)
        yield ""
        yield "Try it:"
        image = by_kind["smoke_test"].inputs["image"]
        yield f"  customai score {given} {shlex.quote(image)}"
        yield f"  {_curl(outputs['endpoint']['url'], image, by_kind['endpoint'].inputs['key'])}"
    else:
        yield from ui.table(rows)
    yield ""
    yield f"Next: customai status {given} | customai logs {given} -f | customai destroy {given}"


def _curl(url: str, image: str, key: Json) -> str:
    kind = "image/png" if image.lower().endswith(".png") else "image/jpeg"
    bearer = ""
    if key is not None:  # named, never shown
        source, _, place = key["$secret"].partition(":")
        value = f"${place}" if source == "env" else f"$(cat {shlex.quote(place)})"
        bearer = f'-H "Authorization: Bearer {value}" '
    return f"curl {bearer}-H 'Content-Type: {kind}' --data-binary {shlex.quote('@' + image)} {url}/score"
