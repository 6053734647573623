"""How a storage account keeps blobs: what is deleted by mistake can be brought back for a week."""

from __future__ import annotations

from customai.model import Json, Step
from customai.provisioning import azure_names
from customai.provisioning.api_versions import request

TYPE = "Microsoft.Storage/storageAccounts/blobServices"
OUTPUTS: dict[str, str] = {}
PART = True  # it goes with what it stands in
DAYS = 7


def step(id_: str, *, place: Json, after: tuple[str, ...], why: str) -> Step:
    """The step that sets it; the service itself comes and goes with its account."""
    return Step(id_, "put", "blob_service", "store", {"place": place}, after, why)


def azure(inputs: Json) -> Json:
    place = inputs["place"]
    kept = {"enabled": True, "days": DAYS}
    properties = {"deleteRetentionPolicy": kept, "containerDeleteRetentionPolicy": kept}
    id_ = azure_names.resource_id(place, TYPE, azure_names.storage(place), "default")
    return request("PUT", id_, {"properties": properties})
