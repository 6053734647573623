"""The examples of path 1-1, whole: what they train is as good as its card says, can be served, and survives kills."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml

from customai.workloads.job.run import read_json
from customai.workloads.training.run import read_lines

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
pytestmark = pytest.mark.slow
TRAIN = "comes with customai[train]"
np = pytest.importorskip("numpy", reason=TRAIN)
ort = pytest.importorskip("onnxruntime", reason=TRAIN)
datasets = pytest.importorskip("sklearn.datasets", reason=TRAIN)
pytest.importorskip("torch", reason=TRAIN)
pytest.importorskip("skl2onnx", reason=TRAIN)

LONG = 240  # seconds


@pytest.fixture(scope="module")
def held_out():
    """The digits held back, split here once more, so that a slip in digits.py cannot hide itself."""
    from sklearn.model_selection import train_test_split

    data = datasets.load_digits()
    _, x, _, y = train_test_split(data.images, data.target, test_size=0.2, random_state=0, stratify=data.target)
    return (x / 16).astype(np.float32)[:, None], y


@pytest.fixture
def example(cli, tmp_path, home):
    """A copy of the path's folder, with fewer epochs and nobody told."""
    folder = tmp_path / "digits"
    cli("init", "1-1", folder)
    spec = folder / "customai.yaml"
    spec.write_text(re.sub("epochs: 60", "epochs: 10", spec.read_text()).replace("mlflow: true", "mlflow: false"))
    yield folder
    for journal in (home / "deployments").glob("*"):
        cli("destroy", journal.name, "--yes")
    assert not (home / "deployments").exists() or not list((home / "deployments").iterdir())


def trained(cli, spec):
    return cli("deploy", spec, "-o", "json", timeout=LONG).json["outputs"]["train"]


