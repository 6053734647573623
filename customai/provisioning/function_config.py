"""A part of a function app's configuration: what it refuses, who may call it, or the settings that its code reads."""

from __future__ import annotations

from customai.model import Json, Step
from customai.provisioning import azure_names
from customai.provisioning.api_versions import put

TYPE = "Microsoft.Web/sites/config"
OUTPUTS: dict[str, str] = {}
PART = True  # it goes with its app
CLOSED = {  # whoever calls it by HTTP is turned away: it is begun by a clock, or by what Azure itself delivers
    "platform": {"enabled": True},
    "globalValidation": {"requireAuthentication": True, "unauthenticatedClientAction": "Return401"},
    "httpSettings": {"requireHttps": True},
}


def step(id_: str, *, place: Json, name: str, properties: Json, after: tuple[str, ...], why: str) -> Step:
    """The step that sets one part: `web`, `authsettingsV2` or `appsettings`."""
    inputs = {"place": place, "name": name, "properties": properties}
    return Step(id_, "put", "function_config", "service", inputs, after, why)


def settings(place: Json, *, insights: Json) -> Json:
    """What every app has: its storage and its telemetry (`insights`: the connection string), each by the app's identity."""
    return {
        "AzureWebJobsStorage__accountName": azure_names.storage(place),
        "AzureWebJobsStorage__credential": "managedidentity",
        "APPLICATIONINSIGHTS_CONNECTION_STRING": insights,
        "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": "Authorization=AAD",
    }


def azure(inputs: Json) -> Json:
    place = inputs["place"]
    id_ = azure_names.resource_id(place, TYPE, azure_names.function_app(place), inputs["name"])
    return put(id_, {"properties": inputs["properties"]})
