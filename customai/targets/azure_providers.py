"""Registering a resource provider: once for a subscription, and free; without it, nothing of its kind can be made."""

from __future__ import annotations

import time
from collections.abc import Sequence

from customai.errors import TimedOut
from customai.targets.azure_arm import Arm, Pace
from customai.targets.azure_wait import Tries
from customai.targets.base import Watch

VERSION = "2021-04-01"


def register(arm: Arm, names: Sequence[str], watch: Watch, pace: Pace) -> None:
    """Registers the providers and waits until they are.

    Raises:
        Forbidden: that needs another right. TimedOut.
    """
    for name in names:
        _register(arm, name, watch, pace)


def _register(arm: Arm, name: str, watch: Watch, pace: Pace) -> None:
    path, tries = f"/subscriptions/{arm.subscription}/providers/{name}", Tries(name, watch, pace)
    tries.until(lambda: arm.ask("POST", f"{path}/register?api-version={VERSION}"))
    deadline = time.monotonic() + pace.patience
    while tries.until(lambda: arm.ask("GET", f"{path}?api-version={VERSION}"))["registrationState"] != "Registered":
        if time.monotonic() > deadline:
            hint = f"az provider show -n {name} --query registrationState"
            raise TimedOut(f"{name} is not registered yet", where=name, hint=hint)
        watch.report(f"registering {name}")
        watch.pause(pace.look)
