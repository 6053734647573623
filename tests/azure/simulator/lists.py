"""Lists: of one type under a subscription, a group or a resource; of everything; of groups; of role assignments. In pages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .errors import ArmError, group_not_found, unknown_type
from .ids import GROUPS, Place, parent_of
from .messages import Answer, Body, Request
from .state import Resource
from .table import TYPES

if TYPE_CHECKING:
    from .cloud import Cloud


def collection(cloud: Cloud, where: Place, request: Request) -> Answer:
    """GET of .../virtualNetworks under a subscription, a group, or another resource."""
    row = TYPES.get(f"{where.type or where.namespace}/{where.tail}".lower())
    if request.method != "GET" or row is None:
        raise unknown_type(where.namespace or where.tail, request.api_version)
    if where.type and cloud.store.get(where.key) is None:
        raise cloud.rules.missing(where.id)
    nested = row.name.count("/") > 1
    scope = where.key if nested else where.key.rpartition("/providers/")[0]
    found = [
        one
        for one in cloud.store.of_type(row.name)
        if one.key.startswith(scope + "/") and (not nested or parent_of(one.key) == where.key)
    ]
    return page(cloud, request, [cloud.view.of(one) for one in found])


def page(cloud: Cloud, request: Request, values: list[Body]) -> Answer:
    start = int(request.query.get("$skiptoken") or 0)
    body: Body = {"value": values[start : start + cloud.page_size]}
    if start + cloud.page_size < len(values):
        kept = "&".join(f"{key}={value}" for key, value in request.query.items() if key != "$skiptoken")
        body["nextLink"] = f"{request.base}{request.path}?{kept}&$skiptoken={start + cloud.page_size}"
    return Answer(200, body)


def filtered(resources: list[Resource], text: str) -> list[Resource]:
    """The $filter of a resource list: by type, or by tag."""
    kind = re.search(r"resourceType eq '([^']+)'", text)
    tag = re.search(r"tagName eq '([^']+)'(?: and tagValue eq '([^']+)')?", text)
    if kind:
        resources = [one for one in resources if one.row.name.lower() == kind[1].lower()]
    if tag:
        resources = [
            one
            for one in resources
            if tag[1] in one.asked.get("tags", {}) and tag[2] in {None, one.asked["tags"][tag[1]]}
        ]
    return resources


def resources(cloud: Cloud, request: Request, found: re.Match[str]) -> Answer:
    parts = found.groupdict()
    scope = f"/subscriptions/{parts['subscription']}" + (
        f"/resourcegroups/{parts['group']}" if "group" in parts else ""
    )
    if "group" in parts and cloud.store.get(scope) is None:
        raise group_not_found(parts["group"])
    standing = [
        one
        for one in cloud.store.under(scope)
        if one.row.name.lower() != GROUPS and "roleAssignments" not in one.row.name and not parent_of(one.key)
    ]
    return page(
        cloud, request, [cloud.view.listed(one) for one in filtered(standing, request.query.get("$filter", ""))]
    )


def groups(cloud: Cloud, request: Request, found: re.Match[str]) -> Answer:
    scope = f"/subscriptions/{found['subscription']}/".lower()
    groups = [one for one in cloud.store.of_type(GROUPS) if one.key.startswith(scope)]
    return page(cloud, request, [cloud.view.of(one) for one in filtered(groups, request.query.get("$filter", ""))])


def role_assignments(cloud: Cloud, request: Request, found: re.Match[str]) -> Answer:
    scope, text = found["scope"].lower(), request.query.get("$filter", "")
    principal = re.search(r"(?:principalId eq|assignedTo\()\s*'([^']+)'", text)
    shown = []
    for one in cloud.store.of_type("Microsoft.Authorization/roleAssignments"):
        at = one.key.rpartition("/providers/microsoft.authorization/")[0]
        near = at == scope or scope.startswith(at + "/") or ("atScope" not in text and at.startswith(scope + "/"))
        if near and (principal is None or one.asked["properties"].get("principalId") == principal[1]):
            shown.append(cloud.view.of(one))
    return page(cloud, request, shown)


def deleted(cloud: Cloud, request: Request, found: re.Match[str]) -> Any:
    namespace, kind = found["namespace"].lower(), found["kind"].lower()
    mine = [
        one
        for one in cloud.store.deleted.values()
        if one.row.name.lower().startswith(namespace + "/") and one.row.soft.lower() == kind
    ]
    shown = [_deleted_view(one) for one in mine]
    name = found.groupdict().get("name")
    if not name:
        return {"value": shown}
    for one, body in zip(mine, shown, strict=True):
        if one.name.lower() == name.lower():
            if request.method == "POST":
                del cloud.store.deleted[one.key]
                return Answer(200)
            return body
    raise ArmError(
        404,
        "DeletedVaultNotFound",
        f"The specified deleted vault '{name}' does not exist. Ensure that the vault was indeed deleted and that it is in recoverable state. If soft delete was not enabled then the vault is permanently deleted. Follow this link for more information: https://go.microsoft.com/fwlink/?linkid=2149745",
    )


def _deleted_view(one: Resource) -> Body:
    if one.row.name == "Microsoft.OperationalInsights/workspaces":  # shown as it was
        return {
            "id": one.id,
            "name": one.name,
            "type": one.row.name,
            "location": one.location,
            "tags": one.asked.get("tags", {}),
            "properties": one.asked.get("properties", {}) | {"provisioningState": "Succeeded"},
        }
    subscription, namespace = one.id.split("/")[2], one.row.name.split("/")[0]
    own = {
        "vaultId": one.id,
        "location": one.location,
        "deletionDate": "2001-02-03T04:05:06Z",
        "scheduledPurgeDate": "2001-05-04T04:05:06Z",
        "tags": one.asked.get("tags", {}),
    }
    return {
        "id": f"/subscriptions/{subscription}/providers/{namespace}/locations/{one.location}/{one.row.soft}/{one.name}",
        "name": one.name,
        "type": f"{namespace}/{one.row.soft}",
        "location": one.location,
        "properties": own,
    }
