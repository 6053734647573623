"""What Azure refuses before it begins: names, places, what something refers to, quota, what cannot change, what goes on."""

from __future__ import annotations

import re
from typing import Any

from . import errors
from .catalog import Catalog
from .errors import ArmError
from .ids import GROUPS, Place, parent_of, references
from .ids import place as spelt
from .shapes import Type
from .state import Resource, Store
from .table import TYPES

Body = dict[str, Any]
RESERVED = re.compile(r"microsoft|windows|^login", re.IGNORECASE)
MACHINES = "Microsoft.Compute/virtualMachines"
ROLES = "microsoft.authorization/roleassignments"
EXTENSIONS = "microsoft.compute/virtualmachines/extensions"
CREDENTIALS = "microsoft.managedidentity/userassignedidentities/federatedidentitycredentials"
ENDPOINTS = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints"
BATCH_AI = "microsoft.batchai/"
POOLS = "Microsoft.ContainerService/managedClusters/agentPools"


class Rules:
    def __init__(self, store: Store, catalog: Catalog) -> None:
        self.store, self.catalog = store, catalog

    def row(self, place: Place, api_version: str) -> Type:
        row = TYPES.get(place.type)
        if row is None:
            raise errors.unknown_type(place.namespace or place.type, api_version)
        return row

    def reachable(self, place: Place, api_version: str) -> None:
        """The request is well-formed, and its subscription and its group are there."""
        self.well_formed(api_version, place.subscription)
        if place.group and place.type != GROUPS and self.store.get(place.group_key) is None:
            raise errors.group_not_found(place.group)

    def well_formed(self, api_version: str, subscription: str) -> None:
        if not api_version:
            message = "The api-version query parameter (?api-version=) is required for all requests."
            raise ArmError(400, "MissingApiVersionParameter", message)
        if subscription and subscription.lower() not in self.catalog.subscriptions:
            raise ArmError(404, "SubscriptionNotFound", f"The subscription '{subscription}' could not be found.")

    def enabled(self, place: Place) -> None:
        state = self.catalog.subscriptions.get(place.subscription.lower(), {}).get("state", "Enabled")
        if state != "Enabled":
            raise ArmError(
                409,
                "ReadOnlyDisabledSubscription",
                f"The subscription '{place.subscription}' is disabled and therefore marked as read only. You cannot perform any write actions on this subscription until it is re-enabled.",
            )

    def before_put(self, place: Place, row: Type, body: Body, there: Resource | None) -> None:
        self.enabled(place)
        namespace = row.name.split("/")[0]
        if namespace != "Microsoft.Resources" and namespace.lower() not in self.catalog.registered:
            raise errors.unregistered(namespace)
        self._name(place, row)
        group = self.store.get(place.group_key) if place.group and place.type != GROUPS else None
        if group is not None and group.state == "Deleting":
            raise errors.group_being_deleted(place.group)
        above = parent_of(place.key)
        if above and spelt(above).type in TYPES and self.store.get(above) is None:
            raise self.missing(above)
        self._location(place, row, body, there)
        if there is None:
            self._taken(place, row, body)
        else:
            self._fixed(row, body, there)
        self._busy(place, row, there)
        if there is not None and there.power == "Started":
            message = (
                f"Cannot update enabled Trigger; the trigger needs to be disabled first. Trigger name: {place.name}."
            )
            raise ArmError(400, "TriggerEnabledCannotUpdate", message)
        if row.name == ENDPOINTS:
            self._answering(place, body)
        self._references(place, row, body)

    def _answering(self, place: Place, body: Body) -> None:
        """Requests go to deployments that are there."""
        for name in body.get("properties", {}).get("traffic") or {}:
            if self.store.get(f"{place.key}/deployments/{name}") is None:
                message = f"The deployment {name} in the traffic of the endpoint {place.name} does not exist."
                raise ArmError(400, "BadRequest", message)

    def missing(self, key: str) -> ArmError:
        place = spelt(key)
        return errors.not_found(TYPES[place.type].name if place.type in TYPES else place.type, place.name, place.group)

    def absent(self, where: Place) -> ArmError:
        """The 404 of a thing, as its provider words it, or the gateway in front of all of them."""
        above = parent_of(where.key)
        if above and spelt(above).type in TYPES and self.store.get(above) is None:
            return self.missing(above)
        if where.key in self.store.lately:
            self.store.lately.discard(where.key)
            return errors.cluster_not_found(where.name, where.subscription, where.group)
        if where.type.startswith(BATCH_AI):
            return errors.not_found_by_batch_ai(where.type.rpartition("/")[2], where.name)
        by_type = {
            GROUPS: lambda: errors.group_not_found(where.name),
            ROLES: lambda: ArmError(404, "RoleAssignmentNotFound", f"The role assignment '{where.name}' is not found."),
            POOLS.lower(): lambda: errors.pool_not_found(
                where.name, where.subscription, where.group, spelt(above).name
            ),
            EXTENSIONS: lambda: ArmError(
                404, "NotFound", "The entity was not found in this Azure location.", target="extensionName"
            ),
            CREDENTIALS: lambda: ArmError(404, "NotFound", f"Resource '{where.id}' was not found."),
        }
        return by_type.get(where.type, lambda: self.missing(where.id))()

    def _name(self, place: Place, row: Type) -> None:
        if RESERVED.search(place.name) and place.type == GROUPS:
            return
        if re.search(r"^(microsoft|windows|login)$", place.name, re.IGNORECASE):
            raise ArmError(
                400,
                "ReservedResourceName",
                f"The resource name '{place.name}' or a part of the name is a trademarked or reserved word.",
            )
        if not re.fullmatch(row.rule, place.name):
            raise ArmError(
                400,
                "InvalidResourceName",
                f"Resource name {place.name} is invalid. The name must match {row.rule}",
                details=[],
            )

    def _location(self, place: Place, row: Type, body: Body, there: Resource | None) -> None:
        if not row.located:
            return
        asked = str(body.get("location", ""))
        if not asked and place.type != EXTENSIONS:
            raise ArmError(400, "LocationRequired", "The location property is required for this definition.")
        known = self.catalog.region(asked)
        if asked and known is None:
            listed = ",".join(self.catalog.regions)
            if place.type == GROUPS:
                raise ArmError(
                    400,
                    "LocationNotAvailableForResourceGroup",
                    f"The provided location '{asked}' is not available for resource group. List of available regions is '{listed}'.",
                )
            raise ArmError(
                400,
                "LocationNotAvailableForResourceType",
                f"The provided location '{asked}' is not available for resource type '{row.name}'. List of available regions for the resource type is '{listed}'.",
            )
        if there is not None and self.catalog.region(there.location) != known and asked:
            if place.type == GROUPS:
                raise ArmError(
                    409,
                    "InvalidResourceGroupLocation",
                    f"Invalid resource group location '{asked}'. The Resource group already exists in location '{there.location}'.",
                )
            raise ArmError(
                409,
                "InvalidResourceLocation",
                f"The resource '{place.name}' already exists in location '{there.location}' in resource group '{place.group}'. A resource with the same name cannot be created in location '{asked}'. Please select a new resource name.",
            )

    def _taken(self, place: Place, row: Type, body: Body) -> None:
        if row.unique and self.is_taken(row, place.name):
            raise taken(row, place.name)
        if row.soft and place.key in self.store.deleted:
            if row.name == "Microsoft.KeyVault/vaults" and body.get("properties", {}).get("createMode") != "recover":
                raise ArmError(
                    409,
                    "ConflictError",
                    "A vault with the same name already exists in deleted state. You need to either recover or purge existing key vault. Follow this link https://go.microsoft.com/fwlink/?linkid=2149745 for more information on soft delete.",
                )
            if row.name.startswith("Microsoft.MachineLearningServices"):
                raise ArmError(
                    409,
                    "Conflict",
                    f"Workspace {place.name} is in soft-deleted state: recover it or purge it to use the name again.",
                )

    def is_taken(self, row: Type, name: str) -> bool:
        low = name.lower()
        return low in self.catalog.taken or any(one.name.lower() == low for one in self.store.of_type(row.name))

    def _fixed(self, row: Type, body: Body, there: Resource) -> None:
        for path in row.fixed:
            new, old = _at(body.get("properties", {}), path), _at(there.asked.get("properties", {}), path)
            if new is not None and old is not None and new != old:
                raise ArmError(
                    409, "PropertyChangeNotAllowed", f"Changing property '{path}' is not allowed.", target=path
                )

    def _busy(self, place: Place, row: Type, there: Resource | None) -> None:
        busy = [there] if there is not None and (not row.preempts or there.state == "Deleting") else []
        above = self.store.get(parent_of(place.key)) if parent_of(place.key) else None
        if above is not None and (row.serial or row.name == POOLS):
            busy += [above, *(self.store.children(above.key, row.name) if row.serial else [])]
        for one in busy:
            if one.busy:
                raise self.going_on(one)

    def going_on(self, one: Resource) -> ArmError:
        assert one.operation is not None
        if one.row.name.startswith("Microsoft.ContainerService"):
            return errors.aks_busy(str(one.state))
        return errors.another_operation(one.operation.id)

    def _references(self, place: Place, row: Type, body: Body) -> None:
        for identity in (body.get("identity") or {}).get("userAssignedIdentities") or {}:
            if self.store.get(identity) is None:
                raise errors.missing_identity(identity, place.id)
        if not row.checks:
            return
        for _, target in references(body.get("properties", {})):
            needed = self.store.get(target)
            if target.lower().startswith(place.key) or spelt(target).type not in TYPES:
                continue
            if needed is None:
                raise errors.missing_reference(target, place.id)
            if needed.busy and row.name.startswith("Microsoft.Network"):
                raise errors.not_provisioned(target, place.id)

    def room(self, place: Place, row: Type, body: Body, location: str) -> None:
        """The size is offered here, and its family and the region have cores left."""
        for size_name, count in sizes_of(row, body, self.store.get(place.key)):
            size = self.catalog.size(size_name)
            if size is None:
                raise ArmError(
                    400,
                    "InvalidParameter",
                    f"The value {size_name} provided for the VM size is not valid. The valid sizes in the current region are: {','.join(one.name for one in self.catalog.sizes)}.",
                    target="vmSize",
                )
            if size.restricted == "Location":
                raise errors.sku_not_available(size.name, location)
            for family in (size.family, "cores"):
                used = self.used(family, location, besides=place.key)
                limit, more = self.catalog.limit(family), size.cores * count
                if used + more > limit:
                    if row.name == MACHINES:
                        raise errors.core_quota(family, location, limit, used, more)
                    raise errors.aks_quota(place.id.split("/")[8], place.group, family, location, limit, used, more)

    def used(self, family: str, location: str, besides: str = "") -> int:
        """Cores of a family (or of all: "cores") that stand in a region; machines that are deallocated count, as in Azure."""
        total = self.catalog.other_usage.get(family, 0)
        for one in self.store.resources.values():
            if one.key == besides or one.key.startswith(besides + "/" if besides else " "):
                continue
            above = self.store.get(parent_of(one.key)) if parent_of(one.key) else None
            where = one.location or (above.location if above else "")
            if one.row.name in {MACHINES, POOLS} and self.catalog.region(where) == self.catalog.region(location):
                for name, count in sizes_of(one.row, one.asked, None):
                    size = self.catalog.size(name)
                    if size is not None and family in {size.family, "cores"}:
                        total += size.cores * count
        return total

    def before_delete(self, resource: Resource) -> None:
        if resource.busy and not resource.row.preempts and resource.state != "Deleting":
            raise self.going_on(resource)
        for one in [resource, *self.store.under(resource.key)]:
            if one.row.in_use is None:
                continue
            users = [part for user, part in self.store.users(one.key) if not user.key.startswith(resource.key + "/")]
            if users:
                status, code, message = one.row.in_use
                raise ArmError(status, code, message.format(id=one.id, name=one.name, by=users[0]), details=[])


