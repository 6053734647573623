"""What starts a pipeline of a data factory: the times of a cron expression, in a factory's own words."""

from __future__ import annotations

from customai.model import Json, Step
from customai.provisioning import azure_names
from customai.provisioning.api_versions import put

TYPE = "Microsoft.DataFactory/factories/triggers"
OUTPUTS: dict[str, str] = {}
FIRST = "2026-01-01T00:00:00Z"  # from when the times are counted; the past is not made up for
DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
EVERY_DAY, EVERY_MONTH = list(range(1, 32)), list(range(1, 13))


def step(id_: str, *, place: Json, name: str, pipeline: str, times: Json, after: tuple[str, ...], why: str) -> Step:
    """The step that makes the trigger, which stands still until it is started (see data_factory_start)."""
    inputs = {"place": place, "name": name, "pipeline": pipeline, "times": times}
    return Step(id_, "put", "data_factory_trigger", "job", inputs, after, why)


def id_of(place: Json, name: str) -> str:
    return azure_names.resource_id(place, TYPE, azure_names.data_factory(place), name)


def problem(times: Json) -> str | None:
    """Why a factory has no such times; None where it has."""
    if times["month"] != EVERY_MONTH:
        return "a data factory knows no months: leave the fourth field at *"
    if times["day"] != EVERY_DAY and times["weekday"] != list(range(7)):
        return "a data factory takes days of the month or of the week, and not both"
    return None


def recurrence(times: Json) -> Json:
    schedule = {"minutes": times["minute"], "hours": times["hour"]}
    if times["weekday"] != list(range(7)):
        return {"frequency": "Week", "schedule": schedule | {"weekDays": [DAYS[each] for each in times["weekday"]]}}
    if times["day"] != EVERY_DAY:
        return {"frequency": "Month", "schedule": schedule | {"monthDays": times["day"]}}
    return {"frequency": "Day", "schedule": schedule}


def azure(inputs: Json) -> Json:
    place = inputs["place"]
    times = recurrence(inputs["times"]) | {"interval": 1, "startTime": FIRST, "timeZone": "UTC"}
    pipeline = {"referenceName": inputs["pipeline"], "type": "PipelineReference"}
    properties = {
        "type": "ScheduleTrigger",
        "typeProperties": {"recurrence": times},
        "pipelines": [{"pipelineReference": pipeline, "parameters": {}}],
        "annotations": [place["deployment"]],
    }
    return put(id_of(place, inputs["name"]), {"properties": properties})
