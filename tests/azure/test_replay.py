"""Recorded traffic of real Azure, played back to our own code through the real SDKs by vcrpy: nothing of ours is simulated.

A recording has the API versions of its day: requests are known again by method and path, each answered once, in order. It
is read without its Retry-After, which nobody has to wait for again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from customai.errors import Conflict, RunFailed
from customai.model import Step
from customai.provisioning.api_versions import API_VERSIONS, type_of
from customai.targets.azure_about import About
from customai.targets.azure_arm import Address, Arm, Pace
from customai.targets.azure_checks import _free_name
from customai.targets.azure_resource import Resource, outputs_of
from customai.targets.azure_wait import Followed, state_of
from customai.targets.base import Watch
from tests.azure.conftest import FakeCredential
from tests.azure.simulator.recordings import Exchange, exchanges

OF_THE_CONNECTION = {"content-length", "content-encoding", "transfer-encoding", "connection", "retry-after"}
PACE = Pace(look=0.01, patience=60)


class Played:
    """One recording, and our own code that talks to it."""

    def __init__(self, recording: list[Exchange], cassette: Any) -> None:
        self.recording, self.cassette, self.said = recording, cassette, []
        subscription = recording[0].path.split("/")[2]
        self.arm = Arm(FakeCredential(), subscription, endpoint="https://management.azure.com", polling_interval=0.01)

    def sent(self, end: str, nth: int = 0) -> Exchange:
        """The nth PUT of what this ends the path of."""
        return [one for one in self.recording if one.method == "PUT" and one.path.endswith(end)][nth]

    def followed(self, one: Exchange) -> Followed:
        url = f"{one.path}?api-version={API_VERSIONS[type_of(one.path)]}"
        return Followed(self.arm, url, "here", Watch(self.said.append), PACE)

    def brought_about(self, one: Exchange, kind: str) -> Any:
        """As `deploy` does it: read, asked for, followed, read again."""
        request = {"method": "PUT", "url": self.followed(one).url, "body": one.sent}
        step = Step("here", "put", kind, "net", request)
        return Resource(self.followed(one), step, request).brought_about()

    def put(self, one: Exchange) -> Any:
        followed = self.followed(one)
        followed.ended(self.arm.put(followed.url, one.sent))
        return followed.settled()

    def times(self, method: str, part: str) -> int:
        """How often such a request was answered."""
        return sum(
            self.cassette.play_counts[number]
            for number, request in enumerate(self.cassette.requests)
            if request.method == method and part.lower() in request.path.lower()
        )


@pytest.fixture
def played(shared: Path, tmp_path: Path) -> Callable[[str], Any]:
    vcr = pytest.importorskip("vcr", reason="vcrpy is not installed")
    pytest.importorskip("azure.mgmt.compute", reason="the extra azure is not installed")
    recorder = vcr.VCR(record_mode="none", serializer="json", match_on=["method", "address"])
    recorder.register_matcher("address", same_address)

    @contextmanager
    def play(name: str) -> Iterator[Played]:
        recording = followable(list(exchanges(shared / "recordings" / name)))
        file = tmp_path / "cassette.json"
        file.write_text(json.dumps({"version": 1, "interactions": [interaction(one) for one in recording]}))
        with recorder.use_cassette(str(file)) as cassette:
            yield Played(recording, cassette)

    return play


def same_address(asked: Any, recorded: Any) -> None:
    here, there = (urlsplit(each.uri) for each in (asked, recorded))
    assert (here.netloc, here.path.lower()) == (there.netloc, there.path.lower())


def followable(recording: list[Exchange]) -> list[Exchange]:
    """The same, where each operation's URL is the one that is asked afterwards: some recordings have made up their ids."""
    asked = [(number, one) for number, one in enumerate(recording) if one.method == "GET"]
    known = {one.path for _, one in asked}
    for number, one in enumerate(recording):
        url = one.headers.get("azure-asyncoperation", "")
        if url and urlsplit(url).path not in known:
            segment = urlsplit(url).path.split("/")[-2]
            later = (each.url for at, each in asked if at > number and f"/{segment}/" in each.path)
            one.headers["azure-asyncoperation"] = next(later, url)
    return recording


def interaction(one: Exchange) -> Any:
    headers = {name: [value] for name, value in one.headers.items() if name not in OF_THE_CONNECTION}
    body = "" if one.body is None else json.dumps(one.body)
    return {
        "request": {"method": one.method, "uri": one.url, "body": None, "headers": {}},
        "response": {"status": {"code": one.status, "message": ""}, "headers": headers, "body": {"string": body}},
    }


