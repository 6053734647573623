"""The API of a Databricks workspace, with the login's own token: found by the workspace's id, patient, in our words.

The SDK's own retries are off: they send again what may have been done, and nobody can interrupt them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from customai import __version__
from customai.errors import (
    Conflict,
    CustomAIError,
    Forbidden,
    NotFound,
    NotInstalled,
    NotLoggedIn,
    RunFailed,
    TargetError,
)
from customai.model import Json, Step
from customai.provisioning.api_versions import API_VERSIONS
from customai.targets.azure_arm import Arm
from customai.targets.azure_login import ENDPOINT, INSTALL
from customai.targets.azure_wait import LONG, SHORT, Refusal, Tries
from customai.targets.base import Watch

T = TypeVar("T")

APPLICATION = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d"  # Databricks, as every tenant knows it
API = API_VERSIONS["Microsoft.Databricks/workspaces"]
OURS, CONTENT = "customai-deployment", "customai-content"  # tags of a job
NEW_ROLE = 600.0  # seconds within which a role that was just given is known everywhere
PASSING = {
    "RESOURCE_EXHAUSTED",
    "REQUEST_LIMIT_EXCEEDED",
    "TEMPORARILY_UNAVAILABLE",
    "WORKSPACE_TEMPORARILY_UNAVAILABLE",
}


class Workspace:
    """What one step asks of its workspace."""

    def __init__(self, step: Step, inputs: Json, arm: Arm, watch: Watch) -> None:
        self.step, self.inputs, self.arm, self.watch = step, inputs, arm, watch
        self.id = str(inputs["workspace"])
        self._client: Any = None

    def client(self) -> Any:
        """The SDK's client; None where there is no workspace."""
        if self._client is None:
            found = Tries(self.step.id, self.watch, self.arm.pace).until(
                lambda: self.arm.get(f"{self.id}?api-version={API}")
            )
            url = ((found or {}).get("properties") or {}).get("workspaceUrl")
            if url is not None:
                self._client = self.until(lambda: connected(self.arm, str(url), self.id))
        return self._client

    def there(self) -> Any:
        """The client of a workspace that is to be there.

        Raises:
            NotFound: it is not.
        """
        client = self.client()
        if client is None:
            raise NotFound("the Databricks workspace is not there", where=self.step.id, hint="deploy again")
        return client

    def until(self, call: Callable[[], T], *, passes: float = 0.0) -> T:
        """What a call gives, tried again while what refuses it passes by itself; missing is the SDK's NotFound.

        Args:
            call: what changes nothing, or may be done twice.
            passes: seconds within which being refused for want of a right passes too.
        """
        return self.tries().until(lambda: told(call, self.step.id, passes))

    def tries(self) -> Tries:
        return Tries(self.step.id, self.watch, self.arm.pace)


def connected(arm: Arm, url: str, workspace: str) -> Any:
    """A client of the workspace at this URL. Whoever may change the workspace becomes an admin of it on first use."""
    try:
        from databricks.sdk import WorkspaceClient
        from databricks.sdk.clock import Clock
        from databricks.sdk.config import Config
        from databricks.sdk.credentials_provider import CredentialsStrategy
    except ImportError as error:
        raise NotInstalled(f"{error.name} is not installed here", hint=INSTALL) from None

    class Login(CredentialsStrategy):
        def auth_type(self) -> str:
            return "customai"

        def __call__(self, _config: Any) -> Callable[[], dict[str, str]]:
            return lambda: {
                "Authorization": f"Bearer {arm.token(f'{APPLICATION}/.default')}",
                "X-Databricks-Azure-Workspace-Resource-Id": workspace,
                "X-Databricks-Azure-SP-Management-Token": arm.token(f"{ENDPOINT}/.default"),
            }

    class Once(Clock):
        def time(self) -> float:
            return time.monotonic()

        def sleep(self, _seconds: float) -> None:
            raise  # noqa: PLE0704 (what the SDK would now try again: it is ours to)

    class Plain(Config):
        """What the environment says of other workspaces and logins is no matter here."""

        def _load_from_env(self) -> None: ...
        def _known_file_config_loader(self) -> None: ...
        def _resolve_host_metadata(self) -> None: ...

    Config.attributes()  # found in the class itself, and from then on known to those that extend it
    scheme = "http" if url.startswith("127.0.0.1:") else "https"  # a simulated one
    return WorkspaceClient(
        config=Plain(
            host=f"{scheme}://{url}",
            credentials_strategy=Login(),
            product="customai",
            product_version=__version__,
            http_timeout_seconds=60,
            clock=Once(),
        )
    )


def told(call: Callable[[], T], where: str, passes: float = 0.0) -> T:
    """What the call gives; what Databricks refuses as what it means, and whether it passes."""
    import requests
    from databricks.sdk import errors
    from databricks.sdk.errors.base import DatabricksError

    try:
        return call()
    except errors.NotFound:
        raise
    except DatabricksError as error:
        raise _refusal(error, where, passes) from None
    except (requests.ConnectionError, requests.Timeout) as error:
        hint = "is there a way to the internet from here (proxy, VPN)? Then run the same command again"
        text = str(error).partition("\n")[0][:200]
        raise Refusal(
            TargetError(f"Databricks cannot be reached: {text}", where=where, hint=hint), SHORT, None, code="unreached"
        ) from None


def _refusal(error: Any, where: str, passes: float) -> Refusal:
    from databricks.sdk import errors

    code, message = str(error.error_code or type(error).__name__), str(error).partition(" Config: ")[0].strip()
    said = f"Databricks says: {code}: {message}"
    again = "run the same command again: it continues where it was"
    kinds: tuple[tuple[type, CustomAIError, float], ...] = (
        (errors.Unauthenticated, NotLoggedIn(said, where=where, hint="az login"), SHORT),
        (errors.PermissionDenied, Forbidden(said, where=where, hint=_right(message)), passes),
        (errors.TooManyRequests, TargetError(said, where=where, hint=again), LONG),
        (errors.ResourceConflict, Conflict(said, where=where, hint=""), 0.0),
        (errors.InternalError, TargetError(said, where=where, hint=again), SHORT),
        (errors.TemporarilyUnavailable, TargetError(said, where=where, hint=again), SHORT),
        (errors.DeadlineExceeded, TargetError(said, where=where, hint=again), SHORT),
    )
    ours, lasts = next(
        ((ours, lasts) for kind, ours, lasts in kinds if isinstance(error, kind)), (RunFailed(said, where=where), 0.0)
    )
    if code in PASSING:
        lasts = LONG
    wait = error.retry_after_secs
    return Refusal(ours, lasts, None if wait is None else float(wait), code=code)


def _right(message: str) -> str:
    if "CREATE" in message or "metastore" in message.lower():
        return "a metastore admin of your Databricks account has to give you that right, or deploy this"
    return "are you an admin of the workspace? Whoever is Contributor of it becomes one; a new role takes some minutes"
