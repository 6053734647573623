"""A batch endpoint of Azure ML: an address that begins a run over a whole data set; Entra tokens alone are taken."""

from __future__ import annotations

from customai.model import Json, Step
from customai.provisioning import azure_names
from customai.provisioning.api_versions import put

TYPE = "Microsoft.MachineLearningServices/workspaces/batchEndpoints"
OUTPUTS = {"scoring_uri": "properties.scoringUri"}
FIXED = ("properties.authMode",)


def step(
    id_: str,
    *,
    place: Json,
    workspace: str,
    name: str,
    identity: str,
    after: tuple[str, ...],
    why: str,
) -> Step:
    """The step that makes the endpoint, which answers nothing before the step `traffic` has named a deployment."""
    inputs = {"place": place, "workspace": workspace, "name": name, "identity": identity}
    return Step(id_, "put", "batch_endpoint", "service", inputs, after, why)


def id_of(place: Json, workspace: str, name: str) -> str:
    return azure_names.resource_id(place, TYPE, workspace, name)


def azure(inputs: Json) -> Json:
    place = inputs["place"]
    properties = {"authMode": "AADToken"}
    identity = {"type": "UserAssigned", "userAssignedIdentities": {inputs["identity"]: {}}}
    body = azure_names.tracked(place, properties, identity=identity)
    return put(id_of(place, inputs["workspace"], inputs["name"]), body)
