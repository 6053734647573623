"""What only batch scoring has: its runs."""

from __future__ import annotations

import re
import shlex
import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click

from customai import engine, planner, ui
from customai.cli import azure_batch, azure_ml, options
from customai.errors import NotAvailable, NotFound, SpecError
from customai.journal import Journal
from customai.model import Json, Plan, Step, digest, resolve
from customai.paths.score_batch import RUN_NAME
from customai.targets import load
from customai.targets.base import Target, Watch

STEP = "score"  # the job step of every path of this group
RUNS_THERE = "customai status tells how it is"
NAME = r"[A-Za-z0-9][\w.-]{0,63}"


def deployed(_plan: Plan, outputs: Json, given: str) -> Iterator[str]:
    """What to tell once its own run is done: what was scored, where the predictions are, what to type next."""
    yield from ui.table(list(_rows(outputs[STEP]["result"])))
    if "schedule" in outputs:
        cron, next_ = outputs["schedule"]["cron"], _moment(outputs["schedule"]["next"])
        yield ""
        yield f"It runs again at {cron} (UTC), next {next_}: customai score-batch runs {given}"
    yield ""
    yield "Try it:"
    yield f"  customai score-batch run {given} --name again"
    yield f"  customai score-batch runs {given}"


def _rows(summary: Json) -> Iterator[tuple[str, str]]:
    again = ", unchanged: as it was" if summary.get("unchanged") else ""
    yield "run", summary["run"] + again
    yield "scored", f"{summary['rows']:,} in {summary['seconds']:.1f} s ({summary['rows_per_second']:,.0f} a second)"
    if summary["errors"]:
        yield "errors", f"{summary['errors']:,}: {summary['errors_file']}"
    yield "output", summary["output"]


@click.command("run")
@options.deployment()
@click.option("--name", metavar="NAME", help="The run's name: the same one again replaces it. Default: deploy's own.")
@click.option("--input", "input_", metavar="PATH|URL", help="Another data set than the spec's.")
@click.option("--output-folder", metavar="PATH|URL", help="Another place than the spec's; the run is a folder in it.")
@click.option("--limit-errors", type=click.IntRange(min=0), metavar="N", help="More unreadable inputs are a failure.")
@click.option("--dry-run", is_flag=True, help="What would be read, and do the columns fit? Writes nothing.")
@click.option(
    "--rehearse-eviction", is_flag=True, help="What if the machine is taken away meanwhile? In a scratch folder."
)
@click.option(
    "--notice", type=click.FloatRange(0, 600), default=30.0, show_default=True, help="Of an eviction, seconds."
)
@options.output
def run(deployment: str, *, dry_run: bool, rehearse_eviction: bool, notice: float, output: str, **asked: Any) -> None:
    """Score a data set with the model that is deployed. A run that was stopped goes on where it was.

    In Azure it goes on when you leave (Ctrl-C): the same command watches it again.
    """
    if dry_run and rehearse_eviction:
        raise click.UsageError("--dry-run and --rehearse-eviction do not go together")
    journal = options.deployment_of(deployment)
    there = azure_ml.runs_of(journal)
    if there is None:
        journal = options.deployment_here(deployment, RUNS_THERE)
    target = load(journal.header.target, journal.folder)
    source = planner.read(Path(journal.header.spec))
    source = replace(source, spec=_changed(source.spec, asked))
    if there is not None:
        if dry_run or rehearse_eviction:
            told = "neither a dry run nor a rehearsed eviction is done in Azure"
            raise NotAvailable(told, hint="customai init PATH DIR, another `name`, and deploy it on this machine")
        words = {"output": asked["output_folder"], "limit_errors": asked["limit_errors"]}
        result = azure_batch.scored(journal, there, target, planner.plan(source, target), asked=words, output=output)
        ui.show(result, ui.table(list(_rows(result))), output)
        return
    step = next(step for step in planner.plan(source, target).steps if step.id == STEP)
    if dry_run:
        step = _with_words(step, "--dry-run")
    elif rehearse_eviction:
        step = _with_words(step, "--rehearse-eviction", str(notice))
    outputs = {id_: known.outputs for id_, known in journal.known.items() if known.done}
    missing = [need for need in step.needs if need not in outputs]
    if missing:
        raise NotFound(f"it is not deployed to its end: {', '.join(missing)}", hint=f"customai deploy {deployment}")
    result = _run(step, outputs, target, output)
    lines = _dry(result) if dry_run else _verdict(result) if rehearse_eviction else ui.table(list(_rows(result)))
    ui.show(result, lines, output)


def _changed(spec: Any, asked: dict[str, Any]) -> Any:
    """The spec with what the command line says instead."""
    name = asked["name"]
    if name is not None and not re.fullmatch(NAME, name):
        raise SpecError(
            f"'{name}' is no name for a run", hint="at most 64 letters, digits, _ . and -, a letter or digit first"
        )
    places = {"input": asked["input_"], "output": asked["output_folder"]}
    changes = {key: place if "://" in place else str(Path(place).absolute()) for key, place in places.items() if place}
    changes |= {
        key: value for key, value in (("run", name), ("limit_errors", asked["limit_errors"])) if value is not None
    }
    for key, message in replace(spec, **changes).problems():
        raise SpecError(f"{key}: {message}")
    return replace(spec, **changes)


def _with_words(step: Step, *words: str) -> Step:
    """The same command with more arguments; it is a run of its own, and no run of that name."""
    name = step.inputs["env"][RUN_NAME] + words[0]
    inputs = {**step.inputs, "argv": [*step.inputs["argv"], *words], "env": {**step.inputs["env"], RUN_NAME: name}}
    return replace(step, inputs=inputs)


