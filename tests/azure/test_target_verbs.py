"""stop, start, scale, rollback, --no-wait, destroy --purge and kubeconfig, as a user types them, on a simulated Azure.

In this process, so that each is quick; what was sent is counted in the simulator.
"""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from customai import history, paths
from customai.cli import root
from customai.errors import CustomAIError, Forbidden, NotAvailable, NotFound, NotLoggedIn, SpecError, StateError
from customai.journal import Journal, folder_of
from customai.targets import azure_workspace
from customai.targets.azure_arm import Arm
from customai.targets.azure_login import NOBODY, Nobody
from tests.azure import driven as module
from tests.azure.simulator import SUBSCRIPTION, ArmError, Simulator, faults

pytest.importorskip("azure.mgmt.compute", reason="the extra azure is not installed")
VM, CLUSTER = "digits-training", "digits"
CUT = ("image", "kubernetes")
NAMES = {"1-1": VM, "2-5": CLUSTER}


class Typed:
    """What a user types, and what comes of it."""

    def __init__(self, azure: Simulator, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.azure, self.folder, self.capsys = azure, folder, capsys
        self.specs: dict[str, Path] = {}

    def deployed(self, path: str, more: str = "", *, cut: tuple[str, ...] = CUT) -> Typed:
        """The path is deployed; what most tests are not about (image, objects in the cluster) is cut from its plan."""
        file = self.specs[path] = module.spec(self.folder, path, more)
        one = module.Driven(self.azure.url, file, folder_of(NAMES[path]), without=cut)
        one.deploy()
        history.ask(one.folder, one.plan())
        history.reach(one.folder, one.plan())
        self.azure.log.clear()
        return self

    def __call__(self, *words: str) -> str:
        self.capsys.readouterr()
        self.code = root.main([*words], prog_name="customai", standalone_mode=False) or 0
        told, self.beside = self.capsys.readouterr()
        return told

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "-o", "json"))

    def sent(self) -> list[str]:
        """What was asked of Azure to do since the last time."""
        found = [f"{entry.method} {_what(entry)}" for entry in self.azure.log.writes()]
        self.azure.log.clear()
        return found


def _what(entry: Any) -> str:
    """The name of what is asked for; of an action, with the action."""
    return "/".join(entry.path.split("/")[-2:]) if entry.method == "POST" else str(entry.name)


