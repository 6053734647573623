"""A cluster of Azure ML: nodes that come when there is work and go two minutes after; none of them has a login."""

from __future__ import annotations

from customai.model import Json, Step
from customai.provisioning import azure_names
from customai.provisioning.api_versions import put

TYPE = "Microsoft.MachineLearningServices/workspaces/computes"
OUTPUTS: dict[str, str] = {}
IDLE = "PT120S"
FIXED = tuple(
    f"properties.{each}"
    for each in ("computeType", "disableLocalAuth", "properties.vmSize", "properties.vmPriority", "properties.osType")
)


def step(
    id_: str,
    *,
    place: Json,
    workspace: str,
    name: str,
    nodes: Json,
    identity: str,
    after: tuple[str, ...],
    why: str,
) -> Step:
    """The step that makes the cluster.

    Args:
        id_: the step's id.
        place: the deployment's.
        workspace: the workspace's name.
        name: the cluster's.
        nodes: {"size", "min", "max"}.
        identity: the id of what its nodes are to Azure.
        after: the steps that make the workspace and the identity.
        why: one line for people.
    """
    inputs = {"place": place, "workspace": workspace, "name": name, "nodes": nodes, "identity": identity}
    return Step(id_, "put", "ml_compute", "compute", inputs, after, why)


def id_of(place: Json, workspace: str, name: str) -> str:
    return azure_names.resource_id(place, TYPE, workspace, name)


def azure(inputs: Json) -> Json:
    place, nodes = inputs["place"], inputs["nodes"]
    cluster = {
        "osType": "Linux",
        "vmSize": nodes["size"],
        "vmPriority": "Dedicated",  # low priority has ended; what spot there is, serverless jobs have
        "scaleSettings": {
            "minNodeCount": nodes["min"],
            "maxNodeCount": nodes["max"],
            "nodeIdleTimeBeforeScaleDown": IDLE,
        },
        "remoteLoginPortPublicAccess": "Disabled",
        "enableNodePublicIp": False,
    }
    body = {
        "location": place["region"],
        "tags": azure_names.tags(place),
        "identity": {"type": "UserAssigned", "userAssignedIdentities": {inputs["identity"]: {}}},
        "properties": {"computeType": "AmlCompute", "disableLocalAuth": True, "properties": cluster},
    }
    return put(id_of(place, inputs["workspace"], inputs["name"]), body)