def _run(step: Step, outputs: Json, target: Target, output: str) -> Json:
    """Runs it to its end, or attaches to the same run that goes on; one that has ended is looked at anew."""
    mark = engine.fingerprint(step, outputs, target)
    ended = {told["digest"] for told in target.runs(step.id) if told["status"] == "succeeded"}
    number = 0
    while (asked := digest([mark, number])) in ended:
        number += 1
    inputs = resolve(step.inputs, outputs, target.secret)
    with ui.watching(output) as observer:
        observer.began(step, f"run {step.inputs['env'][RUN_NAME]}")
        watch = Watch(lambda message: observer.progress(step, message))
        for number in (signal.SIGINT, signal.SIGTERM):  # what runs is brought to an end, and waited for
            signal.signal(number, lambda *_: watch.stop.set())
        found: Json = target.apply(step, inputs, asked, watch)["result"]
    return found


def _dry(result: Json) -> Iterator[str]:
    rows = [
        ("would", f"{result['would']} (run {result['run']})"),
        (
            "input",
            f"{result['input']}: {result['files']:,} files, {result['rows']:,} rows, {result['chunks']:,} chunks",
        ),
        ("output", result["output"]),
    ]
    for title, key in (("model takes", "columns"), ("not used", "ignored_columns"), ("puts out", "predictions")):
        if result[key]:
            rows.append((title, ", ".join(result[key])))
    if result["ignored_files"]:
        rows.append(("ignored", f"{result['ignored_files']:,} files of other kinds"))
    rows += [("unreadable", f"{each['file']}: {each['reason']}") for each in result["unreadable"]]
    yield from ui.table(rows)


def _verdict(result: Json) -> Iterator[str]:
    same = "equal to that of an undisturbed run" if result["equal"] else "NOT equal to that of an undisturbed run"
    yield f"Result: {same}."
    yield ""
    yield from ui.table(
        [
            (
                "taken away",
                f"after {result['evicted_after']:.1f} s, at {result['rows_before']:,} of {result['rows']:,} rows",
            ),
            ("notice", f"{result['notice']:g} s; it took {result['took']:.1f} s to end"),
            ("work lost", f"{result['rows_lost']:,} rows, done again"),
            (
                "time lost",
                f"{result['seconds_lost']:.1f} s ({result['seconds']:.1f} s instead of {result['undisturbed']:.1f})",
            ),
        ]
    )


@click.command("runs")
@options.deployment()
@options.output
def runs(deployment: str, output: str) -> None:
    """The runs so far, deploy's and the schedule's among them: how they went, rows, errors, rate."""
    there = azure_ml.runs_of(options.deployment_of(deployment))
    if there is not None:
        found, schedule = there.history(), None
    else:
        journal = options.deployment_here(deployment, RUNS_THERE)
        target = load(journal.header.target, journal.folder)
        found, schedule = target.runs(STEP), _schedule(journal, target)
    ui.show({"runs": found, "schedule": schedule}, _listed(found, schedule, deployment), output)


def _schedule(journal: Journal, target: Target) -> Json:
    known = journal.known.get("schedule")
    if known is None:
        return None
    seen = target.read(known.step, known.outputs).detail or {}
    return {"cron": known.step.inputs["cron"], **{key: seen.get(key) for key in ("running", "next", "log")}}


def _listed(found: list[Json], schedule: Json, given: str) -> Iterator[str]:
    if not found:
        yield f"Nothing has run yet. Start with: customai score-batch run {shlex.quote(given)}"
        return
    yield from ui.table(
        [_line(each) for each in found], head=("RUN", "STATUS", "BEGUN", "ROWS", "ERRORS", "A SECOND", "")
    )
    if schedule is not None:
        state = f"next {_moment(schedule['next'])}" if schedule["running"] else "its process is gone: deploy again"
        yield ""
        yield f"Schedule {schedule['cron']} (UTC): {state}"
        for line in [each for each in schedule["log"] or () if each["event"] == "skipped"][-5:]:
            yield f"  {line['run']} skipped: {line['reason']}"


def _line(told: Json) -> tuple[str, ...]:
    result, since = told["result"] or {}, ui.ago(told["since"]) + " ago" if told["since"] else ""
    numbers = [f"{result[key]:,.0f}" if key in result else "" for key in ("rows", "errors", "rows_per_second")]
    progress = told["progress"] or {}
    more = f"{progress.get('done', 0):,} of {progress['total']:,}" if progress.get("total") else ""
    return (told["run"], told["status"], since, *numbers, told["error"]["message"] if told["error"] else more)


@click.command("cancel")
@options.deployment()
@click.option("--name", metavar="NAME", help="Only the run of this name; otherwise all that go on.")
@options.output
def cancel(deployment: str, *, name: str | None, output: str) -> None:
    """Stop what runs. What is done is kept: the next run of the same name goes on there, in Azure it begins anew."""
    there = azure_ml.runs_of(options.deployment_of(deployment))
    if there is not None:
        names = azure_ml.cancelled(there, lambda told: name in (None, told["run"]))
    else:
        journal = options.deployment_here(deployment, RUNS_THERE)
        target = load(journal.header.target, journal.folder)
        going_on = [told for told in target.runs(STEP) if told["status"] == "running" and name in (None, told["run"])]
        for told in going_on:
            target.cancel(STEP, told["digest"])
        names = [told["run"] for told in going_on]
    ui.show(
        {"cancelled": names},
        [f"Cancelled: {', '.join(names)}" if names else "No such run goes on: nothing to do"],
        output,
    )


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%d %H:%M} UTC"
