"""The application behind a real socket."""

import contextlib
import hashlib
import hmac
import http.client
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from customai.workloads.scoring.config import ModelConfig, dump
from customai.workloads.scoring.model import Model, load
from customai.workloads.scoring.signature import Signature, Tensor
from tests.local.scoring_server import serving as running_server

INFER = "/v2/models/linear/infer"
JSON = {"Content-Type": "application/json"}


def request_body(row, name="1"):
    item = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": row}
    return json.dumps({"id": name, "inputs": [item]}).encode()


@pytest.fixture
def linear(tmp_path):
    """y = x W, 4 numbers to 3."""
    weights = np.arange(12, dtype=np.float32).reshape(4, 3)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(weights, "w")],
    )
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    (tmp_path / "model.onnx").write_bytes(data)
    config = ModelConfig("linear", "1", hashlib.sha256(data).hexdigest(), ("a", "b", "c"), "logits")
    (tmp_path / "model.json").write_text(dump(config))
    return load(tmp_path)


@contextlib.contextmanager
def serving(model, **settings):
    """(app, port) while the server runs; the access log is app.lines afterwards, the server app.server."""
    with running_server(model, **settings) as running:
        running.app.lines, running.app.server = running.lines, running.server
        yield running.app, running.port


def call(port, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def raw(port, *parts, pause=0.0):
    """Send the parts, then read until the server closes."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_requests_are_answered_on_one_connection_and_logged(linear):
    with serving(linear) as (app, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        for method, path, body in [
            ("POST", INFER, request_body([1, 2, 3, 4])),
            ("GET", "/v2?x=1", None),
            ("HEAD", "/", None),
        ]:
            connection.request(method, path, body, JSON)
            answer = connection.getresponse()
            content = answer.read()
            assert answer.status == 200
            assert answer.getheader("connection") is None
            if path == INFER:
                assert json.loads(content)["outputs"][0]["data"] == [60, 70, 80]
        connection.close()
    entries = [json.loads(line) for line in b"".join(app.lines).splitlines()]
    assert [(entry["method"], entry["path"], entry["status"]) for entry in entries] == [
        ("POST", INFER, 200),
        ("GET", "/v2", 200),
        ("HEAD", "/", 200),
    ]


def test_concurrent_requests_share_runs_and_get_their_own_answers(linear):
    pauses = []

    def run(feed):
        if pauses:
            time.sleep(pauses.pop())  # on the event loop: what is sent meanwhile waits in its socket
        return linear.run(feed)

    with serving(Model(linear.config, linear.signature, run)) as (app, port):
        assert app.versions[0].pace.inline
        connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=10) for _ in range(100)]
        for connection in connections:  # uvloop accepts one connection per turn: let them all be there first
            connection.request("GET", "/v2/health/live")
            connection.getresponse().read()
        before = app.versions[0].batcher.runs
        pauses.append(0.3)
        for i, connection in enumerate(connections):
            connection.request("POST", INFER, request_body([i, 0, 0, 0], str(i)), JSON)
        for i, connection in enumerate(connections):
            answer = json.loads(connection.getresponse().read())
            connection.close()
            assert answer["id"] == str(i)
            assert answer["outputs"][0]["data"] == [0, i, 2 * i]
        assert app.versions[0].batcher.runs - before < 20


def test_a_slow_model_takes_what_arrived_meanwhile_together(linear):
    def slow(feed):
        time.sleep(0.5)
        return linear.run(feed)

    with serving(Model(linear.config, linear.signature, slow), max_batch=32) as (app, port):
        assert not app.versions[0].pace.inline
        with ThreadPoolExecutor(16) as pool:
            jobs = [pool.submit(call, port, "POST", INFER, request_body([i, 0, 0, 0]), JSON) for i in range(16)]
            time.sleep(0.02)
            assert call(port, "GET", "/v2/health/live")[0] == 200  # the loop is free
            assert not all(job.done() for job in jobs)
            answers = [json.loads(job.result()[2])["outputs"][0]["data"] for job in jobs]
        assert answers == [[0, i, 2 * i] for i in range(16)]
        assert app.versions[0].batcher.runs < 10


def test_a_client_that_goes_away_is_not_scored():
    seen, tensor = [], Tensor("x", "FP32", (-1, 1))

    def slow(feed):
        time.sleep(0.2)
        seen.extend(feed["x"].ravel().tolist())
        return [feed["x"]]

    model = Model(ModelConfig("linear", "1", "0" * 64), Signature((tensor,), (tensor,)), slow)
    with serving(model, max_batch=1) as (_, port):
        seen.clear()

        def start(value):
            body = json.dumps({"rows": [[value]]}).encode()
            connection = socket.create_connection(("127.0.0.1", port), 10)
            head = "POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            time.sleep(0.03)
            return connection

        first, second, third = start(1), start(2), start(3)
        second.close()
        third.recv(65536)
        first.close()
        third.close()
    assert seen == [1, 3]


def test_a_client_that_sends_too_much_still_reads_why(linear):
    with serving(linear, max_body=1000) as (_, port):
        status, headers, body = call(port, "POST", "/score", b"x" * 3_000_000, JSON)
        assert (status, headers["connection"]) == (413, "close")
        assert json.loads(body)["expected"] == "at most 1000 bytes"
        chunked = call(port, "POST", "/score", iter([b"x" * 600] * 200), JSON)
        assert chunked[0] == 413


def test_a_client_that_asks_first_is_refused_before_it_sends(linear):
    head = (
        b"POST /score HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: "
    )
    with serving(linear, max_body=1000) as (_, port):
        assert raw(port, head + b"5000\r\n\r\n").startswith(b"HTTP/1.1 413")
        body = b'{"rows": [[1, 2, 3, 4]]}'
        answer = raw(
            port,
            head.replace(b"Host: x", b"Host: x\r\nConnection: close") + b"%d\r\n\r\n" % len(body),
            body,
            pause=0.05,
        )
        assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200")


def test_a_body_that_does_not_come_is_408_and_the_connection_ends(linear):
    with serving(linear, body_timeout=0.1) as (_, port):
        answer = raw(port, b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"the body did not arrive within 0.1 seconds" in answer


def test_draining_ends_connections(linear):
    with serving(linear) as (app, port):
        app.draining = app.server.shared.draining = True
        status, headers, _ = call(port, "GET", "/v2/health/ready")
        assert (status, headers["connection"]) == (503, "close")
        assert call(port, "POST", INFER, request_body([1, 2, 3, 4]), JSON)[0] == 200


def test_curls_default_content_type_is_explained(linear):
    with serving(linear) as (_, port):
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        status, _, body = call(port, "POST", "/score", b"\x89PNG", headers)
        assert status == 415
        assert "-H 'Content-Type: image/png'" in json.loads(body)["expected"]


@pytest.mark.parametrize("junk", [b"hello\r\n\r\n", b"\x00" * 100, b"GET / HTTP/9\r\n\r\n", b"\x16\x03\x01\x02\x00"])
def test_what_is_not_http_does_not_end_the_server(linear, junk):
    with serving(linear) as (_, port):
        with socket.create_connection(("127.0.0.1", port), 10) as connection:
            connection.sendall(junk)
        assert call(port, "GET", "/v2/health/live")[0] == 200


@pytest.mark.parametrize("settings", [{}, {"key_sha256": hashlib.sha256(b"k" * 16).hexdigest()}], ids=["open", "key"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("OPTIONS", "/score"), ("OPTIONS", INFER), ("OPTIONS", "/"), ("POST", INFER), ("GET", "/"), ("GET", "/metrics")],
)
def test_no_page_of_another_origin_may_read_an_answer(linear, settings, method, path):
    """CORS is off: neither a preflight nor a request from another origin is told that it may."""
    asked = {"Origin": "https://elsewhere.example", **JSON}
    if method == "OPTIONS":
        asked |= {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    elif settings:
        asked["Authorization"] = "Bearer " + "k" * 16
    with serving(linear, **settings) as (_, port):
        body = request_body([1, 2, 3, 4]) if method == "POST" else None
        status, headers, _ = call(port, method, path, body, asked)
    assert status == (200 if method != "OPTIONS" else 401 if settings else 405)
    assert [name for name in headers if name.lower().startswith("access-control-")] == []


def test_a_key_is_compared_by_its_digest_in_constant_time(linear, monkeypatch):
    compared = []

    def compare(found, expected, compare_digest=hmac.compare_digest):
        compared.append((found, expected))
        return compare_digest(found, expected)

    monkeypatch.setattr("customai.workloads.scoring.app.hmac.compare_digest", compare)
    right = "the-key-that-is-right"
    digest = hashlib.sha256(right.encode())
    with serving(linear, key_sha256=digest.hexdigest()) as (_, port):
        for key, expected in ((right, 200), (right[:-1], 401), ("x", 401), (right + "x", 401), ("", 401)):
            bearer = {"Authorization": f"Bearer {key}"} if key else {}
            assert call(port, "POST", INFER, request_body([1, 2, 3, 4]), JSON | bearer)[0] == expected
            found, known = compared.pop()
            assert compared == []
            assert (found, known) == (hashlib.sha256(key.encode()).digest(), digest.digest())
