"""What goes back: an answer, or the error that stands in for it."""

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

import orjson

Header = tuple[bytes, bytes]
Headers = Mapping[bytes, bytes]  # of a request, their names in small letters
JSON = b"application/json"
STATUS = {int(status): f"HTTP/1.1 {int(status)} {status.phrase}\r\n".encode() for status in HTTPStatus}


class Answer(NamedTuple):
    """A response: status, body, headers beside content-type and content-length, and its content type."""

    status: int
    body: bytes
    headers: tuple[Header, ...] = ()
    kind: bytes = JSON

    def head(self, *, closing: bool) -> bytes:
        """All that travels before the body."""
        lines = [STATUS[self.status], b"content-type: ", self.kind, b"\r\ncontent-length: %d\r\n" % len(self.body)]
        for name, value in self.headers:
            lines += [name, b": ", value, b"\r\n"]
        if closing:
            lines.append(b"connection: close\r\n")
        return b"".join([*lines, b"\r\n"])


def answer(document: Any, status: int = 200) -> Answer:
    """The document as JSON; numpy arrays become nested arrays, NaN and infinity become null."""
    return Answer(status, orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY))


class RequestError(Exception):
    """The client can do something about this. field is a path into the body: `inputs[0].data[17]`."""

    def __init__(
        self,
        status: int,
        error: str,
        *,
        field: str | None = None,
        expected: str | None = None,
        headers: tuple[Header, ...] = (),
    ) -> None:
        super().__init__(error)
        self.status, self.error, self.field, self.expected, self.headers = status, error, field, expected, headers

    def answer(self) -> Answer:
        body = orjson.dumps({"error": self.error, "field": self.field, "expected": self.expected})
        return Answer(self.status, body, self.headers)


def bad(error: str, *, field: str | None = None, expected: str | None = None) -> RequestError:
    """400: well-formed HTTP whose content is wrong. Every complaint about content has this status."""
    return RequestError(400, error, field=field, expected=expected)


def busy(error: str, seconds: float = 1.0) -> RequestError:
    """503: too much at once. seconds: until it is likely to go."""
    wait = max(1, math.ceil(seconds))
    expected = "try again in a second" if wait == 1 else f"try again in {wait} seconds"
    return RequestError(503, error, expected=expected, headers=((b"retry-after", b"%d" % wait),))


def too_long(limit: int) -> RequestError:
    return RequestError(413, "the body is too large", expected=f"at most {limit} bytes")
