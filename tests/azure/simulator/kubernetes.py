"""The Kubernetes API of the simulated clusters, behind the same HTTP: /_kubernetes/GROUP/CLUSTER/api/...

A namespace is there if the cluster has it as a managed namespace; who writes in it needs the role, and a new role is not
known at once. What controllers do with the objects is in kubernetes_life.py.
"""

from __future__ import annotations

import base64
import io
import json
import re
import shlex
import uuid
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from .kubernetes_apply import Disputed, Path, applied
from .kubernetes_life import Life
from .messages import Answer, Request
from .state import Resource

if TYPE_CHECKING:
    from .cloud import Cloud

Body = dict[str, Any]
CLUSTERS = "Microsoft.ContainerService/managedClusters"
WRITER = "a7ffa36f-339b-4b5c-8bdf-e2c188b2c0eb"
KINDS = {
    ("v1", "secrets"): "Secret",
    ("v1", "services"): "Service",
    ("v1", "serviceaccounts"): "ServiceAccount",
    ("v1", "pods"): "Pod",
    ("v1", "events"): "Event",
    ("apps/v1", "deployments"): "Deployment",
    ("apps/v1", "daemonsets"): "DaemonSet",
    ("apps/v1", "replicasets"): "ReplicaSet",
    ("autoscaling/v2", "horizontalpodautoscalers"): "HorizontalPodAutoscaler",
    ("networking.k8s.io/v1", "networkpolicies"): "NetworkPolicy",
    ("policy/v1", "poddisruptionbudgets"): "PodDisruptionBudget",
}
REASONS = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 422: "Invalid"}
URL = re.compile(
    r"/(?:api|apis)/(?P<api>v1|[^/]+/[^/]+)/namespaces/(?P<namespace>[^/]+)/(?P<plural>[^/]+)"
    r"(?:/(?P<name>[^/]+)(?:/(?P<part>log|status|proxy(?:/.*)?))?)?"
)


@dataclass
class Object:
    body: Body
    owners: dict[str, set[Path]] = field(default_factory=dict)


@dataclass
class Space:
    """A namespace: the resource that it is in Azure, and what is in it, by (plural, name)."""

    resource: Resource
    objects: dict[tuple[str, str], Object] = field(default_factory=dict)