def taken(row: Type, name: str) -> ArmError:
    if row.name == "Microsoft.ContainerRegistry/registries":
        return ArmError(
            409,
            "RegistryNameAlreadyInUse",
            f"The registry name {name} is already in use. You can check if the name is already claimed using following API: https://docs.microsoft.com/en-us/rest/api/containerregistry/registries/checknameavailability",
        )
    if row.name == "Microsoft.Storage/storageAccounts":
        return ArmError(409, "StorageAccountAlreadyTaken", f"The storage account named {name} is already taken.")
    return ArmError(
        409, f"{row.name.split('/')[-1].rstrip('s').capitalize()}AlreadyExists", f"The name '{name}' is already in use."
    )


def sizes_of(row: Type, body: Body, there: Resource | None) -> list[tuple[str, int]]:
    """(VM size, how many) that a body asks for."""
    own = body.get("properties", {})
    if row.name == MACHINES:
        return [(own.get("hardwareProfile", {}).get("vmSize", "Standard_D2s_v5"), 1)]
    if row.name == POOLS:
        return [(own.get("vmSize", "Standard_D2s_v5"), own.get("count", 1))]
    return [
        (one.get("vmSize", "Standard_D2s_v5"), one.get("count", 1))
        for one in own.get("agentPoolProfiles") or []
        if there is None
    ]


def _at(value: Any, path: str) -> Any:
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
