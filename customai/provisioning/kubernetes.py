"""Kubernetes objects, applied server-side as they stand here: the scoring service and, where there are GPUs, their plugin.

The service has an internal load balancer: its address is in the virtual network and nowhere else, so that plain HTTP with
a key does not leave it. From outside, `customai` goes through the cluster's API server (TLS, Entra, a port-forward).
"""

from __future__ import annotations

from collections.abc import Sequence

from customai.model import Json, Step, dumps
from customai.provisioning import image, node_pool

NAMESPACE = "scoring"
GPU_NAMESPACE = "gpu"
ROLE = "Azure Kubernetes Service RBAC Writer"  # what whoever applies this needs, in these namespaces
PORT = 8080
OUTPUTS = {"address": "", "url": ""}  # the load balancer's, from the Service's status once it has one
DEVICE_PLUGIN = "nvcr.io/nvidia/k8s-device-plugin:v0.18.0"

LABELS = {"app.kubernetes.io/name": "scoring", "app.kubernetes.io/managed-by": "customai"}
SELECTOR = {"app.kubernetes.io/name": "scoring"}
BARE = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def step(id_: str, *, cluster: str, private: bool, manifests: Sequence[Json], after: Sequence[str], why: str) -> Step:
    """The step that applies the objects and waits until the deployments among them are available.

    Args:
        id_: the step's id.
        cluster: the cluster's id.
        private: whether its API server can only be reached through `run command`.
        manifests: the objects, each after what it needs.
        after: the steps that make the cluster, its pools, namespaces and roles.
        why: one line for people.
    """
    inputs = {"cluster": cluster, "private": private, "manifests": list(manifests)}
    return Step(id_, "apply", "kubernetes", "service", inputs, tuple(after), why)


def azure(inputs: Json) -> Json:
    return dict(inputs)


def scoring(
    *,
    name: str,
    image: Json,
    server: Json,
    key: Json,
    scale: Json,
    pod: Json,
    gpu: bool,
    callers: str,
    spot: bool,
) -> tuple[Json, ...]:
    """The objects of a scoring service.

    Args:
        name: the deployment's, and all the objects'.
        image: the image, usually a reference.
        server: server.json, but for the key's digest.
        key: {"$secret": ...} of the API key.
        scale: {"min", "max", "cpu_percent"}: pods, and how busy they are kept.
        pod: {"cpu", "memory_gb"} of each.
        gpu: whether each has a GPU of its own.
        callers: the address range that may call: the virtual network's.
        spot: whether it may run on spot nodes.
    """
    return (
        _object("v1", "ServiceAccount", name, {"automountServiceAccountToken": False}),
        _object("v1", "Secret", name, {"type": "Opaque", "stringData": {"key": key}}),
        _object("networking.k8s.io/v1", "NetworkPolicy", name, {"spec": _only_scoring()}),
        _object("apps/v1", "Deployment", name, {"spec": _deployment(name, image, server, pod, gpu=gpu, spot=spot)}),
        _object("v1", "Service", name, {"spec": _service(callers)}, annotations=_INTERNAL),
        _object("policy/v1", "PodDisruptionBudget", name, {"spec": _budget()}),
        _object("autoscaling/v2", "HorizontalPodAutoscaler", name, {"spec": _autoscaler(name, scale)}),
    )


def gpus() -> tuple[Json, ...]:
    """What tells Kubernetes of the nodes' GPUs: NVIDIA's device plugin."""
    labels = {"app.kubernetes.io/name": "nvidia-device-plugin", "app.kubernetes.io/managed-by": "customai"}
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "nvidia-device-plugin", "namespace": GPU_NAMESPACE, "labels": labels},
        "automountServiceAccountToken": False,
    }
    plugin = {
        "name": "plugin",
        "image": DEVICE_PLUGIN,
        "env": [{"name": "FAIL_ON_INIT_ERROR", "value": "false"}],  # a node whose driver is not there yet
        "securityContext": BARE,
        "resources": {
            "requests": {"cpu": "50m", "memory": "128Mi"},
            "limits": {"cpu": "200m", "memory": "256Mi"},
        },
        # Waiver (no hostPath): a plugin is a socket in this folder of the kubelet's; there is no other way.
        "volumeMounts": [{"name": "plugins", "mountPath": "/var/lib/kubelet/device-plugins"}],
    }
    pod = {
        "serviceAccountName": "nvidia-device-plugin",
        "automountServiceAccountToken": False,
        "nodeSelector": {node_pool.LABEL: "scoring"},
        "tolerations": _tolerations(spot=True),
        "priorityClassName": "system-node-critical",
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [plugin],
        "volumes": [{"name": "plugins", "hostPath": {"path": "/var/lib/kubelet/device-plugins", "type": "Directory"}}],
    }
    spec = {
        "selector": {"matchLabels": {"app.kubernetes.io/name": "nvidia-device-plugin"}},
        "updateStrategy": {"type": "RollingUpdate"},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    daemons = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "nvidia-device-plugin", "namespace": GPU_NAMESPACE, "labels": labels},
        "spec": spec,
    }
    return account, daemons


