"""The model's answers as columns: label and probability, or its outputs as they are; one model, or one for each key."""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from customai.errors import CustomAIError, RunFailed, SpecError
from customai.workloads.batch.request import Request
from customai.workloads.batch.rows import Batch, Refused
from customai.workloads.scoring.classes import probabilities
from customai.workloads.scoring.config import MODEL_FILE, ModelConfig, load_model_config
from customai.workloads.scoring.model import check_labels, short
from customai.workloads.scoring.signature import Feed, Signature, Tensor
from customai.workloads.scoring.tensors import BY_ORT, DATATYPES

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read once, at import
import onnxruntime as ort

MOST_MODELS = 64  # in memory at a time
_FATAL = 4
ort.set_default_logger_severity(_FATAL)
Columns = dict[str, pa.Array]


@dataclass(frozen=True)
class Answers:
    """Which outputs are asked for, and how they become columns."""

    outputs: tuple[Tensor, ...]
    scores: int | None  # which of them has one number per class; None: the outputs as they are
    own_label: int | None  # which of them is the model's own label
    config: ModelConfig

    def fields(self) -> list[tuple[str, pa.DataType]]:
        if self.scores is None:
            return [(tensor.name, _type(tensor)) for tensor in self.outputs]
        label = pa.string() if self.own_label is None else _type(self.outputs[self.own_label])
        return [("label", label), ("probability", pa.float32())]

    def columns(self, outputs: list[NDArray[Any]]) -> list[pa.Array]:
        if self.scores is None:
            return [_column(values, tensor) for values, tensor in zip(outputs, self.outputs, strict=True)]
        shares = probabilities(outputs[self.scores], self.config.scores)
        best = shares.argmax(axis=1)
        probability = pa.array(shares[np.arange(len(best)), best].astype(np.float32))
        if self.own_label is not None:
            return [_column(outputs[self.own_label], self.outputs[self.own_label]), probability]
        names = self.config.labels or tuple(str(index) for index in range(shares.shape[1]))
        return [pa.array(names, pa.string()).take(pa.array(best)), probability]


def answers_of(signature: Signature, config: ModelConfig, predictions: str) -> Answers:
    """Raises SpecError where labels are asked of a model that has none."""
    classes = signature.classes
    if predictions == "outputs" or (predictions == "auto" and classes is None):
        return Answers(signature.outputs, None, None, config)
    if classes is None:
        hint = "predictions: outputs"
        raise SpecError("the model has no output with a number per class, so it has no labels", hint=hint)
    own = next((tensor for tensor in signature.outputs if _is_label(tensor)), None)
    if own is None or config.labels is not None:
        return Answers((signature.outputs[classes],), 0, None, config)
    return Answers((own, signature.outputs[classes]), 1, 0, config)


class OneModel:
    """A session, and what to ask of it."""

    def __init__(self, data: bytes, config: ModelConfig, predictions: str, where: str) -> None:
        self.session, self.signature = _opened(data, where)
        check_labels(config, self.signature, where)
        self.answers = answers_of(self.signature, config, predictions)
        self.config = config
        self.names = [tensor.name for tensor in self.answers.outputs]
        sizes = {tensor.shape[0] for tensor in self.signature.inputs if tensor.shape}
        self.fixed = max((size for size in sizes if size > 0), default=0)  # rows that it takes at a time

    def score(self, feed: Feed) -> list[pa.Array]:
        return self.answers.columns(self._run(feed))

    def _run(self, feed: Feed) -> list[NDArray[Any]]:
        count = len(next(iter(feed.values())))
        if self.fixed in (0, count):
            found: list[NDArray[Any]] = self.session.run(self.names, feed)
            return found
        parts = []
        for start in range(0, count, self.fixed):
            chosen = np.minimum(np.arange(start, start + self.fixed), count - 1)  # the last one again, to fill up
            parts.append(self.session.run(self.names, {name: values[chosen] for name, values in feed.items()}))
        return [np.concatenate(each)[:count] for each in zip(*parts, strict=True)]


