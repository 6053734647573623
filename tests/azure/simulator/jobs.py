"""Jobs of Azure ML, and the services of its own that know of them: states that advance, run history, logs and outputs in the
workspace's storage, an endpoint's invocation.

The states are those of Microsoft's description (JobStatus), in the order in which they come. What a job leaves is put where
Azure ML puts it: azureml/ExperimentRun/dcid.RUN/..., and the batch scorer's summary where it was asked to write.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from . import runs
from .catalog import made_up
from .errors import ArmError
from .messages import Answer, Body, Request
from .state import Resource, Store

if TYPE_CHECKING:
    from .cloud import Cloud

JOBS = "Microsoft.MachineLearningServices/workspaces/jobs"
STATES = ("Starting", "Queued", "Preparing", "Running", "Finalizing")
TRAINED = {"accuracy": 0.97, "final_loss": 0.08, "model": "model.onnx", "steps": 60}


def _rows(version: str, raw: bytes) -> tuple[int, Body]:
    rows = json.loads(raw)["rows"]
    if any(not row for row in rows):
        return 400, {"error": "rows[0]: it has no columns", "expected": "an object"}
    each = {"label": "leaves", "probability": 0.75, "top": [{"label": "leaves", "probability": 0.75}]}
    return 200, {"predictions": [each for _ in rows], "model": {"name": "churn", "version": version}}


@dataclass
class Job:
    resource: Resource
    began: float
    ends: float
    number: int
    canceled: bool = False
    written: bool = False
    stopped: bool = False  # in the state in which it is, for ever


@dataclass
class Jobs:
    """Set by tests: what the jobs that begin from now on do."""

    clock: Callable[[], float]
    seconds: Callable[[], float]
    store: Store
    uploads: dict[str, bytes]
    fails: str = ""  # why they fail, as run history tells it
    stays: str = ""  # the state that they do not get beyond
    lines: tuple[str, ...] = ("loading", "epoch 1: loss 0.9", "epoch 2: loss 0.5")
    rows: int = 120
    server: Callable[[str, bytes], tuple[int, Body]] = _rows  # of an endpoint
    said: tuple[str, ...] = ()  # by its machines
    all: dict[str, Job] = field(default_factory=dict)

    def of(self, resource: Resource) -> Job:
        known = self.all.get(resource.key)
        if known is None or known.resource is not resource:
            now = self.clock()
            known = self.all[resource.key] = Job(resource, now, now + self.seconds(), len(self.all))
        return known

    def status(self, job: Job) -> str:
        if job.canceled:
            return "Canceled"
        share = (self.clock() - job.began) / max(job.ends - job.began, 1e-9)
        if self.stays:
            return STATES[min(int(max(share, 0) * len(STATES)), STATES.index(self.stays))]
        if share >= 1:
            return "Failed" if self.fails else "Completed"
        return STATES[int(share * len(STATES))]

    def created(self, resource: Resource) -> str:
        minutes, seconds = divmod(self.of(resource).number, 60)
        return f"2026-01-02T03:{minutes:02}:{seconds:02}.1659267+00:00"

    def shown(self, resource: Resource, base: str) -> Body:
        """What a job says of itself beside what was asked of it."""
        job, own = self.of(resource), resource.asked["properties"]
        workspace = resource.id.partition("/jobs/")[0]
        shown: Body = {"status": self.status(job)}
        if own.get("jobType") == "Sweep" and shown["status"] == "Completed":
            shown["properties"] = {"best_child_run_id": f"{resource.name}_1"}
        wsid = workspace.replace("/providers/Microsoft.MachineLearningServices", "")
        host = urlsplit(base).netloc or "eastus.api.azureml.ms"
        services = {
            "Tracking": f"azureml://{host}/mlflow/v1.0{workspace}?",
            "Studio": f"https://ml.azure.com/runs/{resource.name}?wsid={wsid}",
        }
        shown["services"] = {
            name: {"jobServiceType": name, "endpoint": endpoint, "port": None, "status": None, "errorMessage": None}
            for name, endpoint in services.items()
        }
        return shown

    def below(self, resource: Resource) -> list[str]:
        kind = resource.asked["properties"].get("jobType")
        if kind == "Sweep":
            return [f"{resource.name}_{number}" for number in range(2)]
        return [made_up(resource.key, "step")] if kind == "Pipeline" else []

    def settle(self) -> None:
        """What jobs have written by now."""
        for job in self.all.values():
            status = self.status(job)
            if status in ("Running", "Finalizing") or (
                status in ("Completed", "Failed", "Canceled") and not job.written
            ):
                self._write(job, status)
                job.written = status in ("Completed", "Failed", "Canceled")

    def _write(self, job: Job, status: str) -> None:
        runs = self.below(job.resource) or [job.resource.name]
        said = self.lines if status != "Running" else self.lines[:-1]
        for run in runs:
            self._put(job, run, "user_logs/std_log.txt", "".join(f"{line}\n" for line in said).encode())
            if status == "Completed" and _asked(job.resource.asked["properties"]) is None:
                self._put(job, run, "outputs/result.json", json.dumps(TRAINED).encode())
                self._put(job, run, "outputs/model.onnx", b"a model")
                self._put(job, run, "outputs/checkpoints/7.pt", b"not for anybody")
        if status == "Completed" and (asked := _asked(job.resource.asked["properties"])) is not None:
            container, account, folder = re.findall(r"://([^@]+)@([^.]+)\.[^/]+/(.*)", asked["output"])[0]
            place = f"{asked['output']}/run={asked['run']}"
            summary = {"run": asked["run"], "input": asked["input"], "output": place, "rows": self.rows, "errors": 0}
            summary |= {"errors_file": None, "seconds": 2.0, "rows_per_second": self.rows / 2, "fingerprint": "f"}
            name = f"{account}/{container}/{folder}/run={asked['run']}/_summary.json"
            before = json.loads(self.uploads.get(name, b"{}"))
            if {**before, "ended": 0} != {**summary, "ended": 0}:  # the same again is left as it is
                self.uploads[name] = json.dumps(summary | {"ended": job.began}).encode()

    def _put(self, job: Job, run: str, name: str, content: bytes) -> None:
        workspace = self.store.get(job.resource.key.partition("/jobs/")[0])
        if workspace is not None:
            account = str(workspace.asked["properties"].get("storageAccount", "")).rpartition("/")[2]
            self.uploads[f"{account}/azureml/ExperimentRun/dcid.{run}/{name}"] = content


def _asked(own: Body) -> Body | None:
    if own.get("jobType") == "Pipeline":
        return {name: each["value"] for name, each in own["inputs"].items()}
    words = shlex.split(own.get("command") or "")
    at = words.index("customai.workloads.batch") + 1 if "customai.workloads.batch" in words else 0
    return json.loads(words[at]) if at else None


def canceled(cloud: Cloud, resource: Resource, request: Request) -> Answer:
    job = cloud.jobs.of(resource)
    if cloud.jobs.status(job) in ("Completed", "Failed"):
        raise ArmError(400, "UserError", f"Run {resource.name} is in a terminal state and cannot be canceled.")
    job.canceled = True
    return Answer(202)


def history(cloud: Cloud, request: Request, found: re.Match[str]) -> Any:
    """The service of run history: a run's details, and the runs below it."""
    there = cloud.store.get(f"{found['workspace']}/jobs/{found['run']}")
    if there is None:
        raise ArmError(404, "UserError", f"Run {found['run']} was not found")
    job = cloud.jobs.of(there)
    if found["what"] == "children":
        return {"value": [{"runId": each, "status": cloud.jobs.status(job)} for each in cloud.jobs.below(there)]}
    status = cloud.jobs.status(job)
    error = {"error": {"code": "UserError", "message": cloud.jobs.fails}} if status == "Failed" else None
    return {"runId": there.name, "status": status, "error": error, "logFiles": {}}


