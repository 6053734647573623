"""Reading a JSON object key by key; what is wrong is named by its key path."""

import json
import math
import re
from typing import Any

from customai.errors import StateError


def is_whole(value: Any, low: int) -> bool:
    return type(value) is int and value >= low


def is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < float("inf")


class Keys:
    """A JSON object read key by key; what is wrong is named by its key path."""

    def __init__(self, document: Any, where: str, path: str = "") -> None:
        self.where, self.path = where, path
        if not isinstance(document, dict):
            raise StateError(f"{path.rstrip('.') or 'the document'} must be a JSON object", where=where)
        self.document = document

    def wrong(self, key: str, expected: str) -> StateError:
        found = json.dumps(self.document.get(key))
        return StateError(f"{self.path}{key} is {found[:60]}; expected {expected}", where=self.where)

    def format(self, known: int) -> None:
        found = self.document.get("format")
        if type(found) is not int or found != known:
            raise StateError(
                f"format {json.dumps(found)} is not known here; this version reads format {known}",
                where=self.where,
                hint="it was written by another version of customai: deploy again with this one",
            )

    def optional(self, key: str) -> Any:
        return self.document.get(key)

    def child(self, key: str) -> "Keys | None":
        value = self.document.get(key)
        return None if value is None else Keys(value, self.where, f"{self.path}{key}.")

    def children(self, key: str) -> "list[Keys]":
        value = self.document.get(key)
        if not isinstance(value, list):
            raise self.wrong(key, "a list of objects")
        return [Keys(item, self.where, f"{self.path}{key}[{i}].") for i, item in enumerate(value)]

    def text(self, key: str, default: str | None = None) -> str:
        value = self.document.get(key, default)
        if not isinstance(value, str) or not value:
            raise self.wrong(key, "a text")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.document.get(key)
        if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
            raise self.wrong(key, "a list of texts, or null")
        return tuple(value)

    def digest(self, key: str) -> str:
        value = self.text(key)
        if not re.fullmatch("[0-9a-f]{64}", value):
            raise self.wrong(key, "a SHA-256: 64 lower-case hex digits")
        return value

    def choice(self, key: str, default: str, choices: tuple[str, ...]) -> Any:
        value = self.document.get(key, default)
        if value not in choices:
            raise self.wrong(key, " | ".join(choices))
        return value

    def whole(self, key: str, default: int, low: int, high: int = 2**31) -> int:
        value = self.document.get(key, default)
        if not is_whole(value, low) or value > high:
            raise self.wrong(key, f"a whole number from {low}" + (f" to {high}" if high < 2**31 else ""))
        return int(value)

    def truth(self, key: str, *, default: bool) -> bool:
        value = self.document.get(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false")
        return value

    def number(self, key: str, default: float, *, above: float = -math.inf, low: float = -math.inf) -> float:
        value = self.document.get(key, default)
        if not is_number(value) or value <= above or value < low:
            raise self.wrong(key, f"a number from {low:g}" if above == -math.inf else f"a number above {above:g}")
        return float(value)

    def numbers(self, key: str) -> tuple[float, ...]:
        value = self.document.get(key) or []
        if not isinstance(value, list) or not all(map(is_number, value)):
            raise self.wrong(key, "a list of numbers")
        return tuple(map(float, value))
