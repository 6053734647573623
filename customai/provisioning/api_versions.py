"""The API version of each Azure resource type: what the SDKs we install send, held by a test against them.

They stand here, so that a plan needs no SDK.
"""

from __future__ import annotations

from customai.model import Json

# The SDK's client is stuck at 2020-08-01, so these go by id, in the newest version that Microsoft describes.
MACHINE_LEARNING = (
    "workspaces",
    "workspaces/batchEndpoints",
    "workspaces/batchEndpoints/deployments",
    "workspaces/components/versions",
    "workspaces/computes",
    "workspaces/environments/versions",
    "workspaces/jobs",
    "workspaces/onlineEndpoints",
    "workspaces/onlineEndpoints/deployments",
)

BATCH_AI = ("", "/clusters", "/experiments", "/experiments/jobs", "/fileServers")

API_VERSIONS = {
    "Microsoft.Authorization/roleAssignments": "2022-04-01",
    **dict.fromkeys((f"Microsoft.BatchAI/workspaces{each}" for each in BATCH_AI), "2018-05-01"),
    "Microsoft.Compute/disks": "2026-03-02",
    "Microsoft.Compute/virtualMachines": "2026-04-01",
    "Microsoft.ContainerRegistry/registries": "2025-11-01",
    "Microsoft.ContainerService/managedClusters": "2026-08-01",
    "Microsoft.ContainerService/managedClusters/agentPools": "2026-08-01",
    "Microsoft.ContainerService/managedClusters/maintenanceConfigurations": "2026-08-01",
    "Microsoft.ContainerService/managedClusters/managedNamespaces": "2026-08-01",
    "Microsoft.DataFactory/factories": "2018-06-01",
    "Microsoft.DataFactory/factories/pipelines": "2018-06-01",
    "Microsoft.DataFactory/factories/triggers": "2018-06-01",
    "Microsoft.Databricks/accessConnectors": "2026-01-01",
    "Microsoft.Databricks/workspaces": "2026-01-01",
    "Microsoft.Insights/components": "2020-02-02",
    "Microsoft.KeyVault/vaults": "2026-05-15",
    **dict.fromkeys((f"Microsoft.MachineLearningServices/{each}" for each in MACHINE_LEARNING), "2026-05-01"),
    "Microsoft.ManagedIdentity/userAssignedIdentities": "2024-11-30",
    "Microsoft.Network/natGateways": "2026-03-01",
    "Microsoft.Network/networkInterfaces": "2026-03-01",
    "Microsoft.Network/networkSecurityGroups": "2026-03-01",
    "Microsoft.Network/publicIPAddresses": "2026-03-01",
    "Microsoft.Network/virtualNetworks": "2026-03-01",
    "Microsoft.OperationalInsights/workspaces": "2025-07-01",
    "Microsoft.Resources/resourceGroups": "2025-04-01",
    "Microsoft.Storage/storageAccounts": "2026-09-01",
    "Microsoft.Storage/storageAccounts/blobServices": "2026-09-01",
    "Microsoft.Storage/storageAccounts/blobServices/containers": "2026-09-01",
    "Microsoft.Web/serverfarms": "2025-05-01",
    "Microsoft.Web/sites": "2025-05-01",
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": "2025-05-01",
    "Microsoft.Web/sites/config": "2025-05-01",
}


def type_of(id_: str) -> str:
    """The resource type that an id names: "/subscriptions/S/resourceGroups/G" -> "Microsoft.Resources/resourceGroups"."""
    _, found, own = id_.rpartition("/providers/")
    if not found:
        return "Microsoft.Resources/resourceGroups"
    provider, *pairs = own.split("/")
    return "/".join([provider, *pairs[::2]])


def request(method: str, id_: str, body: Json) -> Json:
    """The request that makes the resource of this id as `body` says."""
    return {"method": method, "url": f"{id_}?api-version={API_VERSIONS[type_of(id_)]}", "body": body}


def put(id_: str, body: Json) -> Json:
    return request("PUT", id_, body)
