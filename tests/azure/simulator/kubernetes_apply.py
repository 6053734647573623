"""Server-side apply, as far as it can be seen from outside: who owns which field, what goes when its owner leaves it out,
and the conflict of two who want it otherwise. Lists whose items have a name are merged by it; all others are one value."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

Body = dict[str, Any]
Path = tuple[str, ...]
KEYS = ("name", "mountPath", "topologyKey", "containerPort")
IDENTITY = {("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace")}


class Disputed(Exception):
    """409: fields that somebody else has otherwise."""

    def __init__(self, fields: dict[Path, str]) -> None:
        super().__init__()
        self.fields = fields


def leaves(value: Any, at: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every field that is said, with its value."""
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from leaves(each, (*at, key))
    elif key := _known_by(value):
        for each in value:
            yield from leaves(each, (*at, f"[{key}={each[key]}]"))
    else:
        yield at, value


def applied(live: Body | None, asked: Body, owners: dict[str, set[Path]], manager: str, *, force: bool) -> Body:
    """The object as it is then; `owners` (manager -> its fields) is brought up to date."""
    wanted = dict(leaves(asked))
    there = dict(leaves(live or {}))
    disputed = {
        path: other
        for path in wanted
        for other, fields in owners.items()
        if other != manager and path in fields and there.get(path) != wanted[path]
    }
    if disputed and not force:
        raise Disputed(disputed)
    for path, other in disputed.items():
        owners[other].discard(path)
    made = copy.deepcopy(live) if live is not None else {}
    held = {path for other, fields in owners.items() if other != manager for path in fields}
    for path in owners.get(manager, set()) - set(wanted) - held - IDENTITY:
        _drop(made, path)
    for path, value in wanted.items():
        _put(made, path, copy.deepcopy(value))
    owners[manager] = set(wanted)
    return made


def _known_by(value: Any) -> str:
    if not isinstance(value, list) or not value:
        return ""
    return next((key for key in KEYS if all(isinstance(each, dict) and key in each for each in value)), "")


def _item(list_: list[Body], step: str) -> Body | None:
    key, _, name = step[1:-1].partition("=")
    return next((each for each in list_ if str(each.get(key)) == name), None)


def _put(object_: Any, path: Path, value: Any) -> None:
    *above, last = path
    for step, following in zip(above, path[1:], strict=True):
        object_ = _inner(object_, step, [] if following.startswith("[") else {})
    if last.startswith("["):
        _inner(object_, last, {})
    else:
        object_[last] = value


def _inner(object_: Any, step: str, empty: Any) -> Any:
    if not step.startswith("["):
        if not isinstance(object_.get(step), type(empty)):
            object_[step] = empty
        return object_[step]
    found = _item(object_, step)
    if found is None:
        key, _, name = step[1:-1].partition("=")
        found = {key: int(name) if key == "containerPort" else name}
        object_.append(found)
    return found


def _drop(object_: Any, path: Path) -> None:
    """Takes the field away, and what holds nothing else."""
    above: list[tuple[Any, str]] = []
    for step in path:
        above.append((object_, step))
        object_ = (
            _item(object_, step) if step.startswith("[") else object_.get(step) if isinstance(object_, dict) else None
        )
        if object_ is None:
            return
    for holder, step in reversed(above):
        if step.startswith("["):
            item = _item(holder, step)
            if item is not None and set(item) - {step[1:-1].partition("=")[0]}:
                return
            holder.remove(item)
        else:
            if holder[step] not in ({}, []) and (holder, step) != above[-1]:
                return
            del holder[step]
