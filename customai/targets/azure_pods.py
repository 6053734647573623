"""What the pods of a deployment write, each line with its pod's name; followed by asking again from where one was."""

from __future__ import annotations

from collections.abc import Iterator

from customai.errors import NotFound
from customai.model import Json, Step
from customai.targets.azure_arm import Arm
from customai.targets.azure_kubernetes import cluster_of
from customai.targets.azure_kubernetes_api import Cluster
from customai.targets.base import Watch

WRITES = ("Running", "Succeeded", "Failed")  # phases of a pod that has begun


def lines(step: Step, arm: Arm, *, follow: bool) -> Iterator[str]:
    """The lines of every pod of the step's deployments: `POD TEXT`."""
    cluster, watch = cluster_of(step, arm), Watch()
    known: dict[str, str] = {}  # pod -> when it wrote its last line that was told
    while True:
        for each in step.inputs["manifests"]:
            if each["kind"] == "Deployment":
                yield from _of(cluster, each, known)
        if not follow:
            return
        watch.pause(min(cluster.pace.look, 2.0))


def _of(cluster: Cluster, deployment: Json, known: dict[str, str]) -> Iterator[str]:
    namespace = deployment["metadata"]["namespace"]
    labels = deployment["spec"]["selector"]["matchLabels"]
    selector = ",".join(f"{name}={value}" for name, value in labels.items())
    for pod in cluster.every(f"/api/v1/namespaces/{namespace}/pods", labelSelector=selector):
        name = pod["metadata"]["name"]
        if (pod.get("status") or {}).get("phase") not in WRITES:
            continue
        since = {"sinceTime": known[name]} if name in known else {}
        try:
            text = cluster.log(namespace, name, timestamps="true", **since)
        except NotFound:  # it has gone since
            continue
        for line in text.splitlines():
            when, _, said = line.partition(" ")
            if when > known.get(name, ""):
                known[name] = when
                yield f"{name} {said}"
