"""What a spec says of this machine and Azure would leave undone: told with its place, before anything is planned."""

from __future__ import annotations

import re
import shutil

import pytest

from customai import planner
from customai.errors import SpecError
from customai.targets.azure import AzureTarget
from tests.azure import driven

LINES = {
    "tls": "  tls: {certificate: key.pub, key: key.pub}",
    "tracing": "  tracing: http://127.0.0.1:4318",
}
SAID = {
    ("2-2", "tls"): "the online endpoint serves https by itself",
    ("2-5", "tls"): "let a gateway before the cluster's private address serve https",
    ("2-2", "tracing"): "traces are not sent from there",
    ("2-5", "tracing"): "nothing leaves the pods there, traces neither",
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
