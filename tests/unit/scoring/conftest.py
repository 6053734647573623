"""Model folders with tiny ONNX models, and an ASGI client without a socket."""

import asyncio
import hashlib
import io
import json

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image


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
    """Speaks ASGI to an App. Each call is one request in a loop of its own, except inside together()."""

    def __init__(self, app):
        self.app = app

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
        lines = dict(headers or {})
        if method == "POST" and length:
            lines.setdefault("content-length", str(len(body)))
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in lines.items()],
        }
        parts = list(chunks) if chunks is not None else [body]
        sent = []

        async def receive():
            if not parts or (hang and len(parts) == 1):
                await asyncio.sleep(3600)
            part = parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(parts)}

        async def send(message):
            sent.append(message)

        await self.app(scope, receive, send)
        answer_headers = dict(sent[0]["headers"])
        content = b"".join(message.get("body", b"") for message in sent[1:])
        assert not sent[-1].get("more_body")
        if method != "HEAD":
            assert int(answer_headers[b"content-length"]) == len(content)
        return sent[0]["status"], answer_headers, json.loads(content) if content else None


@pytest.fixture
def serve(folder):
    """serve(onnx, model keys..., server={...}) -> Client; the access log is client.log, a list of bytes."""
    from customai.workloads.scoring.app import create
    from customai.workloads.scoring.config import ServedModel, ServerConfig
    from customai.workloads.scoring.model import load

    apps = []

    def start(onnx, server=None, **keys):
        log = []
        config = ServerConfig((ServedModel("x"),), **(server or {}))
        app = create([load(folder(onnx, **keys))], config, log.append)
        apps.append(app)
        client = Client(app)
        client.log = log
        return client

    yield start
    for app in apps:
        app.close()
