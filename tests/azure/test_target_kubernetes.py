"""The objects of 2-5 in a simulated cluster: applied once, read property by property, waited for, explained, taken away."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from customai.engine import StepsFailed
from customai.errors import Conflict, NotFound
from customai.targets.base import Watch
from customai.ui import Silent
from tests.azure.simulator import Simulator, faults
from tests.azure.simulator.errors import ArmError

pytest.importorskip("azure.mgmt.compute", reason="the extra azure is not installed")
pytest.importorskip("kubernetes", reason="the extra azure is not installed")
from customai.targets import azure_kubernetes, azure_kubernetes_compare
from tests.azure import driven as module

API = "/_kubernetes/.*"
OBJECTS = (
    "serviceaccounts",
    "secrets",
    "networkpolicies",
    "deployments",
    "services",
    "poddisruptionbudgets",
    "horizontalpodautoscalers",
)


def sent(azure: Simulator) -> list[str]:
    """What was asked of the cluster that may change something: VERB PLURAL."""
    return [
        f"{entry.method} {entry.path.split('/')[-2]}"
        for entry in azure.log.writes()
        if entry.path.startswith("/_kubernetes/")
    ]


def live(azure: Simulator, plural: str) -> Any:
    return azure.cloud.kubernetes.standing()[f"scoring/{plural}/digits"]


class Heard(Silent):
    def __init__(self) -> None:
        self.told: list[str] = []

    def progress(self, step: Any, message: str) -> None:
        self.told.append(f"{step.id}: {message}")


@pytest.fixture
def one(driven: Any) -> Any:
    """2-5, with a registry that builds at once."""
    return driven("2-5")


def test_every_object_is_applied_once_and_in_order(azure: Simulator, one: Any) -> None:
    one.deploy()
    assert sent(azure) == [f"PATCH {plural}" for plural in OBJECTS]
    patches = [entry for entry in azure.log.of("PATCH") if entry.path.startswith("/_kubernetes/")]
    assert {entry.query for entry in patches} == {"fieldManager=customai&force=true"}
    assert {entry.headers["content-type"] for entry in patches} == {"application/apply-patch+yaml"}
    address = live(azure, "services")["status"]["loadBalancer"]["ingress"][0]["ip"]
    assert one.outputs("kubernetes") == {"address": address, "url": f"http://{address}"}
    assert base64.b64decode(live(azure, "secrets")["data"]["key"]).decode() == module.KEY


def test_the_image_that_runs_is_the_one_that_was_built(azure: Simulator, one: Any) -> None:
    one.deploy()
    (container,) = live(azure, "deployments")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == one.outputs("image")["reference"]


def test_the_key_is_nowhere_but_in_its_secret(azure: Simulator, one: Any) -> None:
    one.deploy()
    encoded = base64.b64encode(module.KEY.encode()).decode()
    objects = azure.cloud.kubernetes.standing()
    holding = [name for name, body in objects.items() if encoded in json.dumps(body) or module.KEY in json.dumps(body)]
    assert holding == ["scoring/secrets/digits"]
    kept = [file.read_text(errors="replace") for file in one.folder.rglob("*") if file.is_file()]
    assert not [text for text in kept if encoded in text or module.KEY in text]


@pytest.mark.parametrize(
    ("more", "plurals", "at", "value"),
    [
        ("replicas: {max: 7}", ["horizontalpodautoscalers"], "spec.maxReplicas", 7),
        ("replicas: {cpu_percent: 55}", ["horizontalpodautoscalers"], "spec.metrics.0.resource.target.averageUtilization", 55),
        ("replicas: {memory_gb: 3}", ["deployments"], "spec.template.spec.containers.0.resources.limits.memory", "3072Mi"),
    ],
)  # fmt: skip
def test_one_changed_value_is_one_object(
    azure: Simulator, one: Any, driven: Any, more: str, plurals: list[str], at: str, value: Any
) -> None:
    one.deploy()
    azure.log.clear()
    done = driven("2-5", more).deploy()
    assert {id_ for id_, action in done.items() if action != "kept"} == {"kubernetes"}
    assert sent(azure) == [f"PATCH {plural}" for plural in plurals]
    found = live(azure, plurals[0])
    for key in at.split("."):
        found = found[int(key) if key.isdigit() else key]
    assert found == value
    azure.log.clear()
    assert set(driven("2-5", more).deploy().values()) == {"kept"}
    assert sent(azure) == []


def test_another_key_starts_the_pods_anew(azure: Simulator, one: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    one.deploy()
    pods = pods_of(azure)
    azure.log.clear()
    monkeypatch.setenv("SCORING_KEY", "another-key-of-the-tests")
    done = one.deploy()
    assert {id_ for id_, action in done.items() if action != "kept"} == {"kubernetes"}
    assert sent(azure) == ["PATCH secrets", "PATCH deployments"]
    assert not pods & pods_of(azure)


def pods_of(azure: Simulator) -> set[str]:
    (space,) = azure.cloud.kubernetes.spaces
    return {name for plural, name in space.objects if plural == "pods"}


DRIFTS: dict[str, tuple[str, Callable[[Any], Any], str]] = {
    "fewer at most": ("horizontalpodautoscalers", lambda o: o["spec"].update(maxReplicas=2), "spec.maxReplicas"),
    "another image": (
        "deployments",
        lambda o: o["spec"]["template"]["spec"]["containers"][0].update(image="else:1"),
        "spec.template.spec.containers[scoring].image",
    ),
    "open to all": ("networkpolicies", lambda o: o["spec"].pop("policyTypes"), "spec.policyTypes"),
    "a label gone": ("services", lambda o: o["metadata"]["labels"].clear(), "metadata.labels.app.kubernetes.io/name"),
    "another key": ("secrets", lambda o: o["data"].update(key="bm90aGluZw=="), "data"),
    "a public address": (
        "services",
        lambda o: o["metadata"]["annotations"].pop("service.beta.kubernetes.io/azure-load-balancer-internal"),
        "metadata.annotations.service.beta.kubernetes.io/azure-load-balancer-internal",
    ),
}


@pytest.mark.parametrize("name", DRIFTS)
def test_drift_is_told_by_the_property_and_mended_by_one_request(azure: Simulator, one: Any, name: str) -> None:
    one.deploy()
    plural, change, place = DRIFTS[name]
    change(live(azure, plural))
    told = one.compared()["kubernetes"]
    assert told.action == "change"
    assert [way["property"].partition(": ")[2] for way in told.ways][:1] == [place]
    assert module.KEY not in json.dumps(told.ways)
    azure.log.clear()
    assert one.deploy()["kubernetes"] == "changed"
    assert sent(azure) == [f"PATCH {plural}"]
    assert one.compared()["kubernetes"].action == "keep"


def test_what_others_add_is_theirs(azure: Simulator, one: Any) -> None:
    """A sidecar, an annotation, a number of replicas: others own them, and they are no drift."""
    one.deploy()
    body = live(azure, "deployments")
    body["metadata"]["annotations"]["somebody/else"] = "was here"
    body["spec"]["template"]["spec"]["containers"].append({"name": "sidecar", "image": "theirs"})
    body["spec"]["replicas"] = 4
    azure.log.clear()
    one.deploy()  # waits for the pods that the sidecar has made anew
    assert set(one.deploy().values()) == {"kept"}
    assert sent(azure) == []


def test_an_object_that_is_not_wanted_any_more_goes(azure: Simulator, one: Any) -> None:
    one.deploy()
    (space,) = azure.cloud.kubernetes.spaces
    from tests.azure.simulator.kubernetes import Object

    ours, theirs = (json.loads(json.dumps(live(azure, "services"))) for _ in range(2))
    ours["metadata"] |= {"name": "old"}
    theirs["metadata"] |= {"name": "theirs", "labels": {}}
    space.objects["services", "old"], space.objects["services", "theirs"] = Object(ours), Object(theirs)
    live(azure, "horizontalpodautoscalers")["spec"]["maxReplicas"] = 2  # or there is nothing to do at all
    azure.log.clear()
    one.deploy()
    assert sent(azure) == ["PATCH horizontalpodautoscalers", "DELETE services"]
    assert {name for name in azure.cloud.kubernetes.standing() if "/services/" in name} == {
        "scoring/services/digits",
        "scoring/services/theirs",
    }


TROUBLES = {
    "CrashLoopBackOff": ("has crashed 3 times (Error, exit code 1). It wrote:", 1),
    "ImagePullBackOff": ("its pods do not start: digits-", 1),
    "ErrImagePull": ("Back-off pulling image: 401 Unauthorized", 1),
    "ReplicaFailure": ("exceeded quota", 3),
    "Deadline": ("0 of 2 pods answer, and no more come: no node has room for digits-", 1),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_pods_that_do_not_come_up_are_explained(azure: Simulator, one: Any, trouble: str) -> None:
    azure.cloud.kubernetes.life.trouble = trouble
    words, code = TROUBLES[trouble]
    with pytest.raises(StepsFailed) as error:
        one.deploy()
    assert words in error.value.message
    assert error.value.exit_code == code
    assert error.value.hint
    if trouble == "CrashLoopBackOff":
        assert azure.cloud.kubernetes.life.said in error.value.message
    azure.cloud.kubernetes.life.trouble = ""
    azure.log.clear()
    assert one.deploy()["kubernetes"] == "created"
    assert sent(azure) == []  # nothing had to be said again: the pods are there now


def test_a_node_that_takes_long_is_waited_for_and_told(azure: Simulator, one: Any) -> None:
    class Patient(Heard):
        def progress(self, step: Any, message: str) -> None:
            super().progress(step, message)
            if "no node has room" in message:
                azure.cloud.kubernetes.life.trouble = ""

    azure.cloud.kubernetes.life.trouble = "Unschedulable"
    heard = Patient()
    assert one.deploy(heard)["kubernetes"] == "created"
    assert [line for line in heard.told if "Insufficient nvidia.com/gpu" in line]


def test_old_pods_that_crash_do_not_stop_the_new_ones(azure: Simulator, one: Any, driven: Any) -> None:
    azure.cloud.kubernetes.life.trouble = "CrashLoopBackOff"
    with pytest.raises(StepsFailed):
        one.deploy()
    azure.cloud.kubernetes.life.trouble = ""
    assert driven("2-5", "replicas: {memory_gb: 3}").deploy()["kubernetes"] == "created"


def test_an_address_that_does_not_come_is_said(azure: Simulator, one: Any) -> None:
    one.without = module.BESIDE
    one.deploy()
    azure.cloud.kubernetes.life.addresses = False
    one.without, one.patience = (), 1.0
    with pytest.raises(StepsFailed, match="the load balancer gives no address") as error:
        one.deploy()
    assert error.value.exit_code == 3
    azure.cloud.kubernetes.life.addresses = True
    one.patience = 20.0
    assert one.deploy()["kubernetes"] == "created"


def test_a_role_that_is_new_is_waited_for(azure: Simulator, one: Any) -> None:
    azure.cloud.kubernetes.denials = 4
    heard = Heard()
    assert one.deploy(heard)["kubernetes"] == "created"
    assert [line for line in heard.told if "Kubernetes 403" in line]
    assert sent(azure) == [f"PATCH {plural}" for plural in OBJECTS]


# What does not pass by itself: an answer of the cluster's -> words, exit code.
REFUSED = {
    401: ("the cluster does not know who you are", 3),
    404: ("it is not in the cluster", 3),
    422: ("Kubernetes does not take the object as it is", 1),
}


@pytest.mark.parametrize("status", REFUSED)
def test_what_the_cluster_refuses_is_said(azure: Simulator, one: Any, status: int) -> None:
    azure.fault(faults.answers(ArmError(status, "x", "no"), url=API, method="PATCH"))
    words, code = REFUSED[status]
    with pytest.raises(StepsFailed) as error:
        one.deploy()
    assert words in error.value.message
    assert (error.value.exit_code, bool(error.value.hint)) == (code, True)
    assert one.deploy()["kubernetes"] == "created"


def test_somebody_who_changes_the_same_fields_again_and_again_is_said(azure: Simulator, one: Any) -> None:
    one.without = module.BESIDE
    one.deploy()
    one.without, one.patience = (), 0.5
    azure.fault(faults.answers(ArmError(409, "Conflict", "Apply failed"), url=API, method="PATCH", times=10**6))
    with pytest.raises(StepsFailed, match="somebody else is changing the same object") as error:
        one.deploy()
    assert isinstance(next(each.error for each in error.value.results if each.error), Conflict)
    azure.calm()
    one.patience = 20.0
    assert one.deploy()["kubernetes"] == "created"


def test_fields_that_somebody_else_owns_become_ours(azure: Simulator, one: Any) -> None:
    one.deploy()
    (space,) = azure.cloud.kubernetes.spaces
    there = space.objects["horizontalpodautoscalers", "digits"]
    there.owners = {
        "kubectl-edit": {("spec", "maxReplicas")},
        "customai": there.owners["customai"] - {("spec", "maxReplicas")},
    }
    there.body["spec"]["maxReplicas"] = 3
    one.deploy()
    assert ("spec", "maxReplicas") in there.owners["customai"] | space.objects[
        "horizontalpodautoscalers", "digits"
    ].owners["customai"]
    assert one.compared()["kubernetes"].action == "keep"


def test_a_cluster_that_stands_still_is_told_so_and_not_asked(azure: Simulator, one: Any) -> None:
    one.deploy()
    step = next(step for step in one.plan().steps if step.kind == "kubernetes")
    cluster = azure.cloud.store.get(step.inputs["cluster"].lower())
    assert cluster is not None
    cluster.power = "Stopped"
    azure.log.clear()
    seen = azure_kubernetes.read(step, one.outputs("kubernetes"), one.target().arm(step))
    assert (seen.present, seen.as_left, seen.detail["state"]) == (True, False, "stopped")
    assert not [entry for entry in azure.log if entry.path.startswith("/_kubernetes/")]


def test_a_private_cluster_is_reached_through_commands_alone(azure: Simulator, driven: Any) -> None:
    one = driven("2-5", "cluster: {private: true}")
    one.deploy()
    assert not [entry for entry in azure.log if entry.path.startswith("/_kubernetes/")]
    commands = [entry.body for entry in azure.log.of("POST") if entry.path.endswith("/runCommand")]
    assert all(each["clusterToken"] for each in commands)
    assert module.KEY not in json.dumps([each["command"] for each in commands])
    assert len(azure.cloud.kubernetes.standing()) == len(OBJECTS)
    azure.log.clear()
    assert set(one.deploy().values()) == {"kept"}
    (looked,) = [entry.body["command"] for entry in azure.log.of("POST") if entry.path.endswith("/runCommand")]
    assert looked.startswith("kubectl get ")


def test_what_a_private_cluster_refuses_is_said(azure: Simulator, driven: Any) -> None:
    one = driven("2-5", "cluster: {private: true}")
    one.without = module.BESIDE
    one.deploy()
    azure.cloud.kubernetes.denials = 10**6
    one.without, one.patience = (), 1.0
    with pytest.raises(StepsFailed, match="you have no right to do this in the cluster"):
        one.deploy()
    azure.cloud.kubernetes.denials, one.patience = 0, 20.0
    assert one.deploy()["kubernetes"] == "created"


def test_taken_away_alone_it_leaves_no_object(azure: Simulator, one: Any) -> None:
    one.deploy()
    step = next(step for step in one.plan().steps if step.kind == "kubernetes")
    azure_kubernetes.delete(step, None, one.target().arm(step))
    assert azure.cloud.kubernetes.standing() == {}


def test_a_cluster_that_lets_nobody_in_is_taken_away_all_the_same(azure: Simulator, one: Any) -> None:
    one.deploy()
    azure.fault(faults.answers(ArmError(401, "Unauthorized", "no"), url=API, method=".*", times=10**6))
    assert set(one.destroy(sweep=False).values()) == {"deleted"}
    assert azure.standing() == []


def test_no_token_goes_to_a_server_without_https(azure: Simulator, one: Any) -> None:
    azure.cloud.catalog.kubernetes_api = "http://cluster.example"
    with pytest.raises(StepsFailed, match="no token is sent there"):
        one.deploy()


def test_a_server_that_is_not_there_is_said_with_its_name(azure: Simulator, one: Any) -> None:
    one.without = module.BESIDE
    one.deploy()
    azure.cloud.catalog.kubernetes_api = "https://127.0.0.1:9"
    one.without, one.patience = (), 0.5
    with pytest.raises(StepsFailed, match="the cluster's API server cannot be reached") as error:
        one.deploy()
    assert "allow_from" in error.value.hint


def test_the_connection_is_for_others_too(azure: Simulator, one: Any) -> None:
    """What `logs` and the like build on: pods and their lines, through the same login."""
    one.deploy()
    step = next(step for step in one.plan().steps if step.kind == "kubernetes")
    cluster = azure_kubernetes.connect(one.target().arm(step), step.inputs["cluster"], watch=Watch())
    pods = cluster.every("/api/v1/namespaces/scoring/pods", labelSelector="app.kubernetes.io/name=scoring")
    assert {pod["kind"] for pod in pods} == {"Pod"}
    assert "ready" in cluster.log("scoring", pods[0]["metadata"]["name"], tailLines=5)


def test_a_key_that_is_missing_is_said_before_anything_is_made(
    azure: Simulator, one: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("customai.secret._taken", {})
    monkeypatch.delenv("SCORING_KEY")
    with pytest.raises(NotFound, match="SCORING_KEY is not set"):
        one.target().check(one.plan())
    assert azure.log.writes() == []


# What Kubernetes tells back in other words, and what is another value: wanted, found, the places that differ.
SAID_AGAIN = [
    ({"resources": {"limits": {"cpu": "2000m", "memory": "3072Mi"}}}, {"resources": {"limits": {"cpu": "2", "memory": "3Gi"}}}, []),
    ({"resources": {"limits": {"cpu": "2000m"}}}, {"resources": {"limits": {"cpu": "1500m"}}}, ["resources.limits.cpu"]),
    ({"egress": [], "emptyDir": {}}, {}, []),
    ({"automountServiceAccountToken": False}, {}, ["automountServiceAccountToken"]),
    ({"value": "Label"}, {"value": "label"}, ["value"]),
    ({"runAsNonRoot": True}, {"runAsNonRoot": 1}, ["runAsNonRoot"]),
    ({"ports": [{"name": "http", "port": 80}]}, {"ports": [{"name": "http", "port": 80, "nodePort": 31000}]}, []),
    ({"tolerations": [{"key": "a"}]}, {"tolerations": [{"key": "a"}, {"key": "b"}]}, ["tolerations"]),
    ({"volumes": [{"name": "key", "secret": {"defaultMode": 288}}]}, {"volumes": []}, ["volumes[key]"]),
]  # fmt: skip


@pytest.mark.parametrize(("wanted", "found", "places"), SAID_AGAIN)
def test_other_words_for_the_same_are_no_difference(wanted: Any, found: Any, places: list[str]) -> None:
    assert [each.place for each in azure_kubernetes_compare.differences(wanted, found)] == places
