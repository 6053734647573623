"""What a cluster's controllers do: a Deployment gets a ReplicaSet for each revision, that one gets pods, pods come up after
a while or fail as a test wants, and a Service gets its address."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cloud import Cloud
    from .kubernetes import Space

Body = dict[str, Any]
REVISION = "deployment.kubernetes.io/revision"
TROUBLES = ("ErrImagePull", "ImagePullBackOff", "CrashLoopBackOff", "Unschedulable", "ReplicaFailure", "Deadline")


class Life:
    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.trouble = ""  # one of TROUBLES: what becomes of pods that are not up yet
        self.said = "Traceback: no such file: /models/model/model.onnx"  # by what crashes
        self.addresses = True  # whether load balancers get one
        self.born: dict[str, float] = {}  # name of a ReplicaSet or Service, with its uid -> when

    def settle(self, space: Space) -> None:
        from .kubernetes import Object

        objects = space.objects
        for key, one in list(objects.items()):
            if key[0] in ("pods", "replicasets") and ("deployments", one.body["of"]) not in objects:
                del objects[key]
        for (plural, name), one in list(objects.items()):
            if plural == "deployments":
                for kind, made in self._deployment(space, name, one.body):
                    objects[kind, made["metadata"]["name"]] = Object(made)
            elif plural == "services" and self.addresses and self._age(one.body) >= self._seconds():
                last = int(hashlib.sha256(name.encode()).hexdigest()[:2], 16)
                one.body["status"] = {"loadBalancer": {"ingress": [{"ip": f"10.224.0.{last}"}]}}

    def _deployment(self, space: Space, name: str, body: Body) -> list[tuple[str, Body]]:
        """The ReplicaSet of what it says now, and its pods; those of earlier revisions go."""
        objects, spec = space.objects, body["spec"]
        scalers = [one.body["spec"] for (plural, _), one in objects.items() if plural == "horizontalpodautoscalers"]
        least = next((each["minReplicas"] for each in scalers if each["scaleTargetRef"]["name"] == name), 1)
        spec["replicas"] = max(spec.get("replicas", 1), least)
        mark = hashlib.sha256(json.dumps(spec["template"], sort_keys=True).encode()).hexdigest()[:10]
        sets = [one.body for (plural, _), one in objects.items() if plural == "replicasets" and one.body["of"] == name]
        mine = next((each for each in sets if each["metadata"]["labels"]["pod-template-hash"] == mark), None)
        newest = max([int(each["metadata"]["annotations"][REVISION]) for each in sets], default=0)
        if mine is None:
            mine = _set(body, name, mark)
        if int(mine["metadata"].get("annotations", {}).get(REVISION, 0)) < newest or not newest:
            mine["metadata"]["annotations"] = {REVISION: str(newest + 1)}
            self.born[mine["metadata"]["name"]] = self.cloud.clock()
        annotations = body["metadata"].setdefault("annotations", {})
        annotations[REVISION] = mine["metadata"]["annotations"][REVISION]
        for key in [key for key, one in objects.items() if key[0] == "pods" and one.body["of"] == name]:
            del objects[key]
        up = self._is_up(mine)
        pods = (
            []
            if self.trouble == "ReplicaFailure" and not up
            else [self._pod(mine, n, up=up) for n in range(spec["replicas"])]
        )
        body["status"] = self._status(body, up=up)
        return [("replicasets", mine), *(("pods", each) for each in pods)]

    def _is_up(self, set_: Body) -> bool:
        """Once up, it stays so, whatever troubles new pods."""
        if not set_.get("up"):
            set_["up"] = (
                not self.trouble and self.cloud.clock() - self.born[set_["metadata"]["name"]] >= self._seconds()
            )
        return bool(set_["up"])

    def _status(self, body: Body, *, up: bool) -> Body:
        wanted = body["spec"]["replicas"]
        failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate"}
        failure["message"] = (
            'pods "scoring-" is forbidden: exceeded quota: compute, requested: cpu=2, used: cpu=4, limited: cpu=4'
        )
        late = {
            "type": "Progressing",
            "status": "False",
            "reason": "ProgressDeadlineExceeded",
            "message": "has timed out",
        }
        conditions = {"ReplicaFailure": [failure], "Deadline": [late]}.get(self.trouble, []) if not up else []
        return {
            "observedGeneration": body["metadata"].get("generation", 1),
            "replicas": wanted,
            "updatedReplicas": wanted,
            "availableReplicas": wanted if up else 0,
            "conditions": conditions,
        }

    def _pod(self, set_: Body, number: int, *, up: bool) -> Body:
        name = f"{set_['metadata']['name']}-{number}"
        scheduled = self.trouble not in ("Unschedulable", "Deadline") or up
        condition = {"type": "PodScheduled", "status": "True" if scheduled else "False"}
        if not scheduled:
            condition |= {
                "reason": "Unschedulable",
                "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
            }
        waiting: Body = {"waiting": {"reason": "ContainerCreating"}}
        container: Body = {
            "name": "scoring",
            "ready": up,
            "restartCount": 0,
            "state": {"running": {}} if up else waiting,
        }
        if not up and self.trouble in ("ErrImagePull", "ImagePullBackOff"):
            container["state"] = {
                "waiting": {"reason": self.trouble, "message": "Back-off pulling image: 401 Unauthorized"}
            }
        elif not up and self.trouble == "CrashLoopBackOff":
            container["state"] = {
                "waiting": {"reason": self.trouble, "message": "back-off 40s restarting failed container"}
            }
            container |= {"restartCount": 3, "lastState": {"terminated": {"reason": "Error", "exitCode": 1}}}
        status = {"phase": "Running" if up else "Pending", "conditions": [condition]}
        if scheduled:
            status["containerStatuses"] = [container]
        labels = set_["metadata"]["labels"]
        metadata = {"name": name, "namespace": set_["metadata"]["namespace"], "labels": labels}
        return {"apiVersion": "v1", "kind": "Pod", "of": set_["of"], "metadata": metadata, "status": status}

    def log(self, pod: Body) -> str:
        containers = pod["status"].get("containerStatuses") or [{}]
        return f"starting\n{self.said}\n" if containers[0].get("restartCount") else '{"event": "ready"}\n'

    def _age(self, body: Body) -> float:
        return self.cloud.clock() - self.born.setdefault(body["metadata"]["uid"], self.cloud.clock())

    def _seconds(self) -> float:
        return self.cloud.times.plain(30)


def _set(body: Body, name: str, mark: str) -> Body:
    labels = body["spec"]["template"]["metadata"]["labels"] | {"pod-template-hash": mark}
    metadata = {"name": f"{name}-{mark}", "namespace": body["metadata"]["namespace"], "labels": labels}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "of": name,
        "metadata": metadata,
        "spec": body["spec"]["template"],
    }
