"""How Azure answers: the shapes of a write's first answer, and of the polls that follow it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Shape:
    """The first answer to a PUT, PATCH, DELETE or POST."""

    status: int
    operation: bool = False  # an Azure-AsyncOperation header
    location: bool = False  # a Location header to poll
    state: str | None = "Succeeded"  # provisioningState until it is done; None: this type has none
    body: bool = True
    retry_after: float | None = None  # seconds, as recorded
    end: int = 200  # what polling Location answers in the end
    where: bool = False  # a Location header that is only the resource's path, and means nothing
    itself: bool = False  # a Location header that is the resource's whole URL

    @property
    def long(self) -> bool:
        """It goes on after the answer."""
        return self.operation or self.location or self.state not in {None, "Succeeded"}


@dataclass(frozen=True)
class Poll:
    """How a provider's operations answer while they go on and when they are done."""

    operations: str = "operations"  # the URL's segment in Azure-AsyncOperation ...
    results: str = "operationresults"  # ... and in Location
    status: int = 200  # while it goes on, in Azure-AsyncOperation
    going: str = "InProgress"
    fields: tuple[str, ...] = ("status",)
    retry_after: float | None = None
    again: str = ""  # Location stands on the polls, too: "going" (the 202s) or "always"
    echo: bool = False  # Azure-AsyncOperation stands on its own polls, too
    monitor: bool = False  # Location is the same URL with ?monitor=true


@dataclass(frozen=True)
class Action:
    """A POST on a resource."""

    shape: Shape
    power: str = ""  # the power state it leads to
    answer: str = ""  # what answers it at once: a name in answers.py
    seconds: float = 10


@dataclass(frozen=True)
class Type:
    name: str
    create: Shape
    update: Shape
    delete: Shape
    retag: Shape | None = None  # an update that changes nothing, or nothing but tags; None: as `update`
    rule: str = r"^[A-Za-z0-9](?:[-\w.]{0,78}\w)?$"  # of names (facts/names-and-errors.md)
    unique: bool = False  # the name is taken in all of Azure
    located: bool = True
    inline: Mapping[str, str] = field(default_factory=dict)  # property that lists nested resources -> their type
    keeps: bool = False  # a nested resource left out of the list stays
    in_use: tuple[int, str, str] | None = None  # what deleting answers while something refers to it
    serial: bool = False  # one change at a time under one parent
    preempts: bool = False  # a new PUT replaces the one going on, instead of 409
    checks: bool = True  # what it refers to must be there and done
    fixed: tuple[str, ...] = ()  # properties that cannot change
    actions: Mapping[str, Action] = field(default_factory=dict)
    soft: str = ""  # the collection of its soft-deleted ones, e.g. "deletedVaults"
    purge: str = ""  # the query that deletes it for good
    seconds: tuple[float, float, float] = (1, 1, 1)  # realistic: create, update, delete
    poll: Poll | None = None  # None: the one of its provider


def at_once(status: int = 200, **more: Any) -> Shape:
    return Shape(status, **more)


GONE = Shape(200, state=None, body=False)  # deleted, at once
