"""Machines and clusters that stand still: read, stopped, started. What is under way is waited for, and not asked for twice.

A machine that is stopped is deallocated: one that is only powered off is paid for as if it ran.
"""

from __future__ import annotations

from dataclasses import dataclass

from customai.errors import NotFound
from customai.model import Json
from customai.targets.azure_wait import Followed, Tries
from customai.targets.base import Begun

RUNNING, STOPPED = "running", "stopped"


@dataclass(frozen=True)
class Switch:
    """What a kind's actions are called, and the words that Azure has for how it is then."""

    start: str
    stop: str
    still: tuple[str, ...]
    stopped: str


SWITCHES = {
    "dsvm": Switch("start", "deallocate", ("deallocated", "deallocating", "stopped", "stopping"), "deallocated"),
    "aks": Switch("start", "stop", ("stopped", "stopping"), "stopped"),
}


def power(followed: Followed, kind: str, found: Json) -> str:
    """How it is, in Azure's own words, small: running, deallocated, ...; "" for what has no switch, or does not say."""
    if kind not in SWITCHES:
        return ""
    if kind == "aks":
        return str((found["properties"].get("powerState") or {}).get("code", "")).lower()
    path, _, query = followed.url.partition("?")
    view = followed.patiently(lambda: followed.arm.ask("GET", f"{path}/instanceView?{query}"))
    codes = [str(each.get("code", "")) for each in view.get("statuses") or ()]
    return next((code.partition("/")[2].lower() for code in codes if code.startswith("PowerState/")), "")


def stands_still(followed: Followed, kind: str, found: Json) -> str:
    """Azure's word for how it stands still; "" where it runs, or has no switch."""
    now = power(followed, kind, found)
    return now if kind in SWITCHES and now in SWITCHES[kind].still else ""


def switched(followed: Followed, kind: str, *, on: bool) -> bool:
    """Starts or stops it and waits until it is so; whether there was anything to do.

    Raises:
        NotFound: it is not there.
    """
    switch, changed = SWITCHES[kind], False
    tries = Tries(followed.where, followed.watch, followed.pace)
    while True:
        found = followed.settled()
        if found is None:
            hint = "was it deleted by hand? customai deploy makes it again, customai destroy takes away the rest"
            raise NotFound("it is not there", where=followed.where, hint=hint)
        now = power(followed, kind, found)
        if (now not in switch.still) if on else now == switch.stopped:
            return changed
        changed = True
        try:
            followed.watch.report("starting" if on else "stopping")
            operation = followed.arm.act(followed.url, switch.start if on else switch.stop)
            if not followed.watch.wait and not operation.ended(0):
                raise Begun
            followed.ended(operation)
        except Begun:
            raise
        except Exception as error:  # noqa: BLE001 (what is no error of Azure's is raised as it is)
            tries.again(error)
            continue
        _wait_until(followed, kind, on=on)
        return True


def _wait_until(followed: Followed, kind: str, *, on: bool) -> None:
    switch = SWITCHES[kind]

    def state() -> str:
        found = followed.settled()
        now = power(followed, kind, found) if found is not None else "gone"
        return "there" if ((now not in switch.still) if on else now == switch.stopped) else now

    followed.until(state, "there")
