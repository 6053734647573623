"""Watching what goes on in Azure ML, and asking for more of it, as a user types it, on a simulated Azure."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from customai import history
from customai.cli import root
from customai.errors import CustomAIError, Forbidden, NotAvailable, TimedOut
from customai.journal import folder_of
from customai.targets import azure_score
from customai.targets.azure_login import NOBODY, Nobody
from tests.azure.simulator import SUBSCRIPTION, ArmError, Simulator, faults

pytest.importorskip("azure.mgmt.compute", reason="the extra azure is not installed")
from tests.azure import driven as module


class Typed:
    """What a user types, and what comes of it."""

    def __init__(self, azure: Simulator, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.azure, self.folder, self.capsys = azure, folder, capsys
        self.specs: dict[str, Path] = {}

    def deployed(self, path: str, added: str = "", more: str = "", without: str = "\0") -> Any:
        """The path is deployed; `added` stands at its spec's end, `more` in its azure: block."""
        file = self.specs[path] = module.spec(self.folder, path, more)
        lines = file.read_text(encoding="utf-8").splitlines()
        kept = "\n".join(line for line in lines if not line.startswith(without))
        file.write_text(kept + added, encoding="utf-8")
        name = next(
            line.partition(":")[2].strip() for line in file.read_text().splitlines() if line.startswith("name:")
        )
        one = module.Driven(self.azure.url, file, folder_of(name))
        one.deploy()
        history.ask(one.folder, one.plan())
        history.reach(one.folder, one.plan())
        jobs = self.azure.cloud.jobs
        there = (jobs.stays,) if jobs.stays else ("Completed", "Failed")
        while any(jobs.status(job) not in there for job in jobs.all.values()):
            time.sleep(0.01)
        self.azure.log.clear()
        return one

    def __call__(self, *words: str) -> str:
        self.capsys.readouterr()
        self.code = root.main([*words], prog_name="customai", standalone_mode=False) or 0
        told, self.beside = self.capsys.readouterr()
        return told

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "-o", "json"))

    def refused(self, *words: str) -> CustomAIError:
        with pytest.raises(CustomAIError) as error:
            self(*words)
        return error.value


