"""What is read of a subscription and is no resource; and where every URL goes that is not one of a resource."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import jobs, lists, runs, web
from .errors import ArmError
from .messages import Answer, Body, Request
from .rules import MACHINES
from .table import TYPES, provider_names
from .view import instance_view

if TYPE_CHECKING:
    from .cloud import Cloud

S = r"/subscriptions/(?P<subscription>[^/]+)"
G = S + r"/resourcegroups/(?P<group>[^/]+)"
L = r"/locations/(?P<location>[^/]+)"


def read(cloud: Cloud, request: Request) -> Answer | None:
    if request.path.startswith("/api/"):
        return cloud.databricks.handle(request)
    path = request.path.rstrip("/")
    for method, pattern, answer in ROUTES:
        found = pattern.fullmatch(path)
        if found and method == request.method:
            if not path.startswith(("/_", "/history/")):
                cloud.rules.well_formed(request.api_version, found.groupdict().get("subscription") or "")
            result = answer(cloud, request, found)
            return result if isinstance(result, Answer) else Answer(200, result)
    return None


def _provider(cloud: Cloud, subscription: str, name: str) -> Body:
    known = next((one for one in provider_names() if one.lower() == name.lower()), None)
    if known is None:
        raise ArmError(404, "InvalidResourceNamespace", f"The resource namespace '{name}' is invalid.")
    low = known.lower()
    state = (
        "Registered"
        if low in cloud.catalog.registered
        else "Registering"
        if low in cloud.registering
        else "NotRegistered"
    )
    types = [row.name.partition("/")[2] for row in TYPES.values() if row.name.startswith(known + "/")]
    return {
        "id": f"/subscriptions/{subscription}/providers/{known}",
        "namespace": known,
        "resourceTypes": [
            {"resourceType": kind, "locations": list(cloud.catalog.regions.values()), "apiVersions": ["2026-04-01"]}
            for kind in types
        ],
        "registrationState": state,
        "registrationPolicy": "RegistrationRequired",
    }


def _register(cloud: Cloud, request: Request, found: re.Match[str]) -> Body:
    body = _provider(cloud, found["subscription"], found["namespace"])
    if found["what"].lower() == "register" and body["registrationState"] != "Registered":
        cloud.registering.setdefault(found["namespace"].lower(), cloud.clock() + cloud.times.plain(30))
        return _provider(cloud, found["subscription"], found["namespace"])
    if found["what"].lower() == "unregister":
        cloud.catalog.registered.discard(found["namespace"].lower())
    return _provider(cloud, found["subscription"], found["namespace"])


def _usages(cloud: Cloud, request: Request, found: re.Match[str]) -> Body:
    families = {size.family: f"{size.family} vCPUs" for size in cloud.catalog.sizes}
    names = {"cores": "Total Regional vCPUs"} | families
    machines = sum(1 for _ in cloud.store.of_type(MACHINES))
    values = [
        {
            "limit": 25000,
            "unit": "Count",
            "currentValue": machines,
            "name": {"value": "virtualMachines", "localizedValue": "Virtual Machines"},
        }
    ]
    for name, shown in names.items():
        used = cloud.rules.used(name, found["location"])
        values.append(
            {
                "limit": cloud.catalog.limit(name),
                "unit": "Count",
                "currentValue": used,
                "name": {"value": name, "localizedValue": shown},
            }
        )
    return {"value": values}


def _ml_usages(cloud: Cloud, request: Request, found: re.Match[str]) -> Body:
    """Azure ML's own quota: "ml FAMILY" in the catalog's. What its clusters use is not simulated."""
    shown = {
        "Total Cluster Dedicated Regional vCPUs": "ml cores",
        "Total Cluster Low-priority Regional vCPUs": "ml spot",
    }
    for family in {size.family for size in cloud.catalog.sizes}:
        series = re.sub(r"(?i)^standard\s*|\s*family$", "", family)
        shown[f"Standard {series} Family Cluster Dedicated vCPUs"] = f"ml {family}"
    return {
        "value": [
            {
                "type": "Microsoft.MachineLearningServices/locations/usages",
                "unit": "Count",
                "currentValue": 0,
                "limit": cloud.catalog.limit(key),
                "name": {"value": name, "localizedValue": name},
            }
            for name, key in sorted(shown.items())
        ]
    }


def _network_usages(cloud: Cloud, request: Request, found: re.Match[str]) -> Body:
    used = sum(1 for _ in cloud.store.of_type("Microsoft.Network/publicIPAddresses"))
    name = {"value": "PublicIPAddresses", "localizedValue": "Public IP Addresses"}
    return {
        "value": [
            {
                "limit": cloud.catalog.quota.get("PublicIPAddresses", 1000),
                "unit": "Count",
                "currentValue": used,
                "name": name,
            }
        ]
    }


def _skus(cloud: Cloud, request: Request, found: re.Match[str]) -> Body:
    wanted = re.search(r"location eq '([^']+)'", request.query.get("$filter", ""))
    return {"value": cloud.catalog.skus(found["subscription"], cloud.catalog.region(wanted[1]) if wanted else None)}


def _images(cloud: Cloud, request: Request, found: re.Match[str]) -> Any:
    if cloud.catalog.region(found["location"]) is None:
        raise ArmError(
            400,
            "LocationNotAvailableForResourceType",
            f"The provided location '{found['location']}' is not available for resource type 'locations/publishers'.",
        )
    key = (found["publisher"].lower(), found["offer"].lower(), found["sku"].lower())
    if key not in cloud.catalog.images:
        raise ArmError(
            404,
            "NotFound",
            f"Artifact: VMImage was not found. Publisher: {found['publisher']}, Offer: {found['offer']}, Sku: {found['sku']}.",
        )
    versions, generation = cloud.catalog.images[key]
    base = re.sub("/versions.*", "", request.path, flags=re.IGNORECASE)
    if not found["version"]:
        ordered = sorted(versions, reverse="desc" in request.query.get("$orderby", ""))
        top = int(request.query.get("$top") or len(ordered))
        return [{"location": found["location"], "name": one, "id": f"{base}/Versions/{one}"} for one in ordered[:top]]
    if found["version"] not in versions:
        raise ArmError(
            404, "ImageNotFound", f"The platform image '{':'.join(key)}:{found['version']}' is not available."
        )
    own = {
        "hyperVGeneration": generation,
        "architecture": "x64",
        "imageDeprecationStatus": {"imageState": "Active"},
        "osDiskImage": {"operatingSystem": "Linux", "sizeInBytes": 32213303808},
        "dataDiskImages": [],
        "features": [],
    }
    return {
        "location": found["location"],
        "name": found["version"],
        "id": f"{base}/Versions/{found['version']}",
        "properties": own,
    }


def _kubernetes_versions(cloud: Cloud, request: Request, found: re.Match[str]) -> Body:
    minors: dict[str, dict[str, Any]] = {}
    for one in cloud.catalog.kubernetes_versions:
        minors.setdefault(one.rpartition(".")[0], {})[one] = {"upgrades": []}
    newest = max(minors)
    return {
        "values": [
            {
                "version": minor,
                "capabilities": {"supportPlan": ["KubernetesOfficial"]},
                "isDefault": minor != newest,
                "patchVersions": patches,
            }
            for minor, patches in minors.items()
        ]
    }


def _instance_view(cloud: Cloud, request: Request, found: re.Match[str]) -> Body:
    there = cloud.store.get(request.path.rpartition("/")[0])
    if there is None:
        raise cloud.rules.missing(request.path.rpartition("/")[0])
    return instance_view(there)


def _name_free(cloud: Cloud, request: Request, found: re.Match[str]) -> Body:
    row = TYPES[str(request.body.get("type", "")).lower()]
    name = str(request.body.get("name", ""))
    if not re.fullmatch(row.rule, name):
        return {
            "nameAvailable": False,
            "reason": "Invalid" if "Registry" in row.name else "AccountNameInvalid",
            "message": f"{name} is not a valid name.",
        }
    if cloud.rules.is_taken(row, name) or any(
        one.name.lower() == name.lower() and one.row is row for one in cloud.store.deleted.values()
    ):
        return {"nameAvailable": False, "reason": "AlreadyExists", "message": f"The name {name} is already in use."}
    return {"nameAvailable": True}


def _role_definitions(cloud: Cloud, request: Request, found: re.Match[str]) -> Any:
    roles = cloud.catalog.roles()
    if found["name"]:
        role = next((one for one in roles if one["name"] == found["name"].lower()), None)
        if role is None:
            raise ArmError(
                404,
                "RoleDefinitionDoesNotExist",
                f"The specified role definition with ID '{found['name']}' does not exist.",
            )
        return role
    wanted = re.search(r"roleName eq '([^']+)'", request.query.get("$filter", ""))
    return {"value": [one for one in roles if not wanted or one["properties"]["roleName"] == wanted[1]]}


def _permissions(cloud: Cloud, request: Request, found: re.Match[str]) -> Body:
    return {"value": cloud.catalog.permissions}


def _route(
    method: str, pattern: str, answer: Callable[[Cloud, Request, re.Match[str]], Any]
) -> tuple[str, re.Pattern[str], Callable[[Cloud, Request, re.Match[str]], Any]]:
    return method, re.compile(pattern, re.IGNORECASE), answer


COMPUTE, REGISTRY = "/providers/Microsoft.Compute", "/providers/Microsoft.ContainerRegistry"
IMAGE = r"/publishers/(?P<publisher>[^/]+)/artifacttypes/vmimage/offers/(?P<offer>[^/]+)/skus/(?P<sku>[^/]+)/versions(?:/(?P<version>[^/]+))?"
ROUTES = [
    _route(
        "GET",
        "/tenants",
        lambda cloud, *_: {
            "value": [
                {
                    "id": f"/tenants/{cloud.catalog.tenant}",
                    "tenantId": cloud.catalog.tenant,
                    "displayName": "Contoso",
                    "defaultDomain": "contoso.example",
                }
            ]
        },
    ),
    _route("GET", "/subscriptions", lambda cloud, *_: {"value": list(cloud.catalog.subscriptions.values())}),
    _route("GET", S, lambda cloud, _, found: cloud.catalog.subscriptions[found["subscription"].lower()]),
    _route("GET", S + "/locations", lambda cloud, _, found: {"value": cloud.catalog.locations(found["subscription"])}),
    _route("GET", S + "/resources", lists.resources),
    _route("GET", G + "/resources", lists.resources),
    _route("GET", S + "/resourcegroups", lists.groups),
    _route(
        "GET",
        S + "/providers",
        lambda cloud, _, found: {"value": [_provider(cloud, found["subscription"], name) for name in provider_names()]},
    ),
    _route(
        "GET",
        S + r"/providers/(?P<namespace>[\w.]+)",
        lambda cloud, _, found: _provider(cloud, found["subscription"], found["namespace"]),
    ),
    _route("POST", S + r"/providers/(?P<namespace>[\w.]+)/(?P<what>register|unregister)", _register),
    _route("GET", S + COMPUTE + "/skus", _skus),
    _route("GET", S + COMPUTE + L + "/usages", _usages),
    _route("GET", S + COMPUTE + L + IMAGE, _images),
    _route("GET", G + COMPUTE + "/virtualMachines/[^/]+/instanceView", _instance_view),
    _route("GET", S + "/providers/Microsoft.Network" + L + "/usages", _network_usages),
    _route("GET", S + "/providers/Microsoft.MachineLearningServices" + L + "/usages", _ml_usages),
    _route("GET", S + "/providers/Microsoft.ContainerService" + L + "/kubernetesVersions", _kubernetes_versions),
    _route("POST", S + r"/providers/[\w.]+/checkNameAvailability", _name_free),
    _route(
        "GET",
        r"(?P<scope>.*?)/providers/Microsoft.Authorization/roleDefinitions(?:/(?P<name>[^/]+))?",
        _role_definitions,
    ),
    _route("GET", r"(?P<scope>.*?)/providers/Microsoft.Authorization/roleAssignments", lists.role_assignments),
    _route("GET", r".*/providers/Microsoft.Authorization/permissions", _permissions),
    _route("GET", S + r"/providers/(?P<namespace>[\w.]+)/(?P<kind>deleted\w+)", lists.deleted),
    _route(
        "GET", S + r"/providers/(?P<namespace>[\w.]+)" + L + r"/(?P<kind>deleted\w+)/(?P<name>[^/]+)", lists.deleted
    ),
    _route(
        "POST",
        S + r"/providers/(?P<namespace>[\w.]+)" + L + r"/(?P<kind>deleted\w+)/(?P<name>[^/]+)/purge",
        lists.deleted,
    ),
    _route("GET", G + REGISTRY + "/registries/[^/]+/runs/(?P<run>[^/]+)(?P<log>)", runs.run),
    _route("POST", G + REGISTRY + "/registries/[^/]+/runs/(?P<run>[^/]+)(?P<log>/listLogSasUrl)", runs.run),
    _route("GET", G + REGISTRY + "/registries/[^/]+/runs", runs.every),
    *(
        _route(
            method,
            r"/_kubernetes/(?P<group>[^/]+)/(?P<cluster>[^/]+)(?P<path>/.*)",
            lambda cloud, request, found: cloud.kubernetes.handle(request, found),
        )
        for method in ("GET", "PATCH", "POST", "DELETE")
    ),
    _route("PUT", "/_blob/(?P<name>.+)", runs.blob),
    _route("POST", "/_scm/(?P<app>[^/]+)/api/publish", web.publish),
    _route("GET", "/_scm/(?P<app>[^/]+)/api/deployments/(?P<id>[^/]+)", web.deployment),
    _route("GET", "/_scm/(?P<app>[^/]+)/api/deployments/(?P<id>[^/]+)/log", web.log),
    _route("GET", "/_blob/(?P<name>.+)", jobs.blobs),
    _route("POST", "/_inference/(?P<name>[^/]+)/jobs", jobs.invoke),
    _route("POST", "/_inference/(?P<name>[^/]+)/score", jobs.score),
    _route("GET", "/_inference/(?P<name>[^/]+)", lambda *_: Answer(404)),
    _route(
        "GET",
        r"/history/v1\.0(?P<workspace>/.+)/runs/(?P<run>[^/]+)/(?P<what>details|children)",
        jobs.history,
    ),
]
