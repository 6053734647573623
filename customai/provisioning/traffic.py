"""Which deployments of an endpoint answer: known to it once they stand, so it is said last.

Azure has no request for it alone: the whole endpoint is put again as it stands, with this part changed. The target reads it,
changes it and puts it back.
"""

from __future__ import annotations

from customai.model import Json, Step
from customai.provisioning.api_versions import API_VERSIONS, type_of

OUTPUTS: dict[str, str] = {}


def step(id_: str, *, endpoint: str, wanted: Json, after: tuple[str, ...], why: str) -> Step:
    """The step that says it.

    Args:
        id_: the step's id.
        endpoint: the endpoint's id.
        wanted: {"traffic": {deployment: percent}} or, of a batch endpoint, {"defaults": {"deploymentName": deployment}}.
        after: the steps that make the deployments.
        why: one line for people.
    """
    return Step(id_, "apply", "traffic", "service", {"endpoint": endpoint, "wanted": wanted}, after, why)


def azure(inputs: Json) -> Json:
    endpoint = inputs["endpoint"]
    return {"endpoint": f"{endpoint}?api-version={API_VERSIONS[type_of(endpoint)]}", "wanted": inputs["wanted"]}
