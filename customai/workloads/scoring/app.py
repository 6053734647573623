"""The application: routes, key, which version answers, one JSON shape for every error, and what is counted and logged."""

import asyncio
import hashlib
import hmac
import logging
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from customai.errors import RunFailed
from customai.workloads.scoring.access_log import AccessLog, Entry
from customai.workloads.scoring.answers import Answer, Headers, RequestError, answer
from customai.workloads.scoring.aside import Aside
from customai.workloads.scoring.config import ServerConfig
from customai.workloads.scoring.metrics import KIND, ROUTES, Metrics
from customai.workloads.scoring.model import Model
from customai.workloads.scoring.pace import measure
from customai.workloads.scoring.routes import Route, no_version, routes, unknown
from customai.workloads.scoring.service import Handler
from customai.workloads.scoring.traffic import Traffic
from customai.workloads.scoring.version import Version

_OTHER = ROUTES.index("other")
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
    aside = Aside(config.max_queue, config.max_wait)
    folder = None if config.run is None else Path(config.run) / "metrics"
    metrics = Metrics([model.config.version for model in models], folder)
    versions = [
        Version(model, served.traffic, measure(model, config.max_batch), config, aside=aside, metrics=metrics)
        for model, served in zip(models, config.models, strict=True)
    ]
    return App(versions, config, aside, metrics, write_log or _to_stdout)


class App:
    """What is served (service.Service). Set draining when no more work is to come: readiness turns 503."""

    def __init__(
        self,
        versions: Sequence[Version],
        config: ServerConfig,
        aside: Aside,
        metrics: Metrics,
        write_log: Callable[[bytes], object],
    ) -> None:
        self.draining = False
        self.versions = versions
        self._named = {version.name.encode(): version for version in versions}
        self._only = versions[0] if len(versions) == 1 else None
        self._traffic = Traffic([version.traffic for version in versions])
        self._key = None if config.key_sha256 is None else bytes.fromhex(config.key_sha256)
        self._routes = routes(self, versions, asks_for_key=self._key is not None)
        self._counted = {path: route.counted for path, route in self._routes.items()}
        self._metrics = metrics
        self._access = AccessLog(write_log)
        self._aside = aside
        self._now = (0, 0)  # requests being answered, connections

    def route(self, method: str, path: str, headers: Headers) -> Handler:
        route = self._routes.get(path)
        if (
            route is not None
            and route.page is not None
            and method == "GET"
            and b"text/html" in headers.get(b"accept", b"")
        ):
            return route.page
        if self._key is not None and not (route is not None and route.open):
            _check_key(headers, self._key)
        if route is None:
            raise unknown(path, self.versions)
        handler = route.handlers.get(method)
        if handler is None:
            raise not_allowed(method, path, route)
        return handler

    async def attempt(self, method: str, path: str, handler: Handler, headers: Headers, body: bytes) -> Answer:
        try:
            return await handler(headers, body)
        except RequestError as error:
            return error.answer()
        except asyncio.CancelledError:
            raise
        except Exception:  # noqa: BLE001 - one request must not end the server
            _log.exception("%s %s failed", method, path)
            return RequestError(500, "the server failed on this request; its log says why").answer()

    def told(self, method: str, path: str, status: int, seconds: float, size: int) -> None:
        self._metrics.request(self._counted.get(path, _OTHER), status, seconds)
        self._access.add(Entry(time.time(), method, path, status, seconds * 1000, size))

    def rest(self, active: int, connections: int) -> None:
        self._now = active, connections
        queue = sum(version.batcher.waiting for version in self.versions)
        self._metrics.rest(queue=queue, active=active, connections=connections)

    def close(self) -> None:
        """Write the rest of the access log and end the threads."""
        for version in self.versions:
            version.close()
        self._aside.close()
        self._access.close()

    async def ready(self, _headers: Headers, _body: bytes) -> Answer:
        return answer({"ready": not self.draining}, 503 if self.draining else 200)

    async def metrics(self, _headers: Headers, _body: bytes) -> Answer:
        queue = sum(version.batcher.waiting for version in self.versions)
        active, connections = self._now
        text = await self._aside(lambda: self._metrics.text(queue=queue, active=active, connections=connections))
        return Answer(200, text, kind=KIND)

    async def infer(self, headers: Headers, body: bytes) -> Answer:
        return await self._version(headers).infer(headers, body)

    async def score(self, headers: Headers, body: bytes) -> Answer:
        return await self._version(headers).score(headers, body)

    def pace(self) -> list[dict[str, Any]]:
        """How each version is run, for `status`."""
        return [
            {
                "version": version.name,
                "provider": version.model.provider,
                "where": "event loop" if version.pace.inline else "thread",
                "max_batch": version.pace.max_batch,
                "latency_ms": round(version.pace.latency * 1000, 4),
            }
            for version in self.versions
        ]

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
