"""A network interface: a machine's place in a subnet."""

from __future__ import annotations

from customai.model import Json, Step
from customai.provisioning import azure_names
from customai.provisioning.api_versions import put

TYPE = "Microsoft.Network/networkInterfaces"
OUTPUTS: dict[str, str] = {}


def step(
    id_: str, *, place: Json, name: str, subnet: str, public_ip: str | None, after: tuple[str, ...], why: str
) -> Step:
    """The step that makes the interface, in the subnet of this id, reached by the public address of that one, if any."""
    inputs = {"place": place, "name": name, "subnet": subnet, "public_ip": public_ip}
    return Step(id_, "put", "interface", "net", inputs, after, why)


def id_of(place: Json, name: str) -> str:
    return azure_names.resource_id(place, TYPE, name)


def azure(inputs: Json) -> Json:
    address = {"subnet": {"id": inputs["subnet"]}, "privateIPAllocationMethod": "Dynamic"}
    if inputs["public_ip"] is not None:
        # Waiver CKV_AZURE_119: a lab's machine is reached over ssh from one address; `public_ip: false` goes without.
        address["publicIPAddress"] = {"id": inputs["public_ip"]}
    properties = {"ipConfigurations": [{"name": "primary", "properties": address}], "enableIPForwarding": False}
    return put(id_of(inputs["place"], inputs["name"]), azure_names.tracked(inputs["place"], properties))
