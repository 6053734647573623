import numpy as np
import pytest
from onnx import TensorProto, helper

PATH = "/v2/models/tiny/infer"
GOOD = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}


def one(**change):
    return {"inputs": [{**GOOD, **change}]}


def without(key):
    return {"inputs": [{name: value for name, value in GOOD.items() if name != key}]}


@pytest.mark.parametrize(
    ("document", "field", "message"),
    [
        (b"", None, "the body is not JSON"),
        (b"{", None, "the body is not JSON"),
        (b"\xff", None, "the body is not JSON"),
        (b"[" * 5000, None, "the body is not JSON"),
        (b'{"id": "\\ud800"}', None, "the body is not JSON"),
        (b"[]", None, "the body is JSON, but not an object"),
        (b'{"inputs": [{"data": [1, NaN]}]}', "inputs[0].data[1]", "not a finite number"),
        (b'{"inputs": [{"data": [[1, 2], [3, 1e400]]}]}', "inputs[0].data[1][1]", "not a finite number"),
        (b'{"inputs": [{"data": [-Infinity]}]}', "inputs[0].data[0]", "not a finite number"),
        ({}, "inputs", "inputs is null"),
        ({"inputs": {}}, "inputs", "inputs is an object"),
        ({"inputs": []}, "inputs", "input x is missing"),
        ({"inputs": [1]}, "inputs[0]", "inputs[0] is 1"),
        ({"inputs": [GOOD, GOOD]}, "inputs[1].name", "x is given twice"),
        (one(name="z"), "inputs[0].name", 'inputs[0].name is "z": the model has no such input'),
        (one(name=None), "inputs[0].name", "is null"),
        (without("datatype"), "inputs[0].datatype", "is null"),
        (one(datatype="FLOAT"), "inputs[0].datatype", 'is "FLOAT"'),
        (one(datatype=[]), "inputs[0].datatype", "is an array"),
        (one(datatype="FP64"), "inputs[0].datatype", "is FP64, which FP32 cannot hold exactly"),
        (one(datatype="BYTES"), "inputs[0].datatype", "is BYTES"),
        (without("shape"), "inputs[0].shape", "is not an array of sizes"),
        (one(shape=[1, 2.0]), "inputs[0].shape", "is not an array of sizes"),
        (one(shape=[True, 2]), "inputs[0].shape", "is not an array of sizes"),
        (one(shape=[-1, 2]), "inputs[0].shape", "is not an array of sizes"),
        (one(shape=[0, 2], data=[]), "inputs[0].shape", "is not an array of sizes of at least 1"),
        (one(shape=[1, 3]), "inputs[0].shape", "is [1, 3]; the model takes [-1, 2]"),
        (one(shape=[2]), "inputs[0].shape", "is [2]; the model takes [-1, 2]"),
        (one(shape=[]), "inputs[0].shape", "is []; the model takes [-1, 2]"),
        (one(shape=[10**18, 2]), "inputs[0].data", "needs 2000000000000000000"),
        (without("data"), "inputs[0].data", "is missing"),
        (one(data={}), "inputs[0].data", "is an object, not an array"),
        (one(data=[1, 2, 3]), "inputs[0].data", "holds 3 values; shape [1, 2] needs 2"),
        (one(data=[1, "2"]), "inputs[0].data[1]", 'is "2"'),
        (one(data=[1, None]), "inputs[0].data[1]", "is null"),
        (one(data=[False, 1]), "inputs[0].data[0]", "is false"),
        (one(data=[[1, 1e39]]), "inputs[0].data[0][1]", "is 1e+39"),
        ({**one(), "id": 7}, "id", "id is 7"),
        ({**one(), "parameters": 1}, "parameters", "parameters is 1"),
        (one(parameters=[]), "inputs[0].parameters", "is an array"),
        ({**one(), "outputs": {}}, "outputs", "outputs is an object"),
        ({**one(), "outputs": ["y"]}, "outputs[0]", 'outputs[0] is "y"'),
        ({**one(), "outputs": [{"name": "z"}]}, "outputs[0].name", 'is "z": the model has no such output'),
    ],
)
def test_a_bad_request_names_its_field(serve, models, document, field, message):
    status, _, answer = serve(models.identity()).post(PATH, document)
    assert (status, answer["field"]) == (400, field)
    assert message in answer["error"]
    assert set(answer) == {"error", "field", "expected"}


def test_the_answer_echoes_id_and_names_the_model(serve, models):
    status, headers, answer = serve(models.identity()).post(
        PATH, {**one(parameters={}), "id": "7", "parameters": {"a": 1}}
    )
    assert status == 200
    assert headers[b"content-type"] == b"application/json"
    assert answer == {
        "model_name": "tiny",
        "model_version": "1",
        "id": "7",
        "outputs": [{"name": "y", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}],
    }


def test_requested_outputs_are_the_ones_given(serve, models):
    client = serve(models.identity())
    assert client.post(PATH, {**one(), "outputs": [{"name": "y"}, {"name": "y"}]})[2]["outputs"][0]["name"] == "y"
    assert len(client.post(PATH, {**one(), "outputs": []})[2]["outputs"]) == 1


