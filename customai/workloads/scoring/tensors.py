"""JSON arrays -> numpy arrays, and the one element that is wrong when it does not go.

The fast path asks two questions of the whole list (which Python types are in it, are they in range) in C;
only when an answer is no are the elements looked at one by one, to name the culprit.
"""

import math
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from customai.workloads.scoring.answers import RequestError, bad

Array = NDArray[Any]
_SHOWN = 40  # characters of a wrong value that are repeated to the client


class Datatype(NamedTuple):
    """One datatype of the Open Inference Protocol and how its elements look in JSON."""

    name: str
    dtype: np.dtype[Any]
    ort: str  # what onnxruntime calls it
    accepts: frozenset[type]  # exact types: bool is not an int here
    expected: str


def _integer(name: str, dtype: type) -> Datatype:
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    text = f"an integer from {low} to {high}"
    return Datatype(name, np.dtype(dtype), f"tensor({dtype.__name__})", frozenset({int}), text)


def _real(name: str, dtype: type, ort: str) -> Datatype:
    text = f"a number no larger than {float(np.finfo(dtype).max):.4g}"
    return Datatype(name, np.dtype(dtype), ort, frozenset({int, float}), text)


DATATYPES = {
    datatype.name: datatype
    for datatype in (
        Datatype("BOOL", np.dtype(np.bool_), "tensor(bool)", frozenset({bool}), "true or false"),
        _integer("UINT8", np.uint8),
        _integer("UINT16", np.uint16),
        _integer("UINT32", np.uint32),
        _integer("UINT64", np.uint64),
        _integer("INT8", np.int8),
        _integer("INT16", np.int16),
        _integer("INT32", np.int32),
        _integer("INT64", np.int64),
        _real("FP16", np.float16, "tensor(float16)"),
        _real("FP32", np.float32, "tensor(float)"),
        _real("FP64", np.float64, "tensor(double)"),
        Datatype("BYTES", np.dtype(object), "tensor(string)", frozenset({str}), "a string"),
    )
}
BY_ORT = {datatype.ort: datatype for datatype in DATATYPES.values()}


def castable(source: str, target: str) -> bool:
    """May a tensor of source be given to a model that takes target?

    Only if every value survives: numpy's "safe" casting (INT32 -> FP64, FP16 -> FP32, UINT8 -> INT16; not FP64 -> FP32).
    """
    if "BYTES" in (source, target):
        return source == target
    return np.can_cast(DATATYPES[source].dtype, DATATYPES[target].dtype, "safe")


def to_array(data: Any, shape: Sequence[int], datatype: Datatype, field: str) -> Array:
    """Flat (row-major) or nested JSON data as an array of this shape. Raises RequestError naming the element."""
    nested = isinstance(data, list) and len(shape) > 1 and bool(data) and type(data[0]) is list
    flat = _flatten(data, shape, field) if nested else _exact(data, math.prod(shape), shape, field)
    name_of: Callable[[int], str] = (lambda i: field + index_path(i, shape)) if nested else (lambda i: f"{field}[{i}]")
    if not set(map(type, flat)) <= datatype.accepts:
        raise _culprit(flat, datatype, name_of)
    if datatype.dtype.kind in "iu":
        limits = np.iinfo(datatype.dtype)
        if flat and (min(flat) < limits.min or max(flat) > limits.max):
            raise _culprit(flat, datatype, name_of)
        return np.array(flat, dtype=datatype.dtype).reshape(shape)
    if datatype.dtype.kind != "f":
        return np.array(flat, dtype=datatype.dtype).reshape(shape)
    with np.errstate(over="ignore"):
        array = np.array(flat, dtype=datatype.dtype)
    if not np.isfinite(array).all():
        raise _culprit(flat, datatype, name_of)
    return array.reshape(shape)


def index_path(index: int, shape: Sequence[int]) -> str:
    """The place of element `index` (row-major) in nested arrays of this shape: 7 in (2, 5) is `[1][2]`."""
    places: list[int] = []
    for size in reversed(shape):
        index, place = divmod(index, size)
        places.append(place)
    return "".join(f"[{place}]" for place in reversed(places))


def shown(value: Any) -> str:
    """A wrong value as the client wrote it, more or less, and cut short."""
    if isinstance(value, list | dict):
        return "an array" if isinstance(value, list) else "an object"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = f'"{value[:_SHOWN]}"' if isinstance(value, str) else str(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _exact(data: Any, count: int, shape: Sequence[int], field: str) -> list[Any]:
    if not isinstance(data, list):
        raise bad(f"{field} is {shown(data)}, not an array", field=field, expected=f"{count} values")
    if len(data) != count:
        message = f"{field} holds {len(data)} values; shape {list(shape)} needs {count}"
        raise bad(message, field=field, expected=f"{count} values")
    return data


def _flatten(data: list[Any], shape: Sequence[int], field: str) -> list[Any]:
    """One level at a time, so that the work per element stays in C."""
    level: list[Any] = [data]
    for depth, size in enumerate(shape):
        for i, node in enumerate(level):
            if type(node) is not list or len(node) != size:
                place = field + index_path(i, shape[:depth])
                found = f"{len(node)} long" if isinstance(node, list) else shown(node)
                raise bad(
                    f"{place} is {found}", field=place, expected=f"an array of {size}, as shape {list(shape)} says"
                )
        level = list(chain.from_iterable(level))
    return level


def _culprit(flat: list[Any], datatype: Datatype, name_of: Callable[[int], str]) -> RequestError:
    index = next(i for i, value in enumerate(flat) if _is_wrong(value, datatype))
    field = name_of(index)
    return bad(f"{field} is {shown(flat[index])}", field=field, expected=f"{datatype.expected} ({datatype.name})")


def _is_wrong(value: Any, datatype: Datatype) -> bool:
    if type(value) not in datatype.accepts:
        return True
    if datatype.dtype.kind in "iu":
        limits = np.iinfo(datatype.dtype)
        return bool(not limits.min <= value <= limits.max)
    if datatype.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return not np.isfinite(np.array(value, dtype=datatype.dtype))
    return False