class Scorer:
    """Scores batches; what cannot be scored is refused, row by row."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.cards: OrderedDict[str, OneModel | str] = OrderedDict()
        if request.models:
            first = next(iter(request.models))
            model = self._of_key(first)
            if isinstance(model, str):
                raise RunFailed(model, where=request.models[first][0])
            self.model = model
        else:
            folder = Path(request.model)
            config = load_model_config(folder)
            data = _verified(folder / MODEL_FILE, config.sha256)
            self.model = OneModel(data, config, request.predictions, str(folder / MODEL_FILE))
        self.fields = self.model.answers.fields()

    def score(self, batch: Batch) -> tuple[pa.RecordBatch, list[Refused]]:
        """(kept columns and predictions of the rows that could be scored, in their order; the others)."""
        schema = pa.schema([*batch.kept.schema, *self.fields])
        if not len(batch):
            return pa.RecordBatch.from_pylist([], schema), []
        if batch.keys is None:
            done, columns, refused = _cautiously(self.model, batch, np.arange(len(batch)))
        else:
            done, columns, refused = self._by_key(batch)
        kept = batch.kept if len(done) == len(batch) else batch.kept.take(pa.array(done))
        return pa.RecordBatch.from_arrays([*kept.columns, *columns], schema=schema), refused

    def _by_key(self, batch: Batch) -> tuple[NDArray[np.int64], list[pa.Array], list[Refused]]:
        rows: dict[Any, list[int]] = {}
        for index, key in enumerate(batch.keys or ()):
            rows.setdefault(key, []).append(index)
        done, parts, refused = [], [], []
        for key, chosen in rows.items():
            model = self._of_key(key)
            if isinstance(model, str):
                refused += [batch.refuse(index, model) for index in chosen]
                continue
            indices, columns, more = _cautiously(model, batch, np.array(chosen))
            done.append(indices)
            parts.append(columns)
            refused += more
        if not done:
            return np.arange(0), [pa.array([], kind) for _, kind in self.fields], refused
        scattered = np.concatenate(done)
        order = np.argsort(scattered, kind="stable")
        columns = [pa.concat_arrays(each).take(pa.array(order)) for each in zip(*parts, strict=True)]
        return scattered[order], columns, refused

    def _of_key(self, key: str) -> OneModel | str:
        """The key's model, or why there is none. The least recently used one makes room."""
        if key in self.cards:
            self.cards.move_to_end(key)
            return self.cards[key]
        made: OneModel | str
        if key not in self.request.models:
            return f"there is no model for {self.request.key} '{key}'"
        file, sha256 = self.request.models[key]
        try:
            config = ModelConfig.from_json({**self.request.card, "sha256": sha256})
            made = OneModel(_verified(Path(file), sha256), config, self.request.predictions, file)
            if hasattr(self, "fields") and made.answers.fields() != self.fields:
                made = f"the model of {key} puts out {made.answers.fields()}, others {self.fields}"
        except CustomAIError as error:
            made = f"the model of {key} cannot be used: {error.message}"
        self.cards[key] = made
        if len(self.cards) > MOST_MODELS:
            self.cards.popitem(last=False)
        return made


def _cautiously(
    model: OneModel, batch: Batch, rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], list[pa.Array], list[Refused]]:
    """Scores these rows of the batch; where the model refuses some, halves them until it is known which."""
    whole = len(rows) == len(batch)
    feed = batch.feed if whole else {name: values[rows] for name, values in batch.feed.items()}
    try:
        return rows, model.score(feed), []
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - onnxruntime's exceptions share no base class
        if "bad allocation" in str(error) or "Failed to allocate" in str(error):
            raise MemoryError(short(error)) from None
        if len(rows) == 1:
            empty = [pa.array([], kind) for _, kind in model.answers.fields()]
            return rows[:0], empty, [batch.refuse(int(rows[0]), f"the model cannot score it: {short(error)}")]
    middle = len(rows) // 2
    left, right = _cautiously(model, batch, rows[:middle]), _cautiously(model, batch, rows[middle:])
    columns = [pa.concat_arrays(pair) for pair in zip(left[1], right[1], strict=True)]
    return np.concatenate([left[0], right[0]]), columns, left[2] + right[2]


def _opened(data: bytes, where: str) -> tuple[Any, Signature]:
    options = ort.SessionOptions()
    options.log_severity_level = _FATAL
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # the other cores have sessions of their own
    try:
        session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - as above
        raise RunFailed(f"onnxruntime cannot load the model: {short(error)}", where=where) from None
    return session, Signature(
        tuple(_tensor(node, where) for node in session.get_inputs()),
        tuple(_tensor(node, where) for node in session.get_outputs()),
    )


def _tensor(node: Any, where: str) -> Tensor:
    if node.type not in BY_ORT:
        hint = "for scikit-learn models: skl2onnx.to_onnx(..., options={'zipmap': False})"
        raise RunFailed(f"{node.name!r} is a {node.type}, no plain tensor", where=where, hint=hint)
    shape = tuple(size if isinstance(size, int) else -1 for size in node.shape)
    return Tensor(node.name, BY_ORT[node.type].name, shape)


def _verified(path: Path, sha256: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RunFailed(f"the model cannot be read: {error.strerror}", where=str(path)) from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise RunFailed("the model's file was changed since it was deployed", where=str(path), hint="deploy again")
    return data


def _is_label(tensor: Tensor) -> bool:
    kind = DATATYPES[tensor.datatype].dtype.kind
    return kind in "iuO" and tensor.shape in ((-1,), (-1, 1))


def _type(tensor: Tensor) -> pa.DataType:
    dtype = DATATYPES[tensor.datatype].dtype
    single = pa.string() if dtype.kind == "O" else pa.from_numpy_dtype(dtype)
    return single if tensor.shape in ((-1,), (-1, 1)) else pa.list_(single)


def _column(values: NDArray[Any], tensor: Tensor) -> pa.Array:
    kind = _type(tensor)
    if not pa.types.is_list(kind):
        flat = values.reshape(-1)
        return pa.array(flat.tolist() if values.dtype == object else flat, kind)
    flat = values.reshape(-1)
    width = flat.size // len(values)
    offsets = np.arange(0, flat.size + 1, max(width, 1), dtype=np.int32)
    inner = pa.array(flat.tolist() if values.dtype == object else flat, kind.value_type)
    return pa.ListArray.from_arrays(pa.array(offsets), inner)
