"""What users of Azure ML's own SDK need to find a deployment's workspace: the file that `Workspace.from_config()` reads."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from customai.errors import StateError
from customai.model import Json, Step

TYPE = "/providers/Microsoft.MachineLearningServices/workspaces/"
FILE = Path(".azureml") / "config.json"


def config(steps: Iterable[Step]) -> Json:
    """{"subscription_id", "resource_group", "workspace_name"} of the workspace among these steps; None without one."""
    for step in steps:
        id_ = str(step.inputs["url"]).partition("?")[0] if step.is_request else ""
        group, found, name = id_.partition(TYPE)
        if found and "/" not in name:
            _, _, subscription, _, resource_group = group.split("/")
            return {"subscription_id": subscription, "resource_group": resource_group, "workspace_name": name}
    return None


def written(steps: Iterable[Step], folder: Path) -> Path | None:
    """Writes the file into this folder, where there is a workspace; None where there is none, or somebody's own file."""
    asked, file = config(steps), folder / FILE
    if asked is None or not _is_ours(file, asked):
        return None
    try:
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(asked, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise StateError(f"the file for Azure ML's SDK cannot be written: {error.strerror}", where=str(file)) from error
    return file


def _is_ours(file: Path, asked: Json) -> bool:
    """Whether it may be written: it is not there, or names the same workspace's group, as an earlier deploy has left it."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return bool(found["resource_group"] == asked["resource_group"])
    except FileNotFoundError:
        return True
    except (OSError, ValueError, KeyError, TypeError):
        return False
