"""What a spec of a training may say, and the command that it becomes."""

from __future__ import annotations

import pytest

from customai import spec
from customai.paths import train_multi, train_single
from customai.spec.schema import json_schema


class Files:
    def absolute(self, name):
        return f"/here/{name}"

    def sha256(self, name):
        return f"digest of {name}"

    def lines(self, name):
        return []


def read(text, module=train_single):
    return spec.load(text, module.Spec, file="customai.yaml")


def step(text, module=train_single):
    (made,) = module.steps(read(text, module), Files())
    return made


SINGLE = "path: 1-1\nname: toy\ntrain: {script: train.py, parameters: %s, files: [data.csv]}\n"
MULTI = "path: 1-2\nname: toy\ntrain: {script: train.py, parameters: {a: 1}}\n"


def test_a_script_and_its_parameters_become_one_job():
    made = step(SINGLE % "{epochs: 60, lr: 1.0e-3, kind: tall, fast: true, slow: false}")
    assert made.inputs["argv"] == [
        *("python", "-m", "customai.workloads.training", "/here/train.py"),
        *("--epochs", "60", "--lr", "0.001", "--kind", "tall", "--fast"),
    ]
    assert made.inputs["uses"] == {"/here/train.py": "digest of train.py", "/here/data.csv": "digest of data.csv"}
    assert (made.id, made.kind, made.inputs["cwd"]) == ("train", "job", "/here")
    assert "CUSTOMAI_TRACKING" not in made.inputs["env"]


@pytest.mark.parametrize("value", ["null", "[1]", "{b: 1}", "2018-01-01"])
def test_what_cannot_be_handed_to_a_script_is_refused(value):
    with pytest.raises(spec.InvalidSpec) as caught:
        read(SINGLE % f"{{a: {value}}}")
    (problem,) = caught.value.problems
    assert problem.key == "train.parameters.a"
    assert problem.message.startswith("expected text, a number, true or false, got ")


def test_nodes_are_two_unless_told_and_a_sweep_takes_their_place():
    assert '"nodes": 2' in step(MULTI, train_multi).inputs["argv"][3]
    assert '"nodes": 5' in step(MULTI + "nodes: 5\n", train_multi).inputs["argv"][3]
    swept = step(MULTI + "sweep: {parameters: {lr: [0.1, 1]}}\n", train_multi).inputs["argv"]
    assert swept[2] == "customai.workloads.training.sweep"
    assert '"parameters": {"lr": [0.1, 1]}' in swept[3]


def test_a_rehearsal_is_told_where_the_undisturbed_run_is():
    made = train_multi.rehearsal(read(MULTI, train_multi), Files(), notice=30, seed=7)
    assert made.needs == ("train",)
    assert made.inputs["argv"][3] == {"$ref": "train#folder"}


def test_the_schema_takes_what_the_reader_takes():
    jsonschema = pytest.importorskip("jsonschema")
    schema = json_schema({"1-1": train_single.Spec, "1-2": train_multi.Spec})
    jsonschema.Draft7Validator.check_schema(schema)
    good = {"path": "1-1", "name": "toy", "train": {"script": "train.py", "parameters": {"a": 1, "b": "x", "c": True}}}
    jsonschema.validate(good, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**good, "train": {"script": "train.py", "parameters": {"a": None}}}, schema)
