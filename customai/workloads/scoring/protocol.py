"""Open Inference Protocol v2 over JSON.

The text: https://github.com/kserve/open-inference-protocol

Requests: flat or nested data, `parameters` accepted and ignored, `outputs` honoured, unknown keys ignored.
Answers: flat data; NaN and infinity, which JSON cannot hold, are null. The binary tensor extension is not spoken.
"""

from dataclasses import dataclass
from typing import Any

from customai.workloads.scoring.answers import Answer, answer, bad
from customai.workloads.scoring.config import ModelConfig
from customai.workloads.scoring.json_body import parse_object
from customai.workloads.scoring.signature import Feed, Signature, Tensor, fits
from customai.workloads.scoring.tensors import DATATYPES, Array, Datatype, castable, shown, to_array

_INT = {int}


@dataclass(frozen=True)
class InferRequest:
    """feed in the signature's order; rows is its batch size; outputs are indexes into the signature's outputs."""

    id: str | None
    feed: Feed
    rows: int
    outputs: tuple[int, ...]


def parse(body: bytes, signature: Signature) -> InferRequest:
    """Raises RequestError (400) naming the field and what was expected there."""
    document = parse_object(body)
    identity = document.get("id")
    if identity is not None and not isinstance(identity, str):
        raise bad(f"id is {shown(identity)}", field="id", expected="a string")
    _check_parameters(document, "")
    given = _inputs(document, signature)
    feed = {tensor.name: given[tensor.name] for tensor in signature.inputs}
    return InferRequest(identity, feed, _rows(document, feed, signature), _requested(document, signature))


def encode(request: InferRequest, outputs: list[Array], signature: Signature, config: ModelConfig) -> Answer:
    """The answer to a request, from every output of the model."""
    document: dict[str, Any] = {"model_name": config.name, "model_version": config.version}
    if request.id is not None:
        document["id"] = request.id
    document["outputs"] = [_output(signature.outputs[i], outputs[i]) for i in request.outputs]
    return answer(document)


def _output(tensor: Tensor, array: Array) -> dict[str, Any]:
    flat = array.ravel()
    data = flat.tolist() if tensor.datatype == "BYTES" else flat
    return {"name": tensor.name, "shape": array.shape, "datatype": tensor.datatype, "data": data}


def _inputs(document: dict[str, Any], signature: Signature) -> Feed:
    inputs = document.get("inputs")
    if not isinstance(inputs, list):
        raise bad(f"inputs is {shown(inputs)}", field="inputs", expected=f"an array with {_names(signature)}")
    given: Feed = {}
    for i, item in enumerate(inputs):
        field = f"inputs[{i}]"
        if not isinstance(item, dict):
            raise bad(f"{field} is {shown(item)}", field=field, expected="an object: name, shape, datatype, data")
        tensor = _named(item, field, signature)
        if tensor.name in given:
            raise bad(f"{tensor.name} is given twice", field=f"{field}.name", expected="each input once")
        _check_parameters(item, f"{field}.")
        given[tensor.name] = _tensor(item, field, tensor)
    missing = next((tensor.name for tensor in signature.inputs if tensor.name not in given), None)
    if missing is not None:
        raise bad(f"input {missing} is missing", field="inputs", expected=_names(signature))
    return given


def _named(item: dict[str, Any], field: str, signature: Signature) -> Tensor:
    name = item.get("name")
    tensor = signature.by_name.get(name) if isinstance(name, str) else None
    if tensor is None:
        raise bad(
            f"{field}.name is {shown(name)}: the model has no such input",
            field=f"{field}.name",
            expected=_names(signature),
        )
    return tensor


def _tensor(item: dict[str, Any], field: str, tensor: Tensor) -> Array:
    datatype = _datatype(item.get("datatype"), f"{field}.datatype", tensor)
    shape = _shape(item.get("shape"), f"{field}.shape", tensor)
    if "data" not in item:
        raise bad(f"{field}.data is missing", field=f"{field}.data", expected="an array, flat or nested")
    array = to_array(item["data"], shape, datatype, f"{field}.data")
    return array.astype(DATATYPES[tensor.datatype].dtype, copy=False)


def _datatype(value: Any, field: str, tensor: Tensor) -> Datatype:
    if not isinstance(value, str) or value not in DATATYPES:
        raise bad(f"{field} is {shown(value)}", field=field, expected=" | ".join(DATATYPES))
    if value != tensor.datatype and not castable(value, tensor.datatype):
        raise bad(
            f"{field} is {value}, which {tensor.datatype} cannot hold exactly", field=field, expected=tensor.datatype
        )
    return DATATYPES[value]


def _shape(value: Any, field: str, tensor: Tensor) -> list[int]:
    if not isinstance(value, list) or not set(map(type, value)) <= _INT or min(value, default=1) < 1:
        raise bad(f"{field} is not an array of sizes of at least 1", field=field, expected=str(list(tensor.shape)))
    if not fits(value, tensor.shape):
        text = str(value) if len(value) <= 2 * len(tensor.shape) + 2 else f"{len(value)} sizes"
        raise bad(
            f"{field} is {text}; the model takes {list(tensor.shape)}", field=field, expected=str(list(tensor.shape))
        )
    return value


def _rows(document: dict[str, Any], feed: Feed, signature: Signature) -> int:
    first = next(iter(feed.values()))
    rows = len(first) if first.ndim else 1
    if len(feed) == 1 or not signature.batched:
        return rows
    for i, item in enumerate(document["inputs"]):
        found = item["shape"][0]
        if found != rows:
            message = f"inputs[{i}] has {found} rows, but {signature.inputs[0].name} has {rows}"
            raise bad(message, field=f"inputs[{i}].shape", expected=f"[{rows}, ...]")
    return rows


def _requested(document: dict[str, Any], signature: Signature) -> tuple[int, ...]:
    outputs = document.get("outputs")
    if outputs is None or outputs == []:
        return tuple(range(len(signature.outputs)))
    if not isinstance(outputs, list):
        raise bad(f"outputs is {shown(outputs)}", field="outputs", expected="an array of objects with a name")
    indexes = []
    for i, item in enumerate(outputs):
        name = item.get("name") if isinstance(item, dict) else item
        index = signature.output_index.get(name) if isinstance(item, dict) and isinstance(name, str) else None
        if index is None:
            expected = ", ".join(tensor.name for tensor in signature.outputs)
            field = f"outputs[{i}].name" if isinstance(item, dict) else f"outputs[{i}]"
            raise bad(f"{field} is {shown(name)}: the model has no such output", field=field, expected=expected)
        indexes.append(index)
    return tuple(dict.fromkeys(indexes))


def _check_parameters(holder: dict[str, Any], path: str) -> None:
    parameters = holder.get("parameters")
    if parameters is not None and not isinstance(parameters, dict):
        field = f"{path}parameters"
        raise bad(f"{field} is {shown(parameters)}", field=field, expected="an object")


def _names(signature: Signature) -> str:
    return ", ".join(tensor.name for tensor in signature.inputs)
