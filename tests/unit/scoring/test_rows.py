"""Rows by column name: what a model gets for them, and what a wrong one is told."""

import json
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from customai.errors import RunFailed
from customai.workloads.scoring.config import Column
from customai.workloads.scoring.model import load
from customai.workloads.scoring.rows import Rows
from customai.workloads.scoring.signature import Tensor

KINDS = {
    "age": ("number", TensorProto.FLOAT),
    "weight": ("number", TensorProto.DOUBLE),
    "visits": ("integer", TensorProto.INT64),
    "small": ("integer", TensorProto.INT8),
    "city": ("text", TensorProto.STRING),
    "member": ("boolean", TensorProto.BOOL),
}
GOOD = {"age": 41.5, "weight": 1e300, "visits": 2**53 + 1, "small": -128, "city": "Oslo", "member": True}
COLUMNS = [
    {"name": "age", "type": "number", "nullable": True},
    {"name": "weight", "type": "number", "nullable": True, "default": -1},
    {"name": "visits", "type": "integer", "nullable": True, "default": 7},
    {"name": "small", "type": "integer"},
    {"name": "city", "type": "text", "nullable": True, "default": "?"},
    {"name": "member", "type": "boolean"},
]
NUMBERS = [{"name": f"x{i}", "type": "number", "nullable": i == 2} for i in range(4)]


def echo(models, shape):
    """Gives back what it was given, each column under the name NAME_out."""
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name in KINDS]
    inputs = [models.tensor(name, kind, shape) for name, (_, kind) in KINDS.items()]
    outputs = [models.tensor(f"{name}_out", kind, shape) for name, (_, kind) in KINDS.items()]
    return models.onnx_bytes(nodes, inputs, outputs)


@pytest.fixture(params=[("n",), ("n", 1)], ids=["[n]", "[n, 1]"])
def mixed(serve, models, request):
    """A model with one input per column, that says back what it got."""
    return serve(echo(models, request.param), columns=COLUMNS)


@pytest.fixture
def matrix(serve, models):
    """A model with one input for all columns, that says back what it got."""
    return serve(models.identity(shape=("n", 4)), columns=NUMBERS)


def got(answer):
    return {name[:-4]: np.ravel(value)[0].item() for name, value in answer["predictions"][0]["outputs"].items()}


def test_every_type_arrives_as_it_was_sent(mixed):
    status, _, answer = mixed.post("/score", {"rows": [GOOD]})
    assert status == 200, answer
    assert got(answer) == GOOD


def test_the_order_of_the_columns_does_not_matter_and_rows_keep_theirs(mixed):
    rows = [dict(reversed({**GOOD, "visits": i, "city": str(i)}.items())) for i in range(500)]
    answer = mixed.post("/score", {"rows": rows})[2]
    assert [np.ravel(row["outputs"]["visits_out"])[0] for row in answer["predictions"]] == list(range(500))
    assert [np.ravel(row["outputs"]["city_out"])[0] for row in answer["predictions"]] == [str(i) for i in range(500)]


def test_null_becomes_what_stands_for_it(mixed):
    status, _, answer = mixed.post("/score", {"rows": [{**GOOD, **dict.fromkeys(["weight", "visits", "city"])}]})
    assert status == 200, answer
    assert got(answer) == {**GOOD, "weight": -1, "visits": 7, "city": "?"}


def test_a_null_number_is_nan(folder, models):
    model = load(folder(models.identity(shape=("n", 4)), columns=NUMBERS))
    feed = model.rows.feed([{"x0": 0, "x1": 1, "x2": None, "x3": 3}, {"x0": 0, "x1": 1, "x2": 2, "x3": 3}])
    np.testing.assert_array_equal(feed["x"], np.array([[0, 1, math.nan, 3], [0, 1, 2, 3]], np.float32))


def test_columns_side_by_side_stand_in_their_order(matrix):
    rows = [{"x3": 3, "x1": 1, "x0": 0, "x2": 2.5}] * 3
    answer = matrix.post("/score", {"rows": rows})[2]
    assert answer["predictions"][2]["label"] == "3"  # four scores: the largest is the last
    assert answer["predictions"][2]["top"][1] == {"label": "2", "probability": 2.5}