class Kubernetes:
    """The API servers of all clusters."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.spaces: list[Space] = []
        self.life = Life(cloud)
        self.denials = 0  # how many more requests a new role is unknown to
        self.version = 0

    def handle(self, request: Request, found: re.Match[str]) -> Answer:
        cluster = self._cluster(found["group"], found["cluster"])
        own = {} if cluster is None else cluster.asked.get("properties", {})
        if (
            cluster is None
            or cluster.power == "Stopped"
            or own.get("apiServerAccessProfile", {}).get("enablePrivateCluster")
        ):
            return Answer(503, b"<html>no route</html>", {"Content-Type": "text/html"})
        query = dict(request.query)
        kind = request.headers.get("content-type", "")
        return self.answer(cluster, request.method, found["path"], query, request.body, kind)

    def answer(self, cluster: Resource, method: str, path: str, query: dict[str, str], body: Body, kind: str) -> Answer:
        at = URL.fullmatch(path)
        if at is None or (at["api"], at["plural"]) not in KINDS:
            return status(404, "the server could not find the requested resource")
        if not self._may(cluster, at["namespace"]):
            verb = {"GET": "get", "PATCH": "patch", "DELETE": "delete"}.get(method, "create")
            what = f'cannot {verb} resource "{at["plural"]}" in API group "" in the namespace "{at["namespace"]}"'
            said = "User does not have access to the resource in Azure. Update role assignment to allow access."
            return status(403, f'{at["plural"]} is forbidden: User "{self.cloud.catalog.caller}" {what}: {said}')
        space = self._space(cluster, at["namespace"])
        if space is None:
            return status(404, f'namespaces "{at["namespace"]}" not found')
        self.life.settle(space)
        if method == "PATCH" and kind == "application/apply-patch+yaml":
            return self._apply(space, at, query, body)
        if method not in ("GET", "DELETE"):
            return status(415 if method == "PATCH" else 405, "not simulated")
        return self._get(space, at, query) if method == "GET" else self._delete(space, at)

    def _get(self, space: Space, at: re.Match[str], query: dict[str, str]) -> Answer:
        if at["name"] is None:
            wanted = dict(each.split("=", 1) for each in query.get("labelSelector", "").split(",") if each)
            items = [
                {key: value for key, value in one.body.items() if key not in ("apiVersion", "kind")}
                for (plural, _), one in sorted(space.objects.items())
                if plural == at["plural"] and wanted.items() <= one.body["metadata"].get("labels", {}).items()
            ]
            kind = KINDS[at["api"], at["plural"]]
            return Answer(200, {"kind": f"{kind}List", "apiVersion": at["api"], "metadata": {}, "items": items})
        there = space.objects.get((at["plural"], at["name"]))
        if there is None:
            return self._missing(at)
        if at["part"] == "log":
            return Answer(200, _stamped(self.life.log(there.body), query).encode(), {"Content-Type": "text/plain"})
        return Answer(200, there.body)

    def _apply(self, space: Space, at: re.Match[str], query: dict[str, str], body: Body) -> Answer:
        if "fieldManager" not in query:
            return status(
                400, "PatchOptions.meta.k8s.io is invalid: fieldManager: Required value: is required for apply patch"
            )
        key = (at["plural"], str(at["name"]))
        there = space.objects.get(key)
        owners = dict(there.owners) if there is not None else {}
        try:
            made = applied(
                there.body if there else None, body, owners, query["fieldManager"], force=query.get("force") == "true"
            )
        except Disputed as error:
            fields = "".join(f'\nconflict with "{who}": .{".".join(path)}' for path, who in error.fields.items())
            return status(409, f"Apply failed with {len(error.fields)} conflict{fields}")
        self.version += 1
        metadata = made["metadata"]
        if there is None:
            metadata |= {"uid": str(uuid.uuid4()), "generation": 1, "resourceVersion": str(self.version)}
        elif made != there.body:
            changed = made.get("spec") != there.body.get("spec")
            metadata["generation"] = metadata.get("generation", 1) + changed
            metadata["resourceVersion"] = str(self.version)
        space.objects[key] = Object(made, owners)
        self.life.settle(space)
        return Answer(201 if there is None else 200, made)

    def _delete(self, space: Space, at: re.Match[str]) -> Answer:
        if space.objects.pop((at["plural"], str(at["name"])), None) is None:
            return self._missing(at)
        self.life.settle(space)
        return Answer(200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})

    def _missing(self, at: re.Match[str]) -> Answer:
        group = "" if at["api"] == "v1" else "." + at["api"].partition("/")[0]
        return status(404, f'{at["plural"]}{group} "{at["name"]}" not found')

    def _cluster(self, group: str, name: str) -> Resource | None:
        every = self.cloud.store.of_type(CLUSTERS)
        return next((one for one in every if one.key.split("/")[4] == group and one.name.lower() == name), None)

    def _space(self, cluster: Resource, name: str) -> Space | None:
        """The namespace, empty where it was made anew."""
        resource = self.cloud.store.get(f"{cluster.key}/managednamespaces/{name}")
        if resource is None or not resource.stands:
            return None
        space = next((one for one in self.spaces if one.resource is resource), None)
        if space is None:
            space = Space(resource)
            self.spaces.append(space)
        return space

    def _may(self, cluster: Resource, namespace: str) -> bool:
        scope = f"{cluster.key}/namespaces/{namespace}/providers/microsoft.authorization/roleassignments/"
        given = [
            one
            for one in self.cloud.store.of_type("Microsoft.Authorization/roleAssignments")
            if one.key.startswith(scope) and one.asked["properties"]["roleDefinitionId"].endswith(WRITER)
        ]
        if given and self.denials > 0:
            self.denials -= 1
            return False
        return bool(given)

    def standing(self) -> dict[str, Body]:
        """Everything that was put into the clusters that are there: NAMESPACE/PLURAL/NAME -> object."""
        with self.cloud.lock:
            return {
                f"{space.resource.name}/{plural}/{name}": one.body
                for space in self.spaces
                if self.cloud.store.get(space.resource.key) is space.resource
                for (plural, name), one in space.objects.items()
                if plural not in ("pods", "replicasets")
            }


def status(code: int, message: str) -> Answer:
    reason = REASONS.get(code, "InternalError")
    body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    return Answer(code, body | {"message": message, "reason": reason, "code": code})


def command(cloud: Cloud, cluster: Resource, request: Request) -> Answer:
    """`az aks command`: the kubectl commands that our code sends, run against the cluster's API."""
    asked = request.body
    if not asked.get("clusterToken"):
        return _ran(1, "error: You must be logged in to the server (Unauthorized)")
    files: dict[str, bytes] = {}
    if asked.get("context"):
        with zipfile.ZipFile(io.BytesIO(base64.b64decode(asked["context"]))) as packed:
            files = {name: packed.read(name) for name in packed.namelist()}
    words = shlex.split(asked["command"])
    kind = "application/json"
    if words[1] == "apply":
        body = json.loads(files[words[words.index("-f") + 1]])
        plural = next(
            plural for (api, plural), each in KINDS.items() if (api, each) == (body["apiVersion"], body["kind"])
        )
        root = "api" if "/" not in body["apiVersion"] else "apis"
        where = body["metadata"]
        path = f"/{root}/{body['apiVersion']}/namespaces/{where['namespace']}/{plural}/{where['name']}"
        manager = next(each.partition("=")[2] for each in words if each.startswith("--field-manager="))
        query = {"fieldManager": manager, "force": "true" if "--force-conflicts" in words else "false"}
        method, kind = "PATCH", "application/apply-patch+yaml"
    elif "--ignore-not-found" in words:
        asked_for = json.loads(files[words[words.index("-f") + 1]])["items"]
        answers = [cloud.kubernetes.answer(cluster, "GET", _path(each), {}, {}, "") for each in asked_for]
        if refused := next((each for each in answers if each.status not in (200, 404)), None):
            return _ran(1, f"Error from server ({refused.body['reason']}): {refused.body['message']}")
        items = [each.body for each in answers if each.status == 200]
        return _ran(0, json.dumps({"apiVersion": "v1", "kind": "List", "items": items}) if items else "")
    else:
        method, body = {"get": "GET", "delete": "DELETE"}[words[1]], {}
        path, _, text = words[words.index("--raw") + 1].partition("?")
        query = dict(parse_qsl(text))
    answer = cloud.kubernetes.answer(cluster, method, path, query, body, kind)
    if answer.status >= 400:
        return _ran(1, f"Error from server ({answer.body['reason']}): {answer.body['message']}")
    return _ran(0, answer.body.decode() if isinstance(answer.body, bytes) else json.dumps(answer.body))


def _path(body: Body) -> str:
    plural = next(plural for (api, plural), kind in KINDS.items() if (api, kind) == (body["apiVersion"], body["kind"]))
    root = "api" if "/" not in body["apiVersion"] else "apis"
    where = body["metadata"]
    return f"/{root}/{body['apiVersion']}/namespaces/{where['namespace']}/{plural}/{where['name']}"


def _stamped(text: str, query: dict[str, str]) -> str:
    """With a time before each line, if that is asked for: a second apart; and from a time on."""
    if query.get("timestamps") != "true":
        return text
    lines = [f"2001-02-03T04:05:{number:02d}.000000001Z {line}" for number, line in enumerate(text.splitlines())]
    return "".join(f"{line}\n" for line in lines if line >= query.get("sinceTime", ""))


def _ran(code: int, logs: str) -> Answer:
    return Answer(
        200,
        {
            "id": uuid.uuid4().hex,
            "properties": {
                "provisioningState": "Succeeded",
                "exitCode": code,
                "logs": logs,
                "startedAt": "2001-02-03T04:05:06Z",
                "finishedAt": "2001-02-03T04:05:07Z",
            },
        },
    )
