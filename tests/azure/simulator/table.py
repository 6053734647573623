"""What the simulator knows of each resource type: a new one is a row here (and, where code relies on what Azure fills in,
an entry in filled.py). Which shapes are asserted against real traffic stands in test_simulator_recordings.py (RECORDED); the
others are from Microsoft's descriptions, or judgement.

Realistic durations are seconds of (create, update, delete). Recorded (endTime - startTime): machines and extensions; clusters'
create (195 to 289), stop and start; pools' create and scale. The others are judgement.
"""

from __future__ import annotations

from .shapes import GONE, Action, Poll, Shape, Type, at_once

COMPUTE_DELETE = Shape(202, operation=True, location=True, state="Deleting", body=False, retry_after=10)
COMPUTE_POST = Shape(202, operation=True, location=True, state="Updating", body=False, retry_after=10)
AKS_PUT = Shape(201, operation=True, state="Creating")
AKS_DELETE = Shape(202, operation=True, location=True, state="Deleting", body=False, end=204)
ML_DELETE = Shape(202, operation=True, location=True, state="Deleting", body=False)
UPDATED = Shape(200, operation=True, state="Updating")
PLAIN = at_once(200, state=None)
BATCH_AI_PUT = Shape(202, operation=True, location=True, state="Creating", body=False)
BATCH_AI_DELETE = Shape(202, operation=True, location=True, state="Deleting", body=False)


def _network(name: str, retry_after: float = 1, after_delete: float = 10, **more: object) -> Type:
    row = {
        "create": Shape(201, operation=True, state="Updating", retry_after=retry_after),
        "update": Shape(200, operation=True, state="Updating", retry_after=retry_after),
        "retag": Shape(200, operation=True),  # nothing to wait for, yet the header stands there
        "delete": Shape(
            202, operation=True, location=True, state="Deleting", body=False, retry_after=after_delete, end=204
        ),
        "seconds": (3, 3, 10),
    }
    row |= more
    return Type("Microsoft.Network/" + name, **row)  # type: ignore[arg-type]


