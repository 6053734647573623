"""What the application says over HTTP."""

import asyncio
import hashlib
import json
import logging

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from customai.workloads.scoring.access_log import MAX_ENTRIES, AccessLog, Entry, lines

INFER = "/v2/models/tiny/infer"
ROW = {"rows": [[1, 2, 3, 4]]}
JSON = {"content-type": "application/json"}


@pytest.fixture
def client(serve, models):
    return serve(
        models.linear(), server={"max_body": 1000, "body_timeout": 0.05}, server_limits={"linger_seconds": 0.1}
    )


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v2", {"name": "customai", "extensions": ["binary_tensor_data"]}),
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models/tiny", {"name": "tiny", "versions": ["1"], "platform": "onnxruntime_onnx"}),
        ("/v2/models/tiny/versions/1", {"name": "tiny"}),
        ("/v2/models/tiny/ready", {"name": "tiny", "ready": True}),
        ("/v2/models/tiny/versions/1/ready", {"ready": True}),
        ("/", {"name": "customai"}),
    ],
)
def test_get_and_head_answer(client, path, expected):
    status, headers, answer = client("GET", path)
    assert status == 200
    assert expected.items() <= answer.items()
    head_status, head_headers, nothing = client("HEAD", path)
    assert (head_status, head_headers, nothing) == (status, headers, None)


def test_the_index_lists_every_route(client):
    listed = client("GET", "/")[2]["routes"]
    assert "POST /score" in listed
    assert "POST /v2/models/tiny/versions/1/infer" in listed
    assert "GET /metrics" in listed
    assert len(listed) == 13


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "message"),
    [
        ("GET", "/nothing", b"", {}, 404, "there is nothing here"),
        ("GET", "/v2/models/other", b"", {}, 404, "there is no such model"),
        ("POST", "/v2/models/other/infer", b"{}", JSON, 404, "there is no such model"),
        ("GET", "/v2/models/tiny/versions/2", b"", {}, 404, "model 'tiny' has no such version"),
        ("GET", "/score", b"", {}, 405, "/score does not answer GET"),
        ("DELETE", INFER, b"", {}, 405, f"{INFER} does not answer DELETE"),
        ("POST", "/v2", b"{}", JSON, 405, "/v2 does not answer POST"),
        ("OPTIONS", "/", b"", {}, 405, "/ does not answer OPTIONS"),
        ("POST", "/score", b"x" * 1001, JSON, 413, "the body is too large"),
        ("POST", "/score", b"", {**JSON, "content-length": "9" * 15}, 413, "the body is too large"),
        ("POST", "/score", b"", {**JSON, "content-length": "9" * 30}, 400, "this is not HTTP/1.1"),
        ("POST", "/score", b"", {**JSON, "content-length": "-1"}, 400, "this is not HTTP/1.1"),
        ("POST", INFER, b"{}", {**JSON, "content-encoding": "gzip"}, 415, "the body is compressed"),
        ("POST", "/score", b"{}", {}, 415, "the content type is missing"),
        ("POST", "/score", b"{}", {"content-type": "text/plain"}, 415, "the content type is text/plain"),
        ("POST", INFER, b"{}", {"content-type": "application/x-www-form-urlencoded"}, 415, "x-www-form-urlencoded"),
        ("POST", INFER, b"{}", {"content-type": "application/octet-stream"}, 415, "octet-stream"),
    ],
)
def test_a_refusal_says_why(client, method, path, body, headers, status, message):
    found, _, answer = client(method, path, body, headers)
    assert found == status
    assert message in answer["error"]
    assert set(answer) == {"error", "field", "expected"}


def test_405_says_what_is_allowed(client):
    assert client("DELETE", "/v2")[1][b"allow"] == b"GET, HEAD"
    assert client("GET", "/score")[1][b"allow"] == b"POST"


def test_415_tells_curl_users_what_to_add(client):
    assert "-H 'Content-Type: image/png'" in client("POST", "/score", b"x", {"content-type": "a/b"})[2]["expected"]


def test_404_says_which_model_there_is(client):
    assert client("GET", "/v2/models/other")[2]["expected"] == "model tiny"
    assert client("GET", "/v2/models/tiny/versions/9")[2]["expected"] == "version 1"


def test_a_body_of_unknown_length_is_411(client):
    assert client("POST", "/score", headers=JSON, length=False)[0] == 411


def test_a_chunked_body_is_read_and_bounded(client):
    chunked = {**JSON, "transfer-encoding": "chunked"}
    body = json.dumps(ROW).encode()
    assert client("POST", "/score", headers=chunked, chunks=[body[:5], body[5:]], length=False)[0] == 200
    status, headers, _ = client("POST", "/score", headers=chunked, chunks=[b" " * 400] * 4, length=False)
    assert (status, headers[b"connection"]) == (413, b"close")


@pytest.mark.parametrize("chunks", [[b""], [b"{", b"}"]])
def test_a_body_that_does_not_come_is_408(client, chunks):
    status, headers, answer = client("POST", "/score", b"{}", JSON, chunks=chunks, hang=True)
    assert (status, headers[b"connection"]) == (408, b"close")
    assert answer["error"] == "the body did not arrive within 0.05 seconds"


