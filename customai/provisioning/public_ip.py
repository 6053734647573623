"""A public address: a machine's own, or the one that a network goes out by."""

from __future__ import annotations

from customai.model import Json, Step
from customai.provisioning import azure_names
from customai.provisioning.api_versions import put

TYPE = "Microsoft.Network/publicIPAddresses"
OUTPUTS = {"address": "properties.ipAddress"}


def step(id_: str, *, place: Json, name: str, after: tuple[str, ...], why: str) -> Step:
    return Step(id_, "put", "public_ip", "net", {"place": place, "name": name}, after, why)


def id_of(place: Json, name: str) -> str:
    return azure_names.resource_id(place, TYPE, name)


def azure(inputs: Json) -> Json:
    properties = {"publicIPAllocationMethod": "Static", "publicIPAddressVersion": "IPv4"}
    sku = {"name": "Standard", "tier": "Regional"}  # Basic ended on 2025-09-30
    return put(id_of(inputs["place"], inputs["name"]), azure_names.tracked(inputs["place"], properties, sku=sku))
