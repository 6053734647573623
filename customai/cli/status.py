from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone

import click

from customai import engine, resources, ui
from customai.cli import azure_ml, options, ssh
from customai.errors import NotFound, TargetError
from customai.journal import Journal
from customai.model import Json, Step
from customai.targets import load
from customai.targets.base import Observed
from customai.targets.local_job import describe

UNREAD = Observed(present=False, as_left=False)


@click.command("status")
@options.deployment(required=False)
@options.output
def command(deployment: str | None, output: str) -> None:
    """What runs: endpoint, health, replicas, since when, the model and its digest."""
    found = [_status(journal) for journal in options.deployments_of(deployment)]
    if deployment is not None and not found:
        raise NotFound(f"{deployment} is not deployed", hint=f"customai deploy {deployment}")
    ui.show({"deployments": found}, _lines(found), output)


def _status(journal: Journal) -> Json:
    header = journal.header
    target = load(header.target, journal.folder)
    steps, jobs, schedules, endpoint, models, shares, found = [], [], [], None, [], {}, []
    outputs = {id_: known.outputs for id_, known in journal.known.items() if known.outputs is not None}
    unread: TargetError | None = None
    for known in journal.known.values():
        step = engine.informed(known.step, outputs)
        try:
            seen = target.read(step, known.outputs) if unread is None else UNREAD
        except TargetError as error:  # no login, no way to ask: what is known here is told all the same
            if header.target == "local":
                raise
            unread, seen = error, UNREAD
        if resources.is_resource(step):
            found.append(_resource(step, seen))
        if seen.present:
            jobs += _there(journal, step)
        steps.append(
            {"id": known.step.id, "event": known.event, "as_left": known.done and seen.as_left, "since": known.time}
        )
        if known.step.kind == "endpoint":
            detail = seen.detail
            endpoint = {
                "url": known.outputs["url"] if known.outputs else None,
                "health": detail["health"],
                "replicas": detail["replicas"],
                "wanted": detail.get("wanted", 0),
                "since": detail.get("since"),
                "restarts": detail.get("restarts", 0),
                "threads": detail.get("threads"),
                "pace": detail.get("pace") or [],
                "failure": detail.get("failure"),
            }
            shares = {served["folder"]: served["traffic"] for served in detail.get("models", ())}
        elif known.step.kind in ("job", "stream"):
            jobs.append({"id": known.step.id, **_job(seen.detail or {})})
        elif known.step.kind == "schedule":
            schedules.append({"id": known.step.id, "cron": known.step.inputs["cron"], **_schedule(seen.detail or {})})
        elif known.step.kind == "model" and known.outputs:
            card = known.step.inputs["model"]
            models.append({key: card[key] for key in ("name", "version")} | known.outputs)
    complete = all(step["event"] == "done" for step in steps)
    versions = [
        {
            "name": made["name"],
            "version": made["version"],
            "sha256": made["sha256"],
            "traffic": shares.get(made["folder"]),
        }
        for made in models
    ]
    return {
        "name": header.name,
        "path": header.path,
        "target": header.target,
        "spec": header.spec,
        "complete": complete,
        "endpoint": endpoint,
        "model": max(versions, key=lambda version: version["traffic"] or 0, default=None),
        "versions": versions,
        "jobs": jobs,
        "schedules": schedules,
        "steps": steps,
        **({"resources": found} if found else {}),
        **({"error": unread.to_json()} if unread is not None else {}),
    }


def _resource(step: Step, seen: Observed) -> Json:
    """A resource as it is now, and every property that is not as it was left."""
    detail = seen.detail or {}
    name, size = resources.name_and_size(step)
    return {
        "id": step.id,
        "kind": step.kind,
        "name": name,
        "size": size,
        "resource": resources.id_of(step),
        "state": "unknown" if seen is UNREAD else (detail.get("state") or "there") if seen.present else "missing",
        "differences": detail.get("differences", []),
    }


def _there(journal: Journal, step: Step) -> list[Json]:
    """What goes on in Azure: the newest training on a machine, the job that deploy has begun."""
    if step.kind == "dsvm":
        return [{"id": "train", **_job(told)} for told in ssh.runs_of(journal).history()[-1:]]
    return [{"id": step.id, **_job(told)} for told in azure_ml.begun(journal)] if step.kind == azure_ml.JOB else []


