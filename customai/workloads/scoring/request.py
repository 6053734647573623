"""A request as it is read."""

import time
from urllib.parse import unquote

import httptools

from customai.workloads.scoring.answers import Headers
from customai.workloads.scoring.service import Handler

SMALL = 64 * 1024  # bytes of a body that is read although it was refused


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


def without_offer(request: Request, parser: httptools.HttpRequestParser) -> bytes:
    """The head as it came, but for the offer to speak another protocol."""
    headers = [b"%b: %b" % each for each in request.headers.items() if each[0] != b"upgrade"]
    first = b"%b %b HTTP/%b" % (parser.get_method(), request.head, parser.get_http_version().encode())
    return b"\r\n".join([first, *headers, b"", b""])


def is_soon_read(request: Request, refused: int) -> bool:
    """A body this small costs less than a new connection, which a client that is told to come again would need."""
    length = request.headers.get(b"content-length", b"")
    return refused != 413 and length.isdigit() and int(length) <= SMALL and b"expect" not in request.headers