@pytest.fixture
def typed(azure: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Typed:
    azure.cloud.times.seconds = 0.02
    azure.cloud.catalog.caller = NOBODY
    azure.cloud.view.blobs, azure.cloud.view.ml = f"{azure.url}/_blob", azure.url
    monkeypatch.setenv("CUSTOMAI_AZURE_ENDPOINT", azure.url)
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", SUBSCRIPTION)
    monkeypatch.setenv("CUSTOMAI_AZURE_PATIENCE", "20")
    return Typed(azure, tmp_path, capsys)


def test_a_training_is_seen_to_its_end_and_what_it_made_is_fetched(typed: Typed) -> None:
    typed.deployed("1-2")
    told = typed.json("train-multi", "run", "1-2")
    assert told["result"]["accuracy"] == 0.97
    folder = Path(told["folder"])
    assert {file.name for file in folder.rglob("*") if file.is_file()} == {"result.json", "model.onnx"}
    assert "accuracy" in typed("train-multi", "run", "1-2")
    assert typed.azure.log.writes() == []


def test_how_a_training_is_is_told_wherever_one_asks(typed: Typed) -> None:
    typed.azure.cloud.jobs.stays = "Running"
    typed.deployed("1-2")
    [job] = typed.json("status", "1-2")["deployments"][0]["jobs"]
    assert (job["id"], job["status"]) == ("train", "running")
    assert "running, begun" in typed("status", "1-2")
    [run] = typed.json("train-multi", "runs", "1-2")["runs"]
    assert (run["status"], run["error"]) == ("running", None)
    assert typed("logs", "1-2").splitlines() == list(typed.azure.cloud.jobs.lines[:-1])


def test_a_training_that_fails_says_why_and_how_its_log_ends(typed: Typed) -> None:
    typed.azure.cloud.jobs.fails = "AzureMLCompute job failed. ImagePullFailed"
    typed.deployed("1-2")
    error = typed.refused("train-multi", "run", "1-2")
    assert error.exit_code == 1
    assert "ImagePullFailed" in error.message
    assert "epoch 2: loss 0.5" in error.message
    assert "ImagePullFailed" in typed("train-multi", "runs", "1-2")


def test_the_scripts_own_error_is_told_as_it_is_on_this_machine(typed: Typed) -> None:
    typed.azure.cloud.jobs.fails = "exit code 1"
    typed.deployed("1-2")
    typed("status", "1-2")
    told = {
        "type": "NoQuota",
        "message": "out of memory",
        "where": "train.py:7",
        "hint": "a smaller batch",
        "exit_code": 3,
    }
    log = next(name for name in typed.azure.cloud.uploads if name.endswith("user_logs/std_log.txt"))
    typed.azure.cloud.uploads[log.replace("user_logs/std_log.txt", "outputs/error.json")] = json.dumps(told).encode()
    error = typed.refused("train-multi", "run", "1-2")
    assert (error.message, error.where, error.exit_code) == ("out of memory", "train.py:7", 3)


def test_one_that_never_ends_is_left_going(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    typed.azure.cloud.jobs.stays = "Queued"
    typed.deployed("1-2")
    monkeypatch.setenv("CUSTOMAI_AZURE_PATIENCE", "0.3")
    error = typed.refused("train-multi", "run", "1-2")
    assert (type(error), error.message) == (TimedOut, "it is still queued, and nothing has moved")
    assert "the same command watches it again" in error.hint
    assert typed.azure.log.writes() == []


def test_ctrl_c_stops_watching_alone(typed: Typed) -> None:
    typed.azure.cloud.jobs.stays = "Queued"
    typed.deployed("1-2")
    looks: list[Any] = []

    def press(entry: Any) -> None:
        looks.extend([entry] * ("/jobs/train-" in entry.path))
        if len(looks) == 3:
            os.kill(os.getpid(), signal.SIGINT)

    typed.azure.before.append(press)
    error = typed.refused("train-multi", "run", "1-2")
    assert error.exit_code == 130
    assert "customai train-multi run 1-2 watches it again" in error.hint
    assert typed.azure.log.writes() == []


def test_a_training_is_cancelled_and_that_is_its_end(typed: Typed) -> None:
    typed.azure.cloud.jobs.stays = "Running"
    typed.deployed("1-2")
    [name] = typed.json("train-multi", "cancel", "1-2")["cancelled"]
    assert [entry.path.rpartition("/jobs/")[2] for entry in typed.azure.log.writes()] == [f"{name}/cancel"]
    assert typed.refused("train-multi", "run", "1-2").message == "it was cancelled"
    assert typed.json("train-multi", "cancel", "1-2") == {"cancelled": []}


def test_a_sweep_gives_what_its_best_trial_has_made(typed: Typed) -> None:
    typed.deployed("1-2", added="\nsweep: {parameters: {lr: [0.01, 0.1]}}\n", without="nodes:")
    told = typed.json("train-multi", "run", "1-2")
    assert told["result"]["best"] == f"{told['run']}_1"
    assert typed.azure.cloud.jobs.lines[0] in typed("logs", "1-2")


def test_what_is_not_deployed_there_says_what_to_type(typed: Typed) -> None:
    error = typed.refused("train-multi", "run", "1-2", "--target", "azure")
    assert (error.exit_code, error.hint) == (3, "customai deploy 1-2 --target azure")


# Batch scoring


def test_a_run_is_asked_of_the_endpoint_and_its_summary_fetched(typed: Typed) -> None:
    typed.deployed("2-4")
    told = typed.json("score-batch", "run", "2-4", "--name", "march")
    assert (told["run"], told["rows"], told["unchanged"]) == ("march", 120, False)
    [post] = typed.azure.log.of("POST")
    given = post.body["properties"]["InputData"]
    assert {name: each["JobInputType"] for name, each in given.items()} == dict.fromkeys(
        ("run", "input", "output"), "Literal"
    )
    assert given["run"]["Value"] == "march"
    assert typed.azure.log.of("PUT") == []  # the data are there
    again = typed.json("score-batch", "run", "2-4", "--name", "march")
    assert again["unchanged"] is True
    runs = typed.json("score-batch", "runs", "2-4")["runs"]
    assert [(run["run"], run["status"]) for run in runs] == [("deploy", "succeeded"), *[("march", "succeeded")] * 2]
    assert [run["result"] and run["result"]["rows"] for run in runs] == [120, None, 120]
    assert "march" in typed("score-batch", "runs", "2-4")


def test_a_run_that_goes_on_is_attached_to(typed: Typed) -> None:
    jobs = typed.azure.cloud.jobs
    jobs.stays = "Running"
    typed.deployed("2-4")
    looks: list[Any] = []

    def end(entry: Any) -> None:
        looks.extend([entry] * ("/jobs/deploy-" in entry.path))
        jobs.stays = "" if len(looks) == 3 else jobs.stays

    typed.azure.before.append(end)
    told = typed.json("score-batch", "run", "2-4")
    assert told["run"] == "deploy"
    assert typed.azure.log.writes() == []


def test_runs_are_cancelled_by_name(typed: Typed) -> None:
    typed.azure.cloud.jobs.stays = "Running"
    typed.deployed("2-4")
    assert typed.json("score-batch", "cancel", "2-4", "--name", "other") == {"cancelled": []}
    assert typed.json("score-batch", "cancel", "2-4") == {"cancelled": ["deploy"]}
    assert [run["status"] for run in typed.json("score-batch", "runs", "2-4")["runs"]] == ["cancelled"]
    assert "cancelled" in typed("status", "2-4")


def test_on_spot_nodes_each_run_is_a_job_alone(typed: Typed) -> None:
    typed.deployed("2-4", more="cluster: {spot: true}")
    first = typed.json("score-batch", "run", "2-4", "--name", "march", "--limit-errors", "3")
    second = typed.json("score-batch", "run", "2-4", "--name", "march", "--limit-errors", "3")
    assert (first["run"], second["unchanged"]) == ("march", True)
    jobs = [entry.path.rpartition("/jobs/")[2] for entry in typed.azure.log.of("PUT")]
    assert jobs[1] == f"{jobs[0]}-2"
    assert jobs[0].startswith("march-")


def test_other_data_are_uploaded_first(typed: Typed) -> None:
    one = typed.deployed("2-4")
    other = typed.folder / "other"
    other.mkdir()
    (other / "a.csv").write_bytes(next((one.file.parent / "data").iterdir()).read_bytes())
    typed.json("score-batch", "run", "2-4", "--name", "other", "--input", str(other))
    sent = [entry.path.rpartition("/")[2] for entry in typed.azure.log.of("PUT")]
    assert sent == ["a.csv", ".complete"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--output-folder", "here"), 2, "cannot write to a folder of this machine"),
        (("--limit-errors", "3"), 3, "its limit of errors from deploy"),
        (("--dry-run",), 3, "neither a dry run"),
        (("--name", "a/b"), 2, "no name for a run"),
    ],
)
def test_what_cannot_be_asked_there_is_refused_before_anything_is_sent(
    typed: Typed, words: tuple[str, ...], code: int, said: str
) -> None:
    typed.deployed("2-4")
    error = typed.refused("score-batch", "run", "2-4", *words)
    assert (error.exit_code, said in error.message) == (code, True)
    assert typed.azure.log.writes() == []


FAULTS = {
    "throttled": lambda on: faults.throttled(**on),
    "500": lambda on: faults.server_error(**on),
    "503 as a page": lambda on: faults.unavailable(**on),
    "broken before": lambda on: faults.reset(**on),
    "broken after": lambda on: faults.reset(**on, after=True),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_passes_by_itself_begins_a_run_once(typed: Typed, name: str) -> None:
    typed.deployed("2-4")
    fault = typed.azure.fault(FAULTS[name]({"method": "POST", "url": "/_inference/.*"}))
    assert typed.json("score-batch", "run", "2-4", "--name", "march")["run"] == "march"
    assert fault.struck == 1
    assert [run["run"] for run in typed.json("score-batch", "runs", "2-4")["runs"]] == ["deploy", "march"]


@pytest.mark.parametrize("url", [".*/jobs/.*", "/history/.*", "/_blob/.*"])
def test_what_passes_by_itself_is_looked_at_again(typed: Typed, url: str) -> None:
    typed.deployed("2-4")
    fault = typed.azure.fault(faults.server_error(method="GET", url=url))
    assert typed.json("score-batch", "run", "2-4", "--name", "march")["rows"] == 120
    assert fault.struck == 1


@pytest.mark.parametrize("status", [401, 403])
def test_whoever_may_not_ask_the_endpoint_is_told_the_role(typed: Typed, status: int) -> None:
    typed.deployed("2-4")
    refused = ArmError(status, "Forbidden", "no")
    typed.azure.fault(faults.answers(refused, method="POST", url="/_inference/.*"))
    error = typed.refused("score-batch", "run", "2-4", "--name", "march")
    assert type(error) is Forbidden
    assert "AzureML Data Scientist" in error.hint
    assert "/batchEndpoints/" in error.hint


def test_whoever_may_not_read_the_storage_is_told_the_role(typed: Typed) -> None:
    typed.deployed("1-2")
    refused = ArmError(403, "AuthorizationPermissionMismatch", "no")
    typed.azure.fault(faults.answers(refused, method="GET", url="/_blob/.*", times=99))
    assert typed.json("train-multi", "runs", "1-2")["runs"][0]["status"] == "succeeded"
    error = typed.refused("logs", "1-2")
    assert (type(error), "Storage Blob Data Reader" in error.hint) == (Forbidden, True)


def test_no_token_is_told_or_kept(typed: Typed, home: Path) -> None:
    token = Nobody().get_token().token
    typed.deployed("2-4")
    told = [typed("score-batch", "run", "2-4", "--name", "march"), typed.beside, typed("logs", "2-4")]
    kept = [file.read_text(encoding="utf-8") for file in home.rglob("*") if file.is_file()]
    assert kept
    assert not [text for text in (*told, *kept) if token in text or "Bearer" in text]


# An online endpoint


def test_rows_are_scored_with_the_logins_token(typed: Typed) -> None:
    typed.deployed("2-2")
    samples = typed.specs["2-2"].parent / "samples"
    told = typed.json("score", "2-2", str(samples / "leaves.json"), str(samples / "customers.csv"))
    assert {(each["label"], each["version"]) for each in told["predictions"]} == {("leaves", "1")}
    sent = [entry.body["rows"] for entry in typed.azure.log.of("POST")]
    assert type(sent[0][1]["monthly_fee"]) is float  # as the spec's columns say
    typed.json("score", "2-2", str(samples / "leaves.json"), "--model-version", "2")
    assert typed.azure.log.of("POST")[-1].headers["azureml-model-deployment"] == "version-2"
    error = typed.refused("score", "2-2", str(samples / "leaves.json"), "--model-version", "3")
    assert (error.exit_code, error.hint) == (2, "the versions are 1, 2")


def test_a_row_that_the_server_refuses_does_not_stop_the_others(typed: Typed, tmp_path: Path) -> None:
    typed.deployed("2-2")
    (tmp_path / "rows.json").write_text(json.dumps([{"age": 1}, {}]), encoding="utf-8")
    told = typed.json("score", "2-2", str(tmp_path / "rows.json"))["predictions"]
    assert (typed.code, told[0]["label"]) == (1, "leaves")
    assert "it has no columns (expected an object)" in told[1]["error"]


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (401, Forbidden, "AzureML Data Scientist"),
        (403, Forbidden, "/onlineEndpoints/"),
        (429, NotAvailable, "try again"),
        (503, NotAvailable, "try again"),
    ],
)
def test_an_endpoint_that_does_not_answer_says_why(typed: Typed, status: int, kind: type, said: str) -> None:
    typed.deployed("2-2")
    typed.azure.fault(faults.answers(ArmError(status, "No", "no"), method="POST", url="/_inference/.*"))
    error = typed.refused("score", "2-2", str(typed.specs["2-2"].parent / "samples" / "leaves.json"))
    assert (type(error), error.exit_code, said in error.hint) == (kind, 3, True)


