"""What a batch endpoint runs: a component, on a cluster."""

from __future__ import annotations

from customai.model import Json, Step
from customai.provisioning import azure_names
from customai.provisioning.api_versions import put

TYPE = "Microsoft.MachineLearningServices/workspaces/batchEndpoints/deployments"
OUTPUTS: dict[str, str] = {}


def step(
    id_: str,
    *,
    place: Json,
    workspace: str,
    endpoint: str,
    name: str,
    component: str,
    compute: str,
    after: tuple[str, ...],
    why: str,
) -> Step:
    """The step that makes the deployment of the component of this id, on the cluster of this name."""
    inputs = {
        "place": place,
        "workspace": workspace,
        "endpoint": endpoint,
        "name": name,
        "component": component,
        "compute": compute,
    }
    return Step(id_, "put", "batch_deployment", "service", inputs, after, why)


def azure(inputs: Json) -> Json:
    place = inputs["place"]
    properties = {
        "deploymentConfiguration": {
            "deploymentConfigurationType": "PipelineComponent",
            "componentId": {"referenceType": "Id", "assetId": inputs["component"]},
            "settings": {"default_compute": inputs["compute"], "continue_on_step_failure": "false"},
        }
    }
    id_ = azure_names.resource_id(place, TYPE, inputs["workspace"], inputs["endpoint"], inputs["name"])
    return put(id_, azure_names.tracked(place, properties))
