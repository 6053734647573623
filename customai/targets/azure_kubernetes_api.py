"""The Kubernetes API of an AKS cluster, with the login's own Entra token: nothing of it is kept on disk.

An API server that the internet reaches is asked through the official client; that of a private cluster by `kubectl`
commands, which Azure runs inside of it.
"""

from __future__ import annotations

import base64
import io
import json
import re
import shlex
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

import yaml

from customai.errors import (
    Conflict,
    CustomAIError,
    Forbidden,
    NotFound,
    NotInstalled,
    NotLoggedIn,
    RunFailed,
    TargetError,
)
from customai.model import Json
from customai.provisioning import aks
from customai.provisioning.api_versions import API_VERSIONS
from customai.targets.azure_arm import Arm, Pace
from customai.targets.azure_login import INSTALL, is_loopback
from customai.targets.azure_wait import SHORT, Followed, Refusal, Tries, asked_to_wait
from customai.targets.base import Watch

T = TypeVar("T")

SCOPE = "6dae42f8-4368-4678-94ff-3960e28e3630/.default"  # the Kubernetes API servers of AKS, in every tenant
MANAGER = "customai"  # whose fields are ours, where several write the same object
APPLY = "application/apply-patch+yaml"
TIMEOUT = (20, 60)  # seconds to connect, and between two pieces of an answer
NEW_ROLE = 600.0  # a role that was given just now reaches the API server within minutes
KINDS = {
    "DaemonSet": "daemonsets",
    "Deployment": "deployments",
    "HorizontalPodAutoscaler": "horizontalpodautoscalers",
    "NetworkPolicy": "networkpolicies",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "Secret": "secrets",
    "Service": "services",
    "ServiceAccount": "serviceaccounts",
}
STATUSES = {  # the reasons that kubectl names, as the API server numbers them
    "Unauthorized": 401,
    "Forbidden": 403,
    "NotFound": 404,
    "AlreadyExists": 409,
    "Conflict": 409,
    "Invalid": 422,
    "TooManyRequests": 429,
    "InternalError": 500,
    "ServiceUnavailable": 503,
    "Timeout": 504,
}


def path_of(manifest: Json) -> str:
    """Where the object is in the API."""
    return f"{collection(manifest['apiVersion'], manifest['kind'], manifest['metadata']['namespace'])}/{manifest['metadata']['name']}"


def collection(api: str, kind: str, namespace: str) -> str:
    return f"/{'api' if '/' not in api else 'apis'}/{api}/namespaces/{namespace}/{KINDS[kind]}"


def connect(
    arm: Arm, cluster_id: str, *, where: str = "", private: bool = False, watch: Watch | None = None
) -> Cluster:
    """The Kubernetes API of a cluster that is there.

    Args:
        arm: the clients of its subscription.
        cluster_id: the id of the managed cluster.
        where: the step that asks, for errors.
        private: whether its API server is reached from inside of its network only.
        watch: of whom waits for what is asked.

    Raises:
        NotFound: there is no such cluster. NotLoggedIn, Forbidden: it does not let us in.
    """
    url = f"{cluster_id}?api-version={API_VERSIONS[aks.TYPE]}"
    watch = watch or Watch()
    if private:
        commands = _Commands(arm, url, where, watch)
        return Cluster(commands.send, where, watch, arm.pace, commands.objects)
    tries = Tries(where, watch, arm.pace)
    path, _, query = url.partition("?")
    found = tries.until(lambda: arm.ask("POST", f"{path}/listClusterUserCredential?{query}"))
    config = yaml.safe_load(base64.b64decode(found["kubeconfigs"][0]["value"]))
    server = config["clusters"][0]["cluster"]
    direct = _Direct(server["server"], server.get("certificate-authority-data"), lambda: arm.token(SCOPE))
    return Cluster(direct.send, where, watch, arm.pace)


Send = Callable[[str, str, Json], str]  # method, path with query, body -> the answer's text
Objects = Callable[[Sequence[Json]], list[Json]]  # manifests -> those objects of theirs that are there


