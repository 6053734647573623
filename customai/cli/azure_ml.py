"""What the verbs do with a path that runs on Azure ML: its jobs go on there, and are watched, listed and cancelled from here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from customai import ui
from customai.client import Endpoint
from customai.errors import Interrupted, NotFound, TargetError
from customai.journal import Journal
from customai.model import Json, Plan, Step
from customai.targets import load
from customai.targets.base import Watch

if TYPE_CHECKING:
    from customai.targets.azure_ml_runs import Runs

JOB, ONLINE = "ml_job", "online_endpoint"


def runs(plan: Plan) -> bool:
    """Whether the plan is for Azure ML."""
    return any(step.kind == "ml_workspace" for step in plan.steps)


def runs_of(journal: Journal, watch: Watch | None = None) -> Runs | None:
    """The deployment's runs on Azure ML; None where it has none there.

    Raises:
        NotFound: it was not brought to the point where its job begins.
    """
    job = next((known for known in journal.known.values() if known.step.kind == JOB), None)
    if job is None:
        return None
    name = journal.header.name
    if not job.done:
        hint = f"customai deploy {journal.header.spec} --target {journal.header.target}"
        raise NotFound(f"the job of {name} was not begun yet: it is not deployed to its end", hint=hint)
    from customai.targets.azure_ml_runs import Runs

    target: Any = load(journal.header.target, journal.folder)
    known = [each for each in journal.known.values() if each.outputs is not None]
    outputs = {each.step.id: each.outputs for each in known}
    return Runs(target.arm(job.step), [each.step for each in known], outputs, journal.folder, watch)


def endpoint_of(journal: Journal) -> Endpoint | None:
    """The deployment's online endpoint; None where it has none that is up."""
    known = next((known for known in journal.known.values() if known.step.kind == ONLINE), None)
    if known is None or known.outputs is None:
        return None
    from customai.targets import azure_score

    target: Any = load(journal.header.target, journal.folder)
    return azure_score.endpoint(target.arm(known.step), known.step, known.outputs["scoring_uri"])


def versions(steps: Sequence[Step]) -> dict[str, str]:
    """Version of the model -> the deployment of the online endpoint that serves it."""
    from customai.targets import azure_score

    return azure_score.versions(steps)


def columns(journal: Journal) -> list[Json]:
    """What a row for the online endpoint holds, which does not tell it itself."""
    from customai.targets import azure_score

    steps = [known.step for known in journal.known.values()]
    return azure_score.columns(steps) if any(step.kind == ONLINE for step in steps) else []


def written(journal: Journal, *, follow: bool) -> Iterator[str]:
    """What the machines of its endpoint have written, or its newest job."""
    steps = [known.step for known in journal.known.values() if known.done]
    deployed_ = [step for step in steps if step.kind == "online_deployment"]
    if deployed_:
        from customai.targets import azure_score

        target: Any = load(journal.header.target, journal.folder)
        yield from azure_score.lines(target.arm(deployed_[0]), deployed_, follow=follow, watch=Watch())
    elif (found := runs_of(journal)) is not None:
        yield from found.log(follow=follow)


def begun(journal: Journal) -> list[Json]:
    """How the job is that deploy has begun; nothing where it is not there any more."""
    try:
        found = runs_of(journal)
        told = found.now() if found is not None else None
    except TargetError:  # what else is known is told all the same
        return []
    return [] if told is None else [told]


def seen_through(found: Runs, name: str, journal: Journal, *, begin: str, output: str) -> Json:
    """The job of this name, once it has succeeded; Ctrl-C stops watching alone. `begin`: the same command again."""
    step = found.job
    with ui.watching(output) as observer:
        observer.began(step, f"{name}, in Azure ML")
        try:
            return found.see_through(name, Watch(lambda message: observer.progress(step, message)))
        except KeyboardInterrupt:
            group = "score-batch" if found.is_scoring else "train-multi"
            hint = (
                f"it goes on there: {begin} watches it again; to end it: customai {group} cancel {journal.header.name}"
            )
            raise Interrupted("stopped watching", hint=hint) from None


def cancelled(found: Runs, chosen: Callable[[Json], bool]) -> list[str]:
    """Cancels those of the runs that go on and are meant; their names."""
    going_on = [told for told in found.history() if told["running"] and chosen(told)]
    return [told["run"] for told in going_on if found.workspace.cancel(told["digest"])]


def deployed(plan: Plan, outputs: Json, given: str) -> Iterator[str]:
    """What to tell once it is there: the endpoint, the job that goes on, and what to type next."""
    by_kind = {step.kind: step for step in plan.steps}
    online, batch, job = (by_kind.get(kind) for kind in (ONLINE, "batch_endpoint", JOB))
    rows, more = [], []
    if online is not None:
        rows += [("endpoint", outputs[online.id]["scoring_uri"]), ("traffic", by_kind["traffic"].why)]
        more = ["Try it:", f"  customai score {given} FILE...", f"  customai logs {given} -f"]
    if batch is not None:
        rows.append(("endpoint", outputs[batch.id]["scoring_uri"]))
    if "data_factory_start" in by_kind:
        rows.append(("schedule", by_kind["data_factory_start"].why))
    if "function_code" in by_kind:
        rows.append(("schedule", by_kind["function_code"].why))
    if job is not None:
        from customai.targets import azure_jobs

        id_ = str(outputs[job.id]["id"])
        rows.append(("job", f"{id_.rpartition('/')[2]} is begun; deploy does not wait for its end"))
        rows.append(("studio", azure_jobs.studio(id_)))
        group = "train-multi" if plan.path == "1-2" else "score-batch"
        more = ["See it to its end, and get what comes of it:", f"  customai {group} run {given}"]
    yield from ui.table(rows)
    yield ""
    yield from more


def listed(told: list[Json]) -> Iterator[str]:
    """The runs of a training, a line each."""
    rows = [
        (each["run"], each["status"], f"{ui.ago(each['since'])} ago" if each["since"] else "", _error(each))
        for each in told
    ]
    yield from ui.table(rows, head=("RUN", "STATUS", "BEGUN", ""))


def _error(told: Json) -> str:
    return str((told["error"] or {}).get("message", ""))
