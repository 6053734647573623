"""Spark batch runs that are killed, run out of something, or find damage: nothing is lost, and nothing done twice."""

# ruff: noqa: E402 (without the extra there is nothing to import)

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyspark", reason="the extra spark is not installed")
pa = pytest.importorskip("pyarrow", reason="the extra spark is not installed")

import pyarrow.dataset as ds
import pyarrow.parquet as pq

from customai.workloads.job.run import FOLDER_VARIABLE, read_json

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # Spark takes its time to start on a busy machine
PATH = Path(__file__).parents[2] / "paths" / "2-3"
ROWS, EACH = 8000, 100  # in all, and in a file: every file is a task
PATIENCE = 600
KILLS = 20


@pytest.fixture(autouse=True)
def quick_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")


class Job:
    """The job of path 2-3 alone, as a session of processes of its own; many small files, each a task."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.input, self.output = folder, folder / "data", folder / "out"
        self.model = folder / "model"
        for made in (self.input, self.model):
            made.mkdir(parents=True)
        table = pa.concat_tables([pq.read_table(part) for part in sorted((PATH / "data").glob("*.parquet"))])
        assert table.num_rows == ROWS
        for first in range(0, ROWS, EACH):
            pq.write_table(table.slice(first, EACH), self.input / f"{first:05}.parquet")
        data = (PATH / "model.onnx").read_bytes()
        (self.model / "model.onnx").write_bytes(data)
        card = {"name": "m", "version": "1", "labels": ["ok", "failure"], "scores": "probabilities"}
        card |= {"format": 1, "smoke_test": None, "preprocessing": None, "sha256": hashlib.sha256(data).hexdigest()}
        (self.model / "model.json").write_text(json.dumps(card))

    def start(self, run: str = "r", *words: str, conf: dict[str, str] | None = None, **asked: Any) -> Any:
        sizes = {"spark.sql.files.maxPartitionBytes": "32k", "spark.sql.files.openCostInBytes": "32k"}
        request = {"name": "t", "input": str(self.input), "output": str(self.output), "run": run, "memory": "700m"}
        request |= {"master": "local[2]", "keep": ["machine", "hour"], "conf": sizes | (conf or {})} | asked
        self.place = self.folder / f"job-{run}"
        self.place.mkdir(exist_ok=True)
        for left_over in ("result.json", "error.json"):
            (self.place / left_over).unlink(missing_ok=True)
        command = [sys.executable, "-m", "customai.workloads.spark.batch", json.dumps(request), str(self.model), *words]
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        with open(self.place / "log", "a") as log:
            return subprocess.Popen(
                command, env=kept | {FOLDER_VARIABLE: str(self.place)}, start_new_session=True, stdout=log, stderr=log
            )

    def run(self, run: str = "r", *words: str, **asked: Any) -> dict[str, Any]:
        """result.json, or error.json as {"error": ...}."""
        process = self.start(run, *words, **asked)
        try:
            code = process.wait(PATIENCE)
        finally:
            kill(process)
        if code == 0:
            return read_json(self.place / "result.json")
        return {"error": read_json(self.place / "error.json")}

    def staging(self, run: str = "r") -> Path:
        return self.output / f"_run={run}"

    def finished(self, run: str = "r") -> set[str]:
        """The files of the tasks that are done; each attempt gives its files names of their own."""
        found = [(root, name) for root, _, names in os.walk(self.staging(run)) for name in names]
        return {name for root, name in found if name.startswith("part-") and "/attempt_" not in root}

    def table(self, run: str = "r") -> Any:
        table = ds.dataset(self.output / f"run={run}", partitioning="hive").to_table()
        return table.sort_by([("machine", "ascending"), ("hour", "ascending")])

    def names(self, run: str = "r") -> set[str]:
        return {file.name for file in (self.output / f"run={run}").rglob("*.parquet")}

    def assert_whole(self, run: str = "r") -> None:
        """Every row once, and as the first file's and the last's would be alone."""
        given = ds.dataset(self.input, format="parquet").to_table(["machine", "hour"])
        given = given.sort_by([("machine", "ascending"), ("hour", "ascending")])
        table = self.table(run)
        assert table.select(["machine", "hour"]).equals(given.cast(table.select(["machine", "hour"]).schema))
        assert table["error"].null_count == table.num_rows
        assert not self.staging(run).exists()


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


def session_of(leader: int) -> list[int]:
    """Every process of the session that it leads: Spark's Python workers have groups of their own."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, _, session = stat.read_text().rpartition(")")[2].split()[:4]
            if int(session) == leader and state != "Z":
                found.append(int(stat.parent.name))
    return found


def kill(process: subprocess.Popen[bytes]) -> None:
    """Everything of it at once, as far as that can be, and whatever it starts meanwhile."""
    while alive := session_of(process.pid):
        for each in alive:
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        time.sleep(0.01)
    process.wait()


def until(true: Callable[[], Any], process: subprocess.Popen[bytes]) -> None:
    """Waits for it, or for the end of the process."""
    deadline = time.monotonic() + PATIENCE
    while not true() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.timeout(1200)