def test_a_cluster_and_its_pool_are_made_scaled_and_changed(played: Any) -> None:
    with played("aks/test_aks_nodepool_create_scale_delete_msi.yaml") as recorded:
        cluster = recorded.sent("/managedClusters/cliakstest000001")
        made = recorded.brought_about(cluster, "aks")
        assert made["id"].lower() == cluster.path.lower()
        assert state_of(made) == "succeeded"
        assert recorded.times("PUT", "/managedClusters/cliakstest000001") == 1
        for nth in range(3):
            one = recorded.sent("/agentPools/nodepool2", nth)
            pool = recorded.put(one)
            assert state_of(pool) == "succeeded"
            assert pool["properties"]["count"] == one.sent["properties"]["count"]
        operations = {one.path for one in recorded.recording if "/operations/" in one.path}
        assert len(operations) == 4
        for path in operations:  # each was followed to its end, however often Azure said InProgress
            assert recorded.times("GET", path) == sum(one.path == path for one in recorded.recording)


def test_a_cluster_is_stopped_and_started(played: Any) -> None:
    with played("aks/test_aks_stop_and_start.yaml") as recorded:
        cluster = recorded.sent("/managedClusters/cliakstest000002")
        recorded.brought_about(cluster, "aks")
        followed = recorded.followed(cluster)
        for action in ("stop", "start"):
            followed.ended(recorded.arm.act(followed.url, action))
            assert recorded.times("POST", f"/{action}") == 1
        asked = [one for one in recorded.recording if "/operations" in one.path]
        assert sum(recorded.times("GET", path) for path in {one.path for one in asked}) == len(asked)


def test_a_cluster_that_an_earlier_run_has_begun_is_waited_for(played: Any) -> None:
    with played("aks/test_aks_create_default_setting_msi.yaml") as recorded:
        cluster = recorded.sent("/managedClusters/cliakstest000001")
        followed = recorded.followed(cluster)
        assert followed.found() is None
        found = followed.settled()
        assert state_of(found) == "succeeded"
        assert recorded.said == ["creating, as an earlier run has begun"] * 9
        with pytest.raises(RunFailed, match="issuerURL"):  # the cluster of then was asked for none: that is told
            outputs_of("aks", found)
        assert recorded.times("PUT", "") == 0


def test_a_network_and_a_machine_are_made_changed_and_deleted(played: Any) -> None:
    with played("aso/Test_Compute_VM_20220301_CRUD.yaml") as recorded:
        network = recorded.sent("/virtualNetworks/asotest-vn-mantuh")
        assert state_of(recorded.brought_about(network, "network")) == "succeeded"
        assert state_of(recorded.put(recorded.sent("/networkInterfaces/asotest-nic-dajxvb"))) == "succeeded"
        for nth in range(2):
            one = recorded.sent("/virtualMachines/asotest-vm-kpauzd", nth)
            machine = recorded.put(one)
            assert state_of(machine) == "succeeded"
            assert outputs_of("dsvm", machine) == {"id": machine["id"], "vm_id": machine["properties"]["vmId"]}
        followed = recorded.followed(one)
        followed.ended(recorded.arm.delete(followed.url))
        followed.gone()
        group = recorded.followed(recorded.sent("/resourceGroups/asotest-rg-zlljte"))
        group.ended(recorded.arm.delete(group.url))  # 202 and Location, until it answers 200
        assert recorded.times("GET", "/operationresults/") == 3


def test_a_storage_account_is_made_and_its_name_is_asked_for_before_and_after(played: Any) -> None:
    with played("storage/test_create_storage_account_v2.yaml") as recorded:
        account = recorded.sent("/storageAccounts/cli000002")
        step = Step("storage", "put", "storage_account", "store", {"url": recorded.followed(account).url})
        about, address = About(None, recorded.arm), Address.of(step.inputs["url"])
        free = _free_name(about, step, address)
        assert (free.message, free.state) == ("the storage account's name cli000002 is free", "ok")  # type: ignore[union-attr]
        begun = recorded.arm.put(step.inputs["url"], account.sent)  # 202 and Location, until it answers 200
        recorded.followed(account).ended(begun)
        assert recorded.times("GET", "/asyncoperations/") == 2
        taken = _free_name(about, step, address)
        assert isinstance(taken, Conflict)
        assert "cli000002 is taken: The storage account named cli000002 is already taken" in taken.message


