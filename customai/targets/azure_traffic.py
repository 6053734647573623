"""Which deployments of an endpoint answer: the endpoint is read, this part of it is changed, and it is put back as a whole."""

from __future__ import annotations

from customai.errors import NotFound
from customai.model import Json, Step
from customai.targets.azure_arm import Arm
from customai.targets.azure_compare import Difference
from customai.targets.azure_wait import Followed, Tries
from customai.targets.base import Observed, Watch

KEPT = ("location", "tags", "kind", "sku")  # of an answer, what a request may say
KEPT_PROPERTIES = ("authMode", "publicNetworkAccess", "description", "traffic", "defaults")


def read(step: Step, outputs: Json, arm: Arm) -> Observed:
    del outputs
    found = _followed(step, step.inputs, arm, Watch()).found()
    if found is None:
        return Observed(present=False, as_left=False)
    ways = [each.to_json() for each in _ways(step.inputs["wanted"], found)]
    return Observed(present=not ways, as_left=not ways, detail={"state": "", "differences": ways})


def apply(step: Step, inputs: Json, digest: str, arm: Arm, watch: Watch) -> Json:
    del digest  # the endpoint itself says whether it is done
    if _put(step, inputs, inputs["wanted"], arm, watch) is None:
        raise NotFound("the endpoint is not there", where=step.id, hint="deploy again")
    return {}


def delete(step: Step, outputs: Json, arm: Arm) -> None:
    """A deployment that answers cannot be deleted: from here on, none does."""
    del outputs
    _put(step, step.inputs, {name: {} for name in step.inputs["wanted"]}, arm, Watch())


def _put(step: Step, inputs: Json, wanted: Json, arm: Arm, watch: Watch) -> Json:
    """The endpoint as it is then; None where there is none."""
    followed = _followed(step, inputs, arm, watch)
    tries = Tries(step.id, watch, arm.pace)
    while True:
        found = followed.settled()
        if found is None or not _ways(wanted, found):
            return found
        try:
            followed.ended(arm.put(inputs["endpoint"], _with(found, wanted)))
        except Exception as error:  # noqa: BLE001 (what is no error of Azure's is raised as it is)
            tries.again(error)


def _ways(wanted: Json, found: Json) -> list[Difference]:
    """Compared whole: a deployment that is not named gets nothing."""
    own = found.get("properties") or {}
    told = {name: own.get(name) or {} for name in wanted}
    return [Difference(f"properties.{name}", wanted[name], told[name]) for name in wanted if wanted[name] != told[name]]


def _with(found: Json, wanted: Json) -> Json:
    properties = {key: value for key, value in found["properties"].items() if key in KEPT_PROPERTIES}
    body = {key: found[key] for key in KEPT if found.get(key) is not None}
    identity = found.get("identity") or {}
    if identity:
        body["identity"] = {"type": identity["type"]}
        if identity.get("userAssignedIdentities"):
            body["identity"]["userAssignedIdentities"] = {each: {} for each in identity["userAssignedIdentities"]}
    return body | {"properties": properties | wanted}


def _followed(step: Step, inputs: Json, arm: Arm, watch: Watch) -> Followed:
    return Followed(arm, inputs["endpoint"], step.id, watch, arm.pace)
