"""A run of a job of Databricks: begun, and left to Databricks; or seen to its end, where later steps need what it makes."""

from __future__ import annotations

from collections.abc import Mapping

from customai.model import Json, Step

OUTPUTS = {"run_id": "", "url": "", "result": ""}


def step(
    id_: str,
    *,
    workspace: str,
    job: Json,
    parameters: Mapping[str, str],
    depends: Json,
    wait: bool,
    after: tuple[str, ...],
    why: str,
) -> Step:
    """The step that runs the job once for what it depends on: another of that is another run.

    Args:
        id_: the step's id.
        workspace: the workspace's id.
        job: the job's id, usually a reference.
        parameters: what this run is given.
        depends: what else makes it another run, such as digests of the job's files.
        wait: whether it is seen to its end; what it then told as its result is in the outputs.
        after: the steps that make the job, and what it reads.
        why: one line for people.
    """
    inputs = {
        "workspace": workspace,
        "job": job,
        "parameters": dict(parameters),
        "depends": depends,
        "wait": wait,
    }
    return Step(id_, "run", "databricks_run", "job", inputs, after, why)


def azure(inputs: Json) -> Json:
    return dict(inputs)
