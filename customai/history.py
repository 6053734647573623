"""The plans of a deployment: the one last asked for, and the last two that were brought about, newest first.

The journal says what there is; this says what it was before, so that there is a way back. A plan that was asked for and
not brought about (it failed, it was stopped) leaves the way back where it was.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from customai.errors import StateError
from customai.model import Json, Plan, dumps

FORMAT = 1
FILE = "plans.json"
KEPT = 2


@dataclass(frozen=True)
class History:
    asked: Plan | None = None
    reached: tuple[Plan, ...] = ()

    @property
    def now(self) -> Plan | None:
        """What is deployed; None if the last try was not brought to its end."""
        return self.reached[0] if self.reached and self.asked == self.reached[0] else None

    @property
    def before(self) -> Plan | None:
        """What there was before the last change, or before the last try if that was not brought to its end."""
        older = self.reached[1:] if self.now is not None else self.reached
        return older[0] if older else None


def read(folder: Path) -> History:
    """Raises StateError: not such a file, or one of a later format."""
    path = folder / FILE
    try:
        data = json.loads(path.read_bytes())
        if data["format"] > FORMAT:
            raise StateError(f"the kept plans have format {data['format']}; this version reads up to {FORMAT}")
        return History(Plan.from_json(data["asked"]), tuple(Plan.from_json(plan) for plan in data["reached"]))
    except FileNotFoundError:
        return History()
    except (ValueError, TypeError, KeyError, OSError) as error:
        hint = "remove this file: only the way back to the last deployment is lost"
        raise StateError("the kept plans cannot be read", where=str(path), hint=hint) from error


def ask(folder: Path, plan: Plan) -> None:
    """Before it is begun."""
    _write(folder, plan, read(folder).reached)


def reach(folder: Path, plan: Plan) -> None:
    """After it was brought about."""
    reached, plan = read(folder).reached, Plan.from_json(json.loads(dumps(plan.to_json())))  # to compare alike
    _write(folder, plan, reached if reached[:1] == (plan,) else (plan, *reached)[:KEPT])


def _write(folder: Path, asked: Plan, reached: tuple[Plan, ...]) -> None:
    data: Json = {"format": FORMAT, "asked": asked.to_json(), "reached": [plan.to_json() for plan in reached]}
    temporary = folder / f"{FILE}.new"
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(dumps(data))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / FILE)
    except OSError as error:
        hint = "free some disk space, or make it writable"
        raise StateError(f"the state folder cannot be used: {error.strerror}", where=str(folder), hint=hint) from error
