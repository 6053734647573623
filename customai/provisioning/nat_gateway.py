"""A NAT gateway: the way out of a network that nobody comes in by."""

from __future__ import annotations

from customai.model import Json, Step
from customai.provisioning import azure_names
from customai.provisioning.api_versions import put

TYPE = "Microsoft.Network/natGateways"
OUTPUTS: dict[str, str] = {}


def step(id_: str, *, place: Json, name: str, public_ip: str, after: tuple[str, ...], why: str) -> Step:
    """The step that makes the gateway, which goes out by the public address of this id."""
    inputs = {"place": place, "name": name, "public_ip": public_ip}
    return Step(id_, "put", "nat_gateway", "net", inputs, after, why)


def id_of(place: Json, name: str) -> str:
    return azure_names.resource_id(place, TYPE, name)


def azure(inputs: Json) -> Json:
    properties = {"publicIpAddresses": [{"id": inputs["public_ip"]}], "idleTimeoutInMinutes": 10}
    body = azure_names.tracked(inputs["place"], properties, sku={"name": "Standard"})
    return put(id_of(inputs["place"], inputs["name"]), body)
