"""Work that ends: a command, run once for each thing that is asked of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from customai.model import Json, Step

RUN_NAME = "CUSTOMAI_RUN_NAME"  # a variable of the job: what people call this run
GRACE = 30.0  # seconds between "stop" and "now": what Azure gives a spot node


def step(
    id_: str,
    *,
    argv: Sequence[Json],
    cwd: str,
    why: str,
    uses: Mapping[str, str] | None = None,
    env: Mapping[str, Json] | None = None,
    after: tuple[str, ...] = (),
) -> Step:
    """The step that runs a command to its end.

    Args:
        id_: the step's id.
        argv: the command; "python" as its first word is the target's own Python. May hold references.
        cwd: the folder to run in.
        why: one line for people.
        uses: path -> SHA-256 of the files it depends on: a change in one of them is a reason to run again.
        env: variables to set.
        after: steps to be done first, besides those it refers to.
    """
    inputs = {"argv": list(argv), "cwd": cwd, "env": dict(env or {}), "uses": dict(uses or {}), "grace": GRACE}
    return Step(id_, "run", "job", "job", inputs, after, why)


def local(inputs: Json) -> Json:
    return dict(inputs)
