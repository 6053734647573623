"""What a Databricks workspace reaches storage by: an identity of its own, so that nobody needs a key."""

from __future__ import annotations

from customai.model import Json, Step
from customai.provisioning import azure_names
from customai.provisioning.api_versions import put

TYPE = "Microsoft.Databricks/accessConnectors"
OUTPUTS: dict[str, str] = {}


def step(id_: str, *, place: Json, identity: str, after: tuple[str, ...], why: str) -> Step:
    """The step that makes the connector, which is the identity of this id to whatever it reaches."""
    inputs = {"place": place, "identity": identity}
    return Step(id_, "put", "databricks_connector", "identity", inputs, after, why)


def id_of(place: Json) -> str:
    return azure_names.resource_id(place, TYPE, f"dbac-{place['deployment']}")


def azure(inputs: Json) -> Json:
    place = inputs["place"]
    identity = {"type": "UserAssigned", "userAssignedIdentities": {inputs["identity"]: {}}}
    return put(id_of(place), azure_names.tracked(place, {}, identity=identity))
