"""A component of Azure ML: a command with its inputs and outputs, or a pipeline of one, ready to be run by name."""

from __future__ import annotations

from customai.model import Json, Step
from customai.provisioning import azure_names
from customai.provisioning.api_versions import put

TYPE = "Microsoft.MachineLearningServices/workspaces/components/versions"
OUTPUTS: dict[str, str] = {}
PART = True  # it goes with what it stands in
FIXED = ("properties",)
SCHEMA = "https://azuremlschemas.azureedge.net/latest"


def step(
    id_: str,
    *,
    place: Json,
    workspace: str,
    name: str,
    version: str,
    spec: Json,
    after: tuple[str, ...],
    why: str,
) -> Step:
    """The step that registers the version; `spec` is what command() or pipeline() makes."""
    inputs = {"place": place, "workspace": workspace, "name": name, "version": version, "spec": spec}
    return Step(id_, "put", "ml_component", "service", inputs, after, why)


def id_of(place: Json, workspace: str, name: str, version: str) -> str:
    return azure_names.resource_id(place, TYPE, workspace, name, version)


def command(*, text: str, environment: str, inputs: Json) -> Json:
    """A command on one node; ${{inputs.NAME}} in its text is what a run is given."""
    return {
        "$schema": f"{SCHEMA}/commandComponent.schema.json",
        "type": "command",
        "command": text,
        "environment": f"azureml:{environment}",
        "inputs": inputs,
        "outputs": {},
        "resources": {"instance_count": 1},
        "is_deterministic": False,  # a run is never answered from what an older one has left
    }


def pipeline(*, name: str, component: str, inputs: Json, variables: Json) -> Json:
    """A pipeline whose one job is the component of this id, with these variables."""
    job = {
        "name": name,
        "type": "command",
        "componentId": component,
        "environment_variables": variables,
        "inputs": {each: {"job_input_type": "literal", "value": f"${{{{parent.inputs.{each}}}}}"} for each in inputs},
        "outputs": {},
        "_source": "REMOTE.WORKSPACE.COMPONENT",
    }
    return {
        "$schema": f"{SCHEMA}/pipelineComponent.schema.json",
        "type": "pipeline",
        "inputs": inputs,
        "outputs": {},
        "jobs": {name: job},
    }


def azure(inputs: Json) -> Json:
    named = {"name": inputs["name"], "version": inputs["version"]}
    properties = {
        "componentSpec": inputs["spec"] | named,
        "isAnonymous": False,
        "tags": azure_names.tags(inputs["place"]),
    }
    id_ = id_of(inputs["place"], inputs["workspace"], inputs["name"], inputs["version"])
    return put(id_, {"properties": properties})
