"""Path 1-1 on this machine: scripts as users write them, really run, stopped at bad moments, and told what is wrong."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import textwrap
from pathlib import Path

import pytest

from customai.workloads.job.run import read_json
from customai.workloads.training.run import read_lines

COUNTS = """
import argparse, time
from customai.workloads.training import Run

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=20)
parser.add_argument("--pause", type=float, default=0)
parser.add_argument("--fast", action="store_true")
args = parser.parse_args()
run = Run.start(vars(args))
step, total = run.resume() or (0, 0)
for step in range(step + 1, args.steps + 1):
    time.sleep(args.pause)
    total += step
    run.log(step, total=total)
    run.progress(step, args.steps, "steps")
    if step % 4 == 0:
        run.checkpoint(step, total)
run.finish({"total": total})
"""


END = 'run.finish({"total": total})\n'
TRACKED = "tracking: {mlflow: true}\n"


class Training:
    """A deployment of 1-1 with a script of the test's own."""

    def __init__(self, cli, folder: Path, home: Path) -> None:
        self.customai = cli
        self.folder = folder
        self.state = home / "deployments" / "toy"
        folder.mkdir()

    def write(self, script: str, *, parameters: str = "{}", more: str = "") -> None:
        (self.folder / "train.py").write_text(textwrap.dedent(script))
        self.spec(parameters=parameters, more=more)

    def spec(self, *, script: str = "train.py", parameters: str = "{}", more: str = "") -> None:
        train = f"train:\n  script: {script}\n  parameters: {parameters}\n"
        (self.folder / "customai.yaml").write_text(f"path: 1-1\nname: toy\n{train}{more}")

    def deploy(self, code: int = 0, **env: str):
        return self.customai("deploy", self.folder, code=code, **env)

    def result(self) -> dict[str, object]:
        return self.customai("deploy", self.folder, "-o", "json").json["outputs"]["train"]["result"]

    @property
    def run(self) -> Path:
        (folder,) = (file.parent for file in self.state.glob("jobs/train/*/job.json"))
        return folder

    def totals(self) -> list[tuple[int, float]]:
        return [(line["step"], line["total"]) for line in read_lines(self.run / "metrics.jsonl")]


@pytest.fixture
def training(cli, tmp_path, home):
    made = Training(cli, tmp_path / "toy", home)
    yield made
    cli("destroy", "toy", "--yes", code=None)
    assert not made.state.exists()


def total(steps: int) -> list[tuple[int, float]]:
    return [(step, step * (step + 1) / 2) for step in range(1, steps + 1)]


# A script is run


def test_a_script_runs_once_in_a_folder_of_its_own(training):
    training.write(COUNTS, parameters="{steps: 8, fast: true}")
    said = training.deploy().out
    assert re.search(r"^total +36$", said, re.MULTILINE)
    assert training.totals() == total(8)
    assert read_json(training.run / "parameters.json") == {"steps": 8, "pause": 0, "fast": True}
    assert sorted(file.name for file in training.folder.iterdir()) == ["customai.yaml", "train.py"]
    begun = (training.run / "attempts.jsonl").read_text()
    assert "nothing to do" in training.deploy().out
    assert (training.run / "attempts.jsonl").read_text() == begun


def test_a_changed_script_or_file_that_it_depends_on_trains_again(training):
    training.write("import other, pathlib; pathlib.Path('out').write_text(other.WORD)", more="")
    (training.folder / "other.py").write_text("WORD = 'one'")
    text = (training.folder / "customai.yaml").read_text()
    (training.folder / "customai.yaml").write_text(text + "  files: [other.py]\n")
    training.deploy()
    (training.folder / "other.py").write_text("WORD = 'another'")
    assert training.customai("plan", training.folder, "-o", "json").json["changes"][0]["action"] == "change"
    training.deploy()
    runs = sorted(training.state.glob("jobs/train/*/out"), key=lambda file: file.stat().st_mtime)
    assert [run.read_text() for run in runs] == ["one", "another"]


def test_a_script_that_knows_nothing_of_customai_is_run_as_it_is(training):
    training.write("import sys; print('called with', sys.argv[1:]); open('weights.bin', 'w').write('w')",
                   parameters="{a: 1, b: 0.5, c: text, d: true, e: false}")  # fmt: skip
    training.deploy()
    assert (training.run / "weights.bin").read_text() == "w"
    assert "called with ['--a', '1', '--b', '0.5', '--c', 'text', '--d']" in training.customai("logs", "toy").out


