"""Requests to Azure Resource Manager through the SDK's own typed clients, one for each kind of resource.

A body is the wire JSON as it stands in the plan, and answers come back as wire JSON, so that nothing the SDK does not
know of is lost. What has no typed client here, or one that drops properties it does not know (msrest: identities, role
assignments, workspaces of Azure ML), goes by its resource id.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any
from urllib.parse import parse_qs, urlsplit

from customai import __version__
from customai.model import Json

ENDPOINT = "https://management.azure.com"
_COMPUTE = ("azure.mgmt.compute", "ComputeManagementClient")
_NETWORK = ("azure.mgmt.network", "NetworkManagementClient")
_CONTAINERS = ("azure.mgmt.containerservice", "ContainerServiceClient")
_REGISTRY = ("azure.mgmt.containerregistry", "ContainerRegistryManagementClient")
_RESOURCES = ("azure.mgmt.resource.resources", "ResourceManagementClient")

# type -> (module, client, operations group)
TYPED = {
    "microsoft.resources/resourcegroups": (*_RESOURCES, "resource_groups"),
    "microsoft.compute/virtualmachines": (*_COMPUTE, "virtual_machines"),
    "microsoft.compute/disks": (*_COMPUTE, "disks"),
    "microsoft.network/natgateways": (*_NETWORK, "nat_gateways"),
    "microsoft.network/networkinterfaces": (*_NETWORK, "network_interfaces"),
    "microsoft.network/networksecuritygroups": (*_NETWORK, "network_security_groups"),
    "microsoft.network/publicipaddresses": (*_NETWORK, "public_ip_addresses"),
    "microsoft.network/virtualnetworks": (*_NETWORK, "virtual_networks"),
    "microsoft.containerservice/managedclusters": (*_CONTAINERS, "managed_clusters"),
    "microsoft.containerservice/managedclusters/agentpools": (*_CONTAINERS, "agent_pools"),
    "microsoft.containerservice/managedclusters/maintenanceconfigurations": (
        *_CONTAINERS,
        "maintenance_configurations",
    ),
    "microsoft.containerregistry/registries": (*_REGISTRY, "registries"),
}


@dataclass(frozen=True)
class Address:
    """Where a resource is: its id, type and names, and the version of the API that is spoken to it."""

    id: str
    type: str
    group: str
    names: tuple[str, ...]
    api_version: str

    @classmethod
    def of(cls, url: str) -> Address:
        parts = urlsplit(url)
        version = parse_qs(parts.query).get("api-version", [""])[0]
        before, marker, after = parts.path.rpartition("/providers/")
        found = re.search(r"/resourceGroups/([^/]+)", parts.path, re.IGNORECASE)
        group = found[1] if found else ""
        if not marker:
            return cls(parts.path, "Microsoft.Resources/resourceGroups", group, (group,), version)
        words = after.split("/")
        extends = "/providers/" in before  # a role assignment on a registry, say
        names = (before, *words[2::2]) if extends else tuple(words[2::2])
        return cls(parts.path, "/".join([words[0], *words[1::2]]), group, names, version)


class Arm:
    """The clients of one subscription, made when they are needed.

    Args:
        credential: of azure-identity.
        subscription: its id.
        endpoint: of Azure Resource Manager in the cloud that is meant.
        polling_interval: seconds between two looks at a long operation that does not say how long to wait.
    """

    def __init__(
        self, credential: Any, subscription: str, *, endpoint: str = ENDPOINT, polling_interval: float = 5.0
    ) -> None:
        self.subscription = subscription
        self._credential = credential
        self._endpoint = endpoint
        self._polling_interval = polling_interval
        self._clients: dict[tuple[str, str], Any] = {}

    def get(self, url: str) -> Json:
        """The resource as it is, or None where there is none."""
        from azure.core.exceptions import ResourceNotFoundError

        address = Address.of(url)
        try:
            if typed := self._typed(address):
                return typed.get(*self._place(address), cls=_wire)
            return self.resources.get_by_id(address.id, api_version=address.api_version, cls=_wire)
        except ResourceNotFoundError:
            return None

    def put(self, url: str, body: Json) -> Operation:
        """Begins to make or change the resource."""
        address = Address.of(url)
        if typed := self._typed(address):
            create = _first(typed, "begin_create_or_update", "begin_create", "create_or_update", "create")
            return Operation(create(*self._place(address), body, cls=_wire))
        begin = self.resources.begin_create_or_update_by_id
        return Operation(begin(address.id, body, api_version=address.api_version, cls=_wire))

    def delete(self, url: str) -> Operation:
        """Begins to delete the resource. Missing is success."""
        from azure.core.exceptions import ResourceNotFoundError

        address = Address.of(url)
        try:
            if typed := self._typed(address):
                return Operation(_first(typed, "begin_delete", "delete")(*self._place(address)))
            return Operation(self.resources.begin_delete_by_id(address.id, api_version=address.api_version))
        except ResourceNotFoundError:
            return Operation(None)

    @cached_property
    def resources(self) -> Any:
        return self.client(*_RESOURCES).resources

    def client(self, module: str, name: str) -> Any:
        """A management client of the SDK for this subscription."""
        key = (module, name)
        if key not in self._clients:
            made = getattr(import_module(module), name)
            self._clients[key] = made(self._credential, self.subscription, **self._settings())
        return self._clients[key]

    def _typed(self, address: Address) -> Any:
        place = TYPED.get(address.type.lower())
        return getattr(self.client(*place[:2]), place[2]) if place else None

    def _place(self, address: Address) -> tuple[str, ...]:
        return address.names if address.type.endswith("/resourceGroups") else (address.group, *address.names)

    def _settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = {
            "base_url": self._endpoint,
            "credential_scopes": [f"{ENDPOINT if _is_loopback(self._endpoint) else self._endpoint}/.default"],
            "polling_interval": self._polling_interval,
            "user_agent": f"customai/{__version__}",
        }
        if _is_loopback(self._endpoint):  # the SDK sends a token over plain HTTP to this machine alone
            settings["per_call_policies"] = [_plain_http()]
        return settings


class Operation:
    """Something that goes on in Azure, or has ended at once."""

    def __init__(self, begun: Any) -> None:
        self._poller = begun if hasattr(begun, "done") else None
        self._result = None if self._poller is not None else begun

    def ended(self, wait: float) -> bool:
        """Whether it has ended, after waiting for at most so many seconds."""
        if self._poller is None:
            return True
        self._poller.wait(wait)
        return bool(self._poller.done())

    def result(self) -> Json:
        return self._result if self._poller is None else self._poller.result()


def _first(group: Any, *names: str) -> Callable[..., Any]:
    found: Callable[..., Any] = next(getattr(group, name) for name in names if hasattr(group, name))
    return found


def _wire(response: Any, _model: Any, _headers: Any) -> Json:
    answer = response.http_response
    return answer.json() if answer.text() else None


def _is_loopback(endpoint: str) -> bool:
    return endpoint.startswith("http://127.0.0.1:")


def _plain_http() -> Any:
    from azure.core.pipeline.policies import SansIOHTTPPolicy

    class PlainHTTP(SansIOHTTPPolicy[Any, Any]):
        def on_request(self, request: Any) -> None:
            request.context.options.setdefault("enforce_https", False)

    return PlainHTTP()
