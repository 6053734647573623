"""A data factory's trigger: started when it stands, stopped before it goes."""

from __future__ import annotations

from customai.errors import NotFound
from customai.model import Json, Step
from customai.targets.azure_arm import Arm
from customai.targets.azure_wait import Followed, Tries
from customai.targets.base import Observed, Watch

STARTED = "Started"


def read(step: Step, outputs: Json, arm: Arm) -> Observed:
    del outputs
    found = _followed(step, step.inputs, arm, Watch()).found()
    state = "" if found is None else _state(found)
    return Observed(state == STARTED, state == STARTED, {"state": state.lower(), "differences": []})


def apply(step: Step, inputs: Json, digest: str, arm: Arm, watch: Watch) -> Json:
    del digest  # the trigger itself says whether it is done
    followed = _followed(step, inputs, arm, watch)
    found = followed.found()
    if found is None:
        raise NotFound("the trigger that is to be started is not there", where=step.id, hint="deploy again")
    if _state(found) != STARTED:
        _asked(followed, "start")
    return {}


def delete(step: Step, outputs: Json, arm: Arm) -> None:
    del outputs
    followed = _followed(step, step.inputs, arm, Watch())
    found = followed.found()
    if found is not None and _state(found) == STARTED:
        _asked(followed, "stop")


def stopped(followed: Followed) -> None:
    """Stops it, so that it can be changed: whoever starts it again comes after."""
    _asked(followed, "stop")


def _asked(followed: Followed, action: str) -> None:
    path, _, query = followed.url.partition("?")
    Tries(followed.where, followed.watch, followed.pace).until(
        lambda: followed.arm.ask("POST", f"{path}/{action}?{query}")
    )


def _state(found: Json) -> str:
    return str((found.get("properties") or {}).get("runtimeState", ""))


def _followed(step: Step, inputs: Json, arm: Arm, watch: Watch) -> Followed:
    return Followed(arm, inputs["trigger"], step.id, watch, arm.pace)
