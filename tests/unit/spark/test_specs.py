"""What the specs of 2-1 and 2-3 become: steps, as data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from customai import spec
from customai.errors import SpecError
from customai.model import Step, resolve
from customai.paths import score_batch_spark, score_realtime_spark
from customai.planner import SpecFiles

PATHS = Path(__file__).parents[3] / "paths"


def steps(id_: str, *edits: tuple[str, str]) -> dict[str, Step]:
    module = score_realtime_spark if id_ == "2-1" else score_batch_spark
    text = (PATHS / id_ / "customai.yaml").read_text()
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    found = spec.load(text, module.Spec, file="customai.yaml")
    return {step.id: step for step in module.steps(found, SpecFiles(PATHS / id_))}


TRAIN = (
    "# train:                      # train anew with Spark, instead of serving the kept model\n#   rows: 1000000",
    "train:\n  rows: 5000",
)
STREAM = ("mode: serve", "mode: stream")


def test_the_kept_model_is_served_without_spark() -> None:
    made = steps("2-1")
    assert list(made) == ["model", "endpoint", "smoke-test"]
    assert made["model"].inputs["source"].endswith("2-1/model.onnx")
    assert not any("spark" in json.dumps(step.inputs) for step in made.values())


def test_trained_anew_the_model_is_what_the_training_made() -> None:
    made = steps("2-1", TRAIN)
    assert list(made) == ["train", "model", "endpoint", "smoke-test"]
    assert made["model"].needs == ("train",)
    assert made["train"].inputs["argv"][2:4] == ["--rows", "5000"]
    assert {Path(file).name for file in made["train"].inputs["uses"]} == {"train.py", "generate.py"}
    known = resolve(made["model"].inputs, {"train": {"result": {"model": "/made/model.onnx"}}}, str)
    assert (known["source"], known["sha256"]) == ("/made/model.onnx", "")


def test_a_stream_has_no_endpoint() -> None:
    made = steps("2-1", STREAM)
    assert list(made) == ["model", "stream"]
    request = json.loads(made["stream"].inputs["argv"][3])
    assert (request["source"], request["types"]) == ("folder", {"machine": "long", "hour": "long"})


def test_a_connection_string_is_named_and_never_written() -> None:
    hub = "event_hubs: {namespace: n.servicebus.windows.net, hub: h, connection: {env: CONNECTION}}"
    made = steps("2-1", STREAM, ("folder: incoming            # files of JSON lines that are moved into it", hub))
    request = json.loads(made["stream"].inputs["argv"][3])
    assert (request["source"], request["topic"], request["connection"]) == ("event_hubs", "h", "env:CONNECTION")


def test_either_scorer_has_the_steps_it_needs() -> None:
    assert list(steps("2-3")) == ["model", "score"]
    made = steps("2-3", ("scorer: onnx ", "scorer: sparkml "))
    request = json.loads(made["score"].inputs["argv"][3])
    assert list(made) == ["score"]
    assert (request["labels"], Path(request["pipeline"]).name) == (["ok", "failure"], "pipeline")


@pytest.mark.parametrize(
    ("id_", "old", "new", "key", "words"),
    [
        ("2-1", "mode: serve ", "mode: listen ", "mode", "serve"),
        ("2-1", "  folder: incoming ", "  # ", "stream", "exactly one of folder, kafka and event_hubs"),
        ("2-1", "machine: long", "machine: whole", "stream.keep.machine", "a type of Spark's"),
        ("2-3", "local[*] ", "yarn ", "spark.master", "spark://host:port"),
        ("2-3", "memory: 2g", "memory: lots", "spark.memory", "such as 2g"),
        ("2-3", "memory: 2g", "conf: {executor.memory: 1g}", "spark.conf.executor.memory", "begins with spark."),
        ("2-3", "memory: 2g", "conf: {spark.hadoop.fs.azure.account.key.x: k}", "spark.conf", "no secret"),
        ("2-3", "input: data ", "input: ftp://x ", "input", "abfss://"),
        ("2-3", "[machine, hour]", "[machine, machine]", "keep", "each once"),
        ("2-3", "pipeline: pipeline ", "# ", "pipeline", "the folder of the saved pipeline"),
    ],
)
def test_what_does_not_fit_is_named(id_: str, old: str, new: str, key: str, words: str) -> None:
    scorer = (("scorer: onnx ", "scorer: sparkml "),) if key == "pipeline" else ()
    with pytest.raises(SpecError) as caught:
        steps(id_, *scorer, (old, new))
    (problem,) = caught.value.problems
    assert problem.key.startswith(key)
    assert words in problem.message