KINDS = {
    "BOOL": (TensorProto.BOOL, [True, False]),
    "UINT8": (TensorProto.UINT8, [0, 255]),
    "UINT16": (TensorProto.UINT16, [0, 65535]),
    "UINT32": (TensorProto.UINT32, [0, 2**32 - 1]),
    "UINT64": (TensorProto.UINT64, [0, 2**64 - 1]),
    "INT8": (TensorProto.INT8, [-128, 127]),
    "INT16": (TensorProto.INT16, [-(2**15), 2**15 - 1]),
    "INT32": (TensorProto.INT32, [-(2**31), 2**31 - 1]),
    "INT64": (TensorProto.INT64, [-(2**63), 2**63 - 1]),
    "FP16": (TensorProto.FLOAT16, [-0.5, 65504.0]),
    "FP32": (TensorProto.FLOAT, [float(np.float32(0.1)), 1e30]),
    "FP64": (TensorProto.DOUBLE, [0.1, 1.7e308]),
    "BYTES": (TensorProto.STRING, ["", "Grüße 🌍"]),
}


@pytest.mark.parametrize("datatype", KINDS)
def test_every_datatype_goes_through_a_model_and_back(serve, models, datatype):
    kind, values = KINDS[datatype]
    client = serve(models.identity(kind))
    status, _, answer = client.post(PATH, one(datatype=datatype, data=[values]))
    assert status == 200
    output = answer["outputs"][0]
    assert output["datatype"] == datatype
    if datatype == "FP32":
        assert np.float32(output["data"]).tolist() == np.float32(values).tolist()
    else:
        assert output["data"] == values


def test_a_narrower_datatype_is_widened(serve, models):
    answer = serve(models.identity(TensorProto.DOUBLE)).post(PATH, one(datatype="INT32", data=[1, 2]))[2]
    assert answer["outputs"][0] == {"name": "y", "shape": [1, 2], "datatype": "FP64", "data": [1, 2]}


def test_inputs_come_in_any_order_and_with_equal_rows(serve, models):
    client = serve(models.adds())
    a, b = {**GOOD, "name": "a"}, {**GOOD, "name": "b", "data": [10, 20]}
    assert client.post(PATH, {"inputs": [b, a]})[2]["outputs"][0]["data"] == [11, 22]
    status, _, answer = client.post(PATH, {"inputs": [b, {**a, "shape": [2, 2], "data": [1, 2, 3, 4]}]})
    assert (status, answer["expected"]) == (400, "[2, ...]")
    status, _, answer = client.post(PATH, {"inputs": [b]})
    assert (status, answer["error"]) == (400, "input a is missing")


def test_a_fixed_first_dimension_must_be_matched(serve, models):
    client = serve(models.linear(rows=2))
    data = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}
    status, _, answer = client.post(PATH, {"inputs": [data]})
    assert (status, answer["expected"]) == (400, "[2, 4]")
    assert client.post(PATH, {"inputs": [{**data, "shape": [2, 4], "data": [1] * 8}]})[0] == 200


def test_what_json_cannot_hold_comes_back_as_null(serve, models):
    node_output = models.onnx_bytes(
        [helper.make_node("Log", ["x"], ["y"])],
        [models.tensor("x", 1, ["n", 2])],
        [models.tensor("y", 1, ["n", 2])],
    )
    answer = serve(node_output).post(PATH, one(data=[-1, 1]))[2]
    assert answer["outputs"][0]["data"] == [None, 0]


def test_many_requests_at_once_share_runs_and_get_their_own_answers(serve, models):
    client = serve(models.linear())
    before = client.app.versions[0].batcher.runs
    rows = [[i, 1, 2, 3] for i in range(100)]
    requests = [
        (PATH, {"id": str(i), "inputs": [{**GOOD, "shape": [1, 4], "data": row}]}) for i, row in enumerate(rows)
    ]
    answers = client.together(requests)
    assert client.app.versions[0].batcher.runs - before < 10
    weights = np.arange(12, dtype=np.float32).reshape(4, 3) / 10
    for i, (status, _, answer) in enumerate(answers):
        scores = np.exp(np.float32(rows[i]) @ weights)
        assert status == 200
        assert answer["id"] == str(i)
        assert np.allclose(answer["outputs"][0]["data"], scores / scores.sum(), atol=1e-5)


def test_a_poisoned_request_fails_alone(serve, models):
    client = serve(models.picks())
    item = {"name": "x", "datatype": "INT64", "shape": [1]}
    answers = client.together([(PATH, {"inputs": [{**item, "data": [i]}]}) for i in (0, 1, 99, 2)])
    assert [status for status, _, _ in answers] == [200, 200, 400, 200]
    assert "the model cannot score this input" in answers[2][2]["error"]
    assert answers[3][2]["outputs"][0]["data"] == [4, 5]
