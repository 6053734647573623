"""The errors of Azure Resource Manager, worded and shaped as recorded (../shared/azure/errors.jsonl) where they were."""

from __future__ import annotations

import json
from typing import Any

HTML_503 = (
    "<!DOCTYPE html PUBLIC '-//W3C//DTD XHTML 1.0 Transitional//EN' "
    "'http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd'><html xmlns='http://www.w3.org/1999/xhtml'><head>"
    "<meta content='text/html; charset=utf-8' http-equiv='content-type'/><title>AzureResourceManager</title></head>"
    "<body><div id='content'><div id='message'><h2>Our services aren't available right now</h2><p>We're working to "
    "restore all services as soon as possible. Please check back soon.</p></div></div></body></html>"
)
CHALLENGE = (
    'Bearer authorization_uri="https://login.microsoftonline.com/{tenant}", '
    'error="invalid_token", error_description="{why}"'
)


class ArmError(Exception):
    """An answer that is an error. `flat`: without the outer {"error": ...}, as AKS itself answers."""

    def __init__(self, status: int, code: str, message: str, *, flat: bool = False, **more: Any) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.flat = status, code, flat
        self.headers: dict[str, str] = more.pop("headers", {})
        self.error: dict[str, Any] = {"code": code, "message": message, **more}

    @property
    def body(self) -> bytes:
        return json.dumps(self.error if self.flat else {"error": self.error}).encode()


def not_found(type_name: str, name: str, group: str) -> ArmError:
    return ArmError(
        404,
        "ResourceNotFound",
        f"The Resource '{type_name}/{name}' under resource group '{group}' was not found. "
        "For more details please go to https://aka.ms/ARMResourceNotFoundFix",
    )


def not_found_by_batch_ai(kind: str, name: str) -> ArmError:
    """As recorded of clusters and jobs."""
    word = {"clusters": "Cluster", "jobs": "Job", "fileservers": "FileServer"}.get(kind, kind.rstrip("s").capitalize())
    what = "managed compute cluster" if word == "Cluster" else f"{word.lower()} {name}"
    return ArmError(404, f"{word}NotFound", f"The specified {what} is not found")


def _behind_the_gateway(message: str, what: str, subcode: str) -> ArmError:
    details = [{"code": "Unspecified", "message": f"rpc error: code = NotFound desc = {what} not found"}]
    return ArmError(404, "NotFound", message, flat=True, details=details, subcode=subcode)


def cluster_not_found(name: str, subscription: str, group: str) -> ArmError:
    """As AKS itself answers, just after the cluster is gone; later the gateway answers with ResourceNotFound."""
    message = (
        f"Could not find managed cluster resource: {name} in subscription: {subscription}, resourceGroup: {group}."
    )
    return _behind_the_gateway(message, "Managed Cluster", "GetManagedCluster_NotFound_HCPServerError")


def pool_not_found(name: str, subscription: str, group: str, cluster: str) -> ArmError:
    message = f"Could not find the agentpool: {name} in subscription: {subscription}, resourceGroup: {group}, resourceName: {cluster}."
    return _behind_the_gateway(message, "Agent Pool", "GetAgentPool_NotFound_HCPServerError")


def group_not_found(name: str) -> ArmError:
    return ArmError(404, "ResourceGroupNotFound", f"Resource group '{name}' could not be found.")


def group_being_deleted(name: str) -> ArmError:
    return ArmError(
        409,
        "ResourceGroupBeingDeleted",
        f"The resource group '{name}' is in deprovisioning state and cannot perform this operation.",
    )


def unauthenticated(tenant: str) -> ArmError:
    why = "The authentication failed because of missing 'Authorization' header."
    return ArmError(
        401,
        "AuthenticationFailed",
        "Authentication failed. The 'Authorization' header is missing.",
        headers={"WWW-Authenticate": CHALLENGE.format(tenant=tenant, why=why)},
    )


def token_expired(tenant: str = "common") -> ArmError:
    why = "The access token has expired."
    return ArmError(
        401,
        "ExpiredAuthenticationToken",
        "The access token expiry UTC time '8/20/2024 4:48:47 PM' is earlier than current UTC time '8/20/2024 4:48:48 PM'.",
        headers={"WWW-Authenticate": CHALLENGE.format(tenant=tenant, why=why)},
    )


def wrong_tenant(token_tenant: str, tenant: str) -> ArmError:
    message = (
        f"The access token is from the wrong issuer 'https://sts.windows.net/{token_tenant}/'. It must match the tenant "
        f"'https://sts.windows.net/{tenant}/' associated with this subscription. Please use the authority (URL) "
        f"'https://login.windows.net/{tenant}' to get the token."
    )
    return ArmError(
        401,
        "InvalidAuthenticationTokenTenant",
        message,
        headers={"WWW-Authenticate": CHALLENGE.format(tenant=tenant, why=message)},
    )


def unregistered(namespace: str) -> ArmError:
    message = (
        f"The subscription is not registered to use namespace '{namespace}'. "
        "See https://aka.ms/rps-not-found for how to register subscriptions."
    )
    code = "MissingSubscriptionRegistration"
    return ArmError(409, code, message, details=[{"code": code, "target": namespace, "message": message}])


def unknown_type(namespace: str, api_version: str) -> ArmError:
    return ArmError(
        404,
        "InvalidResourceType",
        f"The resource type could not be found in the namespace '{namespace}' for api version '{api_version}'.",
    )


