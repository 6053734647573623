"""What only training on many nodes has."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import click

from customai import engine, planner, ui
from customai.cli import deploy, options, train_single
from customai.errors import NotAvailable, SpecError
from customai.journal import Header, Journal, folder_of, locked
from customai.model import Json, Plan
from customai.paths import train_multi as path
from customai.targets import load


def deployed(plan: Plan, outputs: Json, given: str) -> Iterator[str]:
    """What to tell once it is trained: how good, where the model is; of a sweep, every trial."""
    folder, result = outputs["train"]["folder"], dict(outputs["train"]["result"])
    table = result.pop("trials", None)
    if table is None:
        yield from train_single.deployed(plan, outputs, given)
        yield f"What if a node is taken away? customai train-multi run {given} --rehearse-eviction"
        return
    yield from _trials(table, result.pop("metric"), result["best"])
    yield ""
    yield from train_single.deployed(plan, {"train": {"folder": folder, "result": result}}, given)
    yield f"The trials: {folder}/trials.csv, and as a picture: trials.svg"


def _trials(table: Json, metric: str, best: int) -> Iterator[str]:
    parameters = sorted(set(table[0]) - {"trial", "status", metric, "seconds", "error", "folder"})
    names = ("trial", *parameters, metric, "seconds")
    rows = [
        (*(_cell(row[name]) for name in names), row["error"] or ("best" if row["trial"] == best else ""))
        for row in table
    ]
    yield from ui.table(rows, head=[*(name.upper() for name in names), ""])


def _cell(value: Json) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


@click.command("run")
@options.spec
@click.option("--rehearse-eviction", is_flag=True, help="Then once more, with a node taken away at a random moment.")
@click.option(
    "--notice", type=click.FloatRange(0, 3600), default=30, show_default=True, help="Seconds the node is given to end."
)
@click.option("--seed", type=click.IntRange(0), default=None, help="Chooses the moment and the node again.")
@options.target
@options.output
@click.pass_context
def run(
    context: click.Context,
    spec: str,
    *,
    rehearse_eviction: bool,
    notice: float,
    seed: int | None,
    target: str,
    output: str,
) -> None:
    """Train, as deploy does; or find out what is lost when a node is taken away, as a spot eviction does."""
    if not rehearse_eviction:
        context.invoke(deploy.command, spec=spec, target=target, output=output)
        return
    if target != "local":
        raise NotAvailable(f"an eviction is not rehearsed on target {target} yet", hint="rehearse it on this machine")
    options.hear_interrupts_once()
    source = options.source_of(spec)
    if source.spec.sweep is not None:
        raise SpecError("a sweep has no nodes to take away", hint="rehearse with a spec that has `nodes`")
    seed = random.randrange(10**6) if seed is None else seed  # noqa: S311 (no secret depends on it)
    folder = folder_of(source.name)
    there = load(target, folder)
    step = path.rehearsal(source.spec, planner.SpecFiles(source.file.parent), notice, seed)
    plan = planner.plan(source, there)
    plan = replace(plan, steps=(*plan.steps, replace(step, inputs=there.lower(step), after=step.needs)))
    header = Header(plan.name, plan.path, plan.target, str(source.file.resolve()))
    with locked(folder, f"customai train-multi run {spec} --rehearse-eviction"):
        deploy.is_ours(Journal.read(folder), header)
        there.check(plan)
        journal = Journal.start(folder, header)
        with ui.watching(output) as observer:
            engine.up(plan, there, journal, observer)
        verdict = journal.known[step.id].outputs["result"]
    ui.show({"name": plan.name, **verdict}, _verdict(verdict), output)


def _verdict(verdict: Json) -> Iterator[str]:
    yield "The result is the same, bit for bit." if verdict["equal"] else "The result is another one."
    yield ""
    rows = [
        ("taken away", f"node {verdict['node']}, at step {verdict['step']:,} of {verdict['steps']:,}"),
        ("work lost", f"{verdict['steps_lost']:,} steps, done again"),
        ("time lost", f"{verdict['seconds_lost']:.1f} s, until it was where it had been"),
        ("again with", f"--seed {verdict['seed']}"),
    ]
    for name, values in verdict["differences"].items():
        rows.append((name, f"{_cell(values['disturbed'])} instead of {_cell(values['undisturbed'])}"))
    yield from ui.table(rows)
