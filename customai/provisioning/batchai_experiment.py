"""An experiment of Batch AI: the jobs that belong together. It is asked for by its name alone."""

from __future__ import annotations

from customai.model import Json, Step
from customai.provisioning import azure_names
from customai.provisioning.api_versions import put

TYPE = "Microsoft.BatchAI/workspaces/experiments"
OUTPUTS: dict[str, str] = {}


def step(id_: str, *, place: Json, after: tuple[str, ...], why: str) -> Step:
    """The step that makes the experiment; it has the deployment's name."""
    return Step(id_, "put", "batchai_experiment", "service", {"place": place}, after, why)


def azure(inputs: Json) -> Json:
    name = inputs["place"]["deployment"]
    return put(azure_names.resource_id(inputs["place"], TYPE, name, name), {})
