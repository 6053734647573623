"""Sees one run through: `python -m customai.workloads.job.runner FOLDER`.

The work's first process inherits the lock: if this process is killed, the lock stays held as long as the work goes on,
so that nobody starts it a second time beside itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from customai.workloads.job.run import FOLDER_VARIABLE, read_json, write_json

FORMAT = 1
TICK = 0.05  # seconds
RESTING = (1, 2, 5, 15, 30)  # seconds before work that is kept up is started again; the last one from then on
HEALTHY = 60.0  # seconds that it must have run for the count to begin anew
GRACE = 30.0  # seconds that cancelled work may take to end: as long as Azure gives a spot node


class Runner:
    def __init__(self, folder: Path, lock: int) -> None:
        self.folder = folder
        self.lock = lock
        self.job = read_json(folder / "job.json")
        self.stopping = False
        self.attempt = read_json(folder / "state.json").get("attempt", 0) + 1
        self.since = time.time()

    def run(self) -> int:
        for left_over in ("cancel", "error.json", "progress.json", "result.json"):
            (self.folder / left_over).unlink(missing_ok=True)
        try:
            work = self._start()
        except OSError as error:
            message = f"it cannot be started: {error.strerror}: {self.job['argv'][0]}"
            write_json(
                self.folder / "error.json", {"type": "NotInstalled", "message": message, "where": "", "hint": ""}
            )
            self._tell("failed", exit_code=127)
            return 1
        code = self._see_through(work)
        cancelled = self.stopping and code != 0
        self._tell("cancelled" if cancelled else "failed" if code else "succeeded", exit_code=code)
        return 0 if code == 0 else 1

    def _see_through(self, work: subprocess.Popen[bytes]) -> int:
        """Waits for its end; what is to be kept up is started again until someone wants it stopped."""
        failures = 0
        while True:
            self._tell("running", work=work.pid)
            started = time.monotonic()
            code = self._wait(work)
            if not self.job.get("keep_up") or self.stopping:
                return code
            failures = 0 if time.monotonic() - started > HEALTHY else failures + 1
            print(f"ended with exit code {code}: it is started again", flush=True)
            if not self._rested(RESTING[min(failures, len(RESTING)) - 1] if failures else 0):
                return code
            self.attempt += 1
            work = self._start()

    def _rested(self, seconds: float) -> bool:
        """Waits; no, if someone wants it stopped meanwhile."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self.stopping:
            self.stopping = (self.folder / "cancel").exists()
            time.sleep(TICK)
        return not self.stopping

    def stop(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        self.stopping = True

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.job["argv"],
            stdin=subprocess.DEVNULL,
            cwd=self.job["cwd"],
            env={**os.environ, **self.job["env"], FOLDER_VARIABLE: str(self.folder)},
            pass_fds=(self.lock,),
            start_new_session=True,  # a group of its own, so that all of it can be ended
        )

    def _wait(self, work: subprocess.Popen[bytes]) -> int:
        asked = 0.0
        while work.poll() is None:
            if self.stopping or (self.folder / "cancel").exists():
                self.stopping = True
                if not asked:
                    asked = time.monotonic()
                    _signal_group(work.pid, signal.SIGTERM)
                elif time.monotonic() - asked > self.job.get("grace", GRACE):
                    _signal_group(work.pid, signal.SIGKILL)
            time.sleep(TICK)
        _signal_group(work.pid, signal.SIGKILL)  # whatever it left running
        return work.returncode

    def _tell(self, status: str, **more: Any) -> None:
        state = {"format": FORMAT, "status": status, "pid": os.getpid(), "attempt": self.attempt, "since": self.since}
        write_json(self.folder / "state.json", {**state, "told": time.time(), **more})


def _signal_group(leader: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, number)


def main(folder: Path, patience: float = 0.5) -> int:
    """Runs the job of this folder. Gives 0 if it succeeded, or if another runner is there already."""
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
    if not (folder / "job.json").exists():
        return 0  # taken away before it began
    runner = Runner(folder, lock)
    signal.signal(signal.SIGTERM, runner.stop)
    signal.signal(signal.SIGINT, runner.stop)
    return runner.run()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
