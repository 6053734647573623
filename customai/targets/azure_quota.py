"""Whether the sizes that a plan asks for are offered, and its vCPUs within the quotas; and what would fit if not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from customai import retirements
from customai.errors import CustomAIError, NoQuota, NotAvailable, TargetError
from customai.model import Json
from customai.provisioning.machines import COMPUTE, ML, SPOT_FAMILY, Machines
from customai.targets.azure_about import About
from customai.targets.azure_advice import QUOTA_PAGE
from customai.targets.findings import OK, UNKNOWN, Finding

REGIONAL = "cores"  # the quota that counts the cores of every family
NEIGHBOURS = 4  # so many other regions are looked at
# Never suggested: NV needs another driver than the images bring, B gets no system pool, and ARM no image of ours.
NOT_TAKEN = re.compile(r"Standard_(NV|B|[A-Z]+\d+[a-z]*p)")
ML_SUFFIX = "clusterdedicatedvcpus"  # "Standard DDSv5 Family Cluster Dedicated vCPUs", of standardDDSv5Family
ML_REGIONAL, ML_SPOT = "totalclusterdedicatedregionalvcpus", "totalclusterlowpriorityregionalvcpus"


def sizes(about: About) -> Iterator[CustomAIError | Finding]:
    for machines in {each.size: each for each in about.to_come}.values():
        known = about.sizes(about.region).get(machines.size.lower())
        wrong = [_missing(about, machines)] if known is None else list(_closed(about, machines, known))
        yield from wrong
        if not wrong:
            yield Finding("size", OK, f"{machines.size} is offered in {about.region}", machines.step)


def _missing(about: About, machines: Machines) -> CustomAIError:
    return NotAvailable(
        f"there is no size {machines.size} in {about.region}", where=machines.step, hint=_hint(about, machines)
    )


def _closed(about: About, machines: Machines, known: Json) -> Iterator[CustomAIError]:
    for where in closed_in(known, machines, about.region):
        message = f"{machines.size} is not offered to your subscription in {where}"
        yield NotAvailable(message, where=machines.step, hint=_hint(about, machines))
    if machines.spot and capability(known, "LowPriorityCapable") == "False":
        yield NotAvailable(f"{machines.size} is not to be had as a spot machine", where=machines.step)


def closed_in(known: Json, machines: Machines, region: str) -> Iterator[str]:
    """Where a size is not offered: the region, or those of its zones that are asked for."""
    for each in known.get("restrictions") or ():
        closed = (each.get("restrictionInfo") or {}).get("zones") or ()
        zones = sorted({*machines.zones} & {*closed})
        if each["type"] == "Location" or zones:
            yield f"{region}, zone {', '.join(zones)}" if zones else region


def quota(about: About) -> Iterator[CustomAIError | Finding]:
    """Cores of each family, and of all together, that the plan adds to what is used; and those of Azure ML."""
    for whose in (COMPUTE, ML):
        added = _added(about, whose)
        if added:
            free = _free(about) if whose == COMPUTE else _ml_free(about)
            yield from _compared(about, whose, added, free)


def _added(about: About, whose: str) -> dict[str, int]:
    """Quota -> how many more cores of it; of Azure ML's clusters, as many as they may grow to."""
    added: dict[str, int] = {}
    for machines in about.to_come:
        known = about.sizes(about.region).get(machines.size.lower())
        number = machines.counted(machines.most if whose == ML else machines.count)
        if known is None or machines.quota != whose or not number:
            continue
        spot, all_of_it = (SPOT_FAMILY, REGIONAL) if whose == COMPUTE else (ML_SPOT, ML_REGIONAL)
        own = known["family"] if whose == COMPUTE else _plain(known["family"])
        for name in [spot] if machines.spot else [own, all_of_it]:
            added[name] = added.get(name, 0) + int(capability(known, "vCPUs") or 0) * number
    return added


def _free(about: About) -> dict[str, Json]:
    return {each["name"]["value"]: each for each in about.usages(about.region)}


def _ml_free(about: About) -> dict[str, Json]:
    names = {_plain(each["name"].get("localizedValue") or each["name"]["value"]): each for each in about.ml_usages}
    return {name.removesuffix(ML_SUFFIX): each for name, each in names.items()}


