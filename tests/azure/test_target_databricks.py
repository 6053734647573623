"""Path 2-3 on Azure Databricks, on a simulated Azure: made, kept, changed and taken away; killed and refused on the way."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest

from customai import engine
from customai.cli import databricks as closing
from customai.engine import StepsFailed
from customai.errors import RunFailed, SpecError
from customai.journal import Journal
from customai.model import Step
from customai.paths import cron
from customai.provisioning import databricks_job, databricks_run
from customai.targets import azure_databricks_run
from tests.azure.simulator import Simulator, faults

pytest.importorskip("azure.mgmt.databricks", reason="the extra azure is not installed")
pytest.importorskip("databricks.sdk", reason="the extra azure is not installed")

SCHEDULE = '\nschedule: "30 2 * * mon-fri"\n'
CATALOG = {"storage-credentials", "external-locations", "volumes"}


@pytest.fixture
def deployment(azure: Simulator, driven: Any) -> Any:
    def make(more: str = "", added: str = "") -> Any:
        one = driven("2-3", more)
        one.file.write_text(one.file.read_text(encoding="utf-8") + added, encoding="utf-8")
        return one

    return make


def hosted(azure: Simulator) -> Any:
    """What is in the one workspace."""
    (only,) = azure.cloud.databricks.hosted.values()
    return only


def rewritten(one: Any, old: str, new: str) -> None:
    text = one.file.read_text(encoding="utf-8")
    assert old in text
    one.file.write_text(text.replace(old, new), encoding="utf-8")


def test_what_is_made_is_kept_changed_where_it_differs_and_taken_away(azure: Simulator, deployment: Any) -> None:
    one = deployment(added=SCHEDULE)
    assert set(one.deploy().values()) == {"created"}
    assert {change.action for change in one.compared().values()} == {"keep"}
    azure.log.clear()
    assert set(one.deploy().values()) == {"kept"}
    assert azure.log.writes() == []

    rewritten(one, "30 2 * * mon-fri", "15 4 * * *")
    results = one.deploy()
    assert {step for step, action in results.items() if action != "kept"} == {"job"}
    (job,) = hosted(azure).jobs.values()
    assert job["settings"]["schedule"]["quartz_cron_expression"] == "0 15 4 * * ?"
    assert len(hosted(azure).runs) == 1

    assert set(one.destroy(sweep=False).values()) == {"deleted"}
    assert azure.standing() == []
    assert azure.cloud.databricks.catalog == {}


def test_a_group_that_goes_at_once_leaves_nothing_in_the_catalog(azure: Simulator, deployment: Any) -> None:
    one = deployment()
    one.deploy()
    assert {key.partition("/")[0] for key in azure.cloud.databricks.catalog} == CATALOG
    one.destroy()
    assert azure.cloud.databricks.catalog == {}
    assert azure.standing() == []
    forced = [entry.query for entry in azure.log.of("DELETE") if "/Microsoft.Databricks/workspaces/" in entry.path]
    assert len(forced) == 1
    assert "forceDeletion=true" in forced[0]


def test_the_job_runs_the_same_code_with_the_same_request(azure: Simulator, deployment: Any) -> None:
    deployment().deploy()
    (job,) = hosted(azure).jobs.values()
    task = job["settings"]["tasks"][0]
    module, text, folder = task["python_wheel_task"]["parameters"]
    assert module == "customai.workloads.spark.batch"
    asked = json.loads(text)
    assert asked["master"] == "existing"
    assert asked["run"] == "{{job.parameters.run}}"
    files = azure.cloud.databricks.files
    assert {f"{folder}/model.onnx", f"{folder}/model.json"} <= files.keys()
    wheel = zipfile.ZipFile(io.BytesIO(files[task["libraries"][0]["whl"]]))
    assert wheel.testzip() is None
    assert {"customai/workloads/spark/batch.py", "customai/errors.py"} <= set(wheel.namelist())
    assert not [name for name in wheel.namelist() if "targets" in name or "cli" in name]
    given = {each["name"]: each["default"] for each in job["settings"]["parameters"]}
    sent = {name.split("/data/", 1)[1] for name in azure.cloud.uploads if "/data/input/" in name}
    place = given["input"].split("/", 5)[5]
    assert {each for each in sent if each.startswith(f"{place}/")}  # what was uploaded is what is read
    (run,) = hosted(azure).runs.values()
    assert {"name": "run", "default": given["run"], "value": "deploy"} in run.body["job_parameters"]


def test_every_request_names_its_workspace_and_tells_no_token(azure: Simulator, deployment: Any) -> None:
    deployment().deploy()
    asked = [entry for entry in azure.log if entry.path.startswith("/api/")]
    assert len(asked) > 10
    for entry in asked:
        assert "/Microsoft.Databricks/workspaces/" in entry.headers["x-databricks-azure-workspace-resource-id"]
        assert "Bearer" not in json.dumps(entry.body)


def test_what_the_environment_says_of_other_workspaces_is_no_matter(
    azure: Simulator, deployment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", "https://another.azuredatabricks.net")
    monkeypatch.setenv("DATABRICKS_TOKEN", "another-token")
    monkeypatch.setenv("ARM_CLIENT_SECRET", "another-secret")
    assert set(deployment().deploy().values()) == {"created"}
    assert not [entry for entry in azure.log if "another" in json.dumps(entry.headers)]


WRITES = {
    "credential": ("POST", ".*/storage-credentials"),
    "location": ("POST", ".*/external-locations"),
    "volume": ("POST", ".*/volumes"),
    "file": ("PUT", "/api/2.0/fs/files/.*"),
    "job": ("POST", "/api/2.2/jobs/create"),
    "run": ("POST", "/api/2.2/jobs/run-now"),
}


@pytest.mark.parametrize("name", WRITES)
def test_an_answer_that_is_lost_makes_nothing_twice(azure: Simulator, deployment: Any, name: str) -> None:
    method, url = WRITES[name]
    fault = azure.fault(faults.reset(method=method, url=url, after=True))
    one = deployment()
    assert set(one.deploy().values()) == {"created"}
    assert fault.struck == 1
    assert len(hosted(azure).jobs) == len(hosted(azure).runs) == 1
    assert len(azure.cloud.databricks.catalog) == 3
    assert {change.action for change in one.compared().values()} == {"keep"}


def test_a_role_that_is_new_is_waited_for(azure: Simulator, deployment: Any) -> None:
    azure.cloud.databricks.denials = 3
    assert set(deployment().deploy().values()) == {"created"}
    assert azure.cloud.databricks.denials == 0


def test_a_runtime_that_is_not_offered_is_said_with_those_that_are(azure: Simulator, deployment: Any) -> None:
    one = deployment("runtime: '18.9'")
    with pytest.raises(StepsFailed, match=r"does not offer the runtime 18.9") as error:
        one.deploy()
    assert error.value.exit_code == 3
    assert "17.3" in str(error.value.hint) or "17.3" in str(error.value)
    rewritten(one, "18.9", "17.3")
    one.deploy()
    assert {change.action for change in one.compared().values()} == {"keep"}


def test_a_volume_of_somebody_elses_is_left_alone(azure: Simulator, deployment: Any) -> None:
    one = deployment()
    name = next(step.inputs["name"] for step in one.plan().steps if step.kind == "databricks_storage")
    theirs = {"name": name, "comment": "theirs", "azure_managed_identity": {"access_connector_id": "x"}}
    azure.cloud.databricks.catalog[f"storage-credentials/{name}"] = theirs
    with pytest.raises(StepsFailed, match="not ours"):
        one.deploy()
    one.destroy(sweep=False)
    assert azure.cloud.databricks.catalog == {f"storage-credentials/{name}": theirs}


def test_what_was_changed_by_hand_in_the_workspace_is_told_and_mended(azure: Simulator, deployment: Any) -> None:
    one = deployment()
    one.deploy()
    (job,) = hosted(azure).jobs.values()
    job["settings"]["job_clusters"][0]["new_cluster"]["node_type_id"] = "Standard_D64ds_v5"
    assert {step for step, change in one.compared().items() if change.action != "keep"} == {"job"}
    one.deploy()
    assert {change.action for change in one.compared().values()} == {"keep"}
    assert len(hosted(azure).jobs) == 1


# A run that is seen to its end, as path 2-1 trains by it


@pytest.fixture
def waited(azure: Simulator, deployment: Any) -> Any:
    """waited() -> what a run of the deployed job gives, seen to its end."""
    one = deployment()
    one.deploy()
    target = one.target()
    (job,) = hosted(azure).jobs
    workspace = next(step.inputs["workspace"] for step in one.plan().steps if step.kind == "databricks_run")
    made = databricks_run.step(
        "train", workspace=workspace, job=str(job), parameters={}, depends="x", wait=True, after=(), why="trains"
    )
    step = Step("train", "run", "databricks_run", "job", databricks_run.azure(made.inputs), (), "trains")
    return lambda: azure_databricks_run.apply(step, step.inputs, "d" * 64, target.arm(step), engine.Watch())


def test_a_run_that_is_waited_for_gives_what_it_tells_and_is_never_begun_twice(azure: Simulator, waited: Any) -> None:
    told = waited()
    assert told["result"] == {"rows": 8000}
    assert waited() == told
    assert len(hosted(azure).runs) == 2  # deploy's own, and this one


def test_a_run_that_fails_shows_its_log_and_is_begun_once_more(azure: Simulator, waited: Any) -> None:
    azure.cloud.databricks.fails = "ValueError: no column 'hour'"
    with pytest.raises(RunFailed, match="no column 'hour'") as error:
        waited()
    assert "/runs/" in error.value.hint
    azure.cloud.databricks.fails = ""
    assert waited()["result"] == {"rows": 8000}
    assert len(hosted(azure).runs) == 3


# Specs


def test_a_runtime_that_has_ended_is_an_error_with_its_successor(
    deployment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUSTOMAI_TODAY", "2026-11-25")
    for runtime, words in (("13.3", "ended on 2026-08-22: take 17.3"), ("16.4", "has Spark 3")):
        with pytest.raises(SpecError) as error:
            deployment(f"runtime: '{runtime}'").plan()
        assert words in str(error.value.to_json())


@pytest.mark.parametrize(
    ("cron_", "expected"),
    [
        ("30 2 * * mon-fri", "0 30 2 ? * 2,3,4,5,6"),
        ("*/20 * * * *", "0 0,20,40 * * * ?"),
        ("0 6 1,15 jan *", "0 0 6 1,15 1 ?"),
        ("0 0 * * 7", "0 0 0 ? * 1"),
    ],
)
def test_times_are_written_as_databricks_reads_them(cron_: str, expected: str) -> None:
    assert databricks_job.quartz(cron.parsed(cron_)) == expected


def test_days_of_the_month_and_of_the_week_together_are_a_problem_of_the_spec(deployment: Any) -> None:
    with pytest.raises(SpecError) as error:
        deployment(added='\nschedule: "0 6 1 * mon"\n').plan()
    assert "not both" in str(error.value.to_json())


def test_deploy_says_where_the_run_is_seen_and_how_to_begin_another(azure: Simulator, deployment: Any) -> None:
    one = deployment(added=SCHEDULE)
    one.deploy()
    plan, journal = one.plan(), Journal.read(one.folder)
    assert journal is not None
    lines = "\n".join(closing.deployed(plan, {id_: known.outputs for id_, known in journal.known.items()}))
    (run,) = hosted(azure).runs.values()
    assert run.body["run_page_url"] in lines
    assert "/predictions/run=deploy" in lines
    assert f'"job_id": {run.body["job_id"]}' in lines
    assert "{volume}" not in lines
