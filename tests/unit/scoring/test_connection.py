"""What a client can cost: slow, silent, endless and vanishing ones, and more of them than can be served."""

import asyncio
import json
import threading

import pytest

from customai.workloads.scoring.http import Connection
from customai.workloads.scoring.server import Server

BODY = b'{"rows": [[1, 2, 3, 4]]}'
HEAD = b"POST /score HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
WHOLE = HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY
GET = b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture
def client(serve, models):
    """A client of a server whose patience is short."""
    quick = {"head_seconds": 0.2, "idle_seconds": 0.2, "linger_seconds": 0.2, "write_seconds": 0.2}
    return serve(models.linear(), server={"body_timeout": 0.2, "max_body": 1000}, server_limits=quick)


def talk(client, *parts, answers=1, then=None):
    """Sends the parts; (answers, whether the server closed the connection after them)."""

    async def run():
        async with client.connection() as (reader, writer):
            for part in parts:
                writer.write(part)
                await asyncio.sleep(0.01)
            got = [await answer_of(reader) for _ in range(answers)]
            return got, await asyncio.wait_for(reader.read(), 20) == b""

    return asyncio.run(run())


async def answer_of(reader):
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)).decode()
    headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
    body = await reader.readexactly(int(headers["content-length"]))
    return int(head.split()[1]), headers, json.loads(body)


