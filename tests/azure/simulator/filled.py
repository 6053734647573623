"""What Azure fills into a body: defaults at once, read-only properties at once (`READ_ONLY`) and those that are there only
when the thing stands (`LATE`). Each function takes the resource's id, its generation and the body, and gives properties."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from .catalog import made_up

Body = dict[str, Any]
Filler = Callable[[str, int, Body, str], Body]

_RULES = [  # the rules that every network security group has
    ("AllowVnetInBound", "*", "VirtualNetwork", "VirtualNetwork", "Allow", 65000, "Inbound"),
    ("AllowAzureLoadBalancerInBound", "*", "AzureLoadBalancer", "*", "Allow", 65001, "Inbound"),
    ("DenyAllInBound", "*", "*", "*", "Deny", 65500, "Inbound"),
    ("AllowVnetOutBound", "*", "VirtualNetwork", "VirtualNetwork", "Allow", 65000, "Outbound"),
    ("AllowInternetOutBound", "*", "*", "Internet", "Allow", 65001, "Outbound"),
    ("DenyAllOutBound", "*", "*", "*", "Deny", 65500, "Outbound"),
]


def _network(key: str, made: int, body: Body, tenant: str) -> Body:
    return {"resourceGuid": made_up(key, made, "guid")}


def _security_group(key: str, made: int, body: Body, tenant: str) -> Body:
    names = ("protocol", "sourceAddressPrefix", "destinationAddressPrefix", "access", "priority", "direction")
    rules = [
        {
            "name": rule[0],
            "id": f"{body['id']}/defaultSecurityRules/{rule[0]}",
            "type": "Microsoft.Network/networkSecurityGroups/defaultSecurityRules",
            "properties": dict(zip(names, rule[1:], strict=True)),
        }
        for rule in _RULES
    ]
    return {"resourceGuid": made_up(key, made, "guid"), "defaultSecurityRules": rules}


def _network_interface(key: str, made: int, body: Body, tenant: str) -> Body:
    configurations = copy.deepcopy(body["properties"].get("ipConfigurations", []))
    for number, one in enumerate(configurations):
        one["id"] = f"{body['id']}/ipConfigurations/{one.get('name')}"
        one["type"] = "Microsoft.Network/networkInterfaces/ipConfigurations"
        own = one.setdefault("properties", {})
        own.update(
            {
                "provisioningState": "Succeeded",
                "primary": own.get("primary", number == 0),
                "privateIPAddressVersion": "IPv4",
            }
        )
        own.setdefault("privateIPAllocationMethod", "Dynamic")
        own.setdefault("privateIPAddress", f"10.0.0.{4 + number}")
    return {"resourceGuid": made_up(key, made, "guid"), "ipConfigurations": configurations}


def _public_address(key: str, made: int, body: Body, tenant: str) -> Body:
    digits = made_up(key, made, "address").replace("-", "")
    found: Body = {"ipAddress": f"20.{int(digits[:2], 16)}.{int(digits[2:4], 16)}.{int(digits[4:6], 16) or 1}"}
    label = (body["properties"].get("dnsSettings") or {}).get("domainNameLabel")
    if label:
        found["dnsSettings"] = {"fqdn": f"{label}.{body['location']}.cloudapp.azure.com"}
    return found


def _machine(key: str, made: int, body: Body, tenant: str) -> Body:
    image = body["properties"].get("storageProfile", {}).get("imageReference") or {}
    exact = (
        {"storageProfile": {"imageReference": {"exactVersion": image["version"]}}}
        if image.get("version", "latest") != "latest"
        else {}
    )
    return {"vmId": made_up(key, made, "vm"), "timeCreated": "2001-02-03T04:05:06Z"} | exact


def _machine_disk(key: str, made: int, body: Body, tenant: str) -> Body:
    asked = body["properties"].get("storageProfile", {}).get("osDisk", {}).get("name")
    name = asked or f"{body['name']}_OsDisk_1_{made_up(key, made, 'disk').replace('-', '')}"
    group = body["id"].split("/providers/")[0]
    return {
        "storageProfile": {
            "osDisk": {"name": name, "managedDisk": {"id": f"{group}/providers/Microsoft.Compute/disks/{name}"}}
        }
    }


def _cluster(key: str, made: int, body: Body, tenant: str) -> Body:
    group = key.split("/")[4]
    own, where = body["properties"], body["location"]
    name = f"{own.get('dnsPrefix') or body['name']}-{made_up(key, made, 'dns')[:8]}"
    version = own.get("kubernetesVersion") or "1.35"
    network = own.get("networkProfile") or {}
    return {
        "fqdn": f"{name}.hcp.{where}.azmk8s.io",
        "azurePortalFQDN": f"{name}.portal.hcp.{where}.azmk8s.io",
        "kubernetesVersion": version,
        "currentKubernetesVersion": version if version.count(".") == 2 else f"{version}.1",
        "nodeResourceGroup": own.get("nodeResourceGroup") or f"MC_{group}_{body['name']}_{where}",
        "servicePrincipalProfile": {"clientId": "msi"},
        "resourceUID": made_up(key, made, "uid").replace("-", "")[:24],
        "networkProfile": {
            "podCidrs": [network.get("podCidr", "10.244.0.0/16")],
            "serviceCidrs": [network.get("serviceCidr", "10.0.0.0/16")],
            **(
                {"loadBalancerProfile": {"managedOutboundIPs": {"count": 1}}}
                if network.get("outboundType", "loadBalancer") == "loadBalancer"
                else {}
            ),
        },
    }


def _cluster_stands(key: str, made: int, body: Body, tenant: str) -> Body:
    own = body["properties"]
    nodes = f"/subscriptions/{key.split('/')[2]}/resourcegroups/{own['nodeResourceGroup']}/providers"
    kubelet = f"{nodes}/Microsoft.ManagedIdentity/userAssignedIdentities/{body['name']}-agentpool"
    ids = {name: made_up(kubelet.lower(), made, of) for name, of in (("clientId", "client"), ("objectId", "principal"))}
    given = own.get("identityProfile") or {"kubeletidentity": {"resourceId": kubelet} | ids}
    found: Body = {"identityProfile": given}  # the nodes' own identity, or the one that was asked for
    if own.get("oidcIssuerProfile", {}).get("enabled"):
        found["oidcIssuerProfile"] = {
            "issuerURL": f"https://{body['location']}.oic.prod-aks.azure.com/{tenant}/{made_up(key, made, 'oidc')}/"
        }
    if own.get("networkProfile", {}).get("outboundType") == "loadBalancer":
        address = f"{nodes}/Microsoft.Network/publicIPAddresses/{made_up(key, made, 'outbound')}"
        found["networkProfile"] = {"loadBalancerProfile": {"effectiveOutboundIPs": [{"id": address}]}}
    return found


def _pool(key: str, made: int, body: Body, tenant: str) -> Body:
    version = body["properties"].get("orchestratorVersion") or "1.35.1"
    current = version if version.count(".") == 2 else f"{version}.1"
    return {
        "orchestratorVersion": version,
        "currentOrchestratorVersion": current,
        "nodeImageVersion": "AKSUbuntu-2204gen2containerd-202601.07.0",
    }


def _registry(key: str, made: int, body: Body, tenant: str) -> Body:
    return {"loginServer": f"{body['name'].lower()}.azurecr.io", "creationDate": "2001-02-03T04:05:06Z"}


def _identity(key: str, made: int, body: Body, tenant: str) -> Body:
    return {
        "tenantId": tenant,
        "principalId": made_up(key, made, "principal"),
        "clientId": made_up(key, made, "client"),
    }


def _role(key: str, made: int, body: Body, tenant: str) -> Body:
    scope = body["id"][: key.rindex("/providers/microsoft.authorization/")] or "/"
    kind = body["properties"].get("principalType") or "ServicePrincipal"
    stamps = {
        "createdOn": "2001-02-03T04:05:06Z",
        "updatedOn": "2001-02-03T04:05:06Z",
        "createdBy": None,
        "updatedBy": None,
    }
    return {"scope": scope, "principalType": kind} | stamps


def _workspace(key: str, made: int, body: Body, tenant: str) -> Body:
    return {
        "customerId": made_up(key, made, "customer"),
        "createdDate": "2001-02-03T04:05:06Z",
        "modifiedDate": "2001-02-03T04:05:06Z",
    }


def _account(key: str, made: int, body: Body, tenant: str) -> Body:
    ends = {
        kind: f"https://{body['name']}.{kind}.core.windows.net/"
        for kind in ("dfs", "web", "blob", "queue", "table", "file")
    }
    keys = {"key1": "2001-02-03T04:05:06Z", "key2": "2001-02-03T04:05:06Z"}
    return {
        "primaryEndpoints": ends,
        "primaryLocation": body["location"],
        "statusOfPrimary": "available",
        "creationTime": "2001-02-03T04:05:06Z",
        "keyCreationTime": keys,
    }


def _vault(key: str, made: int, body: Body, tenant: str) -> Body:
    return {"vaultUri": f"https://{body['name']}.vault.azure.net/"}


def _online_endpoint(key: str, made: int, body: Body, tenant: str) -> Body:
    return {"scoringUri": f"https://{body['name']}.{body['location']}.inference.ml.azure.com/score"}


def _batch_endpoint(key: str, made: int, body: Body, tenant: str) -> Body:
    return {"scoringUri": f"https://{body['name']}.{body['location']}.inference.ml.azure.com/jobs"}


def _insights(key: str, made: int, body: Body, tenant: str) -> Body:
    number = made_up(key, made, "insights")
    at = f"https://{body['location']}-1.in.applicationinsights.azure.com/"
    return {"InstrumentationKey": number, "ConnectionString": f"InstrumentationKey={number};IngestionEndpoint={at}"}


READ_ONLY: dict[str, Filler] = {
    "microsoft.insights/components": _insights,
    "microsoft.network/virtualnetworks": _network,
    "microsoft.network/networksecuritygroups": _security_group,
    "microsoft.network/publicipaddresses": _network,
    "microsoft.network/natgateways": _network,
    "microsoft.network/networkinterfaces": _network_interface,
    "microsoft.compute/virtualmachines": _machine,
    "microsoft.containerservice/managedclusters": _cluster,
    "microsoft.containerservice/managedclusters/agentpools": _pool,
    "microsoft.containerregistry/registries": _registry,
    "microsoft.managedidentity/userassignedidentities": _identity,
    "microsoft.authorization/roleassignments": _role,
    "microsoft.operationalinsights/workspaces": _workspace,
    "microsoft.storage/storageaccounts": _account,
    "microsoft.keyvault/vaults": _vault,
    "microsoft.machinelearningservices/workspaces/onlineendpoints": _online_endpoint,
    "microsoft.machinelearningservices/workspaces/batchendpoints": _batch_endpoint,
}


def _databricks(key: str, made: int, body: Body, tenant: str) -> Body:
    number = int(made_up(key, made, "workspace")[:8], 16)
    return {"workspaceId": str(number), "workspaceUrl": f"adb-{number}.7.azuredatabricks.net"}


LATE: dict[str, Filler] = {
    "microsoft.databricks/workspaces": _databricks,
    "microsoft.network/publicipaddresses": _public_address,
    "microsoft.compute/virtualmachines": _machine_disk,
    "microsoft.containerservice/managedclusters": _cluster_stands,
    "microsoft.containerregistry/registries/replications": lambda *_: {"status": {"displayStatus": "Ready"}},
}

# (type, property) <- what refers to it, and whether by one or by many: the references that Azure shows from the other end
BACK = [
    ("microsoft.network/publicipaddresses", "ipConfiguration", "microsoft.network/networkinterfaces", False),
    ("microsoft.network/publicipaddresses", "natGateway", "microsoft.network/natgateways", False),
    ("microsoft.network/virtualnetworks/subnets", "ipConfigurations", "microsoft.network/networkinterfaces", True),
    ("microsoft.network/natgateways", "subnets", "microsoft.network/virtualnetworks/subnets", True),
    ("microsoft.network/networksecuritygroups", "subnets", "microsoft.network/virtualnetworks/subnets", True),
    ("microsoft.network/networksecuritygroups", "networkInterfaces", "microsoft.network/networkinterfaces", True),
    ("microsoft.network/networkinterfaces", "virtualMachine", "microsoft.compute/virtualmachines", False),
]


def merged(under: Any, over: Any) -> Any:
    """`over` laid on `under`: what a request leaves out takes the default."""
    if isinstance(under, dict) and isinstance(over, dict):
        return {
            key: merged(under.get(key), over[key]) if key in over else copy.deepcopy(under[key])
            for key in [*under, *(k for k in over if k not in under)]
        }
    return copy.deepcopy(over)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(one) for key, one in value.items() if one is not None}
    return [without_nulls(one) for one in value] if isinstance(value, list) else value


def identity(asked: Body, key: str, made: int, tenant: str) -> Body:
    """The identity block of a body, with the principals that Azure made for it."""
    kind = str(asked.get("type", ""))
    found: Body = {"type": kind}
    if "SystemAssigned" in kind:
        found |= {"principalId": made_up(key, made, "system"), "tenantId": tenant}
    if asked.get("userAssignedIdentities"):
        found["userAssignedIdentities"] = {one: {} for one in asked["userAssignedIdentities"]}
    return found
