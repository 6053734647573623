"""Streams on this machine: work that is kept up by a runner (customai.workloads.job) and outlives us.

One folder for each step. What is asked changes: the old work is stopped, the new one goes on where it was, by its own
checkpoint. It is up when it tells its progress for the first time.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from customai.errors import Interrupted, RunFailed, StateError, TimedOut
from customai.model import Json
from customai.targets import local_job
from customai.targets.base import Observed, Watch
from customai.targets.local_process import follow_file, is_held, start_detached
from customai.workloads.job.run import read_json, write_json

READY_TIMEOUT = 180  # seconds to the first word of the work
TOLD = ("progress.json", "error.json", "cancel")


def start(streams: Path, step: str, request: Json, digest: str, watch: Watch) -> Json:
    """Brings the step's work to what is asked, and waits until it is up; gives {"folder", "revision"}.

    Raises:
        the work's own error, when it does not get up: then it is stopped again.
    """
    folder = streams / step
    outputs = {"folder": str(folder), "revision": digest}
    if _runs(folder, digest) and read_json(folder / "progress.json"):
        return outputs
    local_job.cancel(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left_over in TOLD:
            (folder / left_over).unlink(missing_ok=True)
        write_json(folder / "job.json", {"format": 1, "digest": digest, **local_job.here(request)})
    except OSError as error:
        raise StateError(f"the stream's folder cannot be made: {error.strerror}", where=str(folder)) from error
    _see_it_up(folder, watch)
    return outputs


def _see_it_up(folder: Path, watch: Watch) -> None:
    runner: subprocess.Popen[bytes] = start_detached("customai.workloads.job.runner", folder, "job.log")
    deadline = time.monotonic() + READY_TIMEOUT
    try:
        while not read_json(folder / "progress.json"):
            if (folder / "error.json").exists() or runner.poll() is not None:
                raise local_job.failure(folder)
            if time.monotonic() > deadline:
                raise TimedOut(f"the stream did not start within {READY_TIMEOUT} s", where=str(folder / "job.log"))
            watch.report("starting")
            watch.pause(0.05)
    except (Interrupted, RunFailed, TimedOut, Exception):
        local_job.cancel(folder)
        runner.wait()
        raise


def read(streams: Path, step: str, outputs: Json) -> Observed:
    """detail: state.json, whether it runs, its progress."""
    folder = streams / step
    state = read_json(folder / "state.json")
    progress = read_json(folder / "progress.json")
    detail = {**state, "running": is_held(folder), "progress": progress}
    as_left = outputs is not None and _runs(folder, outputs["revision"])
    return Observed(present=bool(state), as_left=as_left, detail=detail)


def rest(streams: Path, step: str) -> bool:
    """Stops the work, which goes on where it was when it is started again; whether it ran."""
    ran = is_held(streams / step)
    local_job.cancel(streams / step)
    return ran


def delete(streams: Path, step: str) -> None:
    folder = streams / step
    (folder / "job.json").unlink(missing_ok=True)
    local_job.cancel(folder)
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        raise RunFailed("the stream's folder cannot be removed", where=str(folder), hint="whose is it? ls -l")


def logs(streams: Path, step: str, *, follow: bool) -> Iterator[str]:
    folder = streams / step
    return follow_file(folder / "job.log", lambda: follow and is_held(folder))


def _runs(folder: Path, digest: str) -> bool:
    status = read_json(folder / "state.json").get("status")
    return is_held(folder) and status == "running" and read_json(folder / "job.json").get("digest") == digest