ROWS = [
    Type(
        "Microsoft.Resources/resourceGroups",
        at_once(201),
        at_once(200),
        Shape(202, location=True, state="Deleting", body=False, retry_after=15),
        rule=r"^[-\w._()]{0,89}[-\w_()]$",
        seconds=(0.5, 0.5, 45),
    ),
    _network(
        "virtualNetworks",
        3,
        inline={"subnets": "Microsoft.Network/virtualNetworks/subnets"},
        rule=r"^[A-Za-z0-9][-\w.]{0,62}\w$",
    ),
    _network(
        "virtualNetworks/subnets",
        3,
        located=False,
        serial=True,
        update=UPDATED,
        in_use=(
            400,
            "InUseSubnetCannotBeDeleted",
            "Subnet {name} is in use by {by} and cannot be deleted. In order to delete the subnet, delete all the resources within the subnet. See aka.ms/deletesubnet.",
        ),
    ),
    _network(
        "networkSecurityGroups",
        after_delete=1,
        inline={"securityRules": "Microsoft.Network/networkSecurityGroups/securityRules"},
        in_use=(
            400,
            "InUseNetworkSecurityGroupCannotBeDeleted",
            "Network security group {id} cannot be deleted because it is in use by the following resources: {by}. In order to delete the Network security group, remove the association with the resource(s). To learn how to do this, see aka.ms/deletensg.",
        ),
    ),
    _network("networkSecurityGroups/securityRules", located=False),
    _network(
        "publicIPAddresses",
        in_use=(
            400,
            "PublicIPAddressCannotBeDeleted",
            "Public IP address {id} can not be deleted since it is still allocated to resource {by}. In order to delete the public IP, disassociate/detach the Public IP address from the resource.  To learn how to do this, see aka.ms/deletepublicip.",
        ),
    ),
    _network(
        "natGateways",
        10,
        seconds=(12, 3, 10),
        in_use=(
            400,
            "InUseNatGatewayCannotBeDeleted",
            "Nat Gateway {id} cannot be deleted because it is in use by {by}.",
        ),
    ),
    _network(
        "networkInterfaces",
        after_delete=4,
        create=at_once(201),
        update=at_once(200),
        retag=None,
        in_use=(
            400,
            "NicInUse",
            "Network Interface {id} is used by existing resource {by}. In order to delete the network interface, it must be dissociated from the resource. To learn more, see aka.ms/deletenic.",
        ),
    ),
    _network("loadBalancers"),
    _network("bastionHosts", 10, seconds=(300, 60, 200)),
    _network("privateEndpoints", 10, seconds=(30, 10, 20)),
    _network("privateDnsZones", 10, seconds=(30, 10, 20)),
    Type(
        "Microsoft.Compute/virtualMachines",
        Shape(201, operation=True, state="Creating", retry_after=10),
        UPDATED,
        COMPUTE_DELETE,
        rule=r"^[A-Za-z0-9][-\w.]{0,62}[\w]$|^[A-Za-z0-9]$",
        preempts=True,
        fixed=(
            "osProfile.adminUsername",
            "osProfile.computerName",
            "osProfile.linuxConfiguration.ssh",
            "storageProfile.imageReference",
            "priority",
        ),
        actions={
            "start": Action(COMPUTE_POST, power="running", seconds=20),
            "deallocate": Action(COMPUTE_POST, power="deallocated", seconds=40),
            "powerOff": Action(COMPUTE_POST, power="stopped", seconds=20),
            "restart": Action(COMPUTE_POST, power="running", seconds=30),
            "runCommand": Action(COMPUTE_POST, answer="run_command", seconds=30),
        },
        seconds=(37, 11, 30),
    ),
    Type(
        "Microsoft.Compute/virtualMachines/extensions",
        Shape(201, operation=True, state="Creating"),
        UPDATED,
        Shape(202, operation=True, location=True, state="Deleting", body=False),
        seconds=(11, 10, 20),
    ),
    Type(
        "Microsoft.Compute/disks",
        Shape(202, operation=True, location=True, state="Updating", retry_after=2),
        Shape(202, operation=True, location=True, state="Updating", retry_after=2),
        COMPUTE_DELETE,
        in_use=(409, "OperationNotAllowed", "Disk {name} is attached to VM {by}."),
        seconds=(3, 3, 3),
    ),
    Type(
        "Microsoft.ContainerService/managedClusters",
        AKS_PUT,
        UPDATED,
        AKS_DELETE,
        rule=r"^[A-Za-z0-9]([-\w]{0,61}[A-Za-z0-9])?$",
        inline={"agentPoolProfiles": "Microsoft.ContainerService/managedClusters/agentPools"},
        keeps=True,
        fixed=(
            "dnsPrefix",
            "nodeResourceGroup",
            "networkProfile.serviceCidr",
            "apiServerAccessProfile.enablePrivateCluster",
        ),
        actions={
            "stop": Action(
                Shape(202, operation=True, location=True, state="Stopping", body=False, end=204),
                power="Stopped",
                seconds=95,
            ),
            "start": Action(
                Shape(202, operation=True, location=True, state="Starting", body=False, end=204),
                power="Running",
                seconds=192,
            ),
            "listClusterUserCredential": Action(PLAIN, answer="kubeconfig"),
            "listClusterAdminCredential": Action(PLAIN, answer="kubeconfig"),
            "runCommand": Action(
                Shape(202, location=True, state=None, body=False), answer="cluster_command", seconds=15
            ),
        },
        seconds=(266, 60, 240),
    ),
    Type(
        "Microsoft.ContainerService/managedClusters/agentPools",
        AKS_PUT,
        UPDATED,
        AKS_DELETE,
        rule=r"^[a-z][a-z0-9]{0,11}$",
        located=False,
        fixed=("vmSize", "scaleSetPriority", "osDiskType"),
        seconds=(209, 214, 120),
    ),
    Type(
        "Microsoft.ContainerService/managedClusters/maintenanceConfigurations",
        PLAIN,
        PLAIN,
        GONE,
        located=False,
        seconds=(0, 0, 0),
    ),
    Type(
        "Microsoft.ContainerService/managedClusters/managedNamespaces",
        AKS_PUT,
        UPDATED,
        AKS_DELETE,
        seconds=(10, 5, 10),
    ),
    Type(
        "Microsoft.ContainerRegistry/registries",
        at_once(200),
        at_once(200),
        Shape(202, location=True, state="Deleting", retry_after=10),
        rule=r"^[A-Za-z0-9]{5,50}$",
        unique=True,
        actions={
            "listCredentials": Action(PLAIN, answer="registry_credentials"),
            "listBuildSourceUploadUrl": Action(PLAIN, answer="build_source"),
            "scheduleRun": Action(PLAIN, answer="schedule_run", seconds=60),
        },
        seconds=(10, 2, 10),
    ),
    Type(
        "Microsoft.ContainerRegistry/registries/tasks",
        at_once(201),
        at_once(200),
        GONE,
        rule=r"^[\w-]{5,50}$",
        seconds=(1, 1, 1),
    ),
    Type(
        "Microsoft.ContainerRegistry/registries/replications",
        Shape(201, operation=True, state="Creating", retry_after=10),
        at_once(200),
        Shape(202, location=True, state="Deleting", retry_after=10),
        seconds=(70, 2, 10),
    ),
    Type(
        "Microsoft.ManagedIdentity/userAssignedIdentities",
        at_once(201, state=None, where=True),
        PLAIN,
        GONE,
        rule=r"^[A-Za-z0-9][-\w]{2,127}$",
    ),
    Type(
        "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials",
        at_once(201, state=None, where=True),
        PLAIN,
        GONE,
        located=False,
        rule=r"^[A-Za-z0-9][-\w]{2,119}$",
    ),
    Type(
        "Microsoft.Authorization/roleAssignments",
        at_once(201, state=None),
        at_once(201, state=None),
        PLAIN,
        located=False,
        rule=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
        checks=False,
    ),
    Type("Microsoft.Insights/diagnosticSettings", PLAIN, PLAIN, GONE, located=False),
    Type(
        "Microsoft.OperationalInsights/workspaces",
        Shape(201, state="Creating"),
        at_once(200),
        GONE,
        rule=r"^[A-Za-z0-9][A-Za-z0-9-]{2,61}[A-Za-z0-9]$",
        soft="deletedWorkspaces",
        purge="force",
        actions={"sharedKeys": Action(PLAIN, answer="workspace_keys")},
        seconds=(30, 2, 5),
    ),
    Type("Microsoft.DevTestLab/schedules", at_once(201), at_once(200), GONE),
    Type(
        "Microsoft.Storage/storageAccounts",
        Shape(202, location=True, state="Creating", body=False, retry_after=17),
        at_once(200),
        GONE,
        rule=r"^[a-z0-9]{3,24}$",
        unique=True,
        actions={"listKeys": Action(PLAIN, answer="storage_keys")},
        seconds=(20, 2, 3),
    ),
    Type(
        "Microsoft.KeyVault/vaults",
        Shape(200, state="RegisteringDns"),
        at_once(200),
        GONE,
        rule=r"^(?!.*--)[A-Za-z][A-Za-z0-9-]{1,22}[A-Za-z0-9]$",
        unique=True,
        soft="deletedVaults",
        seconds=(15, 2, 3),
    ),
    Type(
        "Microsoft.MachineLearningServices/workspaces",
        Shape(202, operation=True, location=True, state="Creating", body=False),
        Shape(202, operation=True, location=True, state="Updating", body=False),
        ML_DELETE,
        rule=r"^[A-Za-z0-9][A-Za-z0-9-]{2,32}$",
        checks=False,
        soft="deletedWorkspaces",
        purge="forceToPurge",
        actions={"listKeys": Action(PLAIN, answer="ml_keys")},
        seconds=(40, 20, 30),
    ),
    Type("Microsoft.MachineLearningServices/workspaces/connections", PLAIN, PLAIN, GONE, located=False),
    *(
        Type(
            f"Microsoft.MachineLearningServices/workspaces/{name}",
            at_once(201),
            at_once(200),
            GONE,
            rule=r"^[\w.-]{1,255}$",
            located=False,
            checks=False,
        )
        for name in ("environments/versions", "components/versions")
    ),
    Type(
        "Microsoft.MachineLearningServices/workspaces/jobs",
        at_once(201, state=None, itself=True),
        at_once(200, state=None),
        GONE,
        rule=r"^[\w-]{1,255}$",
        located=False,
        checks=False,
        actions={"cancel": Action(PLAIN, answer="job_canceled")},
    ),
    Type("Microsoft.Insights/components", PLAIN, PLAIN, GONE, rule=r"^[\w().-]{1,260}$", checks=False),
    Type("Microsoft.Storage/storageAccounts/blobServices", PLAIN, PLAIN, GONE, located=False),
    Type(
        "Microsoft.Storage/storageAccounts/blobServices/containers",
        at_once(201, state=None),
        PLAIN,
        GONE,
        rule=r"^(?!.*--)[a-z0-9][a-z0-9-]{2,62}$",
        located=False,
    ),
    Type("Microsoft.DataFactory/factories/pipelines", PLAIN, PLAIN, GONE, located=False),
    Type(
        "Microsoft.DataFactory/factories/triggers",
        PLAIN,
        PLAIN,
        GONE,
        located=False,
        actions={
            "start": Action(PLAIN, answer="trigger_started"),
            "stop": Action(PLAIN, answer="trigger_stopped"),
        },
    ),
    Type(
        "Microsoft.MachineLearningServices/workspaces/computes",
        Shape(201, operation=True, state="Creating"),
        Shape(201, operation=True, state="Creating"),
        Shape(202, operation=True, state="Deleting", body=False),
        checks=False,
        poll=Poll("computeOperationsStatus", "computeOperationsResults"),
        seconds=(60, 20, 30),
    ),
    *(
        Type(
            f"Microsoft.MachineLearningServices/workspaces/{name}",
            Shape(201, operation=True, where=True, state="Creating"),
            Shape(201, operation=True, where=True, state="Updating"),
            ML_DELETE,
            checks=False,
            poll=Poll("mfeOperationsStatus", "mfeOperationResults", going="Updating"),
            actions={"getLogs": Action(PLAIN, answer="written")},
            seconds=(60, 20, 60),
        )
        for name in ("batchEndpoints", "batchEndpoints/deployments", "onlineEndpoints", "onlineEndpoints/deployments")
    ),
    Type(
        "Microsoft.DataFactory/factories",
        at_once(200),
        at_once(200),
        GONE,
        unique=True,
        rule=r"^[A-Za-z0-9][A-Za-z0-9-]{1,61}[A-Za-z0-9]$",
    ),
    Type(
        "Microsoft.Databricks/accessConnectors",
        at_once(201),
        at_once(200),
        GONE,
        rule=r"^[-\w]{3,64}$",
        seconds=(5, 2, 5),
    ),
    Type(
        "Microsoft.Databricks/workspaces",
        Shape(201, operation=True, state="Accepted"),
        UPDATED,
        Shape(202, location=True, state="Deleting", body=False),
        rule=r"^[-\w]{3,30}$",
        checks=False,
        seconds=(150, 30, 300),
    ),
    Type(
        "Microsoft.BatchAI/workspaces",
        at_once(200),
        at_once(200),
        BATCH_AI_DELETE,
        rule=r"^[-\w]{1,64}$",
        seconds=(1, 1, 20),
    ),
    *(
        Type(
            f"Microsoft.BatchAI/workspaces/{name}",
            put,
            put,
            BATCH_AI_DELETE,
            rule=r"^[-\w]{1,64}$",
            located=False,
            fixed=fixed,
            seconds=(seconds, 1, 10),
        )
        for name, put, fixed, seconds in (
            ("fileServers", BATCH_AI_PUT, ("vmSize", "dataDisks"), 200),
            ("clusters", BATCH_AI_PUT, ("vmSize", "vmPriority", "nodeSetup"), 4),
            ("experiments", at_once(200), (), 1),
            ("experiments/jobs", BATCH_AI_PUT, ("cluster", "jobPreparation"), 1),
        )
    ),
    Type("Microsoft.Web/serverfarms", at_once(200), at_once(200), GONE, rule=r"^[-\w]{1,60}$"),
    Type(
        "Microsoft.Web/sites",
        at_once(200, state=None),
        at_once(200, state=None),
        GONE,
        unique=True,
        rule=r"^[A-Za-z0-9][A-Za-z0-9-]{0,58}[A-Za-z0-9]$",
    ),
    Type(
        "Microsoft.Web/sites/config",
        PLAIN,
        PLAIN,
        GONE,
        located=False,
        actions={"list": Action(PLAIN, answer="site_settings")},
    ),
    Type("Microsoft.Web/sites/basicPublishingCredentialsPolicies", PLAIN, PLAIN, GONE, located=False),
]

