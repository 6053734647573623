"""SparkML pipelines as ONNX, and both ways of scoring a DataFrame: one Spark session for all."""

# ruff: noqa: E402 (without the extra there is nothing to import)

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyspark", reason="the extra spark is not installed")
pa = pytest.importorskip("pyarrow", reason="the extra spark is not installed")

import onnxruntime as ort
from pyspark.ml import Pipeline, classification, feature, regression
from pyspark.ml.functions import vector_to_array

from customai.errors import NotAvailable
from customai.workloads.spark.export import to_onnx
from customai.workloads.spark.pipeline import inputs_of
from customai.workloads.spark.scorer import OnnxScorer, PipelineScorer, prepared
from customai.workloads.spark.session import session

pytestmark = pytest.mark.slow
PATHS = Path(__file__).parents[2] / "paths"
NUMBERS = ["age", "since_service", "vibration", "pressure"]
TOLERANCE = 1e-6


def rows(count: int) -> pa.Table:
    """Of path 2-1's own generator."""
    location = importlib.util.spec_from_file_location("generate", PATHS / "2-1" / "generate.py")
    assert location is not None
    assert location.loader is not None
    module = importlib.util.module_from_spec(location)
    location.loader.exec_module(module)
    made: pa.Table = module.block(1, 0).slice(0, count)
    return made


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    kept = {name: os.environ.get(name) for name in ("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON")}
    os.environ["PYSPARK_PYTHON"] = sys.executable
    with session("tests", master="local[2]", conf={"spark.driver.memory": "1g"}) as found:
        yield found
    for name, value in kept.items():
        os.environ.pop(name, None) if value is None else os.environ.update({name: value})


@pytest.fixture(scope="module")
def frame(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    import pyarrow.parquet as pq

    file = tmp_path_factory.mktemp("rows") / "rows.parquet"
    pq.write_table(rows(3000), file)
    return spark.read.parquet(f"file://{file}").cache()


def stages(*, hot: bool = False, scale: bool = False) -> list[Any]:
    kind = "type_hot" if hot else "type_index"
    made = [feature.StringIndexer(inputCol="type", outputCol="type_index", handleInvalid="keep")]
    if hot:
        made.append(feature.OneHotEncoder(inputCol="type_index", outputCol="type_hot"))
    made.append(feature.VectorAssembler(inputCols=[kind, *NUMBERS], outputCol="all" if scale else "features"))
    if scale:
        made.append(feature.StandardScaler(inputCol="all", outputCol="features", withMean=True))
    return made


CASES = {
    "boosted": ({}, classification.GBTClassifier, {"labelCol": "failed", "maxIter": 4, "seed": 1}),
    "boosted, scaled": (
        {"hot": True, "scale": True},
        classification.GBTClassifier,
        {"labelCol": "failed", "maxIter": 3, "seed": 1},
    ),
    "forest": ({}, classification.RandomForestClassifier, {"labelCol": "failed", "numTrees": 5, "seed": 1}),
    "tree, many classes": ({}, classification.DecisionTreeClassifier, {"labelCol": "alarms"}),
    "logistic": ({"hot": True, "scale": True}, classification.LogisticRegression, {"labelCol": "failed"}),
    "logistic, many classes": (
        {"hot": True},
        classification.LogisticRegression,
        {"labelCol": "alarms", "maxIter": 9},
    ),
    "boosted value": ({}, regression.GBTRegressor, {"labelCol": "voltage", "maxIter": 3, "seed": 1}),
    "forest value": ({}, regression.RandomForestRegressor, {"labelCol": "voltage", "numTrees": 4, "seed": 1}),
    "linear value": ({"hot": True, "scale": True}, regression.LinearRegression, {"labelCol": "voltage"}),
}


@pytest.mark.parametrize("case", CASES)
def test_the_onnx_file_says_what_spark_says_row_by_row(case: str, frame: Any, tmp_path: Path) -> None:
    before, kind, settings = CASES[case]
    trained = Pipeline(stages=[*stages(**before), kind(**settings)]).fit(frame)
    file = tmp_path / "model.onnx"
    names = to_onnx(trained, file)
    assert names == list(inputs_of(trained))
    unseen = frame.unionByName(frame.limit(5).selectExpr("*").drop("type").selectExpr("'robot' as type", "*"))
    answers = trained.transform(unseen)
    classes = trained.stages[-1].hasParam("probabilityCol")
    said = vector_to_array("probability") if classes else answers["prediction"]
    table = answers.select(*names, said.alias("said"), answers["prediction"].alias("decided")).toArrow()
    feed = {name: column(table[name]) for name in names}
    (found,) = ort.InferenceSession(file).run(None, feed)
    expected = np.array(table["said"].to_pylist()).reshape(found.shape)
    assert len(np.unique(expected)) > 5
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE)
    if classes:
        clear = np.sort(expected)[:, -1] - np.sort(expected)[:, -2] > TOLERANCE
        decided = table["decided"].to_numpy()
        assert (found.argmax(1) == decided)[clear].all()
        assert clear.mean() > 0.99


