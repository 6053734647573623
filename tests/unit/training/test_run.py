"""What a training script tells, and what it finds when it is called again."""

from __future__ import annotations

import json
import math

import pytest

from customai.errors import RunFailed
from customai.workloads.training import Run
from customai.workloads.training.run import read_lines


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CUSTOMAI_RUN_FOLDER", str(tmp_path))
    for name in ("RANK", "CUSTOMAI_TRACKING"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def measured(folder):
    return [(line["step"], line["loss"]) for line in read_lines(folder / "metrics.jsonl")]


def test_without_customai_the_run_is_in_the_current_folder(folder, monkeypatch, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.delenv("CUSTOMAI_RUN_FOLDER")
    monkeypatch.chdir(elsewhere)
    Run.start({"lr": 0.1}).finish({"accuracy": 1.0})
    assert json.loads((elsewhere / "result.json").read_text()) == {"accuracy": 1.0}


def test_what_was_measured_after_the_last_checkpoint_is_measured_again(folder):
    run = Run.start({"lr": 0.1})
    assert run.resume() is None
    for step in (1, 2, 3):
        run.log(step, loss=1 / step)
        if step == 2:
            run.checkpoint(step, "state")
    again = Run.start({"lr": 0.1})
    assert again.resume() == (2, "state")
    assert measured(folder) == [(1, 1.0), (2, 0.5)]
    assert [line["step"] for line in read_lines(folder / "attempts.jsonl")] == [0, 2]


def test_other_parameters_are_another_run(folder):
    run = Run.start({"lr": 0.1})
    run.log(1, loss=1.0)
    run.checkpoint(1, "state")
    assert Run.start({"lr": 0.2}).resume() is None
    assert measured(folder) == []


def test_a_complete_run_keeps_its_result_and_no_checkpoints(folder):
    run = Run.start({"out": folder})  # a path is kept as text
    run.checkpoint(1, "state")
    run.finish({"accuracy": 0.5})
    assert sorted(file.name for file in folder.iterdir()) == ["parameters.json", "result.json"]
    assert json.loads((folder / "parameters.json").read_text()) == {"out": str(folder)}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_number_that_is_not_finite_ends_every_process(folder, monkeypatch, value, rank):
    monkeypatch.setenv("RANK", rank)
    with pytest.raises(RunFailed, match=f"loss is {value} at step 7.*diverged"):
        Run.start({}).log(7, loss=value)
    assert measured(folder) == []


def test_only_the_first_process_writes(folder, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    run = Run.start({"lr": 0.1})
    run.resume()
    run.log(1, loss=1.0)
    run.progress(1, 1)
    run.checkpoint(1, "state")
    run.finish({})
    assert list(folder.iterdir()) == []


def test_progress_says_what_was_measured_last(folder):
    run = Run.start({})
    run.log(1, loss=0.123, accuracy=0.9)
    run.progress(1, 1, "steps")
    assert json.loads((folder / "progress.json").read_text())["message"] == "loss 0.123, accuracy 0.9"


def test_a_line_cut_short_by_a_kill_is_left_out(folder):
    (folder / "metrics.jsonl").write_text('{"step": 1, "loss": 1.0}\n{"step": 2, "lo')
    assert measured(folder) == [(1, 1.0)]
