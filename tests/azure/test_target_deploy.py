"""1-1 and 2-5 on a simulated Azure: deploy, again, with a change, with drift, and away. What was sent is counted there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from customai import planner
from customai.engine import StepsFailed
from customai.errors import Conflict, TargetError
from customai.targets.azure import AzureTarget
from customai.targets.azure_arm import Arm
from customai.targets.base import Watch
from tests.azure import driven as module
from tests.azure.simulator import SUBSCRIPTION, Simulator

pytest.importorskip("azure.mgmt.compute", reason="the extra azure is not installed")
PATHS = ("1-1", "2-5")


def ids(driven: Any) -> set[str]:
    """The ids of everything that the plan makes, in lower case."""
    return {step.inputs["url"].partition("?")[0].lower() for step in driven.plan().steps if step.is_request}


def standing(azure: Simulator) -> set[str]:
    """What stands, but for what is a part of something else: a subnet, a rule, what AKS makes for itself."""
    parts = (
        r"/(subnets|securityrules|tasks)/[^/]+$|/agentpools/system$|"
        r"^/subscriptions/[^/]+/resourcegroups/[^/]+-nodes(/.*)?$"
    )
    return {each.lower() for each in azure.standing() if not re.search(parts, each.lower())}


def made(azure: Simulator) -> list[Any]:
    """The requests that change a resource: what is in a cluster or a registry is none (test_target_image, _kubernetes)."""
    writes = azure.log.of("PUT", "PATCH", "DELETE")
    return [entry for entry in writes if not re.match(r"/_|.*/tasks/", entry.path)]


def changes(azure: Simulator) -> list[str]:
    """All that may have changed something; some of Azure's lists are asked for by POST, and so is kubectl get."""
    writes = [entry for entry in azure.log.writes() if not re.search(r"/list\w+$", entry.path)]
    return [str(entry) for entry in writes if not str(entry.body.get("command", "")).startswith("kubectl get ")]


@pytest.mark.parametrize("path", PATHS)
def test_everything_planned_is_made_once_and_nothing_else(azure: Simulator, driven: Any, path: str) -> None:
    one = driven(path)
    assert set(one.deploy().values()) == {"created"}
    assert standing(azure) == ids(one)
    assert len(azure.log.puts()) == len(set(azure.log.puts()))
    assert len(made(azure)) == len(ids(one))  # one request for each: PUT, and PATCH for the disk


@pytest.mark.parametrize("path", PATHS)
def test_again_with_nothing_changed_sends_nothing(azure: Simulator, driven: Any, path: str) -> None:
    driven(path).deploy()
    azure.log.clear()
    assert set(driven(path).deploy().values()) == {"kept"}
    assert changes(azure) == []


@pytest.mark.parametrize(
    ("path", "more", "step", "place", "value"),
    [
        ("1-1", "vm: {ssh_key: key.pub, size: Standard_D8ds_v5}", "vm", "properties.hardwareProfile.vmSize", "Standard_D8ds_v5"),
        ("1-1", "vm: {ssh_key: key.pub, shut_down: '20:00'}", "vm", "properties.userData", "MjA6MDAgVVRD"),
        ("1-1", "log_days: 60", "logs", "properties.retentionInDays", 60),
        ("2-5", "cluster: {pools: [{max: 7}]}", "pool/scoring", "properties.maxCount", 7),
        ("2-5", "cluster: {system: {max: 5}}", "cluster", "properties.agentPoolProfiles.0.maxCount", 5),
        ("2-5", "registry: standard", "registry", "sku.name", "Standard"),
    ],
)  # fmt: skip
def test_one_changed_value_is_one_request(
    azure: Simulator, driven: Any, path: str, more: str, step: str, place: str, value: Any
) -> None:
    driven(path).deploy()
    azure.log.clear()
    done = driven(path, more).deploy()
    assert {id_ for id_, action in done.items() if action != "kept"} == {step}
    (sent,) = made(azure)
    found = sent.body
    for key in place.split("."):
        found = found[int(key) if key.isdigit() else key]
    assert found == value
    azure.log.clear()
    assert set(driven(path, more).deploy().values()) == {"kept"}
    assert changes(azure) == []


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("1-1", "vm: {ssh_key: key.pub, public_ip: false}"),
        ("1-1", "vm: {ssh_key: key.pub, size: Standard_NC4as_T4_v3}"),
        ("1-1", "vm: {ssh_key: key.pub, spot: true, zone: 2, shut_down: null, disk: standard}"),
        ("1-1", "region: westeurope\nresource_group: (mine).x"),
        ("2-5", "cluster: {private: true}"),
        ("2-5", "cluster: {pools: [{size: Standard_NC4as_T4_v3, min: 0}]}"),
        ("2-5", "cluster: {pools: [{name: one}, {name: two, spot: true, min: 0}]}"),
        ("2-5", "cluster: {tier: standard, zones: [1, 2, 3], system: {min: 3, max: 5}, version: '1.35'}"),
    ],
)
def test_every_variant_is_made_kept_and_taken_away(azure: Simulator, driven: Any, path: str, more: str) -> None:
    one = driven(path, more)
    one.target().check(one.plan())
    assert set(one.deploy().values()) == {"created"}
    assert standing(azure) == ids(one)
    azure.log.clear()
    assert set(one.deploy().values()) == {"kept"}
    assert changes(azure) == []
    assert set(one.destroy(sweep=False).values()) == {"deleted"}
    assert azure.standing() == []


