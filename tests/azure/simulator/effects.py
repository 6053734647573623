"""What making or deleting one thing does to others: a machine makes its disk, a cluster makes its nodes' group, a group takes
everything in it along; and the checks that only one type has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import errors, web
from .errors import ArmError
from .ids import GROUPS, Place, parent_of, place
from .shapes import Type
from .state import Resource, Store
from .table import TYPES
from .view import View

if TYPE_CHECKING:
    from .cloud import Cloud

Body = dict[str, Any]


class Effects:
    def __init__(self, store: Store, view: View) -> None:
        self.store, self.view = store, view

    def made(self, resource: Resource) -> None:
        name = resource.row.name
        if name == "Microsoft.Compute/virtualMachines":
            disk = self.view.of(resource)["properties"]["storageProfile"]["osDisk"]
            self._own(
                resource,
                disk["managedDisk"]["id"],
                {
                    "location": resource.location,
                    "sku": {"name": disk["managedDisk"].get("storageAccountType")},
                    "properties": {"diskSizeGB": disk.get("diskSizeGB"), "diskState": "Attached"},
                },
            )
        elif name == "Microsoft.Databricks/workspaces":
            self._databricks(resource)
        elif name == "Microsoft.ContainerService/managedClusters":
            own = self.view.of(resource)["properties"]
            group = f"/subscriptions/{resource.id.split('/')[2]}/resourceGroups/{own['nodeResourceGroup']}"
            self._own(resource, group, {"location": resource.location, "managedBy": resource.id})
            self._own(
                resource,
                f"{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{resource.name}-agentpool",
                {"location": resource.location},
            )
            for one in self.store.children(resource.key, f"{name}/agentPools"):
                one.stands, one.state = True, "Succeeded"
        elif name == web.SITES:
            for part, properties in web.PARTS.items():
                key = f"{resource.id}/{part}"
                if self.store.get(key.lower()) is None:
                    kind = f"{name}/{part.partition('/')[0]}"
                    self._own(resource, key, {"properties": dict(properties)}, kind)

    def _databricks(self, resource: Resource) -> None:
        """It has a group of its own, and puts rules into the security groups of its subnets."""
        own = resource.asked.get("properties", {})
        if "managedResourceGroupId" in own:
            self._own(
                resource, own["managedResourceGroupId"], {"location": resource.location, "managedBy": resource.id}
            )
        vnet = own.get("parameters", {}).get("customVirtualNetworkId", {}).get("value", "")
        for subnet in self.store.children(vnet.lower(), "Microsoft.Network/virtualNetworks/subnets"):
            group = subnet.asked.get("properties", {}).get("networkSecurityGroup", {}).get("id")
            if group is not None:
                rule = (
                    f"{group}/securityRules/Microsoft.Databricks-workspaces_UseOnly_databricks-worker-to-worker-inbound"
                )
                body = {"properties": {"access": "Allow", "direction": "Inbound", "priority": 100, "protocol": "*"}}
                row = TYPES["microsoft.network/networksecuritygroups/securityrules"]
                self.store.resources.setdefault(
                    rule.lower(), Resource(rule, row, body, resource.made, "Succeeded", stands=True)
                )

    def _own(self, owner: Resource, identifier: str, body: Body, kind: str = "") -> None:
        key = identifier.lower()
        if key not in self.store.resources:
            kind = kind.lower() or (
                GROUPS if "/providers/" not in key else "/".join(key.split("/providers/")[1].split("/")[:2])
            )
            made = Resource(
                identifier,
                TYPES[kind],
                body,
                owner.made,
                None if "managedidentity" in kind or "sites/" in kind else "Succeeded",
                stands=True,
            )
            self.store.resources[key] = made
        if key not in owner.attached:
            owner.attached.append(key)

    def gone(self, resource: Resource, *, purge: bool) -> None:
        inside = self.store.under(resource.key)
        for one in [*inside, resource]:
            self._detached(one, alone=one is resource)
            if one.row.soft and not (purge and one is resource):
                self.store.deleted[one.key] = one
                one.state = "Succeeded"
        self.store.remove(resource.key)
        if resource.row.name == "Microsoft.ContainerService/managedClusters":
            self.store.lately.add(resource.key)

    def _detached(self, resource: Resource, *, alone: bool) -> None:
        for key in resource.attached:
            if resource.row.name == "Microsoft.Compute/virtualMachines":
                disk = resource.asked.get("properties", {}).get("storageProfile", {}).get("osDisk", {})
                if alone and disk.get("deleteOption", "Detach") != "Delete":
                    left = self.store.get(key)
                    if left is not None:
                        left.asked["properties"]["diskState"] = "Unattached"
                    continue
            self.store.remove(key)
        if alone:
            self._interfaces(resource)

    def _interfaces(self, resource: Resource) -> None:
        network = (
            resource.asked.get("properties", {}).get("networkProfile", {})
            if resource.row.name.endswith("/virtualMachines")
            else {}
        )
        for one in network.get("networkInterfaces", []):
            if one.get("properties", {}).get("deleteOption") == "Delete":
                self.store.remove(one["id"].lower())

    def before_put(self, cloud: Cloud, where: Place, row: Type, body: Body, there: Resource | None) -> None:
        if row.name == "Microsoft.Authorization/roleAssignments":
            self._role(cloud, where, body.get("properties", {}), there)
        if row.name == "Microsoft.Compute/virtualMachines":
            self._image(cloud, body)
        if row.name == "Microsoft.ContainerService/managedClusters":
            self._cluster(cloud, body, there)

    def _role(self, cloud: Cloud, where: Place, own: Body, there: Resource | None) -> None:
        scope = where.key[: where.key.rindex("/providers/microsoft.authorization/")]
        standing = scope
        while "/providers/" in standing and place(standing).type not in TYPES:
            standing = parent_of(standing)  # .../managedClusters/k/namespaces/n is a scope, and no resource
        if "/providers/" in standing and self.store.get(standing) is None:
            raise cloud.rules.missing(standing)
        principal, role = str(own.get("principalId", "")), str(own.get("roleDefinitionId", "")).rpartition("/")[2]
        if role.lower() not in cloud.catalog.role_names:
            raise ArmError(
                400, "RoleDefinitionDoesNotExist", f"The specified role definition with ID '{role}' does not exist."
            )
        left = cloud.tries.get(principal, cloud.principal_tries)
        if principal != cloud.catalog.caller and (left > 0 or not self._known(principal)):
            cloud.tries[principal] = left - 1
            raise errors.principal_not_found(principal, cloud.catalog.tenant)
        if there is not None:
            old = there.asked.get("properties", {})
            if (old.get("principalId"), old.get("roleDefinitionId")) != (
                own.get("principalId"),
                own.get("roleDefinitionId"),
            ):
                raise ArmError(
                    400,
                    "RoleAssignmentUpdateNotPermitted",
                    "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.",
                )
            return
        for one in self.store.of_type("Microsoft.Authorization/roleAssignments"):
            other = one.asked.get("properties", {})
            same_scope = one.key.rpartition("/providers/microsoft.authorization/")[0] == scope
            if (
                same_scope
                and other.get("principalId") == principal
                and str(other.get("roleDefinitionId")).rpartition("/")[2] == role
            ):
                raise ArmError(409, "RoleAssignmentExists", "The role assignment already exists.")

    def _known(self, principal: str) -> bool:
        """Whether the directory has it: a user-assigned identity's, or a system-assigned one's (kubelets have the former)."""
        for one in self.store.resources.values():
            if one.row.name.endswith("/userAssignedIdentities") or one.asked.get("identity"):
                body = self.view.of(one)
                if principal in {body["properties"].get("principalId"), body.get("identity", {}).get("principalId")}:
                    return True
        return False

    def _image(self, cloud: Cloud, body: Body) -> None:
        image = body.get("properties", {}).get("storageProfile", {}).get("imageReference") or {}
        if not {"publisher", "offer", "sku"} <= set(image):
            return
        found = cloud.catalog.images.get((image["publisher"].lower(), image["offer"].lower(), image["sku"].lower()))
        if found is None or image.get("version", "latest") not in {"latest", *found[0]}:
            names = ":".join(str(image.get(part, "latest")) for part in ("publisher", "offer", "sku", "version"))
            raise ArmError(
                404,
                "PlatformImageNotFound",
                f"The platform image '{names}' is not available. Verify that all fields in the storage profile are correct.",
                target="imageReference",
            )

    def _cluster(self, cloud: Cloud, body: Body, there: Resource | None) -> None:
        own = body.get("properties", {})
        version = own.get("kubernetesVersion") or ""
        known = cloud.catalog.kubernetes_versions
        if version and not any(one == version or one.startswith(version + ".") for one in known):
            raise ArmError(
                400,
                "K8sVersionNotSupported",
                f"Version {version} is not supported in this region. Please use [az aks get-versions] command to get the supported version list in this region.",
                flat=True,
                details=None,
                subcode="",
                target="properties.kubernetesVersion",
            )
        pools = [one["name"] for one in own.get("agentPoolProfiles") or []]
        if there is None and not any(one.get("mode") == "System" for one in own.get("agentPoolProfiles") or []):
            raise ArmError(
                400,
                "InvalidParameter",
                "Must define at least one system pool.",
                flat=True,
                details=None,
                subcode="",
                target="properties.agentPoolProfiles",
            )
        if len(pools) != len(set(pools)):
            raise ArmError(
                400,
                "InvalidParameter",
                "The value of parameter agentPoolProfiles.name is invalid: agent pool names must be unique.",
                flat=True,
                details=None,
                subcode="",
                target="agentPoolProfiles.name",
            )
