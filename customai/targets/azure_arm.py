"""Requests to Azure Resource Manager through the SDK's own typed clients, one for each kind of resource.

A body is the wire JSON as it stands in the plan, and answers come back as wire JSON, so that nothing the SDK does not
know of is lost. What has no typed client here, or one that drops properties it does not know (msrest: role assignments,
workspaces of Azure ML), goes by its resource id. What is no resource (quota, sizes, rights) is asked for by its path.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any
from urllib.parse import parse_qs, urlsplit

from customai import __version__
from customai.errors import NotInstalled
from customai.model import Json
from customai.targets.azure_login import ENDPOINT, INSTALL, is_loopback

ONCE = {"retry_total": 0}  # a write that got no answer may be done: whoever sent it looks before it sends it again
SHARE = 0.05
TIMEOUTS: dict[str, Any] = {"connection_timeout": 20, "read_timeout": 60}  # seconds; the SDK's own are 300
_COMPUTE = ("azure.mgmt.compute", "ComputeManagementClient")
_NETWORK = ("azure.mgmt.network", "NetworkManagementClient")
_CONTAINERS = ("azure.mgmt.containerservice", "ContainerServiceClient")
_DATABRICKS = ("azure.mgmt.databricks", "AzureDatabricksManagementClient")
_REGISTRY = ("azure.mgmt.containerregistry", "ContainerRegistryManagementClient")
_RESOURCES = ("azure.mgmt.resource.resources", "ResourceManagementClient")
_IDENTITIES = ("azure.mgmt.msi", "ManagedServiceIdentityClient")
_BATCH_AI = ("azure.mgmt.batchai", "BatchAI")
_STORAGE = ("azure.mgmt.storage", "StorageManagementClient")
_VAULTS = ("azure.mgmt.keyvault", "KeyVaultManagementClient")
_FACTORIES = ("azure.mgmt.datafactory", "DataFactoryManagementClient")
_WEB = ("azure.mgmt.web", "WebSiteManagementClient")

# type -> (module, client, operations group)
TYPED = {
    "microsoft.resources/resourcegroups": (*_RESOURCES, "resource_groups"),
    "microsoft.batchai/workspaces": (*_BATCH_AI, "workspaces"),
    "microsoft.batchai/workspaces/clusters": (*_BATCH_AI, "clusters"),
    "microsoft.batchai/workspaces/experiments": (*_BATCH_AI, "experiments"),
    "microsoft.batchai/workspaces/experiments/jobs": (*_BATCH_AI, "jobs"),
    "microsoft.batchai/workspaces/fileservers": (*_BATCH_AI, "file_servers"),
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
    "microsoft.databricks/accessconnectors": (*_DATABRICKS, "access_connectors"),
    "microsoft.databricks/workspaces": (*_DATABRICKS, "workspaces"),
    "microsoft.containerregistry/registries": (*_REGISTRY, "registries"),
    # Not by id: the answer has a Location that is no operation, and whoever polls it gets an error.
    "microsoft.managedidentity/userassignedidentities": (*_IDENTITIES, "user_assigned_identities"),
    "microsoft.storage/storageaccounts": (*_STORAGE, "storage_accounts"),
    "microsoft.storage/storageaccounts/blobservices": (*_STORAGE, "blob_services"),
    "microsoft.storage/storageaccounts/blobservices/containers": (*_STORAGE, "blob_containers"),
    "microsoft.keyvault/vaults": (*_VAULTS, "vaults"),
    "microsoft.datafactory/factories": (*_FACTORIES, "factories"),
    "microsoft.datafactory/factories/pipelines": (*_FACTORIES, "pipelines"),
    "microsoft.datafactory/factories/triggers": (*_FACTORIES, "triggers"),
    # What a site is made of (sites/config and the like) has a method for each name: those go by id.
    "microsoft.web/serverfarms": (*_WEB, "app_service_plans"),
    "microsoft.web/sites": (*_WEB, "web_apps"),
}
READ = ("get", "get_properties", "get_service_properties")  # as the SDKs call it
MAKE = ("begin_create_or_update", "begin_create", "create_or_update", "create", "set_service_properties")
INSTALLED_BY = {"azure.mgmt.batchai": "pip install 'customai[batchai]'"}  # beside what the extra azure brings
SETTINGS = "/config/appsettings"  # of an app: shown by a POST alone
SHOWN_IF_ASKED = {"microsoft.compute/virtualmachines": {"expand": "userData"}}


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


@dataclass(frozen=True)
class Pace:
    """Seconds between two looks, and seconds until one gives up on what does not end."""

    look: float = 5.0
    patience: float = 3600.0


class Arm:
    """The clients of one subscription, made when they are needed.

    Args:
        credential: of azure-identity.
        subscription: its id.
        endpoint: of Azure Resource Manager in the cloud that is meant.
        polling_interval: seconds between two looks at a long operation that does not say how long to wait.
        soon: the same, when it has only begun: what is quick is not kept waiting.
    """

    def __init__(
        self,
        credential: Any,
        subscription: str,
        *,
        endpoint: str = ENDPOINT,
        polling_interval: float = 5.0,
        soon: float = 0.5,
    ) -> None:
        self.subscription = subscription
        self.pace = Pace(look=polling_interval)  # of whoever asks through it, and waits
        self._credential = credential
        self._endpoint = endpoint
        self._polling_interval = polling_interval
        self._soon = min(soon, polling_interval)
        self._clients: dict[tuple[str, str], Any] = {}

    def get(self, url: str) -> Json:
        """The resource as it is, or None where there is none."""
        from azure.core.exceptions import HttpResponseError

        address = Address.of(url)
        try:
            if address.id.endswith(SETTINGS):
                return self.ask("POST", f"{address.id}/list?api-version={address.api_version}")
            if typed := self._typed(address):
                if not any(hasattr(typed, name) for name in READ):  # Batch AI's file servers can only be listed
                    return self._listed(url)
                more = SHOWN_IF_ASKED.get(address.type.lower(), {})
                return _first(typed, *READ)(*self._place(address), cls=_wire, **more)
            return self.resources.get_by_id(address.id, api_version=address.api_version, cls=_wire)
        except HttpResponseError as error:
            if error.status_code != 404:
                raise
            return None

    def put(self, url: str, body: Json) -> Operation:
        """Begins to make or change the resource."""
        address = Address.of(url)
        if typed := self._typed(address):
            sent = (body,) if body else ()  # an experiment of Batch AI is its name, and nothing else
            return self._operation(_first(typed, *MAKE)(*self._place(address), *sent, cls=_wire, **ONCE))
        begin = self.resources.begin_create_or_update_by_id
        return self._operation(begin(address.id, body, api_version=address.api_version, cls=_wire, **ONCE))

    def patch(self, url: str, body: Json) -> Operation:
        """Begins to change some of the resource's properties."""
        address = Address.of(url)
        update = _first(self._typed(address), "begin_update", "update")
        return self._operation(update(*self._place(address), body, cls=_wire, **ONCE))

    def delete(self, url: str) -> Operation:
        """Begins to delete the resource. Missing is success."""
        from azure.core.exceptions import ResourceNotFoundError

        address = Address.of(url)
        try:
            if typed := self._typed(address):
                delete = _first(typed, "begin_delete", "delete")
                more = {re.sub(r"(?=[A-Z])", "_", name).lower(): value == "true" for name, value in _more(url).items()}
                return self._operation(delete(*self._place(address), **more, **ONCE))
            begin = self.resources.begin_delete_by_id
            return self._operation(begin(address.id, api_version=address.api_version, params=_more(url), **ONCE))
        except ResourceNotFoundError:
            return Operation(None)

    def act(self, url: str, action: str, body: Json = None) -> Operation:
        """Begins an action on the resource: start, deallocate, stop, runCommand."""
        address = Address.of(url)
        begin = getattr(self._typed(address), "begin_" + re.sub(r"(?=[A-Z])", "_", action).lower())
        return self._operation(begin(*self._place(address), *(() if body is None else (body,)), cls=_wire, **ONCE))

    def _operation(self, begun: Any) -> Operation:
        return Operation(begun, self._polling_interval)

    def ask(self, method: str, path: str, body: Json = None, *, once: bool = False) -> Json:
        """The answer to a request that is not about one resource; `once`: one that may be done though no answer comes."""
        from azure.core.rest import HttpRequest

        request = HttpRequest(method, self._endpoint + path, json=body)
        response = self._pipeline.send_request(request, **(ONCE if once else {}))
        response.raise_for_status()
        return response.json() if response.text() else None

    def every(self, path: str) -> Iterator[Json]:
        """Every item of a list, over all its pages."""
        while path:
            page = self.ask("GET", path)
            yield from page["value"]
            path = str(page.get("nextLink") or "").removeprefix(self._endpoint)

    def _listed(self, url: str) -> Json:
        """The resource, out of the list of its kind; None where it is not in it."""
        path, _, query = url.partition("?")
        above, _, name = path.rpartition("/")
        return next((each for each in self.every(f"{above}?{query}") if each["name"].lower() == name.lower()), None)

    def blobs(self, endpoint: str, container: str) -> Any:
        """A container of blobs, with the login's own token; a store on this machine (http) gets none."""
        try:
            from azure.storage.blob import ContainerClient
        except ImportError as error:
            raise NotInstalled(f"{error.name} is not installed here", hint=INSTALL) from None
        credential = self._credential if endpoint.startswith("https://") else None
        return ContainerClient(endpoint, container, credential, retry_total=0, **TIMEOUTS)

    def token(self, scope: str) -> str:
        """The login's token for another service than Azure Resource Manager."""
        return str(self._credential.get_token(scope).token)

    def claims(self) -> Json:
        """What the login's token says of whoever has logged in. It is read, not trusted: Azure decides."""
        payload = self._credential.get_token(self.scope).token.split(".")[1]
        return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))

    @cached_property
    def resources(self) -> Any:
        return self.client(*_RESOURCES).resources

    def client(self, module: str, name: str) -> Any:
        """A management client of the SDK for this subscription."""
        key = (module, name)
        if key not in self._clients:
            try:
                made = getattr(import_module(module), name)
            except ImportError as error:
                hint = INSTALLED_BY.get(module, INSTALL)
                raise NotInstalled(f"{error.name} is not installed here", hint=hint) from None
            self._clients[key] = made(self._credential, self.subscription, **self._settings())
        return self._clients[key]

    def _typed(self, address: Address) -> Any:
        place = TYPED.get(address.type.lower())
        return getattr(self.client(*place[:2]), place[2]) if place else None

    def _place(self, address: Address) -> tuple[str, ...]:
        if address.type.endswith("/resourceGroups"):
            return address.names
        names = address.names
        if "/blobServices" in address.type:  # an account has one, "default", which the SDK says itself
            names = (names[0], *names[2:])
        return (address.group, *names)

    @property
    def scope(self) -> str:
        return f"{ENDPOINT if is_loopback(self._endpoint) else self._endpoint}/.default"

    @cached_property
    def _pipeline(self) -> Any:
        from azure.core import PipelineClient
        from azure.core.pipeline import policies
        from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy

        plain = [_plain_http()] if is_loopback(self._endpoint) else []
        login = ARMChallengeAuthenticationPolicy(self._credential, self.scope)
        agent = policies.UserAgentPolicy(f"customai/{__version__}")
        return PipelineClient(self._endpoint, policies=[agent, *plain, policies.RetryPolicy(), login], **TIMEOUTS)

    def _settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = {
            "base_url": self._endpoint,
            "credential_scopes": [self.scope],
            "polling_interval": self._soon,
            "user_agent": f"customai/{__version__}",
            **TIMEOUTS,
        }
        if is_loopback(self._endpoint):  # the SDK sends a token over plain HTTP to this machine alone
            settings["per_call_policies"] = [_plain_http()]
        return settings