def test_what_is_measured_is_seen_while_it_trains(training, background, wait_for):
    training.write(COUNTS, parameters="{steps: 400, pause: 0.02}")
    background("deploy", training.folder)
    wait_for(lambda: "steps, total " in training.customai("status", "toy", code=None).out)
    job = training.customai("status", "toy", "-o", "json").json["deployments"][0]["jobs"][0]
    assert (job["status"], job["progress"]["total"]) == ("running", 400)


# Stopped at bad moments


@pytest.mark.parametrize("seed", range(4))
def test_a_run_killed_at_any_moment_goes_on_and_ends_with_the_same_result(training, background, wait_for, seed):
    training.write(COUNTS, parameters="{steps: 60, pause: 0.02}")
    moment = random.Random(seed).randrange(1, 50)
    deploying = background("deploy", training.folder)
    wait_for(lambda: training.state.glob("jobs/train/*/state.json") and _done(training) >= moment)
    state = read_json(training.run / "state.json")
    for pid in (deploying.pid, state["pid"], state["work"]):
        os.kill(pid, signal.SIGKILL)
    deploying.communicate()
    assert training.result() == {"total": 1830}
    assert training.totals() == total(60)
    attempts = [line["step"] for line in read_lines(training.run / "attempts.jsonl")]
    assert attempts[0] == 0
    assert len(attempts) == 2
    assert moment - 20 <= attempts[1] <= 60
    assert attempts[1] % 4 == 0


def test_ctrl_c_stops_it_and_deploy_goes_on(training, background, wait_for):
    training.write(COUNTS, parameters="{steps: 60, pause: 0.05}")
    deploying = background("deploy", training.folder)
    wait_for(lambda: _done(training) >= 10)
    deploying.send_signal(signal.SIGINT)
    deploying.communicate(timeout=30)
    assert deploying.returncode == 130
    assert training.result() == {"total": 1830}
    assert read_lines(training.run / "attempts.jsonl")[1]["step"] >= 8


def _done(training) -> float:
    return max(
        (read_json(file).get("done", 0) for file in training.state.glob("jobs/train/*/progress.json")), default=0
    )


# What is wrong is told


@pytest.mark.parametrize(
    ("script", "parameters", "code", "words"),
    [
        (COUNTS, "{stepz: 5}", 1, ["train.py: error: unrecognized arguments: --stepz 5"]),
        (COUNTS, "{steps: many}", 1, ["argument --steps: invalid int value: 'many'"]),
        ("import nowhere_to_be_found", "{}", 3, ["needs nowhere_to_be_found", "train.py:1", "beside the script"]),
        ("x = 1\nraise ValueError('the reason')", "{}", 1, ["ValueError: the reason", "train.py:2"]),
        ("import sys; sys.exit('what it says')", "{}", 1, ["what it says"]),
        ("import sys; print('so it ends', file=sys.stderr); sys.exit(7)", "{}", 1, ["exit code 7: so it ends"]),
        ("def f(:", "{}", 1, ["SyntaxError", "train.py:1"]),
        ("raise MemoryError", "{}", 3, ["out of memory", "smaller batch"]),
        ("import os; os.kill(os.getpid(), 9)", "{}", 1, ["ended by SIGKILL", "is there enough memory?"]),
        ("import os; raise OSError(28, os.strerror(28))", "{}", 3, ["No space left on device", "free some disk space"]),
        ("import os; raise PermissionError(13, os.strerror(13), '/locked')", "{}", 4, ["no right to use /locked"]),
        (
            "from customai.workloads.training import Run\nRun.start({}).log(3, loss=float('nan'))",
            "{}",
            1,
            ["loss is nan at step 3: the training has diverged", "a smaller learning rate"],
        ),
    ],
    ids=lambda value: value[0][:30] if isinstance(value, list) else None,
)  # fmt: skip
def test_what_went_wrong_in_the_script_is_told_with_its_place(training, script, parameters, code, words):
    training.write(script, parameters=parameters)
    training.deploy(code=code).failed(code, *words)


def test_the_one_command_that_mends_a_missing_extra_is_told(training, tmp_path):
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "torch.py").write_text("raise ModuleNotFoundError('no torch', name='torch')")
    training.write("import torch")
    failed = training.deploy(code=3, PYTHONPATH=str(tmp_path / "without"))
    failed.failed(3, "the script needs torch, which is not installed here", "pip install 'customai[train]'")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("script: nowhere.py", ["customai.yaml:4:11: train.script: there is no file"]),
        ("script: train.sh", ["train.script: expected"]),
        ("script: train.py\n  files: [gone.csv]", ["customai.yaml:5:11: train.files[0]: there is no file"]),
        ("script: train.py\n  parameters: {--lr: 1}", ["train.parameters", "without the leading --"]),
        ("script: train.py\n  parameters: {lr: [1]}", ["train.parameters.lr: expected text, a number, true or false"]),
        ("script: train.py\ntracking: {uri: 'http://x:5000'}", ["tracking.uri", "mlflow: true"]),
        ("script: train.py\ntracking: {mlflow: true, uri: 'http://me:pw@x'}", ["no name or password in it"]),
    ],
)  # fmt: skip
def test_what_is_wrong_in_the_spec_is_told_with_its_line(training, spec, words):
    training.write(COUNTS)
    (training.folder / "customai.yaml").write_text(f"path: 1-1\nname: toy\ntrain:\n  {spec}\n")
    training.customai("check", training.folder, code=2).failed(2, *words)


