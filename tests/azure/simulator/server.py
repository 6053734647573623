"""The simulated cloud behind real HTTP on loopback: one thread per connection, faults and hooks around each request."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import threading
import time
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from . import errors, kubernetes
from .cloud import Cloud
from .control import control
from .errors import ArmError
from .faults import Fault
from .log import Entry, Log
from .messages import Answer, Request, refusal

Hook = Callable[[Entry], None]


class Reset(Exception):
    """The connection is to break, without an answer."""


class Simulator:
    """A running simulator. `url` is what clients take as base_url; everything else is for tests to look at and to set."""

    def __init__(self, cloud: Cloud | None = None, port: int = 0) -> None:
        self.cloud = cloud or Cloud()
        self.log: Log = Log()
        self.faults: list[Fault] = []
        self.before: list[Hook] = []  # called before a request is handled, outside of every lock
        self.bugs: list[Exception] = []  # raised at the end
        self.after: list[Hook] = []  # called when it is handled and its answer is not yet sent
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.simulator = self
        self.cloud.view.databricks = self.url.removeprefix("http://")
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Simulator:  # noqa: PYI034 - Self is not in Python 3.10
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for fault in self.faults:
            fault.release.set()
        self._server.shutdown()
        self._server.server_close()
        if self.bugs and error is None:
            raise self.bugs[0]

    def fault(self, fault: Fault) -> Fault:
        with self._lock:
            self.faults.append(fault)
        return fault

    def standing(self) -> list[str]:
        """The ids of everything that is there now."""
        return self.cloud.standing()

    def calm(self) -> None:
        """No more faults."""
        with self._lock:
            self.faults.clear()

    def handle(self, entry: Entry, request: Request) -> Answer:
        for hook in list(self.before):
            hook(entry)
        if not request.path.startswith("/_blob/") and not _bearer(request.headers):
            if request.path.startswith("/_kubernetes/"):
                return kubernetes.status(401, "Unauthorized")
            return refusal(errors.unauthenticated(self.cloud.catalog.tenant))
        with self._lock:
            faults = [one for one in self.faults if one.strikes(entry.method, entry.path)]
        entry.fault = ", ".join(one.does for one in faults)
        for fault in faults:
            if not fault.after and not fault.twist:
                answer = self._strike(fault)
                if answer is not None:
                    return answer
        twist = next((one.twist for one in faults if one.twist), None)
        answer = self.cloud.handle(request, twist)
        entry.answer = answer.body if not isinstance(answer.body, bytes) else answer.body.decode(errors="replace")
        entry.status = answer.status
        for hook in list(self.after):
            hook(entry)
        for fault in faults:
            if fault.after and not fault.twist:
                answer = self._strike(fault) or answer
        return answer

    def _strike(self, fault: Fault) -> Answer | None:
        if fault.does == "answer":
            return fault.answer
        if fault.does == "reset":
            raise Reset
        if fault.does == "kill":
            while not fault.pid and not fault.release.wait(0.001):
                """A test starts its client, and then says which process it is."""
            with contextlib.suppress(ProcessLookupError):
                os.kill(fault.pid, signal.SIGKILL)
            raise Reset
        if fault.does == "wait":
            fault.release.wait(fault.seconds)
        return None


def _bearer(headers: dict[str, str]) -> bool:
    return headers.get("authorization", "").startswith("Bearer ") and len(headers["authorization"]) > len("Bearer ")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    simulator: Simulator

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is what half of the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave together
    disable_nagle_algorithm = True
    timeout = 60
    server: _Server

    def log_message(self, *_: Any) -> None:
        """Silent: the log is for tests."""

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        if len(raw) < length:  # the client was killed between its head and its body: Azure takes no half of a request
            self._break()
            return
        url, simulator = urlsplit(self.path), self.server.simulator
        url = url._replace(path=unquote(url.path))  # "(" may come as %28
        body = {} if url.path.startswith("/_blob/") else _json(raw)
        if url.path.startswith("/_simulator/"):
            self._send(control(simulator, self.command, url.path, body))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        request = Request(self.command, url.path, query, body, headers, f"http://{self.headers['Host']}", raw)
        entry = simulator.log.begin(self.command, url.path, url.query, headers, body, time.monotonic())
        try:
            answer = simulator.handle(entry, request)
        except Reset:
            entry.status, entry.ended = None, time.monotonic()
            self._break()
            return
        except Exception as bug:  # noqa: BLE001 - of the simulator, or of a hook: kept for the test
            simulator.bugs.append(bug)
            answer = refusal(ArmError(400, "SimulatorBug", repr(bug)))
        entry.status, entry.ended = answer.status, time.monotonic()
        self._send(answer)

    do_GET = do_HEAD = do_PUT = do_PATCH = do_POST = do_DELETE = answer  # noqa: N815 - http.server's own names

    def _send(self, answer: Answer) -> None:
        body = answer.body
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        self.send_response(answer.status)
        if raw:
            self.send_header("Content-Type", answer.headers.pop("Content-Type", "application/json; charset=utf-8"))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        for name in ("x-ms-request-id", "x-ms-correlation-request-id"):
            self.send_header(name, str(uuid.uuid4()))
        if answer.status != 204:
            self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        if self.command != "HEAD" and answer.status != 204:
            self.wfile.write(raw)
        self.wfile.flush()

    def _break(self) -> None:
        """RST, not FIN: what a client sees as "connection reset by peer"."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


def _json(raw: bytes) -> Any:
    try:
        found = json.loads(raw) if raw else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
