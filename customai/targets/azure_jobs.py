"""Jobs of an Azure ML workspace: how they are, what ended them, what they have written.

Azure Resource Manager       the job itself: its state, its inputs; cancel
run history                  why it failed where its own log does not say, and the runs below it: its service is named
                             in the job
the workspace's storage      azureml/ExperimentRun/dcid.RUN/user_logs, and outputs/ of its working folder
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from datetime import datetime
from functools import cached_property

from customai.errors import CustomAIError, NotFound
from customai.model import Json
from customai.provisioning.api_versions import API_VERSIONS
from customai.targets import azure_services
from customai.targets.azure_arm import Arm
from customai.targets.azure_services import Blobs
from customai.targets.azure_wait import Followed, Tries
from customai.targets.base import Watch

TYPE = "/providers/Microsoft.MachineLearningServices"
VERSION = API_VERSIONS["Microsoft.MachineLearningServices/workspaces/jobs"]
ARTIFACTS = "azureml"  # the container of the workspace's datastore workspaceartifactstore
LOGS = re.compile(r"user_logs/std_log\D*0*(_ps)?\.txt$")  # the first process's: the others say much the same
WORDS = {"completed": "succeeded", "canceled": "cancelled", "cancelrequested": "being cancelled"}
ENDED = ("succeeded", "failed", "cancelled")
STUDIO = "https://ml.azure.com"


def status_of(job: Json) -> str:
    """In the words of a run on this machine where it has one: queued, preparing, running, succeeded, failed, cancelled."""
    word = str(job["properties"].get("status") or "NotStarted").lower()
    return WORDS.get(word, {"notstarted": "not started", "notresponding": "not responding"}.get(word, word))


def since_of(job: Json) -> float | None:
    """When it was asked for."""
    told = re.sub(r"(\.\d{6})\d*", r"\1", str((job.get("systemData") or {}).get("createdAt") or ""))
    try:
        return datetime.fromisoformat(told.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None


def studio_of(job: Json) -> str:
    """Its page in Azure ML's studio."""
    named = (job["properties"].get("services") or {}).get("Studio") or {}
    return str(named.get("endpoint") or studio(str(job["id"])))


def studio(id_: str) -> str:
    return f"{STUDIO}/runs/{id_.rpartition('/')[2]}?wsid={id_.partition('/jobs/')[0].replace(TYPE, '')}"


def asked_of(job: Json) -> Json:
    """What the batch scorer was asked, {"run", "input", "output"}; None of a job of another kind."""
    own = job["properties"]
    if own.get("jobType") == "Pipeline":
        inputs = {name: (each or {}).get("value") for name, each in (own.get("inputs") or {}).items()}
        return inputs if {"run", "input", "output"} <= set(inputs) else None
    try:
        words = shlex.split(str(own.get("command") or ""))
        found = json.loads(words[words.index("customai.workloads.batch") + 1])
    except (ValueError, IndexError):
        return None
    return {name: found[name] for name in ("run", "input", "output")}


class Workspace:
    """One workspace, and the account that it keeps things in.

    Args:
        arm: the subscription's clients.
        id_: its id.
        storage: {"id", "blob_endpoint"} of the account.
        watch: who is told, and may stop it.
    """

    def __init__(self, arm: Arm, id_: str, storage: Json, watch: Watch) -> None:
        self.arm, self.id, self.storage, self.watch = arm, id_, storage, watch

    def tries(self) -> Tries:
        return Tries("", self.watch, self.arm.pace)

    def job(self, name: str) -> Json:
        """The job as it is now; None where there is none."""
        return self._followed(name).found()

    def jobs(self) -> list[Json]:
        """Every job that was begun from outside, oldest first; those that a job begins itself are not among them."""
        path = f"{self.id}/jobs?api-version={VERSION}&listViewType=All"
        found: list[Json] = self.tries().until(lambda: list(self.arm.every(path)))
        return sorted(found, key=lambda each: (since_of(each) or 0.0, each["name"]))

    def cancel(self, name: str) -> bool:
        """Asks that it ends, and waits until it has; whether it went on."""
        if (job := self.job(name)) is None or status_of(job) in ENDED:
            return False
        if status_of(job) != WORDS["cancelrequested"]:
            # No `once`: a job that is being cancelled takes the same request again.
            self.tries().until(lambda: self.arm.ask("POST", f"{self.id}/jobs/{name}/cancel?api-version={VERSION}"))
        self._followed(name).until(lambda: self._ended(name), "ended")
        return True

    def _ended(self, name: str) -> str:
        job = self.job(name)
        now = "gone" if job is None else status_of(job)
        return "ended" if now in (*ENDED, "gone") else now

    def why(self, job: Json) -> str:
        """Why it failed, as the service tells; "" where it does not."""
        try:
            told = (self._history(job, f"{job['name']}/details").get("error") or {}).get("error") or {}
        except CustomAIError:
            return ""  # the log may tell
        inner = told
        while isinstance(inner.get("innerError"), dict) and inner["innerError"].get("message"):
            inner = inner["innerError"]
        return " ".join(str(inner.get("message") or told.get("message") or "").split())

    def below(self, job: Json) -> list[str]:
        """The names of the runs that it has begun itself: those of a pipeline's steps, or of a sweep's trials."""
        if job["properties"].get("jobType") not in ("Pipeline", "Sweep"):
            return []
        return [str(each["runId"]) for each in self._history(job, f"{job['name']}/children").get("value") or ()]

    def _history(self, job: Json, what: str) -> Json:
        tracking = ((job["properties"].get("services") or {}).get("Tracking") or {}).get("endpoint")
        if not tracking:
            raise NotFound("Azure does not say where the job's history is", where=str(job["name"]))
        url = f"{azure_services.host_of(tracking)}/history/v1.0{self.id}/runs/{what}"
        found = self.tries().until(lambda: azure_services.ask(self.arm, "GET", url, self.arm.scope))
        return found or {}

    @cached_property
    def artifacts(self) -> Blobs:
        """What jobs leave."""
        return self.blobs(ARTIFACTS)

    def blobs(self, container: str) -> Blobs:
        return Blobs(self.arm, self.storage["id"], self.storage["blob_endpoint"], container, self.tries)

    def log(self, run: str) -> list[str]:
        """What the run has written so far, as whole lines."""
        folder = f"{folder_of(run)}user_logs/"
        for name in self.artifacts.names(folder):
            if LOGS.search(name):
                return list(azure_services.lines_of(self.artifacts.read(name) or b""))
        return []

    def outputs(self, run: str) -> Iterator[tuple[str, bytes]]:
        """(name, content) of what the run has left in outputs/."""
        folder = f"{folder_of(run)}outputs/"
        for name in self.artifacts.names(folder):
            content = self.artifacts.read(name)
            if content is not None:
                yield name.removeprefix(folder), content

    def _followed(self, name: str) -> Followed:
        url = f"{self.id}/jobs/{name}?api-version={VERSION}"
        return Followed(self.arm, url, name, self.watch, self.arm.pace)


def folder_of(run: str) -> str:
    """Where the artifacts of a run are."""
    return f"ExperimentRun/dcid.{run}/"
