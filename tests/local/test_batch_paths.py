"""Paths 2-4 and 2-6 as a user runs them: deploy, run, runs, cancel, the schedule, and what is left behind."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow", reason="batch scoring needs: pip install 'customai[batch]'")
import pyarrow.parquet as pq  # noqa: E402

REPOSITORY = Path(__file__).parents[2]


class Copy:
    """A copy of a path that is the test's own."""

    def __init__(self, folder: Path, path: str, cli: Any) -> None:
        shutil.copytree(REPOSITORY / "paths" / path, folder, ignore=shutil.ignore_patterns("predictions"))
        self.folder, self.spec, self.cli = folder, folder / "customai.yaml", cli

    def edit(self, **values: object) -> None:
        """Gives keys other values, or adds them."""
        text = self.spec.read_text()
        for key, value in values.items():
            line = f"{key}: {value}\n"
            text, found = re.subn(rf"(?m)^{key}: .*\n", line, text)
            text += "" if found else line
        self.spec.write_text(text)

    def __call__(self, *words: object, **more: Any) -> Any:
        verb, *rest = words
        return self.cli("score-batch", verb, self.spec, *rest, **more)

    def json(self, *words: object) -> Any:
        return self(*words, "-o", "json").json

    def status(self) -> Any:
        return self.cli("status", "sensors", "-o", "json").json["deployments"][0]

    def rows(self, run: str = "deploy") -> list[dict[str, Any]]:
        parts = sorted((self.folder / "predictions" / f"run={run}").glob("part-*.parquet"))
        return [row for part in parts for row in pq.ParquetFile(part).read().to_pylist()]

    def jobs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.json("runs")["runs"]
        return found


@pytest.fixture
def sensors(tmp_path: Path, cli: Any) -> Iterator[Copy]:
    made = Copy(tmp_path / "sensors", "2-4", cli)
    yield made
    cli("destroy", "sensors", "--yes")
    assert not processes(tmp_path)


@pytest.fixture
def digits(tmp_path: Path, cli: Any) -> Iterator[Copy]:
    made = Copy(tmp_path / "digits", "2-6", cli)
    yield made
    cli("destroy", "digits-batch", "--yes")
    assert not processes(tmp_path)


def processes(folder: Path) -> dict[int, str]:
    """Those whose command names this folder, but for those that are just ending."""
    deadline = time.monotonic() + 5
    while (found := dict(_processes(folder))) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def _processes(folder: Path) -> Iterator[tuple[int, str]]:
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(folder) in command and int(process.name) != os.getpid():
                yield int(process.name), command


def test_path_2_4_scores_every_reading_with_the_model_of_its_sensor(sensors: Copy) -> None:
    import onnxruntime as ort

    said = sensors("deploy").out
    assert "scored  9,216" in said
    rows = sensors.rows()
    assert [row["reading"] for row in rows] == list(range(9216))
    read = pa.concat_tables([pq.ParquetFile(file).read() for file in sorted((sensors.folder / "data").iterdir())])
    for sensor in sorted(set(read["sensor"].to_pylist())):
        mine = np.array([name == sensor for name in read["sensor"].to_pylist()])
        x = np.column_stack([read[name].to_numpy()[mine] for name in ("temperature", "vibration", "current")])
        label, scores = ort.InferenceSession(sensors.folder / "models" / f"{sensor}.onnx").run(None, {"X": x})
        scored = [row for row in rows if row["sensor"] == sensor]
        assert [row["label"] for row in scored] == label.ravel().tolist()
        np.testing.assert_allclose([row["scores"] for row in scored], scores.ravel(), rtol=1e-5)
    wrong = np.array(read["anomaly"].to_pylist())
    alarm = np.array([row["label"] == -1 for row in rows])
    assert (alarm & wrong).sum() / wrong.sum() > 0.6, "the models find most of the wrong readings, as their card says"


def test_rows_of_a_sensor_without_a_model_are_listed_and_the_others_scored(sensors: Copy) -> None:
    (sensors.folder / "models" / "pump-3.onnx").unlink()
    failed = sensors("deploy", code=1)
    failed.failed(1, "1,152 of 9,216 inputs could not be scored, 0 are allowed", "_errors.csv", "--limit-errors 1152")
    sensors.edit(limit_errors=2000)
    sensors("deploy")
    errors = (sensors.folder / "predictions" / "run=deploy" / "_errors.csv").read_text().splitlines()
    assert len(errors) == 1 + 1152
    assert errors[1].endswith("there is no model for sensor 'pump-3'")
    assert {row["sensor"] for row in sensors.rows()} == {f"pump-{number}" for number in (1, 2, 4, 5, 6, 7, 8)}


