"""Path 2-3 run whole: real Spark, real files, killed at bad moments."""

# ruff: noqa: E402 (without the extra there is nothing to import)

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.ports import free_port

pytest.importorskip("pyspark", reason="the extra spark is not installed")
pa = pytest.importorskip("pyarrow", reason="the extra spark is not installed")

import onnxruntime as ort
import pyarrow.parquet as pq

from customai.workloads.job.run import FOLDER_VARIABLE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # Spark takes its time to start on a busy machine
PATH = Path(__file__).parents[2] / "paths" / "2-3"
ROWS = 8000
PATIENCE = 400
PARTS = sorted((PATH / "data").glob("*.parquet"))


@pytest.fixture(autouse=True)
def quick_java(monkeypatch: pytest.MonkeyPatch) -> None:
    """A JVM that starts with less work: these tests start many."""
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")


class Batch:
    """A copy of path 2-3 that is the test's own, with a smaller data set unless it asks for all."""

    def __init__(self, folder: Path, cli: Callable[..., Any]) -> None:
        self.folder, self.cli = folder, cli
        cli("init", "2-3", folder)
        self.edit(master="local[2]", memory="1g")

    def edit(self, **values: str) -> Batch:
        spec = self.folder / "customai.yaml"
        text = spec.read_text()
        for key, value in values.items():
            text, count = re.subn(rf"(?m)^( *){key}: [^#\n]*", rf"\g<1>{key}: {value} ", text)
            assert count == 1, key
        spec.write_text(text)
        return self

    def data(self, *parts: int) -> Batch:
        """Keeps only these of the four files."""
        for number, part in enumerate(PARTS):
            if number not in parts:
                (self.folder / "data" / part.name).unlink(missing_ok=True)
        return self

    def deploy(self, code: int = 0, *words: str, **more: str) -> Any:
        return self.cli("deploy", self.folder, *words, code=code, timeout=PATIENCE, **more)

    def output(self, run: str = "deploy") -> Path:
        return self.folder / "predictions" / f"run={run}"

    def table(self, run: str = "deploy") -> Any:
        return pq.read_table(self.output(run)).sort_by([("machine", "ascending"), ("hour", "ascending")])


@pytest.fixture
def batch(tmp_path: Path, cli: Callable[..., Any]) -> Iterator[Batch]:
    made = Batch(tmp_path / "batch", cli)
    yield made
    cli("destroy", "batch", "--yes", code=None)


def expected(*parts: int) -> tuple[Any, Any]:
    """What onnxruntime alone says: labels and probabilities, by machine and hour."""
    table = pa.concat_tables([pq.read_table(PARTS[number]) for number in parts])
    table = table.sort_by([("machine", "ascending"), ("hour", "ascending")])
    session = ort.InferenceSession(PATH / "model.onnx")
    feed = {}
    for tensor in session.get_inputs():
        values = table[tensor.name].to_numpy()
        feed[tensor.name] = values.astype(object if "string" in tensor.type else np.float64)[:, None]
    (found,) = session.run(None, feed)
    return np.array(["ok", "failure"])[found.argmax(1)].tolist(), found.max(1)


def assert_right(table: Any, *parts: int) -> None:
    labels, probabilities = expected(*parts)
    assert table["label"].to_pylist() == labels
    np.testing.assert_array_equal(table["probability"].to_numpy(), probabilities)
    assert table["error"].null_count == len(labels)


def test_a_data_set_is_scored_once_and_again_only_when_it_has_changed(batch: Batch) -> None:
    summary = batch.deploy(0, "-o", "json").json["outputs"]["score"]["result"]
    assert summary["rows"] == ROWS
    assert (summary["errors"], summary["unreadable"], summary["output"]) == (0, [], str(batch.output()))
    assert summary["rows_per_second"] > 0
    assert json.loads((batch.output() / "_summary.json").read_text())["rows"] == ROWS
    assert_right(batch.table(), 0, 1, 2, 3)
    assert {folder.name for folder in batch.output().glob("type=*")} == {
        f"type={t}" for t in ("press", "mill", "lathe", "pump")
    }
    assert "nothing to do" in batch.deploy().out

    batch.data(1, 3)
    batch.deploy()
    assert_right(batch.table(), 1, 3)  # the old run is gone as a whole
    assert [each.name for each in (batch.folder / "predictions").iterdir()] == ["run=deploy"]


def test_the_pipeline_itself_scores_the_same(batch: Batch) -> None:
    batch.data(0).edit(scorer="sparkml").deploy()
    labels, probabilities = expected(0)
    table = batch.table()
    assert table["label"].to_pylist() == labels
    np.testing.assert_allclose(table["probability"].to_numpy(), probabilities, atol=1e-6)


def test_rows_and_files_that_cannot_be_scored_are_told_and_the_rest_is_done(batch: Batch) -> None:
    folder = batch.folder / "data"
    text = folder / "rows.csv"
    rows = pq.read_table(PARTS[0]).slice(0, 6).to_pylist()
    rows[1]["vibration"], rows[2]["type"], rows[3]["age"] = "loud", "", ""
    lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    for part in PARTS:
        (folder / part.name).unlink()
    text.write_text("\n".join(lines) + "\n")
    (folder / "empty.csv").write_text("")

    batch.edit(partition_by="[]").deploy(1).failed(
        1, "3 of 6 rows", "1 files could not be read", "empty.csv", "it is empty"
    )
    told = {row["machine"]: row["error"] for row in pq.read_table(batch.output()).to_pylist()}
    wrong = {"2": "vibration is no number: loud", "3": "type is missing", "4": "age is missing"}
    assert told == {str(n): wrong.get(str(n)) for n in range(1, 7)}
    batch.edit(limit_errors="4").deploy()


