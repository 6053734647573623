"""Jobs on this machine: one run folder for each thing asked, with a runner that outlives us (customai.workloads.job).

The folder is named by the digest of what is asked, so that asking again finds the run: it is attached to while it goes
on, started again where it was if it was stopped, and taken as it is when it has succeeded.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from customai.errors import CustomAIError, Interrupted, RunFailed, StateError
from customai.model import Json
from customai.provisioning.job import RUN_NAME
from customai.targets.base import Observed, Watch
from customai.targets.local_process import follow_file, is_held, last_line, start_detached
from customai.targets.local_store import revived
from customai.workloads.job.run import read_json, write_json

STOP_TIMEOUT = 45  # seconds: the runner gives the work 30


def run(jobs: Path, step: str, request: Json, digest: str, watch: Watch) -> Json:
    """Runs it to its end, or finds that it has run; gives {"folder", "result"}.

    Raises:
        RunFailed or the work's own error: it failed. Interrupted: the user stopped it; it goes on where it was next time.
    """
    folder = folder_of(jobs, step, digest)
    if succeeded(folder) and not _output_is_there(folder):
        (folder / "state.json").unlink()  # what it made was taken away: it is made again
    if not succeeded(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / "job.json").exists():
                write_json(folder / "job.json", {"format": 1, "digest": digest, **here(request)})
        except OSError as error:
            raise StateError(f"the run folder cannot be made: {error.strerror}", where=str(folder)) from error
        _see_through(folder, watch)
    return {"folder": str(folder), "result": read_json(folder / "result.json")}


def here(request: Json) -> Json:
    """The request with this machine's own Python where it says `python`."""
    program, *arguments = request["argv"]
    return {**request, "argv": [sys.executable if program == "python" else program, *arguments]}


def _see_through(folder: Path, watch: Watch) -> None:
    runner: subprocess.Popen[bytes] | None = None
    try:
        while True:
            held = is_held(folder)
            if succeeded(folder) and not held:
                return
            if runner is None and not held:
                runner = start_detached("customai.workloads.job.runner", folder, "job.log")
            elif not held and (runner is None or runner.poll() is not None):
                raise failure(folder)
            watch.report(describe(read_json(folder / "progress.json")))
            watch.pause(0.05)
    except Interrupted:
        cancel(folder)
        raise
    finally:
        if runner is not None:
            runner.wait()  # it has let go of its lock: it is about to end


def succeeded(folder: Path) -> bool:
    status = read_json(folder / "state.json").get("status")
    # A runner that was killed could not say so, but its work did: result.json comes last and whole.
    orphaned = status == "running" and not is_held(folder) and (folder / "result.json").exists()
    return status == "succeeded" or orphaned


def _output_is_there(folder: Path) -> bool:
    """Whether what the result calls its output still is, if that is a path of this machine."""
    output = read_json(folder / "result.json").get("output")
    return not isinstance(output, str) or not output.startswith("/") or Path(output).exists()


def failure(folder: Path) -> CustomAIError:
    """Why the run in this folder did not succeed."""
    told, state = read_json(folder / "error.json"), read_json(folder / "state.json")
    if told:
        return revived(told)
    code = state.get("exit_code")
    hint = last_line(folder / "job.log")
    if code is None:
        return RunFailed("the job ended without a word", where=str(folder / "job.log"), hint=hint)
    if code < 0:
        name = signal.Signals(-code).name
        hint = "is there enough memory?" if name == "SIGKILL" else hint
        return RunFailed(f"the job was ended by {name}", where=str(folder / "job.log"), hint=hint)
    return RunFailed(f"the job failed with exit code {code}", where=str(folder / "job.log"), hint=hint)


def cancel(folder: Path) -> None:
    """Stops the run and waits until it is gone; it can go on later."""
    deadline = time.monotonic() + STOP_TIMEOUT
    while is_held(folder):
        (folder / "cancel").touch()
        state = read_json(folder / "state.json")
        if time.monotonic() > deadline and "work" in state:  # the runner is gone, and its work does not end by itself
            os.killpg(state["work"], signal.SIGKILL)
        time.sleep(0.02)


def delete(jobs: Path, step: str) -> None:
    folder = jobs / step
    for each in runs(jobs, step):
        (each / "job.json").unlink(missing_ok=True)  # a runner that has just been started finds nothing to do
        cancel(each)
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        raise RunFailed("the run folders cannot be removed", where=str(folder), hint="whose are they? ls -l")


def read(jobs: Path, step: str, outputs: Json) -> Observed:
    """detail: the run's state.json, running, progress; of the newest run while there are no outputs yet."""
    newest = runs(jobs, step)[-1:]
    if outputs is None and not newest:
        return Observed(present=False, as_left=False)
    folder = Path(outputs["folder"]) if outputs is not None else newest[0]
    state = read_json(folder / "state.json")
    detail = {**state, "running": is_held(folder), "progress": read_json(folder / "progress.json"), **(outputs or {})}
    return Observed(present=bool(state), as_left=succeeded(folder) and _output_is_there(folder), detail=detail)


def logs(jobs: Path, step: str, *, follow: bool) -> Iterator[str]:
    newest = runs(jobs, step)[-1:]
    return follow_file(newest[0] / "job.log", lambda: follow and is_held(newest[0])) if newest else iter(())


def folder_of(jobs: Path, step: str, digest: str) -> Path:
    return jobs / step / digest[:12]


def runs(jobs: Path, step: str) -> list[Path]:
    """The step's run folders, oldest first."""
    found = [file.parent for file in (jobs / step).glob("*/job.json")]
    return sorted(found, key=lambda each: each.stat().st_mtime)


def history(jobs: Path, step: str) -> list[Json]:
    """What has become of each run, oldest first. A run of a schedule has its name for a digest."""
    return sorted((_told(folder) for folder in runs(jobs, step)), key=lambda told: told["since"] or 0.0)


def _told(folder: Path) -> Json:
    job, state = read_json(folder / "job.json"), read_json(folder / "state.json")
    running, status = is_held(folder), state.get("status", "not started")
    if status == "running" and not running:  # whoever ran it was killed
        status = "succeeded" if (folder / "result.json").exists() else "stopped"
    return {
        "run": job.get("env", {}).get(RUN_NAME, folder.name),
        "digest": job.get("digest", folder.name),
        "status": status,
        "since": state.get("since"),
        "attempt": state.get("attempt", 0),
        "progress": (read_json(folder / "progress.json") or None) if running else None,
        "result": read_json(folder / "result.json") or None,
        "error": read_json(folder / "error.json") or None,
        "log": str(folder / "job.log"),
    }


def describe(progress: Json) -> str:
    """Progress in words: "1,200 of 5,000 rows"."""
    if not progress:
        return "starting"
    message = str(progress.get("message", ""))
    total = f" of {progress['total']:,}" if progress["total"] is not None else ""
    counted = f"{progress['done']:,}{total} {progress['unit']}".strip()
    return f"{counted}, {message}" if message else counted