def test_path_2_6_scores_every_image_and_lists_the_damaged_one(digits: Copy) -> None:
    said = digits("deploy").out
    assert "errors  1: " in said
    rows = digits.rows()
    assert len(rows) == 100
    assert list(rows[0]) == ["image", "bytes", "sha256", "model", "label", "probability"]
    right = [row for row in rows if row["image"].endswith(f"-of-{row['label']}.png")]
    assert len(right) >= 97
    for row in rows[:3]:
        image = digits.folder / "images" / row["image"]
        assert row["bytes"] == image.stat().st_size
    run = digits.folder / "predictions" / "run=deploy"
    assert (run / "_errors.csv").read_text().splitlines()[1].startswith("damaged.png,,it is damaged")
    assert len((run / "_csv" / "part-00000.csv").read_text().splitlines()) == 101
    digits("run", "--limit-errors", 0, code=1).failed(1, "1 of 101 inputs could not be scored, 0 are allowed")
    archive = shutil.make_archive(str(digits.folder / "images"), "zip", digits.folder / "images")
    zipped = digits.json("run", "--input", archive, "--name", "zipped")
    assert (zipped["rows"], zipped["errors"]) == (100, 1)
    assert digits.rows("zipped") == rows


def test_deploy_does_nothing_twice_and_scores_again_when_input_or_output_have_changed(sensors: Copy) -> None:
    sensors("deploy")
    assert "is done as it was: nothing to do" in sensors("deploy").out
    first = min((sensors.folder / "data").iterdir())
    first.rename(sensors.folder / "aside.parquet")
    assert "scored  6,912" in sensors("deploy").out
    assert len(sensors.rows()) == 6912
    shutil.rmtree(sensors.folder / "predictions")
    sensors("deploy")
    assert len(sensors.rows()) == 6912


def test_runs_have_names_and_are_told_with_their_figures(sensors: Copy, tmp_path: Path) -> None:
    sensors("deploy")
    one = min((sensors.folder / "data").iterdir())
    found = sensors.json("run", "--name", "one-day", "--input", one, "--output-folder", tmp_path / "elsewhere")
    assert (found["rows"], found["errors"], found["unchanged"]) == (2304, 0, False)
    assert found["rows_per_second"] > 0
    assert found["seconds"] > 0
    assert found["output"] == str(tmp_path / "elsewhere" / "run=one-day")
    assert Path(found["output"], "_summary.json").exists()
    again = sensors.json("run", "--name", "one-day", "--input", one, "--output-folder", tmp_path / "elsewhere")
    assert again["unchanged"] is True
    told = sensors.jobs()
    assert [(each["run"], each["status"]) for each in told] == [
        ("deploy", "succeeded"),
        ("one-day", "succeeded"),
        ("one-day", "succeeded"),
    ]
    assert re.search(r"one-day +succeeded +\d+ s ago +2,304 +0", sensors("runs").out)


def test_a_dry_run_changes_nothing(sensors: Copy) -> None:
    sensors("deploy")
    shutil.rmtree(sensors.folder / "predictions")
    said = sensors("run", "--dry-run").out
    assert "4 files, 9,216 rows" in said
    assert "model takes  temperature, vibration, current" in said
    assert "not used     anomaly" in said
    assert not (sensors.folder / "predictions").exists()


WRONG_WORDS = (
    (("--name", "../up"), "is no name for a run"),
    (("--input", "nowhere"), "the input is not there"),
    (("--input", "s3://bucket/x"), "expected a path, or a URL with one of abfss://"),
    (("--dry-run", "--rehearse-eviction"), "do not go together"),
    (("--limit-errors", "-1"), "is not in the range"),
)


def test_a_wrong_command_line_is_told(sensors: Copy) -> None:
    sensors("deploy")
    for words, told in WRONG_WORDS:
        sensors("run", *words, code=2).failed(2, told)


def test_before_deploy_a_run_says_what_to_type(sensors: Copy) -> None:
    sensors("run", code=3).failed(3, "is not deployed", "customai deploy")
    assert sensors("cancel", code=3).code == 3


