"""HTTP/1.1 on one connection: requests in, answers out, in their order, and a bound on everything a client can cost.

It is not ASGI, because a scope, two channels and a timer for each request cost more than a small model does. What the
application says is `service.Service`. A connection has one `deadline`, moved as its state changes and looked at by the server once in a while:

    head      a new connection, or a request's first byte, until the end of its headers
    body      until the end of the body
    busy      being answered: no deadline
    writing   the client does not read what it asked for
    idle      kept open for the next request
    discard   refused while the client was still sending: its bytes are thrown away for a moment, because closing a
              socket with unread data resets it, and the client would lose the answer that says what was wrong
"""

import asyncio
import time
from collections import deque
from math import inf
from typing import cast

import httptools

from customai.workloads.scoring.answers import JSON, STATUS, Answer, Headers, RequestError, bad, busy, too_long
from customai.workloads.scoring.request import Request, has_body, is_soon_read, path_of, without_offer
from customai.workloads.scoring.service import Limits, Service

CLIENT_GONE = 499  # nginx's number, for what nobody waits for any more
_OK_JSON = STATUS[200] + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n"


class Shared:
    """What all connections of a server share."""

    def __init__(self, service: Service, limits: Limits) -> None:
        self.service = service
        self.limits = limits
        self.connections: set[Connection] = set()
        self.active = 0  # requests that are being answered
        self.held = 0  # bytes of bodies
        self.draining = False

    def sweep(self, now: float) -> None:
        self.service.rest(self.active, len(self.connections))
        for connection in [connection for connection in self.connections if connection.deadline < now]:
            connection.expire()


