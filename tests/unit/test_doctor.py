"""What the doctor finds on this machine."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import pytest

from customai import planner
from customai.targets import local_doctor
from customai.targets.findings import OK, PROBLEM, UNKNOWN, WARNING
from customai.targets.local import LocalTarget
from tests.ports import free_port

PATHS = Path(__file__).parents[2] / "paths"


@pytest.fixture
def findings(tmp_path):
    """findings("2-5") -> what is found for this path, by what was looked at."""

    def look(path=None, **environment):
        target = LocalTarget(tmp_path / "state")
        plan = planner.plan(planner.read(planner.locate(path)), target) if path is not None else None
        return [(each.check, each.state, each) for each in target.findings(plan)]

    return look


def of(found, check):
    return [(state, each) for name, state, each in found if name == check]


def test_without_a_path_everything_is_looked_at_and_nothing_is_a_problem(findings, monkeypatch):
    monkeypatch.setattr(local_doctor, "_is_there", lambda _module: False)
    found = findings()
    assert {name for name, _, _ in found} == {"python", "extras", "java", "disk", "memory", "cores"}
    assert [state for state, _ in of(found, "extras")] == [WARNING] * len(local_doctor.EXTRAS)
    assert "pip install 'customai[serve]'" in {each.hint for _, each in of(found, "extras")}


@pytest.mark.parametrize(
    ("path", "extra", "state"), [("2-5", "serve", PROBLEM), ("2-3", "spark", PROBLEM), ("2-4", "batch", PROBLEM), ("1-1", "train", WARNING)]
)  # fmt: skip
def test_an_extra_that_a_path_needs_is_told_with_the_command(findings, monkeypatch, path, extra, state):
    monkeypatch.setattr(local_doctor, "_is_there", lambda _module: False)
    told = {each.hint: found for found, each in of(findings(path), "extras")}
    assert told[f"pip install 'customai[{extra}]'"] == state


def test_a_path_is_asked_only_for_what_it_needs(findings):
    assert not of(findings("2-5"), "java")
    assert len(of(findings("2-3"), "java")) == 1
    assert not [each for _, each in of(findings("2-5"), "extras") if "spark" in each.message]


def test_a_port_that_is_taken_is_told_as_deploy_tells_it(customai, tmp_path):
    with socket.socket() as taken:
        port = free_port()
        taken.bind(("127.0.0.1", port))
        taken.listen(1)
        customai("init", "2-5", "mine")
        file = tmp_path / "mine" / "customai.yaml"
        text = file.read_text(encoding="utf-8")
        assert "8025" in text
        file.write_text(text.replace("8025", str(port)), encoding="utf-8")
        done = customai("doctor", "mine", "-o", "json")
        deployed = customai("deploy", "mine", "-o", "json")
    told = json.loads(done.stdout)
    (problem,) = [each for each in told["findings"] if each["state"] == PROBLEM]
    assert (done.returncode, problem["check"], problem["where"]) == (3, "ports", "endpoint.port")
    assert json.loads(deployed.stdout)["error"]["message"] == problem["message"]


@pytest.mark.parametrize(
    ("home", "words"), [("", "there is none"), ("nowhere", "there is none"), ("old", "this is Java 8")]
)
def test_java_that_is_missing_or_old_is_told(findings, monkeypatch, tmp_path, home, words):
    old = tmp_path / "old" / "bin" / "java"
    old.parent.mkdir(parents=True)
    old.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_392\"' >&2\n", encoding="utf-8")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    if home:
        monkeypatch.setenv("JAVA_HOME", str(tmp_path / home))
        monkeypatch.setenv("PATH", "/usr/bin:/bin") if home == "old" else None
    ((state, told),) = of(findings("2-3"), "java")
    assert (state, words in told.message) == (PROBLEM, True)


@pytest.mark.parametrize(("free", "state"), [(0.2, WARNING), (1.5, WARNING), (8.0, OK), (None, UNKNOWN)])
def test_memory_is_compared_with_what_spark_takes(findings, monkeypatch, free, state):
    monkeypatch.setattr(local_doctor, "available_memory", lambda: free)
    assert [found for found, _ in of(findings("2-3"), "memory")] == [state]


def test_a_disk_that_is_nearly_full_is_told(findings, monkeypatch):
    real = local_doctor.shutil.disk_usage
    monkeypatch.setattr(local_doctor.shutil, "disk_usage", lambda place: real(place)._replace(free=10_000_000))
    states = {state for state, _ in of(findings("2-5"), "disk")}
    assert WARNING in states
    assert PROBLEM in states  # nor is there room for the model


def test_more_replicas_than_cores_is_a_warning(findings, monkeypatch):
    monkeypatch.setattr(local_doctor.os, "sched_getaffinity", lambda _pid: {0}, raising=False)
    ((state, told),) = of(findings("2-5"), "cores")
    assert (state, "2 replicas" in told.message) == (WARNING, True)


def test_another_python_is_a_problem(findings, monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 9, 1, "final", 0))
    ((state, told),) = of(findings(), "python")
    assert (state, "3.10 to 3.13" in told.message) == (PROBLEM, True)


def test_the_command_line_on_this_machine(customai):
    done = customai("doctor", "2-5")
    assert done.returncode in (0, 3)  # 3: somebody has the port
    assert "✓ python" in done.stdout
    assert customai("doctor", "9-9").returncode == 2
    told = json.loads(customai("doctor", "-o", "json").stdout)
    assert (told["target"], told["path"], set(told["count"])) == ("local", None, {OK, WARNING, PROBLEM, UNKNOWN})