def test_a_schedule_that_never_comes_is_told_with_its_line(sensors: Copy) -> None:
    """More of them in tests/unit/batch/test_cron.py."""
    sensors.edit(schedule='"0 0 30 2 *"')
    line = 1 + sensors.spec.read_text().splitlines().index('schedule: "0 0 30 2 *"')
    sensors("check", code=2).failed(2, f"customai.yaml:{line}:", "schedule: it never comes")


def slow_set(sensors: Copy) -> None:
    """Enough readings for a few seconds."""
    rows = pq.ParquetFile(min((sensors.folder / "data").iterdir())).read()
    pq.write_table(pa.concat_tables([rows] * 120), sensors.folder / "data" / "many.parquet", row_group_size=10_000)
    sensors.edit(chunk=5000, workers=1)


@pytest.mark.slow
def test_a_run_is_cancelled_and_goes_on_when_it_is_run_again(sensors: Copy) -> None:
    sensors("deploy")
    slow_set(sensors)
    command = [sys.executable, "-m", "customai", "score-batch", "run", str(sensors.spec), "--name", "slow"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    staged = sensors.folder / "predictions" / "_run=slow" / "chunks.jsonl"
    until(lambda: staged.exists() and "done" in staged.read_text())
    assert [each["run"] for each in sensors.jobs() if each["status"] == "running"] == ["slow"]
    assert sensors.json("cancel", "--name", "another") == {"cancelled": []}
    assert sensors.json("cancel", "--name", "slow") == {"cancelled": ["slow"]}
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, ""), err
    assert "cancelled" in err
    found = sensors.json("run", "--name", "slow")
    assert (found["rows"], found["attempts"]) == (9216 + 120 * 2304, 2)


@pytest.mark.slow
def test_ctrl_c_stops_the_run_and_nothing_goes_on_behind_ones_back(sensors: Copy, tmp_path: Path) -> None:
    sensors("deploy")
    slow_set(sensors)
    command = [sys.executable, "-m", "customai", "score-batch", "run", str(sensors.spec), "--name", "slow"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    staged = sensors.folder / "predictions" / "_run=slow" / "chunks.jsonl"
    until(lambda: staged.exists() and "done" in staged.read_text())
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert not processes(tmp_path)
    assert not (sensors.folder / "predictions" / "run=slow").exists()


@pytest.mark.slow
@pytest.mark.timeout(600)  # it waits for the clock, twice
def test_the_schedule_runs_it_and_is_mended_by_deploy_and_ends_with_destroy(
    sensors: Copy, tmp_path: Path, home: Path
) -> None:
    sensors.edit(schedule='"* * * * *"')
    said = sensors("deploy").out
    assert "It runs again at * * * * * (UTC), next " in said
    until(lambda: [each for each in sensors.jobs() if each["run"].endswith("Z") and each["status"] == "succeeded"], 150)
    scheduled = next(each for each in sensors.jobs() if each["run"].endswith("Z"))
    assert scheduled["result"]["rows"] == 9216
    assert len(sensors.rows(scheduled["run"])) == 9216
    assert "nothing to do" in sensors("deploy").out
    (schedule,) = sensors.status()["schedules"]
    assert (schedule["cron"], schedule["running"], schedule["last"]["event"]) == ("* * * * *", True, "started")
    with still_going_on(home, scheduled["run"]):
        until(lambda: sensors.status()["schedules"][0]["last"]["event"] == "skipped", 150)
    said = sensors.cli("status", "sensors").out
    assert f"last time skipped (run {scheduled['run']} was still going on)" in said
    (pid,) = [pid for pid, command in _processes(home) if "job.schedule" in command]
    os.kill(pid, signal.SIGKILL)
    assert "its process is gone: deploy again" in sensors("runs").out
    assert "stopped: run deploy again to start it" in sensors.cli("status", "sensors").out
    sensors("deploy")
    assert sensors.json("runs")["schedule"]["running"] is True


@contextmanager
def still_going_on(home: Path, run: str) -> Iterator[None]:
    """As a runner that has not ended yet: it holds the lock of its run's folder."""
    (lock,) = home.glob(f"deployments/*/jobs/*/{run}/lock")
    with open(lock, "rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def until(condition: Any, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def test_json_of_a_failed_run_is_one_document(digits: Copy) -> None:
    digits("deploy")
    failed = digits("run", "--limit-errors", "0", "-o", "json", code=1)
    assert json.loads(failed.out)["error"]["exit_code"] == 1
