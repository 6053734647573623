"""What of Azure has ended, and what will: sizes, images, services, runtimes, tiers, with the day and what to take instead.

The table beside this file, retirements.tsv, says where each line is from.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timezone
from functools import cache
from pathlib import Path

from customai.errors import SpecError

TABLE = Path(__file__).with_suffix(".tsv")
TODAY_VARIABLE = "CUSTOMAI_TODAY"  # for tests: the day that dates are compared with


@dataclass(frozen=True)
class Retirement:
    """Something that ends on a day; `was` is its name for people."""

    day: date
    kind: str
    pattern: str
    was: str
    successor: str

    def told(self, name: str, today: date) -> str:
        """That it has ended, or when it will, in one line."""
        when = f"ended on {self.day}" if self.has_ended(today) else f"ends on {self.day}"
        called = f"{name} ({self.was})" if self.was.lower() not in name.lower() else name
        return f"{called} {when}: take {self.successor}"

    def has_ended(self, today: date) -> bool:
        return self.day <= today


@cache
def table() -> tuple[Retirement, ...]:
    lines = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    rows = (line.split("\t") for line in lines[1:])
    return tuple(
        Retirement(date.fromisoformat(day), kind, pattern, was, successor)
        for day, kind, pattern, was, successor, *_ in rows
    )


def find(kind: str, name: str) -> Retirement | None:
    """What is known of the end of `name`: the first line of its kind that is about it.

    Args:
        kind: size | image | kubernetes | service | runtime | tier.
        name: as Azure writes it; case does not matter.
    """
    return next(
        (each for each in table() if each.kind == kind and re.fullmatch(each.pattern, name, re.IGNORECASE)), None
    )


def ended(place: str, kind: str, name: str) -> Iterator[tuple[str, str]]:
    """For a spec's `problems`: (key, message) if it has ended."""
    found = find(kind, name)
    if found is not None and found.has_ended(today()):
        yield place, found.told(name, today())


def ending(place: str, kind: str, name: str) -> Iterator[tuple[str, str]]:
    """For a spec's `warnings`: (key, message) if it will end."""
    found = find(kind, name)
    if found is not None and not found.has_ended(today()):
        yield place, found.told(name, today())


def today() -> date:
    given = os.environ.get(TODAY_VARIABLE)
    try:
        return date.fromisoformat(given) if given else datetime.now(timezone.utc).date()
    except ValueError:
        raise SpecError(f"{TODAY_VARIABLE} is no day", where=str(given), hint="such as 2026-11-25") from None