def test_a_data_factory_is_made(played: Any) -> None:
    with played("aso/Test_Datafactory_v1api_CreationAndDeletion.yaml") as recorded:
        factory = recorded.put(recorded.sent("/factories/asotestfehhun"))
        assert (factory["name"], state_of(factory)) == ("asotestfehhun", "succeeded")


def test_nodes_of_azure_ml_are_made_and_changed(played: Any) -> None:
    with played("ml/test_compute_aml.yaml") as recorded:
        for nth in range(2):
            one = recorded.sent("/computes/testcomp007cc1", nth)
            cluster = recorded.put(one)
            assert state_of(cluster) == "succeeded"
            scale = one.sent["properties"]["properties"]["scaleSettings"]
            assert cluster["properties"]["properties"]["scaleSettings"]["maxNodeCount"] == scale["maxNodeCount"]
        assert recorded.times("GET", "/computeOperationsStatus/") == 2


def test_a_batch_endpoint_is_made_changed_and_deleted(played: Any) -> None:
    with played("ml/test_batch_endpoint.yaml") as recorded:
        for nth in range(2):
            one = recorded.sent("/batchEndpoints/test-batch-ept-1223423-1", nth)
            endpoint = recorded.put(one)
            assert state_of(endpoint) == "succeeded"
        assert outputs_of("batch_endpoint", endpoint)["scoring_uri"] == endpoint["properties"]["scoringUri"]
        followed = recorded.followed(one)
        followed.ended(recorded.arm.delete(followed.url))
        followed.gone()
        asked = [one for one in recorded.recording if "/mfeOperationsStatus/" in one.path]
        assert recorded.times("GET", "/mfeOperationsStatus/") == len(asked) == 7  # Updating, at times, and Succeeded


def test_an_online_endpoint_is_made_and_changed(played: Any) -> None:
    with played("ml/test_online_endpoint_mir.yaml") as recorded:
        endpoint = recorded.brought_about(recorded.sent("/onlineEndpoints/test-onl-endpt-000005-1"), "online_endpoint")
        assert outputs_of("online_endpoint", endpoint)["scoring_uri"] == endpoint["properties"]["scoringUri"]
        assert recorded.times("PUT", "/onlineEndpoints/") == 1
        assert state_of(recorded.put(recorded.sent("/onlineEndpoints/test-onl-endpt-000005-1", 1))) == "succeeded"


def test_a_job_of_azure_ml_is_begun(played: Any) -> None:
    with played("ml/test_job_command_job_list.yaml") as recorded:
        job = recorded.sent("/jobs/jobnamenumber_0")
        recorded.arm.put(recorded.followed(job).url, job.sent)  # its Location is the job, which nobody has recorded
        assert recorded.times("PUT", "/jobs/jobnamenumber_0") == 1
        jobs = list(recorded.arm.every(f"{job.path.rpartition('/')[0]}?api-version=2026-05-01&listViewType=ActiveOnly"))
        assert "jobnamenumber_0" in {each["name"] for each in jobs}


def test_batch_ai_makes_a_cluster_and_sees_a_job_to_its_end(played: Any) -> None:
    pytest.importorskip("azure.mgmt.batchai", reason="the extra batchai is not installed")
    with played("batchai/test_batchai_auto_scale_scenario.yaml") as recorded:
        workspace, experiment = recorded.sent("/workspaces/workspace"), recorded.sent("/experiments/experiment")
        for one in (workspace, experiment):
            begun = recorded.arm.put(recorded.followed(one).url, one.sent or {})
            recorded.followed(one).ended(begun)
            assert state_of(begun.result()) == "succeeded"
        cluster = recorded.brought_about(recorded.sent("/clusters/cluster"), "batchai_cluster")
        assert (state_of(cluster), cluster["properties"]["allocationState"]) == ("succeeded", "steady")
        assert "adminUserPassword" not in cluster["properties"]["userAccountSettings"]
        job = recorded.sent("/jobs/job")
        begun = recorded.brought_about(job, "batchai_job")
        assert begun["properties"]["executionState"] == "queued"
        states = []
        while states[-1:] != ["succeeded"]:
            states.append(recorded.arm.get(recorded.followed(job).url)["properties"]["executionState"])
        assert list(dict.fromkeys(states)) == ["queued", "running", "succeeded"]
        assert recorded.times("GET", "/operationresults/") == 2
