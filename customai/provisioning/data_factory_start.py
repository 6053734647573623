"""A trigger of a data factory that runs: made, it stands still, and is started by a request of its own.

While it runs it cannot be changed: the step that makes it, and this one, are one thing to the target, which stops it first.
"""

from __future__ import annotations

from customai.model import Json, Step
from customai.provisioning.api_versions import API_VERSIONS, type_of

OUTPUTS: dict[str, str] = {}


def step(id_: str, *, trigger: str, times: Json, after: tuple[str, ...], why: str) -> Step:
    """The step that starts the trigger of this id: once more when its times are others."""
    return Step(id_, "run", "data_factory_start", "job", {"trigger": trigger, "times": times}, after, why)


def azure(inputs: Json) -> Json:
    url = f"{inputs['trigger']}?api-version={API_VERSIONS[type_of(inputs['trigger'])]}"
    return {"trigger": url, "times": inputs["times"]}
