"""Schedules on this machine: a process that outlives us starts the runs (customai.workloads.job.schedule)."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from customai.errors import RunFailed, StateError, TimedOut
from customai.model import Json
from customai.targets.base import Observed, Watch
from customai.targets.local_process import follow_file, is_held, last_line, start_detached
from customai.workloads.job.run import read_json, write_json

TIMEOUT = 20.0  # seconds for it to start, or to end


def keep(folder: Path, jobs: Path, request: Json, digest: str, watch: Watch) -> Json:
    """Brings the schedule to this request and sees that its process runs; gives {"folder", "cron", "next"}."""
    program, *arguments = request["argv"]
    argv = [sys.executable if program == "python" else program, *arguments]
    asked = {**request, "argv": argv, "jobs": str(jobs / request["jobs"]), "digest": digest}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "schedule.json", asked)
    except OSError as error:
        raise StateError(f"the schedule cannot be written: {error.strerror}", where=str(folder)) from error
    process = None if is_held(folder) else start_detached("customai.workloads.job.schedule", folder, "schedule.log")
    deadline = time.monotonic() + TIMEOUT
    while not (is_held(folder) and (state := read_json(folder / "state.json")).get("digest") == digest):
        if process is not None and process.poll() is not None:
            hint = last_line(folder / "schedule.log")
            raise RunFailed("the schedule's process has ended", where=str(folder), hint=hint)
        if time.monotonic() > deadline:
            raise TimedOut("the schedule's process does not answer", where=str(folder))
        watch.pause(0.05)
    return {"folder": str(folder), "cron": request["cron"], "next": state["next"]}


def read(folder: Path, digest: str | None) -> Observed:
    """detail: the process's state, running, log (a line for each time that has come)."""
    state, running = read_json(folder / "state.json"), is_held(folder)
    detail = {**state, "running": running, "log": list(log(folder))}
    return Observed(present=folder.exists(), as_left=running and digest is not None, detail=detail)


def log(folder: Path) -> Iterator[Json]:
    with suppress(FileNotFoundError), open(folder / "log.jsonl", encoding="utf-8") as lines:
        for line in lines:
            with suppress(ValueError):
                yield json.loads(line)


def rest(folder: Path) -> bool:
    """Ends its process, and keeps what it has written; whether it ran."""
    ran = is_held(folder)
    (folder / "schedule.json").unlink(missing_ok=True)  # the process ends when it is gone
    deadline = time.monotonic() + TIMEOUT
    while is_held(folder):
        if time.monotonic() > deadline and "pid" in (state := read_json(folder / "state.json")):
            with suppress(ProcessLookupError):
                os.kill(state["pid"], signal.SIGKILL)
        time.sleep(0.02)
    return ran


def delete(folder: Path) -> None:
    rest(folder)
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        raise RunFailed("the schedule's folder cannot be removed", where=str(folder), hint="whose is it? ls -l")


def logs(folder: Path, *, follow: bool) -> Iterator[str]:
    return follow_file(folder / "log.jsonl", lambda: follow and is_held(folder))
