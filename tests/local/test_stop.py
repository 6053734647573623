"""stop, start and scale on this machine: what serves or waits is ended and brought back; everything else stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from customai.engine import start, stop
from customai.journal import Header, Journal, Record
from customai.model import Step
from customai.targets.base import Watch
from customai.targets.local import LocalTarget
from customai.ui import Silent


def test_a_server_is_stopped_and_comes_back_as_it_was(deployment: Any, cli: Callable[..., Any]) -> None:
    deployment.deploy()
    told = cli("stop", deployment.name, "-o", "json").json
    assert (told["stopped"], told["already"], told["billed_at_rest"]) == (["endpoint"], [], [])
    assert not deployment.listens()
    assert deployment.processes() == []
    assert deployment.status()["endpoint"]["health"] == "stopped"
    assert "stands still already" in cli("stop", deployment.name).out
    assert cli("logs", deployment.name).out  # what it wrote stays

    told = cli("start", deployment.name, "-o", "json").json
    assert (told["started"], told["already"]) == (["endpoint"], [])
    assert deployment.score(7) == "7"
    assert "runs already" in cli("start", deployment.name).out
    assert deployment.status()["complete"] is True

    cli("stop", deployment.name)
    assert deployment.redeploy()["endpoint"] == "changed"  # so does deploy
    assert deployment.score(3) == "3"


def test_replicas_are_as_many_as_one_says_until_the_next_deploy(deployment: Any, cli: Callable[..., Any]) -> None:
    deployment.deploy()
    told = cli("scale", deployment.name, "--replicas", "2", "-o", "json").json
    assert [step["id"] for step in told["steps"] if step["action"] == "changed"][:1] == ["endpoint"]
    assert len(deployment.replicas()) == 2
    assert "is of that size already" in cli("scale", deployment.name, "--replicas", "2").out
    cli("score-realtime", "rollback", deployment.name)
    assert len(deployment.replicas()) == 1
    cli("scale", deployment.name, "--replicas", "2-4", code=None).failed(3, "no autoscaler runs on this machine")
    cli("scale", deployment.name, "--nodes", "2", code=None).failed(3, "has no nodes", "--replicas")
    cli("scale", deployment.name, code=None).failed(2, "--replicas, --nodes or --size")


def test_a_port_that_somebody_took_meanwhile_is_told(deployment: Any, cli: Callable[..., Any]) -> None:
    import socket

    deployment.deploy()
    cli("stop", deployment.name)
    with socket.socket() as theirs:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        theirs.bind(("127.0.0.1", deployment.port))
        theirs.listen()
        cli("start", deployment.name, code=None).failed(3, "already in use")
    cli("start", deployment.name)
    assert deployment.score(1) == "1"


WORK = """
import os, time
from customai.workloads.job.run import Run
run = Run.current()
seen = len(list(run.folder.glob("went-*")))
(run.folder / f"went-{seen}").touch()
while True:
    run.progress(1, None, "rows")
    time.sleep(0.05)
"""


@pytest.mark.parametrize("kind", ["stream", "schedule"])
def test_what_waits_for_work_is_stopped_and_goes_on(kind: str, tmp_path: Path, wait_for: Callable[..., Any]) -> None:
    script = tmp_path / "work.py"
    script.write_text(WORK, encoding="utf-8")
    job = {"argv": ["python", str(script)], "cwd": str(tmp_path), "env": {}, "uses": {}, "grace": 5.0, "keep_up": True}
    times = {"minute": [0], "hour": [0], "day": [1], "month": [1], "weekday": list(range(7)), "either": False}
    asked = {"stream": job, "schedule": {**job, "format": 1, "cron": "0 0 1 1 *", "times": times, "jobs": "score"}}
    step = Step("it", "run", kind, "job", asked[kind], why="work")
    folder = tmp_path / "state"
    folder.mkdir()
    target, journal = LocalTarget(folder), Journal.start(folder, Header("it", "2-1", "local", "x"))
    journal.append(Record("it", "begin", "one", asked=step.to_json()))
    journal.append(Record("it", "done", "one", outputs=target.apply(step, step.inputs, "one", Watch())))
    try:
        assert [result.action for result in start(target, journal, Silent())] == ["kept"]
        assert [result.action for result in stop(target, journal, Silent())] == ["stopped"]
        assert [result.action for result in stop(target, journal, Silent())] == ["kept"]
        assert target.read(step, journal.known["it"].outputs).as_left is False
        assert [result.action for result in start(target, journal, Silent())] == ["started"]
        assert target.read(step, journal.known["it"].outputs).as_left is True
        if kind == "stream":
            wait_for(lambda: len(list((folder / "streams" / "it").glob("went-*"))) == 2)
    finally:
        target.delete(step, journal.known["it"].outputs)
    assert json.loads((folder / "journal.jsonl").read_bytes().splitlines()[-1])["event"] == "done"


def test_a_training_has_nothing_that_could_be_stopped(cli: Callable[..., Any], home: Path) -> None:
    folder = home / "deployments" / "digits-training"
    folder.mkdir(parents=True)
    Journal.start(folder, Header("digits-training", "1-1", "local", "x"))
    assert "there is nothing to stop" in cli("stop", "digits-training").out
    cli("scale", "1-1", "--size", "Standard_D8ds_v5", code=None).failed(4, "was not brought to its end")
