"""A managed online endpoint of Azure ML: an address with TLS that answers requests; Entra tokens alone are taken."""

from __future__ import annotations

from customai.model import Json, Step
from customai.provisioning import azure_names
from customai.provisioning.api_versions import put

TYPE = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints"
OUTPUTS = {"scoring_uri": "properties.scoringUri"}
FIXED = ("properties.authMode",)


def step(
    id_: str,
    *,
    place: Json,
    workspace: str,
    name: str,
    private: bool,
    identity: str,
    after: tuple[str, ...],
    why: str,
) -> Step:
    """The step that makes the endpoint; which of its deployments answer is said when they stand (see traffic)."""
    inputs = {"place": place, "workspace": workspace, "name": name, "private": private, "identity": identity}
    return Step(id_, "put", "online_endpoint", "service", inputs, after, why)


def id_of(place: Json, workspace: str, name: str) -> str:
    return azure_names.resource_id(place, TYPE, workspace, name)


def azure(inputs: Json) -> Json:
    place = inputs["place"]
    properties = {
        "authMode": "AADToken",
        "publicNetworkAccess": "Disabled" if inputs["private"] else "Enabled",
    }
    identity = {"type": "UserAssigned", "userAssignedIdentities": {inputs["identity"]: {}}}
    body = azure_names.tracked(place, properties, identity=identity)
    return put(id_of(place, inputs["workspace"], inputs["name"]), body)
