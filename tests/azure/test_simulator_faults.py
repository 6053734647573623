"""What goes wrong on demand, as the real SDK clients meet it; and a simulator in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.azure.simulator import SUBSCRIPTION, ArmError, Entry, Remote, Simulator, errors, faults

pytest.importorskip("azure.mgmt.network", reason="the extra azure is not installed")
from azure.core import exceptions
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError

EAST = {"location": "eastus"}
REPOSITORY = Path(__file__).parents[2]
ONCE = {"retry_total": 0}


def put(network: Any, name: str = "address", **options: Any) -> Any:
    return network.public_ip_addresses.begin_create_or_update("g", name, EAST, **options).result()


def stands(network: Any, name: str = "address") -> bool:
    try:
        network.public_ip_addresses.get("g", name)
    except ResourceNotFoundError:
        return False
    return True


@pytest.mark.parametrize(
    "fault",
    [faults.throttled(), faults.server_error(), faults.unavailable(), faults.throttled(None, times=2)],
    ids=lambda one: one.does,
)
def test_what_passes_is_tried_again_by_the_sdk(azure: Simulator, network: Any, group: str, fault: faults.Fault) -> None:
    azure.fault(fault)
    assert put(network).provisioning_state == "Succeeded"
    statuses = [one.status for one in azure.log.of("PUT", type="microsoft.network/publicipaddresses")]
    assert statuses == [fault.answer.status] * fault.struck + [201]


def test_retry_after_is_honoured(azure: Simulator, network: Any, group: str) -> None:
    azure.fault(faults.throttled(0.3))
    put(network)
    first, second = azure.log.of("PUT", type="microsoft.network/publicipaddresses")
    assert second.began - first.began >= 0.3


@pytest.mark.parametrize(
    ("fault", "status", "raised"),
    [(faults.server_error(times=9), 500, "InternalServerError"), (faults.unavailable(times=9), 503, None)],
)
def test_what_stays_is_raised(
    azure: Simulator, network: Any, group: str, fault: faults.Fault, status: int, raised: str | None
) -> None:
    azure.fault(fault)
    with pytest.raises(HttpResponseError) as error:
        put(network, retry_total=1)
    assert (error.value.status_code, getattr(error.value.error, "code", None)) == (status, raised)
    assert not stands(network)


@pytest.mark.parametrize(("after", "made"), [(False, False), (True, True)])
def test_the_connection_breaks_before_or_after_the_deed(
    azure: Simulator, network: Any, group: str, after: bool, made: bool
) -> None:
    azure.fault(faults.reset(after=after, type="microsoft.network/publicipaddresses"))
    with pytest.raises((exceptions.ServiceResponseError, exceptions.ServiceRequestError)):
        put(network, **ONCE)
    assert stands(network) is made
    assert azure.log.of("PUT")[-1].status is None


def test_an_answer_is_lost_and_the_sdk_puts_again(azure: Simulator, network: Any, group: str) -> None:
    azure.cloud.times.seconds = 0
    azure.fault(faults.reset(after=True, type="microsoft.network/publicipaddresses"))
    assert put(network).ip_address
    assert [one.status for one in azure.log.of("PUT", type="microsoft.network/publicipaddresses")] == [None, 200]


def test_an_operation_fails_late(azure: Simulator, network: Any, group: str) -> None:
    azure.fault(
        faults.fails_late(
            ArmError(409, "AllocationFailed", "No room.", details=[{"code": "Inner", "message": "Really none."}])
        )
    )
    poller = network.public_ip_addresses.begin_create_or_update("g", "address", EAST)
    with pytest.raises(HttpResponseError) as error:
        poller.result()
    assert (error.value.error.code, error.value.error.details[0].code) == ("AllocationFailed", "Inner")
    assert network.public_ip_addresses.get("g", "address").provisioning_state == "Failed"
    assert put(network).provisioning_state == "Succeeded"  # and putting it again repairs it


def test_what_is_polled_in_its_body_or_by_location_fails_late_too(azure: Simulator, groups: Any, group: str) -> None:
    base = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/g/providers"
    for path in (
        f"{base}/Microsoft.OperationalInsights/workspaces/logs",
        f"{base}/Microsoft.Storage/storageAccounts/things",
    ):
        azure.fault(faults.fails_late(nth=1))
        with pytest.raises(HttpResponseError):
            groups.resources.begin_create_or_update_by_id(path, EAST, api_version="2025-01-01").result()
        assert groups.resources.get_by_id(path, api_version="2025-01-01").properties["provisioningState"] == "Failed"
        azure.calm()


def test_a_deletion_fails_late_and_the_thing_is_still_there(
    azure: Simulator, groups: Any, network: Any, group: str
) -> None:
    put(network)
    azure.fault(faults.fails_late(errors.server_error(), method="DELETE"))
    with pytest.raises(HttpResponseError):
        network.public_ip_addresses.begin_delete("g", "address").result()
    assert stands(network)
    azure.calm()
    azure.fault(faults.fails_late(errors.server_error(), method="DELETE"))
    with pytest.raises(HttpResponseError):
        groups.resource_groups.begin_delete("g").result()
    assert groups.resource_groups.get("g").properties.provisioning_state == "Succeeded"


def test_an_operation_never_ends(azure: Simulator, network: Any, group: str) -> None:
    azure.fault(faults.never_ends())
    poller = network.public_ip_addresses.begin_create_or_update("g", "address", EAST)
    poller.wait(0.3)
    assert not poller.done()
    assert network.public_ip_addresses.get("g", "address").provisioning_state == "Updating"
    for operation in azure.cloud.store.operations.values():  # let its thread go
        operation.ends = 0
    poller.wait(5)
    assert poller.done()


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (faults.sku_not_available(), 409, "SkuNotAvailable"),
        (faults.quota_exceeded(type=".*"), 409, "OperationNotAllowed"),
        (faults.aks_quota_exceeded(type=".*"), 400, "QuotaExceeded"),
        (faults.disallowed_by_policy(), 403, "RequestDisallowedByPolicy"),
        (faults.authorization_failed(), 403, "AuthorizationFailed"),
        (faults.unregistered("Microsoft.Network"), 409, "MissingSubscriptionRegistration"),
        (faults.answers(errors.wrong_tenant("a", "b")), 401, "InvalidAuthenticationTokenTenant"),
        (faults.token_expired(), 401, "ExpiredAuthenticationToken"),
        (faults.principal_not_found(type=".*"), 400, "PrincipalNotFound"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_refusals(azure: Simulator, network: Any, group: str, fault: faults.Fault, status: int, code: str) -> None:
    azure.fault(fault)
    with pytest.raises(HttpResponseError) as error:
        put(network)
    assert error.value.status_code == status
    assert code in str(error.value)
    assert (status == 401) == isinstance(error.value, ClientAuthenticationError)
    assert not stands(network)


def test_faults_strike_the_nth_request_of_a_kind(azure: Simulator, network: Any, group: str) -> None:
    fault = azure.fault(
        faults.answers(errors.server_error(), method="PUT", type="microsoft.network/.*", url=".*/a[12]", nth=2)
    )
    put(network, "a0")
    put(network, "a1")
    with pytest.raises(HttpResponseError):
        put(network, "a2", **ONCE)
    put(network, "a2")
    assert (fault.seen, fault.struck) == (3, 1)


def test_polls_can_go_wrong_as_well(azure: Simulator, network: Any, group: str) -> None:
    fault = azure.fault(faults.server_error(method="GET", url=".*/operations/.*", times=2))
    assert put(network).provisioning_state == "Succeeded"
    assert fault.struck == 2


def test_hooks_are_called_around_each_request(azure: Simulator, network: Any, group: str) -> None:
    seen: list[tuple[str, str, bool]] = []

    def look(when: str) -> Any:
        def hook(entry: Entry) -> None:
            if entry.method == "PUT":
                seen.append((when, entry.name, entry.path.lower() in azure.cloud.store.resources))

        return hook

    azure.before.append(look("before"))
    azure.after.append(look("after"))
    put(network)
    assert seen == [("before", "address", False), ("after", "address", True)]


def test_a_request_is_held_until_released_and_the_others_are_not(azure: Simulator, network: Any, group: str) -> None:
    fault = azure.fault(faults.wait(url=".*/slow"))
    thread = threading.Thread(target=put, args=(network, "slow"))
    thread.start()
    put(network, "quick")
    assert not stands(network, "slow")
    fault.release.set()
    thread.join(10)
    assert stands(network, "slow")


CLIENT = """
import sys
sys.path.insert(0, {repository!r})
from azure.mgmt.network import NetworkManagementClient
from tests.azure.conftest import FakeCredential, settings
client = NetworkManagementClient(FakeCredential(), {subscription!r}, **settings({url!r}))
sys.stdin.readline()
client.public_ip_addresses.begin_create_or_update("g", "address", {{"location": "eastus"}}).result()
print("done")
"""


@pytest.mark.parametrize(("after", "made"), [(False, False), (True, True)])
def test_a_client_is_killed_exactly_there(azure: Simulator, network: Any, group: str, after: bool, made: bool) -> None:
    fault = azure.fault(faults.kill(after=after, type="microsoft.network/publicipaddresses"))
    code = CLIENT.format(repository=str(REPOSITORY), subscription=SUBSCRIPTION, url=azure.url)
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        fault.pid = client.pid
        out, _ = client.communicate(b"\n", timeout=60)
    assert (client.returncode, out) == (-9, b"")
    assert stands(network) is made


def test_a_fault_of_the_simulator_itself_is_not_overlooked(client: Any) -> None:
    def wrong(entry: Entry) -> None:
        raise LookupError(entry.name)

    azure = Simulator()
    azure.__enter__()
    azure.before.append(wrong)
    groups = client("azure.mgmt.resource.resources", "ResourceManagementClient", url=azure.url)
    with pytest.raises(HttpResponseError, match="SimulatorBug"):
        groups.resource_groups.create_or_update("g", EAST)
    with pytest.raises(LookupError, match="g"):
        azure.__exit__(None, None, None)


@pytest.fixture(scope="module")
def remote() -> Iterator[Remote]:
    command = [sys.executable, "-m", "tests.azure.simulator", "--attached"]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Remote(process.stdout.readline().strip())
        process.communicate(timeout=10)
    assert process.returncode == 0


def test_a_simulator_in_its_own_process_is_set_and_read(remote: Remote, client: Any) -> None:
    groups = client("azure.mgmt.resource.resources", "ResourceManagementClient", url=remote.url)
    network = client("azure.mgmt.network", "NetworkManagementClient", url=remote.url)
    groups.resource_groups.create_or_update("g", EAST)
    remote.fault("throttled", retry_after=0.01, method="PUT")
    remote.fault(
        "fails_late",
        error={"status": 409, "code": "AllocationFailed", "message": "No room."},
        type=".*publicip.*",
        nth=2,
    )
    with pytest.raises(HttpResponseError, match="AllocationFailed"):
        put(network)
    remote.calm()
    assert [one["status"] for one in remote.log() if one["method"] == "PUT"] == [201, 429, 201]
    assert {
        key.rpartition("/")[2]: body["properties"]["provisioningState"] for key, body in remote.resources().items()
    } == {"g": "Succeeded", "address": "Failed"}
    remote.clear()
    remote.catalog(registered=["microsoft.resources"])
    with pytest.raises(HttpResponseError, match="MissingSubscriptionRegistration"):
        put(network)
    remote.times(seconds=0.0)
    remote.catalog(registered=["microsoft.resources", "microsoft.network"])
    began = time.monotonic()
    assert put(network).provisioning_state == "Succeeded"
    assert time.monotonic() - began < 30
    assert len(remote.log()) >= 2


def test_realistic_durations_are_scaled(azure: Simulator, groups: Any, network: Any, group: str) -> None:
    azure.cloud.times.scale = 0.05  # an address: 3 s, so 0.15 s
    began = time.monotonic()
    put(network)
    assert 0.15 <= time.monotonic() - began < 3  # and not the 3 s
    azure.cloud.times.of["Microsoft.Network/publicIPAddresses delete"] = 0.4
    began = time.monotonic()
    network.public_ip_addresses.begin_delete("g", "address").result()
    assert time.monotonic() - began >= 0.4
