"""The resource group: the one scope that everything of a deployment is in, and that goes when it goes."""

from __future__ import annotations

from collections.abc import Mapping

from customai.model import Json, Step
from customai.provisioning import azure_names
from customai.provisioning.api_versions import put

OUTPUTS: dict[str, str] = {}
TOLD = ("tags.customai:spec", "tags.customai:version")  # of when it was last asked for: another value is no change


def step(id_: str, *, place: Json, tags: Mapping[str, str], why: str) -> Step:
    """The step that makes the group; `tags` beside those that everything carries."""
    return Step(id_, "put", "resource_group", "scope", {"place": place, "tags": dict(tags)}, why=why)


def azure(inputs: Json) -> Json:
    place = inputs["place"]
    azure_names.check("Microsoft.Resources/resourceGroups", place["group"])
    body = {"location": place["region"], "tags": azure_names.tags(place) | inputs["tags"]}
    return put(azure_names.group_id(place), body)
