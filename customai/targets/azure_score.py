"""A managed online endpoint of Azure ML: asked with the login's own Entra token; what its machines write."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from customai.client import Endpoint
from customai.model import Json, Step
from customai.targets import azure_services
from customai.targets.azure_arm import Arm
from customai.targets.azure_jobs import VERSION
from customai.targets.azure_services import ML
from customai.targets.azure_wait import Tries
from customai.targets.base import Watch

ROLE = "AzureML Data Scientist"
LONGEST = 65.0  # seconds of a request: Azure gives it 60
TAIL = 2000  # lines that one asks for at a time


def endpoint(arm: Arm, step: Step, scoring_uri: str) -> Endpoint:
    """Whom to send rows to. A token is asked for with each request: it is made anew before it expires."""
    azure_services.at(scoring_uri)
    return Endpoint(
        scoring_uri.removesuffix("/score"),
        lambda: arm.token(ML),
        timeout=LONGEST,
        login=azure_services.give(ROLE, _path(step)),
    )


def versions(steps: Sequence[Step]) -> dict[str, str]:
    """Version of the model -> the deployment that serves it."""
    return {_served(step)["version"]: _path(step).rpartition("/")[2] for step in _deployments(steps)}


def columns(steps: Sequence[Step]) -> list[Json]:
    """What a row holds, as the spec says; nothing where it does not."""
    for step in steps:
        if step.kind == "image":
            return next((each["model"].get("columns") or [] for each in step.inputs["models"].values()), [])
    return []


def lines(arm: Arm, steps: Sequence[Step], *, follow: bool, watch: Watch) -> Iterator[str]:
    """What the servers of every deployment have written: `DEPLOYMENT TEXT`."""
    told: dict[str, list[str]] = {}
    while True:
        for step in _deployments(steps):
            written, name = _written(arm, step, watch), _path(step).rpartition("/")[2]
            yield from (f"{name} {line}" for line in fresh(told.get(name, []), written))
            told[name] = written
        if not follow:
            return
        watch.pause(arm.pace.look)


def fresh(before: Sequence[str], now: Sequence[str]) -> list[str]:
    """The lines of `now` that are not the end of `before`: each time one gets the last so many."""
    for start in range(len(before)):
        if list(before[start:]) == list(now[: len(before) - start]):
            return list(now[len(before) - start :])
    return list(now)


def _written(arm: Arm, step: Step, watch: Watch) -> list[str]:
    body = {"containerType": "InferenceServer", "tail": TAIL}
    url = f"{_path(step)}/getLogs?api-version={VERSION}"
    found: Mapping[str, Json] = Tries(step.id, watch, arm.pace).until(lambda: arm.ask("POST", url, body)) or {}
    return [line for line in str(found.get("content") or "").splitlines() if line]


def _deployments(steps: Sequence[Step]) -> list[Step]:
    return [step for step in steps if step.kind == "online_deployment"]


def _served(step: Step) -> Json:
    """The model that the deployment's server serves."""
    return json.loads(step.inputs["body"]["properties"]["environmentVariables"]["CUSTOMAI_SERVER"])["models"][0]


def _path(step: Step) -> str:
    return str(step.inputs["url"]).partition("?")[0]