def test_another_spec_without_another_request_sends_nothing(azure: Simulator, driven: Any) -> None:
    """The group's tag tells of the spec; that it is another one is no reason to ask for anything."""
    one = driven("1-1")
    one.deploy()
    azure.log.clear()
    one.file.write_text(one.file.read_text().replace("epochs: 60", "epochs: 61"))
    assert set(one.deploy().values()) == {"kept"}
    assert changes(azure) == []


@pytest.mark.parametrize(
    ("path", "step", "patch", "place"),
    [
        ("1-1", "vm", {"tags": {}}, None),
        ("1-1", "disk-access", {"properties": {"networkAccessPolicy": "AllowAll"}}, "properties.networkAccessPolicy"),
        ("1-1", "logs", {"properties": {"retentionInDays": 31}}, "properties.retentionInDays"),
        ("2-5", "registry", {"properties": {"adminUserEnabled": True}}, "properties.adminUserEnabled"),
        ("2-5", "pool/scoring", {"properties": {"maxCount": 9}}, "properties.maxCount"),
    ],
)  # fmt: skip
def test_what_somebody_changed_by_hand_is_seen_and_put_right(
    azure: Simulator, driven: Any, path: str, step: str, patch: Any, place: str | None
) -> None:
    one = driven(path)
    one.deploy()
    azure.log.clear()
    url = next(each.inputs["url"] for each in one.plan().steps if each.id == step).partition("?")[0]
    azure.cloud.change(url, patch)
    seen = one.compared()
    assert {id_ for id_, change in seen.items() if change.action != "keep"} == {step}
    if place is None:  # without our tag it is somebody else's, until they say otherwise
        with pytest.raises(StepsFailed, match="customai did not make it"):
            one.deploy()
        return
    assert [way["property"] for way in seen[step].ways] == [place]
    assert one.deploy()[step] == "changed"
    assert len(changes(azure)) == 1
    assert {change.action for change in one.compared().values()} == {"keep"}


def test_an_open_security_rule_is_seen(azure: Simulator, driven: Any) -> None:
    one = driven("1-1")
    one.deploy()
    rule = next(each for each in azure.standing() if each.endswith("/securityRules/ssh"))
    azure.cloud.change(rule, {"properties": {"sourceAddressPrefixes": ["0.0.0.0/0"]}})
    change = one.compared()["security-group"]
    assert (change.action, change.ways[0]["found"]) == ("change", ["0.0.0.0/0"])
    one.deploy()
    assert one.compared()["security-group"].action == "keep"


def test_how_many_nodes_there_are_is_the_autoscalers(azure: Simulator, driven: Any) -> None:
    """Another number is no drift, and an update does not send the first one again."""
    one = driven("2-5")
    one.deploy()
    for pool in ("system", "scoring"):
        found = next(each for each in azure.standing() if each.lower().endswith(f"/agentpools/{pool}"))
        azure.cloud.change(found, {"properties": {"count": 3}})
    azure.log.clear()
    assert set(one.deploy().values()) == {"kept"}
    driven("2-5", "cluster: {pools: [{max: 7}], system: {max: 6}}").deploy()
    cluster, pool = (
        next(e for e in azure.log.of("PUT") if e.path.endswith(end)) for end in ("Clusters/digits", "/scoring")
    )
    assert "count" not in pool.body["properties"]
    assert "count" not in cluster.body["properties"]["agentPoolProfiles"][0]


@pytest.mark.parametrize(
    ("path", "more", "word"),
    [
        ("1-1", "vm: {ssh_key: key.pub, image: ubuntu-hpc}", "imageReference"),
        ("1-1", "vm: {ssh_key: key.pub, spot: true}", "priority"),
        ("1-1", "vm: {ssh_key: key.pub, user: ada}", "osProfile"),
        ("2-5", "cluster: {pods: 172.16.0.0/16}", "podCidr"),
        ("2-5", "cluster: {pools: [{size: Standard_D8ds_v5}]}", "vmSize"),
    ],
)
def test_what_cannot_be_changed_is_said_before_anything_is_sent(
    azure: Simulator, driven: Any, path: str, more: str, word: str
) -> None:
    driven(path).deploy()
    azure.log.clear()
    other = driven(path, more)
    with pytest.raises(TargetError, match=f"cannot be changed.*{word}"):
        other.target().check(other.plan())
    with pytest.raises(StepsFailed, match="cannot be changed"):  # with --skip-checks, the step itself says so
        other.deploy()
    assert changes(azure) == []
    driven(path).deploy()


