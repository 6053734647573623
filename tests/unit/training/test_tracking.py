"""What MLflow is told where somebody else has begun the run, as Azure ML does."""

from __future__ import annotations

import json

import pytest

from customai.workloads.training import tracking


def test_a_run_that_was_begun_is_told_and_left_to_whoever_ends_it(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="the extra `tracking` is not installed")
    uri = (tmp_path / "store").as_uri()
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    client = mlflow.MlflowClient(tracking_uri=uri)
    begun = client.create_run(client.create_experiment("digits")).info.run_id
    monkeypatch.setenv(tracking.URI, uri)
    monkeypatch.setenv(tracking.BEGUN, begun)
    monkeypatch.setenv(tracking.VARIABLE, json.dumps({"experiment": "other", "uri": None}))
    folder = tmp_path / "outputs"
    folder.mkdir()
    told = tracking.tell(folder, {"epochs": 2}, {"accuracy": 0.75})
    assert told["run"] == begun
    found = client.get_run(begun)
    assert found.data.metrics == {"final_accuracy": 0.75}
    assert found.data.params == {"epochs": "2"}
    assert found.info.status == "RUNNING"
