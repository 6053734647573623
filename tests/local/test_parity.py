"""`score --compare`: the same inputs to two endpoints, and whether they say the same."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@pytest.fixture
def other():
    """other(answer) -> URL of another endpoint, whose answer to a body is answer(path, headers, document) -> (status, document)."""
    servers = []

    def start(answer):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.reply(*answer(self.path, self.headers, None))

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                self.reply(*answer(self.path, self.headers, json.loads(body)))

            def reply(self, status, document):
                data = document if isinstance(document, bytes) else json.dumps(document).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def said(label, probability, other_label):
    shares = [{"label": label, "probability": probability}, {"label": other_label, "probability": 1 - probability}]
    return {"predictions": [{"label": label, "probability": probability, "top": shares}]}


def test_two_versions_differ_and_one_is_like_itself(churn, cli):
    churn.deploy()
    rows, url = churn.folder / "samples" / "customers.csv", f"http://127.0.0.1:{churn.port}"
    same = cli("score", churn.spec, rows, "--compare", f"{url}/score", "-o", "json").json
    assert same["same"]
    assert (same["inputs"], same["compared"], same["largest_difference"]) == (50, 50, 0)
    mine, theirs = same["endpoints"]
    assert mine["versions"] == theirs["versions"]  # the same request goes to the same version on both sides
    assert sum(mine["versions"].values()) == 50
    assert 0 < mine["median_ms"] <= mine["p95_ms"]
    found = cli("score", churn.spec, rows, "--compare", url, "--model-version", "2", "-o", "json", code=1).json
    assert found["endpoints"][0]["versions"] == {"2": 50}
    assert 0.01 < found["largest_difference"] < 1
    assert re.fullmatch(r"customers.csv row \d+", found["at"])
    assert cli("score", churn.spec, rows, "--compare", url, "--model-version", "2", "--tolerance", "1").code == 0
    text = cli("score", churn.spec, rows, "--compare", url, "--model-version", "2", code=1).out
    assert "50 of 50 inputs" in text
    assert "The two endpoints do not say the same." in text


def test_images_are_compared_too(deployment, cli):
    deployment.deploy()
    images = [deployment.folder / "samples" / f"{digit}.png" for digit in range(10)]
    text = cli("score", deployment.spec, *images, "--compare", f"http://127.0.0.1:{deployment.port}/").out
    assert "10 of 10 inputs" in text
    assert "The two endpoints say the same." in text


def test_another_server_is_asked_with_its_own_key(churn, cli, other):
    churn.deploy()
    seen = []

    def answer(path, headers, document):
        seen.append((path, headers["authorization"], headers["x-model-version"]))
        return (404, {}) if document is None else (200, said("leaves", 0.5, "stays"))

    row, url = churn.folder / "samples" / "leaves.json", other(answer)
    more = ["--compare", f"{url}/score", "--key-env", "OTHER_KEY", "--model-version", "1", "-o", "json"]
    found = cli("score", churn.spec, row, *more, code=1, OTHER_KEY="a-key-of-the-other-one").json
    assert found["largest_difference"] == pytest.approx(0.367, abs=0.001)
    assert found["endpoints"][1]["versions"] == {"unknown": 1}
    assert set(seen) == {(path, "Bearer a-key-of-the-other-one", None) for path in ("/", "/score")}
    assert "a-key" not in json.dumps(found)


ANSWERS = [
    ((200, {"predictions": []}), "not a prediction for each input"),
    ((200, [1]), "not a prediction for each input"),
    ((200, b"<html>"), "not a prediction for each input"),
    ((200, {"predictions": [{}]}), None),
    ((200, {"predictions": [{"value": 3}]}), None),
    ((400, {"error": "no such column"}), "no such column"),
    ((500, b"oops"), "500"),
]


def test_an_answer_that_cannot_be_compared_is_told(churn, cli, other):
    churn.deploy()
    row, now = churn.folder / "samples" / "leaves.json", []
    url = other(lambda _path, _headers, _document: now[0])
    for answer, message in ANSWERS:
        now[:] = [answer]
        found = cli("score", churn.spec, row, "--compare", url, "-o", "json", code=1).json
        assert not found["same"]
        assert found["largest_difference"] is None
        if message is not None:
            assert message in found["errors"][0]["errors"][1]
            assert found["errors"][0]["errors"][0] is None
    text = cli("score", churn.spec, row, "--compare", url, code=1).out
    assert "answered | the endpoint refused" in text


def test_what_cannot_be_asked_is_an_error_with_its_place(churn, cli, other):
    churn.deploy()
    row = churn.folder / "samples" / "leaves.json"
    locked = other(lambda _path, _headers, _document: (401, {}))
    for arguments, code, words in (
        (["--compare", "http://127.0.0.1:1"], 3, "cannot be reached"),
        (["--compare", locked], 3, "refused the API key"),
        (["--compare", "127.0.0.1:8022"], 2, "is not the address of an endpoint"),
        (["--compare", locked, "--key-env", "NOT_SET"], 3, "NOT_SET is not set"),
        (["--key-env", "X"], 2, "--key-env belongs to --compare"),
        (["--compare", locked, "--tolerance", "-1"], 2, "--tolerance"),
    ):
        cli("score", churn.spec, row, *arguments, code=None).failed(code, words)
    unread = cli("score", churn.spec, row, "no.json", "--compare", f"http://127.0.0.1:{churn.port}", code=1)
    assert "no.json: it cannot be read" in unread.out
