"""Tells MLflow of a run when it ends, so that a slow server never slows the training; the run itself never fails by it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from customai.workloads.job.run import read_json, write_json

VARIABLE = "CUSTOMAI_TRACKING"  # {"experiment": NAME, "uri": URI or null}, in JSON; not set: nobody is told
URI, BEGUN = "MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID"  # Azure ML sets both: it has begun a run, and keeps it
HINT = "pip install 'customai[tracking]'"
ARTIFACTS = ("model.onnx", "MODEL_CARD.md")
MOST = 1000  # metrics that the service takes at a time


def tell(
    folder: Path, parameters: Mapping[str, Any], result: Mapping[str, Any], failed: str = ""
) -> dict[str, Any] | None:
    """Writes the run into MLflow's store. Gives where it is, or why it is not there; None where nobody asked.

    A run that is told of twice, because it was stopped or failed in between, stays one run.

    Args:
        folder: the run's; it has metrics.jsonl, and what is kept as an artifact.
        parameters: what the script was given.
        result: what came of it; its numbers become metrics.
        failed: why there is no result, if so.
    """
    if VARIABLE not in os.environ:
        return None
    wanted = json.loads(os.environ[VARIABLE])
    uri = wanted["uri"] or os.environ.get(URI) or (folder.parent / "mlruns").as_uri()
    if uri.startswith("file:"):
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # seven of them, its default, take minutes
    try:
        from mlflow import MlflowClient
    except ImportError:
        told = {"mlflow": "off", "why": "mlflow is not installed", "hint": HINT}
    else:
        try:
            client = MlflowClient(tracking_uri=uri)
            run = _run(client, wanted["experiment"], folder)
            _write(client, run, folder, parameters, result)
            client.set_tag(run, "customai.error", failed)
            if BEGUN not in os.environ:  # else whoever has begun it ends it
                client.set_terminated(run, "FAILED" if failed else "FINISHED")
        except Exception as error:  # noqa: BLE001 - whatever it is, the model is trained
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            told = {"mlflow": "off", "why": reason, "hint": f"is {uri} right, and is it up?"}
        else:
            told = {"mlflow": "on", "uri": uri, "experiment": wanted["experiment"], "run": run}
    if told["mlflow"] == "off":
        print(f"not tracked by MLflow: {told['why']} ({told['hint']})", flush=True)
    return told


def _run(client: Any, experiment: str, folder: Path) -> str:
    """The one that stands for this folder."""
    run: str = os.environ.get(BEGUN) or read_json(folder / "mlflow.json").get("run", "")
    if not run:
        known = client.get_experiment_by_name(experiment)
        id_ = known.experiment_id if known is not None else client.create_experiment(experiment)
        run = client.create_run(id_, run_name=folder.name, tags={"customai.folder": str(folder)}).info.run_id
        write_json(folder / "mlflow.json", {"run": run})
    return run


def _write(client: Any, run: str, folder: Path, parameters: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    from mlflow.entities import Metric, Param

    client.log_batch(run, params=[Param(name, str(value)[:500]) for name, value in parameters.items()])
    final = {name: value for name, value in result.items() if isinstance(value, int | float)}
    metrics = [Metric(f"final_{name}", float(value), 0, 0) for name, value in final.items()]
    for line in _lines(folder / "metrics.jsonl"):
        step, when = int(line.pop("step")), int(line.pop("time") * 1000)
        metrics += [Metric(name, value, when, step) for name, value in line.items()]
    for start in range(0, len(metrics), MOST):
        client.log_batch(run, metrics=metrics[start : start + MOST])
    for name in ARTIFACTS:
        if (folder / name).exists():
            client.log_artifact(run, str(folder / name))


def _lines(file: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
