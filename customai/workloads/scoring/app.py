"""The ASGI application: routes, key, limits, and one JSON shape for every error.

It is bare ASGI because a framework costs more per request than a small model does.
"""

import asyncio
import hashlib
import hmac
import logging
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from customai.workloads.scoring import protocol, score
from customai.workloads.scoring.access_log import AccessLog, Entry
from customai.workloads.scoring.answers import Answer, Header, RequestError, answer
from customai.workloads.scoring.batching import Batcher
from customai.workloads.scoring.config import ServerConfig
from customai.workloads.scoring.image import decoded, open_image
from customai.workloads.scoring.model import Model
from customai.workloads.scoring.pace import Pace, measure
from customai.workloads.scoring.reading import (
    ClientGone,
    Headers,
    Receive,
    check_length,
    has_body,
    linger,
    read,
    unless_gone,
)
from customai.workloads.scoring.routes import Route, routes, unknown
from customai.workloads.scoring.tensors import DATATYPES, Array

T = TypeVar("T")
Scope = dict[str, Any]
Send = Callable[[Any], Awaitable[None]]

LINGER = 1.0  # seconds a refused client may go on sending
# More than this is worked on in a thread, because it can take the event loop milliseconds.
INLINE_PIXELS = 256 * 256
INLINE_IMAGES = 16
INLINE_ROWS = 256
_CLIENT_GONE = 499  # nginx's number, in the log only
_JSON: Header = (b"content-type", b"application/json")
_CLOSE: Header = (b"connection", b"close")
_log = logging.getLogger("customai.scoring")


def create(model: Model, config: ServerConfig, write_log: Callable[[bytes], object] | None = None) -> "App":
    """The application for one model. Runs the model a few times to measure it, so call it before the server listens.

    write_log gets the access log, JSON lines, from a thread; None: standard output.
    """
    return App(model, config, measure(model, config.max_batch), write_log or _to_stdout)


class App:
    """An ASGI 3 application. Set draining to stop taking work: readiness turns 503 and every answer closes its connection."""

    def __init__(self, model: Model, config: ServerConfig, pace: Pace, write_log: Callable[[bytes], object]) -> None:
        self.draining = False
        self.model = model
        self.pace = pace
        self.batcher = Batcher(model.run, pace, config.max_queue)
        self._config = config
        self._key = None if config.key_sha256 is None else bytes.fromhex(config.key_sha256)
        self._routes = routes(self, model)
        self._access = AccessLog(write_log)
        self._worker = ThreadPoolExecutor(1, "aside")
        self._working = 0

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
        self.batcher.close()
        self._worker.shutdown(wait=False, cancel_futures=True)
        self._access.close()

    async def ready(self) -> Answer:
        return answer({"ready": not self.draining}, 503 if self.draining else 200)

    async def infer(self, headers: Headers, body: bytes, receive: Receive) -> Answer:
        _check_json(headers)
        request = protocol.parse(body, self.model.signature)
        outputs = await self._score(request.feed, request.rows, receive)
        return protocol.encode(request, outputs, self.model.signature, self.model.config)

    async def score(self, headers: Headers, body: bytes, receive: Receive) -> Answer:
        tensor = score.one_input(self.model.signature, self.model.config.name)
        if _media_type(headers).startswith(b"image/"):
            rows = await self._rows([body], None)
        else:
            _check_json(headers, "-H 'Content-Type: image/png', image/jpeg or application/json")
            parsed = score.parse(body, self.model.signature)
            rows = await self._rows(parsed, "images") if isinstance(parsed, list) else parsed
        outputs = await self._score({tensor.name: rows}, len(rows), receive)
        if len(rows) > INLINE_ROWS:
            return await self._aside(score.encode, outputs, self.model.signature, self.model.config)
        return score.encode(outputs, self.model.signature, self.model.config)

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
            raise unknown(path, self.model.config)
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

    async def _score(self, feed: dict[str, Array], rows: int, receive: Receive) -> list[Array]:
        if self.batcher.inline:
            return await self.batcher.score(feed, rows)
        result: list[Array] = await unless_gone(receive, self.batcher.score(feed, rows))
        return result

    async def _rows(self, images: list[bytes], field: str | None) -> Array:
        how, dtype = self.model.config.preprocessing, DATATYPES[self.model.signature.inputs[0].datatype].dtype
        if how is None:
            raise RequestError(415, "this model takes no images", expected='application/json with {"rows": [...]}')
        if len(images) > INLINE_IMAGES:
            return await self._aside(decoded, images, how, dtype, field)
        first = open_image(images[0], field and f"{field}[0]")
        if first.width * first.height * len(images) > INLINE_PIXELS:
            return await self._aside(decoded, images, how, dtype, field)
        return decoded(images, how, dtype, field)

    async def _aside(self, work: Callable[..., T], *arguments: Any) -> T:
        """Work that would hold up the event loop, done in the one thread kept for it."""
        if self._working >= self._config.max_queue:
            message = f"{self._working} requests are waiting already"
            raise RequestError(503, message, expected="try again in a second", headers=((b"retry-after", b"1"),))
        self._working += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._worker, work, *arguments)
        finally:
            self._working -= 1

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


def _media_type(headers: Headers) -> bytes:
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower()


def _check_json(headers: Headers, expected: str = "-H 'Content-Type: application/json'") -> None:
    given = _media_type(headers)
    if given != b"application/json":
        found = given[:60].decode("latin-1") or "missing"
        raise RequestError(415, f"the content type is {found}", field="Content-Type", expected=expected)
