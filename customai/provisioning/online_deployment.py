"""One version of the model behind an online endpoint: its image, on so many machines."""

from __future__ import annotations

from customai.model import Json, Step
from customai.provisioning import azure_names
from customai.provisioning.api_versions import put

TYPE = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/deployments"
OUTPUTS: dict[str, str] = {}
FIXED = ("properties.endpointComputeType",)
PROBE = {"initialDelay": "PT10S", "period": "PT10S", "timeout": "PT2S", "successThreshold": 1, "failureThreshold": 30}


def step(
    id_: str,
    *,
    place: Json,
    workspace: str,
    endpoint: str,
    name: str,
    environment: str,
    variables: Json,
    machines: Json,
    requests: Json,
    after: tuple[str, ...],
    why: str,
) -> Step:
    """The step that makes the deployment.

    Args:
        id_: the step's id.
        place: the deployment's.
        workspace: the workspace's name.
        endpoint: the endpoint's name.
        name: the deployment's own.
        environment: the id of the environment whose image serves.
        variables: of the container.
        machines: {"size", "count"}.
        requests: {"at_once", "seconds"}: how many each machine takes at once, and how long one may last.
        after: the steps that make the endpoint and the environment.
        why: one line for people.
    """
    inputs = {
        "place": place,
        "workspace": workspace,
        "endpoint": endpoint,
        "name": name,
        "environment": environment,
        "variables": variables,
        "machines": machines,
        "requests": requests,
    }
    return Step(id_, "put", "online_deployment", "compute", inputs, after, why)


def azure(inputs: Json) -> Json:
    place, machines, requests = inputs["place"], inputs["machines"], inputs["requests"]
    properties = {
        "endpointComputeType": "Managed",
        "environmentId": inputs["environment"],
        "environmentVariables": inputs["variables"],
        "instanceType": machines["size"],
        "scaleSettings": {"scaleType": "Default"},
        "egressPublicNetworkAccess": "Enabled",
        "appInsightsEnabled": True,
        "requestSettings": {
            "maxConcurrentRequestsPerInstance": requests["at_once"],
            "requestTimeout": f"PT{requests['seconds']}S",
        },
        "livenessProbe": PROBE,
        "readinessProbe": PROBE,
    }
    id_ = azure_names.resource_id(place, TYPE, inputs["workspace"], inputs["endpoint"], inputs["name"])
    body = azure_names.tracked(place, properties, sku={"name": "Default", "capacity": machines["count"]})
    return put(id_, body)
