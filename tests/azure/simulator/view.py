"""A resource as a GET shows it: what was asked for, what Azure filled in, what is nested in it, what refers to it."""

from __future__ import annotations

import copy
from typing import Any

from . import filled, web
from .catalog import made_up
from .defaults import DEFAULTS
from .jobs import JOBS, Jobs
from .state import Resource, Store

Body = dict[str, Any]
FLAT = {"microsoft.containerservice/managedclusters/agentpools"}  # listed in their parent without "properties"
UNTYPED = {"microsoft.containerservice/managedclusters/maintenanceconfigurations"}
ACCOUNTS = "microsoft.storage/storageaccounts"
DATABRICKS = "microsoft.databricks/workspaces"
TRIGGERS = "microsoft.datafactory/factories/triggers"
BATCH_AI = "microsoft.batchai"  # its states are in small letters
LOWER = ("microsoft.containerservice", "microsoft.managedidentity")  # these answer with /resourcegroups/ in ids
SPELT = {"Microsoft.ContainerService/managedClusters": "Microsoft.ContainerService/ManagedClusters"}
SECRETS = ("adminPassword", "customData")  # of an osProfile: taken, never shown


class View:
    def __init__(self, store: Store, tenant: str) -> None:
        self.store, self.tenant = store, tenant
        self.blobs = ""  # where blobs are really kept; empty: where Azure would keep them
        self.databricks = ""  # where workspaces of Databricks answer; empty: where Azure has them
        self.scm = ""  # where code is published to; empty: where Azure has it
        self.ml = ""  # where Azure ML's own services and endpoints are; empty: where Azure has them
        self.jobs: Jobs | None = None

    def of(self, resource: Resource, query: dict[str, str] | None = None) -> Body:
        kind = resource.row.name.lower()
        body: Body = filled.merged(DEFAULTS.get(kind, {}), resource.asked)
        body |= {"id": self._id(resource), "name": resource.name}
        if kind not in UNTYPED:
            body["type"] = SPELT.get(resource.row.name, resource.row.name)
        body.setdefault("properties", {})
        for table in (filled.READ_ONLY, filled.LATE if resource.stands else {}):
            if kind in table:
                made = table[kind](resource.key, resource.made, body, self.tenant)
                body["properties"] = filled.merged(body["properties"], made)
        self._identity(body, resource)
        self._nested(body, resource)
        self._seen_from(body, resource)
        if resource.state is not None:
            body["properties"]["provisioningState"] = told(resource.state, kind)
        if kind.startswith("microsoft.network"):
            body["etag"] = etag(resource)
        self._machine(body, resource, query or {})
        self._elsewhere(body, resource, kind)
        self._machine_learning(body, resource)
        if kind == TRIGGERS:
            body["properties"]["runtimeState"] = resource.power or "Stopped"
        if kind.startswith("microsoft.containerservice") and resource.power:
            body["properties"]["powerState"] = {"code": resource.power}
        return body

    def _elsewhere(self, body: Body, resource: Resource, kind: str) -> None:
        """Where a resource's own service answers."""
        if kind == ACCOUNTS and self.blobs:
            body["properties"]["primaryEndpoints"]["blob"] = f"{self.blobs}/{resource.name}/"
        if kind == DATABRICKS and resource.stands and self.databricks:
            body["properties"]["workspaceUrl"] = self.databricks
        if resource.row.name == web.SITES:
            web.shown(body, self.scm)

    def _machine_learning(self, body: Body, resource: Resource) -> None:
        if resource.row.name == JOBS and self.jobs is not None:
            body["properties"] |= self.jobs.shown(resource, self.ml)
            body["systemData"] = {"createdAt": self.jobs.created(resource), "createdByType": "User"}
        if resource.row.name.endswith("Endpoints") and self.ml:
            end = "jobs" if "batch" in resource.row.name else "score"
            body["properties"]["scoringUri"] = f"{self.ml}/_inference/{resource.name}/{end}"

    def listed(self, resource: Resource) -> Body:
        """The few properties that a list of all resources shows."""
        body = self.of(resource)
        return {
            key: body[key]
            for key in ("id", "name", "type", "location", "tags", "sku", "kind", "identity", "managedBy")
            if key in body
        }

    def _id(self, resource: Resource) -> str:
        kind = resource.row.name.lower()
        if not kind.startswith(LOWER) or kind in UNTYPED:
            return resource.id
        parts = resource.id.split("/")
        return "/".join(part.lower() if part.lower() == "resourcegroups" else part for part in parts)

    def _identity(self, body: Body, resource: Resource) -> None:
        if not body.get("identity"):
            return
        shown = filled.identity(body["identity"], resource.key, resource.made, self.tenant)
        for one in shown.get("userAssignedIdentities", {}):
            there = self.store.get(one)
            if there is not None:
                own = self.of(there)["properties"]
                shown["userAssignedIdentities"][one] = {name: own[name] for name in ("principalId", "clientId")}
        body["identity"] = shown

    def _nested(self, body: Body, resource: Resource) -> None:
        for name, type_name in resource.row.inline.items():
            nested = []
            for one in self.store.children(resource.key, type_name):
                inner = self.of(one)
                flat = {"name": inner["name"], **inner["properties"]}
                nested.append(flat if type_name.lower() in FLAT else inner)
            body["properties"][name] = nested

    def _seen_from(self, body: Body, resource: Resource) -> None:
        kind = resource.row.name.lower()
        mine = [row for row in filled.BACK if row[0] == kind]
        if not mine:
            return
        users = self.store.users(resource.key)
        for _, name, by, many in mine:
            found = [{"id": part} for user, part in users if user.row.name.lower() == by]
            if found:
                body["properties"][name] = found if many else found[0]

    def _machine(self, body: Body, resource: Resource, query: dict[str, str]) -> None:
        if resource.row.name != "Microsoft.Compute/virtualMachines":
            return
        own = body["properties"]
        for secret in SECRETS:
            own.get("osProfile", {}).pop(secret, None)
        if query.get("$expand", "").lower() != "userdata":
            own.pop("userData", None)
        if query.get("$expand", "").lower() == "instanceview":
            own["instanceView"] = instance_view(resource)


def told(state: str, kind: str) -> str:
    return state.lower() if kind.startswith(BATCH_AI) else state


def instance_view(resource: Resource) -> Body:
    power = resource.power or "running"
    states = [
        {
            "code": f"ProvisioningState/{str(resource.state).lower()}",
            "level": "Info",
            "displayStatus": "Provisioning succeeded",
        },
        {"code": f"PowerState/{power}", "level": "Info", "displayStatus": f"VM {power}"},
    ]
    return {
        "statuses": copy.deepcopy(states),
        "hyperVGeneration": "V2",
        "vmAgent": {"vmAgentVersion": "2.9.1.1", "statuses": []},
    }


def etag(resource: Resource) -> str:
    return f'W/"{made_up(resource.key, resource.made, resource.version, resource.state)}"'
