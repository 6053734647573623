"""Reading a request's body within its limits of size and time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from customai.workloads.scoring.answers import RequestError, bad

Receive = Callable[[], Awaitable[Any]]
Headers = Mapping[bytes, bytes]


class ClientGone(Exception):
    pass


def has_body(headers: Headers) -> bool:
    return headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers


def check_length(headers: Headers, limit: int) -> None:
    """Raises RequestError: 411 when no length is announced, 413 when too long a one is."""
    length = headers.get(b"content-length")
    if length is None:
        if b"transfer-encoding" not in headers:
            raise RequestError(411, "the request has no body", expected="a body, with Content-Length")
    elif not length.isdigit():
        raise bad("Content-Length is not a number")
    elif int(length) > limit:
        raise _too_long(limit)


async def read(receive: Receive, limit: int, seconds: float) -> bytes:
    """The whole body. Raises RequestError (408, 413), or ClientGone."""
    # asyncio.timeout is Python 3.11, and wait_for would put each request into a second task.
    expired = False
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - an ASGI call runs in a task

    def expire() -> None:
        nonlocal expired
        expired = True
        task.cancel()

    timer = asyncio.get_running_loop().call_later(seconds, expire)
    try:
        return await _read(receive, limit)
    except asyncio.CancelledError:
        if not expired:
            raise
        getattr(task, "uncancel", int)()  # Python 3.11: this cancellation was ours
        raise RequestError(408, f"the body did not arrive within {seconds:g} seconds") from None
    finally:
        timer.cancel()


async def _read(receive: Receive, limit: int) -> bytes:
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message.get("body", b"")
        if len(body) > limit:
            raise _too_long(limit)
        return body
    parts, size = [], 0
    while message["type"] == "http.request":
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise _too_long(limit)
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()
    raise ClientGone


async def linger(receive: Receive, seconds: float) -> None:
    """Read and forget what the client still sends, for a moment.

    Closing a socket with unread data resets it, and the client would lose the answer that says what was wrong.
    """

    async def discard() -> None:
        message = await receive()
        while message["type"] == "http.request" and message.get("more_body"):
            message = await receive()

    try:
        await asyncio.wait_for(discard(), seconds)
    except asyncio.TimeoutError:
        return


async def unless_gone(receive: Receive, work: Awaitable[Any]) -> Any:
    """The work's result; when the client goes first, the work is cancelled and ClientGone raised."""
    watch, job = asyncio.ensure_future(receive()), asyncio.ensure_future(work)
    try:
        await asyncio.wait((watch, job), return_when=asyncio.FIRST_COMPLETED)
        if job.done():
            return job.result()
        raise ClientGone
    finally:
        watch.cancel()
        job.cancel()


def _too_long(limit: int) -> RequestError:
    return RequestError(413, "the body is too large", expected=f"at most {limit} bytes")