def test_two_endpoints_are_compared(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME", "a-token-that-is-long-enough")
    typed.deployed("2-2")
    url = next(body["properties"]["scoringUri"] for body in _bodies(typed, "/onlineEndpoints/"))
    typed.azure.log.clear()
    told = typed.json(
        "score",
        "2-2",
        str(typed.specs["2-2"].parent / "samples" / "leaves.json"),
        "--compare",
        url,
        "--key-env",
        "SOME",
    )
    assert (told["same"], told["largest_difference"]) == (True, 0.0)


def _bodies(typed: Typed, part: str) -> list[Any]:
    cloud = typed.azure.cloud
    return [
        cloud.view.of(one) for one in cloud.store.resources.values() if part in one.id and "/deployments/" not in one.id
    ]


def test_traffic_is_shared_out_anew_and_rolled_back_by_one_request_each(typed: Typed) -> None:
    typed.deployed("2-2")
    told = typed.json("score-realtime", "traffic", "2-2", "1=50", "2=50")
    assert told["traffic"] == {"1": 50, "2": 50}
    [put] = typed.azure.log.of("PUT")
    assert put.body["properties"]["traffic"] == {"version-1": 50, "version-2": 50}
    typed.azure.log.clear()
    told = typed.json("score-realtime", "rollback", "2-2")
    assert told["traffic"] == {"1": 90, "2": 10}
    [put] = typed.azure.log.of("PUT")
    assert put.body["properties"]["traffic"] == {"version-1": 90, "version-2": 10}
    assert typed.refused("score-realtime", "traffic", "2-2", "3=100").exit_code == 2


def test_machines_and_nodes_are_scaled(typed: Typed) -> None:
    typed.deployed("2-2")
    typed("scale", "2-2", "--replicas", "3")
    assert [put.body["sku"]["capacity"] for put in typed.azure.log.of("PUT")] == [3, 3]
    assert "autoscale rule" in typed.refused("scale", "2-2", "--replicas", "2-4").hint
    typed.deployed("2-4")
    typed("scale", "2-4", "--nodes", "1-4")
    [put] = typed.azure.log.of("PUT")
    limits = put.body["properties"]["properties"]["scaleSettings"]
    assert (limits["minNodeCount"], limits["maxNodeCount"]) == (1, 4)


def test_what_the_machines_write_is_told_once(typed: Typed) -> None:
    typed.azure.cloud.jobs.said = ("one", "two")
    typed.deployed("2-2")
    told = typed("logs", "2-2").splitlines()
    assert told == [
        f"version-{version} {line}" for version in (1, 2) for line in (f"version-{version} is up", "one", "two")
    ]
    assert azure_score.fresh(["one", "two"], ["one", "two", "three"]) == ["three"]
    assert azure_score.fresh(["one", "two"], ["two", "three"]) == ["three"]
    assert azure_score.fresh(["one", "two"], ["four"]) == ["four"]
    assert azure_score.fresh(["a", "b"], ["a", "b"]) == []
