"""Builds of a container registry (ACR tasks): queued, running, then succeeded or as a test wants it. Not in the recordings."""

from __future__ import annotations

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

    def begin(self, registry: Resource, asked: Body) -> Body:
        now = self.clock()
        run = Run(f"ca{len(self.all) + 1}", registry, asked, now, now + self.seconds(), self.fails)
        self.all[run.id] = run
        return self.view(run)

    def view(self, run: Run) -> Body:
        status = run.status(self.clock())
        images = [_image(name) for name in run.asked.get("imageNames", [])] if status == "Succeeded" else []
        own = {
            "runId": run.id,
            "status": status,
            "runType": "QuickRun",
            "createTime": "2001-02-03T04:05:06Z",
            "provisioningState": "Succeeded",
            "platform": {"os": "linux", "architecture": "amd64"},
            "outputImages": images,
        }
        return {
            "type": "Microsoft.ContainerRegistry/registries/runs",
            "id": f"{run.registry.id}/runs/{run.id}",
            "name": run.id,
            "properties": own,
        }

    def log(self, run: Run) -> str:
        status = run.status(self.clock())
        lines = ["Downloading source code...", "Step 1/1 : FROM scratch", *([run.fails] if status == "Failed" else [])]
        return "\n".join([*lines, f"Run ID: {run.id} was {status.lower()}"]) + "\n"


def _image(name: str) -> Body:
    repository, _, tag = re.sub(r"^[^/]+\.azurecr\.io/", "", name).partition(":")
    return {"registry": "", "repository": repository, "tag": tag or "latest", "digest": "sha256:" + "ab" * 32}


def run(cloud: Cloud, request: Request, found: re.Match[str]) -> Body:
    one = cloud.runs.all.get(found["run"])
    if one is None:
        raise ArmError(404, "ResourceNotFound", f"The resource {found['run']} could not be found.")
    if found["log"]:
        return {"logLink": f"{request.base}/_blob/logs/{one.id}?sig=SIMULATED-SECRET"}
    return cloud.runs.view(one)


def blob(cloud: Cloud, request: Request, found: re.Match[str]) -> Answer:
    """The storage behind a registry: where sources go, and where logs are read. It takes no token, but the URL's signature."""
    if request.method == "PUT":
        cloud.uploads[found["name"]] = request.raw
        return Answer(201)
    one = cloud.runs.all.get(found["name"].removeprefix("logs/"))
    if one is None:
        return Answer(404)
    return Answer(200, cloud.runs.log(one).encode(), {"Content-Type": "text/plain"})