def principal_not_found(principal: str, tenant: str) -> ArmError:
    return ArmError(
        400,
        "PrincipalNotFound",
        f"Principal {principal.replace('-', '')} does not exist in the directory {tenant}. Check that you have the "
        "correct principal ID. If you are creating this principal and then immediately assigning a role, this error "
        "might be related to a replication delay. In this case, set the role assignment principalType property to a "
        "value, such as ServicePrincipal, User, or Group.  See https://aka.ms/docs-principaltype",
    )


def another_operation(operation: str) -> ArmError:
    return ArmError(
        409,
        "AnotherOperationInProgress",
        "Another operation on this or dependent resource is in progress. "
        f"To retrieve status of the operation use uri: {operation}.",
        details=[],
    )


def aks_busy(state: str) -> ArmError:
    return ArmError(
        409,
        "OperationNotAllowed",
        f"Operation is not allowed: Another operation ({state}) is in progress, please wait for it to finish before "
        "starting a new operation. See https://aka.ms/aks-pending-operation for more details",
        flat=True,
        details=None,
        subcode="",
    )


def not_provisioned(needed: str, by: str) -> ArmError:
    message = (
        f"Cannot proceed with operation because resource {needed} used by resource {by} is not in Succeeded state. "
        "Resource is in Updating state."
    )
    detail = {"code": "ReferencedResourceNotProvisioned", "message": message}
    return ArmError(429, "RetryableError", "A retryable error occurred.", details=[detail])


def missing_reference(needed: str, by: str) -> ArmError:
    return ArmError(
        400,
        "InvalidResourceReference",
        f"Resource {needed} referenced by resource {by} was not found. Please make sure that the referenced resource "
        "exists, and that both resources are in the same region.",
        details=[],
    )


def missing_identity(identity: str, by: str) -> ArmError:
    inner = json.dumps({"error": {"code": "BadRequest", "message": f"Resource '{identity}' was not found."}})
    return ArmError(
        400,
        "FailedIdentityOperation",
        f"Identity operation for resource '{by}' failed with error 'Failed to perform resource identity operation. "
        f"Status: 'BadRequest'. Response: '{inner}'.'.",
    )


def throttled(retry_after: float | None = None) -> ArmError:
    headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
    return ArmError(429, "TooManyRequests", "The request is being throttled.", headers=headers)


def core_quota(family: str, location: str, limit: int, used: int, more: int) -> ArmError:
    return ArmError(
        409,
        "OperationNotAllowed",
        f"Operation could not be completed as it results in exceeding approved {family} Cores quota. Additional details "
        f"- Deployment Model: Resource Manager, Location: {location}, Current Limit: {limit}, Current Usage: {used}, "
        f"Additional Required: {more}, (Minimum) New Limit Required: {used + more}. Submit a request for Quota increase "
        "at https://aka.ms/ProdportalCRP",
    )


def aks_quota(cluster: str, group: str, family: str, location: str, limit: int, used: int, more: int) -> ArmError:
    inner = core_quota(family, location, limit, used, more).error["message"]
    message = f"Provisioning of resource(s) for container service {cluster} in resource group {group} failed. Message: {inner}"
    return ArmError(400, "QuotaExceeded", message, flat=True)


def sku_not_available(size: str, location: str) -> ArmError:
    return ArmError(
        409,
        "SkuNotAvailable",
        f"The requested VM size for resource 'Following SKUs have failed for Capacity Restrictions: {size}' is currently "
        f"not available in location '{location}'. Please try another size or deploy to a different location or different "
        "zone. See https://aka.ms/azureskunotavailable for details.",
    )


def disallowed_by_policy(name: str, policy: str = "Allowed locations") -> ArmError:
    assignment = (
        "/subscriptions/00000000-0000-0000-0000-000000000000/providers/Microsoft.Authorization/policyAssignments/p1"
    )
    info = {
        "type": "PolicyViolation",
        "info": {
            "policyDefinitionDisplayName": policy,
            "policyDefinitionName": "e56962a6-4747-49cd-b67b-bf8b01975c4c",
            "policyDefinitionEffect": "deny",
            "policyAssignmentId": assignment,
            "policyAssignmentName": "p1",
            "policyAssignmentDisplayName": f"{policy} (assigned)",
        },
    }
    return ArmError(
        403,
        "RequestDisallowedByPolicy",
        f"Resource '{name}' was disallowed by policy. Policy identifiers: "
        f'\'[{{"policyAssignment":{{"name":"{policy} (assigned)","id":"{assignment}"}}}}]\'.',
        target=name,
        additionalInfo=[info],
    )


def authorization_failed(action: str, scope: str, who: str = "someone@example.com") -> ArmError:
    return ArmError(
        403,
        "AuthorizationFailed",
        f"The client '{who}' with object id '674368bb-7eaa-4100-aef7-138f65f50648' does not have authorization to perform "
        f"action '{action}' over scope '{scope}' or the scope is invalid. If access was recently granted, please refresh "
        "your credentials.",
    )


def server_error() -> ArmError:
    return ArmError(
        500,
        "InternalServerError",
        "Encountered internal server error. Diagnostic information: timestamp '20250620T142414Z', subscription id '', "
        "tracking id 'ee00de03-5cc0-4c34-a21b-7e27c84e6683', request correlation id 'ee00de03-5cc0-4c34-a21b-7e27c84e6683'.",
    )
