"""A schedule on Azure by an app of Azure Functions: it asks for a run when it is due.

plan, container - app -+- its roles -------------+
                       +- what it refuses -------+- code
                       +- settings --------------+
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from customai.errors import SpecError
from customai.model import Json, Step
from customai.paths import Files, azure_ml
from customai.paths.azure_ml_section import Schedule
from customai.provisioning import (
    app_insights,
    container,
    function_app,
    function_code,
    function_config,
    function_plan,
    function_publishing,
    ml_workspace,
    storage_account,
)

CODE = Path(__file__).parents[1] / "workloads" / "function"
FILES = ("begin.py", "function_app.py")
CONTAINER = "function"  # where Azure keeps the app's code


def steps(
    place: Json,
    *,
    name: str,
    schedule: Schedule,
    workspace: str,
    times: Json,
    settings: Json,
    files: Files,
    after: tuple[str, ...],
    why: str,
) -> tuple[Step, ...]:
    """What begins the runs.

    Args:
        place: the deployment's.
        name: the deployment's.
        schedule: the spec's.
        workspace: that the endpoint is in.
        times: of a cron expression.
        settings: what workloads.function.begin is told.
        files: the spec's.
        after: the steps that have to be done before a run can be asked for, the right to write into containers among them.
        why: what is begun, and when.
    """
    if problem := function_app.problem(times):
        raise SpecError(problem, where="schedule", hint="or take azure.schedule.service: datafactory")
    done = ("function/settings", "function/config", "function/auth", "function/scm", *ROLES)
    return (
        function_plan.step("function/plan", place=place, after=("group",), why="Flex Consumption: paid for by use"),
        container.step(
            "function/container", place=place, name=CONTAINER, after=("blobs",), why="the function's own code"
        ),
        function_app.step(
            "function",
            place=place,
            container=CONTAINER,
            python=schedule.python,
            after=("function/plan", "function/container"),
            why="what asks for a run",
        ),
        *_roles(place, name, workspace),
        *_configuration(place),
        function_code.step(
            "function/code",
            place=place,
            endpoint={"$ref": "storage#blob_endpoint"},
            container=CONTAINER,
            files=[
                {"name": each, "source": str(CODE / each), "sha256": files.sha256(str(CODE / each))} for each in FILES
            ],
            settings=settings | {"schedule": function_app.timer(times)},
            after=(*done, *after),
            why=f"begins it: {why}",
        ),
    )


ROLES = {  # step -> (on, role, what for)
    "function/storage-role": ("storage", "Storage Blob Data Owner", "keep its code, and when it last ran"),
    "function/run-role": ("workspace", "AzureML Data Scientist", "begin runs"),
    "function/log-role": ("insights", "Monitoring Metrics Publisher", "tell how it went"),
}


def _roles(place: Json, name: str, workspace: str) -> Iterator[Step]:
    scopes = {
        "storage": storage_account.id_of(place),
        "workspace": ml_workspace.id_of(place, workspace),
        "insights": app_insights.id_of(place, f"appi-{name}"),
    }
    for id_, (on, wanted, what) in ROLES.items():
        yield azure_ml.given(
            id_,
            place,
            scope=scopes[on],
            wanted=wanted,
            who="function",
            principal="function",
            after=(on, "function"),
            why=f"the function may {what}",
        )


def _configuration(place: Json) -> Iterator[Step]:
    settings = function_config.settings(place, insights={"$ref": "insights#connection_string"})
    for id_, name, properties, why in (
        ("function/config", "web", function_app.SECURE, "TLS 1.2 and later, no ftp, nothing to debug it from afar"),
        ("function/auth", "authsettingsV2", function_config.CLOSED, "whoever calls it by HTTP is turned away"),
        ("function/settings", "appsettings", settings, "its storage and its logs, each by its own identity"),
    ):
        yield function_config.step(id_, place=place, name=name, properties=properties, after=("function",), why=why)
    for id_ in ("function/ftp", "function/scm"):
        how = id_.rpartition("/")[2]
        why = f"no password publishes code by {how}"
        yield function_publishing.step(id_, place=place, name=how, after=("function",), why=why)
