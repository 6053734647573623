"""A trained SparkML pipeline as one ONNX file, which decides as Spark does: in doubles, with Spark's own thresholds.

One input per raw column, by its name: [rows, 1] of text or double. One output: `probability` [rows, classes] of a
classifier, `value` [rows, 1] of a regressor.

    stage -> nodes of the graph     one function each, in STAGES
    trees -> a TreeEnsemble         trees.py
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from customai.errors import NotAvailable
from customai.workloads.spark.pipeline import named
from customai.workloads.spark.trees import ensemble

OPSET, OPSET_ML, IR = 17, 3, 8  # what onnxruntime has read since 2022


class Graph:
    """An ONNX graph in the making: which tensor holds each of Spark's columns, and how wide it is."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs: dict[str, int] = {}  # raw column -> ONNX type
        self.columns: dict[str, tuple[str, int]] = {}  # Spark's column -> tensor, width

    def raw(self, column: str, kind: int) -> tuple[str, int]:
        """The tensor of a column; an input of the model where no stage has made it."""
        if column not in self.columns:
            self.inputs[column] = kind
            self.columns[column] = (column, 1)
        return self.columns[column]

    def constant(self, values: Any, dtype: Any = np.float64) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def add(self, operator: str, *inputs: str, domain: str = "", output: str = "", **attributes: Any) -> str:
        """Adds a node; gives its output."""
        output = output or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], domain=domain, **attributes))
        return output

    def double(self, tensor: str) -> str:
        return self.add("Cast", tensor, to=TensorProto.DOUBLE)


def to_onnx(pipeline: Any, file: Path, *, about: str = "") -> list[str]:
    """Writes a PipelineModel as ONNX; gives the names of its inputs, Spark's raw columns.

    Raises:
        NotAvailable: a stage that cannot be converted; which, and what can.
    """
    graph = Graph()
    *before, last = pipeline.stages
    label = last.getLabelCol() if last.hasParam("labelCol") else None
    for stage in before:
        if label is None or label not in named(stage, "outputCol"):  # the answer's own encoding is no part of scoring
            _convert(stage, graph)
    _convert(last, graph)
    kind, name = type(last).__name__, "value" if type(last).__name__ in REGRESSORS else "probability"
    width = 1 if name == "value" else last.numClasses
    inputs = [helper.make_tensor_value_info(column, kind, ["rows", 1]) for column, kind in graph.inputs.items()]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", width])]
    made = helper.make_model(
        helper.make_graph(graph.nodes, kind, inputs, outputs, graph.constants, doc_string=about),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", OPSET_ML)],
        producer_name="customai",
        ir_version=IR,
    )
    onnx.checker.check_model(made, full_check=True)
    file.write_bytes(made.SerializeToString())
    return list(graph.inputs)


def _convert(stage: Any, graph: Graph) -> None:
    name = type(stage).__name__
    if name not in STAGES:
        raise NotAvailable(
            f"a stage of the pipeline cannot be converted to ONNX: {name}",
            where=stage.uid,
            hint=f"those that can: {', '.join(STAGES)}; with another, score by the pipeline itself: `scorer: sparkml`",
        )
    STAGES[name](stage, graph)


def _columns(stage: Any) -> tuple[list[str], list[str]]:
    """The columns that a stage reads and makes."""
    return named(stage, "inputCol"), named(stage, "outputCol")


# Stages


def _string_indexer(stage: Any, graph: Graph) -> None:
    if stage.getHandleInvalid() != "keep":
        raise NotAvailable(
            "StringIndexer needs handleInvalid='keep': a model that serves meets texts it has never seen",
            where=stage.uid,
        )
    for read, made, labels in zip(*_columns(stage), stage.labelsArray, strict=True):
        tensor, _ = graph.raw(read, TensorProto.STRING)
        index = graph.add(
            "LabelEncoder",
            tensor,
            domain="ai.onnx.ml",
            keys_strings=list(labels),
            values_floats=[float(i) for i in range(len(labels))],
            default_float=float(len(labels)),
        )
        graph.columns[made] = (graph.double(index), 1)


def _one_hot(stage: Any, graph: Graph) -> None:
    for read, made, size in zip(*_columns(stage), stage.categorySizes, strict=True):
        width = size + (stage.getHandleInvalid() == "keep") - stage.getDropLast()
        index = graph.add("Cast", graph.raw(read, TensorProto.DOUBLE)[0], to=TensorProto.INT64)
        depth, values = graph.constant(width, np.int64), graph.constant([0, 1], np.float32)
        hot = graph.add("Flatten", graph.add("OneHot", index, depth, values))
        graph.columns[made] = (graph.double(hot), width)


