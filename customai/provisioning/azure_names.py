"""What things are called in Azure: ids and names are pure functions of subscription, group, region and deployment.

Nothing here is random and nothing looks anything up: the same spec gives the same names on every machine. Where a name
must be unique in all of Azure, it ends in a digest of the subscription and the deployment.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Mapping

from customai.errors import SpecError
from customai.model import Json, digest

ENDPOINT = r"(?!.*--)[A-Za-z][A-Za-z0-9-]{1,30}[A-Za-z0-9]"  # and deployments of one

# Microsoft's naming rules (resource-name-rules.md; node pools: Linux), each of the whole name.
RULES = {
    "Microsoft.BatchAI/workspaces": r"[\w-]{1,64}",
    "Microsoft.BatchAI/workspaces/clusters": r"[\w-]{1,64}",
    "Microsoft.BatchAI/workspaces/experiments": r"[\w-]{1,64}",
    "Microsoft.BatchAI/workspaces/experiments/jobs": r"[\w-]{1,64}",
    "Microsoft.BatchAI/workspaces/fileServers": r"[\w-]{1,64}",
    "Microsoft.Compute/virtualMachines": r"[A-Za-z0-9]([\w.-]{0,62}[A-Za-z0-9])?",
    "Microsoft.ContainerRegistry/registries": r"[A-Za-z0-9]{5,50}",
    "Microsoft.ContainerService/managedClusters": r"[A-Za-z0-9]([\w-]{0,61}[A-Za-z0-9])?",
    "Microsoft.ContainerService/managedClusters/agentPools": r"[a-z][a-z0-9]{0,11}",
    "Microsoft.ContainerService/managedClusters/managedNamespaces": r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",
    "Microsoft.DataFactory/factories": r"[A-Za-z0-9][A-Za-z0-9-]{1,61}[A-Za-z0-9]",
    "Microsoft.Databricks/accessConnectors": r"[\w-]{3,64}",
    "Microsoft.Databricks/workspaces": r"[\w-]{3,30}",
    "Microsoft.Insights/components": r"[\w().-]{1,260}",
    "Microsoft.KeyVault/vaults": r"(?!.*--)[A-Za-z][A-Za-z0-9-]{1,22}[A-Za-z0-9]",
    "Microsoft.MachineLearningServices/workspaces": r"[A-Za-z0-9][A-Za-z0-9-]{2,32}",
    "Microsoft.MachineLearningServices/workspaces/batchEndpoints": ENDPOINT,
    "Microsoft.MachineLearningServices/workspaces/batchEndpoints/deployments": ENDPOINT,
    "Microsoft.MachineLearningServices/workspaces/computes": r"(?!.*-([^A-Za-z]|$))[A-Za-z][A-Za-z0-9-]{2,15}",
    "Microsoft.MachineLearningServices/workspaces/jobs": r"[A-Za-z0-9][\w-]{0,254}",
    "Microsoft.MachineLearningServices/workspaces/onlineEndpoints": ENDPOINT,
    "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/deployments": ENDPOINT,
    "Microsoft.ManagedIdentity/userAssignedIdentities": r"[A-Za-z0-9][\w-]{2,127}",
    "Microsoft.Network/natGateways": r"[A-Za-z0-9]([\w.-]{0,78}\w)?",
    "Microsoft.Network/networkInterfaces": r"[A-Za-z0-9]([\w.-]{0,78}\w)?",
    "Microsoft.Network/networkSecurityGroups": r"[A-Za-z0-9]([\w.-]{0,78}\w)?",
    "Microsoft.Network/publicIPAddresses": r"[A-Za-z0-9]([\w.-]{0,78}\w)?",
    "Microsoft.Network/virtualNetworks": r"[A-Za-z0-9][\w.-]{0,62}\w",
    "Microsoft.OperationalInsights/workspaces": r"[A-Za-z0-9][A-Za-z0-9-]{2,61}[A-Za-z0-9]",
    "Microsoft.Storage/storageAccounts": r"[a-z0-9]{3,24}",
    "Microsoft.Storage/storageAccounts/blobServices/containers": r"(?!.*--)[a-z0-9][a-z0-9-]{2,62}",
    "Microsoft.Web/serverfarms": r"[A-Za-z0-9-]{1,60}",
    "Microsoft.Web/sites": r"[A-Za-z0-9][A-Za-z0-9-]{0,58}[A-Za-z0-9]",
    "Microsoft.Resources/resourceGroups": r"[\w.()-]{0,89}[\w()-]",
}
NO_SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"  # a plan needs none; a deployment does
DIGEST = 8  # hex digits at the end of a name that is unique in all of Azure


def place(*, subscription: str | None, group: str, region: str, deployment: str) -> Json:
    """Where a deployment lives, as every step's inputs carry it."""
    return {
        "subscription": (subscription or NO_SUBSCRIPTION).lower(),
        "group": group,
        "region": region,
        "deployment": deployment,
    }