def test_a_file_damaged_deep_inside_is_named_and_the_others_are_scored(batch: Batch) -> None:
    damaged = batch.data(0, 2).folder / "data" / PARTS[2].name
    data = bytearray(damaged.read_bytes())
    data[4:3000] = random.Random(1).randbytes(2996)  # the pages; the footer is whole
    damaged.write_bytes(data)
    batch.deploy(1).failed(1, "1 files could not be read", damaged.name)
    assert_right(batch.table(), 0)


def test_a_column_that_only_one_of_the_files_has_changes_nothing(batch: Batch) -> None:
    for part in (0, 2):  # the first of what is read, and one in between
        table = pq.read_table(PARTS[part])
        extra = table.append_column("remark", pa.array(["new"] * table.num_rows))
        pq.write_table(extra, batch.data(0, 1, 2).folder / "data" / PARTS[part].name)
        summary = batch.deploy(0, "-o", "json").json["outputs"]["score"]["result"]
        assert (summary["unchanged"], summary["rows"], summary["unreadable"]) == (False, 6000, [])
        assert_right(batch.table(), 0, 1, 2)
        assert "remark" not in batch.table().column_names
        pq.write_table(table, batch.folder / "data" / PARTS[part].name)


def test_a_killed_run_leaves_the_old_one_and_the_next_is_whole(batch: Batch, wait_for: Callable[..., Any]) -> None:
    batch.data(0).deploy()
    shutil.copy(PARTS[1], batch.folder / "data")
    chance = random.Random(7)
    state = batch.folder.parent / "customai-home" / "deployments" / "batch" / "jobs" / "score"
    for _ in range(2):
        command = [sys.executable, "-m", "customai", "deploy", str(batch.folder)]
        deploy = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        job = wait_for(lambda: [told for told in map(running, state.glob("*/state.json")) if told], PATIENCE)[0]
        time.sleep(chance.uniform(0.5, 7))
        for group in (deploy.pid, job["pid"], job["work"]):
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        deploy.wait()
        if batch.table().num_rows == 2000:  # killed before the end: the old run is still there, and whole
            assert_right(batch.table(), 0)
    batch.deploy()
    assert_right(batch.table(), 0, 1)
    assert [each.name for each in (batch.folder / "predictions").iterdir()] == ["run=deploy"]


def running(state: Path) -> Any:
    told = json.loads(state.read_text())
    return told if told["status"] == "running" and Path(f"/proc/{told['work']}").exists() else None


BAD = {
    "a missing column": ({"keep": "[machine, sensor]"}, 2, ("no column 'sensor'", "machine, hour")),
    "no data": ({"input": "nowhere"}, 2, ("nowhere",)),
    "an output that is a file": ({"output": "customai.yaml"}, 1, ("output cannot be written",)),
    "a model of other columns": ({"keep": "[label]"}, 2, ("a column that is made here: label",)),
    "a pipeline that is none": ({"scorer": "sparkml", "pipeline": "data"}, 3, ("not a saved SparkML pipeline",)),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_a_clear_error(batch: Batch, case: str) -> None:
    values, code, words = BAD[case]
    if case == "a model of other columns":
        (batch.folder / "data" / "rows.parquet").parent.mkdir(exist_ok=True)
        for part in PARTS:
            table = pq.read_table(part)
            pq.write_table(table.append_column("label", table["type"]), batch.folder / "data" / part.name)
    batch.edit(**values).deploy(code).failed(code, *words)


@pytest.mark.parametrize(("java", "words"), [(None, "there is none"), ("1.8.0_392", "this is Java 8")])
def test_no_java_or_an_old_one_is_told_before_spark_is_started(
    batch: Batch, tmp_path: Path, java: str | None, words: str
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    if java is not None:
        (programs / "java").write_text(f"""#!/bin/sh\necho 'openjdk version "{java}"' >&2\n""")
        (programs / "java").chmod(0o755)
    batch.deploy(3, PATH=str(programs), JAVA_HOME="").failed(3, words, "JAVA_HOME")


def test_a_master_that_is_not_there_is_told(batch: Batch) -> None:
    batch.data(0).edit(master=f"spark://127.0.0.1:{free_port()}").deploy(3).failed(
        3, "the Spark master does not answer"
    )


def test_a_dry_run_tells_and_writes_nothing(batch: Batch) -> None:
    batch.data(0).deploy()
    (batch.folder / "data" / "bad.parquet").write_bytes(b"")
    told = batch.cli(
        "score-batch", "run", batch.folder, "--name", "other", "--dry-run", "-o", "json", timeout=PATIENCE
    ).json
    assert (told["rows"], told["files"], told["run"]) == (2000, 1, "other")
    assert told["unreadable"][0]["reason"] == "it is empty"
    assert [each.name for each in (batch.folder / "predictions").iterdir()] == ["run=deploy"]


def test_the_job_alone_runs_without_the_command_line(tmp_path: Path) -> None:
    """As it would in a container: a folder to run in, a request, a model folder that is not there."""
    request = {"name": "alone", "input": str(PATH / "data"), "output": str(tmp_path / "out")}
    command = [sys.executable, "-m", "customai.workloads.spark.batch", json.dumps(request), str(tmp_path)]
    env = os.environ | {FOLDER_VARIABLE: str(tmp_path)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert json.loads((tmp_path / "error.json").read_text())["type"] == "NotFound"
    assert "there is no model.json" in done.stderr