@pytest.fixture
def typed(azure: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Typed:
    azure.cloud.times.seconds = 0.02
    azure.cloud.catalog.caller = NOBODY
    monkeypatch.setenv("CUSTOMAI_AZURE_ENDPOINT", azure.url)
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", SUBSCRIPTION)
    monkeypatch.setenv("SCORING_KEY", "a-key-that-is-long-enough")
    monkeypatch.setenv("CUSTOMAI_AZURE_PATIENCE", "20")
    return Typed(azure, tmp_path, capsys)


# Stop and start.


@pytest.mark.parametrize(
    ("path", "step", "stop", "start"),
    [
        ("1-1", "vm", f"POST {VM}/deallocate", f"POST {VM}/start"),
        ("2-5", "cluster", f"POST {CLUSTER}/stop", f"POST {CLUSTER}/start"),
    ],
)
def test_what_is_stopped_stands_still_until_it_is_started(
    typed: Typed, path: str, step: str, stop: str, start: str
) -> None:
    typed.deployed(path, cut=())
    told = typed.json("stop", path)
    assert (told["stopped"], told["already"], typed.sent()) == ([step], [], [stop])
    assert typed.json("stop", path)["already"] == [step]
    assert "stands still already" in typed("stop", path)
    assert typed.sent() == []

    seen = typed.json("status", path)["deployments"][0]
    assert next(each for each in seen["resources"] if each["id"] == step)["state"] == "stopped"
    assert "customai start brings it back, and so does deploy" in typed("status", path)
    assert typed.sent() == []

    assert typed.json("start", path)["started"] == [step]
    assert typed.sent() == [start]
    assert "runs already" in typed("start", path)
    assert typed.sent() == []
    assert not any(each["differences"] for each in typed.json("status", path)["deployments"][0]["resources"])


def test_stop_says_what_is_still_paid_for(typed: Typed) -> None:
    typed.deployed("1-1")
    billed = " ".join(typed.json("stop", "1-1")["billed_at_rest"])
    assert "its disk" in billed
    assert f"pip-{VM}" in billed
    assert "$" not in billed
    assert "Still paid for: " in typed("stop", "1-1")


def test_deploy_starts_what_was_stopped_and_the_plan_says_so(typed: Typed) -> None:
    typed.deployed("1-1")
    typed("stop", "1-1")
    typed.sent()
    file = str(typed.specs["1-1"])
    assert "power: deallocated, not running" in typed("plan", file, "--target", "azure")
    typed("deploy", file, "--target", "azure", "--yes")
    assert typed.sent() == [f"POST {VM}/start"]


def test_a_change_of_what_stands_still_starts_it_first(typed: Typed) -> None:
    typed.deployed("2-5")
    typed("stop", "2-5")
    typed.sent()
    file = module.spec(typed.folder, "2-5", "cluster: {system: {max: 7}}")
    module.Driven(typed.azure.url, file, folder_of(CLUSTER), without=CUT).deploy()
    assert typed.sent() == [f"POST {CLUSTER}/start", f"PUT {CLUSTER}"]


FAULTS: dict[str, Callable[..., faults.Fault]] = {
    "throttled": faults.throttled,
    "server error": faults.server_error,
    "unavailable": faults.unavailable,
    "reset before": faults.reset,
    "reset after": lambda **on: faults.reset(after=True, **on),
    "server error after": lambda **on: faults.server_error(after=True, **on),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_passes_by_itself_is_waited_for_and_nothing_is_begun_twice(typed: Typed, name: str) -> None:
    typed.deployed("1-1")
    typed.azure.fault(FAULTS[name](method="POST", url=".*/deallocate"))
    assert typed.json("stop", "1-1")["stopped"] == ["vm"]
    begun = [entry for entry in typed.azure.log.writes() if entry.status == 202]
    assert len(begun) <= 1
    assert len(typed.sent()) == (1 if "after" in name else 2)


def test_what_another_process_has_begun_is_waited_for(typed: Typed) -> None:
    typed.deployed("1-1")
    typed.azure.cloud.times.seconds = 0.5
    vm = folder_known("1-1", "vm").step.inputs["url"]
    Arm(Nobody(), SUBSCRIPTION, endpoint=typed.azure.url, polling_interval=0.02).act(vm, "deallocate")
    typed.sent()
    assert typed.json("stop", "1-1")["already"] == ["vm"]
    assert typed.sent() == []


def folder_known(path: str, step: str) -> Any:
    journal = Journal.read(folder_of(NAMES[path]))
    assert journal is not None
    return journal.known[step]


# What stands in the way, for each verb.

VERBS = (("stop", "1-1"), ("start", "1-1"), ("ssh", "1-1"), ("score-realtime", "kubeconfig", "2-5"))


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_what_is_not_deployed_says_what_to_type(typed: Typed, words: tuple[str, ...]) -> None:
    with pytest.raises(NotFound, match="is not deployed") as refused:
        typed(*words)
    assert "customai deploy" in refused.value.hint
    assert typed.sent() == []


WRONG_TENANT = ArmError(401, "InvalidAuthenticationTokenTenant", "The access token is from the wrong issuer.")
REFUSALS = {
    "expired": (lambda: faults.token_expired(times=99), NotLoggedIn, "az login"),
    "wrong tenant": (lambda: faults.answers(WRONG_TENANT, method=".*", times=99), NotLoggedIn, "az login --tenant"),
    "no right": (lambda: faults.authorization_failed(method=".*", times=99), Forbidden, "Contributor"),
}


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_whoever_is_not_let_in_is_told_why(typed: Typed, words: tuple[str, ...], refusal: str) -> None:
    make, kind, hint = REFUSALS[refusal]
    typed.deployed(words[-1])
    typed.azure.fault(make())
    with pytest.raises(CustomAIError) as refused:
        typed(*words)
    assert refused.value.exit_code == kind("").exit_code
    assert hint in refused.value.hint
    assert typed.azure.cloud.store.get(folder_known(words[-1], "group").step.inputs["url"].partition("?")[0])


@pytest.mark.parametrize("gone", ["resource", "group"])
@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_what_was_deleted_by_hand_is_not_there_any_more(typed: Typed, words: tuple[str, ...], gone: str) -> None:
    path = words[-1]
    typed.deployed(path)
    step = "group" if gone == "group" else {"1-1": "vm", "2-5": "cluster"}[path]
    typed.azure.cloud.store.remove(folder_known(path, step).step.inputs["url"].partition("?")[0])
    with pytest.raises(NotFound) as refused:
        typed(*words)
    assert "deploy" in refused.value.hint
    assert [each for each in typed.sent() if not each.startswith("POST")] == []


def test_one_that_another_command_works_on_is_left_alone(typed: Typed) -> None:
    from customai.journal import locked

    typed.deployed("1-1")
    with locked(folder_of(VM), "customai deploy 1-1"):
        for words in (("stop", "1-1"), ("start", "1-1"), ("scale", "1-1", "--size", "Standard_D8ds_v5")):
            with pytest.raises(StateError, match="customai deploy 1-1"):
                typed(*words)
    assert typed.sent() == []


# Scale, and back.


def test_nodes_are_as_many_as_one_says_or_the_autoscaler_has_a_range(typed: Typed) -> None:
    typed.deployed("2-5")

    def pool() -> dict[str, Any]:
        id_ = folder_known("2-5", "pool/scoring").step.inputs["url"].partition("?")[0]
        found: dict[str, Any] = typed.azure.cloud.view.of(typed.azure.cloud.store.get(id_))["properties"]
        return found

    typed("scale", "2-5", "--nodes", "0")
    assert (pool()["count"], pool()["enableAutoScaling"], typed.sent()) == (0, False, ["PUT scoring"])
    assert "is of that size already" in typed("scale", "2-5", "--nodes", "0")
    assert typed.sent() == []
    typed("scale", "2-5", "--nodes", "2-5")
    assert (pool()["minCount"], pool()["maxCount"], pool()["enableAutoScaling"]) == (2, 5, True)
    assert typed.sent() == ["PUT scoring"]


def test_another_size_is_one_request_and_the_next_deploy_is_the_specs(typed: Typed) -> None:
    typed.deployed("1-1")
    told = typed.json("scale", "1-1", "--size", "Standard_D8ds_v5")
    assert [each["id"] for each in told["steps"] if each["action"] == "changed"] == ["vm"]
    (sent,) = typed.azure.log.writes()
    assert sent.body["properties"]["hardwareProfile"]["vmSize"] == "Standard_D8ds_v5"
    typed("deploy", str(typed.specs["1-1"]), "--target", "azure", "--yes")
    assert typed.azure.log.writes()[-1].body["properties"]["hardwareProfile"]["vmSize"] == "Standard_D4ds_v5"


def test_rollback_applies_the_plan_of_before(typed: Typed) -> None:
    typed.deployed("2-5", cut=())
    typed("scale", "2-5", "--nodes", "4")
    typed.sent()
    typed.json("score-realtime", "rollback", "2-5")
    (sent,) = [entry for entry in typed.azure.log.writes() if entry.method == "PUT"]
    assert (sent.body["properties"]["minCount"], sent.body["properties"]["maxCount"]) == (1, 3)
    typed.json("score-realtime", "rollback", "2-5")
    assert [each for each in typed.azure.log.writes() if each.method == "PUT"][-1].body["properties"]["count"] == 4


def test_replicas_are_the_autoscalers_range(typed: Typed) -> None:
    typed.deployed("2-5", cut=())

    def scaler() -> tuple[int, int]:
        spaces = typed.azure.cloud.kubernetes.spaces
        found = spaces[0].objects["horizontalpodautoscalers", CLUSTER].body["spec"]
        return found["minReplicas"], found["maxReplicas"]

    assert scaler() == (2, 10)
    typed("scale", "2-5", "--replicas", "3-7")
    assert scaler() == (3, 7)
    typed("scale", "2-5", "--replicas", "4")
    assert scaler() == (4, 4)
    assert "3 to 7" in typed("score-realtime", "rollback", "2-5")
    assert scaler() == (3, 7)


@pytest.mark.parametrize(
    ("path", "words", "kind", "said"),
    [
        ("1-1", ("--nodes", "2"), NotAvailable, "has no nodes"),
        ("1-1", ("--replicas", "2"), NotAvailable, "has no replicas"),
        ("2-5", ("--size", "Standard_D4ds_v5"), NotAvailable, "no machine of its own"),
        ("2-5", ("--nodes", "x"), SpecError, "--nodes: expected a number from 0 to 1000"),
        ("2-5", ("--nodes", "5-2"), SpecError, "--nodes: expected"),
        ("2-5", ("--replicas", "0"), SpecError, "--replicas: expected a number from 1"),
        ("2-5", ("--nodes", "2", "--pool", "other"), SpecError, "there is no pool 'other'"),
        ("1-1", ("--size", "Standard_NC6"), SpecError, "Standard_NC4as_T4_v3"),
        ("1-1", ("--size", "big"), SpecError, "'big' is no VM size"),
    ],
)
def test_what_cannot_be_scaled_so_is_refused_before_anything_is_sent(
    typed: Typed, path: str, words: tuple[str, ...], kind: type[CustomAIError], said: str
) -> None:
    typed.deployed(path)
    with pytest.raises(kind, match=said):
        typed("scale", path, *words)
    assert typed.sent() == []


# What the pods write.


def test_the_logs_of_2_5_are_those_of_its_pods(typed: Typed) -> None:
    typed.deployed("2-5", cut=())
    lines = typed("logs", "2-5").splitlines()
    assert len(lines) == 2
    assert {line.partition(" ")[2] for line in lines} == {'{"event": "ready"}'}
    assert len({line.partition(" ")[0] for line in lines}) == 2
    assert typed("logs", "2-5", "--tail", "1").splitlines() == lines[-1:]


def test_what_pods_write_is_followed_and_told_once(typed: Typed) -> None:
    typed.deployed("2-5", cut=())
    written = ["one"]
    typed.azure.cloud.kubernetes.life.log = lambda _pod: "".join(f"{line}\n" for line in written)
    known = folder_known("2-5", "kubernetes")
    target = module.Driven(typed.azure.url, typed.specs["2-5"], folder_of(CLUSTER)).target()
    lines = target.logs(known.step, known.outputs, follow=True)
    assert [next(lines).split()[1] for _ in range(2)] == ["one", "one"]  # of two pods
    written.append("two")
    assert [next(lines).split()[1] for _ in range(2)] == ["two", "two"]


# deploy --no-wait.


def test_without_waiting_everything_that_can_be_begun_is_and_a_later_deploy_goes_on(typed: Typed) -> None:
    file = str(module.spec(typed.folder, "1-1"))
    typed.azure.cloud.times.of = {"Microsoft.Network/publicIPAddresses": 600.0}
    words = ("deploy", file, "--target", "azure", "--yes", "--no-wait")
    told = typed.json(*words)
    assert "public-ip" in told["begun"]
    assert "vm" in told["to_come"]
    assert not set(told["begun"]) & set(told["to_come"])
    assert f"PUT pip-{VM}" in typed.sent()

    again = typed.json(*words)
    assert "public-ip" in again["begun"]
    assert f"PUT pip-{VM}" not in typed.sent()
    assert "to come" in typed(*words)
    assert history.read(folder_of(VM)).now is None
    typed.sent()

    for operation in typed.azure.cloud.store.operations.values():
        operation.ends = min(operation.ends, typed.azure.cloud.clock())
    typed.azure.cloud.times.of = {}
    typed("deploy", file, "--target", "azure", "--yes")
    sent = typed.sent()
    assert f"PUT pip-{VM}" not in sent
    assert f"PUT {VM}" in sent
    assert history.read(folder_of(VM)).now is not None


def test_on_this_machine_there_is_no_not_waiting(typed: Typed) -> None:
    import click

    with pytest.raises(click.UsageError, match="--no-wait is for Azure"):
        typed("deploy", "1-1", "--no-wait")


# Destroy, and what Azure keeps.


def test_what_azure_keeps_remains_until_it_is_purged(typed: Typed) -> None:
    typed.deployed("1-1")
    told = typed.json("destroy", "1-1", "--yes")
    assert (typed.code, told["remaining"], told["purged"]) == (1, ["logs"], [])
    assert {"vm", "group"} <= set(told["deleted"])
    assert typed.azure.standing() == []
    assert "Azure keeps logs for a while" in typed("status")
    assert "for good" in typed("destroy", VM, "--yes")

    told = typed.json("destroy", VM, "--yes", "--purge")
    assert (typed.code, told["deleted"], told["remaining"], told["purged"]) == (0, ["logs"], [], ["logs"])
    assert typed.azure.cloud.store.deleted == {}
    assert typed.azure.standing() == []  # the group, made anew for it, has gone again
    assert not folder_of(VM).exists()


@pytest.mark.parametrize("path", ["1-1", "2-5"])
def test_purged_at_once_nothing_is_kept(typed: Typed, path: str) -> None:
    typed.deployed(path)
    told = typed.json("destroy", path, "--yes", "--purge")
    assert (typed.code, told["remaining"], told["purged"]) == (0, [], ["logs"])
    assert typed.azure.cloud.store.deleted == {}
    assert typed.azure.standing() == []


def test_a_deploy_brings_back_what_is_kept(typed: Typed) -> None:
    typed.deployed("1-1")
    typed("destroy", "1-1", "--yes")
    typed("deploy", str(typed.specs["1-1"]), "--target", "azure", "--yes")
    assert typed.azure.cloud.store.deleted == {}
    assert folder_known("1-1", "logs").event == "done"


def test_what_cannot_be_purged_is_told_and_kept_in_mind(typed: Typed) -> None:
    typed.deployed("1-1")
    typed.azure.fault(faults.authorization_failed(method="DELETE", type="microsoft.operationalinsights/.*", times=99))
    told = typed.json("destroy", "1-1", "--yes", "--purge")
    assert (typed.code, told["remaining"], told["purged"]) == (1, ["logs"], [])
    typed.azure.calm()
    assert typed.json("destroy", VM, "--yes", "--purge")["remaining"] == []
    assert typed.azure.cloud.store.deleted == {}


@pytest.mark.parametrize("nth", range(1, 6))
def test_a_purge_that_is_cut_short_anywhere_is_ended_by_the_next(typed: Typed, nth: int) -> None:
    """The group made anew, the workspace brought back, deleted, the group deleted: refused at each."""
    typed.deployed("1-1")
    typed("destroy", "1-1", "--yes")
    fault = faults.authorization_failed(nth=nth, times=99)
    typed.azure.fault(fault)
    typed("destroy", VM, "--yes", "--purge", "-o", "json")
    assert typed.code == (1 if fault.struck else 0)
    assert bool(fault.struck) == (nth < 5)
    typed.azure.calm()
    assert typed("destroy", VM, "--yes", "--purge")
    assert (typed.code, typed.azure.standing(), typed.azure.cloud.store.deleted) == (0, [], {})


def test_somebody_elses_workspace_in_the_bin_is_not_ours(typed: Typed) -> None:
    typed.deployed("1-1")
    typed("destroy", "1-1", "--yes", "--purge")
    id_ = "/subscriptions/x/resourceGroups/y/providers/Microsoft.OperationalInsights/workspaces/log-digits-training"
    typed.azure.cloud.seed(id_.replace("/x/", f"/{SUBSCRIPTION}/"), {"location": "eastus"})
    other = typed.azure.cloud.store.get(id_.replace("/x/", f"/{SUBSCRIPTION}/"))
    assert other is not None
    typed.azure.cloud.store.deleted[other.key] = typed.azure.cloud.store.resources.pop(other.key)
    typed.deployed("1-1")
    assert typed.json("destroy", "1-1", "--yes", "--purge")["remaining"] == []
    assert list(typed.azure.cloud.store.deleted) == [other.key]


# Files for other tools.


def test_a_kubeconfig_has_no_secret_and_only_its_owner_reads_it(typed: Typed) -> None:
    typed.deployed("2-5")
    file = Path(typed.json("score-realtime", "kubeconfig", "2-5")["file"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_text(encoding="utf-8")
    made = yaml.safe_load(text)
    user = made["users"][0]["user"]
    assert list(user) == ["exec"]
    assert user["exec"]["command"] == "kubelogin"
    assert user["exec"]["args"][:3] == ["get-token", "--login", "azurecli"]
    told = next(entry.answer for entry in typed.azure.log.writes() if entry.path.endswith("listClusterUserCredential"))
    given = yaml.safe_load(base64.b64decode(told["kubeconfigs"][0]["value"]))["clusters"][0]["cluster"]
    assert made["clusters"][0]["cluster"] == given
    assert Nobody().get_token().token not in text
    from kubernetes.config.kube_config import KubeConfigLoader

    loader = KubeConfigLoader(made)
    assert loader.current_context["name"] == CLUSTER
    assert typed("score-realtime", "kubeconfig", "2-5").count("KUBECONFIG=") == 1  # again, and as before


def test_a_kubeconfig_is_never_written_over_another_file(typed: Typed, tmp_path: Path) -> None:
    typed.deployed("2-5")
    theirs = tmp_path / "config"
    theirs.write_text("apiVersion: v1\n", encoding="utf-8")
    with pytest.raises(StateError, match="already another file"):
        typed("score-realtime", "kubeconfig", "2-5", "--file", str(theirs))
    assert theirs.read_text(encoding="utf-8") == "apiVersion: v1\n"
    with pytest.raises(StateError, match="cannot be written"):
        typed("score-realtime", "kubeconfig", "2-5", "--file", str(tmp_path / "no" / "where"))
    mine = typed.json("score-realtime", "kubeconfig", "2-5", "--file", str(tmp_path / "mine"))["file"]
    assert stat.S_IMODE(Path(mine).stat().st_mode) == 0o600


def test_users_of_azure_mls_sdk_find_the_workspace(tmp_path: Path) -> None:
    from customai.model import Step

    id_ = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
    requests = [f"{id_}/computes/c", id_, id_.replace("MachineLearningServices/workspaces", "Storage/storageAccounts")]
    steps = [
        Step(str(at), "put", "any", "compute", {"method": "PUT", "url": f"{url}?api-version=1", "body": {}})
        for at, url in enumerate(requests)
    ]
    file = azure_workspace.written(steps, tmp_path)
    assert file == tmp_path / ".azureml" / "config.json"
    wanted = {"subscription_id": "s", "resource_group": "g", "workspace_name": "w"}
    assert json.loads(file.read_text(encoding="utf-8")) == wanted
    assert azure_workspace.written(steps, tmp_path) == file
    assert azure_workspace.written(steps[:1], tmp_path / "other") is None
    assert not (tmp_path / "other").exists()
    file.write_text('{"subscription_id": "mine", "resource_group": "mine", "workspace_name": "mine"}', encoding="utf-8")
    assert azure_workspace.written(steps, tmp_path) is None
    assert "mine" in file.read_text(encoding="utf-8")


def test_every_new_verb_is_in_its_group() -> None:
    assert paths.PATHS["2-5"].group == "score-realtime"
    for group, verb in (("train-single", "run"), ("train-single", "ssh"), ("score-realtime", "kubeconfig")):
        assert verb in root.get_command(None, group).table  # type: ignore[arg-type, union-attr]