def invoke(cloud: Cloud, request: Request, found: re.Match[str]) -> Answer:
    """A batch endpoint's scoring URI: a job of its pipeline begins, with the inputs that were given."""
    endpoint = next(
        (
            each
            for each in cloud.store.of_type("Microsoft.MachineLearningServices/workspaces/batchEndpoints")
            if each.name == found["name"]
        ),
        None,
    )
    if endpoint is None:
        raise ArmError(404, "NotFound", f"The endpoint {found['name']} is not found.")
    default = (endpoint.asked["properties"].get("defaults") or {}).get("deploymentName")
    wanted = request.headers.get("azureml-model-deployment", default)
    if not wanted or cloud.store.get(f"{endpoint.id}/deployments/{wanted}") is None:
        raise ArmError(400, "BadRequest", "The endpoint has no default deployment, and the request names none.")
    given = request.body["properties"]["InputData"]
    inputs = {name: {"jobInputType": "literal", "value": each["Value"]} for name, each in given.items()}
    name = f"batchjob-{made_up(endpoint.key, len(cloud.jobs.all))}"
    workspace = endpoint.id.partition("/batchEndpoints/")[0]
    properties = {"jobType": "Pipeline", "inputs": inputs, "experimentName": endpoint.name, "tags": {}}
    job = cloud.seed(f"{workspace}/jobs/{name}", {"properties": properties})
    cloud.jobs.of(job)
    told = {"id": f"{endpoint.id}/deployments/{wanted}/jobs/{name}", "name": name, "properties": {"status": "Starting"}}
    return Answer(200, told)