def test_types_side_by_side_are_checked_each(serve, models):
    columns = [{"name": "n", "type": "integer"}, {"name": "yes", "type": "boolean"}, {"name": "x", "type": "number"}]
    client = serve(models.identity(shape=("n", 3)), columns=columns)
    top = client.post("/score", {"rows": [{"n": 5, "yes": True, "x": 0.5}]})[2]["predictions"][0]["top"]
    assert [each["probability"] for each in top] == [5, 1, 0.5]
    for wrong, field in (({"n": 5.0}, "n"), ({"n": True}, "n"), ({"yes": 1}, "yes"), ({"x": False}, "x")):
        status, _, answer = client.post("/score", {"rows": [{"n": 5, "yes": True, "x": 0.5, **wrong}]})
        assert (status, answer["field"]) == (400, f"rows[0].{field}")


def test_rows_as_arrays_go_on_working_beside_objects(matrix):
    by_name = matrix.post("/score", {"rows": [{"x0": 4, "x1": 3, "x2": 2, "x3": 1}]})
    assert matrix.post("/score", {"rows": [[4, 3, 2, 1]]})[2] == by_name[2]


def test_inputs_of_one_column_each_need_no_columns_in_model_json(serve, models):
    client = serve(echo(models, ("n", 1)))
    assert client.post("/score", {"rows": [GOOD]})[0] == 200
    assert client("GET", "/")[2]["columns"] == [
        {"name": name, "type": type_, "nullable": False, "default": None} for name, (type_, _) in KINDS.items()
    ]
    status, _, answer = client.post("/score", {"rows": [{**GOOD, "age": None}]})
    assert (status, answer["field"], answer["expected"]) == (400, "rows[0].age", "a number")


@pytest.mark.parametrize("path", ["/", "/v2/models/tiny", "/v2/models/tiny/versions/1"])
def test_the_columns_are_told(mixed, path):
    told = {column["name"]: column for column in mixed("GET", path)[2]["columns"]}
    assert told["city"] == {"name": "city", "type": "text", "nullable": True, "default": "?"}
    assert list(told) == list(KINDS)


@pytest.mark.parametrize(
    ("change", "field", "error", "expected"),
    [
        ({"age": "41"}, "age", 'is "41"', "a number or null"),
        ({"age": True}, "age", "is true", "a number or null"),
        ({"age": [1]}, "age", "is an array", "a number or null"),
        ({"age": 1e39}, "age", "is 1e+39", "a number or null"),
        ({"weight": {}}, "weight", "is an object", "a number or null"),
        ({"visits": 3.0}, "visits", "is 3.0", "an integer from -9223372036854775808 to 9223372036854775807 or null"),
        ({"visits": 2**63}, "visits", "is 9223372036854775808", "an integer from -9223372036854775808"),
        ({"small": 128}, "small", "is 128", "an integer from -128 to 127"),
        ({"small": None}, "small", "is null", "an integer from -128 to 127"),
        ({"small": False}, "small", "is false", "an integer from -128 to 127"),
        ({"city": 5}, "city", "is 5", "a string or null"),
        ({"member": None}, "member", "is null", "true or false"),
        ({"member": 1}, "member", "is 1", "true or false"),
        ({"member": "true"}, "member", 'is "true"', "true or false"),
    ],
)
@pytest.mark.parametrize("at", [0, 2])
def test_a_wrong_value_is_named_with_its_row(mixed, change, field, error, expected, at):
    rows = [GOOD, {**GOOD, "age": None}, GOOD]
    rows[at] = {**GOOD, **change}
    status, _, answer = mixed.post("/score", {"rows": rows})
    assert (status, answer["field"]) == (400, f"rows[{at}].{field}")
    assert answer["error"].endswith(error)
    assert answer["expected"].startswith(expected)


