"""The load that `tune` makes: what was answered, what was refused, and what never came."""

from __future__ import annotations

import contextlib
import socketserver
import threading
import time

import pytest

from customai.load import load, post

ANSWERS = {
    "good": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "refused": b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
}
REQUEST = post("/score", b"12345", {"content-type": "application/json"})


class Server(socketserver.ThreadingTCPServer):
    """Gives each whole request the same answer, in so many pieces; None: never any; nothing: it closes."""

    daemon_threads = True

    def __init__(self, answer, pieces):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer, self.pieces = answer, pieces


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        with contextlib.suppress(OSError):
            while self.rfile.read(len(REQUEST)) == REQUEST:
                if self.server.answer is None:
                    continue
                if not self.server.answer:
                    return
                step = -(-len(self.server.answer) // self.server.pieces)
                for at in range(0, len(self.server.answer), step):
                    self.connection.sendall(self.server.answer[at : at + step])
                    time.sleep(0)


@pytest.fixture
def serve():
    """serve(answer, pieces) gives a port."""
    with contextlib.ExitStack() as stack:

        def start(answer, pieces=1):
            server = stack.enter_context(Server(answer, pieces))
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return server.server_address[1]

        yield start


def loaded(port, connections):
    """The load of as long as it takes that something is answered."""
    for seconds in (0.2, 2.0, 20.0):
        if (found := load(port, REQUEST, connections, seconds)).rate:
            break
    return found


@pytest.mark.parametrize("pieces", [1, 9])
def test_answers_are_counted_however_they_come(serve, pieces):
    found = loaded(serve(ANSWERS["good"], pieces), 3)
    assert found.failed == 0
    assert found.rate > 0
    assert 0 < found.p50 <= found.p99


def test_what_is_refused_is_told_apart(serve):
    found = loaded(serve(ANSWERS["refused"]), 2)
    assert found.failed > 0


def test_connections_that_end_and_servers_that_are_not_there_are_failures(serve):
    found = load(serve(b""), REQUEST, 4, 30.0)  # until the last is gone
    assert (found.rate, found.p50, found.failed) == (0, 0, 4)
    assert load(1, REQUEST, 4, 0.2).failed == 4


def test_a_server_that_says_nothing_costs_no_more_than_the_time_given(serve):
    found = load(serve(None), REQUEST, 2, 0.2)
    assert (found.rate, found.failed) == (0, 0)
