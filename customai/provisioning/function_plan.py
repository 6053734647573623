"""The plan that a function app runs on: Flex Consumption, which costs nothing while nothing runs."""

from __future__ import annotations

from customai.model import Json, Step
from customai.provisioning import azure_names
from customai.provisioning.api_versions import put

TYPE = "Microsoft.Web/serverfarms"
OUTPUTS: dict[str, str] = {}
FIXED = ("sku.name", "properties.reserved")


def step(id_: str, *, place: Json, after: tuple[str, ...], why: str) -> Step:
    return Step(id_, "put", "function_plan", "compute", {"place": place}, after, why)


def id_of(place: Json) -> str:
    return azure_names.resource_id(place, TYPE, azure_names.function_plan(place))


def azure(inputs: Json) -> Json:
    place = inputs["place"]
    sku = {"name": "FC1", "tier": "FlexConsumption"}
    return put(id_of(place), azure_names.tracked(place, {"reserved": True}, sku=sku))  # reserved: Linux
