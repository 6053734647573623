"""A request as it is read."""

import time
from urllib.parse import unquote

import httptools

from customai.workloads.scoring.answers import Headers
from customai.workloads.scoring.service import Handler


class Request:
    """head: the target of its first line; size: bytes of its body so far."""

    __slots__ = ("body", "handler", "head", "headers", "keep_alive", "method", "path", "size", "started")

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.head = b""
        self.headers: dict[bytes, bytes] = {}
        self.method = self.path = ""
        self.keep_alive = True
        self.handler: Handler | None = None
        self.body: list[bytes] = []
        self.size = 0


def path_of(target: bytes) -> str:
    """The decoded path of `/path?query` or `http://host/path?query`."""
    if not target.startswith(b"/"):
        try:
            target = httptools.parse_url(target).path or b"/"
        except httptools.HttpParserInvalidURLError:
            return target.decode("latin-1")  # `*`, host:port: nothing is there
    path = target.partition(b"?")[0].decode("latin-1")
    return unquote(path) if "%" in path else path


def has_body(headers: Headers) -> bool:
    return headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
