"""What would stop a plan, found by reading before anything is made: all of it at once.

login -> subscription -> tenant -> (rights, providers, region, sizes, quota, names, images, what is there already)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from customai import retirements
from customai.errors import (
    Conflict,
    CustomAIError,
    Forbidden,
    NotAvailable,
    NotFound,
    NotInstalled,
    NotLoggedIn,
    SpecError,
    TargetError,
)
from customai.model import Json, Plan, Step
from customai.targets import azure_quota
from customai.targets.azure_about import COMPUTE, About
from customai.targets.azure_arm import Address, Arm
from customai.targets.azure_resource import cannot_change, differing, fixed, is_ours
from customai.targets.findings import OK, PROBLEM, UNKNOWN, WARNING, Finding, not_asked, stand, stops

RESOURCES, AUTHORIZATION, CLUSTERS = "2021-04-01", "2022-04-01", "2024-09-01"
ROLES = "ask for the roles Contributor and Role Based Access Control Administrator; they take up to 10 minutes"
# Types whose names are unique in all of Azure -> what people call it, and the version of the question whether one is free.
NAMES = {
    "Microsoft.ContainerRegistry/registries": ("registry", "2023-07-01"),
    "Microsoft.KeyVault/vaults": ("vault", "2023-07-01"),
    "Microsoft.Storage/storageAccounts": ("storage account", "2023-05-01"),
    "Microsoft.Web/sites": ("app", "2023-12-01"),
}
VAULTS, WORKSPACES = "Microsoft.KeyVault/vaults", "Microsoft.MachineLearningServices/workspaces"
ENDED = {"Microsoft.BatchAI": ("batchai", "azure.cluster.service")}  # provider -> retirements.tsv's name, and the key
LIVE = ("Enabled", "Warned", "PastDue")  # the states of a subscription in which something can be made

Found = Iterator[CustomAIError | Finding]


def check(plan: Plan, arm: Arm) -> None:
    """Raises the one TargetError that would stop the plan, or Unready with all of them."""
    stand(findings(plan, arm))


def looked_at(plan: Plan | None, connect: Callable[[], Arm]) -> list[Finding]:
    """The same, where there may be no subscription to ask, or nothing to ask it with."""
    try:
        arm = connect()
    except (SpecError, NotInstalled) as error:
        name = "extra" if isinstance(error, NotInstalled) else "subscription"
        rest = [each for each in (*FIRST, *checks_of(plan)) if each != name]
        return [stops(name, error), *not_asked(rest, f"see {name}")]
    return findings(plan, arm)


def findings(plan: Plan | None, arm: Arm) -> list[Finding]:
    """Everything that was looked at; without a plan, what holds for any."""
    about, checks, found = About(plan, arm), checks_of(plan), []
    for name, one in FIRST.items():  # without these, nothing else can be asked
        told = _asked(name, one, about)
        found += told
        if any(each.error is not None for each in told):
            rest = [*FIRST, *checks]
            return [*found, *not_asked(rest[rest.index(name) + 1 :], f"see {name}")]
    with ThreadPoolExecutor(len(checks)) as pool:
        for each in pool.map(lambda item: _asked(item[0], item[1], about), checks.items()):
            found += each
    return found


def checks_of(plan: Plan | None) -> dict[str, Callable[[About], Found]]:
    """What is asked once the first things are answered."""
    return CHECKS if plan is not None else {"rights": _rights}


def _asked(name: str, one: Callable[[About], Found], about: About) -> list[Finding]:
    try:
        found = list(one(about))
    except TargetError as error:  # a question that Azure does not answer stops a deployment as well
        return [stops(name, error, state=UNKNOWN if name in CHECKS else PROBLEM)]
    return [each if isinstance(each, Finding) else stops(name, each) for each in found]


def _login(about: About) -> Found:
    claims = about.asked(about.arm.claims)
    who = next((claims[name] for name in ("upn", "unique_name", "appid", "oid") if claims.get(name)), "somebody")
    yield Finding("login", OK, f"you are {who}")


def _subscription(about: About) -> Found:
    subscription = about.get("", RESOURCES)
    name, state = subscription.get("displayName", about.arm.subscription), subscription.get("state")
    if state not in LIVE:
        yield Forbidden(
            f"subscription {name} is {state}",
            where=about.arm.subscription,
            hint="az account list -o table, then az account set -s ID; or azure.subscription in the spec",
        )
    elif state != "Enabled":
        message = f"subscription {name} is {state}: it will be disabled unless that is settled"
        yield Finding("subscription", WARNING, message, about.arm.subscription, "see the portal's page of its invoices")
    elif (subscription.get("subscriptionPolicies") or {}).get("spendingLimit") == "On":
        message = f"subscription {name} has a spending limit: it is disabled when its credit is used up"
        yield Finding("subscription", WARNING, message, about.arm.subscription)
    else:
        yield Finding("subscription", OK, f"{name} is {state}", about.arm.subscription)


def _tenant(about: About) -> Found:
    mine, wanted = about.arm.claims().get("tid"), about.get("", RESOURCES).get("tenantId")
    if mine and wanted and mine != wanted:
        yield NotLoggedIn(
            f"your login is of tenant {mine}, the subscription of {wanted}",
            where=about.arm.subscription,
            hint=f"az login --tenant {wanted}; or azure.tenant in the spec",
        )
    else:
        yield Finding("tenant", OK, str(wanted or mine or "the subscription's"))


def _rights(about: About) -> Found:
    """Whether whoever has logged in may make each kind of resource: in the group if it is there."""
    group = next((step for step in about.requests if step.kind == "resource_group"), None)
    scope = str(group.inputs["url"]).partition("?")[0] if group is not None and group.id in about.there else ""
    path = scope.removeprefix(f"/subscriptions/{about.arm.subscription}")
    granted = about.every(f"{path}/providers/Microsoft.Authorization/permissions", AUTHORIZATION)
    # A right to make groups is given by the subscription; who has the group already does not need it.
    wanted = [step for step in about.requests if not (scope and step is group)]
    needed = {f"{Address.of(step.inputs['url']).type}/write" for step in wanted}
    if about.plan is None:
        needed = {"Microsoft.Resources/resourceGroups/write", "Microsoft.Authorization/roleAssignments/write"}
    missing = [action for action in sorted(needed) if not any(_allows(each, action) for each in granted)]
    if missing:
        yield Forbidden(
            f"your account may not do this there: {', '.join(missing)}",
            where=scope or about.arm.subscription,
            hint=ROLES,
        )
    else:
        roles = " and give roles" if any("roleAssignments" in action for action in needed) else ""
        yield Finding("rights", OK, f"you may make all of it{roles}: {len(needed)} actions", scope)


def _allows(granted: Json, action: str) -> bool:
    return _matches(granted.get("actions"), action) and not _matches(granted.get("notActions"), action)


def _matches(patterns: Any, action: str) -> bool:
    return any(re.fullmatch(re.escape(each).replace(r"\*", ".*"), action, re.IGNORECASE) for each in patterns or ())


def _providers(about: About) -> Found:
    needed = sorted({Address.of(step.inputs["url"]).type.split("/")[0] for step in about.requests})
    for name in [name for name in needed if name in ENDED]:
        needed.remove(name)
        yield _ended(*ENDED[name])
    with ThreadPoolExecutor(8) as pool:
        states = list(pool.map(lambda one: about.get(f"/providers/{one}", RESOURCES).get("registrationState"), needed))
    missing = tuple(
        name for name, state in zip(needed, states, strict=True) if state not in ("Registered", "Registering")
    )
    if missing:
        error = NotAvailable(
            f"your subscription has never used {', '.join(missing)}",
            hint=" && ".join(f"az provider register --wait -n {name}" for name in missing),
        )
        yield stops("providers", error, register=missing)
    else:
        yield Finding("providers", OK, f"registered: {', '.join(needed)}")


def _ended(service: str, key: str) -> CustomAIError | Finding:
    """What of a service that has ended: nobody in Azure answers for it."""
    found = retirements.find("service", service)
    if found is None or not found.has_ended(retirements.today()):
        return Finding("providers", OK, f"{service} has not ended", key)
    hint = f"{key}: {found.successor}; at an endpoint of your own that still has it: customai deploy --skip-checks"
    return NotAvailable(found.told(found.was, retirements.today()), where=key, hint=hint)


def _region(about: About) -> Found:
    if about.has_region:
        yield Finding("region", OK, about.region)
    else:
        hint = "az account list-locations -o table"
        yield NotAvailable(f"your subscription has no region '{about.region}'", where="azure.region", hint=hint)


def _names(about: About) -> Found:
    """Names that must be unique in all of Azure, and those that a deletion keeps for a while; ours may be there already."""
    for step in about.requests:
        address = Address.of(step.inputs["url"])
        if step.id in about.there:
            continue
        name = address.names[-1]
        if address.type == WORKSPACES:
            yield Finding(
                "names",
                UNKNOWN,
                f"whether a workspace {name} was deleted within the last 14 days, Azure does not tell",
                step.id,
                "if it was, deploy says so: recover it in the portal, or choose another `name` in the spec",
            )
        elif address.type == VAULTS and (kept := _kept_vault(about, name)) is not None:
            yield Conflict(
                f"the vault {name} was deleted, and is kept until {kept['properties'].get('scheduledPurgeDate')}",
                where=step.id,
                hint=f"az keyvault recover -n {name}; or az keyvault purge -n {name}; or another `name` in the spec",
            )
        elif address.type in NAMES:
            yield _free_name(about, step, address)


def _kept_vault(about: About, name: str) -> Json:
    try:
        path = f"/providers/Microsoft.KeyVault/locations/{about.region}/deletedVaults/{name}"
        return about.get(path, NAMES[VAULTS][1])
    except NotFound:
        return None


def _free_name(about: About, step: Step, address: Address) -> CustomAIError | Finding:
    namespace, name = address.type.partition("/")[0], address.names[-1]
    what, version = NAMES[address.type]
    url = f"/subscriptions/{about.arm.subscription}/providers/{namespace}/checkNameAvailability?api-version={version}"
    answer = about.asked(partial(about.arm.ask, "POST", url, {"name": name, "type": address.type}))
    if answer["nameAvailable"]:
        return Finding("names", OK, f"the {what}'s name {name} is free", step.id)
    hint = "choose another `name` in the spec"
    return Conflict(f"the {what}'s name {name} is taken: {answer.get('message')}", where=step.id, hint=hint)


def _images(about: About) -> Found:
    for step in about.requests:
        if step.kind == "dsvm" and step.id not in about.there:
            image = step.inputs["body"]["properties"]["storageProfile"]["imageReference"]
            place = "/publishers/{publisher}/artifacttypes/vmimage/offers/{offer}/skus/{sku}/versions".format(**image)
            names = ":".join(image[part] for part in ("publisher", "offer", "sku", "version"))
            more = "" if image["version"] == "latest" else f"/{image['version']}"
            try:
                found = about.get(f"/providers/Microsoft.Compute/locations/{about.region}{place}{more}", COMPUTE)
                yield _offered(step, names, found)
            except NotFound:
                hint = f"az vm image list --publisher {image['publisher']} -l {about.region} --all -o table"
                yield NotFound(f"there is no image {names} in {about.region}", where="azure.vm.image", hint=hint)


def _offered(step: Step, names: str, found: Json) -> Finding:
    """One version tells of its end; the list of all versions, which `latest` is taken from, does not."""
    own = found.get("properties") or {} if isinstance(found, dict) else {}
    status = own.get("imageDeprecationStatus") or {}
    if status.get("imageState", "Active") == "Active":
        return Finding("images", OK, f"{names} is offered", step.id)
    when = status.get("scheduledDeprecationTime", "an unknown day")
    return Finding("images", WARNING, f"{names} is offered until {when}", step.id, "take the version `latest`")


def _versions(about: About) -> Found:
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
        else:
            yield Finding("versions", OK, f"AKS offers Kubernetes {wanted}", step.id)


def _standing(about: About) -> Found:
    """What is there already and is somebody else's, or cannot be changed into what is asked for."""
    yield Finding("standing", OK, f"{len(about.there)} of {len(about.requests)} resources are there already")
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


def _in_a_region(one: Callable[[About], Found]) -> Callable[[About], Found]:
    """What can be asked only of a region that there is."""
    return lambda about: one(about) if about.has_region else iter(())


FIRST: dict[str, Callable[[About], Found]] = {"login": _login, "subscription": _subscription, "tenant": _tenant}
CHECKS: dict[str, Callable[[About], Found]] = {
    "rights": _rights,
    "providers": _providers,
    "region": _region,
    "size": _in_a_region(azure_quota.sizes),
    "quota": _in_a_region(azure_quota.quota),
    "names": _in_a_region(_names),
    "images": _in_a_region(_images),
    "versions": _in_a_region(_versions),
    "standing": _standing,
}
