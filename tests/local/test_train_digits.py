"""The network of path 2-5: the file that is kept, and the script that makes it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

FOLDER = Path(__file__).parents[2] / "paths" / "2-5"
TRAIN = "comes with customai[train]"

np = pytest.importorskip("numpy", reason=TRAIN)
ort = pytest.importorskip("onnxruntime", reason="comes with customai[serve]")


@pytest.fixture(scope="module")
def held_out():
    """The digits held back, split here once more, so that a slip in train.py cannot hide itself."""
    datasets = pytest.importorskip("sklearn.datasets", reason=TRAIN)
    from sklearn.model_selection import train_test_split

    data = datasets.load_digits()
    _, images, _, labels = train_test_split(
        data.images, data.target, test_size=0.2, random_state=0, stratify=data.target
    )
    return (images / 16).astype(np.float32)[:, None], labels


def train(out, *options):
    pytest.importorskip("torch", reason=TRAIN)
    pytest.importorskip("onnxscript", reason=TRAIN)
    command = [sys.executable, FOLDER / "train.py", "--out", out, *options]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=240)


def score(model, images):
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(["probabilities"], {"image": images})[0]


def accuracy(model, held_out):
    images, labels = held_out
    return (score(model, images).argmax(1) == labels).mean()


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def card(folder):
    _, front, _ = (folder / "MODEL_CARD.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(front)


def spec():
    return yaml.safe_load((FOLDER / "customai.yaml").read_text(encoding="utf-8"))


# The file that is kept


def test_kept_model_reads_the_digits_held_back(held_out):
    measured = accuracy(FOLDER / "model.onnx", held_out)
    assert measured >= 0.97
    assert card(FOLDER)["accuracy"] == pytest.approx(measured, abs=1e-6)
    assert card(FOLDER)["held_out"] == len(held_out[1])


def test_kept_model_is_the_one_the_card_and_the_spec_name():
    assert digest(FOLDER / "model.onnx") == card(FOLDER)["model_sha256"] == spec()["model"]["sha256"]


def test_card_names_the_data():
    datasets = pytest.importorskip("sklearn.datasets", reason=TRAIN)
    data = datasets.load_digits()
    raw = np.ascontiguousarray(data.images).tobytes() + np.ascontiguousarray(data.target).tobytes()
    assert card(FOLDER)["data_sha256"] == hashlib.sha256(raw).hexdigest()


def test_kept_model_is_one_small_file_that_tells_nothing_of_the_machine():
    content = (FOLDER / "model.onnx").read_bytes()
    assert len(content) < 1_000_000
    assert b"train.py" not in content  # the exporter would note where each line of code stood
    assert sorted(path.name for path in FOLDER.glob("model.onnx*")) == ["model.onnx"]


def test_kept_model_takes_any_batch_and_gives_probabilities():
    session = ort.InferenceSession(FOLDER / "model.onnx", providers=["CPUExecutionProvider"])
    [image], [probabilities] = session.get_inputs(), session.get_outputs()
    assert (image.name, image.type, image.shape) == ("image", "tensor(float)", ["batch", 1, 8, 8])
    assert (probabilities.name, probabilities.shape) == ("probabilities", ["batch", 10])
    for n in (1, 3):
        rows = score(FOLDER / "model.onnx", np.full((n, 1, 8, 8), 0.5, np.float32))
        assert rows.shape == (n, 10)
        assert rows.sum(1) == pytest.approx(np.ones(n), abs=1e-5)


@pytest.mark.parametrize("digit", range(10))
def test_sample_is_a_digit_held_back_and_gives_its_name(digit, held_out):
    from PIL import Image

    height, width = spec()["model"]["preprocessing"]["size"]
    with Image.open(FOLDER / "samples" / f"{digit}.png") as image:
        assert (image.format, image.mode, image.size) == ("PNG", "L", (64, 64))
        small = image.resize((width, height), Image.Resampling.BOX)
    pixels = np.asarray(small, np.float32)[None, None] * np.float32(spec()["model"]["preprocessing"]["scale"])
    assert np.abs(held_out[0] - pixels).max(axis=(1, 2, 3)).min() <= 1 / 255  # one of them, to the rounding of a pixel

    [probabilities] = score(FOLDER / "model.onnx", pixels)
    labels = (FOLDER / "labels.txt").read_text(encoding="utf-8").split()
    assert labels[probabilities.argmax()] == str(digit)
    assert probabilities.max() > 0.95


def test_smoke_test_of_the_spec_is_a_sample():
    smoke_test = spec()["smoke_test"]
    assert (FOLDER / smoke_test["image"]).is_file()
    assert Path(smoke_test["image"]).stem == smoke_test["label"]


# The script that makes it


@pytest.mark.slow
def test_training_gives_a_model_as_good_as_its_card_says(tmp_path, held_out):
    done = train(tmp_path, "--seed", "11")

    measured = accuracy(tmp_path / "model.onnx", held_out)
    assert measured >= 0.97
    assert card(tmp_path)["accuracy"] == pytest.approx(measured, abs=1e-6)
    assert card(tmp_path)["held_out"] == len(held_out[1])
    assert card(tmp_path)["model_sha256"] == digest(tmp_path / "model.onnx")
    assert card(tmp_path)["seed"] == 11

    samples = [f"{digit}.png" for digit in range(10)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["MODEL_CARD.md", "labels.txt", "model.onnx", "samples"]
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == samples
    assert "Warning" not in done.stderr
    assert done.stdout.splitlines()[-1].endswith(digest(tmp_path / "model.onnx"))


@pytest.mark.slow
def test_same_seed_gives_the_same_files(tmp_path):
    for name in ("once", "again"):
        train(tmp_path / name, "--seed", "3", "--epochs", "2")

    files = sorted(path.relative_to(tmp_path / "once") for path in (tmp_path / "once").rglob("*") if path.is_file())
    assert len(files) == 13
    for file in files:
        assert digest(tmp_path / "once" / file) == digest(tmp_path / "again" / file), file