def resource_group(deployment: str) -> str:
    return f"customai-{deployment}"


def registry(place: Json) -> str:
    """Unique in all of Azure: it becomes NAME.azurecr.io."""
    return _letters(f"customai{place['deployment']}")[: 50 - DIGEST] + _ending(place)


def storage(place: Json) -> str:
    """Unique in all of Azure: it becomes NAME.blob.core.windows.net."""
    return _letters(place["deployment"])[: 24 - DIGEST] + _ending(place)


def key_vault(place: Json) -> str:
    """Unique in all of Azure: it becomes NAME.vault.azure.net."""
    return f"kv-{_letters(place['deployment'])[: 20 - DIGEST]}-{_ending(place)}"


def data_factory(place: Json) -> str:
    """Unique in all of Azure."""
    return f"adf-{place['deployment']}-{_ending(place)}"


def function_app(place: Json) -> str:
    """Unique in all of Azure: it becomes NAME.azurewebsites.net."""
    return f"func-{place['deployment']}-{_ending(place)}"


def function_plan(place: Json) -> str:
    return f"plan-{place['deployment']}"


def databricks(place: Json) -> str:
    """A Databricks workspace."""
    name = f"dbw-{place['deployment']}"
    return name if len(name) <= 30 else f"{name[: 30 - DIGEST]}{_ending(place)}"


def ml_workspace(place: Json) -> str:
    name = f"ml-{place['deployment']}"
    return name if len(name) <= 33 else f"{name[: 33 - DIGEST]}{_ending(place)}"


def ml_compute(place: Json) -> str:
    """Unique in its region, and a letter comes after the hyphen."""
    return f"nodes-c{_ending(place)}"


def ml_endpoint(place: Json) -> str:
    """Unique in its region: it becomes NAME.REGION.inference.ml.azure.com."""
    readable = re.sub("-+", "-", place["deployment"])[: 30 - DIGEST].strip("-")
    return f"{readable}-c{_ending(place)}"


def asset(name: str) -> str:
    """A name among an Azure ML workspace's assets."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", name)[:255]


def version_of(content: Json) -> str:
    """A version that is the same for the same content, and another for any other."""
    return digest(content)[:16]


def _letters(text: str) -> str:
    return re.sub("[^a-z0-9]", "", text.lower())


def _ending(place: Json) -> str:
    return hashlib.sha256(f"{place['subscription']}/{place['deployment']}".encode()).hexdigest()[:DIGEST]


def tags(place: Json) -> dict[str, str]:
    """On everything that can carry tags: who made it, so that `destroy` deletes nothing else."""
    return {"customai:deployment": place["deployment"]}


def group_id(place: Json) -> str:
    return f"/subscriptions/{place['subscription']}/resourceGroups/{place['group']}"


def resource_id(place: Json, type_: str, *names: str) -> str:
    """The id of a resource in the deployment's group: one name for each part of the type.

    Raises:
        SpecError: Azure would refuse the name.
    """
    provider, *parts = type_.split("/")
    check(type_, names[-1])
    pairs = "".join(f"/{part}/{name}" for part, name in zip(parts, names, strict=True))
    return f"{group_id(place)}/providers/{provider}{pairs}"


def check(type_: str, name: str) -> None:
    """Raises SpecError where Azure would refuse the name."""
    if not fits(type_, name):
        kind = type_.rpartition("/")[2]
        raise SpecError(
            f"Azure does not take '{name}' ({len(name)} characters) as a name in {kind}",
            where="name",
            hint=f"a name there is: {RULES[type_]}",
        )


def fits(type_: str, name: str) -> bool:
    return type_ not in RULES or re.fullmatch(RULES[type_], name, re.ASCII) is not None


def guid(*parts: str) -> str:
    """A GUID that is the same for the same words: Azure wants one as a role assignment's name."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "customai:" + "|".join(part.lower() for part in parts)))


def tracked(place: Json, properties: Mapping[str, Json], **more: Json) -> Json:
    """The body of a resource that has a region and tags."""
    return {"location": place["region"], "tags": tags(place), **more, "properties": dict(properties)}
