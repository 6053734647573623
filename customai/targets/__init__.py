"""Where a plan can run. A target is one module and one line here."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import cast

from customai.errors import NotAvailable
from customai.targets.base import Target

TARGETS = {"local": "customai.targets.local:LocalTarget", "azure": "customai.targets.azure:AzureTarget"}


def load(name: str, folder: Path) -> Target:
    """The target, for the deployment whose state folder this is."""
    if name not in TARGETS:
        known = ", ".join(TARGETS)
        raise NotAvailable(f"there is no target '{name}' yet", hint=f"what runs today: --target {known}")
    module, _, attribute = TARGETS[name].partition(":")
    return cast("Target", getattr(import_module(module), attribute)(folder))