@pytest.mark.parametrize(
    ("body", "field", "error"),
    [
        ({"rows": [GOOD, {**GOOD, "ctiy": "Oslo"}]}, "rows[1].ctiy", "the model has no column"),
        ({"rows": [{name: GOOD[name] for name in GOOD if name != "city"}]}, "rows[0].city", "rows[0] has no city"),
        ({"rows": [GOOD, {}]}, "rows[1].age", "rows[1] has no age"),
        ({"rows": [GOOD, [1, 2, 3, 4, 5, 6]]}, "rows[1]", "rows[1] is an array"),
        ({"rows": [GOOD, None]}, "rows[1]", "rows[1] is null"),
        ({"rows": ["age"]}, "rows[0]", 'rows[0] is "age"'),
        ({"rows": [5]}, "rows[0]", "rows[0] is 5"),
        ({"rows": []}, "rows", "rows is not an array of at least one row"),
        ({"rows": {}}, "rows", "rows is not an array of at least one row"),
        ({"rows": GOOD}, "rows", "rows is not an array of at least one row"),
        ({"rows": None}, "rows", "rows is not an array of at least one row"),
        ({}, None, 'the body needs either "images" or "rows"'),
        ({"rows": [GOOD], "images": []}, None, 'the body needs either "images" or "rows"'),
        (b'{"rows": [{"age": NaN}]}', "rows[0].age", "rows[0].age is not a finite number"),
        (b'{"rows": [{"age": 1e999}]}', "rows[0].age", "rows[0].age is not a finite number"),
    ],
)
def test_misshapen_rows_are_named(mixed, body, field, error):
    status, _, answer = mixed.post("/score", body)
    assert (status, answer["field"]) == (400, field)
    assert error in answer["error"]
    assert answer["expected"]


def test_a_misspelt_column_is_put_right(mixed):
    row = {("ctiy" if name == "city" else name): value for name, value in GOOD.items()}
    answer = mixed.post("/score", {"rows": [row]})[2]
    assert answer["error"] == 'the model has no column "ctiy"; did you mean city?'
    assert answer["expected"] == "an object with age, weight, visits, small, city, member"


def test_too_many_rows_are_refused_by_every_route(serve, models):
    client = serve(models.identity(shape=("n", 4)), columns=NUMBERS, server={"max_rows": 2})
    row = dict.fromkeys(["x0", "x1", "x2", "x3"], 1)
    assert client.post("/score", {"rows": [row] * 2})[0] == 200
    status, _, answer = client.post("/score", {"rows": [row] * 3})
    assert (status, answer["field"], answer["expected"]) == (400, "rows", "at most 2 rows a request")
    item = {"name": "x", "shape": [3, 4], "datatype": "FP32", "data": [0] * 12}
    status, _, answer = client.post("/v2/models/tiny/infer", {"inputs": [item]})
    assert (status, answer["expected"]) == (400, "at most 2 rows")


def test_a_body_beyond_what_is_read_inline_is_read_all_the_same(matrix, monkeypatch):
    monkeypatch.setattr("customai.workloads.scoring.version.INLINE_BODY", 100)
    rows = [{"x0": i, "x1": 0, "x2": None, "x3": 0} for i in range(1, 300)]
    answer = matrix.post("/score", {"rows": rows})[2]
    assert [row["top"][0] for row in answer["predictions"]] == [{"label": "0", "probability": i} for i in range(1, 300)]
    status, _, answer = matrix.post("/score", {"rows": [*rows, {"x0": "a", "x1": 0, "x2": 0, "x3": 0}]})
    assert (status, answer["field"]) == (400, "rows[299].x0")


def test_a_model_whose_columns_have_no_names_says_so(serve, models):
    status, _, answer = serve(models.linear()).post("/score", {"rows": [{"a": 1}]})
    assert (status, answer["field"]) == (400, "rows[0]")
    assert answer["error"] == "the model's columns have no names, so a row is no object"
    assert answer["expected"] == "rows of shape [4]"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (COLUMNS[:5], "model.json has 5 columns (age, weight, visits, small, city), but the model takes age FP32"),
        ([*COLUMNS[:5], {"name": "vip", "type": "boolean"}], "but the model takes age FP32 [-1, 1]"),
        (
            [*COLUMNS[:5], {"name": "member", "type": "text"}],
            "column member is a text, but the model takes BOOL for it",
        ),
        ([{**COLUMNS[0], "type": "text"}, *COLUMNS[1:]], "column age is a text, but the model takes FP32 for it"),
        ([*COLUMNS[:3], {**COLUMNS[3], "type": "number"}, *COLUMNS[4:]], "column small is a number"),
        ([*COLUMNS[:3], {**COLUMNS[3], "nullable": True}, *COLUMNS[4:]], "small is nullable, but INT8 has no null"),
        ([*COLUMNS[:3], {**COLUMNS[3], "nullable": True, "default": 128}, *COLUMNS[4:]], "128 does not fit into INT8"),
        ([{**COLUMNS[0], "default": 1e39}, *COLUMNS[1:]], "does not fit into FP32"),
    ],
)
def test_columns_that_are_not_the_models_stop_it_from_starting(folder, models, columns, message):
    with pytest.raises(RunFailed) as caught:
        load(folder(echo(models, ("n", 1)), columns=columns))
    assert message in caught.value.message
    assert caught.value.where.endswith("model.onnx")


