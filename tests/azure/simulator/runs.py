"""Builds of a container registry (ACR tasks): queued, running, then succeeded or as a test wants it. Not in the recordings.

A run of a task tells its name; what it pushes is known by the digest of what was uploaded for it.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .errors import ArmError
from .messages import Answer, Request
from .state import Resource

if TYPE_CHECKING:
    from .cloud import Cloud

Body = dict[str, Any]


@dataclass
class Run:
    id: str
    registry: Resource
    asked: Body
    began: float
    ends: float
    fails: str = ""
    task: str = ""
    images: tuple[str, ...] = ()
    source: bytes = b""
    path: str = ""  # where that was

    @property
    def digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.source).hexdigest()}"

    def status(self, now: float) -> str:
        if now >= self.ends:
            return "Failed" if self.fails else "Succeeded"
        return "Queued" if now < self.began + (self.ends - self.began) / 4 else "Running"


@dataclass
class Runs:
    clock: Callable[[], float]
    seconds: Callable[[], float]
    all: dict[str, Run] = field(default_factory=dict)
    fails: str = ""  # what the next builds fail with, in the log
    tells: bool = True  # whether a run says which images it has pushed

    def begin(self, registry: Resource, asked: Body, task: Resource | None, path: str, source: bytes) -> Body:
        now = self.clock()
        images = tuple(asked.get("imageNames", ())) if task is None else _pushed(task)
        run = Run(f"ca{len(self.all) + 1}", registry, asked, now, now + self.seconds(), self.fails)
        run.task, run.images, run.source, run.path = "" if task is None else task.name, images, source, path
        self.all[run.id] = run
        return self.view(run)

    def view(self, run: Run) -> Body:
        status = run.status(self.clock())
        images = [_image(name, run.digest) for name in run.images] if status == "Succeeded" and self.tells else []
        own = {
            "runId": run.id,
            "status": status,
            "runType": "QuickRun",
            "createTime": "2001-02-03T04:05:06Z",
            "provisioningState": "Succeeded",
            "platform": {"os": "linux", "architecture": "amd64"},
            "outputImages": images,
            "task": run.task or None,
        }
        return {
            "type": "Microsoft.ContainerRegistry/registries/runs",
            "id": f"{run.registry.id}/runs/{run.id}",
            "name": run.id,
            "properties": own,
        }

    def log(self, run: Run) -> str:
        status = run.status(self.clock())
        lines = ["Downloading source code...", "Step 1/1 : FROM scratch"]
        pushed = [f"{name.partition(':')[2]}: digest: {run.digest} size: 1234" for name in run.images]
        lines += {"Failed": [run.fails], "Succeeded": pushed}.get(status, [])
        return "\n".join([*lines, f"Run ID: {run.id} was {status.lower()}"]) + "\n"


def _pushed(task: Resource) -> tuple[str, ...]:
    step = task.asked["properties"]["step"]
    if step["type"] == "Docker":
        return tuple(step["imageNames"])
    text = base64.b64decode(step["encodedTaskContent"]).decode()
    return tuple(re.findall(r"push: \[\$Registry/([^]]+)\]", text))


def _image(name: str, digest: str) -> Body:
    repository, _, tag = re.sub(r"^[^/]+\.azurecr\.io/", "", name).partition(":")
    return {"registry": "", "repository": repository, "tag": tag or "latest", "digest": digest}


def schedule(cloud: Cloud, registry: Resource, asked: Body) -> Body:
    """Of an image's build, or of a task, whose source is given along."""
    if asked.get("type") != "TaskRunRequest":
        path = str(asked.get("sourceLocation"))
        return cloud.runs.begin(registry, asked, None, path, _source(cloud, registry, path))
    task = cloud.store.get(asked["taskId"])
    if task is None:
        raise ArmError(404, "TaskNotFound", f"The task {asked['taskId']} is not found.")
    path = str((asked.get("overrideTaskStepProperties") or {}).get("contextPath"))
    return cloud.runs.begin(registry, asked, task, path, _source(cloud, registry, path))


def _source(cloud: Cloud, registry: Resource, path: str) -> bytes:
    found = cloud.uploads.get(f"{registry.name.lower()}/{path}")
    if found is None:
        raise ArmError(400, "InvalidSourceLocation", f"The source location {path} is invalid.")
    return found


def every(cloud: Cloud, request: Request, found: re.Match[str]) -> Body:
    """The runs of a registry that was not made anew since, the last one first."""
    registry = cloud.store.get(request.path.rpartition("/")[0])
    if registry is None:
        raise cloud.rules.missing(request.path.rpartition("/")[0])
    named = re.search(r"TaskName eq '([^']+)'", request.query.get("$filter", ""))
    runs = [run for run in reversed(list(cloud.runs.all.values())) if run.registry is registry]
    return {"value": [cloud.runs.view(run) for run in runs if named is None or run.task == named[1]]}


def run(cloud: Cloud, request: Request, found: re.Match[str]) -> Body:
    one = cloud.runs.all.get(found["run"])
    if one is None:
        raise ArmError(404, "ResourceNotFound", f"The resource {found['run']} could not be found.")
    if found["log"]:
        return {"logLink": f"{request.base}/_blob/runs/logs/{one.id}?sig=SIMULATED-SECRET"}
    return cloud.runs.view(one)


def blob(cloud: Cloud, request: Request, found: re.Match[str]) -> Answer:
    """The storage behind a registry: where sources go, and where logs are read. It takes no token, but the URL's signature."""
    if request.method == "PUT":
        cloud.uploads[found["name"]] = request.raw
        return Answer(201)
    one = cloud.runs.all.get(found["name"].removeprefix("runs/logs/"))
    if one is None and found["name"] not in cloud.uploads:
        return Answer(404)
    text = cloud.uploads[found["name"]] if one is None else cloud.runs.log(one).encode()
    span = f"bytes 0-{len(text) - 1}/{len(text)}"
    headers = {"Content-Type": "text/plain", "Content-Range": span, "ETag": '"0x1"', "x-ms-blob-type": "AppendBlob"}
    return Answer(206 if "x-ms-range" in request.headers else 200, text, headers)
