"""A DataFrame -> the same rows with their answer: by onnxruntime in Spark's Python workers, or by the pipeline itself.

Each row that comes in goes out once: what is kept of it, its answer, and `error`, which is null where there is an answer.
Spark's own expressions find and fill what is missing, so that the model's inputs reach Python without a null.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from customai.errors import NotFound, SpecError
from customai.workloads.spark.dataset import NUMBER, TEXT
from customai.workloads.spark.pipeline import inputs_of

ERROR = "error"
Sessions = dict[str, Any]
_sessions: Sessions = {}  # of this Python worker, by the model's digest


@dataclass(frozen=True)
class OnnxScorer:
    """Called by Spark in each Python worker; its model travels with it.

    Attributes:
        features: column -> number | text, in the order of the model's inputs, or of its one matrix.
        labels: of the classes; empty: their numbers.
        output: the model's output that is wanted.
        classes: whether that output is a probability (or logit) for each class.
    """

    model: bytes = field(repr=False)
    sha256: str
    inputs: tuple[tuple[str, str, int], ...]  # name, numpy dtype, dimensions
    features: Mapping[str, str]
    labels: tuple[str, ...]
    logits: bool
    output: str
    classes: bool

    @classmethod
    def load(cls, folder: Path, columns: Sequence[str] = ()) -> OnnxScorer:
        """The scorer of a model folder; `columns` names the columns of a model with one matrix.

        Raises:
            what the scoring server would say of the folder; SpecError where the columns are not the model's.
        """
        from customai.workloads.scoring.model import load

        model = load(folder)
        tensors, outputs = model.signature.inputs, model.signature.outputs
        matrix = len(tensors) == 1 and len(tensors[0].shape) == 2 and tensors[0].shape[1] != 1
        if matrix and tensors[0].shape[1] not in (-1, len(columns)):
            wanted = f"the model takes {tensors[0].shape[1]} numbers a row, `columns` names {len(columns)}"
            raise SpecError(wanted, where="columns", hint="list them in the order it was trained with")
        kinds = {tensor.name: TEXT if tensor.datatype == "BYTES" else NUMBER for tensor in tensors}
        chosen = model.signature.classes
        return cls(
            model=(folder / "model.onnx").read_bytes(),
            sha256=model.config.sha256,
            inputs=tuple((t.name, _dtype(t.datatype), len(t.shape)) for t in tensors),
            features=dict.fromkeys(columns, NUMBER) if matrix else kinds,
            labels=model.config.labels or (),
            logits=model.config.scores == "logits",
            output=outputs[chosen if chosen is not None else -1].name,
            classes=chosen is not None,
        )

    @property
    def answer(self) -> dict[str, str]:
        """The columns it makes, and their types in Spark's words."""
        if not self.classes:
            return {"value": "double"}
        return {"label": "string" if self.labels else "int", "probability": "float"}

    def score(self, frame: Any, keep: Sequence[str]) -> Any:
        """`frame` as `prepared` made it."""
        from pyspark.sql.types import StringType, StructField, StructType, _parse_datatype_string

        made = [StructField(name, _parse_datatype_string(kind)) for name, kind in self.answer.items()]
        kept = [frame.schema[name] for name in keep]
        schema = StructType([*kept, *made, StructField(ERROR, StringType())])
        return frame.select(*keep, ERROR, *places(self.features)).mapInArrow(self, schema)

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        session = self._session()
        first = None
        for batch in batches:
            if first is None:
                first = batch.schema.get_field_index(places(self.features)[0])
            columns = batch.columns
            answers = self._answers(session.run([self.output], self._feed(columns[first:]))[0])
            errors = columns[first - 1]
            if errors.null_count < len(errors):
                fine = pc.is_null(errors)
                answers = [pc.if_else(fine, answer, pa.scalar(None, answer.type)) for answer in answers]
            names = [*batch.schema.names[: first - 1], *self.answer, ERROR]
            yield pa.RecordBatch.from_arrays([*columns[: first - 1], *answers, errors], names=names)

    def _session(self) -> Any:
        """One in each Python worker, with one thread: Spark already runs a worker on every core."""
        if self.sha256 not in _sessions:
            os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
            import onnxruntime as ort

            options = ort.SessionOptions()
            options.intra_op_num_threads = 1
            options.log_severity_level = 4
            _sessions[self.sha256] = ort.InferenceSession(self.model, options, providers=["CPUExecutionProvider"])
        return _sessions[self.sha256]

    def _feed(self, columns: Sequence[pa.Array]) -> dict[str, Any]:
        if len(self.inputs) == len(columns):
            pairs = zip(self.inputs, columns, strict=True)
            return {name: _tensor(column, dtype, dimensions) for (name, dtype, dimensions), column in pairs}
        name, dtype, _ = self.inputs[0]
        matrix = np.empty((len(columns[0]), len(columns)), dtype)
        for number, column in enumerate(columns):
            matrix[:, number] = column.to_numpy()
        return {name: matrix}

    def _answers(self, found: Any) -> list[pa.Array]:
        if not self.classes:
            return [pa.array(found.reshape(len(found), -1)[:, 0].astype(np.float64))]
        best = found.argmax(axis=1)
        probability = found[np.arange(len(found)), best].astype(np.float32)
        if self.logits:
            probability = 1 / np.exp(found - found.max(axis=1, keepdims=True)).sum(axis=1).astype(np.float32)
        number = pa.array(best.astype(np.int32))
        return [pa.array(self.labels).take(number) if self.labels else number, pa.array(probability)]


