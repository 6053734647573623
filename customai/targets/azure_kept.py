"""What Azure keeps for a while after it was deleted, to be brought back: found again, and deleted for good.

A workspace of Log Analytics is kept for 14 days, a key vault for 7, at no cost. Only one that stands can be deleted for good: one that is kept
is made again first, which brings it back, and its group with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from customai.model import Json, Step
from customai.provisioning.api_versions import put
from customai.targets.azure_arm import Address
from customai.targets.azure_resource import Resource, is_ours
from customai.targets.azure_wait import Followed

KEPT: dict[str, tuple[str, str | None]] = {  # kind -> where those that are kept are listed; for good
    "key_vault": ("deletedVaults", None),  # protected: nobody can before its week is over
    "log_workspace": ("deletedWorkspaces", "force"),
}
RESOURCES = "2021-04-01"
SHORT = 60.0  # seconds until what is gone for good is not listed any more

Follow = Callable[[Step], Followed]


def is_kept(step: Step, follow: Follow) -> bool:
    """Whether Azure keeps what this step made, although it is deleted."""
    followed, address = follow(step), Address.of(step.inputs["url"])
    where, _ = KEPT[step.kind]
    namespace = address.type.partition("/")[0]
    subscription = address.id.partition("/resourceGroups/")[0]
    path = f"{subscription}/providers/{namespace}/{where}?api-version={address.api_version}"
    every = followed.patiently(lambda: list(followed.arm.every(path)))
    return any(_is_of(address.id, each) and is_ours(step.inputs["body"], _tagged(each)) for each in every)


def _is_of(id_: str, kept: Json) -> bool:
    """A vault that is kept has an id of its own, and tells the one that it had."""
    told = (kept.get("properties") or {}).get("vaultId") or kept.get("id", "")
    return str(told).lower() == id_.lower()


def _tagged(kept: Json) -> Json:
    return kept if "tags" in kept else {"tags": (kept.get("properties") or {}).get("tags")}


def purged(step: Step, follow: Follow, *, alone: bool) -> bool:
    """Deletes it for good, whether it stands or is kept; whether there was anything.

    Args:
        step: what is to go.
        follow: a step, followed.
        alone: whether its group is gone: if it is there again, that is for this purpose only.
    """
    if KEPT[step.kind][1] is None:
        return False
    followed, group = follow(step), _group(step, follow)
    resource = Resource(followed, step, step.inputs)
    stands = resource.is_to_go(made=False)
    there = stands or is_kept(step, follow)
    if there:
        if not stands:
            group.brought_about()
            resource.brought_about()
        followed.patiently(lambda: followed.arm.ask("DELETE", f"{step.inputs['url']}&{KEPT[step.kind][1]}=true"))
        followed.gone()
    if alone and group.is_to_go(made=False) and not _inside(group):
        group.taken_away(made=False)
    deadline = time.monotonic() + min(SHORT, followed.pace.patience)
    while there and is_kept(step, follow) and time.monotonic() < deadline:
        followed.watch.pause(followed.pace.look)
    return there


def _group(step: Step, follow: Follow) -> Resource:
    """The group that it is in, as it is made anew to bring back what was in it."""
    body, id_ = step.inputs["body"], step.inputs["url"].partition("/providers/")[0]
    request: Json = put(id_, {"location": body["location"], "tags": body["tags"]})
    made = Step("group", "put", "resource_group", "scope", request, (), "to delete for good what was in it")
    return Resource(follow(made), made, request)


def _inside(group: Resource) -> list[Json]:
    path = group.url.partition("?")[0]
    return group.followed.patiently(lambda: list(group.arm.every(f"{path}/resources?api-version={RESOURCES}")))
