"""A schedule on Azure: a data factory that sends one request at the times of a cron expression."""

from __future__ import annotations

from customai.errors import SpecError
from customai.model import Json, Step
from customai.paths import azure_ml
from customai.provisioning import (
    data_factory,
    data_factory_pipeline,
    data_factory_start,
    data_factory_trigger,
    ml_workspace,
)

TRIGGER = "schedule"


def steps(
    place: Json,
    *,
    workspace: str,
    times: Json,
    request: Json,
    after: tuple[str, ...],
    why: str,
) -> tuple[Step, ...]:
    """What sends the request, which is one of data_factory_pipeline's, to what is in this workspace; `why`: what, and when."""
    if problem := data_factory_trigger.problem(times):
        raise SpecError(problem, where="schedule", hint="a timer of Azure Functions may know it: see azure.schedule")
    return (
        data_factory.step("factory", place=place, after="group", why="what sends a request at its time"),
        azure_ml.given(
            "factory-role",
            place,
            scope=ml_workspace.id_of(place, workspace),
            wanted="AzureML Data Scientist",
            who="factory",
            principal="factory",
            after=("workspace", "factory"),
            why="the factory may begin runs in the workspace",
        ),
        data_factory_pipeline.step(
            "factory/pipeline",
            place=place,
            name=TRIGGER,
            requests=[request],
            after=("factory", *after),
            why="the request that begins a run",
        ),
        data_factory_trigger.step(
            "factory/trigger",
            place=place,
            name=TRIGGER,
            pipeline=TRIGGER,
            times=times,
            after=("factory/pipeline", "factory-role"),
            why=f"when: {why}",
        ),
        data_factory_start.step(
            "schedule",
            trigger=data_factory_trigger.id_of(place, TRIGGER),
            times=times,
            after=("factory/trigger",),
            why=f"starts it: {why}",
        ),
    )
