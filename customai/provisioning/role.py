"""A role assignment: what an identity or a person may do, and no further than one scope."""

from __future__ import annotations

from customai.model import Json, Step
from customai.provisioning import azure_names
from customai.provisioning.api_versions import put

# Azure's built-in roles: their GUIDs are the same in every tenant.
ROLES = {
    "AcrPull": "7f951dda-4ed3-4680-a7ca-43fe172d538d",
    "AcrPush": "8311e382-0749-4cb8-b61a-304f252e45ec",
    "AzureML Data Scientist": "f6c7c914-8db3-469d-8ca1-694a8f32e121",
    "Azure Kubernetes Service Cluster User Role": "4abbcc35-e782-43d8-92c5-2d3f1bd2253f",
    "Azure Kubernetes Service RBAC Writer": "a7ffa36f-339b-4b5c-8bdf-e2c188b2c0eb",
    "Contributor": "b24988ac-6180-42a0-ab88-20f7382dd24c",
    "Desktop Virtualization Power On Off Contributor": "40c5ff49-9181-41f8-ae61-143b0e78555e",
    "Key Vault Administrator": "00482a5a-887f-4fb3-b363-3b7fe8e74483",
    "Managed Identity Operator": "f1a07417-d97a-45cb-824c-7a7467783830",
    "Monitoring Metrics Publisher": "3913510d-42f4-4e42-8a64-420c390055eb",
    "Network Contributor": "4d97b98b-1d4f-4787-a291-c67834d212e7",
    "Storage Blob Data Contributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "Storage Blob Data Owner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "Storage Blob Data Reader": "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
    "Storage File Data Privileged Contributor": "69566ab7-960f-475b-8e7c-b3118f30c6bd",
}
OUTPUTS: dict[str, str] = {}


def step(
    id_: str,
    *,
    place: Json,
    scope: str,
    role: str,
    who: str,
    principal: Json,
    principal_type: Json,
    after: tuple[str, ...],
    why: str,
) -> Step:
    """The step that gives the role.

    Args:
        id_: the step's id.
        place: the deployment's.
        scope: the id of the resource (or of a namespace in a cluster) that the role is limited to.
        role: a key of ROLES.
        who: a word for whom it is given to, the same on every machine: it makes the assignment's name.
        principal: their object id, usually a reference.
        principal_type: ServicePrincipal for an identity (Azure then waits until it knows it), User or Group; or a
            reference.
        after: the step that makes the scope.
        why: one line for people.
    """
    inputs = {
        "place": place,
        "scope": scope,
        "role": role,
        "who": who,
        "principal": principal,
        "principal_type": principal_type,
    }
    return Step(id_, "put", "role", "identity", inputs, after, why)


def azure(inputs: Json) -> Json:
    name = azure_names.guid(inputs["scope"], inputs["role"], inputs["who"])
    definition = ROLES[inputs["role"]]
    subscription = f"/subscriptions/{inputs['place']['subscription']}"
    properties = {
        "roleDefinitionId": f"{subscription}/providers/Microsoft.Authorization/roleDefinitions/{definition}",
        "principalId": inputs["principal"],
        "principalType": inputs["principal_type"],
        "description": f"customai, {inputs['place']['deployment']}: {inputs['role']} for {inputs['who']}",
    }
    id_ = f"{inputs['scope']}/providers/Microsoft.Authorization/roleAssignments/{name}"
    return put(id_, {"properties": properties})
