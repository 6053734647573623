"""Azure's services beside Azure Resource Manager: a workspace's own, an endpoint's; each with the login's token for it.

What is kept in blobs is read with the same login: the account takes no keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import urlsplit

from customai import __version__
from customai.errors import Forbidden, TargetError
from customai.model import Json
from customai.targets.azure_arm import ONCE, TIMEOUTS, Arm
from customai.targets.azure_login import is_loopback
from customai.targets.azure_wait import Refusal, Tries

T = TypeVar("T")

ML = "https://ml.azure.com/.default"  # what a token for an endpoint of Azure ML is for
READER = "Storage Blob Data Reader"


def ask(
    arm: Arm, method: str, url: str, scope: str, body: Json = None, *, headers: Json = None, once: bool = False
) -> Json:
    """The answer of the service at this URL; `once`: a request that may be done though no answer comes."""
    from azure.core import PipelineClient
    from azure.core.pipeline import policies
    from azure.core.rest import HttpRequest

    base = at(url)
    agent = policies.UserAgentPolicy(f"customai/{__version__}")
    request = HttpRequest(
        method, url, json=body, headers={**(headers or {}), "Authorization": f"Bearer {arm.token(scope)}"}
    )
    more: dict[str, Any] = ONCE if once else {}
    with PipelineClient(base, policies=[agent, policies.RetryPolicy()], **TIMEOUTS) as client:
        response = client.send_request(request, **more)
        response.raise_for_status()
        return response.json() if response.text() else None


def at(url: str) -> str:
    """The URL's scheme and host. A token goes over https, or to this machine alone."""
    parts = urlsplit(url)
    base = f"{parts.scheme}://{parts.netloc}"
    if parts.scheme != "https" and not is_loopback(base):
        raise TargetError("Azure names an address that a login is not sent to", where=base)
    return base


class Blobs:
    """A container of an account, read with the login's own token; what is not there is None.

    Args:
        arm: the subscription's clients.
        account: the account's id, for whoever has no right to it.
        endpoint: where its blobs are.
        container: its name.
        tries: how long one waits for what passes by itself.
    """

    def __init__(self, arm: Arm, account: str, endpoint: str, container: str, tries: Callable[[], Tries]) -> None:
        self.account, self.tries = account, tries
        self.container = arm.blobs(endpoint, container)

    def read(self, name: str) -> bytes | None:
        from azure.core.exceptions import ResourceNotFoundError

        def asked() -> bytes | None:
            try:
                return bytes(self.container.get_blob_client(name).download_blob().readall())
            except ResourceNotFoundError:
                return None

        return self._until(asked)

    def names(self, prefix: str) -> list[str]:
        """Of everything below the prefix, which ends with a /."""
        from azure.core.exceptions import ResourceNotFoundError

        def asked() -> list[str]:
            try:
                return sorted(str(each) for each in self.container.list_blob_names(name_starts_with=prefix))
            except ResourceNotFoundError:  # nothing was ever written there
                return []

        return self._until(asked)

    def _until(self, call: Callable[[], T]) -> T:
        return self.tries().until(lambda: self._let_in(call))

    def _let_in(self, call: Callable[[], T]) -> T:
        from azure.core.exceptions import HttpResponseError

        try:
            return call()
        except HttpResponseError as error:
            if error.status_code != 403:
                raise
            code = str(getattr(error, "error_code", None) or "AuthorizationFailure")
            raise Refusal(self._forbidden(code), 0, None, code=code) from None

    def _forbidden(self, code: str) -> Forbidden:
        message = f"you may not read what Azure ML keeps in the storage account ({code})"
        return Forbidden(message, where=self.account.rpartition("/")[2], hint=give(READER, self.account))


def give(role: str, scope: str) -> str:
    """The command that gives whoever is logged in a role."""
    who = '"$(az ad signed-in-user show --query id -o tsv)"'
    return f'az role assignment create --role "{role}" --assignee {who} --scope {scope}; it counts within ten minutes'


def lines_of(text: bytes) -> Iterator[str]:
    yield from text.decode(errors="replace").splitlines()


def host_of(tracking: Any) -> str:
    """The base of a workspace's own services, out of the address that MLflow is given: azureml://HOST/mlflow/..."""
    host = urlsplit(str(tracking)).netloc
    return f"http://{host}" if is_loopback(f"http://{host}") else f"https://{host}"
