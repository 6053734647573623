"""A container of blobs, which nobody reads without a token."""

from __future__ import annotations

from customai.model import Json, Step
from customai.provisioning import azure_names
from customai.provisioning.api_versions import put

TYPE = "Microsoft.Storage/storageAccounts/blobServices/containers"
OUTPUTS: dict[str, str] = {}


def step(id_: str, *, place: Json, name: str, after: tuple[str, ...], why: str) -> Step:
    return Step(id_, "put", "container", "store", {"place": place, "name": name}, after, why)


def azure(inputs: Json) -> Json:
    place = inputs["place"]
    id_ = azure_names.resource_id(place, TYPE, azure_names.storage(place), "default", inputs["name"])
    return put(id_, {"properties": {"publicAccess": "None"}})
