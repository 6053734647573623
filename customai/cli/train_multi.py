"""What only training on many nodes has."""

from __future__ import annotations

import random
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click

from customai import engine, planner, ui
from customai.cli import azure_ml, deploy, options, train_single
from customai.errors import NotAvailable, NotFound, SpecError
from customai.journal import Header, Journal, folder_of, locked
from customai.model import Json, Plan
from customai.paths import train_multi as path
from customai.targets import load

STEP = "train"  # the job step


def deployed(plan: Plan, outputs: Json, given: str) -> Iterator[str]:
    """What to tell once it is trained: how good, where the model is; of a sweep, every trial."""
    if any(step.kind == "batchai_job" for step in plan.steps):
        job, files = outputs["train"]["id"].rpartition("/")[2], outputs["file-server"]["id"].rpartition("/")[2]
        yield from ui.table([("job", f"{job} is begun in Batch AI; deploy does not wait for its end")])
        yield f"Its log, and what it makes, go to the file server {files}."
        return
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
    """Train, as deploy does; or find out what is lost when a node is taken away, as a spot eviction does.

    Where it is deployed on Azure, its job is seen to its end, and what it made is fetched. It goes on when you leave
    (Ctrl-C); the same command watches it again.
    """
    if not rehearse_eviction:
        journal = Journal.read(folder_of(planner.read(planner.locate(spec)).name))  # whoever goes on warns
        if target == "azure" or (journal is not None and journal.header.target == "azure"):
            _in_azure(spec, journal, output)
            return
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


def _in_azure(spec: str, journal: Journal | None, output: str) -> None:
    """Sees the job of the deployment to its end; what is changed since is deploy's business."""
    options.hear_interrupts_once()
    source = options.source_of(spec)
    again = f"customai deploy {shlex.quote(spec)} --target azure"
    found = azure_ml.runs_of(journal) if journal is not None and journal.header.target == "azure" else None
    if journal is None or found is None:
        raise NotFound(f"{source.name} has no job on azure", hint=again)
    planned = next(
        (step for step in planner.plan(source, load("azure", journal.folder)).steps if step.id == found.job.id), None
    )
    if planned is None or planned.inputs["url"] != found.job.inputs["url"]:
        ui.say(f"The spec has changed since: this is the job that was deployed. For the new one: {again}")
    begin = f"customai train-multi run {shlex.quote(spec)}"
    job = azure_ml.seen_through(found, found.begun, journal, begin=begin, output=output)
    told = found.fetched(job)
    card = Path(told["folder"]) / "MODEL_CARD.md"
    lines = [*ui.table(list(train_single.rows_of(told))), *(("", f"Its card: {card}") if card.exists() else ())]
    ui.show({"name": source.name, "target": "azure", "run": found.begun, **told}, lines, output)


@click.command("runs")
@options.deployment()
@options.output
def runs(deployment: str, output: str) -> None:
    """The runs so far: which, and how they went."""
    journal = options.deployment_of(deployment)
    found = azure_ml.runs_of(journal)
    told = found.history() if found is not None else load(journal.header.target, journal.folder).runs(STEP)
    ui.show({"runs": told}, azure_ml.listed(told), output)


@click.command("cancel")
@options.deployment()
@options.output
def cancel(deployment: str, output: str) -> None:
    """Stop the training that goes on. Here, deploy takes it up where it was; in Azure, its job is over."""
    journal = options.deployment_of(deployment)
    found = azure_ml.runs_of(journal)
    if found is not None:
        names = azure_ml.cancelled(found, lambda _told: True)
    else:
        target = load(journal.header.target, journal.folder)
        going_on = [told for told in target.runs(STEP) if told["status"] == "running"]
        for told in going_on:
            target.cancel(STEP, told["digest"])
        names = [told["run"] for told in going_on]
    line = f"Cancelled: {', '.join(names)}" if names else "No run goes on: nothing to do"
    ui.show({"cancelled": names}, [line], output)


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
