"""A function app: code that runs when it is due. What it may do, its own identity is given; it has no keys."""

from __future__ import annotations

from customai.model import Json, Step
from customai.provisioning import azure_names, function_plan
from customai.provisioning.api_versions import put

TYPE = "Microsoft.Web/sites"
OUTPUTS = {"principal_id": "identity.principalId"}
FIXED = ("properties.serverFarmId",)
TOLD = ("properties.siteConfig",)  # shown, and held, as the site's own configuration (function_config)
PYTHON = "3.12"
PYTHONS = ("3.10", "3.11", "3.12", "3.13")  # that Functions runs
SECURE = {
    "minTlsVersion": "1.2",
    "scmMinTlsVersion": "1.2",
    "ftpsState": "Disabled",
    "http20Enabled": True,
    "remoteDebuggingEnabled": False,
}
EVERY = {"day": list(range(1, 32)), "month": list(range(1, 13)), "weekday": list(range(7))}


def step(id_: str, *, place: Json, container: str, python: str, after: tuple[str, ...], why: str) -> Step:
    """The step that makes the app; its code, in this version of Python, is kept in the container of this name."""
    inputs = {"place": place, "container": container, "python": python}
    return Step(id_, "put", "function_app", "service", inputs, after, why)


def id_of(place: Json) -> str:
    return azure_names.resource_id(place, TYPE, azure_names.function_app(place))


def azure(inputs: Json) -> Json:
    place = inputs["place"]
    storage = {
        "type": "blobContainer",
        "value": f"https://{azure_names.storage(place)}.blob.core.windows.net/{inputs['container']}",
        "authentication": {"type": "SystemAssignedIdentity"},
    }
    properties = {
        "serverFarmId": function_plan.id_of(place),
        "httpsOnly": True,
        "siteConfig": {**SECURE, "cors": {"allowedOrigins": []}},
        "functionAppConfig": {
            "deployment": {"storage": storage},
            "runtime": {"name": "python", "version": inputs["python"]},
            "scaleAndConcurrency": {"instanceMemoryMB": 2048, "maximumInstanceCount": 40},
        },
    }
    own = {"type": "SystemAssigned"}
    return put(id_of(place), azure_names.tracked(place, properties, kind="functionapp,linux", identity=own))


def problem(times: Json) -> str | None:
    """Why a timer has no such times; None where it has."""
    if times["either"] and times["day"] != EVERY["day"] and times["weekday"] != EVERY["weekday"]:
        return "a timer of Functions runs on days that are both of the month's and of the week's: leave one of the two at *"
    return None


def timer(times: Json) -> str:
    """The times as Functions writes them (NCRONTAB): six fields, seconds first."""
    fields = [_field(times[name], EVERY.get(name, every)) for name, every in FIELDS]
    return " ".join(["0", *fields])


FIELDS = (
    ("minute", list(range(60))),
    ("hour", list(range(24))),
    ("day", EVERY["day"]),
    ("month", EVERY["month"]),
    ("weekday", EVERY["weekday"]),
)


def _field(values: list[int], every: list[int]) -> str:
    return "*" if values == every else ",".join(map(str, values))