@pytest.mark.parametrize(
    ("name", "parts", "status", "message"),
    [
        ("half a head", [b"GET /v2 HT"], 408, "the headers did not arrive within 0.2 seconds"),
        ("a header that never ends", [b"GET /v2 HTTP/1.1\r\n", b"a: ", b"b"], 408, "the headers did not arrive"),
        ("half a body", [HEAD + b"content-length: 100\r\n\r\n{"], 408, "the body did not arrive within 0.2 seconds"),
        ("no body", [HEAD + b"content-length: 100\r\n\r\n"], 408, "the body did not arrive"),
        ("half a chunk", [HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\n{"], 408, "the body did not arrive"),
        ("a large header", [b"GET /v2 HTTP/1.1\r\na: " + b"x" * 40_000], 431, "the request's headers are too large"),
        ("many headers", [b"GET /v2 HTTP/1.1\r\n" + b"a: b\r\n" * 9000], 431, "the request's headers are too large"),
        ("a long path", [b"GET /" + b"x" * 40_000], 431, "the request's headers are too large"),
        ("not HTTP", [b"\x16\x03\x01\x02\x00\x01\r\n\r\n"], 400, "this is not HTTP/1.1"),
        ("two lengths", [HEAD + b"content-length: 3\r\ncontent-length: 4\r\n\r\n"], 400, "this is not HTTP/1.1"),
        ("a length and chunks", [HEAD + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n"], 400, "HTTP/1.1"),
        (
            "chunks without end",
            [HEAD + b"transfer-encoding: chunked\r\n\r\n", b"400\r\n" + b"x" * 1024],
            413,
            "too large",
        ),
        ("a body too long", [HEAD + b"content-length: 1001\r\n\r\n", b"x" * 500], 413, "the body is too large"),
    ],
)
def test_a_client_that_does_not_keep_to_the_rules_is_told_and_let_go(client, name, parts, status, message):
    [(found, headers, answer)], closed = talk(client, *parts)
    assert found == status
    assert headers["connection"] == "close"
    assert message in answer["error"]
    assert closed
    assert client("GET", "/v2/health/live")[0] == 200


@pytest.mark.parametrize("parts", [[], [GET]])
def test_a_silent_connection_is_closed(client, parts):
    _, closed = talk(client, *parts, answers=len(parts))
    assert closed


def test_a_client_that_sends_a_byte_at_a_time_gets_no_longer_than_any_other(client):
    async def run():
        async with client.connection() as (reader, writer):
            writer.write(HEAD + b"content-length: 1000\r\n\r\n")
            sent = 0
            while not reader.at_eof() and not reader._buffer:
                writer.write(b" ")
                sent += 1
                await asyncio.sleep(0.01)
            return sent, (await answer_of(reader))[0]

    sent, status = asyncio.run(run())
    assert status == 408
    assert sent < 1000


@pytest.mark.parametrize("part", [b"", GET[:10], HEAD, HEAD + b"content-length: 100\r\n\r\n{", WHOLE])
def test_a_client_that_goes_away_leaves_nothing(client, part):
    async def run():
        async with client.connection() as (_, writer):  # which looks that nothing is left
            writer.write(part)
            await writer.drain()
            writer.close()
            await asyncio.sleep(0.02)

    asyncio.run(run())


def test_requests_sent_at_once_are_answered_in_their_order(client):
    bodies = [json.dumps({"rows": [[i, 0, 0, 0]] * (i + 1)}).encode() for i in range(5)]
    parts = [HEAD + b"content-length: %d\r\n\r\n" % len(body) + body for body in bodies]
    answers, _ = talk(client, GET + b"".join(parts) + GET, answers=7)
    assert [status for status, _, _ in answers] == [200] * 7
    assert [len(answer["predictions"]) for _, _, answer in answers[1:-1]] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("offer", [
    b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAEAAEAAAAIAAAABAAMAAABk\r\n",  # Java's HttpClient
    b"connection: upgrade\r\nupgrade: websocket\r\n",
], ids=["h2c", "websocket"])  # fmt: skip
@pytest.mark.parametrize("cut", [None, 30, -5])
def test_an_offer_to_speak_another_protocol_is_answered_and_not_taken(client, offer, cut):
    """As RFC 9110 allows: the request counts, with its body, and the connection goes on."""
    offered = WHOLE.replace(b"\r\n\r\n", b"\r\n" + offer + b"\r\n")
    chunked = HEAD + offer + b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
    parts = (offered[:cut], offered[cut:]) if cut else (offered,)
    answers, _ = talk(client, *parts, GET[:-2] + offer + b"\r\n" + chunked, GET, answers=4)
    assert [(status, headers.get("connection")) for status, headers, _ in answers] == [(200, None)] * 4
    assert answers[0][2] == answers[2][2]


def test_an_offer_changes_nothing_of_what_is_refused_and_many_are_as_one(client):
    offer = b"connection: upgrade\r\nupgrade: h2c\r\n"
    [(status, _, _)], closed = talk(client, HEAD + offer + b"content-length: 1001\r\n\r\n", b"x" * 500)
    assert (status, closed) == (413, True)
    answers, _ = talk(client, (GET[:-2] + offer + b"\r\n") * 1500, answers=1500)
    assert {status for status, _, _ in answers} == {200}
    both = HEAD + offer + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n"
    [(status, _, _)], closed = talk(client, both)
    assert (status, closed) == (400, True)
    [(status, _, _)], closed = talk(client, HEAD + offer + b"a: " + b"x" * 40_000)
    assert (status, closed) == (431, True)


def test_a_refusal_waits_for_the_answers_before_it(client):
    answers, closed = talk(client, WHOLE + HEAD + b"content-length: 5000\r\n\r\n", answers=2)
    assert [status for status, _, _ in answers] == [200, 413]
    assert closed


def test_a_refusal_without_a_body_keeps_the_connection(client):
    answers, _ = talk(client, b"GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n" + GET, answers=2)
    assert [status for status, _, _ in answers] == [404, 200]
    assert "connection" not in answers[0][1]


async def until_it_ends(writer):
    while not writer.transport.is_closing():
        await asyncio.sleep(0.05)
        writer.write(b"x")
        await writer.drain()
    raise ConnectionError


def test_a_client_that_does_not_read_is_let_go(serve, models):
    client = serve(models.identity(shape=("n", 2)), server_limits={"write_seconds": 0.2})
    body = json.dumps({"rows": [[1.5, 2.5]] * 10_000}).encode()
    whole = HEAD + b"content-length: %d\r\n\r\n" % len(body) + body

    async def run():
        async with client.connection() as (_, writer):
            writer.transport.pause_reading()
            for _ in range(40):  # answers for far more than the sockets hold
                writer.write(whole)
            with pytest.raises(ConnectionError):
                await until_it_ends(writer)

    asyncio.run(asyncio.wait_for(run(), 60))


def test_one_connection_too_many_is_refused_at_once(serve, models):
    client = serve(models.linear(), server_limits={"connections": 2, "linger_seconds": 0.2})

    async def run():
        server = Server(client.app, client.limits)
        listener = await asyncio.get_running_loop().create_server(lambda: Connection(server.shared), "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        for reader, writer in held:
            writer.write(GET)
            assert (await answer_of(reader))[0] == 200
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        refused = await answer_of(reader)
        writer.close()
        held[0][1].close()
        while len(server.shared.connections) > 1:  # noqa: ASYNC110 - no event to wait for
            await asyncio.sleep(0.01)
        held.append(await asyncio.open_connection("127.0.0.1", port))
        held[-1][1].write(GET)
        again = await answer_of(held[-1][0])
        for _, writer in held:
            writer.close()
        listener.close()
        return refused, again

    (status, headers, answer), again = asyncio.run(run())
    assert (status, headers["retry-after"], answer["error"]) == (503, "1", "too many connections")
    assert again[0] == 200


@pytest.mark.parametrize(
    ("limits", "message"),
    [({"active": 3}, "3 requests are being answered already"), ({"memory": 60}, "fill the memory meant for them")],
)
def test_what_is_too_much_at_once_is_503_at_once_and_passes(serve, models, limits, message):
    """The model holds the first three; the fourth is refused; when they are through, everything is as before."""
    client = serve(models.linear(), server_limits=limits, server={"max_queue": 100})
    go = threading.Event()
    batcher = client.app.versions[0].batcher
    run_as_before = batcher._run

    def held_up(feed):
        go.wait(30)
        return run_as_before(feed)

    async def run():
        from concurrent.futures import ThreadPoolExecutor

        batcher._run, batcher._thread = held_up, ThreadPoolExecutor(1)
        server = Server(client.app, client.limits)
        listener = await asyncio.get_running_loop().create_server(lambda: Connection(server.shared), "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        clients = []
        for active in (1, 2, 3):
            clients.append(await asyncio.open_connection("127.0.0.1", port))
            clients[-1][1].write(WHOLE)
            while server.shared.active < active:  # noqa: ASYNC110 - no event to wait for
                await asyncio.sleep(0.01)
        clients.append(await asyncio.open_connection("127.0.0.1", port))
        clients[-1][1].write(WHOLE)
        refused = await answer_of(clients[-1][0])
        go.set()
        answers = [await answer_of(reader) for reader, _ in clients[:3]]
        clients[0][1].write(WHOLE)
        after = await answer_of(clients[0][0])
        for _, writer in clients:
            writer.close()
        listener.close()
        batcher._thread.shutdown()
        return refused, [status for status, _, _ in answers], after[0]

    (status, headers, answer), before, after = asyncio.run(run())
    assert (status, headers["retry-after"]) == (503, "1")
    assert message in answer["error"]
    assert (before, after) == ([200, 200, 200], 200)
