"""Load on an HTTP server: so many connections, each sending the same request again when it has its answer."""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from dataclasses import dataclass

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Load:
    """Answers a second; latencies in ms, 0 where nothing was answered; failed: answers that were none, or not 2xx."""

    rate: float
    p50: float
    p99: float
    failed: int


def post(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """A request as it travels."""
    lines = {"host": HOST, "content-length": str(len(body)), **headers}
    head = f"POST {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return head.encode() + b"\r\n" + body


def load(port: int, request: bytes, connections: int, seconds: float) -> Load:
    """What is still being answered in the end is not waited for, and not counted."""
    return asyncio.run(_load(port, request, connections, seconds))


async def _load(port: int, request: bytes, connections: int, seconds: float) -> Load:
    loop = asyncio.get_running_loop()
    taken: list[float] = []
    failed: list[int] = []
    started = time.perf_counter()
    clients = [_Client(request, taken, failed) for _ in range(connections)]
    try:
        made = (loop.create_connection(lambda client=client: client, HOST, port) for client in clients)  # type: ignore[misc]
        failed += [0 for each in await asyncio.gather(*made, return_exceptions=True) if isinstance(each, OSError)]
        left = started + seconds - time.perf_counter()
        if connected := [client.gone for client in clients if client.transport is not None]:
            await asyncio.wait(connected, timeout=max(0.0, left))
    finally:
        took = time.perf_counter() - started
        for client in clients:
            client.end()
    cuts = statistics.quantiles(taken, n=100) if len(taken) > 1 else (taken or [0.0]) * 99
    return Load(len(taken) / took, cuts[49] * 1000, cuts[98] * 1000, len(failed))


class _Client(asyncio.Protocol):
    def __init__(self, request: bytes, taken: list[float], failed: list[int]) -> None:
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport | None = None
        self._request, self._taken, self._failed = request, taken, failed
        self._sent = 0.0
        self._head = b""  # of an answer that has not come whole
        self._left = -1  # bytes of its body that are still to come; below 0: its head is

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 (for the type checker)
        self.transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        if self._left < 0:
            head, whole, body = (self._head + data).partition(b"\r\n\r\n")
            if not whole:
                self._head = head
                return
            self._head = b""
            length = re.search(rb"(?i)content-length: *(\d+)", head)
            self._left = (int(length[1]) if length else 0) - len(body)
            if not head.startswith(b"HTTP/1.1 2"):
                self._failed.append(int(head[9:12]))
        else:
            self._left -= len(data)
        if self._left <= 0:
            self._left = -1
            self._taken.append(time.perf_counter() - self._sent)
            self._send()

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.gone.done():
            self._failed.append(0)
            self.gone.set_result(None)

    def end(self) -> None:
        if not self.gone.done():
            self.gone.set_result(None)
        if self.transport is not None:
            self.transport.abort()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        if self.transport is not None:
            self.transport.write(self._request)
