"""A workspace of Batch AI, which ended on 2019-03-31: what its clusters, file servers and experiments stand in."""

from __future__ import annotations

from customai.model import Json, Step
from customai.provisioning import azure_names
from customai.provisioning.api_versions import put

TYPE = "Microsoft.BatchAI/workspaces"
OUTPUTS: dict[str, str] = {}


def step(id_: str, *, place: Json, after: tuple[str, ...], why: str) -> Step:
    """The step that makes the workspace; it has the deployment's name."""
    return Step(id_, "put", "batchai_workspace", "service", {"place": place}, after, why)


def id_of(place: Json) -> str:
    return azure_names.resource_id(place, TYPE, place["deployment"])


def azure(inputs: Json) -> Json:
    place = inputs["place"]
    return put(id_of(place), {"location": place["region"], "tags": azure_names.tags(place)})
