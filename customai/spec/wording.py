"""What is said of a value that does not fit: what was expected, what was found, what to do. In a newcomer's words."""

from __future__ import annotations

import json
import math
import re
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from customai.spec.keys import Rule, Scalar, Secret, keys_of, without_none
from customai.spec.yaml_nodes import (
    BLOCK,
    BOOL,
    DATE,
    DOUBT,
    FLOAT,
    INT,
    LIST,
    MAX_DIGITS,
    NULL,
    TEXT,
    Node,
    doubtful_value,
    kind_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_SHOWN = 40

_NOUNS: dict[Any, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Scalar: "text, a number, true or false",
}
_KINDS: dict[Any, tuple[str, ...]] = {int: (INT,), float: (INT, FLOAT), bool: (BOOL,)}

# The values of such keys are not repeated in messages: a message ends in logs and screenshots.
_CONFIDENTIAL = re.compile("key|passw|pwd|token|secret|credential|connection", re.IGNORECASE)


def is_confidential(path: str) -> bool:
    return bool(_CONFIDENTIAL.search(path))


def shortened(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."


def key_path(path: Iterable[str | int]) -> str:
    """Write ("endpoint", "labels", 2) as endpoint.labels[2]."""
    written = ""
    for part in path:
        if isinstance(part, int):
            written += f"[{part}]"
        else:
            name = part if re.fullmatch(r"[\w-]{1,40}", part) else repr(shortened(part))
            written += f".{name}" if written else name
    return written


def expected(tp: Any, rule: Rule) -> str:
    """Say what a value of this type looks like: "a whole number from 1 to 65535"."""
    tp, _ = without_none(tp)
    if rule.expected:
        return rule.expected
    if tp is Secret:
        return "a secret, as {env: NAME} or {file: PATH}"
    if is_dataclass(tp):
        return f"a block with {_listed(keys_of(tp))}"  # type: ignore[arg-type]
    return _expected_scalar(tp, rule) if tp in _NOUNS else _expected_several(get_origin(tp), get_args(tp), rule)


def _expected_scalar(tp: Any, rule: Rule) -> str:
    if tp is str and rule.pattern:
        return f"text such as {rule.examples[0]}" if rule.examples else f"text that matches {rule.pattern}"
    return _NOUNS[tp] + (_range(rule) if tp in (int, float) else "")


def _expected_several(origin: Any, args: tuple[Any, ...], rule: Rule) -> str:
    if origin is Literal:
        return _listed((each if isinstance(each, str) else json.dumps(each) for each in args), "or")
    each = rule.of_each_item()
    if origin is dict:
        return f"a block of names, each with {expected(args[1], each)}"
    if args[-1] is ...:
        return f"a list, each item {expected(args[0], each)}"
    return f"a list of {counted(len(args), 'item')} ({_listed(expected(arg, each) for arg in args)})"


def _range(rule: Rule) -> str:
    if rule.minimum is not None and rule.maximum is not None:
        return f" from {rule.minimum} to {rule.maximum}"
    if rule.minimum is not None:
        return f" of at least {rule.minimum}"
    return f" of at most {rule.maximum}" if rule.maximum is not None else ""


def found(node: Node, *, confidential: bool = False) -> str:
    """Say what stands in the file: "text 'abc'"."""
    if node.kind == NULL:
        return "nothing"
    if node.kind == LIST:
        return f"a list of {counted(len(node.items), 'item')}" if node.items else "an empty list"
    if node.kind == BLOCK:
        return "a block of keys"
    nouns = {TEXT: "text", INT: "the number", FLOAT: "the number", DATE: "the date", BOOL: "", DOUBT: ""}
    if confidential:
        return nouns[node.kind] or "something else"
    shown = repr(shortened(node.text)) if node.kind == TEXT else shortened(node.text)
    if node.kind == DOUBT:
        return shown + _taken_for(node)
    return f"{nouns[node.kind]} {shown}".strip()


def _too_large(node: Node) -> bool:
    whole = node.kind == INT and len(node.text) > MAX_DIGITS
    return whole or (node.kind == FLOAT and math.isinf(float(node.text)))


def _taken_for(node: Node) -> str:
    value = doubtful_value(node.text)
    if value is None:
        return ", which some programs read as a number and others as text"
    if isinstance(value, float) and not math.isfinite(value):
        return ", which is not a finite number"
    return f", which YAML reads as {'the number ' if not isinstance(value, bool) else ''}{json.dumps(value)}"


def hint(node: Node, tp: Any, *, confidential: bool = False) -> str:
    """Say what to do about it, after a colon; "" if there is nothing to add to what was expected."""
    tp, _ = without_none(tp)
    if node.kind == NULL:
        return ": give it a value, or leave it out"
    if node.kind in (LIST, BLOCK):
        return ""
    if get_origin(tp) is tuple:
        return ": start each item with '- '"
    if node.kind == TEXT:
        return ": leave the quotes out" if kind_of(node.text) in _KINDS.get(tp, ()) else ""
    if tp is str or (get_origin(tp) is Literal and node.text in get_args(tp)):
        return ": write it in quotes" + ("" if confidential or len(node.text) > MAX_SHOWN else f', "{node.text}"')
    return "" if confidential else _about_number(node, tp)


def _about_number(node: Node, tp: Any) -> str:
    if tp in (int, float) and _too_large(node):
        return ", which is too large"
    value = doubtful_value(node.text) if node.kind == DOUBT else None
    wanted = (bool,) if tp is bool else (int,) if tp in (int, float) else ()
    return f": write {json.dumps(value)}" if type(value) in wanted else ""


def did_you_mean(word: str, words: Iterable[str]) -> str:
    import difflib

    close = difflib.get_close_matches(word[:MAX_SHOWN], list(words), n=1)
    return f" Did you mean {close[0]}?" if close else ""


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _listed(words: Iterable[str], last: str = "and") -> str:
    *first, final = list(words) or ["nothing"]
    return f"{', '.join(first)} {last} {final}" if first else final