class Cluster:
    """What is asked of a cluster. All of it may be asked twice; what passes by itself is waited for."""

    def __init__(self, send: Send, where: str, watch: Watch, pace: Pace, objects: Objects | None = None) -> None:
        self._send, self.where, self.watch, self.pace, self._objects = send, where, watch, pace, objects

    def text(self, method: str, path: str, body: Json = None, **query: object) -> str:
        """The answer as it comes.

        Raises:
            CustomAIError: in our words, once no other try would help.
        """
        return self._patiently(lambda: self._send(method, _full(path, query), body))

    def ask(self, method: str, path: str, body: Json = None, **query: object) -> Json:
        return self._patiently(lambda: json.loads(self._send(method, _full(path, query), body)))

    def _patiently(self, call: Callable[[], T]) -> T:
        return Tries(self.where, self.watch, self.pace).until(call)

    def get(self, path: str) -> Json:
        """The object as it is, or None where there is none."""
        try:
            return self.ask("GET", path)
        except NotFound:
            return None

    def objects(self, manifests: Sequence[Json]) -> list[Json]:
        """Each object as it is, or None where there is none; in one question, where a question takes long."""
        if self._objects is None:
            return [self.get(path_of(each)) for each in manifests]
        read = self._objects
        found = {path_of(each): each for each in self._patiently(lambda: read(manifests))}
        return [found.get(path_of(each)) for each in manifests]

    def every(self, path: str, **query: object) -> list[Json]:
        """The objects of a collection, with the kind that each is of: lists leave it out."""
        found = self.ask("GET", path, **query)
        kind = {"apiVersion": found["apiVersion"], "kind": str(found["kind"]).removesuffix("List")}
        return [kind | each for each in found["items"]]

    def apply(self, manifest: Json) -> Json:
        """Server-side apply: what the manifest says becomes so and ours, and what we had said before and it leaves out goes."""
        return self.ask("PATCH", path_of(manifest), manifest, fieldManager=MANAGER, force="true")

    def delete(self, path: str) -> None:
        """Missing is success."""
        try:
            self.text("DELETE", path)
        except NotFound:
            return

    def log(self, namespace: str, pod: str, **query: object) -> str:
        """What a pod has written; query: container, tailLines, previous, follow, ..."""
        return self.text("GET", f"/api/v1/namespaces/{namespace}/pods/{pod}/log", **query)


def _full(path: str, query: Mapping[str, object]) -> str:
    return path + (f"?{urlencode(query)}" if query else "")


class _Direct:
    """Through the official client."""

    def __init__(self, server: str, authority: str | None, token: Callable[[], str]) -> None:
        if not server.startswith("https://") and not is_loopback("/".join(server.split("/")[:3])):
            raise TargetError("the cluster's API server has no https address: no token is sent there", where=server)
        try:
            from kubernetes.client import ApiClient, Configuration
        except ImportError as error:
            raise NotInstalled(f"{error.name} is not installed here", hint=INSTALL) from None
        configuration = Configuration(host=server)
        configuration.retries = False  # we try again ourselves, and know what for
        if authority is not None:
            configuration.ca_cert_data = base64.b64decode(authority).decode("ascii")
        self._server, self._token, self._client = server, token, ApiClient(configuration)

    def send(self, method: str, path: str, body: Json) -> str:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        headers = {"Authorization": f"Bearer {self._token()}", "Accept": "application/json, */*"}
        if body is not None:
            headers["Content-Type"] = APPLY if method == "PATCH" else "application/json"
        try:
            answer = self._client.call_api(method, self._server + path, headers, body, _request_timeout=TIMEOUT)
            text = str(answer.response.data, "utf-8", errors="replace")
        except (HTTPError, ApiException, OSError) as error:
            raise unreached(self._server, error) from None
        if 200 <= answer.status < 300:
            return text
        what = f"{method} {path.partition('?')[0]}"
        raise refusal(answer.status, _message(text), what, dict(answer.headers))