TYPES = {row.name.lower(): row for row in ROWS}

STARTED = ("startTime", "endTime", "status", "name")
POLLS = {
    "microsoft.resources": Poll(retry_after=15),
    "microsoft.network": Poll(results="operationResults", retry_after=10),
    "microsoft.compute": Poll(results="operations", monitor=True, fields=STARTED, retry_after=35),
    "microsoft.containerservice": Poll(fields=STARTED, again="always"),
    "microsoft.containerregistry": Poll(
        "operationStatuses", "operationResults", going="Creating", retry_after=10, echo=True
    ),
    "microsoft.storage": Poll("asyncoperations", "asyncoperations", monitor=True, again="going", retry_after=17),
    "microsoft.machinelearningservices": Poll("workspaceOperationsStatus", "workspaceOperationsResults"),
    "microsoft.batchai": Poll("operationresults", "operationstatuses", fields=STARTED),
    "microsoft.databricks": Poll("operationStatuses", "operationStatuses", status=202, going="Accepted", again="going"),
}


def poll(row: Type) -> Poll:
    return row.poll or POLLS.get(row.name.split("/")[0].lower(), Poll())


def provider_names() -> list[str]:
    return sorted(
        {row.name.split("/")[0] for row in ROWS} | {"Microsoft.Quota", "Microsoft.PolicyInsights", "Microsoft.App"}
    )
