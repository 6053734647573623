"""Is a resource as it was asked for? What Azure adds (defaults, read-only properties) is no difference."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from customai.model import Json

# Azure never tells these back.
WRITE_ONLY = frozenset({"adminPassword", "customData", "protectedSettings", "secret", "administratorLoginPassword"})
NAMES = ("name", "id", "key")  # what an item of a list is known by, where its order may change


@dataclass(frozen=True)
class Difference:
    """A property that is not as it was asked for; `found` is None where it is missing."""

    place: str
    wanted: Json
    found: Json

    def to_json(self) -> Json:
        return {"property": self.place, "wanted": self.wanted, "found": self.found}


def is_at(place: str, patterns: Iterable[str]) -> bool:
    """Whether a difference's place is one of these, or inside one: "pools[a].size" is at "pools.[].size"."""
    plain = re.sub(r"\[[^\]]*\]", ".[]", place)
    return any(plain == pattern or plain.startswith(f"{pattern}.") for pattern in patterns)


def without(body: Json, patterns: Iterable[str], place: str = "") -> Json:
    """The body but for what is at these places."""
    if isinstance(body, Mapping):
        inner = {key: f"{place}.{key}" if place else key for key in body}
        return {
            key: without(value, patterns, inner[key]) for key, value in body.items() if not is_at(inner[key], patterns)
        }
    if isinstance(body, list):
        return [without(each, patterns, f"{place}[{number}]") for number, each in enumerate(body)]
    return body


def only(wanted: Json, found: Json, place: str) -> Json:
    """What was found, with no other items in the list at this place than those asked for: the others are somebody's."""
    *above, last = place.split(".")
    asked, there = wanted, found
    for key in above:
        asked, there = asked.get(key) or {}, there.get(key) or {}
    names = {str(each["name"]).lower() for each in asked.get(last) or ()}
    kept: Json = [each for each in there.get(last) or () if str(each.get("name")).lower() in names]
    for key, level in zip(reversed([*above, last]), reversed(list(_levels(found, above))), strict=True):
        kept = {**level, key: kept}
    return kept


def besides(found: Json, place: str, prefix: str) -> Json:
    """What was found, but for the items of the list at this place whose names begin so: a service has put them there."""
    above, last = place.split(".")
    level = found.get(above) or {}
    kept = [each for each in level.get(last) or () if not str(each.get("name", "")).startswith(prefix)]
    return {**found, above: {**level, last: kept}}


def _levels(found: Json, keys: Sequence[str]) -> Iterator[Json]:
    yield found
    for key in keys:
        found = found.get(key) or {}
        yield found


def differences(wanted: Json, found: Json, place: str = "") -> Iterator[Difference]:
    """Every property of `wanted` that `found` has otherwise. Texts are compared as Azure does: ignoring case.

    A value that is known only later ({"$ref"}, {"$secret"}) may be anything.
    """
    if isinstance(wanted, Mapping) and set(wanted) <= {"$ref", "$secret"} and wanted:
        return
    if isinstance(wanted, Mapping):
        yield from _of_mapping(wanted, found, place)
    elif isinstance(wanted, Sequence) and not isinstance(wanted, str):
        yield from _of_list(wanted, found, place)
    elif not _equal(wanted, found, place):
        yield Difference(place, wanted, found)


def _of_mapping(wanted: Mapping[str, Any], found: Json, place: str) -> Iterator[Difference]:
    if not isinstance(found, Mapping):
        if any(value is not None for value in wanted.values()):
            yield Difference(place, dict(wanted), found)
        return
    lowered = {str(key).lower(): value for key, value in found.items()}
    for key, value in wanted.items():
        if value is None or key in WRITE_ONLY:
            continue
        yield from differences(value, lowered.get(key.lower()), f"{place}.{key}" if place else key)


def _of_list(wanted: Sequence[Any], found: Json, place: str) -> Iterator[Difference]:
    if not wanted and not found:
        return
    if not isinstance(found, list) or len(found) != len(wanted):
        yield Difference(place, list(wanted), found)
        return
    known_by = next(
        (name for name in NAMES if all(isinstance(each, Mapping) and name in each for each in wanted)), None
    )
    if known_by is not None:
        others = {str(each.get(known_by)).lower(): each for each in found if isinstance(each, Mapping)}
        for each in wanted:
            name = str(each[known_by])
            yield from differences(each, others.get(name.lower()), f"{place}[{name}]")
    elif all(isinstance(each, str) for each in (*wanted, *found)):
        if sorted(map(str.lower, wanted)) != sorted(map(str.lower, found)):
            yield Difference(place, list(wanted), found)
    else:
        for number, (one, other) in enumerate(zip(wanted, found, strict=True)):
            yield from differences(one, other, f"{place}[{number}]")


def _equal(wanted: Json, found: Json, place: str) -> bool:
    if isinstance(wanted, str) and isinstance(found, str):
        if place.rpartition(".")[2] == "location":  # "West Europe" is westeurope
            return wanted.replace(" ", "").lower() == found.replace(" ", "").lower()
        return wanted.lower() == found.lower()
    if isinstance(wanted, bool) or isinstance(found, bool):
        return wanted is found or (wanted is False and found is None)  # an off switch may not be told back
    return bool(wanted == found)
