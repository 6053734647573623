"""Today's spec from yesterday's files: Batch AI, AZTK, and the SDK of Azure ML, version 1.

The old files are partial by design (their command lines filled in the rest) and mix several generations of an API: what
is read is read liberally (old), and what is written is a spec that is right (spec). What has no equal today is listed,
key by key; no value of it is shown, as it may be a secret.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

FALLBACK = "it has no equal today"


@dataclass(frozen=True)
class Left:
    """A key of an old file that the new spec does not hold, and why."""

    file: str
    key: str
    why: str

    def to_json(self) -> dict[str, str]:
        return {"file": self.file, "key": self.key, "why": self.why}


@dataclass(frozen=True)
class Converted:
    """What became of the old files.

    Args:
        path: the learning path that they are for today.
        values: what they say in its spec's words.
        left: what they say beyond that.
        bring: file -> where it was: what the new folder needs and they only name.
        example: whether the path's own folder is what the rest comes from.
    """

    path: str
    values: dict[str, Any]
    left: tuple[Left, ...]
    bring: dict[str, str] = field(default_factory=dict)
    example: bool = False
