"""The ASGI application: routes, key, limits, which version answers, and one JSON shape for every error.

It is bare ASGI because a framework costs more per request than a small model does.
"""

import asyncio
import hashlib
import hmac
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from customai.errors import RunFailed
from customai.workloads.scoring.access_log import AccessLog, Entry
from customai.workloads.scoring.answers import Answer, Header, RequestError, answer
from customai.workloads.scoring.aside import Aside
from customai.workloads.scoring.config import ServerConfig
from customai.workloads.scoring.model import Model
from customai.workloads.scoring.pace import measure
from customai.workloads.scoring.reading import (
    ClientGone,
    Headers,
    Receive,
    check_length,
    has_body,
    linger,
    read,
)
from customai.workloads.scoring.routes import Route, no_version, routes, unknown
from customai.workloads.scoring.traffic import Traffic
from customai.workloads.scoring.version import Version

Scope = dict[str, Any]
Send = Callable[[Any], Awaitable[None]]

LINGER = 1.0  # seconds a refused client may go on sending
_CLIENT_GONE = 499  # nginx's number, in the log only
_JSON: Header = (b"content-type", b"application/json")
_CLOSE: Header = (b"connection", b"close")
_log = logging.getLogger("customai.scoring")


def create(models: Sequence[Model], config: ServerConfig, write_log: Callable[[bytes], object] | None = None) -> "App":
    """The application for the versions of one model, in the order of config.models.

    Runs each model a few times to measure it, so call it before the server listens. Raises RunFailed where they are not
    versions of one model. write_log gets the access log, JSON lines, from a thread; None: standard output.
    """
    names = {model.config.name for model in models}
    if len(names) > 1:
        raise RunFailed(f"one server has one model, not {len(names)}: {', '.join(sorted(names))}")
    if len({model.config.version for model in models}) < len(models):
        raise RunFailed("two versions of the model have the same name", hint="give each its own version in model.json")
    aside = Aside(config.max_queue)
    versions = [
        Version(model, served.traffic, measure(model, config.max_batch), config, aside)
        for model, served in zip(models, config.models, strict=True)
    ]
    return App(versions, config, aside, write_log or _to_stdout)


class App:
    """An ASGI 3 application. Set draining to stop taking work: readiness turns 503 and every answer closes its connection."""

    def __init__(
        self, versions: Sequence[Version], config: ServerConfig, aside: Aside, write_log: Callable[[bytes], object]
    ) -> None:
        self.draining = False
        self.versions = versions
        self._named = {version.name.encode(): version for version in versions}
        self._only = versions[0] if len(versions) == 1 else None
        self._traffic = Traffic([version.traffic for version in versions])
        self._config = config
        self._key = None if config.key_sha256 is None else bytes.fromhex(config.key_sha256)
        self._routes = routes(self, versions)
        self._access = AccessLog(write_log)
        self._aside = aside

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        started, path, method = time.perf_counter(), scope["path"], scope["method"]
        try:
            status, size = await self._respond(method, path, dict(scope["headers"]), receive, send)
        except ClientGone:
            status, size = _CLIENT_GONE, 0
        self._access.add(Entry(time.time(), method, path, status, (time.perf_counter() - started) * 1000, size))

    def close(self) -> None:
        """Write the rest of the access log and end the threads. Lifespan shutdown does this."""
        for version in self.versions:
            version.close()
        self._aside.close()
        self._access.close()

    async def ready(self) -> Answer:
        return answer({"ready": not self.draining}, 503 if self.draining else 200)

    async def infer(self, headers: Headers, body: bytes, receive: Receive) -> Answer:
        return await self._version(headers).infer(headers, body, receive)

    async def score(self, headers: Headers, body: bytes, receive: Receive) -> Answer:
        return await self._version(headers).score(headers, body, receive)

    def _version(self, headers: Headers) -> Version:
        """The version that the request names, or else the one whose turn it is."""
        name = headers.get(b"x-model-version")
        if name is not None:
            if name not in self._named:
                raise no_version(self.versions, field="x-model-version")
            return self._named[name]
        if self._only is not None:
            return self._only
        identity = headers.get(b"x-request-id")
        return self.versions[self._traffic.next() if identity is None else self._traffic.of(identity)]

    async def _respond(self, method: str, path: str, headers: Headers, receive: Receive, send: Send) -> tuple[int, int]:
        """(status, body bytes) of what was sent."""
        try:
            handler = self._handler(method, path, headers)
            if method == "POST":
                check_length(headers, self._config.max_body)
                body = await read(receive, self._config.max_body, self._config.body_timeout)
        except RequestError as refusal:  # before the body was read
            return await self._refuse(refusal.answer(), headers, receive, send)
        try:
            result = await (handler(headers, body, receive) if method == "POST" else handler())
        except RequestError as error:
            result = error.answer()
        except (ClientGone, asyncio.CancelledError):
            raise
        except Exception:  # noqa: BLE001 - one request must not end the server
            _log.exception("%s %s failed", method, path)
            result = RequestError(500, "the server failed on this request; its log says why").answer()
        await send({"type": "http.response.start", "status": result.status, "headers": self._headers(result)})
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else result.body})
        return result.status, len(result.body)

    def _handler(self, method: str, path: str, headers: Headers) -> Callable[..., Awaitable[Answer]]:
        route = self._routes.get(path)
        if self._key is not None and not (route is not None and route.open):
            _check_key(headers, self._key)
        if route is None:
            raise unknown(path, self.versions)
        handler = route.handlers.get(method)
        if handler is None:
            raise not_allowed(method, path, route)
        return handler

    async def _refuse(self, refusal: Answer, headers: Headers, receive: Receive, send: Send) -> tuple[int, int]:
        if not has_body(headers):
            await send({"type": "http.response.start", "status": refusal.status, "headers": self._headers(refusal)})
            await send({"type": "http.response.body", "body": refusal.body})
            return refusal.status, len(refusal.body)
        start = {"type": "http.response.start", "status": refusal.status, "headers": [*self._headers(refusal), _CLOSE]}
        await send(start)
        await send({"type": "http.response.body", "body": refusal.body, "more_body": True})
        await linger(receive, LINGER)
        await send({"type": "http.response.body"})
        return refusal.status, len(refusal.body)

    def _headers(self, result: Answer) -> list[Header]:
        headers = [_JSON, (b"content-length", b"%d" % len(result.body)), *result.headers]
        if self.draining:
            headers.append(_CLOSE)
        return headers

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        while True:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                self.close()
                await send({"type": "lifespan.shutdown.complete"})
                return
            await send({"type": "lifespan.startup.complete"})


def _to_stdout(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def not_allowed(method: str, path: str, route: Route) -> RequestError:
    allowed = ", ".join(route.handlers)
    message = f"{path} does not answer {method[:20]}"
    return RequestError(405, message, expected=allowed, headers=((b"allow", allowed.encode()),))


def _check_key(headers: Headers, expected: bytes) -> None:
    scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
    # Digests have one length and are compared in constant time: how long a wrong key takes says nothing.
    right = hmac.compare_digest(hashlib.sha256(key.strip()).digest(), expected)
    if scheme.lower() != b"bearer" or not right:
        error = "the API key is wrong" if key else "an API key is needed"
        raise RequestError(
            401, error, expected="Authorization: Bearer KEY", headers=((b"www-authenticate", b"Bearer"),)
        )
