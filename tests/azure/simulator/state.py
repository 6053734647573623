"""What the simulated cloud holds: resources and the operations that go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .errors import ArmError
from .ids import parent_of, references
from .shapes import Shape, Type

Body = dict[str, Any]


@dataclass
class Resource:
    id: str
    row: Type
    asked: Body  # as the client asked for it; nested resources that stand on their own are taken out
    made: int  # which one of this id it is: a deleted and remade identity is another principal
    state: str | None = "Succeeded"
    stands: bool = False  # it was made whole at least once
    power: str = ""
    version: int = 0  # of its ETag
    operation: Operation | None = None
    attached: list[str] = field(default_factory=list)  # keys of what it made itself: a disk, the nodes' group

    @property
    def key(self) -> str:
        return self.id.lower()

    @property
    def name(self) -> str:
        return self.id.rpartition("/")[2]

    @property
    def location(self) -> str:
        return str(self.asked.get("location", ""))

    @property
    def busy(self) -> bool:
        return self.operation is not None and not self.operation.done

    def finished(self, *, failed: bool) -> None:
        """The end of an operation on it."""
        self.version += 1
        if self.state is not None:
            self.state = "Failed" if failed else "Succeeded"
        self.stands = self.stands or not failed


@dataclass
class Operation:
    id: str
    verb: str  # put | delete | the name of an action
    key: str
    row: Type
    shape: Shape
    location: str
    ends: float
    finish: Callable[[], None]
    error: ArmError | None = None
    result: Body | None = None  # what polling its Location answers in the end
    done: bool = False

    def end(self, error: ArmError) -> None:
        """Cut short by something else."""
        self.done, self.error = True, error


@dataclass
class Store:
    resources: dict[str, Resource] = field(default_factory=dict)
    deleted: dict[str, Resource] = field(default_factory=dict)  # softly: may be recovered, blocks the name
    operations: dict[str, Operation] = field(default_factory=dict)
    lately: set[str] = field(default_factory=set)  # gone, and the next question about it is answered by its provider

    def get(self, key: str) -> Resource | None:
        return self.resources.get(key.lower())

    def under(self, key: str) -> list[Resource]:
        """What is nested in it, hangs on it, or stands in it."""
        return [one for one in self.resources.values() if one.key.startswith(key.lower() + "/")]

    def children(self, key: str, type_name: str) -> list[Resource]:
        low = type_name.lower()
        return [one for one in self.under(key) if one.row.name.lower() == low and parent_of(one.key) == key.lower()]

    def of_type(self, type_name: str) -> Iterator[Resource]:
        low = type_name.lower()
        return (one for one in list(self.resources.values()) if one.row.name.lower() == low)

    def users(self, key: str) -> list[tuple[Resource, str]]:
        """Who refers to it from outside: the resource, and the id of the part of it that does."""
        low = key.lower()
        found = []
        for one in self.resources.values():
            if one.key == low or one.key.startswith(low + "/"):
                continue
            for part, target in self.mentions(one):
                if target.lower() == low:
                    found.append((one, part))
        return found

    def mentions(self, resource: Resource) -> Iterator[tuple[str, str]]:
        yield from ((part or resource.id, target) for part, target in references(_with_ids(resource)))
        yield from ((resource.id, target) for target in resource.attached)

    def remove(self, key: str) -> None:
        for one in [*self.under(key), self.get(key)]:
            if one is not None:
                if one.operation is not None and not one.operation.done:
                    one.operation.end(ArmError(409, "Canceled", "The resource was deleted meanwhile."))
                self.resources.pop(one.key, None)


def _with_ids(resource: Resource) -> Body:
    """The body with the ids of its unnamed parts, so that a mention tells which part it is in."""
    body = dict(resource.asked)
    own = body.get("properties") or {}
    if "ipConfigurations" in own:
        parts = [one | {"id": f"{resource.id}/ipConfigurations/{one.get('name')}"} for one in own["ipConfigurations"]]
        body["properties"] = own | {"ipConfigurations": parts}
    return body
