"""The scoring image: what goes in is all that it needs, and how it starts really starts a server."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from customai import spec
from customai.paths import azure_scoring, score_realtime
from customai.planner import SpecFiles
from customai.provisioning import image, kubernetes, model
from tests.ports import free_port

REPOSITORY = Path(__file__).parents[3]
KEY = "a-key-of-more-than-sixteen-letters"


def test_it_needs_what_the_extra_for_serving_needs():
    written = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    serve = re.search(r"(?m)^serve = \[\n(.*?)^\]", written, re.DOTALL)[1]
    assert tuple(re.findall(r'"([^"]+)"', serve)) == image.REQUIREMENTS


def test_with_a_gpu_it_has_the_other_onnxruntime():
    plain, gpu = image.requirements(gpu=False), image.requirements(gpu=True)
    assert [line for line in gpu if line not in plain] == ["onnxruntime-gpu[cuda,cudnn]>=1.20,<2"]


def test_it_does_not_run_as_root_and_checks_each_model():
    lines = image.dockerfile(["one", "two"]).splitlines()
    assert f"USER {image.USER}:{image.USER}" in lines
    assert lines[-1] == 'ENTRYPOINT ["/app/start"]'
    assert [line.split()[-1] for line in lines if "scoring.inspect" in line] == ["/models/one", "/models/two"]


def test_where_somebody_else_asks_for_tokens_it_starts_without_a_key(tmp_path):
    (tmp_path / "python3").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "python3").chmod(0o755)
    (tmp_path / "start").write_text(image.START)
    env = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "CUSTOMAI_SERVER": '{"port": 8080}',
        "CUSTOMAI_RUN": str(tmp_path / "run"),
        "CUSTOMAI_KEY": str(tmp_path / "none"),
    }
    done = subprocess.run(
        ["sh", "start"], check=True, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == f"-m customai.workloads.scoring.supervisor {tmp_path / 'run'}\n"
    assert json.loads((tmp_path / "run" / "server.json").read_text()) == {"port": 8080}


def answer(url, **settings):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, **settings), timeout=10) as got:
            return got.status, got.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return None, b""


@pytest.mark.slow
def test_the_container_starts_a_server_that_answers_to_its_key(tmp_path):
    """From the files that the image is made of, in the folders they have there, and from nothing else."""
    for package in ("onnxruntime", "httptools", "uvloop", "PIL"):
        pytest.importorskip(package, reason="the extra `serve` is not installed")
    files = SpecFiles(REPOSITORY / "paths" / "2-5")
    text = (files.folder / "customai.yaml").read_text(encoding="utf-8")
    steps = score_realtime.steps(spec.load(text, score_realtime.Spec, file="customai.yaml"), files)
    for file in azure_scoring.code(files):
        (tmp_path / file["name"]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file["source"], tmp_path / file["name"])
    for step in steps:
        if step.kind == "model":
            made = model.local(step.inputs)
            folder = tmp_path / "models" / step.id
            folder.mkdir(parents=True)
            for file in made["files"]:
                shutil.copy(file["source"], folder / file["name"])
            (folder / "model.json").write_text(json.dumps(made["model"]))
    (tmp_path / "key").write_text(f"{KEY}\n")
    (tmp_path / "run").mkdir()
    served = azure_scoring.server(next(step for step in steps if step.kind == "endpoint"))
    assert served["port"] == kubernetes.PORT
    port = free_port()
    told = json.dumps(served | {"port": port}).replace(f"{image.MODELS}/", f"{tmp_path}/models/")
    env = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(tmp_path),
        "CUSTOMAI_SERVER": told,
        "CUSTOMAI_RUN": str(tmp_path / "run"),
        "CUSTOMAI_KEY": str(tmp_path / "key"),
        "ORT_DISABLE_TELEMETRY": "1",
    }
    (tmp_path / "start").write_text(image.START)
    log = tmp_path / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(["sh", "start"], cwd=tmp_path, env=env, stdout=output, stderr=output)
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while answer(f"{url}/v2/health/ready")[0] != 200:
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        digit = (files.folder / "samples" / "3.png").read_bytes()
        asked = {"data": digit, "headers": {"Content-Type": "image/png"}}
        assert answer(f"{url}/score", **asked)[0] == 401
        asked["headers"]["Authorization"] = f"Bearer {KEY}"
        status, body = answer(f"{url}/score", **asked)
        assert status == 200
        assert json.loads(body)["predictions"][0]["label"] == "3"
        assert KEY not in (tmp_path / "run" / "server.json").read_text() + log.read_text()
    finally:
        server.terminate()
        assert server.wait(timeout=30) == 0
