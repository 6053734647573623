"""What is read of the simulated Azure, and what its log holds."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.azure.simulator import SUBSCRIPTION, TENANT, Simulator
from tests.azure.simulator.samples import EAST, GROUP, NET

pytest.importorskip("azure.mgmt.compute", reason="the extra azure is not installed")
from azure.core.exceptions import ResourceExistsError


def code_of(error: pytest.ExceptionInfo[Any]) -> str:
    return str(error.value.error.code)


def test_what_a_subscription_offers(
    azure: Simulator, compute: Any, client: Any, registries: Any, authorization: Any, kubernetes_service: Any
) -> None:
    subscriptions = client("azure.mgmt.resource.subscriptions", "SubscriptionClient")
    assert [one.subscription_id for one in subscriptions.subscriptions.list()] == [SUBSCRIPTION]
    assert subscriptions.subscriptions.get(SUBSCRIPTION).state == "Enabled"
    assert "eastus" in [one.name for one in subscriptions.subscriptions.list_locations(SUBSCRIPTION)]
    assert [one.tenant_id for one in subscriptions.tenants.list()] == [TENANT]
    sizes = {one.name: one for one in compute.resource_skus.list(filter="location eq 'eastus'")}
    assert {one.name: one.value for one in sizes["Standard_NC4as_T4_v3"].capabilities}["GPUs"] == "1"
    assert sizes["Standard_NC40ads_H100_v5"].restrictions[0].reason_code == "NotAvailableForSubscription"
    assert [
        one.name
        for one in compute.virtual_machine_images.list(
            "eastus", "microsoft-dsvm", "ubuntu-hpc", "2204", top=1, orderby="name desc"
        )
    ] == ["22.04.2026010501"]
    assert (
        compute.virtual_machine_images.get(
            "eastus", "microsoft-dsvm", "ubuntu-hpc", "2204", "22.04.2026010501"
        ).hyper_v_generation
        == "V2"
    )
    azure.cloud.catalog.taken.add("images")
    asked = {"name": "images", "type": "Microsoft.ContainerRegistry/registries"}
    assert not registries.registries.check_name_availability(asked).name_available
    assert registries.registries.check_name_availability(asked | {"name": "others"}).name_available
    (role,) = authorization.role_definitions.list("/", filter="roleName eq 'AcrPull'")
    assert role.name == "7f951dda-4ed3-4680-a7ca-43fe172d538d"
    assert [one.actions for one in authorization.permissions.list_for_resource_group("g")] == [["*"]]
    assert kubernetes_service.managed_clusters.list_kubernetes_versions("eastus").values_property[0].version == "1.34"


def test_lists_come_in_pages(azure: Simulator, network: Any, group: str) -> None:
    azure.cloud.page_size = 2
    for number in range(5):
        network.public_ip_addresses.begin_create_or_update(group, f"a{number}", EAST).result()
    assert [one.name for one in network.public_ip_addresses.list(group)] == [f"a{number}" for number in range(5)]


def test_resources_are_found_by_tag(groups: Any, network: Any, group: str) -> None:
    network.public_ip_addresses.begin_create_or_update(group, "mine", EAST | {"tags": {"owner": "me"}}).result()
    network.public_ip_addresses.begin_create_or_update(group, "theirs", EAST).result()
    found = groups.resources.list_by_resource_group(group, filter="tagName eq 'owner' and tagValue eq 'me'")
    assert [one.name for one in found] == ["mine"]


def test_a_deleted_vault_blocks_its_name_until_it_is_purged(
    azure: Simulator, groups: Any, client: Any, group: str
) -> None:
    path, version = f"{GROUP}/providers/Microsoft.KeyVault/vaults/vault", "2026-05-15"
    groups.resources.begin_create_or_update_by_id(path, EAST, api_version=version).result()
    groups.resources.begin_delete_by_id(path, api_version=version).result()
    with pytest.raises(ResourceExistsError) as error:
        groups.resources.begin_create_or_update_by_id(path, EAST, api_version=version)
    assert code_of(error) == "ConflictError"
    assert list(azure.cloud.store.deleted) == [path.lower()]
    from azure.core.rest import HttpRequest

    deleted = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.KeyVault/locations/eastus/deletedVaults/vault"
    assert (
        groups.send_request(HttpRequest("GET", f"{azure.url}{deleted}?api-version={version}")).json()["properties"][
            "vaultId"
        ]
        == path
    )
    assert (
        groups.send_request(HttpRequest("POST", f"{azure.url}{deleted}/purge?api-version={version}")).status_code == 200
    )
    assert groups.send_request(HttpRequest("GET", f"{azure.url}{deleted}?api-version={version}")).status_code == 404
    groups.resources.begin_create_or_update_by_id(path, EAST, api_version=version).result()


def test_a_deleted_log_workspace_is_kept_unless_purged(azure: Simulator, logs: Any, group: str) -> None:
    for force, kept in ((False, 1), (True, 0)):
        first = logs.workspaces.begin_create_or_update(group, "logs", EAST).result()
        assert first.customer_id
        logs.workspaces.begin_delete(group, "logs", force=force).result()
        assert len(list(logs.deleted_workspaces.list())) == kept


def test_an_image_is_built_in_the_registry(azure: Simulator, groups: Any, registries: Any, group: str) -> None:
    from azure.core.rest import HttpRequest

    registries.registries.begin_create(group, "images", EAST | {"sku": {"name": "Basic"}}).result()
    at = f"{azure.url}{GROUP}/providers/Microsoft.ContainerRegistry/registries/images"

    def ask(method: str, path: str, **body: Any) -> Any:
        answer = groups.send_request(
            HttpRequest(method, f"{at}/{path}?api-version=2019-06-01-preview", **({"json": body} if body else {}))
        )
        assert answer.status_code == 200, answer.text()
        return answer.json()

    source = ask("POST", "listBuildSourceUploadUrl")
    groups.send_request(HttpRequest("PUT", source["uploadUrl"], content=b"tar"))
    assert list(azure.cloud.uploads.values()) == [b"tar"]
    run = ask(
        "POST", "scheduleRun", type="DockerBuildRequest", imageNames=["scorer:1"], sourceLocation=source["relativePath"]
    )
    assert run["properties"]["status"] == "Queued"
    azure.cloud.clock = azure.cloud.runs.clock = lambda: float("inf")
    ended = ask("GET", f"runs/{run['name']}")["properties"]
    assert (ended["status"], ended["outputImages"][0]["repository"]) == ("Succeeded", "scorer")
    link = ask("POST", f"runs/{run['name']}/listLogSasUrl")["logLink"]
    assert "succeeded" in groups.send_request(HttpRequest("GET", link)).text()


def test_many_clients_at_once(azure: Simulator, network: Any, group: str) -> None:
    def work(number: int) -> str:
        network.public_ip_addresses.begin_create_or_update(group, f"a{number}", EAST).result()
        network.network_security_groups.begin_create_or_update(group, f"s{number}", EAST).result()
        network.public_ip_addresses.begin_delete(group, f"a{number}").result()
        return network.network_security_groups.get(group, f"s{number}").provisioning_state

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(work, range(32))) == {"Succeeded"}
    assert list(network.public_ip_addresses.list(group)) == []
    assert len(list(network.network_security_groups.list(group))) == 32
    assert len({one.number for one in azure.log}) == len(azure.log)


def test_without_a_token_nothing_is_told(azure: Simulator) -> None:
    import urllib.error
    import urllib.request

    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(f"{azure.url}/subscriptions?api-version=2022-12-01")
    with error.value as answer:
        assert (answer.code, answer.headers["WWW-Authenticate"].split()[0]) == (401, "Bearer")
        assert json.loads(answer.read())["error"]["code"] == "AuthenticationFailed"


def test_the_log_holds_every_request_and_no_token(azure: Simulator, network: Any, group: str) -> None:
    azure.log.clear()
    network.virtual_networks.begin_create_or_update(group, "net", NET).result()
    (put,) = azure.log.of("PUT")
    assert (put.name, put.body["location"], put.status, put.type) == (
        "net",
        "eastus",
        201,
        "microsoft.network/virtualnetworks",
    )
    assert "x-ms-client-request-id" in put.headers
    assert not any("simulated" in str(one.headers).lower() for one in azure.log)


def test_a_kubeconfig_is_base64_of_a_config(
    azure: Simulator, kubernetes_service: Any, cluster: Any, group: str
) -> None:
    azure.cloud.catalog.kubernetes_api = "https://127.0.0.1:6443"
    kubernetes_service.managed_clusters.list_cluster_admin_credentials(group, "k")
    (entry,) = azure.log.of("POST")
    config = json.loads(base64.b64decode(entry.answer["kubeconfigs"][0]["value"]))
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:6443"
