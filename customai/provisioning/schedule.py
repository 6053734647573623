"""A job that is run again and again, at the times of a cron expression."""

from __future__ import annotations

from collections.abc import Sequence

from customai.model import Json, Step
from customai.provisioning.job import GRACE

FORMAT = 1  # of schedule.json, read by customai.workloads.job.schedule
NAME = "{run}"  # stands in the command where each run's own name belongs


def step(id_: str, *, cron: str, times: Json, argv: Sequence[Json], cwd: str, jobs: str, why: str) -> Step:
    """The step that runs the command at these times, after the job step `jobs` has run, and beside that one's runs.

    Args:
        cron: the expression, for people.
        times: {"minute": [...], "hour": [...], "day": [...], "month": [...], "weekday": [...], "either": ...} in UTC.
        argv: the command; may hold references, and NAME.
    """
    inputs = {"cron": cron, "times": times, "argv": list(argv), "cwd": cwd, "jobs": jobs, "grace": GRACE}
    return Step(id_, "put", "schedule", "job", inputs, after=(jobs,), why=why)


def local(inputs: Json) -> Json:
    return {"format": FORMAT, **inputs}
