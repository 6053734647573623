"""`customai deploy 2-5` on this machine: what it brings up, what it says, and that a second time does nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from customai.paths import PATHS

DIGITS = [str(digit) for digit in range(10)]


@pytest.fixture
def shell(tmp_path: Path):
    """Runs a line as a user pastes it, with `customai` on the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "customai").write_text(f'#!/bin/sh\nexec {sys.executable} -m customai "$@"\n')
    (folder / "customai").chmod(0o755)

    def run(line: str) -> str:
        env = os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False, timeout=30, env=env)
        assert done.returncode == 0, done
        return done.stdout

    return run


def test_an_empty_folder_is_enough_and_every_digit_gets_its_label(deployment, cli, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    deployment.edit(replicas=2)
    cli("deploy", deployment.spec, cwd=empty)
    samples = [deployment.folder / "samples" / f"{digit}.png" for digit in DIGITS]
    for digit, sample in zip(DIGITS, samples, strict=True):
        request = urllib.request.Request(
            f"http://127.0.0.1:{deployment.port}/score", sample.read_bytes(), {"Content-Type": "image/png"}
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            assert json.load(response)["predictions"][0]["label"] == digit
    scored = cli("score", deployment.name, *samples, "--output", "json").json
    assert [prediction["label"] for prediction in scored["predictions"]] == DIGITS
    assert [prediction["image"] for prediction in scored["predictions"]] == [str(sample) for sample in samples]
    assert not list(empty.iterdir())
    assert len(deployment.replicas()) == len(deployment.processes("scoring.replica")) == 2


def test_every_line_that_it_prints_works_as_pasted(deployment, wait_for, shell, tmp_path):
    moved = tmp_path / "it's a folder"
    deployment.folder.rename(moved)
    deployment.spec = moved / "customai.yaml"
    said = deployment.deploy().out
    (url,) = re.findall(r"^endpoint +(http://\S+)  \(1 replica\)$", said, re.MULTILINE)
    assert url == f"http://127.0.0.1:{deployment.port}"
    (curl,) = re.findall(r"^  (curl .*)$", said, re.MULTILINE)
    assert json.loads(shell(curl))["predictions"][0]["label"] == "3"
    (score,) = re.findall(r"^  (customai score .*)$", said, re.MULTILINE)
    assert re.search(r"3\.png'? +3 +\d", shell(score).splitlines()[-1])
    nexts = re.search(
        r"^Next: (customai status .*) \| (customai logs .*) -f \| (customai destroy .*)$", said, re.MULTILINE
    )
    assert nexts, said
    assert "healthy" in shell(nexts[1])
    wait_for(lambda: "POST" in shell(nexts[2]), 3)
    assert "is gone" in shell(f"{nexts[3]} --yes")


def test_each_result_is_one_json_document_with_stable_keys_and_nothing_else(deployment, cli):
    deployed = cli("deploy", deployment.spec, "--output", "json")
    assert deployed.err == ""
    assert list(deployed.json) == ["name", "path", "target", "changed", "steps", "outputs"]
    assert [list(step) for step in deployed.json["steps"]] == [["id", "kind", "action", "seconds"]] * 3
    assert {step["id"]: step["action"] for step in deployed.json["steps"]} == {
        "model": "created",
        "endpoint": "created",
        "smoke-test": "created",
    }
    assert deployed.json["outputs"]["endpoint"]["url"] == f"http://127.0.0.1:{deployment.port}"

    status = cli("status", deployment.name, "-o", "json")
    (found,) = status.json["deployments"]
    assert status.err == ""
    assert " ".join(found) == "name path target spec complete endpoint model versions jobs schedules steps"
    assert list(found["endpoint"]) == [
        "url",
        "health",
        "replicas",
        "wanted",
        "since",
        "restarts",
        "threads",
        "pace",
        "failure",
    ]
    assert (found["complete"], found["endpoint"]["health"], found["endpoint"]["wanted"]) == (True, "healthy", 1)
    assert [list(replica) for replica in found["endpoint"]["replicas"]] == [["pid", "since", "ready"]]
    assert found["model"] == {
        "name": "digits",
        "version": "1",
        "sha256": deployed.json["outputs"]["model"]["sha256"],
        "traffic": 100,
    }

    scored = cli("score", deployment.name, deployment.folder / "samples" / "7.png", "-o", "json")
    assert scored.err == ""
    assert list(scored.json["predictions"][0]) == ["image", "label", "index", "probability", "top", "version"]

    gone = cli("destroy", deployment.name, "--yes", "-o", "json")
    assert (gone.err, gone.json) == (
        "",
        {"name": deployment.name, "deleted": ["smoke-test", "endpoint", "model"], "remaining": [], "purged": []},
    )


def test_an_error_is_one_json_document_too(cli, tmp_path):
    for verb, code in (("deploy", 2), ("status", 3), ("destroy", 0), ("logs", 3)):
        more = ("--yes",) if verb == "destroy" else ()
        run = cli(verb, tmp_path / "nowhere.yaml", "-o", "json", *more, code=code)
        assert run.err == ""
        if code:
            assert list(run.json["error"]) == ["type", "message", "where", "hint", "exit_code"]
            assert run.json["error"]["exit_code"] == code


def test_a_second_time_nothing_is_done_and_it_says_so(deployment, cli):
    deployment.edit(replicas=2)
    deployment.deploy()
    before, written = sorted(deployment.processes()), len(deployment.events())
    again = deployment.deploy()
    assert "is up as it was: nothing to do" in again.out
    assert cli("deploy", deployment.spec, "-o", "json").json["changed"] is False
    assert set(deployment.redeploy().values()) == {"kept"}
    assert sorted(deployment.processes()) == before
    assert len(deployment.events()) == written


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_every_path_is_checked_and_planned_by_its_number_and_nothing_is_written(cli, home, path):
    for command in (("check", path.id), ("plan", path.id), (path.group, "check", path.id)):
        assert path.id in cli(*command).out
    assert not home.exists()


def test_where_nothing_is_deployed_status_says_what_to_type(cli, home):
    assert cli("status").out == "Nothing is deployed. Start with: customai deploy 2-5\n"
    assert cli("status", "-o", "json").json == {"deployments": []}
    cli("status", "2-5", code=3).failed(3, "2-5 is not deployed", "customai deploy 2-5")
    cli("score", "2-5", __file__, code=3).failed(3, "2-5 is not deployed")
    cli("logs", "2-5", code=3).failed(3, "2-5 is not deployed")
    assert not home.exists()
