"""A Databricks workspace, in a network of our own: premium, its machines without public addresses, Unity Catalog on."""

from __future__ import annotations

from customai.model import Json, Step
from customai.provisioning import azure_names
from customai.provisioning.api_versions import put

TYPE = "Microsoft.Databricks/workspaces"
OUTPUTS = {"url": "properties.workspaceUrl"}
DELETED_WITH = "forceDeletion=true"  # else the catalog's own data stay, and the group that Databricks manages with them
OWN = ("properties.defaultCatalog",)  # not told back by every version
FIXED = ("properties.managedResourceGroupId", "properties.computeMode", "sku")


def step(id_: str, *, place: Json, network: str, subnets: tuple[str, str], after: tuple[str, ...], why: str) -> Step:
    """The step that makes the workspace.

    Args:
        id_: the step's id.
        place: the deployment's.
        network: the id of the network that its machines are in.
        subnets: the names of the two subnets there that are delegated to it: of the machines, and of their containers.
        after: the step that makes the network.
        why: one line for people.
    """
    inputs = {"place": place, "name": name(place), "network": network, "subnets": list(subnets)}
    return Step(id_, "put", "databricks_workspace", "service", inputs, after, why)


def name(place: Json) -> str:
    return azure_names.databricks(place)


def id_of(place: Json) -> str:
    return azure_names.resource_id(place, TYPE, name(place))


def managed_group(place: Json) -> str:
    """The id of the group that Databricks makes and keeps for itself."""
    return f"/subscriptions/{place['subscription']}/resourceGroups/customai-{place['deployment']}-databricks"


def azure(inputs: Json) -> Json:
    place, (public, private) = inputs["place"], inputs["subnets"]
    parameters = {
        "customVirtualNetworkId": {"value": inputs["network"]},
        "customPublicSubnetName": {"value": public},  # Databricks' name for it: no address in it is public
        "customPrivateSubnetName": {"value": private},
        "enableNoPublicIp": {"value": True},
        "requireInfrastructureEncryption": {"value": True},
        "storageAccountSkuName": {"value": "Standard_ZRS"},
    }
    properties = {
        "computeMode": "Hybrid",
        "managedResourceGroupId": managed_group(place),
        "parameters": parameters,
        "defaultCatalog": {"initialType": "UnityCatalog"},
        # Waiver CKV_AZURE_158: a private workspace needs a private endpoint, and a way in for whoever works with it.
        "publicNetworkAccess": "Enabled",
        "requiredNsgRules": "AllRules",
    }
    return put(id_of(place), azure_names.tracked(place, properties, sku={"name": "premium"}))
