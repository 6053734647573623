"""What would stop a plan, found by reading before anything is made: all of it at once.

login -> subscription -> (rights, providers, region, sizes, quota, names, images, what is there already)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from customai.errors import Conflict, CustomAIError, Forbidden, NoQuota, NotAvailable, NotFound, TargetError
from customai.model import Json, Plan, Step
from customai.targets.azure_advice import QUOTA_PAGE
from customai.targets.azure_arm import Address, Arm
from customai.targets.azure_resource import cannot_change, differing, fixed, is_ours
from customai.targets.azure_wait import Pace, Tries, ours
from customai.targets.base import Watch

RESOURCES, COMPUTE, SKUS, REGISTRIES, AUTHORIZATION, CLUSTERS = (
    "2021-04-01",
    "2024-07-01",
    "2021-07-01",
    "2023-07-01",
    "2022-04-01",
    "2024-09-01",
)
REGIONAL = "cores"  # the quota that counts the cores of every family


class Unready(TargetError):
    """Several things would stop the plan."""

    def __init__(self, problems: tuple[CustomAIError, ...]) -> None:
        lines = "".join(f"\n  - {each.message}" + (f" ({each.hint})" if each.hint else "") for each in problems)
        super().__init__(f"{len(problems)} things stand in the way; nothing was made:{lines}")
        self.exit_code = problems[0].exit_code
        self.reasons = problems

    def to_json(self) -> dict[str, object]:
        return {**super().to_json(), "reasons": [each.to_json() for each in self.reasons]}


def check(plan: Plan, arm: Arm) -> None:
    """Raises the one TargetError that would stop the plan, or Unready with all of them."""
    about = About(plan, arm)
    about.asked(arm.claims)  # without a login, nothing else can be asked
    subscription = about.get("", RESOURCES)
    if subscription.get("state") not in ("Enabled", "Warned", "PastDue"):
        raise Forbidden(
            f"subscription {subscription.get('displayName', arm.subscription)} is {subscription.get('state')}",
            where=arm.subscription,
            hint="az account list -o table, then az account set -s ID; or azure.subscription in the spec",
        )
    with ThreadPoolExecutor(len(CHECKS)) as pool:
        found = tuple(
            problem for problems in pool.map(lambda one: _problems(one, about), CHECKS) for problem in problems
        )
    if len(found) == 1:
        raise found[0]
    if found:
        raise Unready(found)


def _problems(one: Callable[[About], Iterator[CustomAIError]], about: About) -> list[CustomAIError]:
    try:
        return list(one(about))
    except TargetError as error:
        return [error]


@dataclass(frozen=True)
class Machines:
    """So many machines of one size that a step asks for."""

    step: str
    size: str
    count: int
    spot: bool
    zones: tuple[str, ...]


@dataclass
class About:
    """A plan, and what the subscription says about it: each thing is asked once."""

    plan: Plan
    arm: Arm

    def asked(self, call: Callable[[], Any]) -> Any:
        try:
            return Tries("", Watch(), Pace(patience=30)).until(call)
        except CustomAIError:
            raise
        except Exception as error:
            raise ours(error, "") from error

    def get(self, path: str, version: str, more: str = "") -> Json:
        url = f"/subscriptions/{self.arm.subscription}{path}?api-version={version}{more}"
        return self.asked(lambda: self.arm.ask("GET", url))

    def every(self, path: str, version: str, more: str = "") -> list[Json]:
        url = f"/subscriptions/{self.arm.subscription}{path}?api-version={version}{more}"
        found: list[Json] = self.asked(lambda: list(self.arm.every(url)))
        return found

    @cached_property
    def requests(self) -> list[Step]:
        return [step for step in self.plan.steps if step.is_request]

    @cached_property
    def there(self) -> dict[str, Json]:
        """What is there already of the plan, by its step."""
        with ThreadPoolExecutor(8) as pool:
            found = pool.map(lambda step: self.asked(lambda: self.arm.get(step.inputs["url"])), self.requests)
            return {step.id: each for step, each in zip(self.requests, found, strict=True) if each is not None}

    @cached_property
    def region(self) -> str:
        return next(str(step.inputs["body"]["location"]) for step in self.requests if "location" in step.inputs["body"])

    @cached_property
    def has_region(self) -> bool:
        return any(each["name"] == self.region for each in self.every("/locations", "2022-12-01"))

    @cached_property
    def machines(self) -> list[Machines]:
        return [each for step in self.requests for each in machines_of(step)]

    @cached_property
    def sizes(self) -> dict[str, Json]:
        """What is known of each VM size in the region."""
        path, where = "/providers/Microsoft.Compute/skus", f"&$filter=location eq '{self.region}'"
        found = self.every(path, SKUS, where)
        return {each["name"].lower(): each for each in found if each.get("resourceType") == "virtualMachines"}


def machines_of(step: Step) -> Iterator[Machines]:
    own = step.inputs["body"].get("properties") or {}
    zones = tuple(step.inputs["body"].get("zones") or own.get("availabilityZones") or ())
    if step.kind == "dsvm":
        yield Machines(step.id, own["hardwareProfile"]["vmSize"], 1, own.get("priority") == "Spot", zones)
    elif step.kind == "node_pool":
        yield Machines(step.id, own["vmSize"], own["count"], own.get("scaleSetPriority") == "Spot", zones)
    elif step.kind == "aks":
        for pool in own["agentPoolProfiles"]:
            yield Machines(step.id, pool["vmSize"], pool["count"], False, tuple(pool.get("availabilityZones") or ()))


def _rights(about: About) -> Iterator[CustomAIError]:
    """Whether whoever has logged in may make each kind of resource: in the group if it is there."""
    group = next(step for step in about.requests if step.kind == "resource_group")
    scope = str(group.inputs["url"]).partition("?")[0] if group.id in about.there else ""
    path = scope.removeprefix(f"/subscriptions/{about.arm.subscription}")
    granted = about.every(f"{path}/providers/Microsoft.Authorization/permissions", AUTHORIZATION)
    # A right to make groups is given by the subscription; who has the group already does not need it.
    needed = {
        f"{Address.of(step.inputs['url']).type}/write": step for step in about.requests if not (scope and step is group)
    }
    missing = [action for action in needed if not any(_allows(each, action) for each in granted)]
    if missing:
        yield Forbidden(
            f"your account may not do this there: {', '.join(sorted(missing))}",
            where=scope or about.arm.subscription,
            hint="ask for the roles Contributor and Role Based Access Control Administrator; they take up to 10 minutes",
        )


def _allows(granted: Json, action: str) -> bool:
    return _matches(granted.get("actions"), action) and not _matches(granted.get("notActions"), action)


def _matches(patterns: Any, action: str) -> bool:
    return any(re.fullmatch(re.escape(each).replace(r"\*", ".*"), action, re.IGNORECASE) for each in patterns or ())


def _providers(about: About) -> Iterator[CustomAIError]:
    needed = sorted({Address.of(step.inputs["url"]).type.split("/")[0] for step in about.requests})
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda one: about.get(f"/providers/{one}", RESOURCES).get("registrationState"), needed)
        missing = [
            name for name, state in zip(needed, found, strict=True) if state not in ("Registered", "Registering")
        ]
    if missing:
        yield NotAvailable(
            f"your subscription has never used {', '.join(missing)}",
            hint=" && ".join(f"az provider register --wait -n {name}" for name in missing),
        )


def _region(about: About) -> Iterator[CustomAIError]:
    if not about.has_region:
        hint = "az account list-locations -o table"
        yield NotAvailable(f"your subscription has no region '{about.region}'", where="azure.region", hint=hint)


def _sizes(about: About) -> Iterator[CustomAIError]:
    if not about.has_region:
        return
    for machines in {each.size: each for each in about.machines if each.step not in about.there}.values():
        known = about.sizes.get(machines.size.lower())
        hint = f"az vm list-skus -l {about.region} --size {_series(machines.size)} -o table; or another region"
        if known is None:
            yield NotAvailable(f"there is no size {machines.size} in {about.region}", where=machines.step, hint=hint)
            continue
        for each in known.get("restrictions") or ():
            closed = (each.get("restrictionInfo") or {}).get("zones") or ()
            zones = sorted({*machines.zones} & {*closed})
            if each["type"] == "Location" or zones:
                where = f"{about.region}, zone {', '.join(zones)}" if zones else about.region
                yield NotAvailable(
                    f"{machines.size} is not offered to your subscription in {where}", where=machines.step, hint=hint
                )
        if machines.spot and _capability(known, "LowPriorityCapable") == "False":
            yield NotAvailable(f"{machines.size} is not to be had as a spot machine", where=machines.step)


def _quota(about: About) -> Iterator[CustomAIError]:
    """Cores of each family, and of all together, that the plan adds to what is used."""
    if not about.has_region:
        return
    added: dict[str, int] = {}
    for machines in about.machines:
        known = about.sizes.get(machines.size.lower())
        if known is None or machines.step in about.there or not machines.count:
            continue
        cores = int(_capability(known, "vCPUs") or 0) * machines.count
        names = ["lowPriorityCores"] if machines.spot else [known["family"], REGIONAL]
        for name in names:
            added[name] = added.get(name, 0) + cores
    if not added:
        return
    usages = about.every(f"/providers/Microsoft.Compute/locations/{about.region}/usages", COMPUTE)
    for usage in usages:
        name, free = usage["name"]["value"], usage["limit"] - usage["currentValue"]
        if (more := added.get(name, 0)) > free:
            yield NoQuota(
                f"{usage['name']['localizedValue']} in {about.region}: {more} more are needed, {usage['currentValue']} "
                f"of {usage['limit']} are used: {more - free} too few",
                hint=f"ask for more, it is free: {QUOTA_PAGE}; or choose a smaller size",
            )


def _names(about: About) -> Iterator[CustomAIError]:
    """Names that must be unique in all of Azure; ours may be there already."""
    for step in about.requests:
        if step.kind != "registry" or step.id in about.there:
            continue
        name = Address.of(step.inputs["url"]).names[-1]
        path = f"/subscriptions/{about.arm.subscription}/providers/Microsoft.ContainerRegistry/checkNameAvailability"
        body = {"name": name, "type": "Microsoft.ContainerRegistry/registries"}
        answer = about.asked(partial(about.arm.ask, "POST", f"{path}?api-version={REGISTRIES}", body))
        if not answer["nameAvailable"]:
            hint = "choose another `name` in the spec"
            yield Conflict(f"the registry's name {name} is taken: {answer.get('message')}", where=step.id, hint=hint)


def _images(about: About) -> Iterator[CustomAIError]:
    if not about.has_region:
        return
    for step in about.requests:
        if step.kind == "dsvm" and step.id not in about.there:
            image = step.inputs["body"]["properties"]["storageProfile"]["imageReference"]
            place = "/publishers/{publisher}/artifacttypes/vmimage/offers/{offer}/skus/{sku}/versions".format(**image)
            more = "" if image["version"] == "latest" else f"/{image['version']}"
            try:
                about.get(f"/providers/Microsoft.Compute/locations/{about.region}{place}{more}", COMPUTE)
            except NotFound:
                names = ":".join(image[part] for part in ("publisher", "offer", "sku", "version"))
                hint = f"az vm image list --publisher {image['publisher']} -l {about.region} --all -o table"
                yield NotFound(f"there is no image {names} in {about.region}", where="azure.vm.image", hint=hint)


def _versions(about: About) -> Iterator[CustomAIError]:
    if not about.has_region:
        return
    for step in about.requests:
        wanted = step.inputs["body"].get("properties", {}).get("kubernetesVersion") if step.kind == "aks" else None
        if wanted is None or step.id in about.there:
            continue
        path = f"/providers/Microsoft.ContainerService/locations/{about.region}/kubernetesVersions"
        minors = about.get(path, CLUSTERS)["values"]
        offered = {each["version"] for each in minors} | {patch for each in minors for patch in each["patchVersions"]}
        if wanted not in offered:
            newest = ", ".join(sorted(each["version"] for each in minors))
            yield NotAvailable(f"AKS has no Kubernetes {wanted} in {about.region}: take one of {newest}", where=step.id)


def _standing(about: About) -> Iterator[CustomAIError]:
    """What is there already and is somebody else's, or cannot be changed into what is asked for."""
    for step in about.requests:
        found = about.there.get(step.id)
        if found is None:
            continue
        name = Address.of(step.inputs["url"]).id.rpartition("/")[2]
        if not is_ours(step.inputs["body"], found):
            hint = "choose another `name` in the spec (or azure.resource_group), or delete it yourself"
            yield Conflict(f"'{name}' is there already, and customai did not make it", where=step.id, hint=hint)
        elif ways := fixed(step.kind, list(differing(step.kind, step.inputs["body"], found))):
            yield cannot_change(step.id, ways)


CHECKS = (_rights, _providers, _region, _sizes, _quota, _names, _images, _versions, _standing)


def _capability(size: Json, name: str) -> str | None:
    return next((each["value"] for each in size.get("capabilities") or () if each["name"] == name), None)


def _series(size: str) -> str:
    return re.sub(r"\d.*", "", size)
