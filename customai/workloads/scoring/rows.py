"""Rows as JSON objects, {"age": 41, "city": "Oslo"} -> the model's inputs, or the one value that is wrong.

How each column is read is settled once, when the model is loaded. A request then costs one pass in C over its values;
only when something is wrong are the values looked at one by one, to name the culprit.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np

from customai.errors import RunFailed
from customai.workloads.scoring.answers import RequestError, bad
from customai.workloads.scoring.config import Column, ModelConfig
from customai.workloads.scoring.signature import Feed, Signature, Tensor
from customai.workloads.scoring.tensors import DATATYPES, Array, Datatype, shown

_NONE = type(None)
_TYPE_OF = {"f": "number", "i": "integer", "u": "integer", "b": "boolean", "O": "text"}  # by numpy's kind
_KINDS = {"number": "f", "integer": "fiu", "boolean": "fiub", "text": "O"}  # what may carry a column of this type
_ACCEPTS: dict[str, frozenset[type]] = {
    "number": frozenset({int, float}),
    "integer": frozenset({int}),
    "boolean": frozenset({bool}),
    "text": frozenset({str}),
}
_EXPECTED = {"number": "a number", "integer": "an integer", "boolean": "true or false", "text": "a string"}


@dataclass(frozen=True)
class Reader:
    """Reads the values of one column. null: what stands in for null, None: nothing does."""

    column: Column
    datatype: Datatype
    accepts: frozenset[type]
    null: Any
    expected: str

    def read(self, values: Sequence[Any]) -> Array:
        """The values as an array [rows]. Raises RequestError naming the row and the column."""
        kinds, filled = set(map(type, values)), values
        if self.null is not None and _NONE in kinds:
            kinds.remove(_NONE)
            filled = [self.null if value is None else value for value in values]
        if not kinds <= self.accepts or not self.fits(filled):
            raise self._culprit(values)
        return np.array(filled, self.datatype.dtype)

    def fits(self, values: Sequence[Any]) -> bool:
        kind = self.datatype.dtype.kind
        if kind in "iu":
            limits = np.iinfo(self.datatype.dtype)
            return bool(limits.min <= min(values) and max(values) <= limits.max)
        if kind != "f":
            return True
        with np.errstate(over="ignore"):  # JSON holds no NaN and no infinity: this is a number too large for the model
            return not np.isinf(np.array(values, self.datatype.dtype)).any()

    def _culprit(self, values: Sequence[Any]) -> RequestError:
        given = ((i, value) for i, value in enumerate(values) if value is not None or self.null is None)
        index = next(i for i, value in given if type(value) not in self.accepts or not self.fits([value]))
        field = f"rows[{index}].{self.column.name}"
        return bad(f"{field} is {shown(values[index])}", field=field, expected=self.expected)


class Rows:
    """Reads rows for one model."""

    def __init__(self, columns: Sequence[Column], tensors: Sequence[Tensor], where: str) -> None:
        """tensors: one per column, or the one that holds them all side by side. Raises RunFailed where they do not match."""
        self.columns = tuple(columns)
        self.names = tuple(column.name for column in columns)
        self._tensors = tensors
        each = tensors if len(tensors) == len(columns) else [tensors[0]] * len(columns)
        self._readers = [_reader(column, tensor, where) for column, tensor in zip(columns, each, strict=True)]
        self._pick = _picker(self.names)
        self._known = frozenset(self.names)
        # Nothing but numbers side by side: read as one list.
        self._plain = len(tensors) == 1 and all(column.type == "number" for column in columns)

    def feed(self, rows: list[Any]) -> Feed:
        """The model's inputs. Raises RequestError (400) naming the row and the column."""
        width = len(self.names)
        try:
            table = list(map(self._pick, rows))
        except (KeyError, TypeError):
            raise self._misshapen(rows) from None
        for row in rows:
            if len(row) != width:
                raise self._misshapen(rows)
        if self._plain:
            array = self._numbers(table, width)
            if array is not None:
                return {self._tensors[0].name: array}
        columns = [reader.read(values) for reader, values in zip(self._readers, zip(*table, strict=True), strict=True)]
        if len(self._tensors) < width:
            return {self._tensors[0].name: np.column_stack(columns)}
        pairs = zip(self._tensors, columns, strict=True)
        return {tensor.name: array if len(tensor.shape) == 1 else array[:, np.newaxis] for tensor, array in pairs}

    def _numbers(self, table: list[tuple[Any, ...]], width: int) -> Array | None:
        """All values at once; None where one of them needs a closer look."""
        flat = table[0] if len(table) == 1 else list(chain.from_iterable(table))
        tensor = self._tensors[0]
        if not set(map(type, flat)) <= _ACCEPTS["number"]:
            return None
        with np.errstate(over="ignore"):
            array = np.array(flat, self._readers[0].datatype.dtype)
        if not np.isfinite(array).all():
            return None
        return array if len(tensor.shape) == 1 else array.reshape(-1, width)

    def _misshapen(self, rows: list[Any]) -> RequestError:
        expected = f"an object with {', '.join(self.names)}"
        for i, row in enumerate(rows):
            if not isinstance(row, dict):
                return bad(f"rows[{i}] is {shown(row)}", field=f"rows[{i}]", expected=expected)
            unknown = next((name for name in row if name not in self._known), None)
            missing = [name for name in self.names if name not in row]
            if unknown is not None:
                message = f"the model has no column {shown(unknown)}{_did_you_mean(unknown, missing or self.names)}"
                return bad(message, field=f"rows[{i}].{unknown[:100]}", expected=expected)
            if missing:
                told = next(reader.expected for reader in self._readers if reader.column.name == missing[0])
                return bad(f"rows[{i}] has no {missing[0]}", field=f"rows[{i}].{missing[0]}", expected=told)
        raise AssertionError("every row is as it should be")


