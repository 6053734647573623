"""Rows of a table -> the model's inputs: which column goes where, and the columns' buffers as tensors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from customai.errors import SpecError
from customai.workloads.batch.request import Request
from customai.workloads.scoring.signature import Signature, Tensor
from customai.workloads.scoring.tensors import DATATYPES

ROW, FILE = "row", "file"  # the columns that say where a row came from, where nothing is kept
BATCH_BYTES = 8 * 2**20  # of one run of the model: fits the caches' neighbourhood, and makes the call's cost nothing
MOST_ROWS = 16_384


class Refused(NamedTuple):
    """An input that could not be scored; row is None for a whole file or image."""

    file: str
    row: int | None
    reason: str


@dataclass
class Batch:
    """What one run of the model is given, and what goes to the output beside its answer."""

    file: str
    rows: NDArray[np.int64] | None  # their numbers in the file; None: `names` says it
    kept: pa.RecordBatch
    feed: dict[str, NDArray[Any]]
    keys: list[Any] | None = None  # of the model of each row
    names: list[str] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    def __len__(self) -> int:
        return int(self.kept.num_rows)

    def refuse(self, index: int, reason: str) -> Refused:
        if self.rows is None:
            return Refused(self.names[index], None, reason)
        return Refused(self.file, int(self.rows[index]), reason)


@dataclass(frozen=True)
class Layout:
    """columns -> input: all of them side by side for a model with one matrix, or one column per input."""

    matrix: tuple[str, ...]  # the columns of the one matrix; empty: by name
    tensors: tuple[Tensor, ...]
    keep: tuple[str, ...]
    key: str
    null_text: str

    @property
    def features(self) -> tuple[str, ...]:
        return self.matrix or tuple(tensor.name for tensor in self.tensors)

    @property
    def needed(self) -> list[str]:
        """Every column that is read, once."""
        return list(dict.fromkeys((*self.features, *self.keep, *((self.key,) if self.key else ()))))

    def tensor_of(self, column: str) -> Tensor:
        return self.tensors[0] if self.matrix else next(each for each in self.tensors if each.name == column)

    def batch_rows(self, asked: int) -> int:
        width = max(1, len(self.features)) * 8
        return asked or max(1, min(MOST_ROWS, BATCH_BYTES // width))

    def check(self, schema: pa.Schema, where: str, *, text: bool) -> None:
        """Raises SpecError for a column that is missing, or that the model cannot take; of text, each value will tell."""
        missing = [name for name in self.needed if name not in schema.names]
        if missing:
            raise SpecError(
                f"missing column{'s' * (len(missing) > 1)}: {', '.join(missing)}",
                where=where,
                hint=f"the file has {_listed(schema.names)}",
            )
        for name in self.features:
            found, tensor = _plain(schema.field(name).type), self.tensor_of(name)
            if not text and not _takes(tensor, found):
                hint = f"the model's input {tensor.name} is {tensor.datatype}"
                raise SpecError(f"column {name} is {found}, which the model cannot take", where=where, hint=hint)


def layout_of(signature: Signature, request: Request, schema: pa.Schema, where: str, *, text: bool) -> Layout:
    """How this file's columns feed this model. Raises SpecError."""
    tensors = signature.inputs
    if len(tensors) == 1 and len(tensors[0].shape) == 2 and tensors[0].shape[1] != 1:
        matrix = request.columns or tuple(_numeric(schema, {*request.keep, request.key}))
        wanted = tensors[0].shape[1]
        if wanted not in (-1, len(matrix)):
            chosen = "`columns` names" if request.columns else "the file's numeric columns are"
            raise SpecError(
                f"the model takes {wanted} numbers a row, but {chosen} {len(matrix)}: {_listed(matrix)}",
                where=where,
                hint="list the model's inputs in `columns`, in the order it was trained with",
            )
    elif request.columns and len(tensors) == 1 and len(request.columns) == 1:
        matrix = request.columns
    else:
        matrix = ()
        wrong = [tensor.name for tensor in tensors if tensor.shape not in ((-1,), (-1, 1))]
        if wrong:
            raise SpecError(f"rows cannot fill the model's input {wrong[0]}: it is no column", where=where)
    layout = Layout(matrix, tensors, request.keep, request.key, request.null_text)
    layout.check(schema, where, text=text)
    return layout


def batch_of(table: pa.RecordBatch, numbers: NDArray[np.int64], file: str, kept: pa.Schema, layout: Layout) -> Batch:
    """The rows as the model takes them; those that it cannot take are refused."""
    table, numbers, refused = _without_nulls(table, numbers, file, layout)
    batch = Batch(file, numbers, _kept(table, numbers, file, kept, layout), {}, refused=refused)
    if layout.key:
        batch.keys = table.column(layout.key).cast(pa.string()).to_pylist()
    if len(batch) and layout.matrix:
        batch.feed[layout.tensors[0].name] = _matrix(table, layout)
    elif len(batch):
        for tensor in layout.tensors:
            batch.feed[tensor.name] = _vector(table.column(tensor.name), tensor, layout).reshape(
                (-1,) + (1,) * (len(tensor.shape) - 1)
            )
    return batch


