"""Path 2-1 behind its endpoint: no Spark in the way of a request; and trained anew, whole."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port

PATH = Path(__file__).parents[2] / "paths" / "2-1"


@pytest.fixture
def maintenance(tmp_path: Path, cli: Callable[..., Any]) -> Iterator[Path]:
    folder = tmp_path / "maintenance"
    cli("init", "2-1", folder)
    port = free_port()
    spec = folder / "customai.yaml"
    spec.write_text(re.sub(r"port: \d+", f"port: {port}", spec.read_text()).replace("replicas: 2", "replicas: 1"))
    yield folder
    cli("destroy", "maintenance", "--yes")


def score(url: str, *rows: Any) -> Any:
    body = json.dumps({"rows": rows}).encode()
    request = urllib.request.Request(f"{url}/score", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())["predictions"]


def test_rows_are_scored_by_name_without_spark(
    maintenance: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", "/there/is/none")
    url = cli("deploy", maintenance, "-o", "json", timeout=250).json["outputs"]["endpoint"]["url"]
    failing = json.loads((maintenance / "failing.json").read_text())
    calm = failing | {"vibration": 30.0, "voltage": 170, "alarms": 0, "since_service": 10}
    new = failing | {"type": "a type that it has never seen"}
    answers = score(url, failing, calm, new)
    assert [answer["label"] for answer in answers] == ["failure", "ok", "failure"]
    assert answers[0]["probability"] > 0.9
    shown = cli("score", "maintenance", maintenance / "failing.json", "-o", "json").json
    assert shown["predictions"][0]["label"] == "failure"


@pytest.mark.slow
@pytest.mark.timeout(900)  # Spark starts more than once
def test_it_is_trained_anew_checked_against_spark_and_served(maintenance: Path, cli: Callable[..., Any]) -> None:
    pytest.importorskip("pyspark", reason="the extra spark is not installed")
    spec = maintenance / "customai.yaml"
    train = "train: {rows: 20000, trees: 3, depth: 4, memory: 1g}\n"
    spec.write_text(re.sub(r"(?m)^# train:.*\n#.*\n", train, spec.read_text()))
    outputs = cli("deploy", maintenance, "-o", "json", timeout=600).json["outputs"]
    result = outputs["train"]["result"]
    assert outputs["model"]["sha256"] == result["sha256"]
    assert result["difference"] <= 1e-6
    assert (result["held_out"], 0.7 < result["auc"] < 1) == (4000, True)
    folder = Path(outputs["train"]["folder"])
    assert f"model_sha256: {result['sha256']}" in (folder / "MODEL_CARD.md").read_text()
    assert (folder / "pipeline" / "metadata").is_dir()
    assert score(outputs["endpoint"]["url"], json.loads((maintenance / "failing.json").read_text()))
    assert "nothing to do" in cli("deploy", maintenance).out