def rows_of(config: ModelConfig, signature: Signature, where: str = "") -> Rows | None:
    """How rows become this model's inputs; None for models that take none.

    Raises RunFailed where model.json's columns are not what the model takes.
    """
    inputs = signature.inputs
    if config.preprocessing is not None:
        return None
    singles = all(tensor.shape in ((-1,), (-1, 1)) for tensor in inputs)
    if config.columns is None:
        if not singles:
            return None
        kinds = [_TYPE_OF[DATATYPES[tensor.datatype].dtype.kind] for tensor in inputs]
        made = [Column(tensor.name, kind) for tensor, kind in zip(inputs, kinds, strict=True)]  # type: ignore[arg-type]
        return Rows(made, inputs, where)
    names = [column.name for column in config.columns]
    if singles and {tensor.name for tensor in inputs} == set(names):
        return Rows(config.columns, [signature.by_name[name] for name in names], where)
    if len(inputs) == 1 and inputs[0].shape in ((-1, len(names)), (-1, -1)):
        return Rows(config.columns, inputs, where)
    shapes = ", ".join(f"{t.name} {t.datatype} {list(t.shape)}" for t in inputs[:50])
    raise RunFailed(
        f"model.json has {len(names)} columns ({', '.join(names[:50])}), but the model takes {shapes}",
        where=where,
        hint="one input [-1, 1] per column, named as it is, or one [-1, columns] for all, in the columns' order",
    )


def _reader(column: Column, tensor: Tensor, where: str) -> Reader:
    datatype = DATATYPES[tensor.datatype]
    kind = datatype.dtype.kind
    if kind not in _KINDS[column.type]:
        raise RunFailed(
            f"column {column.name} is a {column.type}, but the model takes {tensor.datatype} for it", where=where
        )
    null = None
    if column.nullable:
        null = column.default if column.default is not None else math.nan if kind == "f" else None
        if null is None:
            raise RunFailed(
                f"column {column.name} is nullable, but {tensor.datatype} has no null",
                where=where,
                hint="say what stands for null: default",
            )
    expected = datatype.expected if kind in "iu" else _EXPECTED[column.type]
    reader = Reader(column, datatype, _ACCEPTS[column.type], null, expected + (" or null" if column.nullable else ""))
    if null is not None and not reader.fits([null]):
        raise RunFailed(f"column {column.name}: the default {null} does not fit into {tensor.datatype}", where=where)
    return reader


def _picker(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    if len(names) > 1:
        return itemgetter(*names)
    return lambda row: (row[names[0]],)


def _did_you_mean(name: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name[:100], known, 1)
    return f"; did you mean {near[0]}?" if near else ""
