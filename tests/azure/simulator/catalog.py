"""What a subscription offers: regions, sizes, quota, images, roles. Small, and open to tests: they change it as they like."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
TENANT = "99999999-8888-7777-6666-555555555555"
CALLER = "77777777-0000-4000-8000-000000000001"


@dataclass
class Size:
    name: str
    family: str
    cores: int
    memory: float
    gpus: int = 0
    restricted: str = ""  # "Location" or "Zone": not offered to this subscription
    spot: bool = True
    generations: str = "V1,V2"
    host_encryption: bool = True
    ephemeral: bool = True


def _sizes() -> list[Size]:
    return [
        Size("Standard_B2s", "standardBSFamily", 2, 4, spot=False),
        Size("Standard_D2s_v5", "standardDSv5Family", 2, 8, ephemeral=False),
        Size("Standard_D4s_v5", "standardDSv5Family", 4, 16, ephemeral=False),
        Size("Standard_D8s_v5", "standardDSv5Family", 8, 32, ephemeral=False),
        Size("Standard_D2ds_v5", "standardDDSv5Family", 2, 8),
        Size("Standard_D4ds_v5", "standardDDSv5Family", 4, 16),
        Size("Standard_D8ds_v5", "standardDDSv5Family", 8, 32),
        Size("Standard_DS2_v2", "standardDSv2Family", 2, 7),
        Size("Standard_D1_v2", "standardDv2Family", 1, 3.5),
        Size("Standard_NC4as_T4_v3", "Standard NCASv3_T4 Family", 4, 28, gpus=1),
        Size("Standard_NC8as_T4_v3", "Standard NCASv3_T4 Family", 8, 56, gpus=1),
        Size("Standard_NC16as_T4_v3", "Standard NCASv3_T4 Family", 16, 110, gpus=1),
        Size("Standard_NC24ads_A100_v4", "StandardNCADSA100v4Family", 24, 220, gpus=1, generations="V2"),
        Size("Standard_NV6ads_A10_v5", "StandardNVADSA10v5Family", 6, 55, gpus=1),
        Size(
            "Standard_NC40ads_H100_v5",
            "StandardNCadsH100v5Family",
            40,
            320,
            gpus=1,
            generations="V2",
            restricted="Location",
        ),
    ]


REGIONS = {
    "eastus": "East US",
    "eastus2": "East US 2",
    "westus": "West US",
    "westus2": "West US 2",
    "westus3": "West US 3",
    "westcentralus": "West Central US",
    "southcentralus": "South Central US",
    "northeurope": "North Europe",
    "westeurope": "West Europe",
    "uksouth": "UK South",
    "swedencentral": "Sweden Central",
    "australiaeast": "Australia East",
}

# The built-in roles that customai assigns, and the broad ones that a caller has.
ROLES = {
    "8e3af657-a8ff-443c-a75c-2fe8c4bcb635": ("Owner", ["*"], []),
    "b24988ac-6180-42a0-ab88-20f7382dd24c": (
        "Contributor",
        ["*"],
        ["Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write"],
    ),
    "acdd72a7-3385-48ef-bd42-f606fba81ae7": ("Reader", ["*/read"], []),
    "7f951dda-4ed3-4680-a7ca-43fe172d538d": ("AcrPull", ["Microsoft.ContainerRegistry/registries/pull/read"], []),
    "8311e382-0749-4cb8-b61a-304f252e45ec": ("AcrPush", ["Microsoft.ContainerRegistry/registries/pull/read"], []),
    "4abbcc35-e782-43d8-92c5-2d3f1bd2253f": (
        "Azure Kubernetes Service Cluster User Role",
        ["Microsoft.ContainerService/managedClusters/listClusterUserCredential/action"],
        [],
    ),
    "a7ffa36f-339b-4b5c-8bdf-e2c188b2c0eb": (
        "Azure Kubernetes Service RBAC Writer",
        ["Microsoft.ContainerService/managedClusters/read"],
        [],
    ),
    "4d97b98b-1d4f-4787-a291-c67834d212e7": ("Network Contributor", ["Microsoft.Network/*"], []),
    "f1a07417-d97a-45cb-824c-7a7467783830": (
        "Managed Identity Operator",
        ["Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action"],
        [],
    ),
    "40c5ff49-9181-41f8-ae61-143b0e78555e": (
        "Desktop Virtualization Power On Off Contributor",
        ["Microsoft.Compute/virtualMachines/deallocate/action"],
        [],
    ),
    "b1ff04bb-8a4e-4dc4-8eb5-8693973ce19b": (
        "Azure Kubernetes Service RBAC Cluster Admin",
        ["Microsoft.ContainerService/managedClusters/read"],
        [],
    ),
    "3498e952-d568-435e-9b2c-8d77e338d7f7": (
        "Azure Kubernetes Service RBAC Admin",
        ["Microsoft.ContainerService/managedClusters/read"],
        [],
    ),
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": (
        "Storage Blob Data Contributor",
        ["Microsoft.Storage/storageAccounts/blobServices/*"],
        [],
    ),
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": (
        "Storage Blob Data Owner",
        ["Microsoft.Storage/storageAccounts/blobServices/*"],
        [],
    ),
    "3913510d-42f4-4e42-8a64-420c390055eb": (
        "Monitoring Metrics Publisher",
        ["Microsoft.Insights/Register/Action"],
        [],
    ),
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": (
        "Storage Blob Data Reader",
        ["Microsoft.Storage/storageAccounts/blobServices/*/read"],
        [],
    ),
    "4633458b-17de-408a-b874-0445c86b69e6": ("Key Vault Secrets User", [], []),
    "00482a5a-887f-4fb3-b363-3b7fe8e74483": ("Key Vault Administrator", [], []),
    "69566ab7-960f-475b-8e7c-b3118f30c6bd": ("Storage File Data Privileged Contributor", [], []),
    "f6c7c914-8db3-469d-8ca1-694a8f32e121": ("AzureML Data Scientist", [], []),
    "1c0163c0-47e6-4577-8991-ea5c82e286e4": (
        "Virtual Machine Administrator Login",
        ["Microsoft.Compute/virtualMachines/*/read"],
        [],
    ),
}

# (publisher, offer, sku) -> (versions, generation)
IMAGES: dict[tuple[str, str, str], tuple[list[str], str]] = {
    ("microsoft-dsvm", "ubuntu-2204", "2204-gen2"): (["25.03.10", "26.01.05"], "V2"),
    ("microsoft-dsvm", "ubuntu-hpc", "2204"): (["22.04.2025052901", "22.04.2026010501"], "V2"),
    ("microsoft-dsvm", "ubuntu-hpc", "2404"): (["24.04.2026010501"], "V2"),
    ("canonical", "ubuntu-24_04-lts", "server"): (["24.04.202601060"], "V2"),
    ("canonical", "ubuntuserver", "18.04-lts"): (["18.04.202401161"], "V1"),
}


@dataclass
class Catalog:
    subscriptions: dict[str, dict[str, Any]] = field(default_factory=dict)
    tenant: str = TENANT
    caller: str = CALLER
    permissions: list[dict[str, Any]] = field(
        default_factory=lambda: [{"actions": ["*"], "notActions": [], "dataActions": [], "notDataActions": []}]
    )
    regions: dict[str, str] = field(default_factory=lambda: dict(REGIONS))
    sizes: list[Size] = field(default_factory=_sizes)
    role_names: dict[str, tuple[str, list[str], list[str]]] = field(default_factory=lambda: dict(ROLES))
    quota: dict[str, int] = field(default_factory=dict)  # family, or "cores" -> limit
    other_usage: dict[str, int] = field(default_factory=dict)  # used by what is not simulated
    images: dict[tuple[str, str, str], tuple[list[str], str]] = field(default_factory=lambda: dict(IMAGES))
    registered: set[str] = field(default_factory=set)  # namespaces, lower case
    taken: set[str] = field(default_factory=set)  # global names that somebody else has, lower case
    kubernetes_versions: tuple[str, ...] = ("1.34.2", "1.35.1", "1.36.0")
    kubernetes_api: str = ""  # what a kubeconfig points at; "": the simulated one
    run_output: str = ""  # what a run command on a machine prints

    def __post_init__(self) -> None:
        if not self.subscriptions:
            self.add_subscription(SUBSCRIPTION, "Pay-As-You-Go")

    def add_subscription(self, identifier: str, name: str, *, state: str = "Enabled") -> None:
        self.subscriptions[identifier.lower()] = {
            "id": f"/subscriptions/{identifier}",
            "subscriptionId": identifier,
            "tenantId": self.tenant,
            "displayName": name,
            "state": state,
            "subscriptionPolicies": {
                "locationPlacementId": "Public_2014-09-01",
                "quotaId": "PayAsYouGo_2014-09-01",
                "spendingLimit": "Off",
            },
            "authorizationSource": "RoleBased",
        }

    def size(self, name: str) -> Size | None:
        return next((size for size in self.sizes if size.name.lower() == name.lower()), None)

    def limit(self, family: str) -> int:
        return self.quota.get(family, 100)

    def region(self, name: str) -> str | None:
        """The canonical name, or None: East US, EastUS and eastus are one."""
        plain = name.lower().replace(" ", "")
        return plain if plain in self.regions else None

    def locations(self, subscription: str) -> list[dict[str, Any]]:
        return [
            {
                "id": f"/subscriptions/{subscription}/locations/{name}",
                "name": name,
                "type": "Region",
                "displayName": display,
                "regionalDisplayName": display,
                "metadata": {"regionType": "Physical", "regionCategory": "Recommended", "geographyGroup": "US"},
                "availabilityZoneMappings": [
                    {"logicalZone": str(zone), "physicalZone": f"{name}-az{zone}"} for zone in (1, 2, 3)
                ],
            }
            for name, display in self.regions.items()
        ]

    def skus(self, subscription: str, region: str | None) -> list[dict[str, Any]]:
        places = [region] if region else list(self.regions)
        return [_sku(size, place) for place in places for size in self.sizes]

    def roles(self) -> list[dict[str, Any]]:
        return [
            {
                "id": f"/providers/Microsoft.Authorization/roleDefinitions/{name}",
                "type": "Microsoft.Authorization/roleDefinitions",
                "name": name,
                "properties": {
                    "roleName": role,
                    "type": "BuiltInRole",
                    "description": role,
                    "assignableScopes": ["/"],
                    "permissions": [
                        {"actions": actions, "notActions": denied, "dataActions": [], "notDataActions": []}
                    ],
                },
            }
            for name, (role, actions, denied) in self.role_names.items()
        ]


def _sku(size: Size, region: str) -> dict[str, Any]:
    capabilities = {
        "vCPUs": size.cores,
        "MemoryGB": size.memory,
        "GPUs": size.gpus or None,
        "HyperVGenerations": size.generations,
        "LowPriorityCapable": size.spot,
        "EncryptionAtHostSupported": size.host_encryption,
        "EphemeralOSDiskSupported": size.ephemeral,
        "PremiumIO": True,
        "CpuArchitectureType": "x64",
        "AcceleratedNetworkingEnabled": True,
    }
    restrictions = []
    if size.restricted:
        zones = {"zones": ["1", "2", "3"]} if size.restricted == "Zone" else {}
        restrictions = [
            {
                "type": size.restricted,
                "values": [region],
                "restrictionInfo": {"locations": [region], **zones},
                "reasonCode": "NotAvailableForSubscription",
            }
        ]
    return {
        "resourceType": "virtualMachines",
        "name": size.name,
        "tier": "Standard",
        "size": size.name.removeprefix("Standard_"),
        "family": size.family,
        "locations": [region],
        "locationInfo": [{"location": region, "zones": ["1", "2", "3"], "zoneDetails": []}],
        "capabilities": [
            {"name": name, "value": str(value)} for name, value in capabilities.items() if value is not None
        ],
        "restrictions": restrictions,
    }


def made_up(*parts: object) -> str:
    """A GUID that is the same whenever the same thing asks for it."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(map(str, parts))))
