"""Where a URL of Azure Resource Manager points."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

GROUPS = "microsoft.resources/resourcegroups"
SUBSCRIPTIONS = "microsoft.resources/subscriptions"
WORDS = {word.lower(): word for word in ("subscriptions", "resourceGroups", "providers")}  # spelt so, whoever asks
RESOURCE_ID = re.compile(r"^/subscriptions/[^/]+/.+", re.IGNORECASE)


@dataclass(frozen=True)
class Place:
    """One thing, or a collection of things or an action on one thing (then `tail` names it)."""

    id: str  # of the thing itself, without the tail
    type: str  # lower case; "" where the URL names a collection under a group or subscription
    name: str
    tail: str = ""
    namespace: str = ""

    @property
    def key(self) -> str:
        return self.id.lower()

    @property
    def subscription(self) -> str:
        return self._after("subscriptions")

    @property
    def group(self) -> str:
        return self._after("resourcegroups")

    @property
    def group_key(self) -> str:
        return f"/subscriptions/{self.subscription}/resourcegroups/{self.group}".lower() if self.group else ""

    def _after(self, word: str) -> str:
        parts = self.id.strip("/").split("/")
        return next((parts[i + 1] for i, part in enumerate(parts[:-1]) if part.lower() == word), "")


def place(path: str) -> Place:
    parts = [WORDS.get(part.lower(), part) for part in path.split("/") if part]
    low = [part.lower() for part in parts]
    if "providers" in low[:-1]:
        at = len(low) - 1 - low[::-1].index("providers")
        if at + 1 < len(parts):
            return _under_provider(parts, at)
    if low[:1] == ["subscriptions"] and len(parts) % 2 == 0 and len(parts) <= 4:
        kind = {2: SUBSCRIPTIONS, 4: GROUPS if low[2:3] == ["resourcegroups"] else f"microsoft.resources/{low[-2]}"}
        return Place("/" + "/".join(parts), kind[len(parts)], parts[-1])
    return Place("/" + "/".join(parts[:-1]), "", parts[-2] if len(parts) > 1 else "", parts[-1] if parts else "")


def _under_provider(parts: list[str], at: int) -> Place:
    namespace, rest = parts[at + 1], parts[at + 2 :]
    tail = rest.pop() if len(rest) % 2 else ""
    whole = parts[: at + 2] + rest
    types, names = rest[0::2], rest[1::2]
    kind = "/".join([namespace, *types]).lower() if types else ""
    return Place("/" + "/".join(whole), kind, names[-1] if names else "", tail, namespace)


def parent_of(key: str) -> str:
    """The resource that a nested or an extension resource hangs on; "" for one that stands in a group."""
    head, _, rest = key.rpartition("/providers/")
    if rest.count("/") > 2:
        return key.rsplit("/", 2)[0]
    return head if "/providers/" in head else ""


# Properties that name another resource by its id, as a string.
POINTERS = {"vnetSubnetID", "podSubnetID", "workspaceId", "logAnalyticsWorkspaceResourceID", "targetResourceId"}


def references(value: Any, part: str = "") -> Iterator[tuple[str, str]]:
    """Every resource that a body refers to, as (the id of the part that refers to it, or "", the id of the resource)."""
    if isinstance(value, dict):
        mine = value.get("id") if "name" in value else None  # a named part of the body, not a reference
        for key, one in value.items():
            pointer = key in POINTERS or (key == "id" and "name" not in value)
            if pointer and isinstance(one, str) and RESOURCE_ID.match(one):
                yield part, one
            else:
                yield from references(one, mine or part)
    elif isinstance(value, list):
        for one in value:
            yield from references(one, part)
