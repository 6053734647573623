"""What if the machine is taken away meanwhile? Finds out: an undisturbed run, then one that is evicted and comes back.

An eviction here is what a spot node has: SIGTERM to everything, some seconds of notice, SIGKILL for what is left. Both
runs write to a scratch folder; nothing of the user's is touched.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from customai.errors import RunFailed
from customai.workloads.batch import output, staging
from customai.workloads.batch.manifest import Cut
from customai.workloads.batch.request import Request
from customai.workloads.job.run import FOLDER_VARIABLE, Run, read_json

EARLIEST, LATEST = 0.15, 0.85  # of the time that scoring takes: when the node is taken away


def rehearse(run: Run, request: Request, notice: float) -> dict[str, Any]:
    """The verdict. Raises RunFailed where the run is over too soon to be disturbed."""
    scratch = run.folder / "rehearsal"
    shutil.rmtree(scratch, ignore_errors=True)
    asked = replace(request, output=str(scratch / "output"), limit_errors=sys.maxsize)
    try:
        run.progress(0, 2, "runs", message="undisturbed")
        calm = _started(scratch, replace(asked, run="undisturbed"))
        calm.end()
        run.progress(1, 2, "runs", message="with an eviction")
        return _disturbed(scratch, replace(asked, run="disturbed"), calm, notice)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _disturbed(scratch: Path, request: Request, calm: Attempt, notice: float) -> dict[str, Any]:
    summary = calm.summary()
    first = _started(scratch, request)
    aside = output.staging_of(request.output, request.run, scratch)
    while first.goes_on() and not staging.read(aside / "chunks.jsonl").begun:
        time.sleep(0.005)
    time.sleep(random.uniform(EARLIEST, LATEST) * summary["seconds"])  # noqa: S311 (chance, not secrecy)
    before = staging.read(aside / "chunks.jsonl")
    try:
        cut = Cut.read(aside / "manifest.jsonl")
    except FileNotFoundError:
        raise first.over() from None
    asked, took = first.evict(notice)
    left = staging.read(aside / "chunks.jsonl")
    lost = sum(chunk["rows"] for chunk in cut.chunks if chunk["id"] in left.begun and chunk["id"] not in left.done)
    second = _started(scratch, request)
    second.end()
    return {
        "equal": _same(Path(calm.summary()["output"]), Path(second.summary()["output"])),
        "rows": summary["rows"],
        "rows_before": before.rows,
        "rows_lost": lost,
        "evicted_after": round(asked - first.started, 3),
        "notice": notice,
        "took": round(took, 3),
        **compared(calm.seconds, first.seconds + second.seconds),
    }


def compared(undisturbed: float, seconds: float) -> dict[str, float]:
    """The part of a verdict that tells of time."""
    lost = seconds - undisturbed
    return {"undisturbed": round(undisturbed, 3), "seconds": round(seconds, 3), "seconds_lost": round(lost, 3)}


def _started(scratch: Path, request: Request) -> Attempt:
    return Attempt(scratch / request.run, "customai.workloads.batch", json.dumps(request.to_json()))


class Attempt:
    """A batch run as a process group of its own: a node."""

    def __init__(self, folder: Path, module: str, *arguments: str) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.started = time.monotonic()
        self.seconds = 0.0
        command = [sys.executable, "-m", module, *arguments]
        environment = {**os.environ, FOLDER_VARIABLE: str(self.folder)}
        self.process = subprocess.Popen(command, env=environment, start_new_session=True)

    def end(self) -> None:
        try:
            code = self.process.wait()
        finally:  # a cancelled rehearsal leaves nothing running
            self._signal(signal.SIGKILL)
        self.seconds = time.monotonic() - self.started
        if code != 0:
            told = read_json(self.folder / "error.json")
            raise RunFailed(f"the run failed: {told.get('message', f'exit code {code}')}", where=told.get("where", ""))

    def evict(self, notice: float) -> tuple[float, float]:
        """When it was asked to go, and how long that took."""
        asked = time.monotonic()
        self._signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(notice)
        self._signal(signal.SIGKILL)
        self.process.wait()
        gone = time.monotonic()
        self.seconds = gone - self.started
        return asked, gone - asked

    def goes_on(self) -> bool:
        return self.process.poll() is None

    def over(self) -> RunFailed:
        """What to raise where it has ended too soon."""
        self.end()
        hint = "give it a larger --input"
        return RunFailed("the run was over before the node could be taken away", hint=hint)

    def summary(self) -> dict[str, Any]:
        return read_json(self.folder / "result.json")

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


def _same(one: Path, other: Path) -> bool:
    """Whether two runs have the same parts and the same errors, row for row."""
    names = [sorted(file.name for file in place.glob("*.parquet")) for place in (one, other)]
    return names[0] == names[1] and all(
        pq.ParquetFile(one / name).read().equals(pq.ParquetFile(other / name).read()) for name in names[0]
    )