_INTERNAL = {"service.beta.kubernetes.io/azure-load-balancer-internal": "true"}


def _object(api: str, kind: str, name: str, rest: Json, annotations: Json = None) -> Json:
    metadata = {"name": name, "namespace": NAMESPACE, "labels": LABELS}
    if annotations is not None:
        metadata["annotations"] = annotations
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **rest}


def _only_scoring() -> Json:
    """In to the one port, and out to nowhere. From where is the load balancer's business: it hides who calls."""
    return {
        "podSelector": {"matchLabels": SELECTOR},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"ports": [{"protocol": "TCP", "port": PORT}]}],
        "egress": [],
    }


def _service(callers: str) -> Json:
    return {
        "type": "LoadBalancer",
        "selector": SELECTOR,
        "ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": "http"}],
        "loadBalancerSourceRanges": [callers],
    }


def _budget() -> Json:
    """One at a time, so that a node can always be emptied, even with a single pod."""
    return {"maxUnavailable": 1, "selector": {"matchLabels": SELECTOR}}


def _autoscaler(name: str, scale: Json) -> Json:
    busy = {"type": "Utilization", "averageUtilization": scale["cpu_percent"]}
    return {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "minReplicas": scale["min"],
        "maxReplicas": scale["max"],
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": busy}}],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}},
    }


def _deployment(name: str, image_: Json, server: Json, pod: Json, *, gpu: bool, spot: bool) -> Json:
    """Without `replicas`: their number belongs to the autoscaler."""
    template = {
        "metadata": {"labels": LABELS},
        "spec": {
            "serviceAccountName": name,
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": int(server["drain"]) + 20,
            "nodeSelector": {node_pool.LABEL: "scoring", "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"},
            "tolerations": _tolerations(spot=spot),
            "topologySpreadConstraints": [_spread("kubernetes.io/hostname"), _spread("topology.kubernetes.io/zone")],
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": image.USER,
                "runAsGroup": image.USER,
                "fsGroup": image.USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [_container(image_, server, pod, gpu=gpu)],
            "volumes": [
                {"name": "run", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
                {"name": "key", "secret": {"secretName": name, "defaultMode": 0o440}},
            ],
        },
    }
    return {
        "revisionHistoryLimit": 5,  # what `rollback` can go back to
        "progressDeadlineSeconds": 900,  # a GPU node takes minutes to come
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "selector": {"matchLabels": SELECTOR},
        "template": template,
    }


def _container(image_: Json, server: Json, pod: Json, *, gpu: bool) -> Json:
    room = {"cpu": f"{round(pod['cpu'] * 1000)}m", "memory": f"{round(pod['memory_gb'] * 1024)}Mi"}
    limits = room | ({"nvidia.com/gpu": "1"} if gpu else {})
    return {
        "name": "scoring",
        "image": image_,
        "imagePullPolicy": "IfNotPresent",  # named by its digest: what is there is right
        "env": [
            {"name": "CUSTOMAI_SERVER", "value": dumps(server)},
            {"name": "HOME", "value": image.RUN},
            {"name": "TMPDIR", "value": image.RUN},
        ],
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "securityContext": BARE,
        "resources": {"requests": limits, "limits": limits},
        "startupProbe": _probe("ready", period=2, failures=150),
        "readinessProbe": _probe("ready", period=5, failures=2),
        "livenessProbe": _probe("live", period=10, failures=3),
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},  # while the load balancer learns of it
        "volumeMounts": [
            {"name": "run", "mountPath": image.RUN},
            {"name": "key", "mountPath": image.KEY.rpartition("/")[0], "readOnly": True},
        ],
    }


def _probe(what: str, *, period: int, failures: int) -> Json:
    return {
        "httpGet": {"path": f"/v2/health/{what}", "port": "http", "scheme": "HTTP"},
        "periodSeconds": period,
        "timeoutSeconds": 3,
        "failureThreshold": failures,
    }


def _spread(over: str) -> Json:
    return {
        "maxSkew": 1,
        "topologyKey": over,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": SELECTOR},
    }


def _tolerations(*, spot: bool) -> list[Json]:
    ours = [{"key": node_pool.LABEL, "operator": "Equal", "value": "scoring", "effect": "NoSchedule"}]
    theirs = [{"key": node_pool.SPOT_TAINT, "operator": "Equal", "value": "spot", "effect": "NoSchedule"}]
    return ours + (theirs if spot else [])
