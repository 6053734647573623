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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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
GLANCE = 0.02  # seconds between two looks


def rehearse(run: Run, request: Request, notice: float) -> dict[str, Any]:
    """The verdict. Raises RunFailed where the run is over too soon to be disturbed."""
    with attempts_of(run) as (scratch, started):
        asked = replace(request, output=str(scratch / "output"), limit_errors=sys.maxsize)

        def start(name: str) -> Attempt:
            words = json.dumps(replace(asked, run=name).to_json())
            started.append(Attempt(scratch / name, "customai.workloads.batch", words))
            return started[-1]

        run.progress(0, 2, "runs", message="undisturbed")
        calm = start("undisturbed")
        calm.end()
        run.progress(1, 2, "runs", message="with an eviction")
        first = start("disturbed")
        told = _disturbed(first, output.staging_of(asked.output, "disturbed", scratch), calm.summary(), notice)
        second = start("disturbed")
        second.end()
        same = _same(Path(calm.summary()["output"]), Path(second.summary()["output"]))
        return {"equal": same, **told, "notice": notice, **compared(calm.seconds, first.seconds + second.seconds)}


def _disturbed(first: Attempt, aside: Path, calm: dict[str, Any], notice: float) -> dict[str, Any]:
    """Takes it away; the rows of the chunks that were begun and not done are lost."""
    record = aside / "chunks.jsonl"
    while first.goes_on() and not staging.read(record).begun:
        time.sleep(GLANCE)
    try:
        cut = Cut.read(aside / "manifest.jsonl")
    except FileNotFoundError:
        raise first.over() from None
    wait_for_a_moment(first, calm["seconds"], lambda: staging.read(record).rows / max(1, calm["rows"]))
    before = staging.read(record)
    if not first.goes_on():
        raise first.over()
    asked, took = first.evict(notice)
    left = staging.read(record)
    return {
        "rows": calm["rows"],
        "rows_before": before.rows,
        "rows_lost": sum(chunk["rows"] for chunk in cut.chunks if chunk["id"] in left.begun.keys() - left.done.keys()),
        "evicted_after": round(asked - first.started, 3),
        "took": round(took, 3),
    }


def wait_for_a_moment(attempt: Attempt, seconds: float, share: Callable[[], float]) -> None:
    """At random while it scores, which took so many seconds before; not so late that nothing is left to be disturbed."""
    moment = time.monotonic() + random.uniform(EARLIEST, LATEST) * seconds  # noqa: S311 (chance, not secrecy)
    while attempt.goes_on() and time.monotonic() < moment and share() < LATEST:
        time.sleep(GLANCE)


@contextmanager
def attempts_of(run: Run) -> Iterator[tuple[Path, list[Attempt]]]:
    """A scratch folder, and a list for what is started in it: whatever happens, nothing is left of either."""
    scratch, started = run.folder / "rehearsal", list[Attempt]()
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        yield scratch, started
    finally:
        for attempt in started:
            if not attempt.seconds:  # it was not seen to its end: the rehearsal was cancelled, or failed
                attempt.evict(0)
        shutil.rmtree(scratch, ignore_errors=True)


def compared(undisturbed: float, seconds: float) -> dict[str, float]:
    """The part of a verdict that tells of time."""
    lost = seconds - undisturbed
    return {"undisturbed": round(undisturbed, 3), "seconds": round(seconds, 3), "seconds_lost": round(lost, 3)}


class Attempt:
    """A batch run as a process group of its own: a node."""

    def __init__(self, folder: Path, module: str, *arguments: str) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.started = time.monotonic()
        self.seconds = 0.0  # that it took, once it is over
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
