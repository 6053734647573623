"""What the verbs tell of a step that is one resource."""

from __future__ import annotations

from collections.abc import Iterable

from customai.model import Json, Step

SIZES = (  # where a request says how large the thing is
    "properties.hardwareProfile.vmSize",
    "properties.vmSize",
    "properties.properties.vmSize",
    "properties.instanceType",
    "properties.agentPoolProfiles.0.vmSize",
    "properties.addressSpace.addressPrefixes.0",
    "sku.name",
    "properties.sku.name",
)


HELD_BY = {"image": ("registry", "id"), "kubernetes": ("cluster",)}  # kind -> where the id of what holds it stands


def is_resource(step: Step) -> bool:
    """Whether it is one of Azure's things: a resource, or what a registry or a cluster holds."""
    return step.is_request or (step.kind in HELD_BY and HELD_BY[step.kind][0] in step.inputs)


def id_of(step: Step) -> str:
    """The resource's id; of what is none of its own, the id of the one that holds it."""
    if step.is_request:
        return str(step.inputs["url"]).partition("?")[0]
    return str(_at(step.inputs, list(HELD_BY[step.kind])))


def name_and_size(step: Step) -> tuple[str, str]:
    """The resource's name and its size; empty where it has none."""
    if not step.is_request:
        return str(step.inputs["repository"]) if step.kind == "image" and is_resource(step) else "", ""
    name = str(step.inputs["url"]).partition("?")[0].rpartition("/")[2]
    if step.kind == "role":  # its own name is a GUID, which tells nobody anything
        name = str(step.inputs["body"]["properties"]["description"]).rpartition(": ")[2]
    sizes = (_at(step.inputs["body"], place.split(".")) for place in SIZES)
    return name, next((size for size in sizes if isinstance(size, str)), "")


AT_REST = {  # what is paid for while nothing runs, by kind; {size} is the step's own
    "dsvm": "its disk",
    "public_ip": "its address, {name}",
    "nat_gateway": "the NAT gateway, {name}",
    "registry": "the registry, {name} ({size})",
    "aks": "its load balancer and address; with `tier: standard` the cluster itself; nodes' disks that are not their own",
    "log_workspace": "logs that are kept for longer than 31 days",
}


def billed_at_rest(steps: Iterable[Step]) -> list[str]:
    """What is still paid for while the machines of these steps stand still."""
    found = [
        (list(AT_REST).index(step.kind), AT_REST[step.kind].format(name=name, size=size))
        for step in steps
        if step.is_request and step.kind in AT_REST
        for name, size in [name_and_size(step)]
    ]
    return [told for _, told in sorted(found)]


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
