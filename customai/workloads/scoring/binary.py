"""The binary tensor extension: JSON first, then tensors as they lie in memory, little-endian and row-major.

The text: https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/extension_binary_data.md
A BYTES element is its length in four bytes, then as many bytes; here they must be UTF-8.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from customai.workloads.scoring.answers import Headers, bad
from customai.workloads.scoring.signature import Signature
from customai.workloads.scoring.tensors import Array, Datatype

HEADER = b"inference-header-content-length"
KIND = b"application/octet-stream"
_LENGTH = 4


def split(headers: Headers, size: int) -> int | None:
    """Where the JSON of a body of this size ends; None: it is all JSON. Raises RequestError."""
    value = headers.get(HEADER)
    if value is None:
        return None
    if not value.isdigit() or len(value) > 15 or int(value) > size:
        raise bad(
            f"Inference-Header-Content-Length is {value[:20].decode('latin-1')}, but the body has {size} bytes",
            field="Inference-Header-Content-Length",
            expected="the length of the JSON that the body begins with",
        )
    return int(value)


def has_text(signature: Signature) -> bool:
    return any(tensor.datatype == "BYTES" for tensor in signature.inputs)


def to_array(part: memoryview, shape: Sequence[int], datatype: Datatype, field: str) -> Array:
    """The tensor, without a copy where there is nothing to check. Raises RequestError."""
    if datatype.name == "BYTES":
        return np.array(_texts(part, math.prod(shape), field), dtype=object).reshape(shape)
    needed = math.prod(shape) * datatype.dtype.itemsize
    if len(part) != needed:
        raise bad(
            f"{field} holds {len(part)} bytes; {datatype.name} {list(shape)} needs {needed}",
            field=field,
            expected=f"{needed} bytes",
        )
    if datatype.dtype.kind == "b":
        truths: Array = np.frombuffer(part, np.uint8) != 0
        return truths.reshape(shape)
    array = np.frombuffer(part, datatype.dtype.newbyteorder("<")).astype(datatype.dtype, copy=False)
    return array.reshape(shape)


def to_bytes(array: Array, datatype: Datatype) -> bytes:
    if datatype.name != "BYTES":
        return np.ascontiguousarray(array, datatype.dtype.newbyteorder("<")).tobytes()
    parts: list[bytes] = []
    for text in array.ravel().tolist():
        encoded = text.encode() if isinstance(text, str) else bytes(text)
        parts += [len(encoded).to_bytes(_LENGTH, "little"), encoded]
    return b"".join(parts)


def _texts(part: memoryview, count: int, field: str) -> Iterable[Any]:
    texts: list[str] = []
    at, end = 0, len(part)
    while at < end:
        size = int.from_bytes(part[at : at + _LENGTH], "little")
        start = at + _LENGTH
        at = start + size
        if at > end:
            raise bad(
                f"{field}: element {len(texts)} ends beyond the tensor", field=field, expected="length, then bytes"
            )
        try:
            texts.append(str(part[start:at], "utf-8"))
        except UnicodeDecodeError:
            raise bad(f"{field}: element {len(texts)} is not UTF-8", field=field, expected="UTF-8 texts") from None
    if len(texts) != count:
        raise bad(
            f"{field} holds {len(texts)} elements; the shape needs {count}", field=field, expected=f"{count} texts"
        )
    return texts
