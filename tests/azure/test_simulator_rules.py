"""What the simulated Azure refuses, and why, as the real SDK clients see it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.azure.simulator import CALLER, SUBSCRIPTION, Simulator
from tests.azure.simulator.samples import (
    ADDRESS,
    CLUSTER,
    EAST,
    GROUP,
    MACHINE,
    NET,
    NETWORK,
    NIC,
    POOL,
    SECURITY,
    SUBNET,
    interface,
)

pytest.importorskip("azure.mgmt.compute", reason="the extra azure is not installed")
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError


def code_of(error: pytest.ExceptionInfo[Any]) -> str:
    return str(error.value.error.code)


@pytest.mark.parametrize(
    ("kind", "name", "body", "code"),
    [
        ("network_interfaces", "nic", interface(), "InvalidResourceReference"),
        ("network_interfaces", "nic", interface(publicIPAddress={"id": ADDRESS}), "InvalidResourceReference"),
        (
            "nat_gateways",
            "nat",
            EAST | {"properties": {"publicIpAddresses": [{"id": ADDRESS}]}},
            "InvalidResourceReference",
        ),
    ],
)
def test_what_it_refers_to_must_be_there(network: Any, group: str, kind: str, name: str, body: Any, code: str) -> None:
    with pytest.raises(HttpResponseError) as error:
        getattr(network, kind).begin_create_or_update(group, name, body)
    assert code_of(error) == code


def test_a_machine_needs_its_interface_its_identity_its_image_and_a_known_size(
    compute: Any, network: Any, group: str
) -> None:
    network.virtual_networks.begin_create_or_update(group, "net", NET).result()

    def refused(**changed: Any) -> str:
        body = MACHINE | {"properties": MACHINE["properties"] | changed.pop("properties", {})} | changed
        with pytest.raises(HttpResponseError) as error:
            compute.virtual_machines.begin_create_or_update(group, "vm", body)
        return code_of(error)

    assert refused() == "InvalidResourceReference"
    network.network_interfaces.begin_create_or_update(group, "nic", interface()).result()
    nobody = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/nobody"
    assert (
        refused(identity={"type": "UserAssigned", "userAssignedIdentities": {nobody: {}}}) == "FailedIdentityOperation"
    )
    assert refused(properties={"hardwareProfile": {"vmSize": "Standard_Z1"}}) == "InvalidParameter"
    assert refused(properties={"hardwareProfile": {"vmSize": "Standard_NC40ads_H100_v5"}}) == "SkuNotAvailable"
    old = {"imageReference": {"publisher": "microsoft-dsvm", "offer": "ubuntu-hpc", "sku": "1804", "version": "latest"}}
    assert refused(properties={"storageProfile": old}) == "PlatformImageNotFound"
    assert refused(location="mars") == "LocationNotAvailableForResourceType"


def test_what_is_in_use_cannot_be_deleted(network: Any, compute: Any, groups: Any, group: str) -> None:
    network.network_security_groups.begin_create_or_update(group, "security", EAST).result()
    network.public_ip_addresses.begin_create_or_update(group, "address", EAST).result()
    network.virtual_networks.begin_create_or_update(group, "net", NET).result()
    body = interface(publicIPAddress={"id": ADDRESS})
    body["properties"]["networkSecurityGroup"] = {"id": SECURITY}
    network.network_interfaces.begin_create_or_update(group, "nic", body).result()
    compute.virtual_machines.begin_create_or_update(group, "vm", MACHINE).result()
    refused = {}
    for path in (f"{NETWORK}/virtualNetworks/net", SUBNET, SECURITY, ADDRESS, NIC):
        with pytest.raises(HttpResponseError) as error:
            groups.resources.begin_delete_by_id(path, api_version="2026-03-01")
        refused[path.rpartition("/")[2]] = code_of(error)
    assert refused == {
        "net": "InUseSubnetCannotBeDeleted",
        "hosts": "InUseSubnetCannotBeDeleted",
        "security": "InUseNetworkSecurityGroupCannotBeDeleted",
        "address": "PublicIPAddressCannotBeDeleted",
        "nic": "NicInUse",
    }
    machine = f"{GROUP}/providers/Microsoft.Compute/virtualMachines/vm"
    for path in (machine, NIC, SECURITY, ADDRESS, f"{NETWORK}/virtualNetworks/net"):  # in this order it goes
        groups.resources.begin_delete_by_id(path, api_version="2026-03-01").result()
    assert list(groups.resources.list_by_resource_group(group)) == []


def test_references_are_seen_from_the_other_end(network: Any, machine: Any, group: str) -> None:
    assert network.subnets.get(group, "net", "hosts").ip_configurations[0].id == f"{NIC}/ipConfigurations/one"
    assert network.network_interfaces.get(group, "nic").virtual_machine.id.endswith("/virtualMachines/vm")


def test_a_disk_in_use_is_patched_but_not_deleted(compute: Any, machine: Any, group: str) -> None:
    (disk,) = compute.disks.list()
    with pytest.raises(HttpResponseError) as error:
        compute.disks.begin_delete(group, disk.name)
    assert code_of(error) == "OperationNotAllowed"
    compute.disks.begin_update(group, disk.name, {"properties": {"networkAccessPolicy": "DenyAll"}}).result()
    assert compute.disks.get(group, disk.name).network_access_policy == "DenyAll"


def test_nothing_is_put_into_a_group_that_is_being_deleted(
    azure: Simulator, groups: Any, network: Any, group: str
) -> None:
    azure.cloud.times.seconds = 0.3
    poller = groups.resource_groups.begin_delete(group)
    assert groups.resource_groups.get(group).properties.provisioning_state == "Deleting"
    with pytest.raises(ResourceExistsError) as error:
        network.public_ip_addresses.begin_create_or_update(group, "address", EAST)
    assert code_of(error) == "ResourceGroupBeingDeleted"
    with pytest.raises(ResourceExistsError) as error:
        groups.resource_groups.create_or_update(group, EAST)
    poller.result()


def test_one_operation_at_a_time(azure: Simulator, network: Any, kubernetes_service: Any, group: str) -> None:
    azure.cloud.times.seconds = 0.3
    network.virtual_networks.begin_create_or_update(group, "net", NET)
    for attempt in (
        lambda: network.virtual_networks.begin_create_or_update(group, "net", NET | {"tags": {"a": "b"}}),
        lambda: network.virtual_networks.begin_delete(group, "net"),
        lambda: network.subnets.begin_create_or_update(
            group, "net", "more", {"properties": {"addressPrefix": "10.0.1.0/24"}}
        ),
    ):
        with pytest.raises(ResourceExistsError) as error:
            attempt()
        assert code_of(error) == "AnotherOperationInProgress"
    kubernetes_service.managed_clusters.begin_create_or_update(group, "k", CLUSTER)
    with pytest.raises(ResourceExistsError) as error:
        kubernetes_service.managed_clusters.begin_delete(group, "k")
    assert error.value.model is None or code_of(error) == "OperationNotAllowed"


def test_what_is_not_ready_yet_is_a_retryable_429(azure: Simulator, network: Any, group: str) -> None:
    azure.cloud.times.of["Microsoft.Network/publicIPAddresses"] = 0.3
    network.virtual_networks.begin_create_or_update(group, "net", NET).result()
    network.public_ip_addresses.begin_create_or_update(group, "address", EAST)
    with pytest.raises(HttpResponseError) as error:
        network.network_interfaces.begin_create_or_update(
            group, "nic", interface(publicIPAddress={"id": ADDRESS}), retry_total=0
        )
    assert (error.value.status_code, code_of(error)) == (429, "RetryableError")
    assert error.value.error.details[0].code == "ReferencedResourceNotProvisioned"


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        (f"{NETWORK}/virtualNetworks/net_", EAST, None),
        (f"{NETWORK}/virtualNetworks/-net", EAST, "InvalidResourceName"),
        (f"{GROUP}/providers/Microsoft.ContainerRegistry/registries/my-images", EAST, "InvalidResourceName"),
        (f"{GROUP}/providers/Microsoft.ContainerRegistry/registries/taken", EAST, "RegistryNameAlreadyInUse"),
        (f"{GROUP}/providers/Microsoft.Storage/storageAccounts/Upper", EAST, "InvalidResourceName"),
        (f"{NETWORK}/virtualNetworks/login", EAST, "ReservedResourceName"),
        (f"{NETWORK}/virtualNetworks/net", {}, "LocationRequired"),
        (f"{NETWORK}/unheardOf/net", EAST, "InvalidResourceType"),
    ],
)
def test_names_and_places(azure: Simulator, groups: Any, group: str, path: str, body: Any, code: str | None) -> None:
    azure.cloud.catalog.taken.add("taken")
    if code is None:
        groups.resources.begin_create_or_update_by_id(path, body, api_version="2026-01-01").result()
        return
    with pytest.raises(HttpResponseError) as error:
        groups.resources.begin_create_or_update_by_id(path, body, api_version="2026-01-01")
    assert code_of(error) == code


def test_what_cannot_change(compute: Any, network: Any, machine: Any, groups: Any, group: str) -> None:
    changed = json.loads(json.dumps(MACHINE))
    changed["properties"]["osProfile"]["adminUsername"] = "eve"
    with pytest.raises(ResourceExistsError) as error:
        compute.virtual_machines.begin_create_or_update(group, "vm", changed)
    assert code_of(error) == "PropertyChangeNotAllowed"
    with pytest.raises(ResourceExistsError) as error:
        network.virtual_networks.begin_create_or_update(group, "net", NET | {"location": "westus2"})
    assert code_of(error) == "InvalidResourceLocation"
    with pytest.raises(ResourceExistsError) as error:
        groups.resource_groups.create_or_update(group, {"location": "westus2"})
    assert code_of(error) == "InvalidResourceGroupLocation"


def test_roles_are_assigned_to_principals_that_are_known(
    azure: Simulator, authorization: Any, identities: Any, group: str
) -> None:
    azure.cloud.principal_tries = 2
    who = identities.user_assigned_identities.create_or_update(group, "who", EAST)
    role = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/7f951dda-4ed3-4680-a7ca-43fe172d538d"
    body = {"properties": {"principalId": who.principal_id, "roleDefinitionId": role}}
    name = "ed3c9f84-ae20-5aea-8602-58ed2eeffef1"
    for _ in range(2):
        with pytest.raises(HttpResponseError) as error:
            authorization.role_assignments.create(GROUP, name, body)
        assert code_of(error) == "PrincipalNotFound"
    made = authorization.role_assignments.create(GROUP, name, body)
    assert (made.principal_id, made.scope) == (who.principal_id, GROUP)
    with pytest.raises(ResourceExistsError) as error:
        authorization.role_assignments.create(GROUP, "ed3c9f84-ae20-5aea-8602-58ed2eeffef2", body)
    assert code_of(error) == "RoleAssignmentExists"
    assert [
        one.name
        for one in authorization.role_assignments.list_for_scope(GROUP, filter=f"principalId eq '{who.principal_id}'")
    ] == [name]
    assert authorization.role_assignments.delete(GROUP, name).name == name
    assert authorization.role_assignments.delete(GROUP, name) is None
    stranger = {"properties": {"principalId": "00000000-0000-0000-0000-0000000000ff", "roleDefinitionId": role}}
    with pytest.raises(HttpResponseError) as error:
        authorization.role_assignments.create(GROUP, name, stranger)
    assert code_of(error) == "PrincipalNotFound"
    authorization.role_assignments.create(
        GROUP, name, {"properties": {"principalId": CALLER, "roleDefinitionId": role}}
    )


def test_providers_are_registered(azure: Simulator, groups: Any, network: Any, group: str) -> None:
    azure.cloud.catalog.registered.discard("microsoft.network")
    assert groups.providers.get("Microsoft.Network").registration_state == "NotRegistered"
    with pytest.raises(ResourceExistsError) as error:
        network.public_ip_addresses.begin_create_or_update(group, "address", EAST)
    assert code_of(error) == "MissingSubscriptionRegistration"
    assert groups.providers.register("Microsoft.Network").registration_state == "Registering"
    azure.cloud.settle()
    while groups.providers.get("Microsoft.Network").registration_state == "Registering":
        pass
    assert groups.providers.get("Microsoft.Network").registration_state == "Registered"
    network.public_ip_addresses.begin_create_or_update(group, "address", EAST).result()


def test_quota_is_counted(azure: Simulator, compute: Any, kubernetes_service: Any, machine: Any, group: str) -> None:
    azure.cloud.catalog.quota["standardDSv5Family"] = 4
    used = {one.name.value: (one.current_value, one.limit) for one in compute.usage.list("eastus")}
    assert (used["standardDSv5Family"], used["cores"][0]) == ((2, 4), 2)
    with pytest.raises(ResourceExistsError) as error:
        compute.virtual_machines.begin_create_or_update(
            group,
            "other",
            MACHINE | {"properties": MACHINE["properties"] | {"hardwareProfile": {"vmSize": "Standard_D4s_v5"}}},
        )
    assert code_of(error) == "OperationNotAllowed"
    assert "Current Limit: 4, Current Usage: 2, Additional Required: 4" in error.value.error.message
    pools = [POOL | {"count": 2}]
    with pytest.raises(HttpResponseError, match="exceeding approved standardDSv5Family Cores quota"):
        kubernetes_service.managed_clusters.begin_create_or_update(
            group, "k", CLUSTER | {"properties": CLUSTER["properties"] | {"agentPoolProfiles": pools}}
        )


def test_a_role_may_stand_at_a_scope_that_is_no_resource(authorization: Any, cluster: Any, group: str) -> None:
    """A namespace of a cluster, for one; but its cluster must be there."""
    role = "/providers/Microsoft.Authorization/roleDefinitions/a7ffa36f-339b-4b5c-8bdf-e2c188b2c0eb"
    body = {"properties": {"principalId": CALLER, "roleDefinitionId": role}}
    name = "ed3c9f84-ae20-5aea-8602-58ed2eeffef1"
    clusters = f"{GROUP}/providers/Microsoft.ContainerService/managedClusters"
    assert authorization.role_assignments.create(f"{clusters}/k/namespaces/scoring", name, body).name == name
    with pytest.raises(ResourceNotFoundError):
        authorization.role_assignments.create(f"{clusters}/other/namespaces/scoring", name, body)


def test_a_kubelet_is_a_principal_of_the_nodes_group(authorization: Any, identities: Any, cluster: Any) -> None:
    kubelet = cluster.identity_profile["kubeletidentity"]
    found = identities.user_assigned_identities.get("MC_g_k_eastus", "k-agentpool")
    assert (found.principal_id, found.client_id) == (kubelet.object_id, kubelet.client_id)
    role = "/providers/Microsoft.Authorization/roleDefinitions/7f951dda-4ed3-4680-a7ca-43fe172d538d"
    body = {"properties": {"principalId": kubelet.object_id, "roleDefinitionId": role}}
    assert authorization.role_assignments.create(GROUP, "ed3c9f84-ae20-5aea-8602-58ed2eeffef1", body).scope == GROUP


def test_what_is_being_deleted_is_not_put_again(azure: Simulator, compute: Any, machine: Any, group: str) -> None:
    azure.cloud.times.seconds = 0.3
    poller = compute.virtual_machines.begin_delete(group, "vm")
    with pytest.raises(ResourceExistsError):
        compute.virtual_machines.begin_create_or_update(group, "vm", MACHINE)
    compute.virtual_machines.begin_delete(group, "vm")  # deleting it again is the same deletion
    poller.result()
    assert f"{GROUP}/providers/Microsoft.Compute/virtualMachines/vm" not in azure.standing()


def test_a_list_that_would_delete_what_is_in_use_changes_nothing(network: Any, machine: Any, group: str) -> None:
    before = network.virtual_networks.get(group, "net").as_dict()
    with pytest.raises(HttpResponseError) as error:
        network.virtual_networks.begin_create_or_update(
            group, "net", {"location": "eastus", "properties": {"subnets": []}}
        )
    assert code_of(error) == "InUseSubnetCannotBeDeleted"
    assert network.virtual_networks.get(group, "net").as_dict() == before


def test_an_etag_that_no_longer_holds_is_refused(azure: Simulator, network: Any, group: str) -> None:
    from azure.core.rest import HttpRequest

    network.virtual_networks.begin_create_or_update(group, "net", NET).result()
    url = f"{azure.url}{NETWORK}/virtualNetworks/net?api-version=2026-03-01"
    seen = network.send_request(HttpRequest("GET", url)).headers["ETag"]

    def put() -> int:
        return int(
            network.send_request(
                HttpRequest("PUT", url, json=NET | {"tags": {"a": "b"}}, headers={"If-Match": seen})
            ).status_code
        )

    assert [put(), put()] == [200, 412]
