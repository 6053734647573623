"""Objects in a cluster, applied server-side: each is read first, and only what differs is sent.

Then what they bring about is waited for; what an earlier deploy had applied and nobody wants any more is taken away.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from customai.errors import TargetError
from customai.model import Json, Step
from customai.provisioning import aks
from customai.provisioning.api_versions import API_VERSIONS
from customai.targets.azure_arm import Arm
from customai.targets.azure_kubernetes_api import KINDS, Cluster, collection, connect, path_of
from customai.targets.azure_kubernetes_compare import differences, drifted, held, holds, marked
from customai.targets.azure_kubernetes_rollout import address, is_out, progress, rolled_out
from customai.targets.azure_wait import Tries, state_of
from customai.targets.base import Observed, Watch

__all__ = ["apply", "cluster_of", "connect", "delete", "read"]

OURS = "app.kubernetes.io/managed-by=customai"  # the label of everything that we apply
HURRY = 30.0  # seconds to be let in for what would go in any case
STANDS_STILL = ("stopped", "stopping")
GROUPS = {  # the API that each kind is listed in
    "DaemonSet": "apps/v1",
    "Deployment": "apps/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "NetworkPolicy": "networking.k8s.io/v1",
    "PodDisruptionBudget": "policy/v1",
    "Secret": "v1",
    "Service": "v1",
    "ServiceAccount": "v1",
}


def read(step: Step, outputs: Json, arm: Arm) -> Observed:
    """Whether each object is as it was applied, and its pods answer."""
    found = _managed_cluster(step, arm)
    if found is None or state_of(found) in ("creating", "deleting"):
        return Observed(present=False, as_left=False)
    power = str((found["properties"].get("powerState") or {}).get("code", "")).lower()
    if power in STANDS_STILL:
        there = outputs is not None
        return Observed(there, as_left=False, detail={"state": power, "differences": []})
    cluster = cluster_of(step, arm)
    manifests = step.inputs["manifests"]
    objects = list(zip(manifests, cluster.objects(manifests), strict=True))
    secrets = {each["metadata"]["name"]: holds(live or {}) for each, live in objects if each["kind"] == "Secret"}
    ways = [way for each, live in objects for way in _ways(each, live, secrets)]
    waiting = [live for _, live in objects if live is not None and live["kind"] == "Deployment" and not is_out(live)]
    state = progress(waiting[0]) if waiting else "succeeded"
    present = any(live is not None for _, live in objects)
    return Observed(present, not ways and state == "succeeded", {"state": state, "differences": ways})


def apply(step: Step, inputs: Json, digest: str, arm: Arm, watch: Watch) -> Json:
    """Gives the address at which the service answers."""
    del digest  # each object says of itself what it was applied from
    cluster = cluster_of(step, arm, watch)
    manifests = inputs["manifests"]
    secrets = {each["metadata"]["name"]: held(each) for each in manifests if each["kind"] == "Secret"}
    for each, live in zip(manifests, cluster.objects(manifests), strict=True):
        wanted = marked(each, secrets)
        if live is None or any(differences(wanted, live)):
            watch.report(f"applying {each['kind']} {each['metadata']['name']}")
            cluster.apply(wanted)
    _prune(cluster, manifests)
    for each in manifests:
        if each["kind"] == "Deployment":
            rolled_out(cluster, each)
    found = next(address(cluster, each) for each in manifests if each["kind"] == "Service")
    return {"address": found, "url": f"http://{found}"}


def delete(step: Step, outputs: Json, arm: Arm) -> None:
    """Takes the objects away. Where the cluster lets nobody in, they go with it and with their namespaces."""
    del outputs
    found = _managed_cluster(step, arm)
    power = "" if found is None else str((found["properties"].get("powerState") or {}).get("code", "")).lower()
    if found is None or state_of(found) == "deleting" or power in STANDS_STILL:
        return
    try:
        cluster = cluster_of(step, arm)
        cluster.pace = replace(cluster.pace, patience=min(cluster.pace.patience, HURRY))
        for each in reversed(step.inputs["manifests"]):
            cluster.delete(path_of(each))
    except TargetError:
        return


def cluster_of(step: Step, arm: Arm, watch: Watch | None = None) -> Cluster:
    """The Kubernetes API that a step of this kind is applied to."""
    return connect(arm, step.inputs["cluster"], where=step.id, private=step.inputs["private"], watch=watch)


def _managed_cluster(step: Step, arm: Arm) -> Json:
    url = f"{step.inputs['cluster']}?api-version={API_VERSIONS[aks.TYPE]}"
    return Tries(step.id, Watch(), arm.pace).until(lambda: arm.get(url))


def _ways(planned: Json, live: Json, secrets: dict[str, str]) -> Iterator[Json]:
    """How an object differs from the plan's, in the words of a drift: Deployment/digits: spec.template..."""
    name = f"{planned['kind']}/{planned['metadata']['name']}"
    if live is None:
        yield {"property": name, "wanted": "(there)", "found": None}
        return
    for each in drifted(planned, live, secrets):
        yield each.to_json() | {"property": f"{name}: {each.place}"}


def _prune(cluster: Cluster, manifests: list[Json]) -> None:
    """Takes away what carries our label, and is not among the manifests."""
    wanted = {path_of(each) for each in manifests}
    for namespace in sorted({each["metadata"]["namespace"] for each in manifests}):
        for kind in KINDS:
            for each in cluster.every(collection(GROUPS[kind], kind, namespace), labelSelector=OURS):
                if (path := path_of(each)) not in wanted:
                    cluster.watch.report(f"taking away {kind} {each['metadata']['name']}, which is not wanted any more")
                    cluster.delete(path)
