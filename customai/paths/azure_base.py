"""What every deployment on Azure begins with: who deploys, if that matters; the group; a place for logs."""

from __future__ import annotations

from collections.abc import Sequence

from customai import __version__
from customai.model import Json, Step
from customai.paths.azure_section import Place
from customai.provisioning import caller, log_workspace, resource_group


def steps(
    section: Place, place: Json, *, path: str, spec_digest: str, ask: Sequence[str], logs: bool = True
) -> tuple[Step, ...]:
    """The first steps.

    Args:
        section: the spec's `azure:` block.
        place: the deployment's.
        path: the learning path's id.
        spec_digest: written on the resource group.
        ask: what the others have to know of the caller (see provisioning.caller).
        logs: whether something here keeps logs.
    """
    asked = caller.step("caller", ask=tuple(ask), why="who deploys, and from which address")
    tags = {"customai:path": path, "customai:version": __version__, "customai:spec": spec_digest[:12]}
    kept = log_workspace.step(
        "logs",
        place=place,
        name=f"log-{place['deployment']}",
        retention_days=section.log_days,
        daily_gb=1.0,
        after="group",
        why="where logs are kept; at most 1 GB a day",
    )
    return (
        *((asked,) if ask else ()),
        resource_group.step("group", place=place, tags=tags, why=f"everything of this deployment, in {section.region}"),
        *((kept,) if logs else ()),
    )
