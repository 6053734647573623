"""Real-time scoring of a machine learning model (2-2): on Azure, behind a managed online endpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from customai.model import Json, Step
from customai.paths import Files, azure_online, score_realtime
from customai.paths.azure_ml_section import Online
from customai.spec import key as spec_key

files = score_realtime.files
steps = score_realtime.steps
azure_problems = score_realtime.azure_problems


@dataclass(frozen=True)
class Spec(score_realtime.Served):
    """Path 2-2: real-time scoring of a machine learning model."""

    path: Literal["2-2"] = spec_key("The learning path.")
    azure: Online | None = spec_key("With --target azure: where, and on what machines.", default=None)


def azure_steps(spec: Spec, files: Files, surroundings: Json) -> tuple[Step, ...]:
    """An online endpoint that serves the same models in the same way."""
    section = spec.azure or Online()
    return score_realtime.composed(
        azure_online.steps, section, spec, steps(spec, files), files=files, surroundings=surroundings
    )
