"""What the verbs tell of a path that runs on Azure ML, where a job is begun and not watched to its end."""

from __future__ import annotations

from collections.abc import Iterator

from customai import ui
from customai.model import Json, Plan

STUDIO = "https://ml.azure.com"
TYPE = "/providers/Microsoft.MachineLearningServices"


def runs(plan: Plan) -> bool:
    """Whether the plan is for Azure ML."""
    return any(step.kind == "ml_workspace" for step in plan.steps)


def deployed(plan: Plan, outputs: Json) -> Iterator[str]:
    """What to tell once it is there: the endpoint, the job that goes on, and what to type next."""
    by_kind = {step.kind: step for step in plan.steps}
    online, batch, job = (by_kind.get(kind) for kind in ("online_endpoint", "batch_endpoint", "ml_job"))
    rows, more = [], []
    if online is not None:
        url = outputs[online.id]["scoring_uri"]
        rows += [("endpoint", url), ("traffic", by_kind["traffic"].why)]
        more = [
            'Try it, with {"rows": [{...}]} in rows.json:',
            f"  token=$(az account get-access-token --resource {STUDIO} --query accessToken --output tsv)",
            f"  curl -H \"Authorization: Bearer $token\" -H 'Content-Type: application/json' -d @rows.json {url}",
        ]
    if batch is not None:
        rows.append(("endpoint", outputs[batch.id]["scoring_uri"]))
    if "data_factory_start" in by_kind:
        rows.append(("schedule", by_kind["data_factory_start"].why))
    if job is not None:
        id_ = str(outputs[job.id]["id"])
        group, workspace, name = (id_.split("/")[at] for at in (4, 8, -1))
        rows.append(("job", f"{name} is begun; deploy does not wait for its end"))
        rows.append(("studio", f"{STUDIO}/runs/{name}?wsid={id_.partition('/jobs/')[0].replace(TYPE, '')}"))
        more = ["See it to its end:", f"  az ml job stream -n {name} -g {group} -w {workspace}"]
    yield from ui.table(rows)
    yield ""
    yield from more
