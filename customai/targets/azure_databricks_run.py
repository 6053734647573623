"""A run of a job of Databricks: known again by its digest among the job's runs, so that a crash does not begin it twice.

Databricks begins a run once for each token: the digest, and how often it has failed so far.
"""

from __future__ import annotations

import json
import time
from typing import Any

from customai.errors import RunFailed, TimedOut
from customai.model import Json, Step
from customai.provisioning.databricks_job import RUN
from customai.targets.azure_arm import Arm
from customai.targets.azure_databricks import Workspace, told
from customai.targets.base import Begun, Observed, Watch

OVER = ("TERMINATED", "SKIPPED", "INTERNAL_ERROR")
TAIL = 12  # lines of the log in an error


def read(step: Step, outputs: Json, arm: Arm) -> Observed:
    from databricks.sdk.errors import NotFound

    run = _Run(step, step.inputs, arm, Watch())
    if outputs is None or run.client() is None:
        return Observed(present=False, as_left=False)
    try:
        found = run.whole(int(outputs["run_id"]))
    except (NotFound, RunFailed):  # Databricks keeps a run for 60 days
        return Observed(present=True, as_left=True, detail={"state": "", "differences": []})
    state = _state(found)
    ways = [{"property": "state", "wanted": "success", "found": state}] if _has_failed(found) else []
    return Observed(present=True, as_left=not ways, detail={"state": state, "differences": ways})


def apply(step: Step, inputs: Json, digest: str, arm: Arm, watch: Watch) -> Json:
    run = _Run(step, inputs, arm, watch)
    found = run.brought_about(digest)
    if inputs["wait"]:
        if not watch.wait and not _is_over(found):
            raise Begun
        found = run.seen_to_its_end(found)
    result = run.result(found) if inputs["wait"] else None
    return {"run_id": str(found.run_id), "url": found.run_page_url, "result": result}


def delete(step: Step, outputs: Json, arm: Arm) -> None:
    """One that goes on is ended; what it was stays in the job's history, and goes with it."""
    from databricks.sdk.errors import NotFound

    run = _Run(step, step.inputs, arm, Watch())
    if outputs is None or run.client() is None:
        return
    try:
        run.until(
            lambda: run.there().api_client.do(
                "POST", "/api/2.2/jobs/runs/cancel", body={"run_id": int(outputs["run_id"])}
            )
        )
    except (NotFound, RunFailed):
        return


class _Run(Workspace):
    def brought_about(self, digest: str) -> Any:
        """The run, begun; one that failed is begun once more."""
        job, tries = int(self.inputs["job"]), self.tries()
        while True:
            same = self.same(job, digest)
            failed = [each for each in same if _has_failed(each)]
            if len(failed) < len(same):
                return next(each for each in same if not _has_failed(each))
            body = {
                "job_id": job,
                "job_parameters": self.inputs["parameters"] | {RUN: digest},
                "idempotency_token": f"{digest[:56]}-{len(failed)}",
            }
            try:
                told(lambda: self.there().api_client.do("POST", "/api/2.2/jobs/run-now", body=body), self.step.id)  # noqa: B023 (called at once)
            except Exception as error:  # noqa: BLE001 (what is no refusal is raised as it is)
                tries.again(error)

    def same(self, job: int, digest: str) -> list[Any]:
        """The job's runs of this digest, the last one first."""
        listed = self.until(lambda: list(self.there().jobs.list_runs(job_id=job)))
        return [each for each in listed if any(p.name == RUN and p.value == digest for p in each.job_parameters or ())]

    def seen_to_its_end(self, run: Any) -> Any:
        """Raises RunFailed, with the end of its log, where it did not succeed."""
        started = time.monotonic()
        while not _is_over(run):
            if time.monotonic() - started > self.arm.pace.patience:
                hint = f"run the same command again to wait for longer; {run.run_page_url}"
                raise TimedOut("the run in Databricks goes on for longer than expected", where=self.step.id, hint=hint)
            self.watch.report(f"{_state(run)}: {run.state.state_message or ''}".rstrip(": "))
            self.watch.pause(self.arm.pace.look)
            run = self.whole(run.run_id)
        if _has_failed(run):
            raise RunFailed(
                f"the run in Databricks has {_state(run)}: {self._reason(run)}",
                where=self.step.id,
                hint=str(run.run_page_url),
            )
        return run

    def whole(self, number: int) -> Any:
        return self.until(lambda: self.there().jobs.get_run(number))

    def result(self, run: Any) -> Json:
        """What it told as its last line; None where that is no JSON."""
        lines = self._log(run)[1]
        try:
            return json.loads(lines[-1])
        except (ValueError, IndexError):
            return None

    def _reason(self, run: Any) -> str:
        error, lines = self._log(run)
        return "\n".join([error or run.state.state_message or "", *lines[-TAIL:]]).strip()

    def _log(self, run: Any) -> tuple[str, list[str]]:
        whole = self.whole(run.run_id)
        if not whole.tasks:
            return "", []
        output = self.until(lambda: self.there().jobs.get_run_output(whole.tasks[-1].run_id))
        return str(output.error or ""), str(output.logs or "").strip().splitlines()


def _state(run: Any) -> str:
    """In Databricks' own words, small: pending, running, success, failed, ..."""
    state = run.state
    told_ = state.result_state or state.life_cycle_state
    return str(told_.value).lower().replace("_", " ")


def _is_over(run: Any) -> bool:
    return run.state.life_cycle_state.value in OVER


def _has_failed(run: Any) -> bool:
    return _is_over(run) and (
        run.state.result_state is None or run.state.result_state.value not in ("SUCCESS", "SUCCESS_WITH_FAILURES")
    )
