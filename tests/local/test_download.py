"""Models from elsewhere: https from a real server with a certificate of its own, hf:// from a server that speaks the hub's part."""

from __future__ import annotations

import hashlib
import shutil
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec

import pytest

from tests.ports import free_port


class Model(BaseHTTPRequestHandler):
    """Serves self.server.model in good and bad ways."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        model, path = self.server.model, self.path
        self.server.asked.append(f"{self.command} {path}")
        if path == "/model.onnx" or path.startswith("/cdn/"):
            self.answer(200, model)
        elif path == "/short":
            self.answer(200, model[:-1000], length=len(model))
        elif path == "/short-in-chunks":
            self.send_response(200)
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n" % len(model) + model[:-1000])
            self.close_connection = True
        elif path == "/nonsense":
            self.wfile.write(b"this is not HTTP\r\n\r\n")
            self.close_connection = True
        elif path in self.server.moved:
            self.answer(302, b"", location=self.server.moved[path])
        elif path.endswith("/silent.onnx"):
            self.close_connection = True
        elif path.startswith("/owner/repo/resolve/") and path.endswith("/digits.onnx"):
            etag = hashlib.sha256(model).hexdigest()
            self.answer(200, model, etag=f'"{etag}"', x_repo_commit="0123456789abcdef0123456789abcdef01234567")
        else:
            self.answer(404, b"no such file", x_error_code="EntryNotFound")

    do_HEAD = do_GET  # noqa: N815 (http.server names it so)

    def answer(self, status: int, body: bytes, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
        self.close_connection = length is not None

    def log_message(self, *_: object) -> None:
        pass


def server_of(model: bytes, context: ssl.SSLContext | None = None):
    server = ThreadingHTTPServer(("127.0.0.1", free_port()), Model)
    server.daemon_threads = True
    server.model, server.moved, server.asked = model, {}, []
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


@pytest.fixture
def plain(deployment):
    server = server_of((deployment.folder / "model.onnx").read_bytes())
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def secure(deployment, tmp_path, monkeypatch):
    """An https server on loopback, whose certificate is trusted through SSL_CERT_FILE."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl, to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    options = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2", "-nodes"]
    how = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-keyout", key, "-out", certificate, *options]
    subprocess.run(how, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server = server_of((deployment.folder / "model.onnx").read_bytes(), context)
    (deployment.folder / "model.onnx").unlink()  # it comes from elsewhere now
    server.url = f"https://127.0.0.1:{server.server_port}"
    yield server
    server.shutdown()
    server.server_close()


def test_a_model_from_https_runs_and_is_fetched_once(deployment, secure):
    deployment.edit(file=f"{secure.url}/model.onnx")
    deployment.deploy()
    assert deployment.score(4) == "4"
    assert "nothing to do" in deployment.deploy().out
    assert secure.asked == ["GET /model.onnx"]


def test_a_redirect_within_https_is_followed(deployment, secure):
    secure.moved["/latest"] = "/cdn/model.onnx"
    deployment.edit(file=f"{secure.url}/latest")
    deployment.deploy()
    assert deployment.score(4) == "4"


def test_what_comes_from_https_badly_is_refused_and_leaves_nothing(deployment, plain, secure):
    secure.moved["/to-http"] = f"http://127.0.0.1:{plain.server_port}/model.onnx"
    secure.moved["/there-and-back"] = f"http://127.0.0.1:{plain.server_port}/back"
    plain.moved["/back"] = f"{secure.url}/model.onnx"
    for path, code, words in (
        ("/missing", 3, ["cannot be downloaded: HTTP Error 404", "hint:"]),
        ("/short", 1, ["the download was cut short", "run the same command again"]),
        ("/short-in-chunks", 1, ["the download was cut short", "run the same command again"]),
        ("/nonsense", 3, ["cannot be downloaded", "hint:"]),
        ("/to-http", 1, ["redirected away from https", "hint:"]),
        ("/there-and-back", 1, ["redirected away from https", "hint:"]),
    ):
        deployment.edit(file=f"{secure.url}{path}")
        deployment.deploy(code).failed(code, f"{secure.url}{path}", *words)
        assert not deployment.processes()
        assert not list((deployment.state / "store").iterdir())
    assert plain.asked == []
    deployment.edit(file=f"{secure.url}/model.onnx")
    deployment.deploy()


def test_another_file_than_the_one_that_is_meant_is_refused(deployment, secure):
    secure.model += b"\0"
    found = hashlib.sha256(secure.model).hexdigest()
    deployment.edit(file=f"{secure.url}/model.onnx")
    deployment.deploy(1).failed(1, f"the file's digest is sha256 {found}, not ", "hint:  it was changed or cut short")
    deployment.edit(sha256=None)
    deployment.deploy(2).failed(2, "model.file", "a model from a URL needs its sha256")


def test_a_server_that_nobody_vouches_for_is_refused(deployment, secure, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    deployment.edit(file=f"{secure.url}/model.onnx")
    deployment.deploy(3).failed(3, "cannot be downloaded", "certificate verify failed")


needs_the_hub = pytest.mark.skipif(
    find_spec("huggingface_hub") is None, reason="needs the extra: pip install 'customai[hub]'"
)


@pytest.fixture
def hub(plain, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{plain.server_port}")
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    return plain


@needs_the_hub
def test_a_model_from_the_hub(deployment, hub):
    deployment.edit(sha256=None, file="hf://owner/repo/digits.onnx@v1")
    deployment.deploy()
    assert deployment.score(4) == "4"
    assert "GET /owner/repo/resolve/v1/digits.onnx" in hub.asked
    assert len(list((deployment.state / "store").iterdir())) == 1
    deployment.edit(file="hf://owner/repo/missing.onnx@v1")
    deployment.deploy(3).failed(3, "the hub does not give the file", "hf://owner/repo/missing.onnx@v1")
    assert deployment.score(4) == "4"


@needs_the_hub
@pytest.mark.slow  # the hub's own client tries again for 20 seconds
def test_a_hub_that_hangs_up(deployment, hub):
    deployment.edit(sha256=None, file="hf://owner/repo/silent.onnx")
    deployment.deploy(3).failed(3, "the hub does not give the file", "hf://owner/repo/silent.onnx", "hint:")
    assert not list((deployment.state / "store").iterdir())


@needs_the_hub
@pytest.mark.slow  # as above
def test_a_hub_that_cannot_be_reached(deployment, hub):
    hub.shutdown()
    hub.server_close()
    deployment.edit(sha256=None, file="hf://owner/repo/digits.onnx")
    deployment.deploy(3).failed(3, "the hub does not give the file", "hf://owner/repo/digits.onnx", "hint:")
    assert not list((deployment.state / "store").iterdir())
