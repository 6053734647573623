"""Whether code may be published to a function app with a password: by ftp or by its own site for that (scm). It may not."""

from __future__ import annotations

from customai.model import Json, Step
from customai.provisioning import azure_names
from customai.provisioning.api_versions import put

TYPE = "Microsoft.Web/sites/basicPublishingCredentialsPolicies"
OUTPUTS: dict[str, str] = {}
PART = True  # it goes with its app


def step(id_: str, *, place: Json, name: str, after: tuple[str, ...], why: str) -> Step:
    """The step that forbids it, of `ftp` or of `scm`."""
    return Step(id_, "put", "function_publishing", "service", {"place": place, "name": name}, after, why)


def azure(inputs: Json) -> Json:
    place = inputs["place"]
    id_ = azure_names.resource_id(place, TYPE, azure_names.function_app(place), inputs["name"])
    return put(id_, {"properties": {"allow": False}})
