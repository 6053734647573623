"""An image built where it is kept, by a task of its registry: what goes in is uploaded, a run builds it, its digest comes out.

The task is named by the digest of what goes in, and the registry lists the runs of a task: so nothing is built twice, and
a run that another process has begun is waited for. All of it goes through Azure Resource Manager: to build, nobody needs
the right to push to the registry or to pull from it.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from customai.errors import NotInstalled, RunFailed, TargetError, TimedOut
from customai.model import Json, Step
from customai.model import digest as digest_of
from customai.provisioning.api_versions import API_VERSIONS
from customai.targets.azure_arm import Arm
from customai.targets.azure_image_context import packed
from customai.targets.azure_login import INSTALL
from customai.targets.azure_resource import OWNER
from customai.targets.azure_wait import SHORT, Followed, Refusal, Tries, passes_in, retry_after
from customai.targets.base import Observed, Watch

T = TypeVar("T")

TASKS = "2019-04-01"  # of tasks and their runs; no SDK that we install has them
REGISTRIES = API_VERSIONS["Microsoft.ContainerRegistry/registries"]
GOING = ("Queued", "Started", "Running")
TAIL = 12  # lines of the log in an error
LONGEST = 3600  # seconds of a build, then the registry ends it


def read(step: Step, outputs: Json, arm: Arm) -> Observed:
    """Whether it is built, and what stands in the outputs. An image that was deleted in the registry is not missed here."""
    build = _Build(step, step.inputs, arm, Watch())
    run = build.tries.until(build.found) if build.tries.until(build.registry) else None
    if run is None:
        return Observed(present=False, as_left=False)
    status = run["properties"]["status"]
    wanted = (outputs or {}).get("reference")
    built = _digest(run)
    ways = []
    if wanted is not None and built is not None and not wanted.endswith(f"@{built}"):
        ways.append({"property": "image", "wanted": wanted, "found": built})
    done = status == "Succeeded"
    return Observed(done, done and not ways, {"state": status.lower(), "differences": ways})


def apply(step: Step, inputs: Json, digest: str, arm: Arm, watch: Watch) -> Json:
    del digest  # of the step; what goes into the image has one of its own
    return {"reference": _Build(step, inputs, arm, watch).reference()}


def delete(step: Step, outputs: Json, arm: Arm) -> None:
    """Takes the tasks away; the images go with their registry."""
    del outputs
    build = _Build(step, step.inputs, arm, Watch())
    if not build.tries.until(build.registry):
        return
    for task in build.tries.until(lambda: list(arm.every(f"{build.registry_id}/tasks?api-version={TASKS}"))):
        if (task.get("tags") or {}).get(OWNER) == step.inputs["repository"]:
            followed = Followed(arm, f"{task['id']}?api-version={TASKS}", step.id, Watch(), arm.pace)
            build.tries.until(partial(_deleted, followed))
            followed.gone()


def _deleted(followed: Followed) -> None:
    followed.ended(followed.arm.delete(followed.url))


def content(inputs: Json) -> str:
    """The digest of what goes into the image, wherever on this machine it comes from."""
    files = [{"name": each["name"], "sha256": each["sha256"]} for each in inputs["files"]]
    models = {
        folder: [model["model"], [{"name": each["name"], "sha256": each["sha256"]} for each in model["files"]]]
        for folder, model in inputs["models"].items()
    }
    return digest_of({"texts": inputs["texts"], "files": files, "models": models, "platform": inputs["platform"]})


def steps(image: str) -> str:
    """What the task does, in the words of ACR tasks: $Registry is the registry that it runs in."""
    return f"version: v1.1.0\nsteps:\n- build: -t $Registry/{image} -f Dockerfile .\n- push: [$Registry/{image}]\n"


class _Build:
    def __init__(self, step: Step, inputs: Json, arm: Arm, watch: Watch) -> None:
        self.step, self.inputs, self.arm, self.watch = step, inputs, arm, watch
        self.registry_id = str(inputs["registry"]["id"])
        tag = content(inputs)[:32]
        self.image = f"{inputs['repository']}:{tag}"
        self.task = f"{inputs['repository'][:17]}-{tag}"

    @property
    def tries(self) -> Tries:
        return Tries(self.step.id, self.watch, self.arm.pace)

    def reference(self) -> str:
        """The image by its digest, once it is built."""
        run = self.tries.until(self.found) or self._scheduled()
        run = self._ended(str(run["properties"]["runId"]))
        digest = _digest(run) or self._pushed(run)
        return f"{self.inputs['registry']['login_server']}/{self.inputs['repository']}@{digest}"

    def registry(self) -> Json:
        return self.arm.get(f"{self.registry_id}?api-version={REGISTRIES}")

    def found(self) -> Json:
        """The run that has built it, or is about to; None where there is none."""
        return next((run for run in self._runs() if run["properties"]["status"] in (*GOING, "Succeeded")), None)

    def _runs(self) -> list[Json]:
        """The task's runs, the last one first."""
        query = f"$filter=TaskName eq '{self.task}'&$top=20&api-version={TASKS}".replace(" ", "%20")
        return list(self.arm.every(f"{self.registry_id}/runs?{query}"))

    def _scheduled(self) -> Json:
        """A new run. Where no answer came to the request for it, the registry is asked whether there is one."""
        before = {run["name"] for run in self.tries.until(self._runs)}
        source = self.tries.until(self._uploaded)
        self.tries.until(self._task)
        asked = {
            "type": "TaskRunRequest",
            "taskId": f"{self.registry_id}/tasks/{self.task}",
            "overrideTaskStepProperties": {"contextPath": source},
        }

        def begun() -> Json:
            mine = [run for run in self._runs() if run["name"] not in before]
            url = f"{self.registry_id}/scheduleRun?api-version={TASKS}"
            run = mine[0] if mine else self.arm.ask("POST", url, asked, once=True)
            if run is None:  # taken, and not a word of it: the list knows
                told = TargetError(
                    "the registry does not say which run it has begun", hint="run the same command again"
                )
                raise Refusal(told, SHORT, None, code="no run")
            return run

        return self.tries.until(begun)

    def _task(self) -> None:
        url = f"{self.registry_id}/tasks/{self.task}?api-version={TASKS}"
        followed = Followed(self.arm, url, self.step.id, self.watch, self.arm.pace)
        if followed.settled() is not None:
            return
        os, _, architecture = self.inputs["platform"].partition("/")
        encoded = base64.b64encode(steps(self.image).encode()).decode("ascii")
        properties = {
            "status": "Enabled",
            "platform": {"os": os.capitalize(), "architecture": architecture},
            "agentConfiguration": {"cpu": 2},
            "timeout": LONGEST,
            "step": {"type": "EncodedTask", "encodedTaskContent": encoded},
        }
        tags = {OWNER: self.inputs["repository"]}
        body = {"location": self.registry()["location"], "tags": tags, "properties": properties}
        followed.ended(self.arm.put(url, body))

    def _uploaded(self) -> str:
        """Where the registry has put what goes in."""
        found = self.arm.ask("POST", f"{self.registry_id}/listBuildSourceUploadUrl?api-version={TASKS}")
        with packed(self.inputs, self.watch) as file:
            self.watch.report(f"uploading {file.seek(0, 2) / 1e6:.1f} MB")
            file.seek(0)
            _signed(found["uploadUrl"], lambda blob: blob.upload_blob(file, overwrite=True))
        return str(found["relativePath"])

    def _ended(self, run_id: str) -> Json:
        """The run once it has built the image."""
        url, log, started = f"{self.registry_id}/runs/{run_id}", _Log(self, run_id), time.monotonic()
        while True:
            run = self.tries.until(lambda: self.arm.ask("GET", f"{url}?api-version={TASKS}"))
            status = run["properties"]["status"]
            if status == "Succeeded":
                return run
            if status not in GOING:
                raise self._failed(run, log)
            if time.monotonic() - started > self.arm.pace.patience:
                hint = "run the same command again to wait for longer; it is not built anew"
                raise TimedOut(f"the image is still being built (run {run_id}: {status.lower()})", hint=hint)
            self.watch.report(log.last() or status.lower())
            self.watch.pause(self.arm.pace.look)

    def _failed(self, run: Json, log: _Log) -> RunFailed:
        own = run["properties"]
        lines = [line.rstrip() for line in log.text().splitlines() if line.strip()][-TAIL:]
        said = "".join(f"\n  {line}" for line in lines) or f" {own.get('runErrorMessage') or 'it has no log'}"
        hint = "mend what the log names, and run the same command again: it builds anew"
        return RunFailed(
            f"the image's build has ended: {own['status'].lower()}. Its log:{said}", where=own["runId"], hint=hint
        )

    def _pushed(self, run: Json) -> str:
        """The digest out of the log, where the run does not tell it."""
        told = re.findall(r"digest: (sha256:[0-9a-f]{64})", _Log(self, run["name"]).text())
        if not told:
            raise RunFailed("the run does not say which image it has built", where=run["name"], hint="run it again")
        return str(told[-1])


