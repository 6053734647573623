"""The OpenAPI document of this server: the protocol's routes and /score, with the model's own names and shapes."""

from collections.abc import Sequence
from typing import Any

from customai import __version__
from customai.workloads.scoring.config import Column
from customai.workloads.scoring.model import Model
from customai.workloads.scoring.signature import Tensor
from customai.workloads.scoring.tensors import DATATYPES, Datatype

Json = dict[str, Any]
_TYPES = {"number": "number", "integer": "integer", "boolean": "boolean", "text": "string"}
_OPEN: list[Json] = []  # security: none


def document(model: Model, versions: Sequence[str], *, asks_for_key: bool) -> Json:
    name = model.config.name
    paths: dict[str, Json] = {
        "/": {"get": _gets("index", "What is served; a page to try it for browsers", "Object")},
        "/metrics": {"get": _gets("metrics", "Prometheus's text", None)},
        "/openapi.json": {"get": _gets("openapi", "This document", "Object")},
        "/v2": {"get": _gets("serverMetadata", "The server", "Object")},
        "/v2/health/live": {"get": _gets("live", "Is the process there?", "Object") | {"security": _OPEN}},
        "/v2/health/ready": {"get": _gets("ready", "Does it take requests?", "Object", 503) | {"security": _OPEN}},
        "/score": {"post": _score(model)},
    }
    for prefix, suffix in (
        (f"/v2/models/{name}", ""),
        *((f"/v2/models/{name}/versions/{v}", f"_{v}") for v in versions),
    ):
        paths[prefix] = {"get": _gets(f"modelMetadata{suffix}", "Inputs, outputs, versions", "Object")}
        paths[f"{prefix}/ready"] = {"get": _gets(f"modelReady{suffix}", "Is the model there?", "Object")}
        paths[f"{prefix}/infer"] = {"post": _infer(f"infer{suffix}")}
    security = {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}} if asks_for_key else {}
    return {
        "openapi": "3.0.3",
        "info": {
            "title": f"customai: {name}",
            "version": __version__,
            "description": "Open Inference Protocol v2, and /score",
        },
        "paths": paths,
        "components": {"schemas": _schemas(model), **security},
        **({"security": [{"key": []}]} if asks_for_key else {}),
    }


def _gets(id_: str, summary: str, schema: str | None, *more: int) -> Json:
    content = {"text/plain": {"schema": {"type": "string"}}} if schema is None else _json(_ref(schema))
    return {
        "operationId": id_,
        "summary": summary,
        "responses": {"200": {"description": "OK", "content": content}, **_refusals(401, *more)},
    }


def _score(model: Model) -> Json:
    bodies: Json = _json(_ref("ScoreRequest"))
    if model.config.preprocessing is not None:
        image = {"schema": {"type": "string", "format": "binary"}}
        bodies |= {"image/png": image, "image/jpeg": image}
    return {
        "operationId": "score",
        "summary": "Images or rows in, labels or values out",
        "requestBody": {"required": True, "content": bodies},
        "responses": {
            "200": {"description": "One prediction for each", "content": _json(_ref("Object"))},
            **_refusals(400, 401, 404, 408, 411, 413, 415, 503),
        },
    }


def _infer(id_: str) -> Json:
    return {
        "operationId": id_,
        "summary": "Tensors in, tensors out; with Inference-Header-Content-Length, as bytes behind the JSON",
        "requestBody": {"required": True, "content": _json(_ref("InferRequest"))},
        "responses": {
            "200": {"description": "The outputs", "content": _json(_ref("InferResponse"))},
            **_refusals(400, 401, 404, 408, 411, 413, 415, 503),
        },
    }


def _schemas(model: Model) -> Json:
    inputs, outputs = model.signature.inputs, model.signature.outputs
    names = {"type": "string", "enum": [tensor.name for tensor in outputs]}
    parameters = {"type": "object"}
    return {
        "Object": {"type": "object"},
        "Error": {
            "type": "object",
            "required": ["error"],
            "properties": {
                "error": {"type": "string"},
                "field": {"type": "string", "nullable": True},
                "expected": {"type": "string", "nullable": True},
            },
        },
        "InferRequest": {
            "type": "object",
            "required": ["inputs"],
            "properties": {
                "id": {"type": "string"},
                "parameters": parameters,
                "inputs": {
                    "type": "array",
                    "minItems": len(inputs),
                    "maxItems": len(inputs),
                    "items": {"oneOf": [_tensor(t, with_data=True) for t in inputs]},
                },
                "outputs": {
                    "type": "array",
                    "items": {"type": "object", "required": ["name"], "properties": {"name": names}},
                },
            },
        },
        "InferResponse": {
            "type": "object",
            "required": ["model_name", "outputs"],
            "properties": {
                "model_name": {"type": "string"},
                "model_version": {"type": "string"},
                "id": {"type": "string"},
                "outputs": {"type": "array", "items": {"type": "object", "required": ["name", "shape", "datatype"]}},
            },
        },
        "ScoreRequest": {"type": "object", "minProperties": 1, "maxProperties": 1, "properties": _score_body(model)},
    }


def _score_body(model: Model) -> Json:
    if model.config.preprocessing is not None:
        return {"images": {"type": "array", "minItems": 1, "items": {"type": "string", "format": "byte"}}}
    if model.rows is not None:
        row: Json = {
            "type": "object",
            "required": list(model.rows.names),
            "properties": {column.name: _column(column) for column in model.rows.columns},
            "additionalProperties": False,
        }
    else:
        row = {"type": "array", "items": {}}
    return {"rows": {"type": "array", "minItems": 1, "items": row}}


def _column(column: Column) -> Json:
    return {"type": _TYPES[column.type], **({"nullable": True} if column.nullable else {})}


def _tensor(tensor: Tensor, *, with_data: bool) -> Json:
    datatype = DATATYPES[tensor.datatype]
    return {
        "type": "object",
        "required": ["name", "shape", "datatype", *(["data"] if with_data else [])],
        "properties": {
            "name": {"type": "string", "enum": [tensor.name]},
            "shape": {
                "type": "array",
                "description": str(list(tensor.shape)),
                "items": {"type": "integer", "minimum": 1},
                "minItems": len(tensor.shape),
                "maxItems": len(tensor.shape),
            },
            "datatype": {"type": "string", "enum": [datatype.name]},
            "data": {"type": "array", "items": _element(datatype)},
            "parameters": {"type": "object"},
        },
    }


def _element(datatype: Datatype) -> Json:
    kind = {"b": "boolean", "i": "integer", "u": "integer", "f": "number", "O": "string"}[datatype.dtype.kind]
    return {"type": kind, "description": datatype.expected}


def _refusals(*statuses: int) -> Json:
    return {str(status): {"description": "Refused", "content": _json(_ref("Error"))} for status in statuses}


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}
