"""A machine's disk, closed to the network.

Azure makes the disk with the machine, and lets it be closed only once it is there: so this changes (PATCH) what another
step has made, and has nothing of its own to take away.
"""

from __future__ import annotations

from customai.model import Json, Step
from customai.provisioning import azure_names
from customai.provisioning.api_versions import request

TYPE = "Microsoft.Compute/disks"
OUTPUTS: dict[str, str] = {}


def step(id_: str, *, place: Json, name: str, after: tuple[str, ...], why: str) -> Step:
    return Step(id_, "put", "disk_access", "store", {"place": place, "name": name}, after, why)


def azure(inputs: Json) -> Json:
    closed = {"networkAccessPolicy": "DenyAll", "publicNetworkAccess": "Disabled"}
    return request("PATCH", azure_names.resource_id(inputs["place"], TYPE, inputs["name"]), {"properties": closed})