class _Log:
    """What a run has written. Its address opens it to whoever has it, so it is shown nowhere."""

    def __init__(self, build: _Build, run_id: str) -> None:
        self._build, self._run, self._said, self._link = build, run_id, "", ""

    def text(self) -> str:
        path = f"{self._build.registry_id}/runs/{self._run}/listLogSasUrl?api-version={TASKS}"

        def read() -> str:
            link = self._link or str(self._build.arm.ask("POST", path)["logLink"])
            self._link = ""  # a new one, should this one be too old
            said = str(_signed(link, lambda blob: blob.download_blob(encoding="utf-8").readall()))
            self._link = link
            return said

        return self._build.tries.until(read)

    def last(self) -> str:
        """The last line, if it is a new one; while a run goes on, nothing depends on it."""
        try:
            lines = [line for line in self.text().splitlines() if line.strip()]
        except TargetError:
            return ""
        line = lines[-1][:160] if lines else ""
        if line == self._said:
            return ""
        self._said = line
        return line


def _signed(url: str, call: Callable[[Any], T]) -> T:
    """What a call of a blob gives whose address is signed; no error tells the address."""
    try:
        from azure.storage.blob import BlobClient
    except ImportError as error:
        raise NotInstalled(f"{error.name} is not installed here", hint=INSTALL) from None
    from azure.core.exceptions import AzureError

    try:
        with BlobClient.from_blob_url(url, retry_total=0, connection_timeout=20, read_timeout=60) as blob:
            return call(blob)
    except AzureError as error:
        code = str(getattr(error, "error_code", None) or type(error).__name__)
        hint = "run the same command again: it continues where it was"
        told = TargetError(f"the registry's store does not answer as it should: {code}", hint=hint)
        raise Refusal(told, passes_in(error), retry_after(error), code=code) from None


def _digest(run: Json) -> str | None:
    images = run["properties"].get("outputImages") or ()
    return next((str(each["digest"]) for each in images if each.get("digest")), None)
