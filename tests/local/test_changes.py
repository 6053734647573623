"""A changed spec or model: only what differs is done, and no request is refused or fails meanwhile."""

from __future__ import annotations

import hashlib
import http.client
import json
import select
import socket
import threading
import time
from collections import Counter
from contextlib import suppress

import httpx
import onnx
import pytest

NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
REFUSED = (ConnectionRefusedError, httpx.ConnectError)


class Load:
    """Clients with keep-alive connections. Each opens a new one only if the server has said so, or closed an idle one."""

    def __init__(self, deployment, pauses=(0.0, 0.0, 0.01, 0.05, 0.3, 0.7), ports=()) -> None:
        self.images = [(deployment.folder / "samples" / f"{digit}.png").read_bytes() for digit in range(10)]
        self.ports = ports or [deployment.port]  # a client that must reconnect tries the newest first
        self.answers: Counter[str] = Counter()  # by model version
        self.mistakes: list[str] = []
        self.stop = threading.Event()
        kinds = (self.raw, self.stdlib, self.httpx)
        self.threads = [
            threading.Thread(target=self.run, args=(kinds[number % 3], pause)) for number, pause in enumerate(pauses)
        ]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def run(self, client, pause: float) -> None:
        send, close = None, None
        digit = 0
        try:
            while not self.stop.is_set():
                digit = (digit + 1) % 10
                if send is None:
                    send, close = self.connect(client)
                answered, closing = send(self.images[digit])
                found = json.loads(answered)
                if found["predictions"][0]["label"] not in (str(digit), NAMES[digit]):
                    self.mistakes.append(f"{digit}: {found}")
                self.answers[found["model"]["version"]] += 1
                if closing:
                    close()
                    send = None
                time.sleep(pause)
        except Exception as error:  # noqa: BLE001 (each is a finding)
            self.mistakes.append(f"{client.__name__} with pauses of {pause} s: {error!r}")
        finally:
            if close is not None:
                close()

    def connect(self, client):
        for port in reversed(self.ports[1:]):
            with suppress(*REFUSED):
                return client(port)
        return client(self.ports[0])

    def stdlib(self, port: int):
        """http.client."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.connect()

        def send(image: bytes) -> tuple[bytes, bool]:
            if connection.sock is not None and _closed(connection.sock):
                connection.close()
                connection.connect()
            connection.request("POST", "/score", image, {"content-type": "image/png"})
            response = connection.getresponse()
            body = response.read()
            assert response.status == 200, body
            return body, response.getheader("connection") == "close"

        return send, connection.close

    def httpx(self, port: int):
        """httpx does the same by itself: it opens a new connection for a closed one, and never sends again."""
        connection = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False)
        connection.get("/v2/health/live")

        def send(image: bytes) -> tuple[bytes, bool]:
            response = connection.post("/score", content=image, headers={"content-type": "image/png"})
            assert response.status_code == 200, response.text
            return response.content, response.headers.get("connection") == "close"

        return send, connection.close

    def raw(self, port: int):
        """A socket: the request goes out in two pieces, the second a little later."""
        connection = socket.create_connection(("127.0.0.1", port), timeout=10)

        def send(image: bytes) -> tuple[bytes, bool]:
            nonlocal connection
            if _closed(connection):
                connection.close()
                connection = socket.create_connection(("127.0.0.1", port), timeout=10)
            head = f"POST /score HTTP/1.1\r\nhost: x\r\ncontent-type: image/png\r\ncontent-length: {len(image)}\r\n\r\n"
            connection.sendall(head.encode() + image[:50])
            time.sleep(0.005)
            connection.sendall(image[50:])
            received = b""
            while b"\r\n\r\n" not in received:
                received += _more(connection)
            head, _, body = received.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), received
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
            while len(body) < int(fields[b"content-length"]):
                body += _more(connection)
            return body, fields.get(b"connection") == b"close"

        return send, lambda: connection.close()  # noqa: PLW0108 (it may be another one by then)


def _closed(connection: socket.socket) -> bool:
    return bool(select.select([connection], [], [], 0)[0])


def _more(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    assert data, "the connection ended within an answer"
    return data


@pytest.fixture
def load(deployment):
    """Starts when the deployment is up; in the end every request must have been answered, and rightly."""

    def start(**settings) -> Load:
        return Load(deployment, **settings)

    return start


def retouch(deployment, version: str) -> None:
    """Another model file that answers the same."""
    model = onnx.load(deployment.folder / "model.onnx")
    model.metadata_props.add(key="version", value=version)
    onnx.save(model, deployment.folder / "model.onnx")
    sha256 = hashlib.sha256((deployment.folder / "model.onnx").read_bytes()).hexdigest()
    if "version:" in deployment.spec.read_text():
        deployment.edit(version=None)
    deployment.edit(sha256=f'{sha256}\n  version: "{version}"')


def test_more_and_fewer_replicas_keep_those_that_are_there(deployment, load):
    deployment.edit(replicas=2)
    deployment.edit_endpoint("threads: 1")  # else the replicas share out the cores anew
    deployment.deploy()
    two, supervisor = set(deployment.replicas()), deployment.supervisor
    with load() as clients:
        deployment.edit(replicas=3)
        assert deployment.redeploy() == {"model": "kept", "endpoint": "changed", "smoke-test": "changed"}
        three = set(deployment.replicas())
        assert len(three) == 3
        assert two < three
        deployment.edit(replicas=1)
        assert deployment.redeploy() == {"model": "kept", "endpoint": "changed", "smoke-test": "changed"}
        time.sleep(0.8)
        (one,) = deployment.replicas()
    assert one in two
    assert deployment.supervisor == supervisor
    assert clients.mistakes == []
    assert clients.answers.total() > 200


def test_another_model_and_other_labels_take_over_without_a_failed_request(deployment, load, wait_for):
    deployment.edit(replicas=2)
    deployment.deploy()
    supervisor = deployment.supervisor
    with load() as clients:
        retouch(deployment, "2")
        assert deployment.redeploy() == {"model": "changed", "endpoint": "changed", "smoke-test": "changed"}
        assert deployment.status()["model"]["version"] == "2"
        (deployment.folder / "labels.txt").write_text("\n".join(NAMES))
        deployment.edit(label="three")
        assert deployment.redeploy() == {"model": "changed", "endpoint": "changed", "smoke-test": "changed"}
        assert deployment.score(7) == "seven"
        time.sleep(0.8)  # the slow clients' turn
    assert clients.mistakes == []
    assert clients.answers["1"] > 0
    assert clients.answers["2"] > 200
    assert deployment.supervisor == supervisor
    wait_for(lambda: len(deployment.processes("scoring.replica")) == 2)


def test_one_replica_is_enough_for_a_change_without_a_gap(deployment, load):
    deployment.deploy()
    with load() as clients:
        for version in "23":
            retouch(deployment, version)
            deployment.redeploy()
    assert clients.mistakes == []
    assert clients.answers["3"] > 0


def test_limits_of_the_endpoint_are_a_change_of_the_endpoint_alone(deployment):
    deployment.deploy()
    before = deployment.replicas()
    deployment.edit_endpoint("max_body: 4096")
    assert deployment.redeploy() == {"model": "kept", "endpoint": "changed", "smoke-test": "changed"}
    assert set(deployment.replicas()).isdisjoint(before)


def test_another_port_is_up_before_the_old_one_goes(deployment, load, free_port):
    deployment.edit(replicas=2)
    deployment.deploy()
    old, deployment.port = deployment.port, free_port()
    with load(pauses=(0.0, 0.0, 0.01, 0.02, 0.05, 0.1), ports=[old, deployment.port]) as clients:
        deployment.edit(port=deployment.port)
        changed = deployment.redeploy()
        time.sleep(0.3)
    assert changed == {"model": "kept", "endpoint": "changed", "smoke-test": "changed"}
    assert clients.mistakes == []
    assert clients.answers.total() > 200
    assert deployment.status()["endpoint"]["url"].endswith(f":{deployment.port}")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", old)).close()
    assert len(deployment.processes("scoring.supervisor")) == 1
