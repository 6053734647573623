"""Open Inference Protocol v2 over JSON.

The text: https://github.com/kserve/open-inference-protocol

Requests: flat or nested data, or the bytes behind the JSON (see binary); `outputs` honoured; of `parameters`, those of the
binary tensor extension are, others are accepted and ignored, and so are unknown keys.
Answers: flat data, or bytes where the request asks for them; NaN and infinity, which JSON cannot hold, are null there.
"""

from dataclasses import dataclass
from typing import Any

from customai.workloads.scoring import binary
from customai.workloads.scoring.answers import Answer, answer, bad
from customai.workloads.scoring.config import ModelConfig
from customai.workloads.scoring.json_body import parse_object
from customai.workloads.scoring.signature import Feed, Signature, Tensor, fits
from customai.workloads.scoring.tensors import DATATYPES, Array, Datatype, castable, shown, to_array

_INT = {int}


@dataclass(frozen=True)
class InferRequest:
    """feed in the signature's order; rows is its batch size; outputs are indexes into the signature's outputs.

    raw: those of the outputs that go back as bytes.
    """

    id: str | None
    feed: Feed
    rows: int
    outputs: tuple[int, ...]
    raw: frozenset[int] = frozenset()


def parse(body: bytes, signature: Signature, split: int | None = None) -> InferRequest:
    """split: where the JSON ends and tensors begin. Raises RequestError (400) naming the field and what was expected there."""
    document = parse_object(body if split is None else body[:split])
    identity = document.get("id")
    if identity is not None and not isinstance(identity, str):
        raise bad(f"id is {shown(identity)}", field="id", expected="a string")
    _check_parameters(document, "")
    given = _inputs(document, signature, _Tail(body, split))
    feed = {tensor.name: given[tensor.name] for tensor in signature.inputs} if len(given) > 1 else given
    outputs = _requested(document, signature)
    return InferRequest(identity, feed, _rows(document, feed, signature), outputs, _raw(document, outputs, signature))


def encode(request: InferRequest, outputs: list[Array], signature: Signature, config: ModelConfig) -> Answer:
    """The answer to a request, from every output of the model."""
    document: dict[str, Any] = {"model_name": config.name, "model_version": config.version}
    if request.id is not None:
        document["id"] = request.id
    if not request.raw:
        document["outputs"] = [_output(signature.outputs[i], outputs[i]) for i in request.outputs]
        return answer(document)
    parts: list[bytes] = []
    told = document["outputs"] = []
    for i in request.outputs:
        tensor, array = signature.outputs[i], outputs[i]
        if i not in request.raw:
            told.append(_output(tensor, array))
            continue
        parts.append(binary.to_bytes(array, DATATYPES[tensor.datatype]))
        size = {"binary_data_size": len(parts[-1])}
        told.append({"name": tensor.name, "shape": array.shape, "datatype": tensor.datatype, "parameters": size})
    head = answer(document).body
    return Answer(200, b"".join([head, *parts]), ((binary.HEADER, b"%d" % len(head)),), binary.KIND)


class _Tail:
    """The bytes behind the JSON, taken from the front."""

    def __init__(self, body: bytes, split: int | None) -> None:
        self._body, self._at = body, len(body) if split is None else split

    @property
    def left(self) -> int:
        return len(self._body) - self._at

    def take(self, size: Any, field: str) -> memoryview:
        if type(size) is not int or not 0 <= size <= self.left:
            message = f"{field} is {shown(size)}, and {self.left} bytes are left behind the JSON"
            raise bad(message, field=field, expected="the tensor's size in bytes, with Inference-Header-Content-Length")
        self._at += size
        return memoryview(self._body)[self._at - size : self._at]


def _output(tensor: Tensor, array: Array) -> dict[str, Any]:
    flat = array.ravel()
    data = flat.tolist() if tensor.datatype == "BYTES" else flat
    return {"name": tensor.name, "shape": array.shape, "datatype": tensor.datatype, "data": data}


def _inputs(document: dict[str, Any], signature: Signature, tail: _Tail) -> Feed:
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
        given[tensor.name] = _tensor(item, field, tensor, tail)
    missing = next((tensor.name for tensor in signature.inputs if tensor.name not in given), None)
    if missing is not None:
        raise bad(f"input {missing} is missing", field="inputs", expected=_names(signature))
    if tail.left:
        message = f"{tail.left} bytes behind the JSON belong to no input"
        raise bad(message, field="inputs", expected="parameters.binary_data_size of each input that is sent as bytes")
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


def _tensor(item: dict[str, Any], field: str, tensor: Tensor, tail: _Tail) -> Array:
    datatype = _datatype(item.get("datatype"), f"{field}.datatype", tensor)
    shape = _shape(item.get("shape"), f"{field}.shape", tensor)
    parameters = item.get("parameters")
    if parameters and "binary_data_size" in parameters:
        if "data" in item:
            raise bad(f"{field} has both data and binary_data_size", field=f"{field}.data", expected="one of them")
        part = tail.take(parameters["binary_data_size"], f"{field}.parameters.binary_data_size")
        array = binary.to_array(part, shape, datatype, field)
        return array.astype(DATATYPES[tensor.datatype].dtype, copy=False)
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


def _raw(document: dict[str, Any], outputs: tuple[int, ...], signature: Signature) -> frozenset[int]:
    """The outputs to go back as bytes: all with binary_data_output, and each as its own binary_data says."""
    parameters, asked = document.get("parameters"), document.get("outputs")
    if not parameters and not asked:
        return frozenset()
    all_raw = _truth(parameters or {}, "binary_data_output", "parameters", default=False)
    raw = set(outputs) if all_raw else set()
    for i, item in enumerate(asked or ()):
        field = f"outputs[{i}]"
        _check_parameters(item, f"{field}.")
        index = signature.output_index[item["name"]]
        own = _truth(item.get("parameters") or {}, "binary_data", f"{field}.parameters", default=all_raw)
        raw = raw | {index} if own else raw - {index}
    return frozenset(raw)


def _truth(parameters: dict[str, Any], key: str, field: str, *, default: bool) -> bool:
    value = parameters.get(key, default)
    if not isinstance(value, bool):
        raise bad(f"{field}.{key} is {shown(value)}", field=f"{field}.{key}", expected="true or false")
    return value


def _check_parameters(holder: dict[str, Any], path: str) -> None:
    parameters = holder.get("parameters")
    if parameters is not None and not isinstance(parameters, dict):
        field = f"{path}parameters"
        raise bad(f"{field} is {shown(parameters)}", field=field, expected="an object")


def _names(signature: Signature) -> str:
    return ", ".join(tensor.name for tensor in signature.inputs)