class Connection(asyncio.Protocol):
    def __init__(self, shared: Shared) -> None:
        self.deadline = inf
        self._shared = shared
        self._service = shared.service
        self._limits = shared.limits
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._request: Request | None = None  # being read
        self._head = 0  # bytes of it before its headers' end
        self._offer: Request | None = None  # to speak another protocol
        self._waiting: deque[Request | Answer] = deque()  # whole requests, and a refusal, behind the one being answered
        self._answering: Request | None = None
        self._task: asyncio.Task[None] | None = None
        self._refused = False  # nothing more is read
        self._stuck = False  # the client does not read

    @property
    def idle(self) -> bool:
        return self._request is None and self._answering is None and not self._stuck

    @property
    def fileno(self) -> int:
        return -1 if self._transport is None else int(self._transport.get_extra_info("socket").fileno())

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # From the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        shared = self._shared
        shared.connections.add(self)
        self.deadline = self._loop.time() + self._limits.head_seconds
        if len(shared.connections) > self._limits.connections:
            self._refuse(busy("too many connections").answer())

    def connection_lost(self, _error: Exception | None) -> None:
        self._shared.connections.discard(self)
        self.deadline = inf
        if self._request is not None:
            if not self._refused and self._request.path:
                request = self._request
                self._service.told(request.method, request.path, CLIENT_GONE, time.perf_counter() - request.started, 0)
            self._release(self._request)
        for waiting in self._waiting:
            if isinstance(waiting, Request):
                self._release(waiting)
        self._waiting.clear()
        self._request = None
        if self._task is not None:
            self._task.cancel()
        self._transport = None

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._request is None or self._request.handler is None:
            self._head += len(data)
        try:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                self._decline(memoryview(data)[upgrade.args[0] :])
        except httptools.HttpParserCallbackError:
            raise
        except httptools.HttpParserError:
            if not self._refused:
                self._refuse(bad("this is not HTTP/1.1", expected="an HTTP/1.1 request").answer())
            return
        if self._head > self._limits.head and not self._refused:
            expected = f"at most {self._limits.head} bytes"
            self._refuse(RequestError(431, "the request's headers are too large", expected=expected).answer())

    def pause_writing(self) -> None:
        self._stuck = True
        self.deadline = self._loop.time() + self._limits.write_seconds

    def resume_writing(self) -> None:
        self._stuck = False
        if self._answering is None and self._transport is not None and not self._transport.is_closing():
            self._next()

    def expire(self) -> None:
        """The deadline has passed."""
        self.deadline = inf
        request = self._request
        if self._stuck or (self._transport is not None and self._transport.is_closing()):
            self.abort()
        elif self._refused or request is None:
            self.close()
        elif request.handler is None:
            told = f"the headers did not arrive within {self._limits.head_seconds:g} seconds"
            self._refuse(RequestError(408, told).answer())
        else:
            told = f"the body did not arrive within {self._limits.body_seconds:g} seconds"
            self._refuse(RequestError(408, told).answer())

    # From the parser

    def on_message_begin(self) -> None:
        self._request = Request()
        if self._answering is None:
            self.deadline = self._loop.time() + self._limits.head_seconds

    def on_url(self, url: bytes) -> None:
        if self._request is not None:
            self._request.head += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._request is not None and self._request.handler is None:  # after the body: a trailer, of no use here
            self._request.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        request = self._request
        if request is None or self._refused:
            return
        self._head = 0
        headers, parser = request.headers, self._parser
        if parser.should_upgrade() and b"upgrade" in headers:
            self._offer, self._request = request, None
            return
        request.method = parser.get_method().decode("latin-1")
        request.path = path_of(request.head)
        request.keep_alive = parser.should_keep_alive()
        try:
            request.handler = self._service.route(request.method, request.path, headers)
            self._admit(request)
        except RequestError as error:
            self._refuse(error.answer(), request)
            return
        if b"expect" in headers and self._transport is not None and self._answering is None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._answering is None:
            self.deadline = self._loop.time() + self._limits.body_seconds

    def on_body(self, part: bytes) -> None:
        request = self._request
        if request is None or self._refused:
            return
        request.body.append(part)
        request.size += len(part)
        self._shared.held += len(part)
        if request.size > self._limits.body:  # of a length that was not announced
            self._refuse(too_long(self._limits.body).answer(), request)

    def on_message_complete(self) -> None:
        request, self._request = self._request, None
        if request is None or self._refused:
            return
        if self._answering is None and not self._stuck:
            self._answer(request)
        else:  # the next one, sent before the answer to the one before
            self._waiting.append(request)
            if self._transport is not None:
                self._transport.pause_reading()

    def _decline(self, rest: memoryview) -> None:
        """No other protocol is spoken: a request that offers one is answered as any (RFC 9110, 7.8).

        The parser takes what follows for the other protocol, so a new one reads the request again, without the offer.
        """
        while self._offer is not None:
            head, self._offer = without_offer(self._offer, self._parser), None
            self._parser = httptools.HttpRequestParser(self)
            self._parser.feed_data(head)
            try:
                self._parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]
            else:
                return
        for request in (self._answering, *self._waiting):  # CONNECT: nothing that follows is HTTP
            if isinstance(request, Request):
                request.keep_alive = False

    # Answering

    def _admit(self, request: Request) -> None:
        shared, limits, headers = self._shared, self._limits, request.headers
        if shared.active >= limits.active:
            raise busy(f"{shared.active} requests are being answered already")
        if shared.held > limits.memory:
            raise busy("the requests that are being answered fill the memory meant for them")
        length = headers.get(b"content-length")
        if request.method == "POST":
            if length is None:
                if b"transfer-encoding" not in headers:
                    raise RequestError(411, "the request has no body", expected="a body, with Content-Length")
            elif int(length) > limits.body:
                raise too_long(limits.body)

    def _answer(self, request: Request) -> None:
        self._answering = request
        self.deadline = inf
        self._shared.active += 1
        self._task = self._loop.create_task(self._respond(request))

    async def _respond(self, request: Request) -> None:
        assert request.handler is not None  # noqa: S101 - on_headers_complete has set it
        body = request.body[0] if len(request.body) == 1 else b"".join(request.body)
        result: Answer | None = None
        try:
            result = await self._service.attempt(request.method, request.path, request.handler, request.headers, body)
        finally:  # counted before the client can know
            self._shared.active -= 1
            self._release(request)
            self._answering = self._task = None
            status, size = (CLIENT_GONE, 0) if result is None else (result.status, len(result.body))
            self._service.told(request.method, request.path, status, time.perf_counter() - request.started, size)
        self._write(result, keep_alive=request.keep_alive, head=request.method == "HEAD")
        if not self._stuck:
            self._next()

    def _next(self) -> None:
        """After an answer: what waits behind it, or the next request."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._waiting:
            waiting = self._waiting.popleft()
            if isinstance(waiting, Request):
                self._answer(waiting)
            else:
                self._say_no(waiting)
            return
        transport.resume_reading()
        request, limits = self._request, self._limits
        seconds = limits.idle_seconds
        if request is not None:  # begun meanwhile
            seconds = limits.head_seconds if request.handler is None else limits.body_seconds
            if b"expect" in request.headers and request.handler is not None:
                transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.deadline = self._loop.time() + seconds

    def _write(self, result: Answer, *, keep_alive: bool, head: bool = False) -> None:
        transport = self._transport
        if transport is None:
            return
        closing = not keep_alive or self._shared.draining
        if result.status == 200 and not closing and not result.headers and result.kind is JSON and not head:
            transport.write(_OK_JSON % len(result.body) + result.body)
            return
        transport.write(result.head(closing=closing) + (b"" if head else result.body))
        if closing and not self._refused:
            transport.close()
            self.deadline = self._loop.time() + self._limits.write_seconds

    def _refuse(self, refusal: Answer, request: Request | None = None) -> None:
        """Answer before the request is whole; where a large body is on its way, that is the last answer here."""
        if request is not None and (not has_body(request.headers) or is_soon_read(request, refusal.status)):

            async def refused(_headers: Headers, _body: bytes) -> Answer:
                return refusal

            request.handler = refused
            return
        self._refused = True
        if self._answering is not None:
            self._waiting.append(refusal)
        else:
            self._say_no(refusal)

    def _say_no(self, refusal: Answer) -> None:
        request, transport = self._request, self._transport
        head = request is not None and request.method == "HEAD"
        if request is None:
            self._service.told("", "", refusal.status, 0.0, len(refusal.body))
        else:
            self._release(request)
            self._request = None
            took = time.perf_counter() - request.started
            self._service.told(request.method, request.path, refusal.status, took, len(refusal.body))
        self._write(refusal, keep_alive=False, head=head)
        if transport is not None and not transport.is_closing():
            if transport.can_write_eof():
                transport.write_eof()
            transport.resume_reading()
            self.deadline = self._loop.time() + self._limits.linger_seconds

    def _release(self, request: Request) -> None:
        self._shared.held -= request.size
        request.size = 0
        request.body = []
