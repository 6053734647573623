"""Application Insights: what Azure ML tells of its services, kept in the deployment's Log Analytics workspace."""

from __future__ import annotations

from customai.model import Json, Step
from customai.provisioning import azure_names, log_workspace
from customai.provisioning.api_versions import put

TYPE = "Microsoft.Insights/components"
OUTPUTS = {"connection_string": "properties.ConnectionString"}  # no secret: what it names takes no key


def step(id_: str, *, place: Json, name: str, logs: str, after: tuple[str, ...], why: str) -> Step:
    """The step that makes the component, whose data go to the Log Analytics workspace of the name `logs`."""
    inputs = {"place": place, "name": name, "logs": azure_names.resource_id(place, log_workspace.TYPE, logs)}
    return Step(id_, "put", "app_insights", "store", inputs, after, why)


def id_of(place: Json, name: str) -> str:
    return azure_names.resource_id(place, TYPE, name)


def azure(inputs: Json) -> Json:
    place = inputs["place"]
    properties = {
        "Application_Type": "web",
        "WorkspaceResourceId": inputs["logs"],
        "IngestionMode": "LogAnalytics",
        "DisableLocalAuth": True,
    }
    return put(id_of(place, inputs["name"]), azure_names.tracked(place, properties, kind="web"))
