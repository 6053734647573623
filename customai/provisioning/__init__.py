"""The kinds of things a step can make: one module each, pure functions from neutral inputs to a target's request.

A kind's module builds its neutral step for the paths (`step`), and has one function per target it exists on, named
after the target (`local`), that lowers the step's inputs to that target's request.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import cast

from customai.model import Json

KINDS = {
    "endpoint": "customai.provisioning.endpoint",
    "job": "customai.provisioning.job",
    "model": "customai.provisioning.model",
    "smoke_test": "customai.provisioning.smoke_test",
}


def lowering(kind: str, target: str) -> Callable[[Json], Json] | None:
    """How this kind is asked of this target; None where it does not exist there."""
    return cast("Callable[[Json], Json] | None", getattr(import_module(KINDS[kind]), target, None))