def _plain(name: str) -> str:
    """The families are written in several ways: "Standard NCASv3_T4 Family", "standardDDSv5Family"."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _compared(
    about: About, whose: str, added: dict[str, int], known: dict[str, Json]
) -> Iterator[CustomAIError | Finding]:
    of = "Azure ML's quota: " if whose == ML else ""
    for name, more in added.items():
        usage = known.get(name)
        if usage is None:
            yield Finding("quota", UNKNOWN, f"{of}Azure tells no quota {name} in {about.region}", hint=QUOTA_PAGE)
            continue
        shown, used, limit = usage["name"]["localizedValue"], usage["currentValue"], usage["limit"]
        if more <= limit - used:
            yield Finding("quota", OK, f"{of}{shown} in {about.region}: {more} more, {used} of {limit} are used")
            continue
        machines = _largest(about, name, whose)
        yield NoQuota(
            f"{of}{shown} in {about.region}: {more} more are needed, {used} of {limit} are used: "
            f"{more - (limit - used)} too few",
            hint=f"ask for more, it is free: {QUOTA_PAGE}; or choose a smaller size{_what_fits(about, machines)}",
        )


def _largest(about: About, name: str, whose: str) -> Machines | None:
    """Which machines take most of this quota."""
    known = about.sizes(about.region)

    def cores(one: Machines) -> int:
        size = known.get(one.size.lower()) or {}
        mine = one.quota == whose and (
            name in (REGIONAL, ML_REGIONAL) or _plain(size.get("family", "")) == _plain(name)
        )
        return one.count * int(capability(size, "vCPUs") or 0) if mine else -1

    found = max(about.to_come, key=cores, default=None)
    return found if found is not None and cores(found) >= 0 else None


def _hint(about: About, machines: Machines) -> str:
    series = re.sub(r"\d.*", "", machines.size)
    listed = f"az vm list-skus -l {about.region} --size {series} -o table; or another region"
    return listed + _what_fits(about, machines)


def _what_fits(about: About, machines: Machines | None) -> str:
    """Another size there, and the same size elsewhere, that are offered and within the quota; "" where none is found."""
    if machines is None or machines.quota == ML:
        return ""
    try:
        found = [size for size in (_other_size(about, machines),) if size] + _other_regions(about, machines)
    except TargetError:
        return ""  # a suggestion is no reason to fail
    return f"; what fits: {', or '.join(found)}" if found else ""


def _other_size(about: About, machines: Machines) -> str | None:
    known = about.sizes(about.region)
    wanted = known.get(machines.size.lower()) or {}
    named = re.match(r"Standard_[A-Z]+(\d+)", machines.size)
    cores = int(capability(wanted, "vCPUs") or (named[1] if named else 4))
    gpu = machines.size.startswith("Standard_N")
    fitting = [
        (abs(int(capability(size, "vCPUs") or 0) - cores), _unlike(size["name"], machines.size), size["name"])
        for size in known.values()
        if (int(capability(size, "GPUs") or 0) > 0) == gpu
        and not NOT_TAKEN.match(size["name"])
        and retirements.find("size", size["name"]) is None
        and _fits(about, about.region, size, machines)
    ]
    return f"{min(fitting)[2]} in {about.region}" if fitting else None


def _unlike(one: str, other: str) -> int:
    """How unlike two sizes are: what is not the same of their letters."""
    return len({*re.sub(r"\d", "", one)} ^ {*re.sub(r"\d", "", other)})


def _other_regions(about: About, machines: Machines) -> list[str]:
    """At most one, of the same part of the world if Azure tells."""
    group = next((_geography(each) for each in about.regions if each["name"] == about.region), None)
    near = [each["name"] for each in about.regions if _geography(each) == group and each["name"] != about.region]
    near = near[:NEIGHBOURS]
    with ThreadPoolExecutor(max(len(near), 1)) as pool:
        fitting = list(pool.map(lambda region: _fits_in(about, region, machines), near))
    return [f"{machines.size} in {region}" for region, fits in zip(near, fitting, strict=True) if fits][:1]


def _fits_in(about: About, region: str, machines: Machines) -> bool:
    size = about.sizes(region).get(machines.size.lower())
    return size is not None and _fits(about, region, size, machines)


def _fits(about: About, region: str, size: Json, machines: Machines) -> bool:
    if any(closed_in(size, machines, region)):
        return False
    if machines.spot and capability(size, "LowPriorityCapable") == "False":
        return False
    cores = int(capability(size, "vCPUs") or 0) * max(machines.count, 1)
    free = {each["name"]["value"]: each["limit"] - each["currentValue"] for each in about.usages(region)}
    names = [SPOT_FAMILY] if machines.spot else [size["family"], REGIONAL]
    return cores > 0 and all(free.get(name, 0) >= cores for name in names)


def _geography(region: Json) -> str:
    return str((region.get("metadata") or {}).get("geographyGroup", ""))


def capability(size: Json, name: str) -> str | None:
    return next((each["value"] for each in size.get("capabilities") or () if each["name"] == name), None)
