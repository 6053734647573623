"""A pipeline of a data factory: requests, one after the other, each with the factory's own identity."""

from __future__ import annotations

from collections.abc import Sequence

from customai.model import Json, Step
from customai.provisioning import azure_names
from customai.provisioning.api_versions import put

TYPE = "Microsoft.DataFactory/factories/pipelines"
OUTPUTS: dict[str, str] = {}
STARTED = "@{formatDateTime(utcnow(),'yyyyMMddTHHmmss')}"  # in a request: when it was sent


def step(id_: str, *, place: Json, name: str, requests: Sequence[Json], after: tuple[str, ...], why: str) -> Step:
    """The step that makes the pipeline; a request is {"name", "method", "url", "headers", "body", "audience"}."""
    inputs = {"place": place, "name": name, "requests": list(requests)}
    return Step(id_, "put", "data_factory_pipeline", "job", inputs, after, why)


def azure(inputs: Json) -> Json:
    place = inputs["place"]
    activities = []
    for number, each in enumerate(inputs["requests"]):
        before = [] if number == 0 else [inputs["requests"][number - 1]["name"]]
        activities.append(_activity(each, before))
    id_ = azure_names.resource_id(place, TYPE, azure_names.data_factory(place), inputs["name"])
    properties = {"activities": activities, "concurrency": 1, "annotations": [place["deployment"]]}
    return put(id_, {"properties": properties})


def _activity(asked: Json, before: Sequence[str]) -> Json:
    return {
        "name": asked["name"],
        "type": "WebActivity",
        "dependsOn": [{"activity": name, "dependencyConditions": ["Succeeded"]} for name in before],
        "policy": {"timeout": "0.00:10:00", "retry": 2, "retryIntervalInSeconds": 60, "secureOutput": False},
        "typeProperties": {
            "method": asked["method"],
            "url": asked["url"],
            "headers": asked["headers"],
            "body": asked["body"],
            "authentication": {"type": "MSI", "resource": asked["audience"]},
        },
    }