@pytest.mark.parametrize("sweep", [True, False], ids=["with the group", "one by one"])
@pytest.mark.parametrize("path", PATHS)
def test_destroy_leaves_nothing(azure: Simulator, driven: Any, path: str, sweep: bool) -> None:
    one = driven(path)
    one.deploy()
    azure.log.clear()
    assert set(one.destroy(sweep=sweep).values()) == {"deleted"}
    assert azure.standing() == []
    deletes = azure.log.of("DELETE")
    assert len(deletes) == (1 if sweep else len(deletes))
    assert len({entry.path.lower() for entry in deletes}) == len(deletes)  # nothing is begun twice
    assert set(one.deploy().values()) == {"created"}


def test_what_somebody_else_put_into_the_group_stays(azure: Simulator, driven: Any) -> None:
    one = driven("1-1")
    one.deploy()
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/customai-digits-training"
    theirs = f"{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/theirs"
    azure.cloud.seed(theirs, {"location": "eastus"})
    assert [each.lower() for each in one.target().beside(one.plan().steps)] == [theirs.lower()]
    done = one.destroy()
    assert {id_ for id_, action in done.items() if action != "deleted"} == {"group"}
    assert azure.standing() == [group, theirs]


def test_a_group_of_somebody_elses_is_left_alone(azure: Simulator, driven: Any) -> None:
    one = driven("1-1")
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/customai-digits-training"
    azure.cloud.seed(group, {"location": "eastus", "tags": {"owner": "them"}})
    with pytest.raises(Conflict, match="customai did not make it"):
        one.target().check(one.plan())
    with pytest.raises(StepsFailed, match="customai did not make it"):
        one.deploy()
    assert changes(azure) == []
    one.destroy()
    assert azure.standing() == [group]


def test_a_role_that_somebody_has_given_already_is_kept_and_not_taken_away(azure: Simulator, driven: Any) -> None:
    one = driven("1-1")
    one.deploy()
    role = next(step for step in one.plan().steps if step.kind == "role")
    url = role.inputs["url"].partition("?")[0]
    there = azure.cloud.store.get(url.lower())
    assert there is not None
    asked = dict(there.asked)
    azure.cloud.store.remove(url.lower())
    theirs = f"{url.rpartition('/')[0]}/00000000-0000-4000-8000-0000000000ff"
    azure.cloud.seed(theirs, asked)
    assert one.deploy()["power-off-role"] == "changed"
    azure.log.clear()
    assert set(one.deploy().values()) == {"kept"}
    assert changes(azure) == []
    one.destroy(sweep=False)
    assert [each.path for each in azure.log.of("DELETE") if "roleAssignments" in each.path] == []


def test_an_identity_made_anew_gets_its_role_anew(azure: Simulator, driven: Any) -> None:
    one = driven("1-1")
    one.deploy()
    identity = next(each for each in azure.standing() if "userAssignedIdentities" in each)
    azure.cloud.store.remove(identity.lower())
    azure.log.clear()
    done = one.deploy()
    assert {id_ for id_, action in done.items() if action != "kept"} == {"identity", "power-off-role"}
    assert [entry.method for entry in azure.log.writes() if "roleAssignments" in entry.path] == ["PUT", "DELETE", "PUT"]


def test_a_step_that_left_the_spec_is_taken_away(azure: Simulator, driven: Any) -> None:
    driven("2-5", "cluster: {pools: [{name: scoring}, {name: spare, min: 0}]}").deploy()
    done = driven("2-5").deploy()
    assert done["pool/spare"] == "deleted"
    assert not [each for each in azure.standing() if each.endswith("/spare")]


def test_nothing_secret_is_written_down(azure: Simulator, driven: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("SCORING_KEY", "s3cret-k3y-value")
    one = driven("2-5")
    one.deploy()
    one.target().arm(SUBSCRIPTION)
    token = module.Nobody().get_token("x").token
    written = [file for file in one.folder.rglob("*") if file.is_file()]
    assert written
    for file in written:
        text = file.read_text(encoding="utf-8", errors="replace")
        assert token not in text
        assert "s3cret-k3y-value" not in text
    assert token not in json.dumps(one.plan().to_json())


def test_the_tenant_of_the_spec_is_the_one_of_status_and_destroy(azure: Simulator, driven: Any) -> None:
    """They know no spec: what to log in to is kept in the state folder, and goes with it."""
    one = driven("1-1", "tenant: contoso.example")
    tenants: list[str | None] = []

    def connect(subscription: str, tenant: str | None) -> Arm:
        tenants.append(tenant)
        return Arm(module.Nobody(), subscription, endpoint=azure.url, polling_interval=0.02)

    first = AzureTarget(one.folder, connect)
    plan = planner.plan(planner.read(one.file), first)
    group = next(step for step in plan.steps if step.kind == "resource_group")
    one.folder.mkdir(parents=True)
    first.apply(group, group.inputs, "digest", Watch())
    assert AzureTarget(one.folder, connect).read(group, None).as_left
    assert tenants == ["contoso.example", "contoso.example"]
