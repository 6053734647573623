"""A namespace in a cluster, kept by ARM: nothing comes in or goes out but what its own network policies allow.

Made this way, nobody needs to be an administrator of the cluster: whoever deploys gets a role in the namespace.
"""

from __future__ import annotations

from customai.model import Json, Step
from customai.provisioning import aks, azure_names
from customai.provisioning.api_versions import put

TYPE = f"{aks.TYPE}/managedNamespaces"
OUTPUTS: dict[str, str] = {}


def step(id_: str, *, place: Json, cluster: str, name: str, level: str, after: tuple[str, ...], why: str) -> Step:
    """The step that makes the namespace; level: the Pod Security Standard (privileged, baseline or restricted)."""
    inputs = {"place": place, "cluster": cluster, "name": name, "level": level}
    return Step(id_, "put", "namespace", "scope", inputs, after, why)


def scope(place: Json, cluster: str, name: str) -> str:
    """What a role in the namespace is limited to."""
    return f"{aks.id_of(place, cluster)}/namespaces/{name}"


def azure(inputs: Json) -> Json:
    place = inputs["place"]
    properties = {
        "labels": {"pod-security.kubernetes.io/enforce": inputs["level"]},
        "defaultNetworkPolicy": {"ingress": "DenyAll", "egress": "DenyAll"},
        "adoptionPolicy": "IfIdentical",
        "deletePolicy": "Delete",
    }
    id_ = azure_names.resource_id(place, TYPE, inputs["cluster"], inputs["name"])
    return put(id_, azure_names.tracked(place, properties))
