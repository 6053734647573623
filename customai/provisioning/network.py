"""A virtual network, with its subnets: private, and with a way out that can be seen."""

from __future__ import annotations

from collections.abc import Sequence

from customai.model import Json, Step
from customai.provisioning import azure_names
from customai.provisioning.api_versions import put

TYPE = "Microsoft.Network/virtualNetworks"
OUTPUTS: dict[str, str] = {}


def step(
    id_: str, *, place: Json, name: str, prefix: str, subnets: Sequence[Json], after: tuple[str, ...], why: str
) -> Step:
    """The step that makes the network.

    Args:
        id_: the step's id.
        place: the deployment's.
        name: the network's.
        prefix: its address range.
        subnets: {"name", "prefix", "security_group" (id), "nat_gateway" (id or None)}, and perhaps "delegated" (a service).
        after: the steps that make what the subnets name.
        why: one line for people.
    """
    inputs = {"place": place, "name": name, "prefix": prefix, "subnets": list(subnets)}
    return Step(id_, "put", "network", "net", inputs, after, why)


def id_of(place: Json, name: str) -> str:
    return azure_names.resource_id(place, TYPE, name)


def subnet_id(place: Json, network: str, name: str) -> str:
    return f"{id_of(place, network)}/subnets/{name}"


def azure(inputs: Json) -> Json:
    properties = {
        "addressSpace": {"addressPrefixes": [inputs["prefix"]]},
        "subnets": [_subnet(subnet) for subnet in inputs["subnets"]],
    }
    return put(id_of(inputs["place"], inputs["name"]), azure_names.tracked(inputs["place"], properties))


def _subnet(subnet: Json) -> Json:
    properties = {
        "addressPrefix": subnet["prefix"],
        "defaultOutboundAccess": False,  # the way out is one that can be seen: an address, a gateway, a load balancer
        "networkSecurityGroup": {"id": subnet["security_group"]},
    }
    if subnet["nat_gateway"] is not None:
        properties["natGateway"] = {"id": subnet["nat_gateway"]}
    if "delegated" in subnet:
        whom = {"serviceName": subnet["delegated"]}
        properties["delegations"] = [{"name": "delegation", "properties": whom}]
    return {"name": subnet["name"], "properties": properties}
