"""Values put into a spec's text: its comments, its order and everything else stay as they are."""

from __future__ import annotations

import re
from collections.abc import Mapping

from customai.spec import yaml_nodes
from customai.spec.yaml_nodes import BLOCK, Node

LINE = re.compile("(?:\r\n|[\r\n\x85\u2028\u2029])")  # where YAML ends one
INDENT = "  "


def with_numbers(text: str, block: str, numbers: Mapping[str, int]) -> str:
    """The text with these keys of a top-level block.

    A key that is there gets its new value where the old one stood; the others follow it, or come first in the block, each on
    a line of its own. Whoever calls this reads the result again: YAML has ways to write a value (anchors, several lines) that are not
    seen through here.
    """
    root = yaml_nodes.read(text)
    pairs = {key.text: (key, value) for key, value in root.pairs} if root is not None else {}
    if block not in pairs:
        end = "" if text.endswith("\n") else "\n"
        lines = "".join(f"{INDENT}{name}: {number}\n" for name, number in numbers.items())
        return f"{text}{end}\n{block}:\n{lines}"
    key, found = pairs[block]
    there = {inner.text: value for inner, value in found.pairs} if found.kind == BLOCK else {}
    starts = [0, *(match.end() for match in LINE.finditer(text))]
    changes = [(*_span(starts, there[name]), str(number)) for name, number in numbers.items() if name in there]
    new = {name: number for name, number in numbers.items() if name not in there}
    if new:
        beside = max((there[name].line for name in numbers if name in there), default=key.line)
        at, put = _added(text, starts, beside, found, new)
        changes.append((at, at, put))
    for first, last, put in sorted(changes, reverse=True):
        text = text[:first] + put + text[last:]
    return text


def _span(starts: list[int], value: Node) -> tuple[int, int]:
    """From where to where a number stands."""
    first = starts[value.line - 1] + value.column - 1
    return first, first + len(value.text)


def _added(text: str, starts: list[int], beside: int, found: Node, new: Mapping[str, int]) -> tuple[int, str]:
    """Where new keys go, and how they are written there."""
    first = starts[found.line - 1] + found.column - 1
    if text[first : first + 1] == "{":
        told = ", ".join(f"{name}: {number}" for name, number in new.items())
        return first + 1, f"{told}, " if found.pairs else told
    indent = " " * (found.pairs[0][0].column - 1) if found.pairs else INDENT
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = [f"{indent}{name}: {number}{newline}" for name, number in new.items()]
    after = starts[beside] if beside < len(starts) else len(text)
    before = newline if after == len(text) and not text.endswith(newline) else ""
    return after, before + "".join(lines)
