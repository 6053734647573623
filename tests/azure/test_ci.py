"""The files of docs/ci: what the services' own schemas say of them, when each job runs, and their steps on a simulated Azure."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.azure.continuous import Runner, jobs, read, shells, steps
from tests.azure.simulator import SUBSCRIPTION, Remote

REPOSITORY = Path(__file__).parents[2]
FILES = {"github.yml": "github-workflows", "azure-pipelines.yml": "azure-pipelines"}
JOBS = ("plan", "deploy", "destroy")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGq0Xkz9 someone@somewhere"
MORE = {"1-1": "azure: {allow_from: [20.1.2.3/32], vm: {ssh_key: ci.pub}}\n"}

every_file = pytest.mark.parametrize("file", FILES)


def problems(file: str, document: Any) -> list[str]:
    """What the published schema, as check-jsonschema ships it, has against it."""
    from jsonschema.validators import validator_for

    pytest.importorskip("check_jsonschema", reason="check-jsonschema, of the extra dev, ships the schemas")
    schema = json.loads(
        (files("check_jsonschema") / "builtin_schemas" / "vendor" / f"{FILES[file]}.json").read_text(encoding="utf-8")
    )
    return [each.message for each in validator_for(schema)(schema).iter_errors(document)]


@every_file
def test_it_is_valid_by_its_services_published_schema(file: str) -> None:
    assert problems(file, read(file)) == []


@pytest.mark.parametrize(
    ("file", "key", "wrong"),
    [
        ("github.yml", "jobs", {"plan": {"steps": []}}),
        ("github.yml", "permisions", {}),
        ("azure-pipelines.yml", "stages", [{"stage": "plan", "jobs": [{"job": "plan", "step": []}]}]),
        ("azure-pipelines.yml", "lockBehavior", "sometimes"),
    ],
)
def test_the_schema_would_find_what_is_wrong(file: str, key: str, wrong: Any) -> None:
    assert problems(file, read(file) | {key: wrong}) != []


# What stands in the files.


@every_file
def test_it_has_a_job_for_each_thing_to_do(file: str) -> None:
    assert tuple(jobs(file)) == JOBS


def test_no_secret_is_needed_to_log_in_and_each_job_may_do_little() -> None:
    assert read("github.yml")["permissions"] == {}
    for name, job in jobs("github.yml").items():
        assert job["permissions"] == {"contents": "read", "id-token": "write"}
        (login,) = (step for step in job["steps"] if str(step.get("uses")).startswith("azure/login@"))
        assert set(login["with"]) == {"client-id", "tenant-id", "subscription-id"}
        assert all(value.startswith("${{ vars.") for value in login["with"].values())
        assert (job.get("environment"), job.get("concurrency")) == (
            (None, None) if name == "plan" else ("azure", "customai")
        )
    for job_name in JOBS:
        connections = {
            step["inputs"]["azureSubscription"]
            for step in steps("azure-pipelines.yml", job_name)
            if step.get("task") == "AzureCLI@2"
        }
        assert connections == {"customai-plan" if job_name == "plan" else "customai-deploy"}


def test_a_secret_goes_only_to_jobs_that_run_what_is_on_main() -> None:
    assert "secrets." not in json.dumps(jobs("github.yml")["plan"])
    assert "secrets." in json.dumps(jobs("github.yml")["deploy"])


@every_file
def test_no_expression_of_the_service_is_pasted_into_a_shell(file: str) -> None:
    for job in JOBS:
        for step in shells(file, job):
            assert "${{" not in step.text
            assert not re.search(r"\$\(\w+(\.\w+)*\)", step.text)


@every_file
def test_what_customai_remembers_comes_before_the_work_and_is_kept_after_it(file: str) -> None:
    for job in JOBS:
        names = [str(step.get("name") or step.get("displayName")) for step in steps(file, job)]
        assert names.index("Restore what customai remembers") < names.index(job.capitalize())
        if file == "github.yml" and job != "plan":  # the other service's task keeps it itself, at the job's end
            assert names[-1] == "Keep what customai remembers"
            assert steps(file, job)[-1]["if"] == "always()"


# When each job runs.

PULL = {"event": "pull_request", "ref": "refs/pull/7/merge"}
MAIN, OTHER = "refs/heads/main", "refs/heads/mine"


@pytest.mark.parametrize(
    ("event", "ref", "action", "runs"),
    [
        ("pull_request", "refs/pull/7/merge", "", ["plan"]),
        ("push", MAIN, "", ["deploy"]),
        ("workflow_dispatch", MAIN, "deploy", ["deploy"]),
        ("workflow_dispatch", MAIN, "destroy", ["destroy"]),
        ("workflow_dispatch", OTHER, "deploy", []),
        ("workflow_dispatch", OTHER, "destroy", []),
    ],
)
def test_github_runs_the_job_that_fits_the_event(event: str, ref: str, action: str, runs: list[str]) -> None:
    seen = {"github": SimpleNamespace(event_name=event, ref=ref), "inputs": SimpleNamespace(action=action)}
    found = [
        name
        for name, job in jobs("github.yml").items()
        if eval(job["if"].replace("&&", " and ").replace("||", " or "), seen)
    ]
    assert found == runs


@pytest.mark.parametrize(
    ("reason", "ref", "action", "runs"),
    [
        ("PullRequest", "refs/pull/7/merge", "deploy", ["plan"]),
        ("IndividualCI", MAIN, "deploy", ["deploy"]),
        ("Manual", MAIN, "deploy", ["deploy"]),
        ("Manual", MAIN, "destroy", ["destroy"]),
        ("Manual", OTHER, "deploy", []),
        ("Manual", OTHER, "destroy", []),
    ],
)
def test_azure_pipelines_runs_the_stage_that_fits_the_event(
    reason: str, ref: str, action: str, runs: list[str]
) -> None:
    seen: dict[str, Any] = {
        "variables": {"Build.Reason": reason, "Build.SourceBranch": ref},
        "and_": lambda *each: all(each),
        "eq": lambda one, other: one == other,
        "ne": lambda one, other: one != other,
    }
    found = [
        name
        for name, stage in jobs("azure-pipelines.yml").items()
        if eval(stage["condition"].replace("and(", "and_(").replace("${{ parameters.action }}", action), seen)
    ]
    assert found == runs


# The shell steps, on a simulated Azure.


@pytest.fixture
def on_azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Remote]:
    pytest.importorskip("azure.mgmt.compute", reason="the extra azure is not installed")
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed here; it is on the services' machines")
    command = [sys.executable, "-m", "tests.azure.simulator", "--attached", "--seconds", "0.05"]
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as simulator:
        assert simulator.stdout is not None
        assert simulator.stdin is not None
        remote = Remote(simulator.stdout.readline().strip())
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("CUSTOMAI_AZURE_ENDPOINT", remote.url)
        monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", SUBSCRIPTION)
        yield remote
        simulator.stdin.close()
        simulator.wait(20)


@pytest.fixture
def machine(tmp_path: Path, customai: Callable[..., Any]) -> Callable[[str], Runner]:
    """machine("1-1") -> a machine of the service, with the spec of this path checked out as my-model."""

    def make(path: str) -> Runner:
        assert customai("init", path, "my-model").returncode == 0
        spec = tmp_path / "my-model" / "customai.yaml"
        spec.write_text(f"{spec.read_text(encoding='utf-8')}\n{MORE.get(path, '')}", encoding="utf-8")
        (tmp_path / "my-model" / "ci.pub").write_text(KEY, encoding="utf-8")
        values = {
            "github.workspace": str(tmp_path),
            "Pipeline.Workspace": str(tmp_path),
            "vars.AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
            "secrets.SCORING_KEY": "",
        }
        return Runner(tmp_path, values)

    return make


def writes(remote: Remote) -> list[str]:
    return [f"{entry['method']} {entry['name']}" for entry in remote.log() if entry["method"] not in ("GET", "HEAD")]


@pytest.mark.slow
@pytest.mark.parametrize(("file", "path"), [("github.yml", "2-2"), ("azure-pipelines.yml", "1-1")])
def test_from_the_first_pull_request_to_the_last_resource(
    on_azure: Remote, machine: Callable[[str], Runner], tmp_path: Path, file: str, path: str
) -> None:
    runner = machine(path)
    planned = runner.run(file, "plan")
    assert (planned.returncode, writes(on_azure)) == (0, []), planned.stdout
    assert "Before money is spent" in planned.stdout
    assert "steps to do" in planned.stdout
    assert "python -m pip install customai[azure]" in runner.recorded
    if file == "github.yml":
        assert "Before money is spent" in runner.summary

    deployed = runner.run(file, "deploy")
    assert deployed.returncode == 0, deployed.stdout
    assert len(on_azure.resources()) > 10

    on_azure.clear()
    again = runner.run(file, "deploy")
    assert (again.returncode, writes(on_azure)) == (0, []), again.stdout
    assert "Nothing to do: it is as planned." in runner.run(file, "plan").stdout

    destroyed = runner.run(file, "destroy")
    assert (destroyed.returncode, on_azure.resources()) == (0, {}), destroyed.stdout
    assert ('"remaining": []' in destroyed.stdout) == (path == "1-1")  # a key vault is kept: that is no failure
    on_azure.clear()
    nothing = runner.run(file, "destroy")
    assert (nothing.returncode, on_azure.resources()) == (0, {}), nothing.stdout
    if path == "1-1":  # of the other, customai remembers the key vault
        assert (writes(on_azure), "There is nothing to destroy." in nothing.stdout) == ([], True)


@pytest.mark.slow
@every_file
def test_a_destroy_that_remembers_nothing_takes_up_what_is_there(
    on_azure: Remote, machine: Callable[[str], Runner], tmp_path: Path, file: str
) -> None:
    runner = machine("1-1")
    deployed = runner.run(file, "deploy")
    assert deployed.returncode == 0, deployed.stdout
    for home in (tmp_path / ".customai", tmp_path / "customai"):
        shutil.rmtree(home, ignore_errors=True)
    on_azure.clear()
    destroyed = runner.run(file, "destroy")
    assert (destroyed.returncode, on_azure.resources()) == (0, {}), destroyed.stdout
    assert not [each for each in writes(on_azure) if each == "PUT digits-training"]  # it was taken up, not made anew


@pytest.mark.slow
@every_file
def test_a_job_fails_where_its_command_does(on_azure: Remote, machine: Callable[[str], Runner], file: str) -> None:
    runner = machine("1-1")
    dear = runner.run(file, "plan", replace=('"$MAX_HOURLY_USD"', "0.01"))
    assert (dear.returncode, writes(on_azure)) == (3, []), dear.stdout
    on_azure.fault("token_expired", times=99)
    blind = runner.run(file, "destroy")
    assert (blind.returncode, "cannot be read" in blind.stdout) == (3, True), blind.stdout
    on_azure.calm()
    if file == "github.yml":  # what follows is the same command in both
        assert runner.run(file, "deploy").returncode == 0
        on_azure.fault("authorization_failed", method="DELETE", times=99, action="delete")
        stopped = runner.run(file, "destroy")
        assert (stopped.returncode, '"error"' in stopped.stdout) == (1, True), stopped.stdout
        on_azure.calm()
        assert runner.run(file, "destroy").returncode == 0
        assert on_azure.resources() == {}
