"""Listening, and letting go: the connections of one process, from its first to its last."""

import asyncio
import resource
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterable

from customai.errors import RunFailed
from customai.workloads.scoring.config import ServerConfig, Tls
from customai.workloads.scoring.http import Connection, Shared
from customai.workloads.scoring.service import Limits, Service

QUIET = 0.5  # seconds without a request after which an idle connection may be closed while draining
SPARE = 256  # file descriptors for all but connections
SWEEP = 1.0  # seconds between two looks at the connections' deadlines
HANDSHAKE = 10.0  # seconds for TLS


def limits(config: ServerConfig) -> Limits:
    """What the config says; connections as many as the process may have files."""
    return Limits(
        body=config.max_body,
        memory=max(64 * 2**20, 16 * config.max_body),
        active=config.max_queue,
        connections=max(64, min(Limits.connections, _files() - SPARE)),
        body_seconds=config.body_timeout,
    )


def tls(given: Tls | None) -> ssl.SSLContext | None:
    """Raises RunFailed where the certificate or its key cannot be used."""
    if given is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(given.certificate, given.key, password=lambda: b"")
    except (OSError, ValueError) as error:  # SSLError is an OSError
        said = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        hint = "both in PEM, the key without a passphrase, and each made for the other"
        raise RunFailed(f"the TLS certificate cannot be used: {said}", where=given.certificate, hint=hint) from None
    return context


class Server:
    def __init__(self, service: Service, limits: Limits, context: ssl.SSLContext | None = None) -> None:
        self.shared = Shared(service, limits)
        self._context = context
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    async def start(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        handshake = HANDSHAKE if self._context is not None else None
        self._server = await loop.create_server(
            lambda: Connection(self.shared),
            sock=listener,
            ssl=self._context,
            backlog=4096,
            ssl_handshake_timeout=handshake,
        )
        self._sweep()

    async def drain(self, seconds: float) -> None:
        """Take nothing new, answer what was begun, tell each client with its last answer, and close."""
        shared = self.shared
        shared.draining = True
        if self._server is not None:
            self._server.close()
        deadline = time.monotonic() + seconds
        await self._until(lambda: not shared.connections, min(seconds, QUIET))
        for connection in _silent(shared.connections):
            connection.close()
        await self._until(lambda: not shared.connections, deadline - time.monotonic())
        for connection in list(shared.connections):
            connection.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()
        await asyncio.sleep(0)  # the tasks of what was aborted hear of it

    @staticmethod
    async def _until(true: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not true() and time.monotonic() < deadline:  # noqa: ASYNC110 (no event to wait for)
            await asyncio.sleep(0.01)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        self.shared.sweep(loop.time())
        limits = self.shared.limits
        every = min(SWEEP, limits.head_seconds / 4, limits.body_seconds / 4, limits.linger_seconds / 4)
        self._sweeper = loop.call_later(every, self._sweep)


def _silent(connections: Iterable[Connection]) -> list[Connection]:
    """Those without a request, neither read nor waiting to be."""
    idle = {connection.fileno: connection for connection in connections if connection.idle}
    poll = select.poll()
    for file in idle:
        poll.register(file, select.POLLIN)
    for file, _ in poll.poll(0):
        del idle[file]
    return list(idle.values())


def _files() -> int:
    """How many files this process may open, raised to what the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < Limits.connections + SPARE:
        wanted = Limits.connections + SPARE if hard == resource.RLIM_INFINITY else min(hard, Limits.connections + SPARE)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):
            return soft
        return wanted
    return Limits.connections + SPARE
