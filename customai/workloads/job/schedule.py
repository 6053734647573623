"""Runs a job at the times of a schedule: `python -m customai.workloads.job.schedule FOLDER`.

The folder holds schedule.json (what is to be run, and when), log.jsonl (a line for each time: started, or skipped and
why), state.json, and `lock`, held as long as this process lives. It ends when schedule.json is gone. Each run has a
folder of its own among the job's others, and a runner that does not need this process.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from customai.workloads.job.run import read_json, write_json

NAME = "{run}"
RUN_NAME = "CUSTOMAI_RUN_NAME"
TICK = 0.2  # seconds between two looks at schedule.json and at the clock
LATE = 60.0  # seconds after which a time that was slept through is not made up for


def following(times: dict[str, Any], after: datetime) -> datetime:
    """The first of these times after that moment."""
    moment = after.replace(second=0, microsecond=0) + timedelta(minutes=1)
    while not _is_day(times, moment):
        moment = moment.replace(hour=0, minute=0) + timedelta(days=1)
    for _ in range(8 * 366):  # February 29 on one day of the week can be far away
        for hour in times["hour"]:
            for minute in times["minute"]:
                found = moment.replace(hour=hour, minute=minute)
                if found >= moment:
                    return found
        moment = moment.replace(hour=0, minute=0) + timedelta(days=1)
        while not _is_day(times, moment):
            moment += timedelta(days=1)
    raise AssertionError("a schedule that never comes was accepted")


def _is_day(times: dict[str, Any], moment: datetime) -> bool:
    if moment.month not in times["month"]:
        return False
    day, weekday = moment.day in times["day"], moment.isoweekday() % 7 in times["weekday"]
    return day or weekday if times["either"] else day and weekday


class Schedule:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "schedule.json"
        self.runners: list[subprocess.Popen[bytes]] = []
        self.stopping = False

    def run(self) -> None:
        seen = None
        due = datetime.max.replace(tzinfo=timezone.utc)
        asked: dict[str, Any] = {}
        while not self.stopping:
            with contextlib.suppress(FileNotFoundError):
                mark = self.file.stat().st_mtime_ns
                if mark != seen:
                    seen, asked = mark, read_json(self.file)
                    due = self._tell(seen, asked)
            if not self.file.exists():
                return
            now = datetime.now(timezone.utc)
            if now >= due:
                self._come(asked, due, now)
                due = self._tell(seen, asked)
            self.runners = [runner for runner in self.runners if runner.poll() is None]
            time.sleep(TICK)

    def stop(self, _signal: int, _frame: object) -> None:
        self.stopping = True

    def _tell(self, seen: int | None, asked: dict[str, Any]) -> datetime:
        due = following(asked["times"], datetime.now(timezone.utc))
        state = {"format": 1, "pid": os.getpid(), "seen": seen, "digest": asked["digest"], "next": due.timestamp()}
        write_json(self.folder / "state.json", state)
        return due

    def _come(self, asked: dict[str, Any], due: datetime, now: datetime) -> None:
        name = f"{due:%Y-%m-%dT%H-%MZ}"
        going_on = next((run for run in sorted(Path(asked["jobs"]).glob("*Z")) if is_held(run)), None)
        if (now - due).total_seconds() > LATE:
            self._log(name, "skipped", "this machine slept, or was too busy")
        elif going_on is not None:
            self._log(name, "skipped", f"run {going_on.name} was still going on")
        else:
            try:
                self._start(asked, name)
            except OSError as error:  # a full disk must not end the schedule
                self._log(name, "skipped", f"it could not be started: {error.strerror}")
            else:
                self._log(name, "started", "")

    def _start(self, asked: dict[str, Any], name: str) -> None:
        folder = Path(asked["jobs"]) / name
        folder.mkdir(parents=True, exist_ok=True)
        argv = [word.replace(NAME, name) for word in asked["argv"]]
        job = {"format": 1, "digest": name, "argv": argv, "cwd": asked["cwd"], "env": {RUN_NAME: name}}
        write_json(folder / "job.json", {**job, "grace": asked["grace"]})
        with open(folder / "job.log", "ab") as log:
            command = [sys.executable, "-m", "customai.workloads.job.runner", str(folder)]
            runner = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder, start_new_session=True
            )
        self.runners.append(runner)

    def _log(self, name: str, event: str, reason: str) -> None:
        with contextlib.suppress(OSError), open(self.folder / "log.jsonl", "a", encoding="utf-8") as log:
            log.write(json.dumps({"time": time.time(), "run": name, "event": event, "reason": reason}) + "\n")


def is_held(folder: Path) -> bool:
    """Whether this run goes on."""
    try:
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def main(folder: Path, patience: float = 0.5) -> int:
    """Gives 0, also if another one is there already."""
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + patience  # whoever asks if it is held takes it for a moment
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > deadline:
                return 0
            time.sleep(0.01)
    schedule = Schedule(folder)
    signal.signal(signal.SIGTERM, schedule.stop)
    signal.signal(signal.SIGINT, schedule.stop)
    schedule.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