def _imputer(stage: Any, graph: Graph) -> None:
    if not np.isnan(stage.getMissingValue()):
        raise NotAvailable("Imputer is converted only with missingValue=NaN", where=stage.uid)
    row = stage.surrogateDF.first().asDict()
    for read, made in zip(*_columns(stage), strict=True):
        tensor, _ = graph.raw(read, TensorProto.DOUBLE)
        filled = graph.add("Where", graph.add("IsNaN", tensor), graph.constant(row[read]), tensor)
        graph.columns[made] = (filled, 1)


def _assembler(stage: Any, graph: Graph) -> None:
    parts = [graph.raw(column, TensorProto.DOUBLE) for column in stage.getInputCols()]
    tensor = graph.add("Concat", *(tensor for tensor, _ in parts), axis=1)
    graph.columns[stage.getOutputCol()] = (tensor, sum(width for _, width in parts))


def _scaler(stage: Any, graph: Graph) -> None:
    tensor, width = graph.columns[stage.getInputCol()]
    if stage.getWithMean():
        tensor = graph.add("Sub", tensor, graph.constant(stage.mean.toArray()))
    if stage.getWithStd():
        std = stage.std.toArray()
        scale = np.divide(1.0, std, out=np.zeros_like(std), where=std != 0)  # as Spark: a constant column becomes 0
        tensor = graph.add("Mul", tensor, graph.constant(scale))
    graph.columns[stage.getOutputCol()] = (tensor, width)


# Models


def _features(model: Any, graph: Graph) -> str:
    return graph.columns[model.getFeaturesCol()][0]


def _trees(model: Any, graph: Graph, weights: Sequence[float], *, output: str = "") -> str:
    trees = model.trees if hasattr(model, "trees") else [model]
    classes = 0 if _boosted(model) else getattr(model, "numClasses", 0)
    attributes = ensemble(trees, weights, classes=classes)
    return graph.add("TreeEnsembleRegressor", _features(model, graph), domain="ai.onnx.ml", output=output, **attributes)


def _boosted(model: Any) -> bool:
    return type(model).__name__.startswith("GBT")


def _boosted_classes(model: Any, graph: Graph) -> None:
    margin = _trees(model, graph, model.treeWeights)
    _two_classes(graph, graph.add("Mul", margin, graph.constant(2, np.float32)), np.float32)


def _voting_classes(model: Any, graph: Graph) -> None:
    count = len(model.trees) if hasattr(model, "trees") else 1
    _trees(model, graph, [1 / count] * count, output="probability")


def _tree_value(model: Any, graph: Graph) -> None:
    if _boosted(model):
        weights = model.treeWeights
    else:
        count = len(model.trees) if hasattr(model, "trees") else 1
        weights = [1 / count] * count
    _trees(model, graph, weights, output="value")


def _logistic(model: Any, graph: Graph) -> None:
    weights, intercept = model.coefficientMatrix.toArray().T, model.interceptVector.toArray()
    product = graph.add("MatMul", _features(model, graph), graph.constant(weights))
    margin = graph.add("Add", product, graph.constant(intercept))
    if weights.shape[1] == 1:
        _two_classes(graph, margin, np.float64)
    else:
        graph.add("Cast", graph.add("Softmax", margin, axis=1), to=TensorProto.FLOAT, output="probability")


def _linear(model: Any, graph: Graph) -> None:
    product = graph.add("MatMul", _features(model, graph), graph.constant(model.coefficients.toArray()[:, None]))
    total = graph.add("Add", product, graph.constant([model.intercept]))
    graph.add("Cast", total, to=TensorProto.FLOAT, output="value")


def _two_classes(graph: Graph, log_odds: str, dtype: Any) -> None:
    """Both probabilities from the log odds of the second class."""
    second = graph.add("Sigmoid", log_odds)
    first = graph.add("Sub", graph.constant(1, dtype), second)
    both = graph.add("Concat", first, second, axis=1)
    graph.add("Cast", both, to=TensorProto.FLOAT, output="probability")


STAGES: dict[str, Callable[[Any, Graph], None]] = {
    "StringIndexerModel": _string_indexer,
    "OneHotEncoderModel": _one_hot,
    "ImputerModel": _imputer,
    "VectorAssembler": _assembler,
    "StandardScalerModel": _scaler,
    "GBTClassificationModel": _boosted_classes,
    "RandomForestClassificationModel": _voting_classes,
    "DecisionTreeClassificationModel": _voting_classes,
    "LogisticRegressionModel": _logistic,
    "GBTRegressionModel": _tree_value,
    "RandomForestRegressionModel": _tree_value,
    "DecisionTreeRegressionModel": _tree_value,
    "LinearRegressionModel": _linear,
}
REGRESSORS = {name for name in STAGES if "Regression" in name and name != "LogisticRegressionModel"}
