"""Who talks to Azure, and to which subscription: the user's own login, found where Azure's other tools find it.

For tests, CUSTOMAI_AZURE_ENDPOINT names another endpoint: a plain http one on this machine alone, to which a fixed token
is sent that opens nothing; or the https one of a sovereign cloud, to which the user's login goes as ever.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import time
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NoReturn

from customai.errors import NotInstalled, SpecError
from customai.model import Json

if TYPE_CHECKING:
    from customai.targets.azure_arm import Arm

ENDPOINT = "https://management.azure.com"
ENDPOINT_VARIABLE = "CUSTOMAI_AZURE_ENDPOINT"
SUBSCRIPTION_VARIABLE = "AZURE_SUBSCRIPTION_ID"
AUTHORITIES = {  # of the sovereign clouds, by their endpoint's last words
    "usgovcloudapi.net": "login.microsoftonline.us",
    "chinacloudapi.cn": "login.partner.microsoftonline.cn",
}
NOBODY = "00000000-0000-4000-8000-00000000c0de"  # the object id in the token that opens nothing
INSTALL = "pip install 'customai[azure]'"


def connect(subscription: str, tenant: str | None = None) -> Arm:
    """The clients of a subscription.

    Raises:
        NotInstalled: the extra is missing.
    """
    try:
        from azure.identity import DefaultAzureCredential

        from customai.targets.azure_arm import Arm
    except ImportError as error:
        raise NotInstalled(f"what talks to Azure is not installed here: {error.name}", hint=INSTALL) from None
    at = endpoint()
    if is_loopback(at):
        return Arm(Nobody(), subscription, endpoint=at, polling_interval=look())
    more: dict[str, Any] = {"authority": authority} if (authority := _authority(at)) else {}
    if tenant is not None:
        more["additionally_allowed_tenants"] = [tenant]
    logging.getLogger("azure").addHandler(logging.NullHandler())  # what is wrong is told once, by us
    credential = _Login(DefaultAzureCredential(**more), tenant)
    return Arm(credential, subscription, endpoint=at, polling_interval=look())


def endpoint() -> str:
    """Of Azure Resource Manager.

    Raises:
        SpecError: it would send a login over plain http to another machine, or is no address.
    """
    at = os.environ.get(ENDPOINT_VARIABLE) or ENDPOINT
    if not is_loopback(at) and not re.fullmatch(r"https://[\w.-]+(:\d+)?", at):
        hint = "https://HOST, or http://127.0.0.1:PORT for tests; without it: Azure itself"
        raise SpecError(f"{ENDPOINT_VARIABLE} is no endpoint that a login may be sent to", where=at, hint=hint)
    return at


def look() -> float:
    """Seconds between two looks at what goes on, where Azure does not say how long to wait."""
    return 0.05 if is_loopback(endpoint()) else 5.0


def is_loopback(at: str) -> bool:
    return re.fullmatch(r"https?://127\.0\.0\.1:\d+", at) is not None


def subscription() -> str | None:
    """The subscription of the surroundings, found offline: AZURE_SUBSCRIPTION_ID, or the Azure CLI's own choice."""
    named = os.environ.get(SUBSCRIPTION_VARIABLE)
    if named:
        if not re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", named):
            raise SpecError(f"{SUBSCRIPTION_VARIABLE} is not a subscription's id: expected a GUID", where=named)
        return named
    chosen = [each for each in _profile() if each.get("isDefault")]
    return str(chosen[0]["id"]) if chosen else None


def no_subscription() -> NoReturn:
    raise SpecError(
        "it is not said in which subscription",
        where="azure.subscription",
        hint="az login and az account set -s ID; or AZURE_SUBSCRIPTION_ID; or azure.subscription in the spec",
    )


def is_likely() -> bool:
    """Whether there is a trace of a login here, looked for offline and in no time."""
    names = ("AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE", "IDENTITY_ENDPOINT")
    return is_loopback(endpoint()) or any(os.environ.get(name) for name in names) or bool(_profile())


def _profile() -> list[Json]:
    """What the Azure CLI has written down of its subscriptions."""
    folder = Path(os.environ.get("AZURE_CONFIG_DIR") or Path.home() / ".azure")
    try:
        found = json.loads((folder / "azureProfile.json").read_text(encoding="utf-8-sig"))
        return [each for each in found["subscriptions"] if isinstance(each, dict) and "id" in each]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _authority(at: str) -> str | None:
    return next((login for ending, login in AUTHORITIES.items() if at.endswith(ending)), None)


class _Login:
    """A credential that is asked once for each token (the Azure CLI takes a second), in one tenant if one is chosen."""

    def __init__(self, credential: Any, tenant: str | None) -> None:
        self._credential = credential
        self._tenant = {"tenant_id": tenant} if tenant is not None else {}
        self._tokens: dict[tuple[str, ...], Any] = {}
        self._asking = Lock()

    def get_token(self, *scopes: str, claims: str | None = None, **more: Any) -> Any:
        with self._asking:
            known = self._tokens.get(scopes)
            if known is None or claims is not None or known.expires_on < time.time() + 300:
                known = self._credential.get_token(*scopes, claims=claims, **self._tenant | more)
                self._tokens[scopes] = known
            return known


class Nobody:
    """Gives a token that opens nothing, to a simulated Azure on this machine."""

    def get_token(self, *_scopes: str, **_more: Any) -> Any:
        from azure.core.credentials import AccessToken

        claims = base64.urlsafe_b64encode(json.dumps({"oid": NOBODY, "idtyp": "user"}).encode()).decode().rstrip("=")
        return AccessToken(f"e30.{claims}.nobody", int(time.time()) + 3600)
