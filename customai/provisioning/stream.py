"""Work without end: a command that is kept running, and started again where it was when it fails."""

from __future__ import annotations

from collections.abc import Sequence

from customai.model import Json, Step
from customai.provisioning.job import GRACE


def step(id_: str, *, argv: Sequence[Json], cwd: str, why: str) -> Step:
    """The step that starts a command and keeps it up.

    Args:
        id_: the step's id.
        argv: the command; "python" as its first word is the target's own Python. May hold references.
        cwd: the folder to run in.
        why: one line for people.
    """
    return Step(id_, "run", "stream", "service", {"argv": list(argv), "cwd": cwd, "env": {}, "grace": GRACE}, why=why)


def local(inputs: Json) -> Json:
    return {**inputs, "keep_up": True}
