"""The Open Inference Protocol as its public clients speak it."""

from __future__ import annotations

import hashlib
import json
import urllib.error
import urllib.request

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from customai.workloads.scoring.config import ModelConfig, dump
from customai.workloads.scoring.model import load
from tests.local.scoring_server import serving

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper  # noqa: E402

KINDS = {
    "BOOL": (TensorProto.BOOL, [[True, False], [False, True]]),
    "UINT8": (TensorProto.UINT8, [[0, 255], [1, 2]]),
    "UINT16": (TensorProto.UINT16, [[0, 65535], [1, 2]]),
    "UINT32": (TensorProto.UINT32, [[0, 2**32 - 1], [1, 2]]),
    "UINT64": (TensorProto.UINT64, [[0, 2**64 - 1], [1, 2]]),
    "INT8": (TensorProto.INT8, [[-128, 127], [1, 2]]),
    "INT16": (TensorProto.INT16, [[-(2**15), 2**15 - 1], [1, 2]]),
    "INT32": (TensorProto.INT32, [[-(2**31), 2**31 - 1], [1, 2]]),
    "INT64": (TensorProto.INT64, [[-(2**63), 2**63 - 1], [1, 2]]),
    "FP16": (TensorProto.FLOAT16, [[0.5, -2.0], [65504.0, 0.0]]),
    "FP32": (TensorProto.FLOAT, [[0.5, -2.0], [3e38, 1e-38]]),
    "FP64": (TensorProto.DOUBLE, [[0.1, -2.0], [1e308, 0.0]]),
    "BYTES": (TensorProto.STRING, [["a", "ä€"], ["", "\U0001f600 long " * 20]]),
}


def array_of(kind):
    dtype = object if kind == "BYTES" else helper.tensor_dtype_to_np_dtype(KINDS[kind][0])
    return np.array(KINDS[kind][1], dtype=dtype)


@pytest.fixture(scope="module")
def every_type(tmp_path_factory):
    """A server of a model with an input and an output of each datatype, `in_X` and `out_X`; the same goes out as came in."""
    folder = tmp_path_factory.mktemp("types")
    inputs = [
        helper.make_tensor_value_info(f"in_{kind}", onnx_kind, ["n", 2]) for kind, (onnx_kind, _) in KINDS.items()
    ]
    outputs = [helper.make_tensor_value_info(f"out_{k}", onnx_kind, ["n", 2]) for k, (onnx_kind, _) in KINDS.items()]
    nodes = [helper.make_node("Identity", [f"in_{kind}"], [f"out_{kind}"]) for kind in KINDS]
    graph = helper.make_graph(nodes, "types", inputs, outputs)
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    (folder / "model.onnx").write_bytes(data)
    (folder / "model.json").write_text(dump(ModelConfig("types", "7", hashlib.sha256(data).hexdigest())))
    with serving(load(folder)) as running:
        yield running


@pytest.fixture(scope="module")
def triton(every_type):
    httpclient = pytest.importorskip("tritonclient.http", reason="tritonclient is not installed: pip install '.[dev]'")
    with httpclient.InferenceServerClient(f"127.0.0.1:{every_type.port}") as client:
        client.module = httpclient
        yield client


def test_triton_reads_health_and_metadata(triton):
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("types")
    assert triton.is_model_ready("types", "7")
    assert not triton.is_model_ready("types", "8")
    assert not triton.is_model_ready("other")
    assert triton.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    told = triton.get_model_metadata("types")
    assert (told["name"], told["versions"], told["platform"]) == ("types", ["7"], "onnxruntime_onnx")
    assert {(tensor["name"], tensor["datatype"], tuple(tensor["shape"])) for tensor in told["inputs"]} == {
        (f"in_{kind}", kind, (-1, 2)) for kind in KINDS
    }


@pytest.mark.parametrize("bytes_in", [True, False], ids=["bytes in", "JSON in"])
@pytest.mark.parametrize("bytes_out", [True, False, None], ids=["bytes out", "JSON out", "as the client likes"])
def test_triton_gets_back_what_it_sent_of_every_type(triton, bytes_in, bytes_out):
    module, inputs = triton.module, []
    for kind in KINDS:
        sent = module.InferInput(f"in_{kind}", [2, 2], kind)
        if kind == "FP16" and not bytes_in:  # which its client sends in no other way
            sent.set_data_from_numpy(array_of(kind))
        else:
            sent.set_data_from_numpy(array_of(kind), binary_data=bytes_in)
        inputs.append(sent)
    asked = None
    if bytes_out is not None:
        asked = [module.InferRequestedOutput(f"out_{k}", binary_data=bytes_out or k == "FP16") for k in KINDS]
    result = triton.infer("types", inputs, outputs=asked, request_id="42", parameters={"mine": 1}, model_version="7")
    response = result.get_response()
    assert (response["id"], response["model_name"], response["model_version"]) == ("42", "types", "7")
    for kind in KINDS:
        got = result.as_numpy(f"out_{kind}")
        if kind == "BYTES":
            got = np.array([text.decode() if isinstance(text, bytes) else text for text in got.ravel()]).reshape(2, 2)
        np.testing.assert_array_equal(got, array_of(kind))


