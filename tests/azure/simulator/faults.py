"""Faults by rule: which requests (method, URL, type, the nth of them), when (before they are handled, or after, when the deed is
done but the answer is not yet sent), and what then happens."""

from __future__ import annotations

import dataclasses
import re
import threading
from dataclasses import dataclass, field
from typing import Any

from . import errors
from .errors import ArmError
from .ids import place
from .messages import Answer, Twist, refusal


@dataclass
class Fault:
    does: str  # answer | reset | late | never | wait | kill
    error: ArmError | None = None  # for answer and late
    raw: Answer | None = None  # for answer: a body that is not ARM's
    after: bool = False  # the request is handled first
    method: str = ".*"  # regular expressions, whole and whatever the case
    url: str = ".*"
    type: str = ".*"
    nth: int = 1  # the first request that it strikes, among those that match
    times: int = 1  # how many it strikes from there on
    pid: int = 0  # for kill: the process that gets SIGKILL
    seconds: float = 0  # for wait
    seen: int = 0
    struck: int = 0
    release: threading.Event = field(default_factory=threading.Event)

    def strikes(self, method: str, path: str) -> bool:
        where = place(path)
        kind = where.type or where.namespace
        if not all(
            re.fullmatch(pattern, text, re.IGNORECASE)
            for pattern, text in ((self.method, method), (self.url, path), (self.type, kind))
        ):
            return False
        self.seen += 1
        if not self.nth <= self.seen < self.nth + self.times:
            return False
        self.struck += 1
        return True

    @property
    def twist(self) -> Twist | None:
        if self.does == "late":
            return Twist(fails=self.error or errors.server_error())
        return Twist(never=True) if self.does == "never" else None

    @property
    def answer(self) -> Answer:
        if self.raw is not None:
            return dataclasses.replace(self.raw, headers=dict(self.raw.headers))
        return refusal(self.error or errors.server_error())


# Writes are what most tests mean; `on` narrows: method=, url=, type=, nth=, times=, after=.


def answers(error: ArmError, **on: Any) -> Fault:
    return Fault("answer", error, **{"method": "PUT|PATCH|POST|DELETE"} | on)


def throttled(retry_after: float | None = 0.01, **on: Any) -> Fault:
    return answers(errors.throttled(retry_after), **on)


def server_error(**on: Any) -> Fault:
    return answers(errors.server_error(), **on)


def unavailable(**on: Any) -> Fault:
    """503 with a page of HTML, as Azure's front doors answer."""
    page = Answer(503, errors.HTML_503.encode(), {"Content-Type": "text/html"})
    return Fault("answer", raw=page, **{"method": "PUT|PATCH|POST|DELETE"} | on)


def reset(**on: Any) -> Fault:
    """The connection breaks; with after=True the deed is done."""
    return Fault("reset", **{"method": "PUT|PATCH|POST|DELETE"} | on)


def fails_late(error: ArmError | None = None, **on: Any) -> Fault:
    """The operation begins well and ends in an error. Where the type has no long operation, the error comes at once."""
    late = error or ArmError(
        409,
        "AllocationFailed",
        "Allocation failed. We do not have sufficient capacity for the requested VM size in this region.",
    )
    return Fault("late", late, **{"method": "PUT|PATCH|POST|DELETE"} | on)


def never_ends(**on: Any) -> Fault:
    return Fault("never", **{"method": "PUT|PATCH|POST|DELETE"} | on)


def kill(pid: int = 0, **on: Any) -> Fault:
    """kill -9 of the client exactly there: before its request is handled, or with after=True, when it is and no answer is
    sent. A `pid` that is not known yet can be set on the fault when it is: the request waits for it."""
    return Fault("kill", pid=pid, **{"method": "PUT|PATCH|POST|DELETE"} | on)


def wait(seconds: float = 30, **on: Any) -> Fault:
    """Holds the request until `fault.release.set()`, or for so many seconds."""
    return Fault("wait", seconds=seconds, **{"method": "PUT|PATCH|POST|DELETE"} | on)


def quota_exceeded(**on: Any) -> Fault:
    family = "Standard NCASv3_T4 Family"
    return answers(errors.core_quota(family, "eastus", 0, 0, 4), **{"type": "microsoft.compute/virtualmachines"} | on)


def aks_quota_exceeded(**on: Any) -> Fault:
    error = errors.aks_quota("cluster", "group", "Standard NCASv3_T4 Family", "eastus", 0, 0, 4)
    return answers(error, **{"type": "microsoft.containerservice/.*"} | on)


def sku_not_available(size: str = "Standard_NC4as_T4_v3", location: str = "eastus", **on: Any) -> Fault:
    return answers(errors.sku_not_available(size, location), **on)


def disallowed_by_policy(name: str = "resource", **on: Any) -> Fault:
    return answers(errors.disallowed_by_policy(name), **on)


def authorization_failed(
    action: str = "Microsoft.Authorization/roleAssignments/write", scope: str = "/subscriptions/s", **on: Any
) -> Fault:
    return answers(errors.authorization_failed(action, scope), **on)


def token_expired(**on: Any) -> Fault:
    return answers(errors.token_expired(), **{"method": ".*"} | on)


def principal_not_found(
    principal: str = "00000000-0000-0000-0000-00000000000a",
    tenant: str = "99999999-8888-7777-6666-555555555555",
    **on: Any,
) -> Fault:
    error = errors.principal_not_found(principal, tenant)
    return answers(error, **{"method": "PUT", "type": "microsoft.authorization/roleassignments"} | on)


def unregistered(namespace: str, **on: Any) -> Fault:
    return answers(errors.unregistered(namespace), **{"method": "PUT", "type": f"{re.escape(namespace)}/.*"} | on)


BY_NAME = {
    made.__name__: made
    for made in (
        throttled,
        server_error,
        unavailable,
        reset,
        fails_late,
        never_ends,
        kill,
        wait,
        quota_exceeded,
        aks_quota_exceeded,
        sku_not_available,
        disallowed_by_policy,
        authorization_failed,
        token_expired,
        principal_not_found,
        unregistered,
    )
}
