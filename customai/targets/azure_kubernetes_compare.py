"""Is an object in a cluster as it was asked for? What Kubernetes fills in, and what others add, is no difference."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from customai.model import Json, digest
from customai.targets.azure_compare import Difference

ASKED = "customai.io/asked"  # annotation: the digest of the manifest, so that what left it is noticed
HOLDS = "customai.io/holds"  # annotation: the digest of a Secret's data; on pods: of what they were started with
KEYS = ("name", "mountPath", "topologyKey", "containerPort")  # what an item of a list is known by
QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|[KMGTPE]i|[kMGTPE]|)")
UNITS = {"": Decimal(1), "m": Decimal("0.001")}
UNITS |= {unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", 1)}
UNITS |= {f"{unit.upper()}i": Decimal(1024) ** power for power, unit in enumerate("kMGTPE", 1)}


def marked(manifest: Json, secrets: Mapping[str, str]) -> Json:
    """The manifest as it is sent: with what it is known by later.

    Args:
        manifest: an object of the plan; its references and secrets are resolved.
        secrets: name -> digest of the data, of the Secrets among the manifests: pods that use one start anew with it.
    """
    asked = digest({key: value for key, value in manifest.items() if key != "stringData"})
    made = _annotated(manifest, {ASKED: asked})
    if manifest["kind"] == "Secret":
        data = {name: base64.b64encode(value.encode()).decode() for name, value in manifest["stringData"].items()}
        made = {key: value for key, value in made.items() if key != "stringData"} | {"data": data}
        return _annotated(made, {HOLDS: secrets[manifest["metadata"]["name"]]})
    used = [secrets[name] for name in _secrets_of(manifest) if name in secrets]
    if used:
        spec = manifest["spec"]
        made["spec"] = {
            **spec,
            "template": _annotated(spec["template"], {HOLDS: digest(used) if used[1:] else used[0]}),
        }
    return made


def held(manifest: Json) -> str:
    """The digest of what a Secret of the plan holds."""
    return digest(dict(manifest["stringData"]))


def differences(wanted: Json, found: Json, place: str = "") -> Iterator[Difference]:
    """Every property of `wanted` that `found` has otherwise; a Secret's values are not shown."""
    if isinstance(wanted, Mapping) and set(wanted) in ({"$ref"}, {"$secret"}):
        return
    if isinstance(wanted, Mapping):
        there = found if isinstance(found, Mapping) else {}
        for key, value in wanted.items():
            yield from differences(value, there.get(key), f"{place}.{key}" if place else str(key))
    elif isinstance(wanted, Sequence) and not isinstance(wanted, str):
        yield from _of_list(wanted, found, place)
    elif wanted is not None and not _equal(wanted, found, place):
        shown = place.startswith("data.")
        yield Difference(place, "(as in the spec)" if shown else wanted, "(another)" if shown and found else found)


def drifted(planned: Json, found: Json, secrets: Mapping[str, str]) -> Iterator[Difference]:
    """How an object differs from the plan's, where the plan's secrets are not known; `secrets`: what those there hold."""
    if planned["kind"] == "Secret":
        values = {name: _decoded(value) for name, value in (found.get("data") or {}).items()}
        if holds(found) != digest(values):
            yield Difference("data", "(as it was put)", "(another)")
        planned = {**planned, "stringData": {}}
    ways = list(differences(marked(planned, secrets), found))
    telling = [each for each in ways if not each.place.endswith(ASKED)]
    yield from telling or (Difference("the manifest", "(as planned)", "(an earlier one)") for _ in ways)


def holds(found: Json) -> str:
    """The digest of what a Secret in the cluster is said to hold."""
    return str(((found.get("metadata") or {}).get("annotations") or {}).get(HOLDS, ""))


def _of_list(wanted: Sequence[Any], found: Json, place: str) -> Iterator[Difference]:
    there = found if isinstance(found, list) else []
    known_by = next(
        (key for key in KEYS if wanted and all(isinstance(each, Mapping) and key in each for each in wanted)), ""
    )
    if known_by:  # others may have added theirs: a sidecar, a volume
        by_key = {str(each.get(known_by)): each for each in there if isinstance(each, Mapping)}
        for each in wanted:
            one = f"{place}[{each[known_by]}]"
            there_is = by_key.get(str(each[known_by]))
            yield from differences(each, there_is, one) if there_is is not None else (Difference(one, each, None),)
    elif len(wanted) != len(there):
        yield Difference(place, list(wanted), found)
    else:
        for number, (one, other) in enumerate(zip(wanted, there, strict=True)):
            yield from differences(one, other, f"{place}[{number}]")


def _equal(wanted: Json, found: Json, place: str) -> bool:
    if re.search(r"\.(limits|requests)\.|\.sizeLimit$", place):
        return bool(_quantity(wanted) == _quantity(found))
    return bool(wanted == found) and isinstance(wanted, bool) == isinstance(found, bool)


def _quantity(value: Json) -> Json:
    told = QUANTITY.fullmatch(str(value))
    return Decimal(told[1]) * UNITS[told[2]] if told else value


def _annotated(object_: Json, more: Mapping[str, str]) -> Json:
    metadata = object_["metadata"]
    return {**object_, "metadata": {**metadata, "annotations": {**(metadata.get("annotations") or {}), **more}}}


def _secrets_of(manifest: Json) -> list[str]:
    """The Secrets that the manifest's pods mount."""
    pod = ((manifest.get("spec") or {}).get("template") or {}).get("spec") or {}
    return [str(each["secret"]["secretName"]) for each in pod.get("volumes") or () if "secret" in each]


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value).decode()
    except ValueError:
        return hashlib.sha256(value.encode()).hexdigest()