def _job(detail: Json) -> Json:
    status = detail.get("status", "not started")
    stopped = status == "running" and not detail["running"]  # whoever ran it was killed
    return {
        "status": "stopped" if stopped else status,
        "since": detail.get("since"),
        "attempt": detail.get("attempt", 0),
        "progress": detail.get("progress") or None,
        "result": detail.get("result"),
    }


def _schedule(detail: Json) -> Json:
    """Whether its process runs, when the next run comes, and what became of the last time that came."""
    running = bool(detail.get("running"))
    log = detail.get("log") or [None]
    return {"running": running, "next": detail.get("next") if running else None, "last": log[-1]}


def _lines(found: list[Json]) -> Iterator[str]:
    if not found:
        yield "Nothing is deployed. Start with: customai deploy 2-5"
    for number, status in enumerate(found):
        if number:
            yield ""
        yield f"{status['name']} (path {status['path']}, target {status['target']})"
        yield from (f"  {line}" for line in ui.table(list(_rows(status))))


def _rows(status: Json) -> Iterator[tuple[str, str]]:
    endpoint = status["endpoint"]
    if endpoint is not None:
        yield "endpoint", endpoint["url"] or "not up yet"
        since = f", for {ui.ago(endpoint['since'])}" if endpoint["since"] and endpoint["health"] != "stopped" else ""
        yield "health", endpoint["health"] + since
        ready = [replica for replica in endpoint["replicas"] if replica["ready"]]
        each = ", ".join(f"process {replica['pid']} for {ui.ago(replica['since'])}" for replica in ready)
        again = f"; started again {endpoint['restarts']} times" if endpoint["restarts"] else ""
        yield "replicas", f"{len(ready)} of {endpoint['wanted']} ready" + (f" ({each})" if each else "") + again
        yield from (("pace", _pace(endpoint["threads"], pace)) for pace in endpoint["pace"])
        if endpoint["failure"]:
            yield "failure", f"{endpoint['failure']['message']} (what was up before still is)"
    for model in status["versions"]:
        shared = len(status["versions"]) > 1 and model["traffic"] is not None
        share = f", {model['traffic']} % of the requests" if shared else ""
        yield "model", f"{model['name']} version {model['version']}{share}, sha256 {model['sha256']}"
    for job in status["jobs"]:
        since = f", begun {ui.ago(job['since'])} ago" if job["since"] else ""
        how_far = f": {describe(job['progress'])}" if job["progress"] and job["status"] != "succeeded" else ""
        yield job["id"], f"{job['status']}{since}{how_far}"
    for schedule in status["schedules"]:
        yield schedule["id"], _times(schedule)
    for resource in status.get("resources", ()):
        yield resource["id"], f"{resource['state']}: {resource['name']} {resource['size']}".rstrip()
        yield from (("", _difference(each)) for each in resource["differences"])
    if "error" in status:
        yield "not read", f"{status['error']['message']} ({status['error']['hint']})"
    yield "spec", status["spec"]
    kept = [step["id"] for step in status["steps"] if step["event"] == "kept"]
    if kept:
        yield "destroyed", f"Azure keeps {', '.join(kept)} for a while: for good with customai destroy --purge"
    unfinished = [step["id"] for step in status["steps"] if step["event"] not in ("done", "kept")]
    if unfinished:
        yield "unfinished", f"{', '.join(unfinished)}: run deploy again to continue"


def _difference(each: Json) -> str:
    if each["property"] == "power":
        return f"{each['found']}: customai start brings it back, and so does deploy"
    return f"drift: {resources.way(each)}"


def _pace(threads: int, pace: Json) -> str:
    """How a replica runs the model."""
    batch = f"up to {pace['max_batch']} rows a run" if pace["max_batch"] > 1 else "one request a run"
    by = pace["provider"].removesuffix("ExecutionProvider")
    each = f"{threads} thread{'s' * (threads != 1)} a replica on {by}"
    return f"{each}, {batch}, {pace['latency_ms']:.3g} ms for one row"


def _times(schedule: Json) -> str:
    """When it runs, in words; a machine that was started anew has not started it again."""
    if not schedule["running"]:
        return f"{schedule['cron']} (UTC), stopped: run deploy again to start it"
    due = datetime.fromtimestamp(schedule["next"], timezone.utc)
    last = schedule["last"]
    before = f"; last time {last['event']}" + (f" ({last['reason']})" if last["reason"] else "") if last else ""
    return f"{schedule['cron']} (UTC), next {due:%Y-%m-%d %H:%M}{before}"
