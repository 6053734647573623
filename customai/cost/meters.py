"""What of a plan is billed by the time it is there: the names of Azure's meters, and how many of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from customai.model import Json, Plan, Step
from customai.provisioning.api_versions import type_of
from customai.provisioning.machines import Machines, machines_of

IP = "Standard IPv4 Static Public IP"
BALANCER = "Standard Included LB Rules and Outbound Rules"
GATEWAY = "Standard Gateway"
DISKS = {"Premium_LRS": "P", "StandardSSD_LRS": "E"}
TIERS = {32: 4, 64: 6, 128: 10, 256: 15, 512: 20, 1024: 30, 2048: 40, 4096: 50}  # GB -> a disk's tier


@dataclass(frozen=True)
class Meter:
    """What is billed of a step.

    Args:
        step: its id.
        name: a VM size, or the meter's name in the Azure Retail Prices API; "" where neither is known.
        what: for people.
        count: so many as it is made; `most` when it has grown; `idle` when nobody uses it.
        spot: at the price of the moment, and never above that on demand.
    """

    step: str
    name: str
    what: str
    count: int = 1
    most: int = 1
    idle: int = 1
    spot: bool = False

    @property
    def is_machine(self) -> bool:
        return self.name.startswith(("Standard_", "Basic_"))


def meters(plan: Plan) -> Iterator[Meter]:
    """Everything that is billed by the hour, the day or the month."""
    for step in plan.steps:
        if step.kind == "kubernetes":
            yield Meter(step.id, BALANCER, "load balancer of the endpoint")
        for machines in machines_of(step):
            yield from _machines(machines)
        if not step.is_request:
            continue
        type_ = _type(step)
        if type_ in BILLED:
            yield from BILLED[type_](step.id, step.inputs["body"])
        elif type_ not in FREE and type_ not in BY_USE and type_ not in MACHINES:
            yield Meter(step.id, "", type_)


def not_counted(plan: Plan) -> list[str]:
    """What is billed by use, or is no matter of a price list."""
    types = {_type(step) for step in plan.steps if step.is_request}
    found = [text for type_, text in BY_USE.items() if type_ in types]
    if any(machines.spot for step in plan.steps for machines in machines_of(step)):
        found.append("the price of the moment of spot machines: counted as if on demand, which it never exceeds")
    return [*found, "data that leaves the region", "taxes, discounts and free amounts"]


def _machines(one: Machines) -> Iterator[Meter]:
    spot = ", spot" if one.spot else ""
    yield Meter(one.step, one.size, f"{one.size}{spot}", one.count, one.most, one.idle, one.spot)
    if one.disk is not None:
        gb, type_ = int(one.disk["gb"]), str(one.disk["type"])
        stays = (
            one.count if one.idle == 0 and one.count == 1 else one.idle
        )  # a machine that is deallocated keeps its disk
        yield Meter(one.step, disk(gb, type_), f"{gb} GB disk, {type_}", one.count, one.most, stays)


def disk(gb: int, type_: str) -> str:
    """The meter of a disk of this size: "P15 LRS Disk"; "" for what has none here."""
    tier = next((tier for size, tier in TIERS.items() if gb <= size), None)
    return f"{DISKS[type_]}{tier} LRS Disk" if type_ in DISKS and tier is not None else ""


def _cluster(id_: str, body: Json) -> Iterator[Meter]:
    tier = str((body.get("sku") or {}).get("tier", "")).lower()
    if tier == "standard":
        yield Meter(id_, "Standard Uptime SLA", "the tier standard")
    elif tier != "free":
        yield Meter(id_, "", f"the tier {tier}")
    outbound = ((body.get("properties") or {}).get("networkProfile") or {}).get("outboundType", "loadBalancer")
    if outbound == "loadBalancer":
        yield Meter(id_, BALANCER, "load balancer, for the way out")
        yield Meter(id_, IP, "public address of the load balancer")


def _registry(id_: str, body: Json) -> Iterator[Meter]:
    tier = body["sku"]["name"]
    yield Meter(id_, f"{tier} Registry Unit", f"container registry, {tier}")


def _named(name: str, what: str) -> Callable[[str, Json], Iterator[Meter]]:
    def one(id_: str, _body: Json) -> Iterator[Meter]:
        yield Meter(id_, name, what)

    return one


def _plan(id_: str, body: Json) -> Iterator[Meter]:
    """A plan of App Service: those that are billed by use cost nothing at rest."""
    name = str((body.get("sku") or {}).get("name", ""))
    if name not in ("FC1", "Y1"):
        yield Meter(id_, "", f"App Service plan {name}")


def _type(step: Step) -> str:
    return type_of(str(step.inputs["url"]).partition("?")[0])


BILLED: dict[str, Callable[[str, Json], Iterator[Meter]]] = {
    "Microsoft.ContainerRegistry/registries": _registry,
    "Microsoft.ContainerService/managedClusters": _cluster,
    "Microsoft.Network/natGateways": _named(GATEWAY, "NAT gateway"),
    "Microsoft.Network/privateEndpoints": _named("Standard Private Endpoint", "private endpoint"),
    "Microsoft.Network/publicIPAddresses": _named(IP, "public address"),
    "Microsoft.Web/serverfarms": _plan,
}
MACHINES = {
    "Microsoft.BatchAI/workspaces/clusters",
    "Microsoft.BatchAI/workspaces/fileServers",
    "Microsoft.Compute/virtualMachines",
    "Microsoft.ContainerService/managedClusters/agentPools",
    "Microsoft.MachineLearningServices/workspaces/computes",
    "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/deployments",
}
# Billed by what is done with it, or by the GB.
BY_USE = {
    "Microsoft.ContainerRegistry/registries": "building images, and what the registry holds beyond what its tier includes",
    "Microsoft.DataFactory/factories": "Data Factory: each run of an activity, and the time it takes",
    "Microsoft.Databricks/workspaces": "Databricks: its units (DBU), beside the machines, while a cluster runs; and what it keeps for itself",
    "Microsoft.Insights/components": "Application Insights: each GB of telemetry",
    "Microsoft.KeyVault/vaults": "Key Vault: each 10,000 operations",
    "Microsoft.MachineLearningServices/workspaces/jobs": "jobs of Azure ML, where they run on serverless machines",
    "Microsoft.Network/natGateways": "the NAT gateway: each GB",
    "Microsoft.OperationalInsights/workspaces": "Log Analytics: each GB of logs",
    "Microsoft.Storage/storageAccounts": "storage: each GB, and each 10,000 operations",
    "Microsoft.Web/serverfarms": "Functions: each execution, and the memory while it runs",
}
FREE = {
    "Microsoft.Authorization/roleAssignments",
    "Microsoft.BatchAI/workspaces",
    "Microsoft.BatchAI/workspaces/experiments",
    "Microsoft.BatchAI/workspaces/experiments/jobs",
    "Microsoft.Compute/disks",  # counted with its machine
    "Microsoft.ContainerService/managedClusters/maintenanceConfigurations",
    "Microsoft.ContainerService/managedClusters/managedNamespaces",
    "Microsoft.DataFactory/factories/datasets",
    "Microsoft.DataFactory/factories/linkedservices",
    "Microsoft.DataFactory/factories/linkedServices",
    "Microsoft.DataFactory/factories/pipelines",
    "Microsoft.DataFactory/factories/triggers",
    "Microsoft.Databricks/accessConnectors",
    "Microsoft.Insights/diagnosticSettings",
    "Microsoft.MachineLearningServices/workspaces",
    "Microsoft.MachineLearningServices/workspaces/batchEndpoints",
    "Microsoft.MachineLearningServices/workspaces/batchEndpoints/deployments",
    "Microsoft.MachineLearningServices/workspaces/codes",
    "Microsoft.MachineLearningServices/workspaces/codes/versions",
    "Microsoft.MachineLearningServices/workspaces/components",
    "Microsoft.MachineLearningServices/workspaces/components/versions",
    "Microsoft.MachineLearningServices/workspaces/data",
    "Microsoft.MachineLearningServices/workspaces/data/versions",
    "Microsoft.MachineLearningServices/workspaces/datastores",
    "Microsoft.MachineLearningServices/workspaces/environments",
    "Microsoft.MachineLearningServices/workspaces/environments/versions",
    "Microsoft.MachineLearningServices/workspaces/models",
    "Microsoft.MachineLearningServices/workspaces/models/versions",
    "Microsoft.MachineLearningServices/workspaces/onlineEndpoints",
    "Microsoft.MachineLearningServices/workspaces/schedules",
    "Microsoft.ManagedIdentity/userAssignedIdentities",
    "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials",
    "Microsoft.Network/networkInterfaces",
    "Microsoft.Network/networkSecurityGroups",
    "Microsoft.Network/virtualNetworks",
    "Microsoft.Network/virtualNetworks/subnets",
    "Microsoft.Resources/resourceGroups",
    "Microsoft.Storage/storageAccounts/blobServices",
    "Microsoft.Storage/storageAccounts/blobServices/containers",
    "Microsoft.Storage/storageAccounts/managementPolicies",
    "Microsoft.Web/sites",  # its plan is billed
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies",
    "Microsoft.Web/sites/config",
}
