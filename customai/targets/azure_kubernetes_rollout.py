"""Waits for what was applied: pods that answer, an address. What does not come is explained by what its pods say."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from customai.errors import CustomAIError, NoQuota, RunFailed, TimedOut
from customai.model import Json
from customai.targets.azure_kubernetes_api import Cluster, path_of

LOG_LINES = 10
RESTARTS = 3  # of a container that crashes, until nobody waits for it any more
MINUTE = 12  # looks
# How many looks something may last that can pass by itself: a new role is unknown to the registry for some minutes.
PATIENCE = {
    "ErrImagePull": 5 * MINUTE,
    "ImagePullBackOff": 5 * MINUTE,
    "CreateContainerConfigError": MINUTE,
    "CreateContainerError": MINUTE,
    "RunContainerError": MINUTE,
    "InvalidImageName": 0,
    "CrashLoopBackOff": 0,  # once it has crashed often enough
    "ReplicaFailure": MINUTE,
    "ProgressDeadlineExceeded": MINUTE,
}
REVISION = "deployment.kubernetes.io/revision"
HASH = "pod-template-hash"


@dataclass(frozen=True)
class Trouble:
    """What keeps a pod from coming up."""

    reason: str
    text: str
    pod: str = ""
    container: str = ""
    crashed: bool = False


def rolled_out(cluster: Cluster, deployment: Json) -> None:
    """Waits until all pods of a deployment are as it says, and answer.

    Raises:
        RunFailed, NoQuota, TimedOut: they do not come; the message says why not.
    """
    path, started = path_of(deployment), time.monotonic()
    seen: dict[str, int] = {}  # reason -> looks
    while True:
        found = cluster.ask("GET", path)
        if is_out(found):
            return
        troubles = list(_troubles(cluster, found))
        seen = {each.reason: seen.get(each.reason, 0) + 1 for each in troubles}
        for each in troubles:
            if each.reason in PATIENCE and seen[each.reason] > PATIENCE[each.reason]:
                raise _given_up(cluster, found, each, troubles)
        if time.monotonic() - started > cluster.pace.patience:
            why = "; ".join(dict.fromkeys(each.text for each in troubles)) or "its pods do not say why"
            hint = "run the same command again to wait for longer"
            raise TimedOut(f"{progress(found)}: {why}", where=cluster.where, hint=hint)
        cluster.watch.report(progress(found) + (f"; {troubles[0].text}" if troubles else ""))
        cluster.watch.pause(cluster.pace.look)


def is_out(deployment: Json) -> bool:
    status = deployment.get("status") or {}
    wanted = deployment["spec"].get("replicas", 1)
    return bool(
        status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
        and status.get("updatedReplicas", 0) == status.get("replicas", 0) == wanted
        and status.get("availableReplicas", 0) >= wanted
    )


def progress(deployment: Json) -> str:
    status = deployment.get("status") or {}
    new = min(status.get("updatedReplicas", 0), status.get("availableReplicas", 0))
    return f"{new} of {deployment['spec'].get('replicas', 1)} pods answer"


def address(cluster: Cluster, service: Json) -> str:
    """The load balancer's address, once it has one."""
    path, started = path_of(service), time.monotonic()
    while True:
        given = ((cluster.ask("GET", path).get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
        if given and given[0].get("ip"):
            return str(given[0]["ip"])
        if time.monotonic() - started > cluster.pace.patience:
            said = _warnings(cluster, service) or "it does not say why"
            hint = "may the cluster's identity change its subnet (Network Contributor)? Then run the same command again"
            raise TimedOut(f"the load balancer gives no address: {said}", where=cluster.where, hint=hint)
        cluster.watch.report("waiting for the load balancer's address")
        cluster.watch.pause(cluster.pace.look)


def pods_of(cluster: Cluster, deployment: Json) -> list[Json]:
    """The pods of the deployment's last revision."""
    namespace = deployment["metadata"]["namespace"]
    labels = ",".join(f"{key}={value}" for key, value in deployment["spec"]["selector"]["matchLabels"].items())
    sets = cluster.every(f"/apis/apps/v1/namespaces/{namespace}/replicasets", labelSelector=labels)
    now = (deployment["metadata"].get("annotations") or {}).get(REVISION)
    last = [each for each in sets if (each["metadata"].get("annotations") or {}).get(REVISION) == now]
    if not last:
        return []
    mark = last[0]["metadata"]["labels"][HASH]
    return cluster.every(f"/api/v1/namespaces/{namespace}/pods", labelSelector=f"{labels},{HASH}={mark}")


def _troubles(cluster: Cluster, deployment: Json) -> Iterator[Trouble]:
    """What lasts comes first."""
    for condition in (deployment.get("status") or {}).get("conditions") or ():
        said = str(condition.get("message") or "")
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            yield Trouble("ReplicaFailure", said)
        if condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            yield Trouble("ProgressDeadlineExceeded", said)
    for pod in pods_of(cluster, deployment):
        if not pod["metadata"].get("deletionTimestamp"):
            yield from _of_a_pod(pod)


def _of_a_pod(pod: Json) -> Iterator[Trouble]:
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            yield Trouble("Unschedulable", f"no node has room for {name}: {condition.get('message', '')}", name)
    for container in status.get("containerStatuses") or ():
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason, said = str(waiting.get("reason", "")), str(waiting.get("message") or "")
        last = (container.get("lastState") or {}).get("terminated") or {}
        if reason == "CrashLoopBackOff":
            ended = f"{last.get('reason', 'Error')}, exit code {last.get('exitCode', '?')}"
            often = container.get("restartCount", 0)
            lasting = reason if often >= RESTARTS else "crashing"
            yield Trouble(lasting, f"{name} has crashed {often} times ({ended})", name, container["name"], crashed=True)
        elif reason in PATIENCE:
            yield Trouble(reason, f"{name}: {reason}: {said}", name, container["name"])


def _given_up(cluster: Cluster, deployment: Json, trouble: Trouble, others: list[Trouble]) -> CustomAIError:
    where = cluster.where
    if trouble.reason == "ProgressDeadlineExceeded":
        why = next((each.text for each in others if each is not trouble), trouble.text)
        hint = "is there room for the nodes (quota, the pool's max)? Then run the same command again"
        return RunFailed(f"{progress(deployment)}, and no more come: {why}", where=where, hint=hint)
    if trouble.reason == "ReplicaFailure":
        kind = NoQuota if "quota" in trouble.text else RunFailed
        return kind(
            f"its pods may not be made: {trouble.text}", where=where, hint="what the message names stands in the way"
        )
    if not trouble.crashed:
        hint = "is the image in the registry, and may the nodes pull it (AcrPull)? Then run the same command again"
        return RunFailed(f"its pods do not start: {trouble.text}", where=where, hint=hint)
    namespace = deployment["metadata"]["namespace"]
    try:
        said = cluster.log(namespace, trouble.pod, container=trouble.container, previous="true", tailLines=LOG_LINES)
    except CustomAIError as error:
        said = f"(it cannot be read: {error.message})"
    lines = "".join(f"\n  {line}" for line in said.splitlines()[-LOG_LINES:])
    return RunFailed(
        f"{trouble.text}. It wrote:{lines or ' nothing'}", where=where, hint="mend what it names, and deploy again"
    )


def _warnings(cluster: Cluster, object_: Json) -> str:
    metadata = object_["metadata"]
    chosen = f"involvedObject.kind={object_['kind']},involvedObject.name={metadata['name']},type=Warning"
    try:
        events = cluster.every(f"/api/v1/namespaces/{metadata['namespace']}/events", fieldSelector=chosen)
    except CustomAIError:
        return ""
    return str(events[-1].get("message", "")) if events else ""
