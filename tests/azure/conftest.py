"""A running simulator of Azure, and real SDK clients that talk to it."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.azure.simulator import SUBSCRIPTION, Simulator
from tests.azure.simulator.samples import CLUSTER, MACHINE, NET, interface

SHARED = Path(__file__).parents[3] / "shared" / "azure"


# begin_...() of the SDKs streams its first answer; where it is tried again, the answer before is never read and never closed.
LEFT_OPEN = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(LEFT_OPEN)


@pytest.fixture(scope="module", autouse=True)
def _closed() -> Iterator[None]:
    yield
    gc.collect()  # what LEFT_OPEN is about happens here, and not in the tests of another folder


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def shared() -> Path:
    """Recorded traffic and facts that stand beside the project, and are no part of it."""
    if not SHARED.is_dir():
        pytest.skip("../shared/azure is not there: nothing to compare with")
    return SHARED


class FakeCredential:
    """Gives a token that says nothing, without asking anybody."""

    token = "simulated"

    def get_token(self, *scopes: str, **_: Any) -> Any:
        from azure.core.credentials import AccessToken

        return AccessToken(self.token, int(time.time()) + 3600)

    def get_token_info(self, *scopes: str, **_: Any) -> Any:
        from azure.core.credentials import AccessTokenInfo

        return AccessTokenInfo(self.token, int(time.time()) + 3600)


def settings(url: str) -> dict[str, Any]:
    """What every SDK client needs to talk to http://127.0.0.1, and to be quick about it."""
    policies = pytest.importorskip("azure.core.pipeline.policies", reason="the extra azure is not installed")

    class PlainHttp(policies.SansIOHTTPPolicy):  # type: ignore[misc, name-defined]
        def on_request(self, request: Any) -> None:
            request.context.options.setdefault("enforce_https", False)

    return {
        "base_url": url,
        "per_call_policies": [PlainHttp()],
        "polling_interval": 0.01,
        "retry_backoff_factor": 0.01,
        "logging_enable": False,
    }


Clients = Callable[..., Any]


@pytest.fixture
def client(azure: Simulator) -> Iterator[Clients]:
    """client("azure.mgmt.compute", "ComputeManagementClient") -> a client of the simulator, closed after the test."""
    opened = []

    def make(module: str, name: str, *arguments: Any, url: str = "", **more: Any) -> Any:
        made = pytest.importorskip(module, reason="the extra azure is not installed")
        taken = arguments or (() if name == "SubscriptionClient" else (SUBSCRIPTION,))
        one = getattr(made, name)(FakeCredential(), *taken, **settings(url or azure.url) | more)
        opened.append(one)
        return one

    yield make
    for one in opened:
        one.close()


@pytest.fixture
def groups(client: Clients) -> Any:
    return client("azure.mgmt.resource.resources", "ResourceManagementClient")


@pytest.fixture
def compute(client: Clients) -> Any:
    return client("azure.mgmt.compute", "ComputeManagementClient")


@pytest.fixture
def network(client: Clients) -> Any:
    return client("azure.mgmt.network", "NetworkManagementClient")


@pytest.fixture
def kubernetes_service(client: Clients) -> Any:
    return client("azure.mgmt.containerservice", "ContainerServiceClient")


@pytest.fixture
def registries(client: Clients) -> Any:
    return client("azure.mgmt.containerregistry", "ContainerRegistryManagementClient")


@pytest.fixture
def identities(client: Clients) -> Any:
    return client("azure.mgmt.msi", "ManagedServiceIdentityClient")


@pytest.fixture
def authorization(client: Clients) -> Any:
    return client("azure.mgmt.authorization", "AuthorizationManagementClient")


@pytest.fixture
def logs(client: Clients) -> Any:
    return client("azure.mgmt.loganalytics", "LogAnalyticsManagementClient")


@pytest.fixture
def group(groups: Any) -> str:
    """The name of a resource group that is there."""
    groups.resource_groups.create_or_update("g", {"location": "eastus"})
    return "g"


@pytest.fixture
def machine(network: Any, compute: Any, group: str) -> Any:
    network.virtual_networks.begin_create_or_update(group, "net", NET).result()
    network.network_interfaces.begin_create_or_update(group, "nic", interface()).result()
    return compute.virtual_machines.begin_create_or_update(group, "vm", MACHINE).result()


@pytest.fixture
def cluster(kubernetes_service: Any, group: str) -> Any:
    return kubernetes_service.managed_clusters.begin_create_or_update(group, "k", CLUSTER).result()


@pytest.fixture
def driven(azure: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """driven("1-1", ...) -> a deployment of this path on the simulator, in a folder of its own."""
    pytest.importorskip("azure.mgmt.compute", reason="the extra azure is not installed")
    from customai.targets.azure_login import NOBODY
    from tests.azure import driven as module

    azure.cloud.times.seconds = 0.02
    azure.cloud.catalog.caller = NOBODY
    azure.cloud.view.blobs, azure.cloud.view.ml = f"{azure.url}/_blob", azure.url
    azure.cloud.view.scm = f"{azure.url.removeprefix('http://')}/_scm"
    monkeypatch.setenv("SCORING_KEY", module.KEY)

    def make(path: str, more: str = "", *, patience: float = 20.0, without: tuple[str, ...] = ()) -> Any:
        file = module.spec(tmp_path, path, more)
        return module.Driven(azure.url, file, tmp_path / "state" / path, patience, without)

    return make
