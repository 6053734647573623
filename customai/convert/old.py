"""An old file, read liberally: vmSize, vm_size and VmSize are one key, and what nobody asks for is known afterwards."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from customai import retirements
from customai.convert import FALLBACK, Left
from customai.errors import SpecError

LARGEST = 2**20  # bytes
NAME = re.compile(r"[A-Za-z][\w-]*")
SECRET = re.compile(r"secret|password|token|key|credential", re.IGNORECASE)


class Old:
    """A block of an old file.

    Args:
        file: its name, for people.
        value: what is in it.
        place: the key path of the block.
    """

    def __init__(self, file: str, value: Any, place: str = "") -> None:
        self.file = file
        self.place = place
        self.value: dict[Any, Any] = value if isinstance(value, dict) else {}
        self._taken: set[Any] = set()
        self._blocks: dict[Any, Old] = {}

    def __bool__(self) -> bool:
        return bool(self.value)

    def get(self, *names: str) -> Any:
        """The value under the first of these names that has one."""
        for key in self._keys(names):
            self._taken.add(key)
            if self.value[key] not in (None, "", [], {}):
                return self.value[key]
        return None

    def number(self, *names: str) -> int | None:
        value = self.get(*names)
        try:
            return int(value) if value is not None and not isinstance(value, bool) else None
        except (TypeError, ValueError):
            return None

    def block(self, *names: str) -> Old:
        """The block under the first of these names; an empty one where there is none."""
        for key in self._keys(names):
            if isinstance(self.value[key], dict):
                self._taken.add(key)
                return self._blocks.setdefault(key, Old(self.file, self.value[key], self._path(key)))
        return Old(self.file, {})

    def or_block(self, *names: str) -> Old:
        """The block under one of these names, or this one where there is none."""
        return self.block(*names) or self

    def left(self, why: Sequence[tuple[str, str]] = (), silent: str = "") -> Iterator[Left]:
        """What nobody has asked for.

        Args:
            why: (pattern of a key path, reason), the first that is found in it counts.
            silent: a pattern of key paths that mean nothing to anybody.
        """
        for key, value in self.value.items():
            place = self._path(key)
            if silent and re.search(silent, place, re.IGNORECASE):
                continue
            if key in self._blocks:
                yield from self._blocks[key].left(why, silent)
            elif key not in self._taken and value not in (None, "", [], {}, [None]):
                yield Left(self.file, place, reason(place, why))

    def _keys(self, names: Sequence[str]) -> Iterator[Any]:
        for name in names:
            yield from (key for key in self.value if _plain(key) == _plain(name))

    def _path(self, key: Any) -> str:
        return f"{self.place}.{key}" if self.place else str(key)


def reason(place: str, why: Sequence[tuple[str, str]]) -> str:
    return next((text for pattern, text in why if re.search(pattern, place, re.IGNORECASE)), FALLBACK)


def read(file: Path) -> Old:
    """An old file, JSON or YAML.

    Raises:
        SpecError: it cannot be read, or is neither.
    """
    try:
        if file.stat().st_size > LARGEST:
            raise SpecError(f"{file.name} is too large for such a file", where=str(file))
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SpecError(f"{file.name} cannot be read: {error.strerror}", where=str(file)) from None
    except UnicodeDecodeError:
        raise SpecError(f"{file.name} is not UTF-8 text", where=str(file)) from None
    try:
        found = json.loads(text)
    except ValueError:
        try:
            found = yaml.safe_load(text)
        except (yaml.YAMLError, RecursionError) as error:
            at = getattr(error, "problem_mark", None)
            line = f":{at.line + 1}" if at is not None else ""
            raise SpecError(f"{file.name} is neither JSON nor YAML", where=f"{file}{line}") from None
    if not isinstance(found, dict):
        raise SpecError(f"{file.name} holds no keys", where=str(file))
    return Old(file.name, found)


def arguments(line: Any, file: str, key: str) -> tuple[dict[str, Any], list[Left]]:
    """--name value pairs of a script's command line as parameters; and what is none."""
    parameters: dict[str, Any] = {}
    left = []
    waiting = _words(line)
    while waiting:
        word = waiting.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not NAME.fullmatch(name):
            shown = f"'{word.partition('=')[0]}'" if word.startswith("-") else "a word without a name"
            if word.startswith("-") and waiting and not _is_option(waiting[0]):
                waiting.pop(0)  # its value
            left.append(Left(file, key, f"{shown} is no --name: change the script to take one"))
            continue
        if not equals and waiting and not _is_option(waiting[0]):
            value, equals = waiting.pop(0), "="
        if SECRET.search(name):
            left.append(Left(file, key, f"--{name}: no secret in a spec: let the script read it from its surroundings"))
        elif "$" in value or value.startswith(("DatasetConsumptionConfig", "azureml:")):
            left.append(Left(file, key, f"--{name} was a place of the old service's: give it one of today's"))
        elif name in parameters:
            left.append(Left(file, key, f"--{name} is there more than once: a parameter has one value"))
        else:
            parameters[name] = _typed(value) if equals else True
    return parameters, left


def _words(line: Any) -> list[str]:
    if isinstance(line, list):
        return [str(word) for word in line if word is not None]
    try:
        return shlex.split(str(line or ""))
    except ValueError:  # a quote that is not closed
        return str(line).split()


def _is_option(word: str) -> bool:
    return word.startswith("-") and re.fullmatch(r"-\d+(\.\d+)?([eE]-?\d+)?", word) is None


def _typed(value: str) -> Any:
    if re.fullmatch(r"-?(0|[1-9]\d{0,17})", value):
        return int(value)
    return float(value) if re.fullmatch(r"-?\d+\.\d+([eE][-+]?\d+)?|-?\d+[eE][-+]?\d+", value) else value


def size(given: Any, file: str, key: str) -> tuple[str | None, list[Left]]:
    """A VM size as Azure writes it today, or the one that has taken its place."""
    if not given:
        return None, []
    named = re.fullmatch(r"(?:standard_)?([a-z]+)(\d+)(.*)", str(given), re.IGNORECASE)
    if named is None:
        return None, [Left(file, key, "it is no VM size")]
    rest = named[3].lower() if str(given).isupper() else named[3]
    wanted = f"Standard_{named[1].upper()}{named[2]}{rest}"
    known = retirements.find("size", wanted)
    if known is None:
        return wanted, []
    told = known.told(wanted, retirements.today())
    return (known.successor if known.has_ended(retirements.today()) else wanted), [Left(file, key, told)]


def _plain(name: Any) -> str:
    return re.sub(r"[^a-z0-9]", "", str(name).lower())
