"""Sends images and rows to a scoring endpoint, ours or another that answers /score: stdlib only, quick to import."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from customai.errors import Forbidden, NotAvailable, RunFailed, TargetError, TimedOut
from customai.model import Json

if TYPE_CHECKING:
    import ssl


@dataclass(frozen=True)
class Endpoint:
    """An endpoint's base URL and its API key, if it asks for one.

    certificate: the file of its own certificate, which then is the only one it may show, whatever names it is made for.
    """

    url: str
    key: str | Callable[[], str] | None = None  # or what gives a login's token, anew for each request
    timeout: float = 30.0
    certificate: str | None = None
    login: str = ""  # where logins are taken and no keys: the command that has one let in
    connection: http.client.HTTPConnection | None = None  # kept open for several requests

    def score(self, body: bytes, *, name: str = "image", headers: dict[str, str] | None = None) -> Json:
        """The endpoint's answer to one PNG or JPEG image, or to {"rows": [...]} in JSON.

        Raises:
            RunFailed: the endpoint refused this body; Forbidden: the key is wrong; TargetError: it cannot be reached.
        """
        kind = "image/jpeg" if body.startswith(b"\xff\xd8") else "image/png"
        kind = "application/json" if body.startswith(b"{") else kind
        status, answer = self._send("POST", "/score", body, {"content-type": kind, **(headers or {})})
        if status == http.client.OK:
            return answer
        said = answer.get("error", "") if isinstance(answer, dict) else ""
        self._let_in(status)
        if status in (http.client.TOO_MANY_REQUESTS, http.client.SERVICE_UNAVAILABLE):
            raise NotAvailable(said or "the endpoint is busy", where=self.url, hint="try again in a second")
        expected = answer.get("expected") if isinstance(answer, dict) else None
        hint = f"expected {expected}" if expected else ""
        raise RunFailed(f"the endpoint refused {name}: {said or status}", where=f"{self.url}/score", hint=hint)

    def describe(self) -> Json:
        """What the endpoint says of itself: its model, versions and columns.

        Raises:
            Forbidden: the key is wrong; TargetError: it cannot be reached.
        """
        status, answer = self._send("GET", "/", None, {})
        self._let_in(status)
        return answer if isinstance(answer, dict) else {}

    def _let_in(self, status: int) -> None:
        if self.login and status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
            raise Forbidden("the endpoint does not let your login in", where=self.url, hint=self.login)
        if status == http.client.UNAUTHORIZED:
            raise _wrong_key(self.url)

    @contextmanager
    def kept_open(self) -> Iterator[Endpoint]:
        """The same endpoint over one connection, for many requests one after the other."""
        connection = _connection(self)
        try:
            yield replace(self, connection=connection)
        finally:
            connection.close()

    def ready(self) -> bool:
        try:
            return self._send("GET", "/v2/health/ready", None, {})[0] == http.client.OK
        except TargetError:
            return False

    def names(self) -> list[str]:
        """The hosts and addresses that its own certificate is made for; none where it cannot be asked."""
        connection = _connection(self)
        try:
            connection.connect()
            return [str(value) for _, value in connection.sock.getpeercert().get("subjectAltName", ())]  # type: ignore[union-attr]
        except (OSError, TargetError):
            return []
        finally:
            connection.close()

    def _send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, Json]:
        connection = self.connection or _connection(self)
        path = urlsplit(self.url).path.rstrip("/") + path
        if self.key is not None:
            key = self.key if isinstance(self.key, str) else self.key()
            headers = {**headers, "authorization": f"Bearer {key}"}
        try:
            try:
                response, text = _exchange(connection, method, path, body, headers)
            except ConnectionError:
                if self.connection is None:
                    raise
                connection.close()  # the other side has closed it meanwhile: once more, on a new one
                response, text = _exchange(connection, method, path, body, headers)
        except TimeoutError:
            raise TimedOut(f"no answer within {self.timeout:g} s", where=self.url) from None
        except (OSError, http.client.HTTPException) as error:
            hint = "is it running? customai status"
            raise TargetError(f"the endpoint cannot be reached: {error}", where=self.url, hint=hint) from None
        finally:
            if self.connection is None:
                connection.close()
        try:
            return _status(response), json.loads(text or b"null")
        except ValueError:
            return _status(response), None


def _status(response: http.client.HTTPResponse) -> int:
    """The scoring server's own: Azure ML's endpoints put a 424 in its place."""
    return int(response.headers.get("ms-azureml-model-error-statuscode") or response.status)


def _connection(endpoint: Endpoint) -> http.client.HTTPConnection:
    parts = urlsplit(endpoint.url)
    host = parts.hostname or ""
    if parts.scheme != "https":
        return http.client.HTTPConnection(host, parts.port, timeout=endpoint.timeout)
    context = _trusting(endpoint.certificate) if endpoint.certificate is not None else None
    return http.client.HTTPSConnection(host, parts.port, timeout=endpoint.timeout, context=context)


def _trusting(certificate: str) -> ssl.SSLContext:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # it need not have signed itself
    try:
        context.load_verify_locations(certificate)
    except OSError as error:
        said = error.strerror or "it is no certificate"
        raise TargetError(f"the endpoint's certificate cannot be read: {said}", where=certificate) from None
    return context


def _exchange(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None, headers: dict[str, str]
) -> tuple[http.client.HTTPResponse, bytes]:
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    return response, response.read()


def _wrong_key(url: str) -> Forbidden:
    return Forbidden(
        "the endpoint refused the API key", where=url, hint="is the key in the spec the one it was deployed with?"
    )


def url_of(host: str, port: int, *, tls: bool = False) -> str:
    """Where to send requests to what listens on this address."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    scheme = "https" if tls else "http"
    return f"{scheme}://[{reachable}]:{port}" if ":" in reachable else f"{scheme}://{reachable}:{port}"