def kept_schema(layout: Layout, schema: pa.Schema, *, as_text: bool) -> pa.Schema:
    """What is carried to the output; a CSV's columns stay the text they are."""
    if not layout.keep:
        return pa.schema([(FILE, pa.string()), (ROW, pa.int64())])
    return pa.schema([(name, pa.string() if as_text else _plain(schema.field(name).type)) for name in layout.keep])


def _kept(
    table: pa.RecordBatch, numbers: NDArray[np.int64], file: str, kept: pa.Schema, layout: Layout
) -> pa.RecordBatch:
    if not layout.keep:
        return pa.RecordBatch.from_arrays([pa.repeat(file, len(numbers)), pa.array(numbers)], schema=kept)
    columns = [_as(table.column(name), kept.field(name).type) for name in layout.keep]
    return pa.RecordBatch.from_arrays(columns, schema=kept)


def _matrix(table: pa.RecordBatch, layout: Layout) -> NDArray[Any]:
    dtype = DATATYPES[layout.tensors[0].datatype].dtype
    target = pa.from_numpy_dtype(np.dtype(np.float32) if dtype == np.float16 else dtype)
    columns = [_as(table.column(name), target) for name in layout.matrix]
    side_by_side = pa.RecordBatch.from_arrays(columns, names=[str(number) for number in range(len(columns))])
    made: NDArray[Any] = side_by_side.to_tensor(null_to_nan=True, row_major=True).to_numpy()
    return made.astype(dtype, copy=False)


def _vector(column: pa.Array, tensor: Tensor, layout: Layout) -> NDArray[Any]:
    dtype = DATATYPES[tensor.datatype].dtype
    if dtype.kind == "O":
        texts = pc.fill_null(_as(column, pa.string()), layout.null_text)
        return np.array(texts.to_pylist(), dtype=object)
    if dtype.kind == "b":
        return np.array(_as(column, pa.bool_()).to_pylist(), dtype=bool)
    carrier = np.dtype(np.float32) if dtype == np.float16 else dtype
    numbers = _as(column, pa.from_numpy_dtype(carrier))
    if numbers.null_count:
        numbers = pc.fill_null(numbers, float("nan"))
    view = np.frombuffer(numbers.buffers()[1], carrier)
    return view[numbers.offset : numbers.offset + len(numbers)].astype(dtype, copy=False)


def _without_nulls(
    table: pa.RecordBatch, numbers: NDArray[np.int64], file: str, layout: Layout
) -> tuple[pa.RecordBatch, NDArray[np.int64], list[Refused]]:
    """Floats have NaN and texts have a marker for what is missing; whole numbers and truths have nothing."""
    strict = [name for name in layout.features if DATATYPES[layout.tensor_of(name).datatype].dtype.kind in "iub"]
    holes = [name for name in strict if table.column(name).null_count]
    if layout.key and table.column(layout.key).null_count:
        holes.append(layout.key)
    if not holes:
        return table, numbers, []
    good = np.ones(len(numbers), dtype=bool)
    refused = []
    for name in holes:
        for index in _where(pc.is_null(table.column(name))):
            if good[index]:
                refused.append(Refused(file, int(numbers[index]), f"column {name} is null"))
            good[index] = False
    return table.filter(pa.array(good.tolist())), numbers[good], refused


def _where(mask: pa.Array) -> Iterator[int]:
    yield from pc.indices_nonzero(mask).to_pylist()


def _as(column: pa.Array, target: pa.DataType) -> pa.Array:
    if column.type == target:
        return column
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_boolean(column.type) and pa.types.is_floating(target):
        column = column.cast(pa.int8())
    # A float is what the model computes with: the nearest one will do. Whole numbers must fit.
    return column.cast(target, safe=not pa.types.is_floating(target))


def _plain(found: pa.DataType) -> pa.DataType:
    return found.value_type if pa.types.is_dictionary(found) else found


def _is_number(found: pa.DataType) -> bool:
    kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean, pa.types.is_null)
    return any(kind(found) for kind in kinds)


def _takes(tensor: Tensor, found: pa.DataType) -> bool:
    kind = DATATYPES[tensor.datatype].dtype.kind
    if kind == "O":
        return bool(
            pa.types.is_string(found)
            or pa.types.is_large_string(found)
            or pa.types.is_integer(found)
            or pa.types.is_null(found)
        )
    if kind in "iu":
        return bool(pa.types.is_integer(found) or pa.types.is_boolean(found) or pa.types.is_null(found))
    if kind == "b":
        return bool(pa.types.is_boolean(found) or pa.types.is_null(found))
    return _is_number(found)


def _numeric(schema: pa.Schema, beside: set[str]) -> Iterator[str]:
    yield from (field.name for field in schema if field.name not in beside and _is_number(_plain(field.type)))


def _listed(names: Any, most: int = 12) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
