"""Patience with Azure: what passes by itself is waited for and tried again; what has begun is followed, not begun again."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from json import JSONDecodeError
from typing import TypeVar

from customai.errors import CustomAIError, TargetError, TimedOut
from customai.model import Json
from customai.targets.azure_arm import Arm, Operation, Pace
from customai.targets.azure_errors import innermost_code, translated
from customai.targets.base import Watch

T = TypeVar("T")

SHORT, LONG = 120.0, 1800.0
AGAIN = {  # seconds in all to try again, by code
    "AnotherOperationInProgress": LONG,
    "OperationNotAllowedOnUpdatingCluster": LONG,
    "OperationPreempted": LONG,
    "ResourceGroupBeingDeleted": LONG,
    "ReferencedResourceNotProvisioned": LONG,
    "RetryableError": LONG,
    "PrincipalNotFound": 600.0,  # a new identity reaches all of Azure within minutes
    "FailedIdentityOperation": 600.0,
    "CustomKubeletIdentityMissingPermissionError": 600.0,  # and so does a new role
}
IN_USE = {  # of a deletion: what used it has gone, and Azure has not noticed yet
    "InUseSubnetCannotBeDeleted": SHORT,
    "InUseNetworkSecurityGroupCannotBeDeleted": SHORT,
    "PublicIPAddressCannotBeDeleted": SHORT,
    "NicInUse": SHORT,
}
BUSY = re.compile(r"another operation .*in progress", re.IGNORECASE)  # AKS says so under the code of many things
ENDED = {"succeeded", "failed", "canceled", ""}
LONGEST = 30.0  # seconds between two tries


class Refusal(Exception):
    """What somebody other than ARM has answered: what it means, in our words, and within how many seconds it passes."""

    def __init__(self, error: CustomAIError, passes: float, wait: float | None, *, code: str) -> None:
        super().__init__(error.message)
        self.error, self.passes, self.wait, self.code = error, passes, wait, code


class Tries:
    """How long something has been refused by what passes by itself."""

    def __init__(self, where: str, watch: Watch, pace: Pace, also: dict[str, float] | None = None) -> None:
        self.where, self.watch, self.pace = where, watch, pace
        self.also = also or {}
        self.count = 0
        self.began = self.since = self.next = time.monotonic()

    def again(self, error: Exception) -> None:
        """Waits for the next try; or raises it in our words, where no other try would help."""
        now = time.monotonic()
        if now - self.next > SHORT:  # it went well in between: this is another matter
            self.count, self.since = 0, now
        limit = min(self.also.get(innermost_code(error), 0.0) or passes_in(error), self.pace.patience)
        if now - self.since >= limit or now - self.began > LONG + self.pace.patience:
            told = ours(error, self.where)
            raise told from (None if isinstance(error, Refusal) else error)
        said = retry_after(error)
        wait = said if said is not None else min(self.pace.look * 2**self.count, LONGEST)
        self.count += 1
        self.next = now + wait
        code = error.code if isinstance(error, Refusal) else innermost_code(error) or type(error).__name__
        self.watch.report(f"Azure says {code}: trying again in {wait:.0f} s")
        self.watch.pause(wait)

    def until(self, call: Callable[[], T]) -> T:
        """What a call that changes nothing gives, once it gives something."""
        while True:
            try:
                return call()
            except Exception as error:  # noqa: BLE001 (what is no error of Azure's is raised as it is)
                self.again(error)


def passes_in(error: Exception) -> float:
    """Seconds within which such an error passes by itself; 0: it does not."""
    from azure.core import exceptions as core

    if isinstance(error, Refusal):
        return error.passes
    if isinstance(error, core.ServiceRequestError | core.ServiceResponseError | JSONDecodeError):
        return SHORT  # the connection broke, before or after the request was handled; or a gateway's page came
    if not isinstance(error, core.HttpResponseError):
        return 0.0
    code, status = innermost_code(error), error.status_code or 0
    if code in AGAIN:
        return AGAIN[code]
    if BUSY.search(str(error.message)) or status == 429:
        return LONG
    return SHORT if status >= 500 and status != 501 else 0.0


def retry_after(error: Exception) -> float | None:
    """How long Azure asks to wait, fractions too."""
    if isinstance(error, Refusal):
        return error.wait
    return asked_to_wait(dict(getattr(getattr(error, "response", None), "headers", None) or {}))


def asked_to_wait(headers: Mapping[str, str]) -> float | None:
    """Retry-After, in seconds."""
    lowered = {str(name).lower(): value for name, value in headers.items()}
    try:
        return max(0.0, min(float(lowered["retry-after"]), 600.0))
    except (KeyError, ValueError):
        return None


def ours(error: Exception, where: str) -> CustomAIError:
    if isinstance(error, Refusal):
        return error.error
    if isinstance(error, CustomAIError):
        return error
    if isinstance(error, JSONDecodeError):
        hint = "run the same command again: it continues where it was; https://status.azure.com"
        return TargetError("Azure answers with a page that is no answer: it has a problem", where=where, hint=hint)
    try:
        return translated(error, where)
    except TypeError:
        raise error from None


def state_of(resource: Json) -> str:
    """How far Azure is with it, in lower case; "" for what is there at once."""
    properties = resource.get("properties") or {}
    return str(properties.get("provisioningState", "")).lower()


class Followed:
    """One resource, watched while it comes, changes and goes."""

    def __init__(self, arm: Arm, url: str, where: str, watch: Watch, pace: Pace) -> None:
        self.arm, self.url, self.where, self.watch, self.pace = arm, url, where, watch, pace

    def found(self) -> Json:
        """The resource as it is now; None where there is none."""
        return self.patiently(lambda: self.arm.get(self.url))

    def patiently(self, call: Callable[[], T]) -> T:
        """What a call that changes nothing gives, tried again as long as what refuses it passes by itself."""
        return Tries(self.where, self.watch, self.pace).until(call)

    def until(self, state: Callable[[], str], wanted: str) -> None:
        """Waits until something has this state."""
        started = time.monotonic()
        while (now := state()) != wanted:
            self._in_time(started, now)
            self.watch.pause(self.pace.look)

    def settled(self) -> Json:
        """The resource once nothing is going on with it: what another process has begun is waited for."""
        started = time.monotonic()
        while True:
            found = self.found()
            if found is None or state_of(found) in ENDED:
                return found
            self._in_time(started, state_of(found))
            self.watch.report(f"{state_of(found)}, as an earlier run has begun")
            self.watch.pause(self.pace.look)

    def ended(self, operation: Operation) -> None:
        """Waits for its end. Interrupted when the user stops: it goes on in Azure, and is waited for next time."""
        started = time.monotonic()
        while not operation.ended(min(self.pace.look, 0.5)):
            self._in_time(started, "in progress")
            self.watch.pause(0)
        operation.result()

    def gone(self) -> None:
        """Waits until it is not there any more."""
        started = time.monotonic()
        while self.found() is not None:
            self._in_time(started, "there, although it is being deleted")
            self.watch.pause(self.pace.look)

    def _in_time(self, started: float, state: str) -> None:
        if time.monotonic() - started > self.pace.patience:
            after = f"{self.pace.patience / 60:.0f} minutes" if self.pace.patience > 90 else f"{self.pace.patience:g} s"
            hint = "run the same command again to wait for longer; or: customai destroy"
            raise TimedOut(f"it is still {state} after {after}", where=self.where, hint=hint)
