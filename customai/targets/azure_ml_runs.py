"""The runs of a deployment on Azure ML: the job that deploy begins, and those that its batch endpoint is asked for.

A run goes on when whoever watches it leaves. To begin one is no idempotent request: one of the same name, input and output
that goes on is attached to, and after a request that got no answer one looks whether it was heard.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from customai.errors import CustomAIError, Forbidden, NotFound, RunFailed, StateError, TimedOut
from customai.model import Json, Step
from customai.targets import azure_jobs, azure_services
from customai.targets.azure_arm import Arm
from customai.targets.azure_jobs import ENDED, Workspace, asked_of, since_of, status_of, studio_of
from customai.targets.azure_resource import OWNER
from customai.targets.azure_services import ML, Blobs
from customai.targets.azure_wait import Refusal, passes_in
from customai.targets.base import Watch
from customai.targets.local_store import revived

SUMMARY = "_summary.json"
PLACE = re.compile(r"\w+://([^@/]+)@([^./]+)\.[^/]+/?(.*)")  # abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/FOLDER
RUNS = "runs"  # in the state folder: what was fetched
LEFT = "checkpoints/"  # what is not
TAIL = 12  # lines of the log in an error
INVOKE = "AzureML Data Scientist"


class Runs:
    """Of one deployment.

    Args:
        arm: the subscription's clients.
        steps: the deployment's.
        outputs: theirs, of those that are done.
        folder: its state folder.
        watch: who is told.
    """

    def __init__(
        self, arm: Arm, steps: Sequence[Step], outputs: Json, folder: Path, watch: Watch | None = None
    ) -> None:
        by_kind = {step.kind: step for step in steps if step.id in outputs}
        self.arm, self.folder, self.watch = arm, folder, watch or Watch()
        self.job: Step = by_kind["ml_job"]
        self.endpoint = by_kind.get("batch_endpoint")
        self.scoring_uri = str(outputs[self.endpoint.id]["scoring_uri"]) if self.endpoint is not None else ""
        id_, _, self.begun = _path(self.job).rpartition("/jobs/")
        self.deployment = self.job.inputs["body"]["properties"]["tags"][OWNER]
        self.workspace = Workspace(arm, id_, outputs["storage"], self.watch)

    @property
    def is_scoring(self) -> bool:
        return asked_of(self.job.inputs["body"]) is not None

    def history(self) -> list[Json]:
        """What has become of each run, oldest first."""
        jobs = [job for job in self.workspace.jobs() if self._is_ours(job)]
        last = {_place(asked): job["name"] for job in jobs if (asked := asked_of(job)) and status_of(job) in ENDED}
        return [self.told(job, whole=last.get(_place(asked_of(job))) == job["name"]) for job in jobs]

    def _is_ours(self, job: Json) -> bool:
        own = job["properties"]
        if own.get("jobType") == "Pipeline":
            return self.endpoint is not None and asked_of(job) is not None
        return bool((own.get("tags") or {}).get(OWNER) == self.deployment)

    def told(self, job: Json, *, whole: bool = False) -> Json:
        """One of them, in the words of a run on this machine; `whole`: with the summary that it has written."""
        status, asked = status_of(job), asked_of(job)
        why = self.workspace.why(job) if status == "failed" else ""
        return {
            "run": asked["run"] if asked else job["name"],
            "digest": job["name"],
            "status": status,
            "running": status not in ENDED,
            "since": since_of(job),
            "attempt": 1,
            "progress": None,
            "result": self._summary_if_let_in(asked) if whole and asked and status == "succeeded" else None,
            "error": {"message": why or "it failed: customai logs"} if status == "failed" else None,
            "log": studio_of(job),
        }

    def _summary_if_let_in(self, asked: Json) -> Json:
        """Of whoever may not read it, the state alone is told."""
        try:
            return self.summary(asked)
        except Forbidden:
            return None

    def now(self) -> Json:
        """How the job is that deploy has begun; None where it is not there any more."""
        job = self.workspace.job(self.begun)
        return None if job is None else self.told(job)

    # To begin

    def attached(self, asked: Json) -> str | None:
        """The name of the job that goes on and does just this."""
        found = [job for job in self._that(asked) if status_of(job) not in ENDED]
        return str(found[-1]["name"]) if found else None

    def _that(self, asked: Json) -> list[Json]:
        return [job for job in self.workspace.jobs() if asked_of(job) == asked]

    def invoked(self, asked: Json) -> str:
        """Asks the endpoint for a run; the name of its job."""
        given = {name: {"JobInputType": "Literal", "Value": value} for name, value in asked.items()}
        body, before = {"properties": {"InputData": given}}, {job["name"] for job in self._that(asked)}
        tries = self.workspace.tries()
        while True:
            try:
                found = self._let_in(
                    lambda: azure_services.ask(self.arm, "POST", self.scoring_uri, ML, body, once=True)
                )
                return str(found.get("name") or found["id"].rpartition("/")[2])
            except Exception as error:  # noqa: BLE001 (what is no error of Azure's is raised as it is)
                heard = (
                    [job["name"] for job in self._that(asked) if job["name"] not in before] if passes_in(error) else []
                )
                if heard:
                    return str(heard[-1])
                tries.again(error)

    def _let_in(self, call: Callable[[], Json]) -> Json:
        from azure.core.exceptions import HttpResponseError

        try:
            return call()
        except HttpResponseError as error:
            if error.status_code not in (401, 403) or self.endpoint is None:
                raise
            hint = azure_services.give(INVOKE, _path(self.endpoint))
            told = Forbidden("the endpoint does not let your login in", where=self.scoring_uri, hint=hint)
            raise Refusal(told, 0, None, code=str(error.status_code)) from None

    def put_again(self, body: Json, name: str) -> str:
        """Begins a job alone; the first free one of NAME, NAME-2, NAME-3: a job that was is never begun again."""
        taken = {str(job["name"]) for job in self.workspace.jobs()}
        names = (name if number == 1 else f"{name}-{number}" for number in range(1, len(taken) + 2))
        free = next(each for each in names if each not in taken)
        url = f"{self.workspace.id}/jobs/{free}?api-version={azure_jobs.VERSION}"
        # The same name and body again is the same job, so what got no answer is simply asked for once more.
        self.workspace.tries().until(lambda: self.arm.put(url, body).result())
        return free

    # To watch

    def see_through(self, name: str, watch: Watch) -> Json:
        """The job, once it has succeeded.

        Raises:
            RunFailed, or the work's own error: it failed, or was cancelled. TimedOut: nothing has moved for as long as one
            is patient; it goes on.
        """
        seen, since = ("", 0), time.monotonic()
        while True:
            job = self.workspace.job(name)
            if job is None:
                raise NotFound("the job is not there", where=name, hint="was its workspace deleted? customai deploy")
            status, lines = status_of(job), self._log_so_far(job)
            if status in ENDED:
                break
            if (status, len(lines)) != seen:
                seen, since = (status, len(lines)), time.monotonic()
            watch.report(f"{status}: {lines[-1]}" if lines else status)
            if time.monotonic() - since > self.arm.pace.patience:
                hint = f"it goes on: the same command watches it again; {studio_of(job)} may say what it waits for"
                raise TimedOut(f"it is still {status}, and nothing has moved", where=name, hint=hint)
            watch.pause(self.arm.pace.look)
        if status == "succeeded":
            return job
        raise self._failure(job, status, lines)

    def _log_so_far(self, job: Json) -> list[str]:
        """Nothing where one may not read it: the state tells, too."""
        if status_of(job) in ("not started", "starting", "queued", "preparing", "provisioning"):
            return []
        try:
            return [line for run in self._writers(job) for line in self.workspace.log(run)]
        except CustomAIError:
            return []

    def _writers(self, job: Json) -> list[str]:
        """The runs that write its log: the trials of a sweep, each for itself; the steps of a pipeline."""
        below = self.workspace.below(job)
        return below or [str(job["name"])]

    def _failure(self, job: Json, status: str, lines: list[str]) -> CustomAIError:
        name, page = str(job["name"]), studio_of(job)
        if status == "cancelled":
            return RunFailed("it was cancelled", where=name, hint=f"what it has left is kept: {page}")
        own = (
            dict(self.workspace.outputs(name)).get("error.json")
            if job["properties"].get("jobType") == "Command"
            else None
        )
        if own is not None:
            return revived(json.loads(own))
        why = self.workspace.why(job)
        said = "".join(f"\n  {line}" for line in lines[-TAIL:])
        message = f"the job has failed{f': {why}' if why else ''}" + (f". The end of its log:{said}" if said else "")
        return RunFailed(message, where=name, hint=f"the whole log: customai logs {self.deployment}; {page}")

    # What came of it

    def fetched(self, job: Json) -> Json:
        """{"folder", "result"} of a training: what it has left in outputs/, put into the state folder."""
        best = (job["properties"].get("properties") or {}).get("best_child_run_id")
        folder = self.folder / RUNS / str(job["name"])
        try:
            for name, content in self.workspace.outputs(str(best or job["name"])):
                if not name.startswith(LEFT) and ".." not in Path(name).parts:
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    (folder / name).write_bytes(content)
            result = json.loads((folder / "result.json").read_bytes())
        except FileNotFoundError:
            hint = f"does the script end with run.finish()? What it has left: {studio_of(job)}"
            raise RunFailed(
                "the job has succeeded, and has left no result", where=str(job["name"]), hint=hint
            ) from None
        except OSError as error:
            raise StateError(f"what it made cannot be written: {error.strerror}", where=str(folder)) from error
        return {"folder": str(folder), "result": result | ({"best": best} if best else {})}

    def summary(self, asked: Json) -> Json:
        """What the batch scorer has written down of the last run of this name that is whole; None where there is none."""
        found = PLACE.fullmatch(_place(asked))
        if found is None:
            return None
        container, account, folder = found.groups()
        if self.workspace.storage["id"].rpartition("/")[2] == account:
            blobs = self.workspace.blobs(container)
        else:
            endpoint = f"https://{account}.blob.core.windows.net"
            blobs = Blobs(self.arm, account, endpoint, container, self.workspace.tries)
        text = blobs.read(f"{folder}/{SUMMARY}")
        return None if text is None else json.loads(text)

    def log(self, *, follow: bool) -> Iterator[str]:
        """What the newest run writes; with follow until it has ended."""
        jobs = [job for job in self.workspace.jobs() if self._is_ours(job)]
        if not jobs:
            return
        name, told = str(jobs[-1]["name"]), dict[str, int]()
        while True:
            job = self.workspace.job(name)
            ended = job is None or status_of(job) in ENDED
            for run in self._writers(job) if job is not None else ():
                lines = self.workspace.log(run)
                yield from lines[told.get(run, 0) :]
                told[run] = len(lines)
            if ended or not follow:
                return
            self.watch.pause(self.arm.pace.look)


def _place(asked: Json) -> str:
    """Where the run's output is."""
    return f"{str(asked['output']).rstrip('/')}/run={asked['run']}" if asked else ""


def _path(step: Step) -> str:
    return str(step.inputs["url"]).partition("?")[0]
