"""When a cluster may be upgraded: once a week, for eight hours, on a weekend night."""

from __future__ import annotations

from customai.model import Json, Step
from customai.provisioning import aks, azure_names
from customai.provisioning.api_versions import put

TYPE = f"{aks.TYPE}/maintenanceConfigurations"
OUTPUTS: dict[str, str] = {}
DAYS = {  # what AKS calls the two things that can be scheduled
    "aksManagedAutoUpgradeSchedule": "Saturday",
    "aksManagedNodeOSUpgradeSchedule": "Sunday",
}


def step(id_: str, *, place: Json, cluster: str, name: str, after: tuple[str, ...], why: str) -> Step:
    """The step that sets the time; name is a key of DAYS."""
    return Step(id_, "put", "maintenance", "compute", {"place": place, "cluster": cluster, "name": name}, after, why)


def azure(inputs: Json) -> Json:
    schedule = {"weekly": {"intervalWeeks": 1, "dayOfWeek": DAYS[inputs["name"]]}}
    window = {"schedule": schedule, "durationHours": 8, "utcOffset": "+00:00", "startTime": "00:00"}
    id_ = azure_names.resource_id(inputs["place"], TYPE, inputs["cluster"], inputs["name"])
    return put(id_, {"properties": {"maintenanceWindow": window}})
