"""What POST actions answer, and what of a request's body is kept."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import jobs, kubernetes, runs, web
from .catalog import made_up
from .errors import ArmError
from .filled import without_nulls
from .messages import Answer, Body, Request
from .state import Resource

if TYPE_CHECKING:
    from .cloud import Cloud

READ_ONLY = ("provisioningState", "resourceGuid")


def writable(body: Any) -> Body:
    """What a client may set: nulls mean nothing, and read-only properties that it sends back are passed over."""
    kept: Body = without_nulls(body or {})
    if isinstance(kept.get("properties"), dict):
        kept["properties"] = {key: value for key, value in kept["properties"].items() if key not in READ_ONLY}
    return kept


def patched(old: Any, new: Any) -> Any:
    """A merge patch; `tags` of a PATCH replace the old ones, as Azure does."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: value if key == "tags" else patched(old.get(key), value) for key, value in new.items()}
    return new


def kubeconfig(cloud: Cloud, resource: Resource, request: Request) -> Answer:
    admin = request.path.lower().endswith("listclusteradmincredential")
    user = "clusterAdmin" if admin else "clusterUser"
    name, group = resource.name, resource.key.split("/")[4]
    server = cloud.catalog.kubernetes_api or f"{request.base}/_kubernetes/{group}/{name.lower()}"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": server}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": f"{user}_{name}"}}],
        "users": [
            {
                "name": f"{user}_{name}",
                "user": {
                    "exec": {
                        "apiVersion": "client.authentication.k8s.io/v1beta1",
                        "command": "kubelogin",
                        "args": ["get-token"],
                        "env": None,
                        "provideClusterInfo": False,
                    }
                },
            }
        ],
    }
    return Answer(
        200, {"kubeconfigs": [{"name": user, "value": base64.b64encode(json.dumps(config).encode()).decode()}]}
    )


def run_command(cloud: Cloud, resource: Resource, request: Request) -> Answer:
    return Answer(
        200,
        {
            "value": [
                {
                    "code": "ProvisioningState/succeeded",
                    "level": "Info",
                    "displayStatus": "Provisioning succeeded",
                    "message": f"Enable succeeded: \n[stdout]\n{cloud.catalog.run_output}\n[stderr]\n",
                }
            ]
        },
    )


def cluster_command(cloud: Cloud, resource: Resource, request: Request) -> Answer:
    return kubernetes.command(cloud, resource, request)


def registry_credentials(cloud: Cloud, resource: Resource, request: Request) -> Answer:
    if not resource.asked.get("properties", {}).get("adminUserEnabled"):
        raise ArmError(
            400,
            "UnAuthorizedForCredentialOperations",
            f"Cannot perform credential operations for {resource.id} as admin user is disabled. Kindly enable admin user as per docs: https://docs.microsoft.com/en-us/azure/container-registry/container-registry-authentication#admin-account",
        )
    secret = made_up(resource.key, resource.made, "password")
    return Answer(
        200,
        {
            "username": resource.name,
            "passwords": [{"name": "password", "value": secret}, {"name": "password2", "value": secret[::-1]}],
        },
    )


def build_source(cloud: Cloud, resource: Resource, request: Request) -> Answer:
    path = f"source/{made_up(resource.key, len(cloud.uploads), 'source')}.tar.gz"
    return Answer(
        200,
        {
            "uploadUrl": f"{request.base}/_blob/{resource.name.lower()}/{path}?sig=SIMULATED-SECRET",
            "relativePath": path,
        },
    )


def schedule_run(cloud: Cloud, resource: Resource, request: Request) -> Answer:
    return Answer(200, runs.schedule(cloud, resource, request.body))


def storage_keys(cloud: Cloud, resource: Resource, request: Request) -> Answer:
    key = base64.b64encode(made_up(resource.key, resource.made, "key").encode()).decode()
    return Answer(200, {"keys": [{"keyName": name, "value": key, "permissions": "FULL"} for name in ("key1", "key2")]})


def workspace_keys(cloud: Cloud, resource: Resource, request: Request) -> Answer:
    return Answer(
        200, {"primarySharedKey": made_up(resource.key, "one"), "secondarySharedKey": made_up(resource.key, "two")}
    )


def ml_keys(cloud: Cloud, resource: Resource, request: Request) -> Answer:
    keys = {"primaryAccessKey": made_up(resource.key, "one"), "secondaryAccessKey": made_up(resource.key, "two")}
    storage = resource.asked.get("properties", {}).get("storageAccount")
    return Answer(
        200,
        {
            "userStorageKey": made_up(resource.key, "user"),
            "userStorageArmId": storage,
            "appInsightsInstrumentationKey": None,
            "containerRegistryCredentials": None,
            "notebookAccessKeys": keys,
        },
    )


def trigger_started(cloud: Cloud, resource: Resource, request: Request) -> Answer:
    resource.power = "Started"
    return Answer(200)


def trigger_stopped(cloud: Cloud, resource: Resource, request: Request) -> Answer:
    resource.power = "Stopped"
    return Answer(200)


ANSWERS: dict[str, Callable[[Cloud, Resource, Request], Answer]] = {
    "site_settings": web.settings,
    "job_canceled": jobs.canceled,
    "written": jobs.written,
    "kubeconfig": kubeconfig,
    "run_command": run_command,
    "cluster_command": cluster_command,
    "registry_credentials": registry_credentials,
    "build_source": build_source,
    "schedule_run": schedule_run,
    "storage_keys": storage_keys,
    "trigger_started": trigger_started,
    "trigger_stopped": trigger_stopped,
    "workspace_keys": workspace_keys,
    "ml_keys": ml_keys,
}
