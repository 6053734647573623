"""Every request, as it came: what tests count."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, field
from typing import Any

from .ids import place

WRITES = ("PUT", "PATCH", "POST", "DELETE")
HIDDEN = {"authorization"}


@dataclass
class Entry:
    number: int
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: Any
    began: float
    status: int | None = None  # None: no answer was sent
    ended: float | None = None
    fault: str = ""
    answer: Any = None

    @property
    def url(self) -> str:
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def type(self) -> str:
        """The resource type, lower case; of a collection or an action, that of what it hangs on."""
        return place(self.path).type

    @property
    def name(self) -> str:
        return place(self.path).name

    def __str__(self) -> str:
        return f"{self.method} {self.path} -> {self.status}{' ' + self.fault if self.fault else ''}"


@dataclass
class Log:
    entries: list[Entry] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, method: str, path: str, query: str, headers: dict[str, str], body: Any, now: float) -> Entry:
        shown = {name: value for name, value in headers.items() if name.lower() not in HIDDEN}
        with self.lock:
            entry = Entry(len(self.entries) + 1, method, path, query, shown, body, now)
            self.entries.append(entry)
            return entry

    def clear(self) -> None:
        with self.lock:
            self.entries.clear()

    def __iter__(self) -> Any:
        return iter(list(self.entries))

    def __len__(self) -> int:
        return len(self.entries)

    def of(self, *methods: str, type: str = "") -> list[Entry]:  # noqa: A002 - the field's own word
        """The requests with one of these methods, and of this resource type where it is given."""
        wanted = {one.upper() for one in methods}
        return [one for one in self if (not wanted or one.method in wanted) and (not type or one.type == type.lower())]

    def writes(self) -> list[Entry]:
        """What changes, or may change, something."""
        return self.of(*WRITES)

    def puts(self) -> list[str]:
        """The paths that were put, in order."""
        return [one.path for one in self.of("PUT")]

    def as_json(self) -> list[dict[str, Any]]:
        return [asdict(one) | {"type": one.type, "name": one.name} for one in self]
