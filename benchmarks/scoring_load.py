"""Load: so many connections, each sending the next request when it has its answer. wrk where it is installed, or else ours."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from customai.load import Load, post
from customai.load import load as ours

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
        return post(self.path, self.body, self.headers)


def load(request: Request, connections: int, seconds: float) -> Load:
    return _wrk(request, connections, seconds) if WRK else ours(request.port, request.raw, connections, seconds)


def _wrk(request: Request, connections: int, seconds: float) -> Load:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "body").write_bytes(request.body)
        lines = [f'wrk.headers["{name}"] = "{value}"' for name, value in request.headers.items()]
        script = Path(folder) / "request.lua"
        body = f'local f = io.open("{folder}/body", "rb"); wrk.body = f:read("*a"); f:close()'
        script.write_text("\n".join(['wrk.method = "POST"', body, *lines]))
        url = f"http://127.0.0.1:{request.port}{request.path}"
        command = [
            WRK or "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{max(1, round(seconds))}s",
            "--timeout",
            "30s",
            "--latency",
        ]
        told = subprocess.run([*command, "-s", script, url], capture_output=True, text=True, check=True).stdout
    found = {
        share: float(number) * _UNITS[unit]
        for share, number, unit in re.findall(r"(50|99)%\s+([\d.]+)(us|ms|s|m)", told)
    }
    failed = sum(int(count) for count in re.findall(r"Non-2xx or 3xx responses: (\d+)", told))
    failed += sum(int(count) for line in re.findall(r"Socket errors: (.*)", told) for count in re.findall(r"\d+", line))
    rate = re.search(r"Requests/sec:\s+([\d.]+)", told)
    return Load(float(rate[1]) if rate else 0.0, found.get("50", 0.0), found.get("99", 0.0), failed)


if __name__ == "__main__":
    sys.exit("a part of benchmarks.scoring")