def test_triton_asks_for_some_outputs_each_in_its_own_way(triton):
    module = triton.module
    inputs = []
    for kind in KINDS:
        inputs.append(module.InferInput(f"in_{kind}", [2, 2], kind))
        inputs[-1].set_data_from_numpy(array_of(kind))
    asked = [module.InferRequestedOutput("out_INT8", True), module.InferRequestedOutput("out_FP32", False)]
    result = triton.infer("types", inputs, outputs=asked)
    told = result.get_response()["outputs"]
    assert [output["name"] for output in told] == ["out_INT8", "out_FP32"]
    assert (told[0]["parameters"], "data" in told[0]) == ({"binary_data_size": 4}, False)
    np.testing.assert_array_equal(np.array(told[1]["data"], np.float32), array_of("FP32").ravel())
    np.testing.assert_array_equal(result.as_numpy("out_INT8"), array_of("INT8"))


def test_triton_is_told_what_is_wrong(triton):
    module = triton.module
    wrong = module.InferInput("in_FP32", [1, 3], "FP32")
    wrong.set_data_from_numpy(np.zeros((1, 3), np.float32))
    with pytest.raises(module.InferenceServerException, match="the model takes") as caught:
        triton.infer("types", [wrong])
    assert caught.value.status() == "400"
    for algorithm in ("gzip", "deflate"):
        with pytest.raises(module.InferenceServerException, match="the body is compressed"):
            triton.infer("types", [wrong], request_compression_algorithm=algorithm)


def send(port, path, body=None, **headers):
    """(status, headers, body)"""
    lines = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, lines)
    try:
        with urllib.request.urlopen(request, timeout=30) as got:
            return got.status, dict(got.headers), got.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


@pytest.mark.parametrize("kserve_asks_for_bytes", [True, False])
def test_kserves_own_classes_read_and_write_what_we_do(every_type, kserve_asks_for_bytes):
    kserve = pytest.importorskip("kserve", reason="kserve is not installed: it needs an environment of its own")
    inputs, as_bytes = [], {}
    for kind in KINDS:
        inputs.append(kserve.InferInput(f"in_{kind}", [2, 2], kind))
        as_bytes[kind] = kserve_asks_for_bytes or kind == "FP16"  # which it does not take in JSON
        inputs[-1].set_data_from_numpy(array_of(kind), binary_data=as_bytes[kind])
    output = kserve.protocol.infer_type.RequestedOutput
    asked = [output(f"out_{kind}", {"binary_data": as_bytes[kind]}) for kind in KINDS]
    request = kserve.InferRequest("types", inputs, request_id="9", request_outputs=asked)
    body, length = request.to_rest()
    headers = {"content_type": "application/json"}
    if isinstance(body, bytes):
        headers = {"content_type": "application/octet-stream", "inference_header_content_length": str(length)}
    else:
        body = json.dumps(body).encode()
    status, told, answer = send(every_type.port, "/v2/models/types/infer", body, **headers)
    assert status == 200, answer
    length = told.get("inference-header-content-length")
    made = kserve.InferResponse.from_bytes(answer, int(length)) if length else None
    made = made or kserve.InferResponse.from_rest(json.loads(answer))
    assert (made.id, made.model_name) == ("9", "types")
    for output in made.outputs:
        got = output.as_numpy()
        kind = output.name.removeprefix("out_")
        if kind == "BYTES":
            got = np.array([t.decode() if isinstance(t, bytes) else t for t in got.ravel()]).reshape(2, 2)
        np.testing.assert_array_equal(got, array_of(kind))


def test_the_openapi_document_is_one_and_nothing_that_it_allows_is_a_server_error(every_type):
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed: pip install '.[dev]'")
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{every_type.port}/openapi.json")
    seen = set()
    quiet = settings(max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    for result in schema.get_all_operations():
        operation = result.ok()

        @quiet
        @__import__("hypothesis").given(case=operation.as_strategy())
        def checked(case):
            response = case.call()
            assert response.status_code < 500, response.text
            case.validate_response(
                response,
                checks=[
                    schemathesis.checks.not_a_server_error,
                    schemathesis.specs.openapi.checks.status_code_conformance,
                    schemathesis.specs.openapi.checks.content_type_conformance,
                    schemathesis.specs.openapi.checks.response_schema_conformance,
                ],
            )

        checked()
        seen.add(operation.label)
    assert {"POST /v2/models/types/infer", "POST /score", "GET /v2/health/ready", "GET /metrics"} <= seen