def score(cloud: Cloud, request: Request, found: re.Match[str]) -> Answer:
    """An online endpoint: the deployment that is named, or else the one with most traffic; a scoring server behind it answers."""
    kind = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints"
    endpoint = next(each for each in cloud.store.of_type(kind) if each.name == found["name"])
    shares = endpoint.asked["properties"].get("traffic") or {}
    wanted = request.headers.get("azureml-model-deployment") or max(shares, key=lambda each: int(shares[each]))
    deployment = cloud.store.get(f"{endpoint.id}/deployments/{wanted}")
    if deployment is None:
        return Answer(404, {"error": f"no deployment {wanted}"})
    server = json.loads(deployment.asked["properties"]["environmentVariables"]["CUSTOMAI_SERVER"])
    status, body = cloud.jobs.server(server["models"][0]["version"], request.raw)
    if status != 200:  # what the container says is told under another status
        headers = {"ms-azureml-model-error-statuscode": str(status), "ms-azureml-model-error-reason": "model_error"}
        return Answer(424, body, headers)
    return Answer(200, body)


def written(cloud: Cloud, resource: Resource, request: Request) -> Answer:
    said = [f"{resource.name} is up", *cloud.jobs.said][-int(request.body.get("tail", 100)) :]
    return Answer(200, {"content": "".join(f"{line}\n" for line in said)})


def blobs(cloud: Cloud, request: Request, found: re.Match[str]) -> Answer:
    """A blob, or a list of what is in a container."""
    if request.query.get("comp") != "list":
        return runs.blob(cloud, request, found)
    container, prefix = found["name"], request.query.get("prefix", "")
    names = [name.removeprefix(f"{container}/") for name in sorted(cloud.uploads) if name.startswith(f"{container}/")]
    listed = "".join(
        f"<Blob><Name>{escape(name)}</Name><Properties><Content-Length>1</Content-Length></Properties></Blob>"
        for name in names
        if name.startswith(prefix)
    )
    head = f'<EnumerationResults ServiceEndpoint="{request.base}" ContainerName="{container}"><Prefix>{prefix}</Prefix>'
    text = f'<?xml version="1.0" encoding="utf-8"?>{head}<Blobs>{listed}</Blobs><NextMarker /></EnumerationResults>'
    return Answer(200, text.encode(), {"Content-Type": "application/xml"})
