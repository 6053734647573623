"""A cluster of Batch AI: nodes that come for jobs and go after them, with a file server mounted on each."""

from __future__ import annotations

from customai.model import Json, Step
from customai.provisioning import azure_names, batchai_file_server
from customai.provisioning.api_versions import put

TYPE = "Microsoft.BatchAI/workspaces/clusters"
OUTPUTS: dict[str, str] = {}
FIXED = ("properties",)
MOUNT = "files"
MOUNTED = f"$AZ_BATCHAI_MOUNT_ROOT/{MOUNT}"  # where each node sees the file server


def step(
    id_: str,
    *,
    place: Json,
    name: str,
    nodes: Json,
    file_server: str,
    ssh_key: str | None,
    after: tuple[str, ...],
    why: str,
) -> Step:
    """The step that makes the cluster.

    Args:
        id_: the step's id.
        place: the deployment's.
        name: the cluster's.
        nodes: {"size", "min", "max"}.
        file_server: the id of what is mounted.
        ssh_key: the public key's text; None where there is no such file on this machine.
        after: the step that makes the file server.
        why: one line for people.
    """
    inputs = {"place": place, "name": name, "nodes": nodes, "file_server": file_server, "ssh_key": ssh_key}
    return Step(id_, "put", "batchai_cluster", "compute", inputs, after, why)


def id_of(place: Json, name: str) -> str:
    return azure_names.resource_id(place, TYPE, place["deployment"], name)


def azure(inputs: Json) -> Json:
    nodes = inputs["nodes"]
    mounted = {"fileServer": {"id": inputs["file_server"]}, "relativeMountPath": MOUNT}
    properties = {
        "vmSize": nodes["size"],
        "vmPriority": "dedicated",
        "scaleSettings": {
            "autoScale": {
                "minimumNodeCount": nodes["min"],
                "maximumNodeCount": nodes["max"],
                "initialNodeCount": nodes["min"],
            }
        },
        "nodeSetup": {"mountVolumes": {"fileServers": [mounted]}},
        "userAccountSettings": batchai_file_server.account(inputs["ssh_key"]),
    }
    return put(id_of(inputs["place"], inputs["name"]), {"properties": properties})
