"""How many vCPUs of which quota family a plan takes, as far as the names of the sizes tell.

What the subscription has is for `customai doctor` to ask; so is the family of a size that is not known here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from customai.model import Plan
from customai.provisioning.machines import SPOT_FAMILY, machines_of

UNKNOWN = "unknown"
ORDINAL = re.compile(r"Standard_DS?(\d+)_v2", re.IGNORECASE)  # sizes that are numbered, not named by their vCPUs
OF_ORDINAL = {1: 1, 2: 2, 3: 4, 4: 8, 5: 16, 11: 2, 12: 4, 13: 8, 14: 16, 15: 20}
VCPUS = re.compile(r"Standard_[A-Z]+(\d+)", re.IGNORECASE)
# A series -> its quota family, as Compute's usages call it.
FAMILIES = {
    r"B\d+m?s": "standardBSFamily",
    r"D\d+_v2": "standardDv2Family",
    r"DS\d+_v2": "standardDSv2Family",
    r"D\d+s_v3": "standardDSv3Family",
    r"D\d+s_v5": "standardDSv5Family",
    r"D\d+ds_v5": "standardDDSv5Family",
    r"E\d+s_v3": "standardESv3Family",
    r"E\d+ds_v5": "standardEDSv5Family",
    r"F\d+s_v2": "standardFSv2Family",
    r"NC\d+as_T4_v3": "Standard NCASv3_T4 Family",
    r"NC\d+ads_A100_v4": "StandardNCADSA100v4Family",
    r"NC\d+adi?s_H100_v5": "StandardNCadsH100v5Family",
    r"NV\d+ads_A10_v5": "StandardNVADSA10v5Family",
}


@dataclass(frozen=True)
class Need:
    """vCPUs of one family: as it is made, and when all of it has grown. None: not known here."""

    service: str  # compute | ml | batchai: whose quota
    family: str
    vcpus: int | None
    most: int | None
    reserve: bool  # whether Azure ML's 20 % are in it


def needs(plan: Plan) -> tuple[Need, ...]:
    found: dict[tuple[str, str], Need] = {}
    for machines in (each for step in plan.steps for each in machines_of(step)):
        each = vcpus(machines.size)
        few = each and each * machines.counted(machines.count)
        most = each and each * machines.counted(machines.most)
        key = machines.quota, SPOT_FAMILY if machines.spot else family(machines.size)
        before = found.get(key, Need(*key, 0, 0, reserve=False))
        found[key] = Need(
            *key, _added(before.vcpus, few), _added(before.most, most), reserve=before.reserve or machines.reserve
        )
    return tuple(found.values())


def vcpus(size: str) -> int | None:
    """Of one machine of this size."""
    if ordinal := ORDINAL.fullmatch(size):
        return OF_ORDINAL.get(int(ordinal[1]))
    named = VCPUS.match(size)
    return int(named[1]) if named else None


def family(size: str) -> str:
    series = size.removeprefix("Standard_")
    return next((name for pattern, name in FAMILIES.items() if re.fullmatch(pattern, series, re.IGNORECASE)), UNKNOWN)


def _added(before: int | None, more: int | None) -> int | None:
    return None if before is None or more is None else before + more
