"""Path 1-2 on Batch AI, the service of 2018: on a simulated Azure that still has it; refused where it has ended."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from customai import retirements
from customai.engine import StepsFailed
from customai.errors import NotAvailable, NotInstalled
from customai.targets import azure_arm
from tests.azure.simulator import Simulator
from tests.azure.test_target_faults import LASTING, PASSING, handled_twice
from tests.azure.test_target_kill import killed, made_twice

pytest.importorskip("azure.mgmt.batchai", reason="the extra batchai is not installed")
from tests.azure import driven as module

BATCH_AI = "cluster: {service: batchai, ssh_key: key.pub}"
JOB = ".*/experiments/[^/]+/jobs/[^/]+$"


@pytest.fixture
def one(driven: Any) -> Any:
    return driven("1-2", BATCH_AI)


def test_it_is_made_kept_changed_and_taken_away(azure: Simulator, one: Any) -> None:
    assert set(one.deploy().values()) == {"created"}
    kinds = {
        id_.split("/providers/Microsoft.BatchAI/")[1].split("/")[-2] for id_ in azure.standing() if "BatchAI" in id_
    }
    assert kinds == {"workspaces", "fileServers", "clusters", "experiments", "jobs"}
    assert {change.action for change in one.compared().values()} == {"keep"}
    azure.log.clear()
    assert set(one.deploy().values()) == {"kept"}
    assert azure.log.writes() == []

    text = one.file.read_text(encoding="utf-8")
    one.file.write_text(text.replace("epochs: 60", "epochs: 61"), encoding="utf-8")
    changed = {step for step, action in one.deploy().items() if action != "kept"}
    assert changed <= {"group", "train"}
    assert "train" in changed
    jobs = [id_ for id_ in azure.standing() if re.fullmatch(JOB, id_)]
    assert len(jobs) == 2  # another parameter is another job: the one before stays, as a record, with its workspace

    azure.log.clear()
    assert set(one.destroy(sweep=False).values()) == {"deleted"}
    assert azure.standing() == []
    named = [(entry.method, entry.path) for entry in azure.log.of("GET") + azure.log.of("DELETE")]
    assert not [each for each in named if re.search("/fileServers/[^/]+$", each[1])]  # the API has neither


def test_a_cluster_that_cannot_change_says_so(one: Any) -> None:
    one.deploy()
    text = one.file.read_text(encoding="utf-8")
    one.file.write_text(text.replace("service: batchai", "service: batchai, max: 5"), encoding="utf-8")
    with pytest.raises(StepsFailed, match=r"cannot be changed once it is there: .*maximumNodeCount is 2, not 5"):
        one.deploy()


def test_where_it_has_ended_it_is_refused_with_its_successor_before_anything_is_made(
    azure: Simulator, one: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotAvailable, match=r"Batch AI ended on 2019-03-31: take aml") as error:
        one.target().check(one.plan())
    assert error.value.exit_code == 3
    assert (error.value.where, "azure.cluster.service: aml" in error.value.hint) == ("azure.cluster.service", True)
    assert "--skip-checks" in error.value.hint
    assert azure.log.writes() == []
    monkeypatch.setenv(retirements.TODAY_VARIABLE, "2019-03-30")  # the day before, it had not
    one.target().check(one.plan())


def test_without_its_sdk_the_command_that_mends_it_is_told(one: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def without(name: str) -> Any:
        raise ImportError(f"No module named '{name}'", name="msrest")

    plan = one.plan()
    monkeypatch.setattr(azure_arm, "import_module", without)
    with pytest.raises(NotInstalled, match="msrest is not installed here") as error:
        one.target().read(next(step for step in plan.steps if step.id == "workspace"), None)
    assert error.value.hint == "pip install 'customai[batchai]'"


def test_no_key_and_no_password_is_sent_kept_or_told(azure: Simulator, one: Any) -> None:
    one.deploy()
    sent = json.dumps([entry.body for entry in azure.log.writes()])
    kept = "".join(file.read_text(encoding="utf-8") for file in one.folder.rglob("*") if file.is_file())
    for text in (sent, kept):
        assert not re.search("accountKey|adminUserPassword|listKeys|PRIVATE KEY", text)
    assert [entry.path for entry in azure.log.of("POST")] == []


@pytest.mark.parametrize("after", [False, True], ids=["before it is handled", "after it is handled"])
def test_killed_on_the_way_the_next_run_goes_on(azure: Simulator, driven: Any, tmp_path: Path, *, after: bool) -> None:
    whole = driven("1-2", BATCH_AI)
    whole.deploy()
    expected = azure.standing()
    whole.destroy()
    for nth in range(6, 100, 10):
        azure.log.clear()
        one = module.Driven(azure.url, whole.file, tmp_path / f"killed-{nth}")
        went_on = killed(azure, one, nth, after=after)
        one.deploy()
        assert azure.standing() == expected, f"killed at request {nth}"
        assert made_twice(azure) == []
        one.destroy()
        assert azure.standing() == []
        if not went_on:
            return
    pytest.fail("it never came to its end")


@pytest.mark.parametrize("name", PASSING)
def test_what_passes_by_itself_is_waited_for(azure: Simulator, one: Any, name: str) -> None:
    fault = azure.fault(PASSING[name](method="PUT", url=".*/Microsoft.BatchAI/workspaces/[^/]+/clusters/.*"))
    assert set(one.deploy().values()) == {"created"}
    assert fault.struck == 1
    assert handled_twice(azure) == []
    assert {change.action for change in one.compared().values()} == {"keep"}


def test_what_lasts_is_said_and_leaves_a_way_on(azure: Simulator, one: Any) -> None:
    make, words, code = LASTING["policy"]
    azure.fault(make(method="PUT", url=".*/Microsoft.BatchAI/workspaces/[^/]+/fileServers/.*"))
    with pytest.raises(StepsFailed, match=words) as error:
        one.deploy()
    assert error.value.exit_code == code
    azure.calm()
    one.deploy()
    assert {change.action for change in one.compared().values()} == {"keep"}


def test_deploy_refuses_unless_it_is_told_to_skip_the_checks(
    azure: Simulator, one: Any, customai: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUSTOMAI_AZURE_ENDPOINT", azure.url)
    command = ("deploy", str(one.file), "--target", "azure", "--yes")
    refused: subprocess.CompletedProcess[str] = customai(*command)
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "azure.cluster.service: Batch AI ended on 2019-03-31: take aml" in refused.stderr  # the spec's warning
    assert "error: Batch AI ended on 2019-03-31: take aml" in refused.stderr.replace("Error", "error")
    assert azure.log.writes() == []
    done = customai(*command, "--skip-checks")
    assert done.returncode == 0, done.stderr
    assert re.search(r"job +train-[0-9a-f]{8} is begun in Batch AI", done.stdout)
    state: subprocess.CompletedProcess[str] = customai("status", str(one.file))
    assert (state.returncode, "file-server" in state.stdout) == (0, True), state.stderr
    gone: subprocess.CompletedProcess[str] = customai("destroy", str(one.file), "--yes")
    assert gone.returncode == 0, gone.stderr
    assert azure.standing() == []
