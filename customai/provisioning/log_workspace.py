"""A Log Analytics workspace: where a deployment's logs are kept and asked."""

from __future__ import annotations

from customai.model import Json, Step
from customai.provisioning import azure_names
from customai.provisioning.api_versions import put

TYPE = "Microsoft.OperationalInsights/workspaces"
OUTPUTS = {"customer_id": "properties.customerId"}


def step(id_: str, *, place: Json, name: str, retention_days: int, daily_gb: float, after: str, why: str) -> Step:
    """The step that makes the workspace; beyond `daily_gb` a day it takes nothing more, so that no bill surprises."""
    inputs = {"place": place, "name": name, "retention_days": retention_days, "daily_gb": daily_gb}
    return Step(id_, "put", "log_workspace", "store", inputs, (after,), why)


def azure(inputs: Json) -> Json:
    place = inputs["place"]
    properties = {
        "sku": {"name": "PerGB2018"},
        "retentionInDays": inputs["retention_days"],
        "workspaceCapping": {"dailyQuotaGb": inputs["daily_gb"]},
        # Entra only, no shared key; who may read a resource may read its logs, and no others.
        "features": {"disableLocalAuth": True, "enableLogAccessUsingOnlyResourcePermissions": True},
    }
    return put(azure_names.resource_id(place, TYPE, inputs["name"]), azure_names.tracked(place, properties))
