"""Model folders with tiny ONNX models, and a client of the application that needs no port."""

import asyncio
import contextlib
import hashlib
import io
import json
import socket
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import settings
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from customai.workloads.scoring.app import create
from customai.workloads.scoring.config import ServedModel, ServerConfig
from customai.workloads.scoring.http import Connection
from customai.workloads.scoring.model import load
from customai.workloads.scoring.server import Server, limits

settings.register_profile("patient", deadline=None)  # whoever else has the machine
settings.load_profile("patient")


def tensor(name, kind, shape):
    return helper.make_tensor_value_info(name, kind, shape)


def onnx_bytes(nodes, inputs, outputs, weights=None):
    named = [numpy_helper.from_array(np.asarray(value), name) for name, value in (weights or {}).items()]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, named)
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()


def identity(kind=TensorProto.FLOAT, shape=("n", 2)):
    return onnx_bytes(
        [helper.make_node("Identity", ["x"], ["y"])], [tensor("x", kind, shape)], [tensor("y", kind, shape)]
    )


def brightness(shape=("n", 1, 4, 4), kind=TensorProto.FLOAT):
    """Two logits, (mean, 1 - mean) * 10: bright images are class 0, dark ones class 1."""
    nodes = [
        helper.make_node("Cast", ["x"], ["xf"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["xf"], ["m"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Unsqueeze", ["m", "axis"], ["column"]),
        helper.make_node("Gemm", ["column", "w", "b"], ["y"]),
    ]
    weights = {
        "axis": np.array([1]),
        "w": np.array([[10.0, -10.0]], dtype=np.float32),
        "b": np.array([0.0, 10.0], dtype=np.float32),
    }
    return onnx_bytes(nodes, [tensor("x", kind, shape)], [tensor("y", TensorProto.FLOAT, [shape[0], 2])], weights)


def linear(rows="n"):
    """y = softmax(x W): 4 numbers to 3 classes."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["l"]), helper.make_node("Softmax", ["l"], ["y"], axis=1)]
    weights = {"w": np.arange(12, dtype=np.float32).reshape(4, 3) / 10}
    inputs, outputs = [tensor("x", TensorProto.FLOAT, [rows, 4])], [tensor("y", TensorProto.FLOAT, [rows, 3])]
    return onnx_bytes(nodes, inputs, outputs, weights)


def picks():
    """Row `i` of a table of three: an index beyond it makes the whole run fail."""
    node = helper.make_node("Gather", ["table", "x"], ["y"], axis=0)
    inputs, outputs = [tensor("x", TensorProto.INT64, ["n"])], [tensor("y", TensorProto.FLOAT, ["n", 2])]
    return onnx_bytes([node], inputs, outputs, {"table": np.arange(6, dtype=np.float32).reshape(3, 2)})


def adds():
    node = helper.make_node("Add", ["a", "b"], ["sum"])
    two = [tensor("a", TensorProto.FLOAT, ["n", 2]), tensor("b", TensorProto.FLOAT, ["n", 2])]
    return onnx_bytes([node], two, [tensor("sum", TensorProto.FLOAT, ["n", 2])])


GRAY = {"size": [4, 4], "channels": "gray"}


def png(value=255, size=(4, 4), mode="L", form="PNG"):
    buffer = io.BytesIO()
    Image.new(mode, size, value).save(buffer, form)
    return buffer.getvalue()


class Models:
    """The builders above under one name, for tests that get them as a fixture."""

    tensor, onnx_bytes, identity = staticmethod(tensor), staticmethod(onnx_bytes), staticmethod(identity)
    brightness, linear, picks, adds = (
        staticmethod(brightness),
        staticmethod(linear),
        staticmethod(picks),
        staticmethod(adds),
    )
    png, GRAY = staticmethod(png), GRAY


@pytest.fixture(scope="session")
def models():
    return Models


@pytest.fixture
def folder(tmp_path):
    """folder(onnx, **model.json keys) -> a model folder."""

    def make(onnx, files=None, **keys):
        document = {
            "format": 1,
            "name": "tiny",
            "version": "1",
            "sha256": hashlib.sha256(onnx).hexdigest(),
            "labels": None,
            "scores": "probabilities",
            "preprocessing": None,
            "smoke_test": None,
            **keys,
        }
        (tmp_path / "model.onnx").write_bytes(onnx)
        (tmp_path / "model.json").write_text(json.dumps(document))
        for name, data in (files or {}).items():
            (tmp_path / name).write_bytes(data)
        return tmp_path

    return make


class Client:
    """Speaks HTTP to an App over a socket pair. Each call is one request in a loop of its own, except inside together()."""

    def __init__(self, app, limits):
        self.app = app
        self.limits = limits
        self.draining = False

    def __call__(self, method, path, body=b"", headers=None, **more):
        return asyncio.run(self.request(method, path, body, headers, **more))

    def post(self, path, document, **headers):
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self("POST", path, body, {"content-type": "application/json", **headers})

    def together(self, requests):
        """Many POSTs of JSON at the same moment: [(path, document)] -> [(status, headers, document)]."""

        async def run():
            calls = [
                self.request("POST", path, json.dumps(document).encode(), {"content-type": "application/json"})
                for path, document in requests
            ]
            return await asyncio.gather(*calls)

        return asyncio.run(run())

    async def request(self, method, path, body=b"", headers=None, chunks=None, hang=False, length=True):
        """chunks: the body in parts; hang: but the last one never comes."""
        lines = dict(headers or {})
        if (method == "POST" or body) and length:
            lines.setdefault("content-length", str(len(body)))
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        parts = [body] if chunks is None else list(chunks)
        if "transfer-encoding" in lines:
            parts = [*(b"%x\r\n%s\r\n" % (len(part), part) for part in parts), b"0\r\n\r\n"]
        async with self.connection() as (reader, writer):
            writer.write(head.encode("latin-1", "replace") + b"\r\n")
            for part in parts[:-1] if hang else parts:
                writer.write(part)
                await asyncio.sleep(0)
            return await answer_of(reader, method)

    @contextlib.asynccontextmanager
    async def connection(self):
        """(reader, writer) of a connection to a server that is there as long as this is."""
        server = Server(self.app, self.limits)
        server.shared.draining = self.draining
        ours, theirs = socket.socketpair()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(lambda: Connection(server.shared), sock=theirs)
        server._sweep()
        reader, writer = await asyncio.open_connection(sock=ours)
        try:
            yield reader, writer
        finally:
            writer.close()
            transport.abort()
            server._sweeper.cancel()
            await asyncio.sleep(0)
            assert not [task for task in asyncio.all_tasks() if "_respond" in repr(task)]
            assert (server.shared.active, server.shared.held) == (0, 0)


async def answer_of(reader, method="GET"):
    """(status, headers, body); the body is a document where it is JSON."""
    lines = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)).decode().split("\r\n")
    if lines[0].endswith("100 Continue"):
        return await answer_of(reader, method)
    headers = {name.encode(): value.encode() for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
    content = b"" if method == "HEAD" else await reader.readexactly(int(headers[b"content-length"]))
    is_json = headers[b"content-type"] == b"application/json"
    return int(lines[0].split()[1]), headers, json.loads(content) if content and is_json else content or None


@pytest.fixture(scope="session")
def client_of():
    """client_of(app) -> Client."""
    return lambda app: Client(app, limits(ServerConfig((ServedModel("x"),))))


@pytest.fixture
def serve(folder):
    """serve(onnx, model keys..., server={...}, server_limits={...}) -> Client; the access log is client.log, a list of bytes."""
    apps = []

    def start(onnx, server=None, server_limits=None, **keys):
        log = []
        config = ServerConfig((ServedModel("x"),), **(server or {}))
        app = create([load(folder(onnx, **keys))], config, log.append)
        apps.append(app)
        client = Client(app, replace(limits(config), **(server_limits or {})))
        client.log = log
        return client

    yield start
    for app in apps:
        app.close()
