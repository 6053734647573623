"""Path 2-2, whole: trained, exported, deployed, and asked row by row."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "paths" / "2-2"
KNOWN = json.loads((FOLDER / "samples" / "leaves.json").read_text())


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def spec(folder):
    return yaml.safe_load((folder / "customai.yaml").read_text())


def card(folder):
    return yaml.safe_load((folder / "MODEL_CARD.md").read_text().split("---\n")[1])


def train(out, *arguments):
    for package in ("pandas", "sklearn", "skl2onnx"):
        pytest.importorskip(package, reason="pip install 'customai[sklearn]'")
    command = [sys.executable, FOLDER / "train.py", "--out", out, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


def test_the_files_are_those_that_spec_and_card_name():
    for version in spec(FOLDER)["model"]["versions"]:
        found = digest(FOLDER / version["file"])
        assert found == version["sha256"] == card(FOLDER)["models"][version["version"]]["sha256"]


def test_spec_script_and_card_tell_of_the_same_columns():
    columns = spec(FOLDER)["model"]["columns"]
    table = re.findall(r"^\| (\w+) \| (\w+) \| (yes)? ?\|", (FOLDER / "MODEL_CARD.md").read_text(), re.MULTILINE)
    assert table == [(column["name"], column["type"], "yes" * column.get("nullable", False)) for column in columns]
    assert list(KNOWN) == [column["name"] for column in columns]


@pytest.mark.slow
def test_the_same_script_makes_the_same_files(tmp_path):
    import onnxruntime
    import skl2onnx
    import sklearn

    found = {"scikit-learn": sklearn.__version__, "skl2onnx": skl2onnx.__version__}
    made_with = card(FOLDER)["versions"]
    if found | {"onnxruntime": onnxruntime.__version__} != {name: made_with[name] for name in (*found, "onnxruntime")}:
        pytest.skip(f"the files were made with {made_with}")
    train(tmp_path)
    for made in [*(tmp_path / "models").iterdir(), *(tmp_path / "samples").iterdir(), tmp_path / "MODEL_CARD.md"]:
        assert made.read_bytes() == (FOLDER / made.relative_to(tmp_path)).read_bytes(), made


@pytest.mark.slow
def test_what_was_trained_small_is_served_and_says_what_scikit_learn_says(churn, cli, tmp_path):
    """Train on 3,000 rows, deploy, and send rows that no training has seen, nulls and unknown categories among them."""
    train(churn.folder, "--rows", "3000")
    text = churn.spec.read_text()
    for version in spec(churn.folder)["model"]["versions"]:
        text = text.replace(version["sha256"], digest(churn.folder / version["file"]))
    churn.spec.write_text(text)
    churn.deploy()
    script = churn.folder / "expected.py"
    script.write_text(EXPECTED)
    rows, expected = churn.folder / "new.csv", tmp_path / "expected.json"
    subprocess.run([sys.executable, script, rows, expected], check=True, cwd=churn.folder)
    wanted = json.loads(expected.read_text())
    for version in ("1", "2"):
        told = cli("score", churn.spec, rows, "--model-version", version, "-o", "json").json["predictions"]
        assert len(told) == len(wanted[version]) == 500
        for one, leaves in zip(told, wanted[version], strict=True):
            shares = {each["label"]: each["probability"] for each in one["top"]}
            assert shares["leaves"] == pytest.approx(leaves, abs=2e-6), one
            assert one["version"] == version


# Run in the path's folder: what the pipelines themselves say, trained as train.py trains them.
EXPECTED = """\
import json, sys
import numpy as np
from sklearn.model_selection import train_test_split
from data import customers
from train import as_trained, pipelines

