"""A Kubernetes cluster (AKS), with the nodes that it needs for itself.

Other node pools, namespaces and the times of upgrades are resources of their own, so that changing one changes nothing
else.
"""

from __future__ import annotations

from collections.abc import Sequence

from customai.model import Json, Step
from customai.provisioning import azure_names, node_pool
from customai.provisioning.api_versions import put

TYPE = "Microsoft.ContainerService/managedClusters"
OUTPUTS = {
    "oidc_issuer": "properties.oidcIssuerProfile.issuerURL",
    "node_resource_group": "properties.nodeResourceGroup",
}
FIXED = (  # what AKS does not let change: another value is another cluster
    "properties.dnsPrefix",
    "properties.nodeResourceGroup",
    "properties.apiServerAccessProfile.enablePrivateCluster",
    "properties.networkProfile.podCidr",
    "properties.networkProfile.serviceCidr",
    "properties.networkProfile.dnsServiceIP",
    *(f"properties.agentPoolProfiles.[].{each}" for each in node_pool.NODES_FIXED),
)
OWN = ("properties.agentPoolProfiles.[].count",)  # the autoscaler's: another number is no drift
SHARED = "properties.agentPoolProfiles"  # a list that shows the other pools too
SYSTEM_POOL = "system"


def step(
    id_: str,
    *,
    place: Json,
    name: str,
    version: str | None,
    tier: str,
    private: bool,
    allow_from: Sequence[Json],
    subnet: str,
    identity: str,
    kubelet: Json,
    ranges: Json,
    system: Json,
    after: tuple[str, ...],
    why: str,
) -> Step:
    """The step that makes the cluster.

    Args:
        id_: the step's id.
        place: the deployment's.
        name: the cluster's.
        version: Kubernetes', or None: AKS's own choice.
        tier: free or standard.
        private: whether only the network sees its API server.
        allow_from: address prefixes that may reach it if not; may be references.
        subnet: the id of the nodes' subnet.
        identity: the id of the cluster's identity.
        kubelet: the nodes' identity: {"id", "client_id", "object_id"}.
        ranges: {"pods", "services", "dns"}: address ranges, and the address of its DNS.
        system: the pool for itself: {"size", "min", "max", "zones"}.
        after: the steps that make what it needs.
        why: one line for people.
    """
    inputs = {
        "place": place,
        "name": name,
        "version": version,
        "tier": tier,
        "private": private,
        "allow_from": list(allow_from),
        "subnet": subnet,
        "identity": identity,
        "kubelet": kubelet,
        "ranges": ranges,
        "system": system,
    }
    return Step(id_, "put", "aks", "compute", inputs, after, why)


def id_of(place: Json, name: str) -> str:
    return azure_names.resource_id(place, TYPE, name)


def azure(inputs: Json) -> Json:
    # Waivers CKV_AZURE_115, 117, 170: private, own disk keys and the paid tier are for the spec or for later;
    # CKV_AZURE_4: azureMonitorProfile.containerInsights cannot yet be checked against Microsoft's description.
    place = inputs["place"]
    properties = {
        "dnsPrefix": inputs["name"],
        "nodeResourceGroup": f"{place['group'][: 80 - len('-nodes')]}-nodes",
        "enableRBAC": True,
        "disableLocalAccounts": True,
        "aadProfile": {"managed": True, "enableAzureRBAC": True},
        "apiServerAccessProfile": _api_server(inputs),
        "identityProfile": {"kubeletidentity": _kubelet(inputs["kubelet"])},
        "networkProfile": _network(inputs["ranges"]),
        "oidcIssuerProfile": {"enabled": True},
        "securityProfile": {
            "workloadIdentity": {"enabled": True},
            "imageCleaner": {"enabled": True, "intervalHours": 168},
        },
        "autoUpgradeProfile": {"upgradeChannel": "stable", "nodeOSUpgradeChannel": "NodeImage"},
        "addonProfiles": {
            "azurepolicy": {"enabled": True},
            "azureKeyvaultSecretsProvider": {"enabled": True, "config": {"enableSecretRotation": "true"}},
        },
        "agentPoolProfiles": [_system_pool(inputs)],
    }
    if inputs["version"] is not None:
        properties["kubernetesVersion"] = inputs["version"]
    sku = {"name": "Base", "tier": inputs["tier"].capitalize()}
    identity = {"type": "UserAssigned", "userAssignedIdentities": {inputs["identity"]: {}}}
    body = azure_names.tracked(place, properties, sku=sku, identity=identity)
    return put(id_of(place, inputs["name"]), body)


def _api_server(inputs: Json) -> Json:
    if inputs["private"]:  # whoever is not in the network goes through `run command`, with Entra's say
        return {"enablePrivateCluster": True, "privateDNSZone": "system", "enablePrivateClusterPublicFQDN": False}
    return {"authorizedIPRanges": inputs["allow_from"], "disableRunCommand": True}


def _kubelet(identity: Json) -> Json:
    """The nodes have an identity that we made: it may pull images before there is a node."""
    return {"resourceId": identity["id"], "clientId": identity["client_id"], "objectId": identity["object_id"]}


def _network(ranges: Json) -> Json:
    return {
        "networkPlugin": "azure",
        "networkPluginMode": "overlay",
        "networkDataplane": "cilium",
        "networkPolicy": "cilium",
        "podCidr": ranges["pods"],
        "serviceCidr": ranges["services"],
        "dnsServiceIP": ranges["dns"],
        "loadBalancerSku": "standard",
        "outboundType": "loadBalancer",
    }


def _system_pool(inputs: Json) -> Json:
    return {
        "name": SYSTEM_POOL,
        "mode": "System",
        "nodeTaints": ["CriticalAddonsOnly=true:NoSchedule"],
        **node_pool.nodes(inputs["system"], inputs["subnet"]),
    }
