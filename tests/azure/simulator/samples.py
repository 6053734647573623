"""What tests put: small bodies that Azure would take."""

from __future__ import annotations

from typing import Any

from .catalog import SUBSCRIPTION

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/g"
NETWORK = f"{GROUP}/providers/Microsoft.Network"
SUBNET = f"{NETWORK}/virtualNetworks/net/subnets/hosts"
ADDRESS = f"{NETWORK}/publicIPAddresses/address"
SECURITY = f"{NETWORK}/networkSecurityGroups/security"
NIC = f"{NETWORK}/networkInterfaces/nic"
EAST = {"location": "eastus"}
NET = EAST | {
    "properties": {
        "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
        "subnets": [{"name": "hosts", "properties": {"addressPrefix": "10.0.0.0/24"}}],
    }
}
MACHINE = EAST | {
    "properties": {
        "hardwareProfile": {"vmSize": "Standard_D2s_v5"},
        "storageProfile": {
            "imageReference": {
                "publisher": "microsoft-dsvm",
                "offer": "ubuntu-hpc",
                "sku": "2204",
                "version": "latest",
            },
            "osDisk": {
                "createOption": "FromImage",
                "deleteOption": "Delete",
                "managedDisk": {"storageAccountType": "Premium_LRS"},
            },
        },
        "osProfile": {"computerName": "vm", "adminUsername": "ada", "customData": "c2VjcmV0"},
        "networkProfile": {"networkInterfaces": [{"id": NIC, "properties": {"primary": True}}]},
        "userData": "dXNlcg==",
    }
}
POOL = {"name": "system", "mode": "System", "count": 1, "vmSize": "Standard_D2s_v5"}
CLUSTER = EAST | {
    "identity": {"type": "SystemAssigned"},
    "properties": {"dnsPrefix": "k", "agentPoolProfiles": [POOL], "oidcIssuerProfile": {"enabled": True}},
}


def interface(**more: Any) -> dict[str, Any]:
    return EAST | {
        "properties": {"ipConfigurations": [{"name": "one", "properties": {"subnet": {"id": SUBNET}, **more}}]}
    }
