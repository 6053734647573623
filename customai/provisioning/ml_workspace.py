"""An Azure ML workspace: jobs, endpoints and what they leave, in a network that Azure manages; nothing in it uses keys."""

from __future__ import annotations

from customai.model import Json, Step
from customai.provisioning import azure_names
from customai.provisioning.api_versions import put

TYPE = "Microsoft.MachineLearningServices/workspaces"
OUTPUTS: dict[str, str] = {}
DELETED_WITH = "forceToPurge=true"  # else its name is taken for 14 days, and nothing brings it back without its store
FIXED = ("properties.storageAccount", "properties.keyVault")


def step(id_: str, *, place: Json, name: str, uses: Json, after: tuple[str, ...], why: str) -> Step:
    """The step that makes the workspace.

    Args:
        id_: the step's id.
        place: the deployment's.
        name: the workspace's.
        uses: ids of the {"identity", "storage", "vault", "insights", "registry"} that it works with.
        after: the steps that make those, and give the identity its roles on them.
        why: one line for people.
    """
    return Step(id_, "put", "ml_workspace", "service", {"place": place, "name": name, "uses": uses}, after, why)


def id_of(place: Json, name: str) -> str:
    return azure_names.resource_id(place, TYPE, name)


def azure(inputs: Json) -> Json:
    place, uses = inputs["place"], inputs["uses"]
    properties = {
        "friendlyName": inputs["name"],
        "storageAccount": uses["storage"],
        "keyVault": uses["vault"],
        "applicationInsights": uses["insights"],
        "containerRegistry": uses["registry"],
        "primaryUserAssignedIdentity": uses["identity"],
        "systemDatastoresAuthMode": "Identity",
        "v1LegacyMode": False,
        "managedNetwork": {"isolationMode": "AllowInternetOutbound"},
        # Waiver CKV_AZURE_243: a private workspace needs a private endpoint, and a way in for whoever works with it.
        "publicNetworkAccess": "Enabled",
    }
    identity = {"type": "UserAssigned", "userAssignedIdentities": {uses["identity"]: {}}}
    sku = {"name": "Basic", "tier": "Basic"}
    body = azure_names.tracked(place, properties, identity=identity, sku=sku, kind="Default")
    return put(id_of(place, inputs["name"]), body)
