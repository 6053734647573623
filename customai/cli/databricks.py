"""What deploy tells of a path that runs on Azure Databricks, where a run is begun and not watched to its end."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from customai import ui
from customai.model import Json, Plan

RUN, JOB, WORKSPACE = "databricks_run", "databricks_job", "databricks_workspace"


def runs(plan: Plan) -> bool:
    """Whether the plan's work is a job of Databricks that nobody waits for."""
    return any(step.kind == RUN and not step.inputs["wait"] for step in plan.steps)


def deployed(plan: Plan, outputs: Json) -> Iterator[str]:
    """Where the run is seen, where its predictions will be, and how to begin another."""
    by_kind = {step.kind: step for step in plan.steps}
    run, job = outputs[by_kind[RUN].id], outputs[by_kind[JOB].id]
    settings = by_kind[JOB].inputs["settings"]
    given = {each["name"]: each["default"] for each in settings["parameters"]}
    name = by_kind[RUN].inputs["parameters"]["run"]
    output = given["output"]
    for volume, place in job["volumes"].items():
        output = output.replace(f"{{{volume}}}", place)
    rows = [("run", f"{name} is begun; deploy does not wait for its end"), ("see it", run["url"])]
    rows.append(("predictions", f"{output}/run={name}"))
    if "schedule" in settings:
        rows.append(("schedule", f"{settings['schedule']['quartz_cron_expression']} (UTC, as Databricks writes it)"))
    host = outputs[by_kind[WORKSPACE].id]["url"]
    scheme = urlsplit(run["url"]).scheme or "https"
    yield from ui.table(rows)
    yield ""
    yield "Begin another, with Databricks' own command line:"
    asked = f'{{"job_id": {job["job_id"]}, "job_parameters": {{"run": "november"}}}}'
    yield f"  DATABRICKS_HOST={scheme}://{host} databricks jobs run-now --json '{asked}'"
