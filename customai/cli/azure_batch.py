"""Batch scoring on Azure ML: a run of the deployment's endpoint, or with spot nodes a job alone, seen to its end."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from customai import ui
from customai.cli import azure_ml, options
from customai.errors import NotAvailable, RunFailed, SpecError, StateError
from customai.journal import Journal, locked
from customai.model import Json, Plan, Step, resolve
from customai.targets.base import Target, Watch

if TYPE_CHECKING:
    from customai.targets.azure_ml_runs import Runs


def scored(journal: Journal, found: Runs, target: Target, plan: Plan, *, asked: dict[str, Any], output: str) -> Json:
    """The summary that the run of this plan has written.

    Args:
        journal: of what is deployed.
        found: its runs.
        target: where it is.
        plan: of the spec, with what the command line says instead.
        asked: what that is.
        output: how the result is printed.
    """
    options.hear_interrupts_once()
    _can_be_asked(found, asked)
    from customai.targets.azure_jobs import asked_of

    step = next(step for step in plan.steps if step.id == found.job.id)
    wanted, body = asked_of(step.inputs["body"]), step.inputs["body"]
    begin = f"customai score-batch run {shlex.quote(journal.header.name)} --name {wanted['run']}"
    with locked(journal.folder, begin):
        before, name = found.summary(wanted), found.attached(wanted)
        if name is None:
            _uploaded(journal, target, plan)
            if found.endpoint is not None:
                name = found.invoked(wanted)
            else:
                _is_of_what_is_deployed(journal, plan)
                outputs = {id_: known.outputs for id_, known in journal.known.items() if known.outputs is not None}
                url = str(step.inputs["url"]).partition("?")[0]
                name = found.put_again(resolve(body, outputs, target.secret), url.rpartition("/")[2])
    azure_ml.seen_through(found, name, journal, begin=begin, output=output)
    summary = found.summary(wanted)
    if summary is None:
        raise RunFailed("the run has succeeded, and its summary is not there", where=wanted["output"])
    return {**summary, "unchanged": summary == before}


def _can_be_asked(found: Runs, asked: dict[str, Any]) -> None:
    if asked["limit_errors"] is not None and found.endpoint is not None:
        hint = "put limit_errors into the spec, and deploy"
        raise NotAvailable("what the endpoint runs has its limit of errors from deploy", hint=hint)
    place = asked["output"]
    if place and "://" not in place:
        hint = "abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/FOLDER"
        raise SpecError("a run in Azure cannot write to a folder of this machine", where=place, hint=hint)


def _uploaded(journal: Journal, target: Target, plan: Plan) -> None:
    """The data of this machine, put where the nodes read: once, as deploy does."""
    step = next((step for step in plan.steps if step.kind == "upload"), None)
    if step is None:
        return
    outputs = {id_: known.outputs for id_, known in journal.known.items() if known.outputs is not None}
    inputs = resolve(step.inputs, outputs, target.secret)
    target.apply(step, inputs, "", Watch(ui.say))


def _is_of_what_is_deployed(journal: Journal, plan: Plan) -> None:
    """A job alone names the image that it runs in: that has to be there."""
    planned = _environment(list(plan.steps))
    if planned != _environment([known.step for known in journal.known.values()]):
        hint = f"customai deploy {shlex.quote(journal.header.spec)} --target azure"
        raise StateError("the spec has changed since it was deployed", where=journal.header.spec, hint=hint)


def _environment(steps: list[Step]) -> Json:
    return next((step.inputs["url"] for step in steps if step.kind == "ml_environment"), None)
