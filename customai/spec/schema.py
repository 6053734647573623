"""The JSON Schema of customai.yaml, from the same classes that read it: completion and hover in an editor.

Draft-07, because the YAML language server knows it best. `path` chooses the keys: one if/then per path.
"""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from customai.spec.keys import Key, Rule, Scalar, Secret, keys_of, unsupported, without_none

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, Any]

_SCALARS: dict[Any, str | list[str]] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    Scalar: ["string", "number", "boolean"],
}


def json_schema(classes: Mapping[str, type]) -> Json:
    """Give one schema for all `classes`: path id -> the class of its spec."""
    definitions = _Definitions()
    bodies = {path: _body(cls, definitions) for path, cls in classes.items()}
    for body in bodies.values():
        body["properties"]["path"] = True  # said once, above
    first, *others = [body["properties"] for body in bodies.values()]
    shared = {name: said for name, said in first.items() if all(each.get(name) == said for each in others)}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "customai.yaml",
        "type": "object",
        "properties": {**shared, "path": _path(classes)},
        "required": ["path"],
        "allOf": [
            {"if": {"properties": {"path": {"const": path}}, "required": ["path"]}, "then": body}
            for path, body in bodies.items()
        ],
        "definitions": {name: definitions.bodies[name] for name in sorted(definitions.bodies)},
    }


class _Definitions:
    """The nested classes met so far, each under a name of its own."""

    def __init__(self) -> None:
        self.names: dict[type, str] = {}
        self.bodies: dict[str, Json] = {}

    def reference(self, cls: type) -> Json:
        if cls not in self.names:
            count = sum(each.__name__ == cls.__name__ for each in self.names)
            name = self.names[cls] = cls.__name__ + (str(count + 1) if count else "")  # two modules may use one name
            self.bodies[name] = _body(cls, self)
        return {"$ref": f"#/definitions/{self.names[cls]}"}


def _path(classes: Mapping[str, type]) -> Json:
    declared = [keys_of(cls)["path"].rule.doc for cls in classes.values() if "path" in keys_of(cls)]
    return {
        "description": next(filter(None, declared), "Which path this is; it decides which keys there are."),
        "enum": list(classes),
        "enumDescriptions": [_doc(cls) for cls in classes.values()],  # shown by editors, ignored by validators
    }


def _body(cls: type, definitions: _Definitions) -> Json:
    keys = keys_of(cls)
    body: Json = {"type": "object"}
    if doc := _doc(cls):
        body["description"] = doc
    body["properties"] = {name: _property(key, definitions) for name, key in keys.items()}
    if required := [name for name, key in keys.items() if key.required]:
        body["required"] = required
    body["additionalProperties"] = False
    if cls is Secret:
        body["oneOf"] = [{"required": [name], "properties": {name: {"type": "string"}}} for name in keys]
    return body


def _doc(cls: type) -> str:
    doc = cls.__doc__ or ""
    written = not doc.startswith(f"{cls.__name__}(")  # otherwise dataclass made it: the signature
    return doc.strip().partition("\n")[0] if written else ""


def _property(key: Key, definitions: _Definitions) -> Json:
    said = _type(key.type, key.rule, definitions)
    if "$ref" in said:
        said = {"allOf": [said]}  # draft-07 ignores what stands beside $ref
    if key.rule.doc:
        said = {"description": key.rule.doc, **said}
    if not key.required:
        said["default"] = to_json(key.default)
    if key.rule.examples:
        said["examples"] = to_json(key.rule.examples)
    return said


def _type(tp: Any, rule: Rule, definitions: _Definitions) -> Json:
    tp, nullable = without_none(tp)
    if nullable:
        return _or_null(_type(tp, rule, definitions))
    if is_dataclass(tp):
        return definitions.reference(tp)  # type: ignore[arg-type]
    if tp in _SCALARS:
        return {"type": _SCALARS[tp]} | _limits(tp, rule)
    return _several(tp, rule.of_each_item(), definitions)


def _several(tp: Any, rule: Rule, definitions: _Definitions) -> Json:
    origin, args = get_origin(tp), get_args(tp)
    if origin is Literal:
        return {"enum": list(args)}
    if origin is dict:
        names = {"minLength": 1, "not": {"const": "<<"}}
        return {"type": "object", "propertyNames": names, "additionalProperties": _type(args[1], rule, definitions)}
    if origin is not tuple:
        raise unsupported(tp)
    if args[-1] is ...:
        return {"type": "array", "items": _type(args[0], rule, definitions)}
    items = [_type(arg, rule, definitions) for arg in args]
    return {"type": "array", "items": items, "minItems": len(args), "maxItems": len(args)}


def _limits(tp: Any, rule: Rule) -> Json:
    if tp is bool or (tp is str and not rule.pattern):
        return {}
    if tp is str:
        whole = rule.pattern.startswith("^") and rule.pattern.endswith("$") and "|" not in rule.pattern
        return {"pattern": rule.pattern if whole else f"^(?:{rule.pattern})$"}
    limits = {"minimum": rule.minimum, "maximum": rule.maximum}
    return {name: limit for name, limit in limits.items() if limit is not None}


def _or_null(said: Json) -> Json:
    if "enum" in said:
        return {"enum": [*said["enum"], None]}
    if "type" in said:
        types = said["type"] if isinstance(said["type"], list) else [said["type"]]
        return {**said, "type": [*types, "null"]}
    return {"anyOf": [said, {"type": "null"}]}


def to_json(value: Any) -> Any:
    """Write a value of a spec as JSON, the way it would stand in the file: keys that are not set are left out."""
    if is_dataclass(value):
        members = {each.name: to_json(getattr(value, each.name)) for each in fields(value)}
        return {name: member for name, member in members.items() if member is not None}
    if isinstance(value, dict):
        return {name: to_json(member) for name, member in value.items()}
    if isinstance(value, tuple):
        return [to_json(member) for member in value]
    json.dumps(value, allow_nan=False)  # refuses what JSON cannot say
    return value