def test_killed_at_random_twenty_times_every_row_is_scored_once_and_what_was_done_is_not_done_again(job: Job) -> None:
    seed = random.randrange(10**6)
    chance, run, kept, scoring = random.Random(seed), 0, dict[str, set[str]](), 0
    for number in range(KILLS):
        name = f"r{run}"
        process = job.start(name, partition_by=["type"] if run % 2 else [])
        try:
            had = job.finished(name)
            if number % 3:
                time.sleep(chance.uniform(0, 6))  # while it starts, mostly
            else:
                enough = len(had) + chance.randint(1, 20)
                until(lambda name=name, enough=enough: len(job.finished(name)) >= enough, process)
                time.sleep(chance.uniform(0, 0.2))
        finally:
            kill(process)
        kept[name] = job.finished(name)
        if (job.output / f"run={name}").exists():
            assert job.names(name) >= had, seed
            run += 1  # it came through: the next kills are another run's
            continue
        assert kept[name] >= had, seed
        scoring += kept[name] > had
    assert scoring, f"no kill came while it scored (seed {seed})"
    for number in range(run + 1):
        name = f"r{number}"
        found = job.run(name, partition_by=["type"] if number % 2 else [])
        assert (found["rows"], found["errors"]) == (ROWS, 0), seed
        job.assert_whole(name)
        if kept.get(name) and not found["unchanged"]:
            assert kept[name] <= job.names(name), f"what was done was done again (seed {seed})"


def test_the_pipeline_itself_goes_on_where_it_was_killed(job: Job) -> None:
    asked = {"scorer": "sparkml", "pipeline": str(PATH / "pipeline"), "labels": ["ok", "failure"]}
    process = job.start(**asked)
    try:
        until(lambda: len(job.finished()) > 3, process)
    finally:
        kill(process)
    kept = job.finished()
    assert kept, "nothing was done before it was killed"
    assert not (job.output / "run=r").exists()
    found = job.run(**asked)
    assert (found["rows"], found["errors"], found["attempts"], found["scorer"]) == (ROWS, 0, 2, "sparkml")
    assert kept <= job.names(), "what was done was done again"
    assert set(job.table()["label"].to_pylist()) == {"ok", "failure"}
    job.assert_whole()


def test_another_request_of_the_same_name_takes_nothing_of_a_killed_one(job: Job) -> None:
    process = job.start()
    try:
        until(lambda: len(job.finished()) > 3, process)
    finally:
        kill(process)
    left = job.finished()
    assert left, "nothing was done before it was killed"
    assert not (job.output / "run=r").exists()
    found = job.run(keep=["machine", "hour", "age"])
    assert (found["rows"], found["attempts"]) == (ROWS, 1)
    assert "age" in job.table().column_names
    assert not left & job.names()
    job.assert_whole()


def python_workers(leader: int) -> list[int]:
    """Those that score: children of Spark's daemon, which is Python too."""
    found = []
    for each in session_of(leader):
        with suppress(OSError):
            parent = int(Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()[1])
            commands = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in (each, parent)]
            if all(b"pyspark.daemon" in command for command in commands):
                found.append(each)
    return found


def test_a_python_worker_that_is_killed_is_replaced_and_its_task_done_again(job: Job) -> None:
    process = job.start()
    try:
        until(lambda: job.finished() and python_workers(process.pid), process)
        workers = python_workers(process.pid)
        assert workers, "it was over before a worker could be killed"
        with suppress(ProcessLookupError):
            os.kill(workers[0], signal.SIGKILL)
        assert process.wait(PATIENCE) == 0
    finally:
        kill(process)
    assert read_json(job.place / "result.json")["attempts"] == 1
    job.assert_whole()


def test_workers_without_memory_are_told_and_the_run_goes_on_with_more(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited = job.folder / "limited"
    limited.mkdir()
    (limited / "sitecustomize.py").write_text(
        "import resource, sys\n"
        "if 'pyspark.daemon' in sys.orig_argv:\n"
        "    resource.setrlimit(resource.RLIMIT_AS, (250_000_000, 250_000_000))\n"
    )
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", str(limited))
        error = job.run()["error"]
    assert error["exit_code"] in (1, 3), error
    assert "memory" in error["message"], error
    assert "it goes on where it was" in error["hint"]
    assert not (job.output / "run=r").exists()
    assert job.run()["rows"] == ROWS
    job.assert_whole()


def test_a_full_disk_is_told_and_the_run_goes_on_when_there_is_room(job: Job) -> None:
    job.output.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", job.output], check=False)
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount a file system")
    try:
        filler = job.output / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        os.truncate(filler, filler.stat().st_size - 60 * 4096)
        error = job.run()["error"]
        assert (error["type"], error["exit_code"]) == ("NoQuota", 3), error
        assert "the disk is full" in error["message"]
        assert not (job.output / "run=r").exists()
        done = job.finished()
        filler.unlink()
        subprocess.run(["mount", "-o", "remount,size=100m", job.output], check=True)
        found = job.run()
        assert (found["rows"], found["attempts"]) == (ROWS, 2)
        assert done <= job.names()
        job.assert_whole()
    finally:
        subprocess.run(["umount", "--lazy", job.output], check=True)


def test_a_rehearsed_eviction_tells_what_it_costs_and_that_the_result_is_the_same(job: Job) -> None:
    found = job.run("r", "--rehearse-eviction", "0")
    assert (found["equal"], found["rows"]) == (True, ROWS), found
    assert 0 <= found["rows_lost"] <= 4 * EACH
    assert 0 <= found["rows_before"] < ROWS
    assert found["seconds_lost"] == pytest.approx(found["seconds"] - found["undisturbed"], abs=0.002)
    assert not job.output.exists()
    assert not (job.place / "rehearsal").exists()