class Operation:
    """Something that goes on in Azure, or has ended at once."""

    def __init__(self, begun: Any, longest: float = 5.0) -> None:
        self._poller: Any = begun if hasattr(begun, "done") else None
        self._result = None if self._poller is not None else begun
        self._began, self._longest = time.monotonic(), longest

    def ended(self, wait: float) -> bool:
        """Whether it has ended, after waiting for at most so many seconds."""
        if self._poller is None:
            return True
        self._look_less_often()
        self._poller.wait(wait)
        return bool(self._poller.done())

    def _look_less_often(self) -> None:
        """The longer it takes, the longer between two looks: a twentieth of the time so far, as far as Azure says nothing."""
        polling = self._poller.polling_method()
        if (now := getattr(polling, "_timeout", None)) is not None:  # the SDK has no other place for it
            wanted = (time.monotonic() - self._began) * SHARE
            polling._timeout = max(now, min(self._longest, wanted))  # noqa: SLF001

    def result(self) -> Json:
        return self._result if self._poller is None else self._poller.result()


def _more(url: str) -> dict[str, str]:
    """What a URL asks beside its api-version."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items() if name != "api-version"}


def _first(group: Any, *names: str) -> Callable[..., Any]:
    found: Callable[..., Any] = next(getattr(group, name) for name in names if hasattr(group, name))
    return found


def _wire(response: Any, _model: Any, _headers: Any) -> Json:
    answer = response.http_response
    return json.loads(text) if (text := answer.text()) else None  # Batch AI's SDK has responses without json()


def _plain_http() -> Any:
    from azure.core.pipeline.policies import SansIOHTTPPolicy

    class PlainHTTP(SansIOHTTPPolicy[Any, Any]):
        def on_request(self, request: Any) -> None:
            request.context.options.setdefault("enforce_https", False)

    return PlainHTTP()
