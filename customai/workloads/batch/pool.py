"""P worker processes, and what becomes of the chunks they are given."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from customai import errors
from customai.errors import Interrupted, RunFailed
from customai.workloads.batch.request import Request
from customai.workloads.batch.staging import Staging
from customai.workloads.batch.waiting import Waiting

TRIES = 3  # of a chunk, before the run goes on without it
DRAIN = 20.0  # seconds for chunks that were begun, when the run is to stop: within the 30 that a spot node has
# What another chunk would meet too.
FATAL = ("Changed", "NoQuota", "Forbidden", "NotInstalled", "NotLoggedIn", "SpecError")
OUT_OF_MEMORY = 77


class Process:
    """A worker as its parent sees it."""

    def __init__(self, request: Request, staging: Path, lock: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "customai.workloads.batch.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(lock,) if lock >= 0 else (),
        )
        self.ready: dict[str, Any] | None = None  # what it told of the model
        self.chunk: dict[str, Any] | None = None
        self.last: int | None = None  # the id of the chunk that it has read last
        self.knows = False  # how the columns feed the model
        self.tell({"request": request.to_json(), "staging": str(staging)})

    def tell(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None  # noqa: S101 (for the type checker)
        with suppress(BrokenPipeError):  # its end is noticed on the other pipe
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()

    def said(self) -> dict[str, Any] | None:
        """The next line; None: it has ended."""
        assert self.process.stdout is not None  # noqa: S101 (for the type checker)
        line = self.process.stdout.readline()
        found: dict[str, Any] | None = json.loads(line) if line.endswith(b"\n") else None
        return found

    def end(self, *, kill: bool = False) -> str:
        """Why it ended."""
        with suppress(BrokenPipeError):
            self.process.stdin.close()  # type: ignore[union-attr]
        if kill:
            self.process.kill()
        code = self.process.wait()
        self.process.stdout.close()  # type: ignore[union-attr]
        if code == OUT_OF_MEMORY:
            return "a worker ran out of memory"
        if code < 0:
            killed = " (out of memory?)" if code == -signal.SIGKILL else ""
            return f"a worker was ended by {signal.Signals(-code).name}{killed}"
        return f"a worker ended with exit code {code}"


class Pool:
    def __init__(self, request: Request, staging: Staging, size: int) -> None:
        self.request = request
        self.staging = staging
        self.size = size
        self.selector = selectors.DefaultSelector()
        self.workers: list[Process] = []
        self.failed: dict[int, str] = {}  # chunk -> why
        self.stopping = False
        self._tries: Counter[int] = Counter()
        self._stillborn = 0

    def start(self, count: int) -> None:
        for _ in range(count - len(self.workers)):
            worker = Process(self.request, self.staging.folder, self.staging.lock)
            self.workers.append(worker)
            self.selector.register(worker.process.stdout, selectors.EVENT_READ, worker)  # type: ignore[arg-type]

    def told(self) -> dict[str, Any]:
        """The model's signature and the columns of its predictions, from the first worker that has loaded it."""
        while True:
            for worker in self.workers:
                if worker.ready is not None:
                    return worker.ready
            for worker in self._heard(1.0):
                self._hear(worker, {}, Waiting())

    def score(self, head: dict[str, Any], chunks: Iterable[dict[str, Any]], told: Callable[[], None]) -> None:
        """Every chunk to its end, or into `failed`.

        Raises:
            Interrupted: after what was begun was done. CustomAIError: what all chunks would meet.
        """
        waiting = Waiting(chunks)
        with self._asked_to_stop():
            deadline = 0.0
            while True:
                if self.stopping:
                    waiting.clear()
                    deadline = deadline or time.monotonic() + DRAIN
                self._hand_out(head, waiting)
                if not waiting and all(worker.chunk is None for worker in self.workers):
                    break
                if deadline and time.monotonic() > deadline:
                    break
                for worker in self._heard(0.25):
                    self._hear(worker, head, waiting)
                told()
        if self.stopping:
            raise Interrupted("it was cancelled", hint="run it again to continue where it was")

    def close(self) -> None:
        for worker in self.workers:
            self.selector.unregister(worker.process.stdout)  # type: ignore[arg-type]
            worker.end(kill=True)  # what it has done is on disk
        self.workers.clear()
        self.selector.close()

    def _hand_out(self, head: dict[str, Any], waiting: Waiting) -> None:
        busy = sum(worker.chunk is not None for worker in self.workers)
        self.start(max(len(self.workers), min(self.size, len(waiting) + busy)))
        for worker in self.workers:
            if waiting and worker.ready is not None and worker.chunk is None:
                if not worker.knows:
                    worker.tell({"head": head})
                    worker.knows = True
                worker.chunk = waiting.take(worker.last, [each.chunk["id"] for each in self.workers if each.chunk])
                worker.last = worker.chunk["id"]
                self.staging.begun(worker.chunk["id"])
                worker.tell(worker.chunk)

    def _heard(self, timeout: float) -> Iterator[Process]:
        yield from [key.data for key, _ in self.selector.select(timeout)]

    def _hear(self, worker: Process, head: dict[str, Any], waiting: Waiting) -> None:
        said = worker.said()
        if said is None:
            self._bury(worker, waiting)
        elif "signature" in said:
            worker.ready, self._stillborn = said, 0
        elif "error" in said:
            self._gone_wrong(worker, said["error"], waiting)
        else:
            worker.chunk = None
            self.staging.done(said["chunk"], said["rows"], said["errors"])

    def _gone_wrong(self, worker: Process, error: dict[str, Any], waiting: Waiting) -> None:
        chunk, worker.chunk = worker.chunk, None
        if chunk is None or error["type"] in FATAL:
            kind = getattr(errors, error["type"], RunFailed)
            raise kind(error["message"], where=error["where"], hint=error["hint"])
        where = f" ({error['where']})" if error["where"] else ""
        self._again(chunk, error["message"] + where, waiting)

    def _bury(self, worker: Process, waiting: Waiting) -> None:
        self.selector.unregister(worker.process.stdout)  # type: ignore[arg-type]
        self.workers.remove(worker)
        reason = worker.end()
        if worker.chunk is not None:
            self._again(worker.chunk, reason, waiting)
        elif worker.ready is None:
            self._stillborn += 1
            if self._stillborn >= TRIES:
                raise RunFailed(f"{reason} before it could begin", hint="what it said stands in the log: customai logs")
        if not self.workers:
            self.start(1)

    def _again(self, chunk: dict[str, Any], reason: str, waiting: Waiting) -> None:
        number = chunk["id"]
        self._tries[number] += 1
        if self._tries[number] < TRIES and not self.stopping:
            waiting.put(chunk)
        elif not self.stopping:
            self.failed[number] = f"{name_of(chunk)}: {reason}"

    @contextmanager
    def _asked_to_stop(self) -> Iterator[None]:
        """SIGTERM and Ctrl-C: what was begun is brought to its end, nothing new begins."""

        def stop(_signal: int, _frame: object) -> None:
            self.stopping = True

        before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def name_of(chunk: dict[str, Any]) -> str:
    """A chunk in words."""
    if "files" in chunk:
        return f"images {chunk['files'][0][0]} to {chunk['files'][-1][0]}"
    return f"{chunk['file']}, rows {chunk['first']} to {chunk['first'] + chunk['rows'] - 1}"


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
