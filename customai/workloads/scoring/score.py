"""POST /score: images or rows in, labels out. The short form for people and scripts; /infer is the standard one."""

import base64
import binascii
from typing import Any

import numpy as np

from customai.workloads.scoring.answers import Answer, RequestError, answer, bad
from customai.workloads.scoring.classes import named, predictions
from customai.workloads.scoring.config import ModelConfig
from customai.workloads.scoring.json_body import parse_object
from customai.workloads.scoring.model import Model
from customai.workloads.scoring.signature import Feed, Signature, Tensor
from customai.workloads.scoring.tensors import DATATYPES, Array, shown, to_array


def parse(body: bytes, model: Model, max_rows: int) -> "list[bytes] | Feed":
    """The images' bytes, or the rows as the model's inputs. Raises RequestError (400) naming the field."""
    document = parse_object(body)
    if ("images" in document) == ("rows" in document):
        raise bad(
            'the body needs either "images" or "rows"', expected='{"images": [base64, ...]} or {"rows": [row, ...]}'
        )
    key = "images" if "images" in document else "rows"
    items = document[key]
    rows = model.rows
    if not isinstance(items, list) or not items:
        raise bad(f"{key} is not an array of at least one {key[:-1]}", field=key, expected=_expected(key, model))
    if len(items) > max_rows:
        raise bad(f"{key} holds {len(items)}", field=key, expected=f"at most {max_rows} {key} a request")
    if key == "images":
        return _images(items)
    if rows is not None and (isinstance(items[0], dict) or len(model.signature.inputs) > 1):
        return rows.feed(items)
    tensor = one_input(model.signature, model.config.name)
    if isinstance(items[0], dict):
        raise bad(
            "the model's columns have no names, so a row is no object",
            field="rows[0]",
            expected=_expected(key, model),
        )
    return {tensor.name: _rows(items, tensor)}


def _expected(key: str, model: Model) -> str:
    if key == "images":
        return "base64 texts"
    if model.rows is not None:
        return f"objects with {', '.join(model.rows.names)}"
    return f"rows of shape {list(model.signature.inputs[0].shape[1:])}"


def encode(outputs: list[Array], signature: Signature, config: ModelConfig) -> Answer:
    """Per row a label where the model has classes, a value where it is a regression, otherwise its outputs."""
    model = {"name": config.name, "version": config.version, "sha256": config.sha256}
    rows: list[dict[str, Any]]
    if signature.classes is not None:
        scores = outputs[signature.classes]
        if config.labels is None and signature.label is not None:
            rows = named(scores, config, outputs[signature.label])
        else:
            rows = predictions(scores, config)
    elif signature.value is not None:
        rows = [{"value": value} for value in outputs[signature.value].reshape(-1).tolist()]
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


def _images(items: list[Any]) -> list[bytes]:
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


def _rows(rows: list[Any], tensor: Tensor) -> Array:
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
    pairs = list(zip((tensor.name for tensor in signature.outputs), outputs, strict=True))
    if not signature.batched:
        return [{"outputs": {name: _value(array) for name, array in pairs}}]
    return [{"outputs": {name: _value(array[i]) for name, array in pairs}} for i in range(len(outputs[0]))]


def _value(array: Any) -> Any:
    return array.tolist() if isinstance(array, np.ndarray | np.generic) else array