def test_a_key_is_needed_everywhere_but_for_health(serve, models):
    client = serve(models.linear(), server={"key_sha256": hashlib.sha256(b"secret").hexdigest()})
    assert client("GET", "/v2/health/live")[0] == 200
    assert client("GET", "/v2/health/ready")[0] == 200
    for path in ("/", "/v2", "/v2/models/tiny", "/nothing"):
        status, headers, answer = client("GET", path)
        assert (status, headers[b"www-authenticate"], answer["error"]) == (401, b"Bearer", "an API key is needed")
    assert client.post("/score", ROW)[0] == 401
    for wrong in ("Bearer wrong", "Bearer", "secret", "Basic secret", "Bearer sécret"):
        assert client("GET", "/", headers={"authorization": wrong})[0] == 401
    assert client("GET", "/", headers={"authorization": "bearer secret"})[0] == 200
    assert client.post("/score", ROW, authorization="Bearer secret")[0] == 200


def test_while_draining_connections_close_and_readiness_is_503(client):
    client.app.draining = client.draining = True
    status, headers, answer = client("GET", "/v2/health/ready")
    assert (status, headers[b"connection"], answer) == (503, b"close", {"ready": False})
    status, headers, _ = client.post("/score", ROW)
    assert (status, headers[b"connection"]) == (200, b"close")
    assert client("GET", "/nothing")[1][b"connection"] == b"close"


def test_the_unexpected_is_one_500_and_a_traceback_in_the_log(client, monkeypatch, caplog):
    def broken(*_):
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr("customai.workloads.scoring.score.parse", broken)
    with caplog.at_level(logging.ERROR):
        status, _, answer = client.post("/score", ROW)
    assert status == 500
    assert "secret" not in json.dumps(answer)
    assert "ZeroDivisionError: secret detail" in caplog.text
    monkeypatch.undo()
    assert client.post("/score", ROW)[0] == 200


def test_the_log_is_written_at_the_end(client):
    client("GET", "/v2")
    client.app.close()
    entry = json.loads(b"".join(client.log))
    assert (entry["method"], entry["path"], entry["status"]) == ("GET", "/v2", 200)
    assert set(entry) == {"time", "method", "path", "status", "ms", "bytes"}


def test_a_log_line_is_json_and_its_path_is_cut():
    text = lines([Entry(0.0, "GET", '/"\n' + "x" * 999, 200, 1.23456, 10)], dropped=3).splitlines()
    first, second = map(json.loads, text)
    assert first["time"] == "1970-01-01T00:00:00.000Z"
    assert (len(first["path"]), first["ms"]) == (256, 1.235)
    assert second == {"dropped": 3}


def test_a_log_nobody_reads_is_dropped_not_kept():
    async def run():
        gate, written = asyncio.Event(), []
        loop = asyncio.get_running_loop()

        def stuck(data):
            asyncio.run_coroutine_threadsafe(gate.wait(), loop).result(5)
            written.append(data)

        log = AccessLog(stuck)
        for _ in range(MAX_ENTRIES + 2000):
            log.add(Entry(0.0, "GET", "/", 200, 1.0, 1))
        kept = len(log._entries)
        gate.set()
        await asyncio.sleep(0.1)
        await asyncio.to_thread(log.close)
        return kept, json.loads(written[-1].splitlines()[-1])

    kept, last = asyncio.run(run())
    assert kept == MAX_ENTRIES
    assert last["dropped"] > 0


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
KEYS = st.sampled_from(["inputs", "outputs", "id", "parameters", "rows", "images", "name", "shape", "datatype", "data"])
NEARLY = st.fixed_dictionaries(
    {},
    optional={
        "rows": JSON_VALUES,
        "images": JSON_VALUES,
        "id": JSON_VALUES,
        "outputs": JSON_VALUES,
        "inputs": st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "name": st.just("x") | JSON_VALUES,
                    "shape": st.lists(st.integers(-1, 5), max_size=4) | JSON_VALUES,
                    "datatype": st.sampled_from(["FP32", "FP16", "INT8", "BYTES"]) | JSON_VALUES,
                    "data": st.lists(st.floats() | st.integers(), max_size=8) | JSON_VALUES,
                },
            ),
            max_size=2,
        )
        | JSON_VALUES,
    },
)
FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(st.sampled_from(["/score", INFER]), NEARLY | JSON_VALUES | st.dictionaries(KEYS, JSON_VALUES, max_size=4))
def test_no_json_is_a_server_error(client, path, document):
    assert client.post(path, document)[0] < 500


@FUZZ
@given(
    st.sampled_from(["/score", INFER]), st.binary(max_size=200), st.sampled_from(["image/png", "application/json", "x"])
)
def test_no_bytes_are_a_server_error(client, path, body, kind):
    assert 400 <= client("POST", path, body, {"content-type": kind})[0] < 500


@FUZZ
@given(st.binary(max_size=60), st.integers(0, 80))
def test_no_image_is_a_server_error(images_client, noise, at):
    image, client = images_client
    body = image[:at] + noise + image[at + len(noise) :]
    assert client("POST", "/score", body, {"content-type": "image/png"})[0] < 500


@pytest.fixture
def images_client(serve, models):
    return models.png(7), serve(models.brightness(), preprocessing=models.GRAY, scores="logits")


@FUZZ
@given(
    st.text(),
    st.text(max_size=8),
    st.dictionaries(st.sampled_from(["content-length", "content-type"]), st.text(alphabet="0a/-é")),
)
def test_no_path_method_or_header_is_a_server_error(client, path, method, headers):
    assert client(method, path, b"", headers)[0] < 500