@pytest.mark.parametrize("spec", ["customai.yaml", "sklearn.yaml"])
def test_the_exported_model_is_as_good_as_its_card_says(cli, example, held_out, spec):
    run = trained(cli, example / spec)
    model = Path(run["folder"]) / run["result"]["model"]
    images, labels = held_out
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    measured = (session.run(["probabilities"], {"image": images})[0].argmax(1) == labels).mean()
    _, front, _ = (model.parent / "MODEL_CARD.md").read_text().split("---\n", 2)
    card = yaml.safe_load(front)
    assert measured >= 0.96
    assert card["accuracy"] == pytest.approx(measured, abs=1e-6)
    assert run["result"]["test_accuracy"] == pytest.approx(measured, abs=1e-6)
    assert card["model_sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    [image], [probabilities] = session.get_inputs(), session.get_outputs()
    assert (image.name, image.shape) == ("image", ["batch", 1, 8, 8])
    assert (probabilities.name, probabilities.shape) == ("probabilities", ["batch", 10])
    assert str(example).encode() not in model.read_bytes()  # it tells nothing of this machine


def test_killed_at_bad_moments_it_ends_with_the_very_same_model(cli, example, background, wait_for, home):
    whole = trained(cli, example)
    measured = [{**line, "time": 0} for line in read_lines(Path(whole["folder"]) / "metrics.jsonl")]
    cli("destroy", "digits", "--yes")
    for moment in (30, 130):
        deploying = background("deploy", example)
        wait_for(lambda moment=moment: _done(home) >= moment, 60)
        (folder,) = (file.parent for file in home.glob("deployments/digits/jobs/train/*/state.json"))
        state = read_json(folder / "state.json")
        for pid in (deploying.pid, state["pid"], state["work"]):
            os.kill(pid, signal.SIGKILL)
        deploying.communicate()
    assert trained(cli, example) == whole
    assert [line["step"] for line in read_lines(folder / "attempts.jsonl")][-1] > 0
    assert [{**line, "time": 0} for line in read_lines(folder / "metrics.jsonl")] == measured


def _done(home):
    return max(
        (read_json(file).get("done", 0) for file in home.glob("deployments/digits/jobs/train/*/progress.json")),
        default=0,
    )


def test_what_is_trained_can_be_served(cli, example, tmp_path, free_port):
    run = trained(cli, example / "sklearn.yaml")
    served = tmp_path / "served"
    cli("init", "2-5", served)
    text = (served / "customai.yaml").read_text()
    text = re.sub(r"(?m)^  file: .*$", f"  file: {run['folder']}/model.onnx", text)
    text = re.sub(r"(?m)^  sha256: .*$", f"  sha256: {run['result']['model_sha256']}", text)
    text = re.sub(r"(?m)^  port: .*$", f"  port: {free_port()}", text)
    (served / "customai.yaml").write_text(text.replace("replicas: 2", "replicas: 1"))
    cli("deploy", served)
    scored = cli("score", served, *(served / "samples" / f"{digit}.png" for digit in (0, 3, 7)), "-o", "json").json
    assert [each["label"] for each in scored["predictions"]] == ["0", "3", "7"]


def test_a_diverged_training_says_so_and_keeps_what_it_had(cli, example, home):
    spec = example / "customai.yaml"
    spec.write_text(spec.read_text().replace("seed: 7", "seed: 7\n    lr: 1.0e+30"))
    cli("deploy", example, code=1, timeout=LONG).failed(1, "is nan at step", "diverged", "a smaller learning rate")
    (log,) = home.glob("deployments/digits/jobs/train/*/job.log")
    assert "diverged" in log.read_text()


def test_the_notebook_runs(example):
    nbclient = pytest.importorskip("nbclient", reason="comes with customai[notebook]")
    pytest.importorskip("ipykernel", reason="comes with customai[notebook]")
    import nbformat

    notebook = nbformat.read(example / "explore.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)  # kept clean
    nbclient.NotebookClient(notebook, timeout=LONG, resources={"metadata": {"path": str(example)}}).execute()
    accuracy = float(notebook.cells[-1]["outputs"][0]["data"]["text/plain"])
    assert accuracy > 0.9
    assert not (example / "model.onnx").exists()


def test_open_starts_jupyterlab_for_those_who_have_the_token(example, background, wait_for, free_port):
    pytest.importorskip("jupyterlab", reason="comes with customai[notebook]")
    port = free_port()
    opened = background("train-single", "open", example, "--port", port, "-o", "json")
    shown = json.loads("".join(opened.stdout.readline() for _ in range(4)))
    base, token = f"http://127.0.0.1:{port}", shown["url"].partition("?token=")[2]
    assert shown["url"].startswith(f"{base}/lab/tree/explore.ipynb?token=")
    assert len(token) >= 32
    assert token not in Path(f"/proc/{opened.pid}/cmdline").read_text()

    def ask(path, with_token=token):
        try:
            with urllib.request.urlopen(f"{base}{path}?token={with_token}", timeout=5) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, b""
        except OSError:
            return 0, b""

    wait_for(lambda: ask("/api/status")[0] == 200, 60)
    names = {file["name"] for file in json.loads(ask("/api/contents")[1])["content"]}
    assert {"train.py", "explore.ipynb", "customai.yaml"} <= names
    assert ask("/api/contents", "wrong")[0] == 403
    opened.send_signal(signal.SIGTERM)
    assert opened.wait(20) == 0


def test_open_says_that_its_port_is_taken(cli, example):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        cli("train-single", "open", example, "--port", port, code=3).failed(3, f"port {port}", "leave --port out")


def test_open_says_what_is_missing(cli, example, tmp_path):
    """MLflow's page needs all of mlflow; customai needs only the part that writes runs down."""
    mlflow = pytest.importorskip("mlflow", reason="comes with customai[tracking]")
    if (Path(mlflow.__file__).parent / "server" / "js").exists():
        pytest.skip("all of mlflow is installed here")
    failed = cli("train-single", "open", example, "--ui", code=3)
    failed.failed(3, "mlflow", "not installed", "pip install 'mlflow")
