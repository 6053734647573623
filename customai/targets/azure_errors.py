"""Azure's errors in a newcomer's words: the innermost code decides, what it means comes first, what to do is the hint.

A code without advice (azure_advice) is told with Azure's own message.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from customai.errors import (
    Conflict,
    CustomAIError,
    Forbidden,
    NotFound,
    NotLoggedIn,
    RunFailed,
    TargetError,
    TimedOut,
)
from customai.targets.azure_advice import ADVICE

_WRAPPERS = {
    "DeploymentFailed",
    "InvalidTemplateDeployment",
    "Conflict",
    "BadRequest",
    "ResourceDeploymentFailure",
    "Failed",
}
_QUOTA = re.compile(r"quota", re.IGNORECASE)
PORTAL = "https://portal.azure.com"
_NAMESPACE = re.compile(r"Microsoft\.[A-Za-z]+")


def translated(error: BaseException, where: str = "") -> CustomAIError:
    """The error of ours that an exception of azure.core, azure.identity or the network stands for."""
    from azure.core import exceptions as core

    by_kind: tuple[tuple[type[BaseException], Callable[[Any, str], CustomAIError]], ...] = (
        (core.ClientAuthenticationError, _not_authenticated),
        (core.HttpResponseError, _answered),
        (core.ServiceRequestTimeoutError, _late),
        (core.ServiceResponseTimeoutError, _late),
        (core.ServiceRequestError, _unreached),
        (core.ServiceResponseError, _unreached),
        (core.SerializationError, _misread),
        (core.DeserializationError, _misread),
        (core.ResponseNotReadError, _misread),
        (core.StreamClosedError, _misread),
        (core.StreamConsumedError, _misread),
        (core.AzureError, _unreached),
    )
    for kind, tell in by_kind:
        if isinstance(error, kind):
            return tell(error, where)
    raise TypeError(f"not an error of Azure's: {type(error).__name__}") from error


def from_body(body: Any, where: str = "", status: int | None = None) -> CustomAIError:
    """The error that an ARM error body stands for: {"error": {"code", "message", "details": [...]}}."""
    code, message = innermost(body)
    advice = ADVICE.get(code)
    if advice is None and _QUOTA.search(message) and code in ("OperationNotAllowed", "BadRequest", ""):
        advice = ADVICE["QuotaExceeded"]
    if code == "OperationNotAllowed" and advice is None:
        advice = ADVICE["PropertyChangeNotAllowed"]
    if advice is None:
        return _by_status(status, code, message, where)
    namespace = _NAMESPACE.search(message)
    hint = (
        advice.hint.format(provider=namespace.group() if namespace else "NAMESPACE")
        if "{" in advice.hint
        else advice.hint
    )
    return advice.kind(f"{advice.means}. Azure says: {code}: {message}", where=where, hint=hint)


def innermost(body: Any) -> tuple[str, str]:
    """(code, message) of the innermost error: the outer ones only say that something inside failed."""
    found = list(_nested(body.get("error", body) if isinstance(body, dict) else body))
    telling = [pair for pair in found if pair[0] not in _WRAPPERS] or found
    return telling[-1] if telling else ("", "")


def innermost_code(error: BaseException) -> str:
    """The innermost code of what Azure answered; "" where it is no answer of Azure's, or has no code."""
    body = _body(error)
    return innermost(body)[0] if body is not None else ""


def _nested(error: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(error, dict):
        return
    message = str(error.get("message") or "")
    if error.get("code"):
        yield str(error["code"]), " ".join(message.split())
    if message.lstrip().startswith("{"):  # an error inside an error's text
        try:
            inner = json.loads(message)
        except ValueError:
            inner = None
        yield from _nested(inner.get("error", inner) if isinstance(inner, dict) else None)
    for detail in error.get("details") or ():
        yield from _nested(detail)


def _by_status(status: int | None, code: str, message: str, where: str) -> CustomAIError:
    if status is not None and status < 400:  # the thing itself says that it failed, and nothing more
        hint = f"run the same command again; the resource group's activity log in the portal may say more: {PORTAL}"
        return RunFailed("it has failed, and Azure does not say why", where=where, hint=hint)
    said = ": ".join(part for part in (code, message) if part) or f"HTTP {status}"
    if status in (401, 403):
        return (NotLoggedIn if status == 401 else Forbidden)(f"Azure refused: {said}", where=where, hint="az login")
    kinds: dict[int, type[CustomAIError]] = {404: NotFound, 408: TimedOut, 409: Conflict, 412: Conflict, 504: TimedOut}
    kind = kinds.get(status or 0, TargetError if status in (429, 500, 502, 503) else RunFailed)
    again = "run the same command again: it continues where it was" if kind in (TargetError, TimedOut) else ""
    return kind(f"Azure says: {said}", where=where, hint=again)


def _answered(error: Any, where: str) -> CustomAIError:
    body = _body(error)
    if body is None:  # a gateway's HTML page, or nothing
        return _by_status(error.status_code, "", str(error.reason or "").strip(), where)
    return from_body(body, where, error.status_code)


def _body(error: Any) -> Any:
    try:
        found = json.loads(error.response.text())
    except (AttributeError, ValueError, TypeError):
        found = None
    if isinstance(found, dict) and ("error" in found or "code" in found):
        return found
    told = getattr(error, "error", None)  # of a long operation that failed late
    if told is not None and getattr(told, "code", None):
        details = [{"code": each.code, "message": each.message} for each in told.details or ()]
        return {"error": {"code": told.code, "message": told.message, "details": details}}
    return None


def _not_authenticated(error: Any, where: str) -> CustomAIError:
    if getattr(error, "response", None) is not None and (body := _body(error)) is not None:
        return from_body(body, where, error.status_code)
    reason = str(error.message).strip().splitlines()[0] if str(error.message).strip() else ""
    hint = "az login (or set AZURE_CLIENT_ID, AZURE_TENANT_ID and a credential; in CI: OpenID Connect)"
    return NotLoggedIn(f"you are not logged in to Azure: {reason}", where=where, hint=hint)


def _late(error: Any, where: str) -> CustomAIError:
    return TimedOut(
        f"Azure did not answer in time: {_first_line(error)}", where=where, hint="run the same command again"
    )


def _unreached(error: Any, where: str) -> CustomAIError:
    hint = "is there a way to the internet from here (proxy, VPN)? Then run the same command again"
    return TargetError(f"Azure cannot be reached: {_first_line(error)}", where=where, hint=hint)


def _misread(error: Any, where: str) -> CustomAIError:
    hint = "pip install --upgrade 'customai[azure]'"
    return TargetError(f"Azure's answer cannot be read: {_first_line(error)}", where=where, hint=hint)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