def test_a_scikit_learn_classifier_names_its_labels_itself(serve, models):
    """Two outputs, label and probabilities, as skl2onnx makes them with zipmap off."""
    nodes = [
        helper.make_node("Softmax", ["x"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["x"], ["index"], axis=1, keepdims=0),
        helper.make_node("Gather", ["names", "index"], ["label"]),
    ]
    inputs = [models.tensor("x", TensorProto.FLOAT, ["n", 2])]
    outputs = [
        models.tensor("label", TensorProto.STRING, ["n"]),
        models.tensor("probabilities", TensorProto.FLOAT, ["n", 2]),
    ]
    onnx = models.onnx_bytes(nodes, inputs, outputs, {"names": np.array(["no", "yes"], object)})
    answer = serve(onnx).post("/score", {"rows": [[0, 3], [1, 0]]})[2]
    assert answer["predictions"] == [
        {"label": "yes", "probability": pytest.approx(0.952574)},
        {"label": "no", "probability": pytest.approx(0.731059)},
    ]
    answer = serve(onnx, labels=["stays", "leaves"]).post("/score", {"rows": [[0, 3]]})[2]
    assert answer["predictions"][0]["label"] == "leaves"


@pytest.mark.parametrize("shape", [("n",), ("n", 1)])
def test_a_regression_gives_a_value(serve, models, shape):
    client = serve(models.identity(shape=shape))
    assert client.post("/score", {"rows": [{"x": 1.5}, {"x": -2}]})[2]["predictions"] == [{"value": 1.5}, {"value": -2}]


def test_a_known_row_is_checked_at_the_start(folder, models):
    row = json.dumps({"x0": 0, "x1": 9, "x2": None, "x3": 0}).encode()
    spec = {"columns": NUMBERS, "labels": ["a", "b", "c", "d"]}
    for files, label, message in (
        ({"row": row}, "b", None),
        ({"row": row}, "a", "expected 'a' and got 'b'"),
        ({"row": b'{"x0": 1}'}, "a", "rows[0] has no x1"),
        ({"row": b"["}, "a", "not JSON"),
        ({}, "a", "there is no row for the smoke test"),
    ):
        path = folder(models.identity(shape=("n", 4)), files=files, smoke_test={"row": "row", "label": label}, **spec)
        if message is None:
            assert load(path).smoke.label == "b"
        else:
            with pytest.raises(Exception, match=message.replace("[", r"\[")):
                load(path)
        (path / "row").unlink(missing_ok=True)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from([*KINDS, "x0", "x1", "x2", "x3"]) | st.text(max_size=5)
NEARLY = st.fixed_dictionaries({name: st.just(value) | VALUES for name, value in GOOD.items()})
FUZZ = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(st.lists(NEARLY | st.dictionaries(NAMES, VALUES, max_size=8) | VALUES, max_size=4) | VALUES)
def test_no_rows_are_a_server_error(mixed, matrix, rows):
    for client in (mixed, matrix):
        status, _, answer = client.post("/score", {"rows": rows})
        assert status in (200, 400), answer


def test_reading_a_row_costs_little_more_than_reading_an_array():
    """The hot path: 30 numbers by name. A bound that a mistake (a loop in Python per value) would break."""
    import time

    names = [f"feature_{i:02}" for i in range(30)]
    rows = Rows([Column(name, "number") for name in names], [Tensor("x", "FP32", (-1, 30))], "")
    row = [dict(zip(names, np.arange(30.0).tolist(), strict=True))]
    best = math.inf
    for _ in range(20):
        started = time.perf_counter()
        for _ in range(100):
            rows.feed(row)
        best = min(best, (time.perf_counter() - started) / 100)
    assert best < 30e-6