def column(values: Any) -> Any:
    found = values.to_numpy()
    return (found.astype(object) if values.type == pa.string() else found.astype(np.float64))[:, None]


def test_a_stage_that_cannot_be_converted_is_named(frame: Any, tmp_path: Path) -> None:
    polynomial = feature.PolynomialExpansion(inputCol="all", outputCol="features")
    assembler = feature.VectorAssembler(inputCols=NUMBERS, outputCol="all")
    trained = Pipeline(stages=[assembler, polynomial, regression.LinearRegression(labelCol="voltage")]).fit(frame)
    with pytest.raises(NotAvailable, match="PolynomialExpansion") as caught:
        to_onnx(trained, tmp_path / "model.onnx")
    assert "GBTClassificationModel" in caught.value.hint
    assert "sparkml" in caught.value.hint


def model_folder(folder: Path, file: Path, labels: list[str] | None) -> Path:
    folder.mkdir()
    (folder / "model.onnx").write_bytes(file.read_bytes())
    card = {"format": 1, "name": "m", "version": "1", "sha256": sha256(file.read_bytes()).hexdigest(), "labels": labels}
    (folder / "model.json").write_text(json.dumps(card))
    return folder


def test_both_scorers_give_every_row_the_same_answer_or_the_same_reason(spark: Any, tmp_path: Path) -> None:
    labels = ("ok", "failure")
    made = rows(400).to_pylist()
    wrong = {
        3: {"vibration": None},
        7: {"type": None},
        11: {"vibration": float("nan")},
        12: {"age": None, "type": None},
    }
    for number, values in wrong.items():
        made[number].update(values)
    kinds = "machine int, hour int, type string, age double, since_service int, voltage double, rotation double, pressure double, vibration double, alarms int, failed int"
    given = spark.createDataFrame([tuple(row.values()) for row in made], kinds).repartition(3)
    folder = model_folder(tmp_path / "model", PATHS / "2-3" / "model.onnx", list(labels))
    found = {}
    for scorer in (OnnxScorer.load(folder), PipelineScorer.load(str(PATHS / "2-3" / "pipeline"), labels)):
        keep = ("machine", "hour", "type")
        found[type(scorer)] = scorer.score(prepared(given, scorer.features, keep), keep).toArrow()
    onnx, pipeline = (sorted(table.to_pylist(), key=lambda row: row["machine"]) for table in found.values())
    assert [list(row) for row in onnx[:1]] == [["machine", "hour", "type", "label", "probability", "error"]]
    assert len(onnx) == len(pipeline) == 400
    for left, right in zip(onnx, pipeline, strict=True):
        apart = (left.pop("probability") or 0) - (right.pop("probability") or 0)
        assert left == right
        assert abs(apart) < TOLERANCE
    refused = {row["machine"] - 1: row["error"] for row in onnx if row["label"] is None}
    assert refused == {
        3: "vibration is missing",
        7: "type is missing",
        11: "vibration is missing",
        12: "type is missing",
    }
    assert {row["label"] for row in onnx if row["error"] is None} == set(labels)


def test_a_missing_number_reaches_a_model_that_wants_it(spark: Any, frame: Any, tmp_path: Path) -> None:
    imputer = feature.Imputer(inputCols=["vibration"], outputCols=["filled"])
    assembler = feature.VectorAssembler(inputCols=["filled", "age"], outputCol="features")
    model = regression.DecisionTreeRegressor(labelCol="voltage")
    trained = Pipeline(stages=[imputer, assembler, model]).fit(frame)
    to_onnx(trained, tmp_path / "model.onnx")
    scorer = OnnxScorer.load(model_folder(tmp_path / "model", tmp_path / "model.onnx", None))
    given = spark.createDataFrame([(1, None, 4.0), (2, 40.0, 4.0)], "id int, vibration double, age double")
    answers = scorer.score(prepared(given, scorer.features, ["id"], nulls="nan"), ["id"]).toArrow().to_pylist()
    expected = trained.transform(given).select("prediction").toArrow()["prediction"].to_pylist()
    np.testing.assert_allclose([row["value"] for row in answers], expected, rtol=TOLERANCE)
    assert [row["error"] for row in answers] == [None, None]


def test_one_matrix_takes_the_columns_in_the_order_that_is_given(spark: Any, tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    nodes = [helper.make_node("MatMul", ["x", "w"], ["value"])]
    weights = helper.make_tensor("w", TensorProto.FLOAT, [2, 1], [1.0, 100.0])
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])
    y = helper.make_tensor_value_info("value", TensorProto.FLOAT, ["n", 1])
    made = helper.make_model(
        helper.make_graph(nodes, "g", [x], [y], [weights]), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    (tmp_path / "model.onnx").write_bytes(made.SerializeToString())
    scorer = OnnxScorer.load(model_folder(tmp_path / "model", tmp_path / "model.onnx", None), ("b", "a"))
    given = spark.createDataFrame([(1, 2), (3, 4)], "a int, b int")
    answers = scorer.score(prepared(given, scorer.features, ["a"]), ["a"]).toArrow().to_pylist()
    assert [(row["a"], row["value"]) for row in answers] == [(1, 102.0), (3, 304.0)]
