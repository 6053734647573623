"""What the verbs tell of a step that is one resource."""

from __future__ import annotations

from customai.model import Json, Step

SIZES = (  # where a request says how large the thing is
    "properties.hardwareProfile.vmSize",
    "properties.vmSize",
    "properties.agentPoolProfiles.0.vmSize",
    "properties.addressSpace.addressPrefixes.0",
    "sku.name",
    "properties.sku.name",
)


def name_and_size(step: Step) -> tuple[str, str]:
    """The resource's name and its size; empty where it has none."""
    if not step.is_request:
        return "", ""
    name = str(step.inputs["url"]).partition("?")[0].rpartition("/")[2]
    if step.kind == "role":  # its own name is a GUID, which tells nobody anything
        name = str(step.inputs["body"]["properties"]["description"]).rpartition(": ")[2]
    sizes = (_at(step.inputs["body"], place.split(".")) for place in SIZES)
    return name, next((size for size in sizes if isinstance(size, str)), "")


def way(difference: Json) -> str:
    """A property that is not as it was asked for, in one line."""
    return f"{difference['property']}: {_short(difference['found'])}, not {_short(difference['wanted'])}"


def _short(value: Json) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _at(value: Json, keys: list[str]) -> Json:
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value
