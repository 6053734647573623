"""A request's JSON body."""

import json
import math
from typing import Any

import orjson

from customai.workloads.scoring.answers import bad


def parse_object(body: bytes) -> dict[str, Any]:
    """The body as a JSON object. Raises RequestError; numbers JSON cannot hold (NaN, 1e400) are named by their place."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        place = _not_finite(body)
        if place is not None:
            raise bad(f"{place} is not a finite number", field=place, expected="a finite number") from None
        raise bad(f"the body is not JSON: {error}", expected="a JSON object") from None
    if not isinstance(document, dict):
        raise bad("the body is JSON, but not an object", expected="a JSON object")
    return document


def _not_finite(body: bytes) -> str | None:
    """Python's own parser takes NaN, Infinity and 1e400: it is used only to say where they are."""
    try:
        return _search(json.loads(body), "")
    except (ValueError, RecursionError):
        return None


def _search(value: Any, path: str) -> str | None:
    if isinstance(value, float):
        return None if math.isfinite(value) else path
    if isinstance(value, dict):
        children = [(f"{path}.{key}" if path else key, child) for key, child in value.items()]
    elif isinstance(value, list):
        children = [(f"{path}[{i}]", child) for i, child in enumerate(value) if not isinstance(child, int | str)]
    else:
        return None
    return next((found for name, child in children if (found := _search(child, name)) is not None), None)
