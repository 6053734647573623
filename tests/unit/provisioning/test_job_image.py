"""The image that jobs run in: what goes in is all that the command needs, which really runs from it, and from nothing else."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from customai.provisioning import job_image
from tests.azure.whole import Whole

REPOSITORY = Path(__file__).parents[3]


@pytest.mark.parametrize("extra", job_image.REQUIREMENTS)
def test_it_needs_what_the_extra_needs(extra):
    written = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    named = re.search(rf"(?m)^{extra} = \[(.*?)\]$", written, re.DOTALL)[1]
    packages = [each for each in re.findall(r'"([^"]+)"', named) if not each.startswith("customai[")]
    assert tuple(packages) == job_image.REQUIREMENTS[extra]


def test_it_names_what_is_in_it_and_not_where_that_came_from():
    image = next(step for step in Whole("2-4").steps() if step.kind == "job_image").inputs
    moved = image | {"code": [each | {"source": f"/elsewhere/{each['name']}"} for each in image["code"]]}
    changed = image | {"code": [*image["code"][1:], image["code"][0] | {"sha256": "0" * 64}]}
    assert job_image.content(moved) == job_image.content(image)
    assert job_image.content(changed) != job_image.content(image)


@pytest.mark.parametrize("path", ["1-2", "2-4", "2-6"])
def test_what_is_copied_into_it_is_there(path):
    step = next(step for step in Whole(path).steps() if step.kind == "job_image")
    asked = job_image.azure(step.inputs)
    there = {*asked["texts"], *(each["name"].split("/")[0] for each in asked["files"])}
    there |= {folder.split("/")[0] for folder in asked["models"]}
    copied = {line.split()[1] for line in asked["texts"]["Dockerfile"].splitlines() if line.startswith("COPY")}
    assert copied == there - {"Dockerfile"}


@pytest.mark.slow
@pytest.mark.parametrize("path", ["2-4", "2-6"])
def test_the_job_of_the_plan_scores_from_the_files_of_the_image(path, tmp_path):
    """The command of the plan, word for word, but for where its container and its data are."""
    for package in ("onnxruntime", "orjson", "PIL", "pyarrow"):
        pytest.importorskip(package, reason="the extra `batch` is not installed")
    steps = {step.kind: step.inputs for step in Whole(path).steps()}
    app, models = tmp_path / "app", tmp_path / "models"
    for each in steps["job_image"]["code"]:
        (app / each["name"]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(each["source"], app / each["name"])
    for name, whole in steps["job_image"]["models"].items():
        (models / name).mkdir(parents=True)
        for each in whole["files"]:
            shutil.copy(each["source"], models / name / each["name"])
        (models / name / "model.json").write_text(json.dumps(whole["model"]))
    program, *words = shlex.split(steps["ml_job"]["job"]["command"])
    assert program == "python"
    at = next(number for number, word in enumerate(words) if word.startswith("{"))
    asked = json.loads(words[at])
    assert asked["input"].startswith("abfss://data@")
    asked |= {"input": str(REPOSITORY / "paths" / path / Path(asked["input"]).name), "output": str(tmp_path / "out")}
    words[at] = json.dumps(asked).replace('"/app/', f'"{app}/')
    words = [
        word.replace("/models/model", f"{models}/model") if word.startswith("/models/") else word for word in words
    ]
    env = {**os.environ, "PYTHONPATH": str(app), "ORT_DISABLE_TELEMETRY": "1"}
    done = subprocess.run(
        [sys.executable, *words], check=False, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "result.json").read_text())["rows"] > 0
    assert list((tmp_path / "out" / "run=deploy").glob("*.parquet"))