# MLflow


def test_mlflow_is_told_of_a_run_once_with_its_parameters_and_metrics(training, background, wait_for):
    mlflow = pytest.importorskip("mlflow", reason="comes with customai[tracking]")
    training.write(COUNTS, parameters="{steps: 12}", more="tracking: {mlflow: true}\n")
    told = training.result()["tracking"]
    assert (told["mlflow"], told["experiment"]) == ("on", "toy")
    assert (training.state / "jobs") in Path(told["uri"].removeprefix("file://")).parents
    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    client = mlflow.MlflowClient(tracking_uri=told["uri"])
    experiment = client.get_experiment_by_name("toy")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_id, run.info.status) == (told["run"], "FINISHED")
    assert run.data.params == {"steps": "12", "pause": "0", "fast": "False"}
    assert run.data.metrics["final_total"] == 78
    history = client.get_metric_history(told["run"], "total")
    assert sorted((each.step, each.value) for each in history) == total(12)


def test_mlflow_is_told_that_a_run_failed_and_it_stays_one_run_when_it_succeeds(training):
    mlflow = pytest.importorskip("mlflow", reason="comes with customai[tracking]")
    fails_once = COUNTS + "if not (run.folder / 'failed').exists():\n    (run.folder / 'failed').touch()\n    1 / 0\n"
    training.write(
        fails_once.replace('run.finish({"total": total})\n', "") + END, parameters="{steps: 12}", more=TRACKED
    )
    training.deploy(code=1).failed(1, "ZeroDivisionError", "train.py:")
    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    (store,) = training.state.glob("jobs/*/mlruns")
    client = mlflow.MlflowClient(tracking_uri=store.as_uri())
    (failed,) = client.search_runs([client.get_experiment_by_name("toy").experiment_id])
    assert (failed.info.status, failed.data.params["steps"]) == ("FAILED", "12")
    assert "ZeroDivisionError" in failed.data.tags["customai.error"]
    told = training.result()["tracking"]
    (run,) = client.search_runs([client.get_experiment_by_name("toy").experiment_id])
    assert (run.info.run_id, run.info.status, run.data.tags["customai.error"]) == (told["run"], "FINISHED", "")


def test_without_mlflow_it_trains_all_the_same_and_says_so(training, tmp_path):
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "mlflow.py").write_text("raise ModuleNotFoundError('no mlflow', name='mlflow')")
    training.write(COUNTS, parameters="{steps: 4}", more="tracking: {mlflow: true}\n")
    said = training.deploy(PYTHONPATH=str(tmp_path / "without")).out
    assert "off: mlflow is not installed (pip install 'customai[tracking]')" in said
    assert re.search(r"^total +10$", said, re.MULTILINE)


def test_a_tracking_server_that_is_not_there_does_not_cost_the_model(training):
    pytest.importorskip("mlflow", reason="comes with customai[tracking]")
    more = "tracking: {mlflow: true, uri: 'ftp://127.0.0.1/runs'}\n"
    training.write(COUNTS, parameters="{steps: 4}", more=more)
    result = training.result()
    assert result["total"] == 10
    assert result["tracking"]["mlflow"] == "off"
    assert "ftp://127.0.0.1/runs" in result["tracking"]["hint"]


def test_the_secret_of_a_tracking_server_is_not_written_down(training):
    pytest.importorskip("mlflow", reason="comes with customai[tracking]")
    training.write(COUNTS, parameters="{steps: 4}", more="tracking: {mlflow: true}\n")
    training.deploy(MLFLOW_TRACKING_PASSWORD="hunter2hunter2")
    for file in (file for file in training.state.rglob("*") if file.is_file()):
        assert b"hunter2hunter2" not in file.read_bytes(), file


def test_json_of_a_deployment_is_one_document(training):
    training.write(COUNTS, parameters="{steps: 4}")
    document = training.customai("deploy", training.folder, "-o", "json")
    assert json.loads(document.out)["steps"][0]["action"] == "created"
    assert document.err == ""
