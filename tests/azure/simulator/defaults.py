"""What Azure puts where a request says nothing, by type: as recorded where it was."""

from __future__ import annotations

from typing import Any

BATCH_AI_TIMES = dict.fromkeys(("creationTime", "provisioningStateTransitionTime"), "2001-02-03T04:05:06Z")

DEFAULTS: dict[str, dict[str, Any]] = {
    "microsoft.network/virtualnetworks": {"properties": {"virtualNetworkPeerings": [], "enableDdosProtection": False}},
    "microsoft.network/virtualnetworks/subnets": {
        "properties": {
            "delegations": [],
            "privateEndpointNetworkPolicies": "Disabled",
            "privateLinkServiceNetworkPolicies": "Enabled",
        }
    },
    "microsoft.network/networksecuritygroups/securityrules": {
        "properties": {
            "sourcePortRanges": [],
            "destinationPortRanges": [],
            "sourceAddressPrefixes": [],
            "destinationAddressPrefixes": [],
        }
    },
    "microsoft.network/publicipaddresses": {
        "sku": {"name": "Standard", "tier": "Regional"},
        "properties": {
            "publicIPAddressVersion": "IPv4",
            "publicIPAllocationMethod": "Static",
            "idleTimeoutInMinutes": 4,
            "ipTags": [],
            "ddosSettings": {"protectionMode": "VirtualNetworkInherited"},
        },
    },
    "microsoft.network/natgateways": {
        "sku": {"name": "Standard", "tier": "Regional"},
        "properties": {"idleTimeoutInMinutes": 4, "type": "Public"},
    },
    "microsoft.network/networkinterfaces": {
        "properties": {
            "dnsSettings": {
                "dnsServers": [],
                "appliedDnsServers": [],
                "internalDomainNameSuffix": "simulated.xx.internal.cloudapp.net",
            },
            "enableAcceleratedNetworking": False,
            "vnetEncryptionSupported": False,
            "enableIPForwarding": False,
            "hostedWorkloads": [],
            "tapConfigurations": [],
            "nicType": "Standard",
        }
    },
    "microsoft.compute/virtualmachines": {
        "properties": {
            "storageProfile": {
                "osDisk": {
                    "osType": "Linux",
                    "createOption": "FromImage",
                    "caching": "ReadWrite",
                    "deleteOption": "Detach",
                    "diskSizeGB": 30,
                    "managedDisk": {"storageAccountType": "Standard_LRS"},
                },
                "dataDisks": [],
            },
            "osProfile": {"secrets": [], "allowExtensionOperations": True, "requireGuestProvisionSignal": True},
        }
    },
    "microsoft.compute/virtualmachines/extensions": {"properties": {"autoUpgradeMinorVersion": False, "settings": {}}},
    "microsoft.compute/disks": {
        "sku": {"name": "Premium_LRS", "tier": "Premium"},
        "properties": {"diskState": "Unattached"},
    },
    "microsoft.containerservice/managedclusters": {
        "sku": {"name": "Base", "tier": "Free"},
        "properties": {
            "powerState": {"code": "Running"},
            "enableRBAC": True,
            "supportPlan": "KubernetesOfficial",
            "networkProfile": {
                "networkPlugin": "azure",
                "loadBalancerSku": "standard",
                "podCidr": "10.244.0.0/16",
                "serviceCidr": "10.0.0.0/16",
                "dnsServiceIP": "10.0.0.10",
                "outboundType": "loadBalancer",
                "ipFamilies": ["IPv4"],
            },
            "maxAgentPools": 100,
            "autoUpgradeProfile": {"nodeOSUpgradeChannel": "NodeImage"},
            "disableLocalAccounts": False,
            "securityProfile": {},
            "storageProfile": {
                "diskCSIDriver": {"enabled": True},
                "fileCSIDriver": {"enabled": True},
                "snapshotController": {"enabled": True},
            },
            "oidcIssuerProfile": {"enabled": False},
            "workloadAutoScalerProfile": {},
            "metricsProfile": {"costAnalysis": {"enabled": False}},
        },
    },
    "microsoft.containerservice/managedclusters/agentpools": {
        "properties": {
            "count": 1,
            "osDiskSizeGB": 128,
            "osDiskType": "Managed",
            "kubeletDiskType": "OS",
            "maxPods": 110,
            "type": "VirtualMachineScaleSets",
            "enableAutoScaling": False,
            "scaleDownMode": "Delete",
            "powerState": {"code": "Running"},
            "enableNodePublicIP": False,
            "nodeLabels": {},
            "mode": "User",
            "enableEncryptionAtHost": False,
            "enableUltraSSD": False,
            "osType": "Linux",
            "osSKU": "Ubuntu",
            "upgradeSettings": {},
            "enableFIPS": False,
            "securityProfile": {"enableVTPM": False, "enableSecureBoot": False},
        }
    },
    "microsoft.containerservice/managedclusters/maintenanceconfigurations": {
        "properties": {"maintenanceWindow": {"utcOffset": "+00:00", "startDate": "2026-01-25"}}
    },
    "microsoft.containerregistry/registries": {
        "sku": {"name": "Basic", "tier": "Basic"},
        "tags": {},
        "properties": {
            "adminUserEnabled": False,
            "anonymousPullEnabled": False,
            "policies": {"azureADAuthenticationAsArmPolicy": {"status": "enabled"}},
            "encryption": {"status": "disabled"},
            "dataEndpointEnabled": False,
            "dataEndpointHostNames": [],
            "privateEndpointConnections": [],
            "publicNetworkAccess": "Enabled",
            "networkRuleBypassOptions": "AzureServices",
            "networkRuleSet": {"defaultAction": "Allow", "ipRules": []},
            "zoneRedundancy": "Disabled",
            "metadataSearch": "Disabled",
        },
    },
    "microsoft.containerregistry/registries/replications": {
        "tags": {},
        "properties": {"regionEndpointEnabled": True, "zoneRedundancy": "Disabled", "status": {}},
    },
    "microsoft.managedidentity/userassignedidentities": {"tags": {}, "properties": {}},
    "microsoft.authorization/roleassignments": {
        "properties": {
            "condition": None,
            "conditionVersion": None,
            "delegatedManagedIdentityResourceId": None,
            "description": None,
        }
    },
    "microsoft.operationalinsights/workspaces": {
        "tags": {},
        "properties": {
            "sku": {"name": "PerGB2018"},
            "retentionInDays": 30,
            "publicNetworkAccessForIngestion": "Enabled",
            "publicNetworkAccessForQuery": "Enabled",
            "features": {"legacy": 0},
        },
    },
    "microsoft.storage/storageaccounts": {
        "sku": {"tier": "Standard"},
        "tags": {},
        "properties": {
            "allowCrossTenantReplication": False,
            "privateEndpointConnections": [],
            "minimumTlsVersion": "TLS1_0",
            "allowBlobPublicAccess": False,
            "networkAcls": {
                "ipv6Rules": [],
                "bypass": "AzureServices",
                "virtualNetworkRules": [],
                "ipRules": [],
                "defaultAction": "Allow",
            },
            "supportsHttpsTrafficOnly": True,
            "encryption": {"keySource": "Microsoft.Storage"},
            "accessTier": "Hot",
        },
    },
    "microsoft.batchai/workspaces": {"properties": BATCH_AI_TIMES},
    "microsoft.batchai/workspaces/experiments": {"properties": BATCH_AI_TIMES},
    "microsoft.batchai/workspaces/clusters": {
        "properties": BATCH_AI_TIMES
        | {
            "allocationState": "steady",
            "allocationStateTransitionTime": "2001-02-03T04:05:06Z",
            "currentNodeCount": 0,
            "nodeStateCounts": dict.fromkeys(
                (f"{state}NodeCount" for state in ("running", "idle", "unusable", "preparing", "leaving")), 0
            ),
            "vmPriority": "dedicated",
            "scaleSettings": {"autoScale": {"initialNodeCount": 0}},
            "virtualMachineConfiguration": {
                "imageReference": {
                    "publisher": "microsoft-dsvm",
                    "offer": "azureml",
                    "sku": "runtime",
                    "version": "latest",
                }
            },
        }
    },
    "microsoft.batchai/workspaces/experiments/jobs": {
        "properties": BATCH_AI_TIMES
        | {
            "schedulingPriority": "normal",
            "toolType": "custom",
            "constraints": {"maxWallClockTime": "P150D", "maxAttempts": 1},
            "executionState": "queued",
            "executionStateTransitionTime": "2001-02-03T04:05:06Z",
            "executionInfo": {"startTime": "2001-02-03T04:05:06Z"},
            "experimentName": "",
            "jobOutputDirectoryPathSegment": "",
            "maxJobDurationSeconds": 2592000,
            "cleanupNodeBeforeRun": False,
            "cleanupNodeAfterRun": False,
        }
    },
    "microsoft.keyvault/vaults": {
        "tags": {},
        "properties": {"enabledForDeployment": False, "enableSoftDelete": True, "publicNetworkAccess": "Enabled"},
    },
    "microsoft.machinelearningservices/workspaces": {
        "tags": {},
        "properties": {"friendlyName": "", "description": "", "publicNetworkAccess": "Enabled", "v1LegacyMode": False},
    },
}
