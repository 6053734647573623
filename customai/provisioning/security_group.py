"""A network security group: who may reach a subnet. What it does not allow, Azure's own last rule denies from outside."""

from __future__ import annotations

from collections.abc import Sequence

from customai.model import Json, Step
from customai.provisioning import azure_names
from customai.provisioning.api_versions import put

TYPE = "Microsoft.Network/networkSecurityGroups"
OUTPUTS: dict[str, str] = {}
OTHERS = ("properties.securityRules", "Microsoft.Databricks-workspaces_")  # of a service, for its own subnets


def step(id_: str, *, place: Json, name: str, ssh_from: Sequence[Json], after: tuple[str, ...], why: str) -> Step:
    """The step that makes the group; `ssh_from`: address prefixes, may be references; none: nobody comes in."""
    inputs = {"place": place, "name": name, "ssh_from": list(ssh_from)}
    return Step(id_, "put", "security_group", "net", inputs, after, why)


def id_of(place: Json, name: str) -> str:
    return azure_names.resource_id(place, TYPE, name)


def azure(inputs: Json) -> Json:
    rules = [_ssh(inputs["ssh_from"])] if inputs["ssh_from"] else []
    body = azure_names.tracked(inputs["place"], {"securityRules": rules})
    return put(id_of(inputs["place"], inputs["name"]), body)


def _ssh(prefixes: Sequence[Json]) -> Json:
    properties = {
        "description": "ssh from the addresses that the deployment names, and no others",
        "priority": 1000,
        "direction": "Inbound",
        "access": "Allow",
        "protocol": "Tcp",
        "sourceAddressPrefixes": list(prefixes),
        "sourcePortRange": "*",
        "destinationAddressPrefix": "*",
        "destinationPortRange": "22",
    }
    return {"name": "ssh", "properties": properties}
