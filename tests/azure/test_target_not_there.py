"""What a spec says of this machine and Azure would leave undone: told with its place, before anything is planned."""

from __future__ import annotations

import re
import shutil

import pytest

from customai import paths, planner
from customai.errors import NotAvailable, SpecError
from customai.targets.azure import AzureTarget
from tests.azure import driven

LINES = {
    "tls": "  tls: {certificate: key.pub, key: key.pub}",
    "tracing": "  tracing: http://127.0.0.1:4318",
}
SAID = {
    ("2-1", "tls"): "the online endpoint serves https by itself",
    ("2-2", "tls"): "the online endpoint serves https by itself",
    ("2-5", "tls"): "let a gateway before the cluster's private address serve https",
    ("2-2", "tracing"): "traces are not sent from there",
    ("2-5", "tracing"): "nothing leaves the pods there, traces neither",
}
SPARK = {  # what 2-1 does here alone: key -> (a line of its spec, as it is then, what is said)
    "mode": ("mode: serve", "mode: stream", "a stream runs on this machine only"),
    "train": ("# train:", "train: {rows: 2000}\n#", "on Azure the kept model is served"),
}


@pytest.mark.parametrize(("path", "key"), SAID)
def test_what_only_this_machine_can_is_a_problem_of_the_spec(tmp_path, path, key):
    file = driven.spec(tmp_path, path)
    file.write_text(file.read_text().replace("endpoint:\n", f"endpoint:\n{LINES[key]}\n"))
    source = planner.read(file)
    with pytest.raises(SpecError) as told:
        planner.plan(source, AzureTarget(tmp_path / "state"))
    (problem,) = told.value.problems
    line = file.read_text().splitlines().index(LINES[key]) + 1
    assert (problem.key, problem.line) == (f"endpoint.{key}", line)
    assert SAID[path, key] in problem.message
    assert "leave it out" in problem.message


@pytest.mark.parametrize("key", SPARK)
def test_spark_that_runs_here_alone_is_not_left_undone(tmp_path, key):
    old, new, said = SPARK[key]
    file = driven.spec(tmp_path, "2-1")
    file.write_text(file.read_text().replace(old, new, 1))
    source = planner.read(file)
    with pytest.raises(SpecError) as told:
        planner.plan(source, AzureTarget(tmp_path / "state"))
    (problem,) = told.value.problems
    assert problem.key == key
    assert said in problem.message


def test_a_service_that_is_not_there_yet_is_a_problem_of_the_spec(tmp_path):
    file = driven.spec(tmp_path, "2-3")
    file.write_text(file.read_text().replace("spark:\n", "spark:\n  service: aml\n"))
    with pytest.raises(SpecError) as told:
        planner.plan(planner.read(file), AzureTarget(tmp_path / "state"))
    (problem,) = told.value.problems
    assert problem.key == "spark.service"
    assert "take databricks" in problem.message


def test_a_path_that_does_not_run_there_yet_says_which_do(tmp_path, monkeypatch):
    monkeypatch.setitem(paths.ELSEWHERE, "azure", ("1-1", "2-5"))
    source = planner.read(driven.spec(tmp_path, "2-1"))
    with pytest.raises(NotAvailable, match="path 2-1 does not run on target azure yet") as told:
        planner.plan(source, AzureTarget(tmp_path / "state"))
    assert "1-1, 2-5" in told.value.hint


def test_a_plan_for_azure_tells_it_as_any_problem_of_a_spec(tmp_path, customai):
    assert customai("init", "2-5", "mine").returncode == 0
    file = tmp_path / "mine" / "customai.yaml"
    shutil.copy(tmp_path / "mine" / "labels.txt", tmp_path / "mine" / "key.pub")
    file.write_text(file.read_text().replace("endpoint:\n", f"endpoint:\n{LINES['tls']}\n"))
    for command in ("plan", "cost", "export", "deploy"):
        done = customai(command, "mine", *(() if command in ("cost", "export") else ("--target", "azure")))
        assert done.returncode == 2, (command, done)
        assert re.search(r"customai\.yaml:\d+:\d+: endpoint\.tls: a certificate on this machine", done.stderr)
    assert customai("plan", "mine").returncode == 0