table, left = customers(3000)
train_x, _, train_y, _ = train_test_split(table, left, test_size=0.2, random_state=0, stratify=left)
new, _ = customers(500, seed=1)
new.loc[::7, "region"] = "the moon"
new.loc[::11, "contract"] = "for ever"
new.to_csv(sys.argv[1], index=False)
fitted = {version: pipeline.fit(as_trained(train_x), train_y) for version, pipeline in pipelines().items()}
told = {version: pipeline.predict_proba(as_trained(new))[:, 1].tolist() for version, pipeline in fitted.items()}
assert new.isna().any(axis=1).sum() > 50
open(sys.argv[2], "w").write(json.dumps(told))
"""


def test_the_path_runs_as_it_stands(churn, cli):
    out = churn.deploy().out
    assert "version 1, 90 % of the requests" in out
    assert "version 2, 10 % of the requests" in out
    assert "'leaves', as expected (86." in out
    samples = churn.folder / "samples"
    told = cli("score", churn.spec, samples / "leaves.json", samples / "stays.json", "-o", "json").json["predictions"]
    assert [one["label"] for one in told] == ["leaves", "stays"]
    curl = next(line.strip() for line in out.splitlines() if line.strip().startswith("curl "))
    answered = subprocess.run(curl, shell=True, capture_output=True, text=True, check=True)
    assert json.loads(answered.stdout)["predictions"][0]["label"] == "leaves"
    many = cli("score", churn.spec, samples / "customers.csv", "-o", "json").json["predictions"]
    assert [one["row"] for one in many] == list(range(1, 51))
    status = churn.status()
    assert sorted((one["version"], one["traffic"]) for one in status["versions"]) == [("1", 90), ("2", 10)]
    assert "churn version 2, 10 % of the requests" in cli("status", churn.spec).out


WRONG_ROWS = [
    ("a.json", json.dumps([KNOWN | {"age": "old"}]), 'age is "old" (expected a number or null)'),
    ("a.json", json.dumps([KNOWN | {"support_calls": None}]), "support_calls is null (expected an integer)"),
    ("a.json", json.dumps([KNOWN | {"regoin": "north"}]), 'no column "regoin"; did you mean region?'),
    ("a.json", json.dumps({name: KNOWN[name] for name in KNOWN if name != "region"}), "has no region"),
    ("a.json", "[7]", "the row is 7"),
    ("a.json", "[]", "it holds no rows"),
    ("a.json", "{", "its rows cannot be read"),
    ("a.csv", "age,region\n3\n", "row 1 has 1 cells, the header has 2"),
    ("a.csv", "age\n3\n", "has no tenure_months"),
    ("a.png", "not an image", "this model takes no images"),
    ("no.csv", None, "it cannot be read: No such file"),
]


def test_a_wrong_row_is_named_and_the_right_ones_are_scored_all_the_same(churn, cli):
    churn.deploy()
    good = churn.folder / "samples" / "leaves.json"
    for name, text, message in WRONG_ROWS:
        file = churn.folder / name
        if text is not None:
            file.write_text(text)
        told = cli("score", churn.spec, file, good, "-o", "json", code=1).json["predictions"]
        assert message in told[0]["error"], told[0]
        assert told[1]["label"] == "leaves"
    mixed = churn.folder / "mixed.json"
    mixed.write_text(json.dumps([KNOWN] * 3 + [KNOWN | {"age": []}] + [KNOWN] * 3))
    told = cli("score", churn.spec, mixed, "-o", "json", code=1).json["predictions"]
    assert ["error" in one for one in told] == [False] * 3 + [True] + [False] * 3
    assert told[3]["row"] == 4


WRONG_SPECS = [
    (r"nullable: true, default: \"\"", "nullable: true", "a text column has no null of its own"),
    (r"\{name: contract, type: text\}", "{name: contract, type: string}", "expected number, integer, text or boolean"),
    (r"\{name: age, ", "{name: region, ", "'region' is already there, as columns[0]"),
    (r"type: integer\}", "type: integer, default: 3}", "it stands in for null: add `nullable: true`"),
    (r"traffic: 10", "traffic: 20", "expected traffic that adds up to 100, got 110"),
    (r"traffic: 10", "traffic: -10", "expected a whole number"),
    (r'version: "2"', 'version: "1"', "'1' is already there"),
    (r"file: models/2.onnx", "file: models/3.onnx", "there is no file"),
    (r"file: models/2.onnx", "file: models/1.onnx", "not the one that `sha256` names"),
    (r"  labels:", "  file: models/1.onnx\n  labels:", "expected either a file or versions"),
    (r"row: samples", "image: samples", "the model takes no images"),
    (r"  row: .*\n", "", "expected exactly one of image and row"),
    (r"  label: leaves", "  label: 3", "expected text"),
]


def test_a_wrong_spec_is_named_by_its_place(churn, cli):
    right = churn.spec.read_text()
    for old, new, message in WRONG_SPECS:
        text = re.sub(old, new, right, count=1)
        assert text != right, old
        churn.spec.write_text(text)
        error = cli("check", churn.spec, code=2).err
        assert message in error, error
        assert re.search(r"customai.yaml:\d+:\d+: (model|smoke_test)", error), error


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("label: leaves", "label: stays", "the smoke test expected 'stays' and got 'leaves'"),
        ("name: monthly_fee", "name: fee", "model.json has 8 columns"),
        ("type: integer}", "type: text}", "column tenure_months is a text, but the model takes FP32 for it"),
    ],
)
def test_what_does_not_fit_the_model_never_starts(churn, old, new, message):
    churn.spec.write_text(churn.spec.read_text().replace(old, new, 1))
    churn.deploy(None).failed(1, message)
    assert not churn.processes()
