"""A user-assigned managed identity: what a machine or a cluster is to Azure, without any secret."""

from __future__ import annotations

from customai.model import Json, Step
from customai.provisioning import azure_names
from customai.provisioning.api_versions import put

TYPE = "Microsoft.ManagedIdentity/userAssignedIdentities"
OUTPUTS = {"principal_id": "properties.principalId", "client_id": "properties.clientId"}


def step(id_: str, *, place: Json, name: str, after: str, why: str) -> Step:
    return Step(id_, "put", "identity", "identity", {"place": place, "name": name}, (after,), why)


def id_of(place: Json, name: str) -> str:
    return azure_names.resource_id(place, TYPE, name)


def azure(inputs: Json) -> Json:
    place = inputs["place"]
    return put(id_of(place, inputs["name"]), {"location": place["region"], "tags": azure_names.tags(place)})
