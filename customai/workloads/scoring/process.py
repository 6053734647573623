"""One replica as its supervisor sees it: a process, what it reported, and how it is ended."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

GRACE = 3.0  # seconds beyond the drain time before one that drains is killed


class Replica:
    """A scoring server process on the supervisor's socket.

    It reads its config as one line on stdin, then ends when stdin does: it never outlives its supervisor. It reports
    {"ready": true, "pace": how it runs the models} or {"error": {...}} on a pipe. Nothing secret stands in its arguments.
    """

    def __init__(self, config: dict[str, Any], folder: Path, listener: socket.socket, alive: int) -> None:
        """Starts it. folder: what all replicas share; `alive` is a lock's file that it keeps open as long as it lives."""
        self.config = config
        self.since = time.time()
        self.ready = False
        self.pace: list[dict[str, Any]] = []
        self.silent = False  # its report pipe has ended
        self.error: dict[str, Any] | None = None
        self.draining = False
        self._deadline = math.inf
        self._heard = b""
        self.reports, theirs = os.pipe()
        os.set_blocking(self.reports, False)
        command = [sys.executable, "-m", "customai.workloads.scoring.replica", str(listener.fileno()), str(theirs)]
        kept = (listener.fileno(), theirs, alive)
        try:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=kept)
        except OSError:
            os.close(self.reports)
            raise
        finally:
            os.close(theirs)
        self.pid = self.process.pid
        assert self.process.stdin is not None  # noqa: S101 (for the type checker)
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps({**config, "run": str(folder)}).encode() + b"\n")
            self.process.stdin.flush()

    def hear(self) -> None:
        """Takes in what it has reported so far."""
        while not self.silent:
            try:
                data = os.read(self.reports, 65536)
            except BlockingIOError:
                return
            self.silent = not data
            *lines, self._heard = (self._heard + data).split(b"\n")
            for line in lines:
                report = json.loads(line)
                self.ready = report.get("ready", False)
                self.pace = report.get("pace", [])
                self.error = report.get("error")

    def ended(self) -> bool:
        return self.process.poll() is not None

    def drain(self) -> None:
        """Asks it to finish what it has begun, then end."""
        if not self.draining:
            self.draining = True
            self._deadline = time.monotonic() + float(self.config.get("drain", 10)) + GRACE
            self.process.terminate()

    def overdue(self) -> bool:
        return time.monotonic() > self._deadline

    def kill(self) -> None:
        self.process.kill()

    def close(self) -> None:
        os.close(self.reports)
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()

    def last_words(self) -> dict[str, Any]:
        """Why it ended, as an error's JSON."""
        if self.error is not None:
            return self.error
        code = self.process.returncode
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        hint = "is there enough memory?" if code == -signal.SIGKILL else "see customai logs"
        when = "" if self.ready else " before it was ready"
        return {"type": "RunFailed", "message": f"a replica {how}{when}", "where": "", "hint": hint}

    def to_json(self) -> dict[str, Any]:
        return {"pid": self.pid, "since": self.since, "ready": self.ready and not self.draining}
