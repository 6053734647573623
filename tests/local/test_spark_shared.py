"""A batch run in a session that is there already, as on a cluster in Azure: over a folder that all see, and over a URL."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyspark", reason="the extra spark is not installed")
pq = pytest.importorskip("pyarrow.parquet", reason="the extra spark is not installed")

from customai.provisioning import model  # noqa: E402
from customai.workloads.job.run import FOLDER_VARIABLE  # noqa: E402
from customai.workloads.spark.session import EXISTING  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
PATH = Path(__file__).parents[2] / "paths" / "2-3"
PARTS = sorted((PATH / "data").glob("*.parquet"))[:2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set of two files, one more without its end, and one whose middle is gone; beside it the model's folder."""
    data, kept = tmp_path / "data", tmp_path / "model"
    data.mkdir()
    kept.mkdir()
    for part in PARTS:
        shutil.copy(part, data)
    whole = PARTS[0].read_bytes()
    third = len(whole) // 3
    (data / "cut.parquet").write_bytes(whole[:-50])
    (data / "damaged.parquet").write_bytes(whole[:third] + bytes(3000) + whole[third + 3000 :])
    shutil.copy(PATH / "model.onnx", kept)
    step = model.step(
        "model",
        source=str(PATH / "model.onnx"),
        sha256=sha256((PATH / "model.onnx").read_bytes()).hexdigest(),
        name="x",
        version="1",
        labels=(PATH / "labels.txt").read_text(encoding="utf-8").split(),
        scores="probabilities",
        preprocessing=None,
        smoke_test=None,
        why="",
    )
    (kept / "model.json").write_text(json.dumps(model.local(step.inputs)["model"]), encoding="utf-8")
    return tmp_path


def ran(folder: Path, **asked: Any) -> tuple[int, dict[str, Any]]:
    """The exit code, and the result or the error."""
    request = {"name": "x", "master": EXISTING, "run": "a", "keep": ["machine"], "limit_errors": 2, **asked}
    quick = {"JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC", "SPARK_LOCAL_IP": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, "-m", "customai.workloads.spark.batch", json.dumps(request), str(folder / "model")],
        env=os.environ | quick | {FOLDER_VARIABLE: str(folder), "PYSPARK_PYTHON": sys.executable},
        check=False,
        timeout=600,
    )
    said = folder / ("result.json" if done.returncode == 0 else "error.json")
    return done.returncode, json.loads(said.read_text(encoding="utf-8"))


@pytest.mark.parametrize("prefix", ["", "file://"], ids=["a folder", "a URL"])
def test_what_cannot_be_read_is_set_aside_and_all_else_is_scored_once(folder: Path, prefix: str) -> None:
    places = {"input": f"{prefix}{folder}/data", "output": f"{prefix}{folder}/out"}
    code, told = ran(folder, **places)
    assert code == 0
    assert (told["rows"], told["rows_in_error"], told["unchanged"]) == (sum(map(rows, PARTS)), 0, False)
    assert sorted(Path(each["file"]).name for each in told["unreadable"]) == ["cut.parquet", "damaged.parquet"]
    made = folder / "out" / "run=a"
    assert sum(map(rows, made.glob("part-*.parquet"))) == told["rows"]
    before = sorted(each.name for each in made.iterdir())
    assert ran(folder, **places)[1]["unchanged"] is True
    assert sorted(each.name for each in made.iterdir()) == before

    code, told = ran(folder, **places, nulls="nan")  # another request: the run is replaced
    assert (code, told["unchanged"]) == (0, False)
    assert sum(map(rows, made.glob("part-*.parquet"))) == told["rows"]


def test_a_url_with_nothing_under_it_is_an_error_of_the_spec(folder: Path) -> None:
    code, told = ran(folder, input=f"file://{folder}/nowhere", output=f"file://{folder}/out")
    assert code == 2
    assert told["where"].endswith("/nowhere")


def rows(file: Path) -> int:
    return int(pq.read_metadata(file).num_rows)
