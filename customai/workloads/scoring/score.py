"""POST /score: images or rows in, labels out. The short form for people and scripts; /infer is the standard one."""

import base64
import binascii
from typing import Any

import numpy as np

from customai.workloads.scoring.answers import Answer, RequestError, answer, bad
from customai.workloads.scoring.classes import predictions
from customai.workloads.scoring.config import ModelConfig
from customai.workloads.scoring.json_body import parse_object
from customai.workloads.scoring.signature import Signature, Tensor
from customai.workloads.scoring.tensors import DATATYPES, Array, shown, to_array


def parse(body: bytes, signature: Signature) -> "list[bytes] | Array":
    """The images' bytes, or the rows as one array. Raises RequestError (400) naming the field."""
    document = parse_object(body)
    if ("images" in document) == ("rows" in document):
        raise bad(
            'the body needs either "images" or "rows"', expected='{"images": [base64, ...]} or {"rows": [row, ...]}'
        )
    if "images" in document:
        return _images(document["images"])
    return _rows(document["rows"], signature)


def encode(outputs: list[Array], signature: Signature, config: ModelConfig) -> Answer:
    """A label per row where the model has classes, otherwise its outputs per row."""
    model = {"name": config.name, "version": config.version, "sha256": config.sha256}
    rows: list[dict[str, Any]]
    if signature.classes is not None:
        rows = predictions(outputs[signature.classes], config)
    else:
        rows = _plain(outputs, signature)
    return answer({"model": model, "predictions": rows})


def one_input(signature: Signature, name: str) -> Tensor:
    """The model's only input. Raises RequestError where there are several, or where it has no rows."""
    if len(signature.inputs) != 1:
        message = f"the model has {len(signature.inputs)} inputs; /score is for models with one"
        raise bad(message, expected=f"POST /v2/models/{name}/infer")
    if not signature.inputs[0].shape:
        raise bad("the model takes a single number, not rows", expected=f"POST /v2/models/{name}/infer")
    return signature.inputs[0]


def _images(items: Any) -> list[bytes]:
    if not isinstance(items, list) or not items:
        raise bad("images is not an array of at least one image", field="images", expected="base64 texts")
    return [_decoded(item, f"images[{i}]") for i, item in enumerate(items)]


def _decoded(item: Any, field: str) -> bytes:
    if not isinstance(item, str):
        raise bad(f"{field} is {shown(item)}", field=field, expected="a base64 text")
    try:
        return base64.b64decode(item, validate=True)
    except (binascii.Error, ValueError):
        raise bad(
            f"{field} is not base64", field=field, expected="PNG or JPEG as base64, without line breaks"
        ) from None


def _rows(rows: Any, signature: Signature) -> Array:
    tensor = signature.inputs[0]
    if not isinstance(rows, list) or not rows:
        raise bad(
            "rows is not an array of at least one row", field="rows", expected=f"rows of shape {list(tensor.shape[1:])}"
        )
    fixed = tensor.shape[0]
    if fixed > 0 and len(rows) % fixed:
        raise bad(
            f"{len(rows)} rows; the model takes {fixed} at a time", field="rows", expected=f"a multiple of {fixed} rows"
        )
    shape = [len(rows), *_row_shape(rows[0], tensor.shape[1:])]
    try:
        return to_array(rows, shape, DATATYPES[tensor.datatype], "rows")
    except RequestError as error:
        # In /score nobody wrote a shape: say what a row looks like instead.
        if error.expected is not None and error.expected.startswith("an array of"):
            error.expected = f"rows of shape {list(tensor.shape[1:])}"
        raise


def _row_shape(row: Any, declared: tuple[int, ...]) -> list[int]:
    """The model's row shape; where a size is free, that of the first row."""
    shape = []
    for size in declared:
        found = len(row) if isinstance(row, list) and row else 1
        shape.append(found if size < 0 else size)
        row = row[0] if isinstance(row, list) and row else None
    return shape


def _plain(outputs: list[Array], signature: Signature) -> list[dict[str, Any]]:
    named = list(zip((tensor.name for tensor in signature.outputs), outputs, strict=True))
    if not signature.batched:
        return [{"outputs": {name: _value(array) for name, array in named}}]
    return [{"outputs": {name: _value(array[i]) for name, array in named}} for i in range(len(outputs[0]))]


def _value(array: Any) -> Any:
    return array.tolist() if isinstance(array, np.ndarray | np.generic) else array
