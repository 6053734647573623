"""Load: so many connections, each sending the next request when it has its answer. wrk where it is installed, or else ours."""

from __future__ import annotations

import asyncio
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

WRK = shutil.which("wrk")
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@dataclass(frozen=True)
class Request:
    port: int
    path: str
    body: bytes
    headers: dict[str, str]

    @property
    def raw(self) -> bytes:
        lines = {"host": "127.0.0.1", "content-length": str(len(self.body)), **self.headers}
        head = f"POST {self.path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return head.encode() + b"\r\n" + self.body


@dataclass(frozen=True)
class Load:
    """Requests a second; latencies in ms; failed: answers that were none, or not 2xx."""

    rate: float
    p50: float
    p99: float
    failed: int


def load(request: Request, connections: int, seconds: float) -> Load:
    return _wrk(request, connections, seconds) if WRK else asyncio.run(_ours(request, connections, seconds))


def _wrk(request: Request, connections: int, seconds: float) -> Load:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "body").write_bytes(request.body)
        lines = [f'wrk.headers["{name}"] = "{value}"' for name, value in request.headers.items()]
        script = Path(folder) / "request.lua"
        body = f'local f = io.open("{folder}/body", "rb"); wrk.body = f:read("*a"); f:close()'
        script.write_text("\n".join(['wrk.method = "POST"', body, *lines]))
        url = f"http://127.0.0.1:{request.port}{request.path}"
        command = [WRK or "wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "30s", "--latency"]
        told = subprocess.run([*command, "-s", script, url], capture_output=True, text=True, check=True).stdout
    found = {
        share: float(number) * _UNITS[unit]
        for share, number, unit in re.findall(r"(50|99)%\s+([\d.]+)(us|ms|s|m)", told)
    }
    failed = sum(int(count) for count in re.findall(r"Non-2xx or 3xx responses: (\d+)", told))
    failed += sum(int(count) for line in re.findall(r"Socket errors: (.*)", told) for count in re.findall(r"\d+", line))
    rate = re.search(r"Requests/sec:\s+([\d.]+)", told)
    return Load(float(rate[1]) if rate else 0.0, found.get("50", 0.0), found.get("99", 0.0), failed)


class _Client(asyncio.Protocol):
    def __init__(self, raw: bytes, until: float, taken: list[float], failed: list[int]) -> None:
        self.raw, self.until, self.taken, self.failed = raw, until, taken, failed
        self.left = 0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.send()

    def send(self) -> None:
        self.sent = time.perf_counter()
        self.transport.write(self.raw)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if not self.left:  # answers this small come with their head in one piece
            head, _, rest = data.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: *(\d+)", head)
            self.failed[0] += not head.startswith(b"HTTP/1.1 2")
            self.left = (int(length[1]) if length else 0) - len(rest)
        else:
            self.left -= len(data)
        if self.left <= 0:
            now, self.left = time.perf_counter(), 0
            self.taken.append(now - self.sent)
            if now < self.until:
                self.send()
            else:
                self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self.failed[0] += error is not None
        if not self.done.done():
            self.done.set_result(None)


async def _ours(request: Request, connections: int, seconds: float) -> Load:
    loop, taken, failed = asyncio.get_running_loop(), [], [0]
    started = time.perf_counter()
    clients = []
    for _ in range(connections):
        make = lambda: _Client(request.raw, started + seconds, taken, failed)  # noqa: E731
        clients.append((await loop.create_connection(make, "127.0.0.1", request.port))[1])
    await asyncio.wait([client.done for client in clients], timeout=seconds + 30)
    took = time.perf_counter() - started
    cuts = statistics.quantiles(taken, n=100) if len(taken) > 1 else [0.0] * 99
    return Load(len(taken) / took, cuts[49] * 1000, cuts[98] * 1000, failed[0])


if __name__ == "__main__":
    sys.exit("a part of benchmarks.scoring")
