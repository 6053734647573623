"""What if the machine, or an executor of a cluster, is taken away meanwhile? As workloads/batch/rehearsal.py finds out.

With local[*] the whole run is taken away, and comes back as another attempt. On a cluster it is an executor of the run,
on this machine: Spark itself brings it back, and the run goes on.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds

from customai.errors import NotAvailable
from customai.workloads.batch import output
from customai.workloads.batch.rehearsal import GLANCE, Attempt, attempts_of, compared, wait_for_a_moment
from customai.workloads.job.run import Run, read_json
from customai.workloads.spark.attempts import under_way
from customai.workloads.spark.request import BatchRequest

EXECUTOR = b"CoarseGrainedExecutorBackend"


def rehearse(run: Run, arguments: list[str], notice: float) -> dict[str, Any]:
    """The verdict. Raises RunFailed where the run is over too soon to be disturbed."""
    request, model = BatchRequest.from_json(arguments[0]), arguments[1:]
    with attempts_of(run) as (scratch, started):
        asked = replace(request, output=str(scratch / "output"), limit_errors=sys.maxsize)

        def start(name: str) -> Attempt:
            words = json.dumps(replace(asked, run=name).to_json())
            started.append(Attempt(scratch / name, "customai.workloads.spark.batch", words, *model))
            return started[-1]

        run.progress(0, 2, "runs", message="undisturbed")
        calm = start("undisturbed")
        _wait_until_it_scores(calm, _staging(asked, "undisturbed"))
        began = time.monotonic()
        if request.master.startswith("spark://"):
            _executors(calm, _staging(asked, "undisturbed"))  # there are some, or it says so now
        calm.end()
        run.progress(1, 2, "runs", message="with an eviction")
        first, staging = start("disturbed"), _staging(asked, "disturbed")
        _wait_until_it_scores(first, staging)
        wait_for_a_moment(first, calm.started + calm.seconds - began, lambda: _share(staging))
        told = _disturbed(first, staging, calm.summary()["rows"], request.master, notice)
        seconds = first.seconds
        if not (first.folder / "result.json").exists():
            second = start("disturbed")
            second.end()
            seconds += second.seconds
        same = _same(Path(calm.summary()["output"]), Path(first.summary()["output"]))
        return {"equal": same, **told, "notice": notice, **compared(calm.seconds, seconds)}


def _disturbed(first: Attempt, staging: Path, rows: int, master: str, notice: float) -> dict[str, Any]:
    """Takes it away; the rows that were lost are those of the tasks that were being done, told by their share of bytes."""
    found = under_way(staging) if first.goes_on() else None
    if found is None:
        raise first.over()
    sizes, done = found
    active = read_json(first.folder / "progress.json").get("active", 0)
    if master.startswith("spark://"):
        executors = _executors(first, staging)
        if not executors:
            raise first.over()
        active = -(-active // len(executors))
        asked, took = _end(random.choice(executors), notice)  # noqa: S311 (chance, not secrecy)
        first.end()
    else:
        asked, took = first.evict(notice)
    begun = [number for number in sorted(sizes) if number not in done][:active]
    share = rows / max(1, sum(sizes.values()))
    return {
        "rows": rows,
        "rows_before": round(share * sum(sizes[number] for number in done)),
        "rows_lost": round(share * sum(sizes[number] for number in begun)),
        "evicted_after": round(asked - first.started, 3),
        "took": round(took, 3),
    }


def _staging(request: BatchRequest, run: str) -> Path:
    return output.staging_of(request.output, run, Path(request.output))


def _wait_until_it_scores(attempt: Attempt, staging: Path) -> None:
    while attempt.goes_on() and (
        under_way(staging) is None or not read_json(attempt.folder / "progress.json").get("active")
    ):
        time.sleep(GLANCE)


def _share(staging: Path) -> float:
    """How much is done, of 1."""
    sizes, done = under_way(staging) or ({}, set())
    return len(done) / max(1, len(sizes))


def _executors(attempt: Attempt, staging: Path) -> list[int]:
    """The processes on this machine that work for it, as far as this user may end them; none where it has just ended."""
    application = read_json(attempt.folder / "progress.json").get("application", "").encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (process / "cmdline").read_bytes()
            if application and EXECUTOR in words and application in words:
                os.kill(int(process.name), 0)
                found.append(int(process.name))
    if not found and under_way(staging):
        hint = "rehearse it on a machine of the cluster, as the user of its workers, or with spark.master: local[*]"
        raise NotAvailable("no executor of this run is on this machine: there is nothing to take away", hint=hint)
    return found


def _end(process: int, notice: float) -> tuple[float, float]:
    """SIGTERM, notice, SIGKILL. When it was asked to go, and how long that took."""
    asked = time.monotonic()
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGTERM)
        while time.monotonic() < asked + notice and not _is_over(process):
            time.sleep(GLANCE)
        os.kill(process, signal.SIGKILL)
    return asked, time.monotonic() - asked


def _is_over(process: int) -> bool:
    try:
        return (Path("/proc") / str(process) / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _same(one: Path, other: Path) -> bool:
    """Whether two runs have the same rows, in whatever order and files."""
    tables = [ds.dataset(place, partitioning="hive", format="parquet").to_table() for place in (one, other)]
    ordered = [table.sort_by([(name, "ascending") for name in table.column_names]) for table in tables]
    return bool(ordered[0].equals(ordered[1]))