@dataclass(frozen=True)
class PipelineScorer:
    """Scores with a SparkML pipeline as `PipelineModel.save` left it."""

    model: Any
    features: Mapping[str, str]
    labels: tuple[str, ...]
    classes: bool

    @classmethod
    def load(cls, folder: str, labels: tuple[str, ...]) -> PipelineScorer:
        from pyspark.ml import PipelineModel

        from customai.workloads.spark.session import address

        if "://" not in folder and not (Path(folder) / "metadata").is_dir():
            raise NotFound("this is not a saved SparkML pipeline", where=folder, hint="PipelineModel.save makes one")
        model = PipelineModel.load(address(folder))
        return cls(model, inputs_of(model), labels, model.stages[-1].hasParam("probabilityCol"))

    @property
    def answer(self) -> dict[str, str]:
        """The columns it makes, and their types in Spark's words."""
        if not self.classes:
            return {"value": "double"}
        return {"label": "string" if self.labels else "int", "probability": "float"}

    def score(self, frame: Any, keep: Sequence[str]) -> Any:
        from pyspark.ml.functions import vector_to_array
        from pyspark.sql import functions as f

        raw = [f.col(place).alias(name) for name, place in zip(self.features, places(self.features), strict=True)]
        answered = self.model.transform(frame.select(f.struct(*keep, ERROR).alias("kept"), *raw))
        if self.classes:
            number = f.col("prediction").cast("int")
            label = f.element_at(f.array(*map(f.lit, self.labels)), number + 1) if self.labels else number
            probability = f.array_max(vector_to_array(f.col("probability"))).cast("float")
            answer = [label, probability]
        else:
            answer = [f.col("prediction")]
        fine = f.col(f"kept.{ERROR}").isNull()
        masked = [f.when(fine, column).alias(name) for name, column in zip(self.answer, answer, strict=True)]
        return answered.select(*(f.col(f"kept.`{name}`") for name in keep), *masked, f.col(f"kept.{ERROR}"))


def places(features: Mapping[str, str]) -> list[str]:
    """What the features are called between `prepared` and the scorer: a kept column may have the same name."""
    return [f"feature {number}" for number in range(len(features))]


def prepared(
    frame: Any, features: Mapping[str, str], keep: Sequence[str], *, nulls: str = "error", corrupt: str = ""
) -> Any:
    """What is kept, `error`, and the features as the model takes them: numbers as doubles, nothing null.

    nulls: "error" refuses a row in which a feature is missing; "nan" hands NaN or an empty text to the model.
    corrupt: the column that holds a whole line which could not be read.
    """
    from pyspark.sql import functions as f

    given = dict(frame.dtypes)
    values, wrong = [], []
    if corrupt:
        line = f.concat(f.lit("it cannot be read: "), f.substring(corrupt, 1, 200))
        wrong.append(f.when(f.col(corrupt).isNotNull(), line))
    for (name, kind), place in zip(features.items(), places(features), strict=True):
        raw = f.col(f"`{name}`")
        number = raw.cast("double") if given[name] != "string" else f.expr(f"try_cast(`{name}` as double)")
        value = raw if kind == TEXT else number
        missing = (
            value.isNull()
            if kind == TEXT or given[name] not in ("double", "float")
            else value.isNull() | f.isnan(value)
        )
        if kind != TEXT and given[name] == "string":
            unreadable = raw.isNotNull() & value.isNull() & (f.trim(raw) != "")
            wrong.append(f.when(unreadable, f.concat(f.lit(f"{name} is no number: "), f.substring(raw, 1, 50))))
        if nulls == "error":
            wrong.append(f.when(missing, f"{name} is missing"))
        filler = f.lit("") if kind == TEXT else f.lit(0.0 if nulls == "error" else float("nan"))
        values.append(f.when(missing, filler).otherwise(value).alias(place))
    error = f.coalesce(*wrong) if wrong else f.lit(None).cast("string")
    return frame.select(*keep, error.alias(ERROR), *values)


def check_keep(keep: Sequence[str], answer: Sequence[str]) -> None:
    clash = {*keep} & {*answer, ERROR}
    if clash:
        raise SpecError(f"`keep` names a column that is made here: {', '.join(sorted(clash))}", where="keep")


def _dtype(datatype: str) -> str:
    from customai.workloads.scoring.tensors import DATATYPES

    return "O" if datatype == "BYTES" else str(np.dtype(DATATYPES[datatype].dtype))


def _tensor(column: pa.Array, dtype: str, dimensions: int) -> Any:
    values = column.to_numpy(zero_copy_only=False)
    values = values if values.dtype == dtype else values.astype(dtype)
    return values if dimensions == 1 else values[:, np.newaxis]
