"""Nodes of a cluster, of one size, as many as are needed: the system's, which the cluster is born with, and others."""

from __future__ import annotations

import re

from customai.model import Json, Step
from customai.provisioning import azure_names
from customai.provisioning.api_versions import put

TYPE = "Microsoft.ContainerService/managedClusters/agentPools"
OUTPUTS: dict[str, str] = {}
NODES_FIXED = ("availabilityZones", "osDiskSizeGB", "osDiskType", "osSKU", "vmSize", "vnetSubnetID")
FIXED = tuple(  # what AKS does not let change: another value is another pool
    f"properties.{each}" for each in (*NODES_FIXED, "scaleSetEvictionPolicy", "scaleSetPriority", "spotMaxPrice")
)
OWN = ("properties.count",)  # the autoscaler's: another number is no drift
LABEL = "customai.io/pool"  # on the nodes that score, and their taint: nothing else runs there
SPOT_TAINT = "kubernetes.azure.com/scalesetpriority"
GPU = re.compile(r"Standard_N")
# Sizes with a disk of their own (a d among their letters, and the T4s). From v6 on it is NVMe, which is another matter.
LOCAL_DISK = re.compile(r"Standard_[A-Z]+\d+(-\d+)?[a-z]*d[a-z]*(_[A-Z0-9]+)?_v[2-5]|Standard_NC\d+as_T4_v3")
EPHEMERAL_GB = 60  # what fits on the smallest of those disks: 64 GB on NC24ads_A100_v4, 75 GB on D2ds_v5


def step(
    id_: str, *, place: Json, cluster: str, name: str, pool: Json, subnet: str, after: tuple[str, ...], why: str
) -> Step:
    """The step that adds a pool that scores.

    Args:
        id_: the step's id.
        place: the deployment's.
        cluster: the cluster's name.
        name: the pool's.
        pool: {"size", "min", "max", "spot", "zones"}.
        subnet: the id of the subnet that the nodes are in.
        after: the step that makes the cluster.
        why: one line for people.
    """
    inputs = {"place": place, "cluster": cluster, "name": name, "pool": pool, "subnet": subnet}
    return Step(id_, "put", "node_pool", "compute", inputs, after, why)


def is_gpu(size: str) -> bool:
    return GPU.match(size) is not None


def azure(inputs: Json) -> Json:
    pool = inputs["pool"]
    properties = {
        "mode": "User",
        "nodeLabels": {LABEL: "scoring"},
        # The spot taint is set by AKS as well: without it here, each new deployment would take it for a change.
        "nodeTaints": [f"{LABEL}=scoring:NoSchedule"] + ([f"{SPOT_TAINT}=spot:NoSchedule"] if pool["spot"] else []),
        **nodes(pool, inputs["subnet"]),
    }
    if pool["spot"]:
        properties |= {"scaleSetPriority": "Spot", "scaleSetEvictionPolicy": "Delete", "spotMaxPrice": -1.0}
    if is_gpu(pool["size"]):
        properties["gpuProfile"] = {"driver": "Install"}
    id_ = azure_names.resource_id(inputs["place"], TYPE, inputs["cluster"], inputs["name"])
    return put(id_, {"properties": properties})


def nodes(pool: Json, subnet: str) -> Json:
    """What every pool has, the system's too. `count` is where it starts; the autoscaler goes on from there."""
    common = {
        "vmSize": pool["size"],
        "count": pool["min"],
        "minCount": pool["min"],
        "maxCount": pool["max"],
        "enableAutoScaling": True,
        "type": "VirtualMachineScaleSets",
        "osType": "Linux",
        "osSKU": "Ubuntu" if is_gpu(pool["size"]) else "AzureLinux",  # NVIDIA's driver is best trodden on Ubuntu
        "maxPods": 110,
        "vnetSubnetID": subnet,
        "enableNodePublicIP": False,
        "enableEncryptionAtHost": True,
    }
    return common | _os_disk(pool["size"]) | ({"availabilityZones": pool["zones"]} if pool["zones"] else {})


def _os_disk(size: str) -> Json:
    """On the node's own disk where there is one: quicker, free, and gone with the node.

    Waiver CKV_AZURE_226: a size without a disk of its own cannot hold one.
    """
    if LOCAL_DISK.fullmatch(size):
        return {"osDiskType": "Ephemeral", "osDiskSizeGB": EPHEMERAL_GB}
    return {"osDiskType": "Managed"}
