"""A data factory: runs things at their times; what it may do, its own identity is given."""

from __future__ import annotations

from customai.model import Json, Step
from customai.provisioning import azure_names
from customai.provisioning.api_versions import put

TYPE = "Microsoft.DataFactory/factories"
OUTPUTS = {"principal_id": "identity.principalId"}


def step(id_: str, *, place: Json, after: str, why: str) -> Step:
    inputs = {"place": place, "name": azure_names.data_factory(place)}
    return Step(id_, "put", "data_factory", "service", inputs, (after,), why)


def azure(inputs: Json) -> Json:
    place = inputs["place"]
    # Waiver CKV_AZURE_104: its triggers run in Azure's own network; a managed one costs by the hour.
    body = azure_names.tracked(place, {"publicNetworkAccess": "Enabled"}, identity={"type": "SystemAssigned"})
    return put(azure_names.resource_id(place, TYPE, inputs["name"]), body)
