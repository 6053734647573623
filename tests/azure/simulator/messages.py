"""What goes in, what comes out, and how a test bends it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .errors import ArmError
from .shapes import Type

Body = dict[str, Any]


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    body: Body = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)  # names in lower case
    base: str = "http://localhost"
    raw: bytes = b""

    @property
    def api_version(self) -> str:
        return self.query.get("api-version", "")

    @property
    def url(self) -> str:
        return f"{self.base}{self.path}?" + "&".join(f"{key}={value}" for key, value in self.query.items())


@dataclass
class Answer:
    status: int = 200
    body: Any = None  # JSON, or bytes, or None
    headers: dict[str, str] = field(default_factory=dict)


def refusal(error: ArmError) -> Answer:
    return Answer(error.status, error.body, dict(error.headers))


@dataclass(frozen=True)
class Twist:
    """How an operation that this request begins will go wrong."""

    fails: ArmError | None = None
    never: bool = False


@dataclass
class Times:
    """How long things take. `scale` times the realistic seconds of table.py; without it, everything takes `seconds`."""

    seconds: float = 0.05
    scale: float | None = None
    of: dict[str, float] = field(default_factory=dict)  # by type name, or "type verb": wins over both
    retry_after: float | str | None = None  # None (no header), "recorded", or seconds: where the recordings have one

    def operation(self, row: Type, verb: str, realistic: float) -> float:
        for name in (f"{row.name} {verb}", row.name):
            if name in self.of:
                return self.of[name]
        return self.plain(realistic)

    def plain(self, realistic: float) -> float:
        return self.seconds if self.scale is None else realistic * self.scale

    def header(self, recorded: float | None) -> dict[str, str]:
        value = recorded if self.retry_after == "recorded" else self.retry_after
        return {} if value is None or recorded is None else {"Retry-After": f"{float(value):g}"}
