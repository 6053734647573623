"""Resources come, change and go: the simulated Azure, seen through the real SDK clients."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.azure.simulator import TENANT, Simulator
from tests.azure.simulator.samples import CLUSTER, EAST, GROUP, MACHINE, NET, NETWORK, SUBNET, interface

pytest.importorskip("azure.mgmt.compute", reason="the extra azure is not installed")
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError


def code_of(error: pytest.ExceptionInfo[Any]) -> str:
    return str(error.value.error.code)


def test_a_group_is_made_updated_and_deleted(groups: Any) -> None:
    with pytest.raises(ResourceNotFoundError) as error:
        groups.resource_groups.get("g")
    assert code_of(error) == "ResourceGroupNotFound"
    assert not groups.resource_groups.check_existence("g")
    made = groups.resource_groups.create_or_update("g", EAST | {"tags": {"a": "b"}})
    assert (made.id, made.properties.provisioning_state, made.tags) == (GROUP, "Succeeded", {"a": "b"})
    assert groups.resource_groups.check_existence("G")
    assert groups.resource_groups.update("g", {"tags": {"c": "d"}}).tags == {"c": "d"}
    assert [one.name for one in groups.resource_groups.list()] == ["g"]
    groups.resource_groups.begin_delete("g").result()
    assert not groups.resource_groups.check_existence("g")


def test_ids_are_the_same_in_any_case(groups: Any, network: Any, group: str) -> None:
    network.virtual_networks.begin_create_or_update(group, "net", NET).result()
    assert network.virtual_networks.get("G", "NET").name == "net"
    found = groups.resources.get_by_id(f"{NETWORK}/virtualnetworks/Net".upper(), api_version="2026-03-01")
    assert found.id == f"{NETWORK}/virtualNetworks/net"


def test_what_is_not_there_is_404_before_and_after(network: Any, group: str) -> None:
    for _ in range(2):
        with pytest.raises(ResourceNotFoundError) as error:
            network.virtual_networks.get(group, "net")
        assert code_of(error) == "ResourceNotFound"
        network.virtual_networks.begin_delete(group, "net").result()  # deleting nothing is well: 204
        network.virtual_networks.begin_create_or_update(group, "net", NET).result()
        assert network.virtual_networks.get(group, "net").provisioning_state == "Succeeded"
        network.virtual_networks.begin_delete(group, "net").result()


def test_a_group_that_is_not_there_takes_nothing(network: Any) -> None:
    with pytest.raises(ResourceNotFoundError) as error:
        network.virtual_networks.begin_create_or_update("nowhere", "net", NET)
    assert code_of(error) == "ResourceGroupNotFound"


def test_a_long_operation_goes_on_until_its_time(azure: Simulator, network: Any, group: str) -> None:
    azure.cloud.times.seconds = 0.2
    poller = network.virtual_networks.begin_create_or_update(group, "net", NET)
    assert network.virtual_networks.get(group, "net").provisioning_state == "Updating"
    assert not poller.done()
    poller.result()
    assert network.virtual_networks.get(group, "net").provisioning_state == "Succeeded"
    polls = [one for one in azure.log.of("GET") if "/operations/" in one.path]
    assert [one.answer["status"] for one in polls] == ["InProgress"] * (len(polls) - 1) + ["Succeeded"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"{NETWORK}/publicIPAddresses/a", EAST),  # 201 + Azure-AsyncOperation
        (
            f"{GROUP}/providers/Microsoft.Storage/storageAccounts/things",
            EAST | {"sku": {"name": "Standard_LRS"}, "kind": "StorageV2"},
        ),  # 202 + Location
        (
            f"{GROUP}/providers/Microsoft.MachineLearningServices/workspaces/work",
            EAST,
        ),  # 202, an empty body, both headers
        (f"{GROUP}/providers/Microsoft.ContainerRegistry/registries/images", EAST),  # 200 at once
        (f"{GROUP}/providers/Microsoft.KeyVault/vaults/vault", EAST),  # provisioningState in the body
        (f"{GROUP}/providers/Microsoft.OperationalInsights/workspaces/logs", EAST),  # 201 and the same
        (f"{GROUP}/providers/Microsoft.Databricks/workspaces/bricks", EAST),  # polls that answer 202
        (f"{GROUP}/providers/Microsoft.Compute/disks/disk", EAST),  # 202, a body, both headers
    ],
)
def test_every_shape_of_operation_is_followed_by_the_sdk(
    azure: Simulator, groups: Any, group: str, path: str, body: Any
) -> None:
    azure.cloud.times.seconds = 0.05
    made = groups.resources.begin_create_or_update_by_id(path, body, api_version="2026-01-01").result()
    assert made.id.lower() == path.lower()
    assert (made.properties or {}).get("provisioningState") in {"Succeeded", None}
    assert groups.resources.get_by_id(path, api_version="2026-01-01").id.lower() == path.lower()
    groups.resources.begin_delete_by_id(path, api_version="2026-01-01").result()
    with pytest.raises(ResourceNotFoundError):
        groups.resources.get_by_id(path, api_version="2026-01-01")


def test_an_identity_by_id_is_made_but_cannot_be_waited_for(groups: Any, identities: Any, group: str) -> None:
    """Its 201 has a Location (as recorded) that is its own path, without api-version: a generic poller follows it into a 400."""
    with pytest.raises(HttpResponseError) as error:
        groups.resources.begin_create_or_update_by_id(
            f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/who", EAST, api_version="2024-11-30"
        ).result()
    assert code_of(error) == "MissingApiVersionParameter"
    assert identities.user_assigned_identities.get(group, "who").principal_id


def test_what_azure_fills_in(
    network: Any, registries: Any, identities: Any, machine: Any, cluster: Any, group: str
) -> None:
    address = network.public_ip_addresses.begin_create_or_update(group, "address", EAST).result()
    assert address.ip_address.startswith("20.")
    assert (
        registries.registries.begin_create(group, "Images", EAST | {"sku": {"name": "Basic"}}).result().login_server
        == "images.azurecr.io"
    )
    who = identities.user_assigned_identities.create_or_update(group, "who", EAST)
    assert (who.tenant_id, len({who.principal_id, who.client_id})) == (TENANT, 2)
    assert (machine.vm_id, machine.storage_profile.os_disk.managed_disk.id) != (None, None)
    kubelet = cluster.identity_profile["kubeletidentity"]
    assert kubelet.object_id != kubelet.client_id
    assert cluster.fqdn.endswith(".hcp.eastus.azmk8s.io")
    assert cluster.oidc_issuer_profile.issuer_url.startswith("https://eastus.oic.prod-aks.azure.com/")
    assert "/resourcegroups/" in cluster.id  # so AKS spells it, whatever was asked


def test_a_remade_identity_is_another_principal(identities: Any, group: str) -> None:
    first, second = (
        [
            identities.user_assigned_identities.create_or_update(group, "who", EAST).principal_id,
            identities.user_assigned_identities.delete(group, "who"),
        ][0]
        for _ in range(2)
    )
    assert first != second


def test_secrets_of_a_machine_are_taken_and_never_shown(compute: Any, machine: Any, group: str) -> None:
    shown = compute.virtual_machines.get(group, "vm")
    assert (shown.os_profile.custom_data, shown.user_data) == (None, None)
    assert compute.virtual_machines.get(group, "vm", expand="userData").user_data == "dXNlcg=="


def test_a_put_of_the_same_changes_nothing_and_keeps_what_azure_made(
    azure: Simulator, network: Any, group: str
) -> None:
    first = network.public_ip_addresses.begin_create_or_update(group, "address", EAST).result()
    again = network.public_ip_addresses.begin_create_or_update(group, "address", EAST).result()
    assert (again.ip_address, again.resource_guid) == (first.ip_address, first.resource_guid)
    assert [one.status for one in azure.log.of("PUT", type="microsoft.network/publicIPAddresses")] == [201, 200]


def test_nested_resources_and_their_parent_are_one(network: Any, group: str) -> None:
    network.virtual_networks.begin_create_or_update(group, "net", NET).result()
    network.subnets.begin_create_or_update(
        group, "net", "more", {"properties": {"addressPrefix": "10.0.1.0/24"}}
    ).result()
    assert [one.name for one in network.virtual_networks.get(group, "net").subnets] == ["hosts", "more"]
    network.virtual_networks.begin_create_or_update(group, "net", NET).result()  # a list without it deletes it
    assert [one.name for one in network.subnets.list(group, "net")] == ["hosts"]


def test_a_deleted_machine_leaves_its_disk_unless_told_otherwise(
    compute: Any, network: Any, machine: Any, group: str
) -> None:
    assert len(list(compute.disks.list())) == 1
    compute.virtual_machines.begin_delete(group, "vm").result()
    assert list(compute.disks.list()) == []
    left = json.loads(json.dumps(MACHINE))
    del left["properties"]["storageProfile"]["osDisk"]["deleteOption"]
    compute.virtual_machines.begin_create_or_update(group, "vm", left).result()
    compute.virtual_machines.begin_delete(group, "vm").result()
    assert [one.disk_state for one in compute.disks.list()] == ["Unattached"]


def test_a_machine_is_stopped_and_started(compute: Any, machine: Any, group: str) -> None:
    def power() -> str:
        return next(
            one.code
            for one in compute.virtual_machines.instance_view(group, "vm").statuses
            if one.code.startswith("PowerState")
        )

    assert power() == "PowerState/running"
    compute.virtual_machines.begin_deallocate(group, "vm").result()
    assert power() == "PowerState/deallocated"
    compute.virtual_machines.begin_start(group, "vm").result()
    assert power() == "PowerState/running"


def test_a_cluster_makes_its_nodes_group_and_takes_it_along(
    groups: Any, kubernetes_service: Any, cluster: Any, group: str
) -> None:
    assert cluster.node_resource_group == "MC_g_k_eastus"
    assert groups.resource_groups.get("MC_g_k_eastus").location == "eastus"
    kubernetes_service.managed_clusters.begin_delete(group, "k").result()
    assert [one.name for one in groups.resource_groups.list()] == ["g"]


def test_a_cluster_is_stopped_started_scaled_and_gives_its_kubeconfig(
    kubernetes_service: Any, cluster: Any, group: str
) -> None:
    clusters, pools = kubernetes_service.managed_clusters, kubernetes_service.agent_pools
    clusters.begin_stop(group, "k").result()
    assert clusters.get(group, "k").power_state.code == "Stopped"
    clusters.begin_start(group, "k").result()
    assert clusters.get(group, "k").power_state.code == "Running"
    pools.begin_create_or_update(
        group, "k", "gpu", {"properties": {"count": 0, "vmSize": "Standard_NC4as_T4_v3", "mode": "User"}}
    ).result()
    poller = pools.begin_create_or_update(
        group, "k", "gpu", {"properties": {"count": 1, "vmSize": "Standard_NC4as_T4_v3", "mode": "User"}}
    )
    assert pools.get(group, "k", "gpu").provisioning_state == "Scaling"
    poller.result()
    assert {one.name: one.count for one in clusters.get(group, "k").agent_pool_profiles} == {"system": 1, "gpu": 1}
    clusters.begin_create_or_update(group, "k", CLUSTER | {"tags": {"a": "b"}}).result()  # a pool left out stays
    assert [one.name for one in pools.list(group, "k")] == ["system", "gpu"]
    config = clusters.list_cluster_user_credentials(group, "k").kubeconfigs[0].value
    assert json.loads(bytes(config))["current-context"] == "k"


def test_a_group_takes_everything_in_it_along(groups: Any, machine: Any, cluster: Any, group: str) -> None:
    groups.resource_groups.begin_delete(group).result()
    assert list(groups.resources.list()) == []
    assert list(groups.resource_groups.list()) == []


def test_a_named_disk_has_its_name(compute: Any, network: Any, group: str) -> None:
    network.virtual_networks.begin_create_or_update(group, "net", NET).result()
    network.network_interfaces.begin_create_or_update(group, "nic", interface()).result()
    named = json.loads(json.dumps(MACHINE))
    named["properties"]["storageProfile"]["osDisk"]["name"] = "disk-vm"
    compute.virtual_machines.begin_create_or_update(group, "vm", named).result()
    assert compute.disks.get(group, "disk-vm").disk_state == "Attached"


def test_drift_is_made_behind_everybodys_back(azure: Simulator, network: Any, group: str) -> None:
    network.virtual_networks.begin_create_or_update(group, "net", NET).result()
    azure.cloud.change(
        f"{NETWORK}/virtualNetworks/net",
        {"tags": {"hand": "made"}, "properties": {"dhcpOptions": {"dnsServers": ["10.0.0.9"]}}},
    )
    changed = network.virtual_networks.get(group, "net")
    assert (changed.tags, changed.dhcp_options.dns_servers) == ({"hand": "made"}, ["10.0.0.9"])


def test_what_was_there_before_is_seeded(azure: Simulator, groups: Any, network: Any) -> None:
    azure.cloud.seed(
        "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/g", EAST | {"tags": {"owner": "somebody"}}
    )
    azure.cloud.seed(f"{NETWORK}/virtualNetworks/net", NET)
    assert groups.resource_groups.get("g").tags == {"owner": "somebody"}
    assert network.subnets.get("g", "net", "hosts").address_prefix == "10.0.0.0/24"
    assert azure.standing() == [GROUP, f"{NETWORK}/virtualNetworks/net", SUBNET]
    assert len(azure.log.writes()) == 0
