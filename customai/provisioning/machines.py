"""The virtual machines that a plan's requests ask for: what is billed, and what counts against a quota."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from customai.model import Json, Step
from customai.provisioning.api_versions import type_of

COMPUTE, ML, BATCH_AI = "compute", "ml", "batchai"  # whose quota: Azure Machine Learning has its own, Batch AI had
SPOT_FAMILY = "lowPriorityCores"
# Azure ML keeps a fifth more cores free for an online deployment, to upgrade it; but not of these.
WITHOUT_RESERVE = re.compile(r"Standard_(ND|NC\d+ad\w*_(A100|H100))", re.IGNORECASE)


@dataclass(frozen=True)
class Machines:
    """So many machines of one size that a step asks for.

    Args:
        step: its id.
        size: Standard_...
        count: so many as it is made; `most` when it has grown; `idle` when nobody uses it.
        spot: whether Azure may take them back.
        zones: where they are to be.
        quota: COMPUTE, ML or BATCH_AI.
        reserve: whether Azure ML's 20 % more count against the quota.
        disk: their system disk, {"gb", "type"}; None where it is part of the size.
    """

    step: str
    size: str
    count: int
    most: int
    idle: int
    spot: bool = False
    zones: tuple[str, ...] = ()
    quota: str = COMPUTE
    reserve: bool = False
    disk: Json = None

    def counted(self, number: int) -> int:
        """How many count against the quota when there are so many."""
        return math.ceil(number * 1.2) if self.reserve else number


def machines_of(step: Step) -> Iterator[Machines]:
    """What a step's request asks for."""
    if step.is_request:
        read = READ.get(type_of(str(step.inputs["url"]).partition("?")[0]))
        if read is not None:
            yield from read(step.id, step.inputs["body"], step.inputs["body"].get("properties") or {})
    elif step.kind == "databricks_job":
        yield _databricks(step.id, step.inputs["settings"]["job_clusters"][0]["new_cluster"])


def _databricks(id_: str, cluster: Json) -> Machines:
    """They come for a run, one of them to drive it, and go with it."""
    workers = (cluster.get("autoscale") or {}).get("max_workers") or cluster.get("num_workers") or 0
    return Machines(id_, cluster["node_type_id"], count=0, most=workers + 1, idle=0)


def _virtual_machine(id_: str, body: Json, own: Json) -> Iterator[Machines]:
    disk = (own.get("storageProfile") or {}).get("osDisk") or {}
    yield Machines(
        id_,
        own["hardwareProfile"]["vmSize"],
        count=1,
        most=1,
        idle=0,  # deallocated
        spot=own.get("priority") == "Spot",
        zones=tuple(body.get("zones") or ()),
        disk={"gb": disk.get("diskSizeGB", 128), "type": disk.get("managedDisk", {}).get("storageAccountType")},
    )


def _cluster(id_: str, _body: Json, own: Json) -> Iterator[Machines]:
    for pool in own.get("agentPoolProfiles") or ():
        yield from _pool(id_, {}, pool)


def _pool(id_: str, _body: Json, pool: Json) -> Iterator[Machines]:
    count = pool["count"]
    grows = pool.get("enableAutoScaling")
    yield Machines(
        id_,
        pool["vmSize"],
        count=count,
        most=pool.get("maxCount", count) if grows else count,
        idle=pool.get("minCount", count) if grows else count,
        spot=pool.get("scaleSetPriority") == "Spot",
        zones=tuple(pool.get("availabilityZones") or ()),
        disk=None
        if pool.get("osDiskType") == "Ephemeral"
        else {"gb": pool.get("osDiskSizeGB") or 128, "type": "Premium_LRS"},
    )


def _ml_compute(id_: str, _body: Json, own: Json) -> Iterator[Machines]:
    inner = own.get("properties") or {}
    if "vmSize" not in inner:
        return
    scale = inner.get("scaleSettings") or {}
    instance = own.get("computeType") == "ComputeInstance"
    few = 1 if instance else scale.get("minNodeCount", 0)
    yield Machines(
        id_,
        inner["vmSize"],
        count=few,
        most=1 if instance else scale.get("maxNodeCount", few),
        idle=0 if instance else few,
        spot=inner.get("vmPriority") == "LowPriority",
        quota=ML,
    )


def _ml_deployment(id_: str, body: Json, own: Json) -> Iterator[Machines]:
    if own.get("instanceType"):
        count = (body.get("sku") or {}).get("capacity") or 1
        reserve = WITHOUT_RESERVE.match(own["instanceType"]) is None
        yield Machines(id_, own["instanceType"], count, count, count, quota=ML, reserve=reserve)


def _batchai_cluster(id_: str, _body: Json, own: Json) -> Iterator[Machines]:
    scale = (own.get("scaleSettings") or {}).get("autoScale") or {}
    few = scale.get("minimumNodeCount", 0)
    if "vmSize" in own:
        yield Machines(id_, own["vmSize"], count=few, most=scale.get("maximumNodeCount", few), idle=few, quota=BATCH_AI)


def _batchai_file_server(id_: str, _body: Json, own: Json) -> Iterator[Machines]:
    disks = own.get("dataDisks") or {}
    disk = {"gb": disks.get("diskSizeInGB", 128), "type": disks.get("storageAccountType")}
    if "vmSize" in own:
        yield Machines(id_, own["vmSize"], count=1, most=1, idle=1, quota=BATCH_AI, disk=disk)  # nothing stops it


READ: dict[str, Callable[[str, Json, Json], Iterator[Machines]]] = {
    "Microsoft.BatchAI/workspaces/clusters": _batchai_cluster,
    "Microsoft.BatchAI/workspaces/fileServers": _batchai_file_server,
    "Microsoft.Compute/virtualMachines": _virtual_machine,
    "Microsoft.ContainerService/managedClusters": _cluster,
    "Microsoft.ContainerService/managedClusters/agentPools": _pool,
    "Microsoft.MachineLearningServices/workspaces/computes": _ml_compute,
    "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/deployments": _ml_deployment,
}