class _Commands:
    """Through `kubectl` in a pod that Azure starts inside of the cluster, for one command: some seconds each."""

    def __init__(self, arm: Arm, url: str, where: str, watch: Watch) -> None:
        self._arm, self._url = arm, url
        self._followed = Followed(arm, url, where, watch, arm.pace)

    def send(self, method: str, path: str, body: Json) -> str:
        command, files = _kubectl(method, path, body)
        return self._ran(command, files, f"{method} {path.partition('?')[0]}")

    def objects(self, manifests: Sequence[Json]) -> list[Json]:
        names = [
            {"apiVersion": each["apiVersion"], "kind": each["kind"], "metadata": _place(each)} for each in manifests
        ]
        listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": names})
        command = "kubectl get -f objects.json -o json --ignore-not-found"
        found = json.loads(self._ran(command, {"objects.json": listed}, "GET") or "{}")
        return list(found["items"]) if found.get("kind") == "List" else [found] if found else []

    def _ran(self, command: str, files: Mapping[str, str], what: str) -> str:
        asked = {"command": command, "context": _zipped(files), "clusterToken": self._arm.token(SCOPE)}
        operation = self._arm.act(self._url, "runCommand", asked)
        self._followed.ended(operation)
        told = operation.result()["properties"]
        said = str(told.get("logs") or "")
        if told.get("exitCode") == 0:
            return said
        reason = re.search(rf"\(({'|'.join(STATUSES)})\)", said)
        status = STATUSES[reason[1]] if reason else 0
        raise refusal(status, " ".join(said.split())[-500:], what, {})


def _kubectl(method: str, path: str, body: Json) -> tuple[str, dict[str, str]]:
    if method == "PATCH":
        command = f"kubectl apply --server-side --force-conflicts --field-manager={MANAGER} -o json -f object.json"
        return command, {"object.json": json.dumps(body)}
    verb = {"GET": "get", "DELETE": "delete", "POST": "create"}[method]
    if body is None:
        return f"kubectl {verb} --raw {shlex.quote(path)}", {}
    return f"kubectl {verb} --raw {shlex.quote(path)} -f body.json", {"body.json": json.dumps(body)}


def _place(manifest: Json) -> Json:
    return {key: manifest["metadata"][key] for key in ("name", "namespace")}


def _zipped(files: Mapping[str, str]) -> str:
    if not files:
        return ""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as made:
        for name, text in files.items():
            made.writestr(name, text)
    return base64.b64encode(packed.getvalue()).decode("ascii")


def _message(text: str) -> str:
    """What the API server says, where it is the API server that has answered."""
    try:
        found: Any = json.loads(text)
    except ValueError:
        return ""
    return " ".join(str(found.get("message") or "").split()) if isinstance(found, dict) else ""


def refusal(status: int, said: str, what: str, headers: Mapping[str, str]) -> Refusal:
    """What an answer means that is not what was asked for (`what`)."""
    said = said or f"HTTP {status}"
    again = "run the same command again: it continues where it was"
    told: dict[int, tuple[type[CustomAIError], str, str]] = {
        401: (NotLoggedIn, "the cluster does not know who you are", "az login"),
        403: (
            Forbidden,
            "you have no right to do this in the cluster (a new role takes some minutes)",
            "is 'Azure Kubernetes Service RBAC Writer' on its namespace yours? Then run the same command again",
        ),
        404: (NotFound, "it is not in the cluster", again),
        409: (
            Conflict,
            "somebody else is changing the same object in the cluster",
            "look who (kubectl get ... --show-managed-fields), let them end, and run the same command again",
        ),
        422: (RunFailed, "Kubernetes does not take the object as it is", "what the message names is wrong in the spec"),
        0: (RunFailed, "the command in the cluster has failed", again),
    }
    kind, means, hint = told.get(status, (TargetError, "the cluster has a problem", again))
    passes = {403: NEW_ROLE, 409: SHORT, 429: SHORT}.get(status, SHORT if status >= 500 else 0.0)
    wait = asked_to_wait(headers)
    return Refusal(kind(f"{means}: {said}", where=what, hint=hint), passes, wait, code=f"Kubernetes {status}")


def unreached(server: str, error: Exception) -> Refusal:
    reason = str(getattr(error, "reason", None) or error).strip().splitlines() or [type(error).__name__]
    hint = "is your address among azure.allow_from, and is there a way to the internet from here (proxy, VPN)?"
    told = TargetError(f"the cluster's API server cannot be reached: {reason[0]}", where=server, hint=hint)
    return Refusal(told, SHORT, None, code=type(error).__name__)
