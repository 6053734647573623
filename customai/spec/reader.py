"""Nodes -> an instance of a class, or everything that is wrong with them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, is_dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from customai.spec.keys import Key, Rule, Scalar, Secret, keys_of, unsupported, without_none
from customai.spec.wording import did_you_mean, expected, found, hint, is_confidential, key_path
from customai.spec.yaml_nodes import BLOCK, BOOL, FLOAT, INT, LIST, MAX_DEPTH, MAX_DIGITS, NULL, TEXT, Node

if TYPE_CHECKING:
    from collections.abc import Iterable

    Path = tuple[str | int, ...]

MAX_VALUES = 20_000  # a few nested aliases stand for billions
MAX_PROBLEMS = 100

_BAD: Any = object()


class _Enough(Exception):
    pass


@dataclass
class Reader:
    """Reads one document; `wrong` collects (node, key path, message)."""

    wrong: list[tuple[Node, str, str]] = field(default_factory=list)
    values: int = 0

    def root(self, node: Node, cls: type) -> Any:
        try:
            return self.block(node, cls, ())
        except _Enough:
            return None

    def problem(self, node: Node, path: Path, message: str) -> Any:
        if len(self.wrong) == MAX_PROBLEMS:
            raise _Enough
        self.wrong.append((node, key_path(path), message))
        return _BAD

    def misfit(self, node: Node, tp: Any, rule: Rule, path: Path) -> Any:
        hidden = is_confidential(key_path(path))
        message = f"expected {expected(tp, rule)}, got {found(node, confidential=hidden)}"
        return self.problem(node, path, message + hint(node, tp, confidential=hidden))

    def value(self, node: Node, tp: Any, rule: Rule, path: Path) -> Any:
        self.values += 1
        if self.values > MAX_VALUES or len(path) > MAX_DEPTH:
            self.problem(
                node, path, f"the spec is too large: more than {MAX_VALUES} values, each *alias counted in full"
            )
            raise _Enough
        tp, nullable = without_none(tp)
        if nullable and node.kind == NULL:
            return None
        if is_dataclass(tp):
            return self.block(node, tp, path, rule)  # type: ignore[arg-type]
        origin = get_origin(tp)
        if origin is tuple:
            return self.several(node, tp, rule, path)
        if origin is dict:
            return self.named(node, tp, rule, path)
        if origin is Literal:
            return self.choice(node, tp, rule, path)
        if tp not in _SCALARS:
            raise unsupported(tp)
        value = _SCALARS[tp](node)
        return value if value is not None and _fits(value, rule) else self.misfit(node, tp, rule, path)

    def block(self, node: Node, cls: type, path: Path, rule: Rule | None = None) -> Any:
        if cls is Secret and node.kind not in (BLOCK, LIST, NULL):
            return self.problem(
                node, path, "a secret is never written into the spec: say where it is, {env: NAME} or {file: PATH}"
            )
        if node.kind != BLOCK:
            return self.misfit(node, cls, rule or Rule(), path)
        keys, nodes = keys_of(cls), self.pairs(node, path)
        for name, (key_node, _) in nodes.items():
            if name not in keys and (path or name != "path"):  # the path of the root chose the class
                message = f"unknown key.{did_you_mean(name, keys)} The keys here: {', '.join(keys)}"
                self.problem(key_node, (*path, name), message)
        read = {}
        for name, key in keys.items():
            if name in nodes:
                read[name] = self.value(nodes[name][1], key.type, key.rule, (*path, name))
            elif key.required:
                read[name] = self.problem(node, (*path, name), _missing(key))
        if any(each is _BAD for each in read.values()):
            return _BAD
        built = cls(**read)
        self.own_problems(built, node, path)
        return built

    def own_problems(self, built: Any, node: Node, path: Path) -> None:
        rules = getattr(built, "problems", None)
        if callable(rules):
            for relative, message in rules():
                parts = _parts(relative)
                self.problem(_nearest(node, parts), (*path, *parts), message)

    def pairs(self, node: Node, path: Path) -> dict[str, tuple[Node, Node]]:
        unique: dict[str, tuple[Node, Node]] = {}
        for key, value in node.pairs:
            if not key.text:
                self.problem(key, path, f"a key must be text, got {found(key) if key.kind != TEXT else 'an empty one'}")
            elif key.text == "<<":
                self.problem(key, path, "'<<' is not read in a spec: write the keys out here")
            elif key.text in unique:
                first = unique[key.text][0].line
                self.problem(key, (*path, key.text), f"this key is already there, on line {first}; keep one of the two")
            else:
                unique[key.text] = key, value
        return unique

    def several(self, node: Node, tp: Any, rule: Rule, path: Path) -> Any:
        if node.kind != LIST:
            return self.misfit(node, tp, rule, path)
        types = get_args(tp)
        if types[-1] is ...:
            types = (types[0],) * len(node.items)
        elif len(types) != len(node.items):
            return self.misfit(node, tp, rule, path)
        each = rule.of_each_item()
        items = [
            self.value(item, item_type, each, (*path, index))
            for index, (item, item_type) in enumerate(zip(node.items, types, strict=True))
        ]
        return _BAD if any(item is _BAD for item in items) else tuple(items)

    def named(self, node: Node, tp: Any, rule: Rule, path: Path) -> Any:
        if node.kind != BLOCK:
            return self.misfit(node, tp, rule, path)
        item_type, each = get_args(tp)[1], rule.of_each_item()
        items = {
            name: self.value(value, item_type, each, (*path, name))
            for name, (_, value) in self.pairs(node, path).items()
        }
        return _BAD if any(item is _BAD for item in items.values()) else items

    def choice(self, node: Node, tp: Any, rule: Rule, path: Path) -> Any:
        choices = get_args(tp)
        reads = (read(node) for read in (_text, _whole, _truth))
        value = next((each for each in reads if each is not None), None)
        for choice in choices:
            if type(choice) is type(value) and choice == value:
                return choice
        bad = self.misfit(node, tp, rule, path)
        words = [choice for choice in choices if isinstance(choice, str)]
        if node.kind == TEXT and not is_confidential(key_path(path)) and (advice := did_you_mean(node.text, words)):
            place, where, message = self.wrong[-1]
            self.wrong[-1] = place, where, f"{message}.{advice}"
        return bad


def _missing(key: Key) -> str:
    doc = f" ({key.rule.doc})" if key.rule.doc else ""
    return f"this key is missing: expected {expected(key.type, key.rule)}{doc}"


def _text(node: Node) -> str | None:
    return node.text if node.kind == TEXT else None


def _whole(node: Node) -> int | None:
    return int(node.text) if node.kind == INT and len(node.text) <= MAX_DIGITS else None


def _number(node: Node) -> float | None:
    value = float(node.text) if node.kind in (INT, FLOAT) else math.nan
    return value if math.isfinite(value) else None


def _truth(node: Node) -> bool | None:
    return node.text.lower() == "true" if node.kind == BOOL else None


def _any(node: Node) -> str | int | float | bool | None:
    values = (read(node) for read in (_text, _whole, _number, _truth))
    return next((value for value in values if value is not None), None)


_SCALARS: dict[Any, Any] = {str: _text, int: _whole, float: _number, bool: _truth, Scalar: _any}


def _fits(value: Any, rule: Rule) -> bool:
    if isinstance(value, str):
        return not rule.pattern or re.fullmatch(rule.pattern, value) is not None
    if isinstance(value, bool):
        return True
    return (rule.minimum is None or value >= rule.minimum) and (rule.maximum is None or value <= rule.maximum)


def nearest(root: Node, place: str) -> Node:
    """The node of a key path, or of as much of it as is there."""
    return _nearest(root, _parts(place))


def _parts(relative: str) -> Path:
    found_parts: Iterable[tuple[str, str]] = re.findall(r"\[(\d+)\]|([^.\[\]]+)", relative)
    return tuple(int(index) if index else name for index, name in found_parts)


def _nearest(node: Node, parts: Path) -> Node:
    for part in parts:
        if isinstance(part, int):
            inside = node.items[part : part + 1]
        else:
            inside = tuple(value for key, value in node.pairs if key.text == part)[:1]
        if not inside:
            break
        node = inside[0]
    return node
