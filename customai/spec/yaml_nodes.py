"""YAML text -> a tree of nodes that know their place.

PyYAML is used down to its events only: no object is ever constructed, so no tag can construct one. The pure Python
parser is chosen on purpose: a spec takes it 2 ms, and its marks and messages are the same on every machine.

YAML 1.1 (PyYAML) and YAML 1.2 (editors, most other readers) disagree on words such as `no`, `010` and `1:30`. A plain
word counts as a number or a boolean only where both agree; where they do not, its kind is `DOUBT`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT, INT, FLOAT, BOOL, NULL, DATE, DOUBT = "text", "int", "float", "bool", "null", "date", "doubt"
LIST, BLOCK = "list", "block"

MAX_CHARACTERS = 256 * 1024
MAX_DEPTH = 32
MAX_DIGITS = 18  # of a whole number: what every machine can hold

_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?")
_ODD_INT = re.compile(r"[-+]?(0[0-9]+|0o[0-7]+)")
_UNSAVABLE = re.compile("[\0\ud800-\udfff]")
_KINDS = {"null": NULL, "timestamp": DATE, "int": DOUBT, "float": DOUBT, "bool": DOUBT}


@dataclass(frozen=True)
class Node:
    kind: str
    line: int
    column: int
    text: str = ""  # of a scalar, as written
    items: tuple[Node, ...] = ()  # of a list
    pairs: tuple[tuple[Node, Node], ...] = ()  # of a block, in the order written, duplicates included


class Unreadable(Exception):  # a Problem is made of it
    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.message, self.line, self.column = message, line, column


def read(text: str) -> Node | None:
    """Read the only document of `text`; None if there is nothing in it."""
    if len(text) > MAX_CHARACTERS:
        raise Unreadable(f"the file is longer than {MAX_CHARACTERS // 1024} kB; keep data in files of their own")
    try:
        return _Composer(text).document()
    except yaml.reader.ReaderError as error:
        raise _undecodable(text, error.position) from None
    except yaml.MarkedYAMLError as error:
        raise _syntax(error) from None
    except (ValueError, OverflowError):  # what PyYAML lets through: "\UFFFFFFFF", %YAML with a huge version
        raise Unreadable("this is not valid YAML: it holds the code of a character that does not exist") from None


def kind_of(text: str) -> str:
    """Tell what a plain (unquoted) word is."""
    if _INT.fullmatch(text):
        return INT
    if _FLOAT.fullmatch(text):
        return FLOAT
    if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
        return BOOL
    if _ODD_INT.fullmatch(text):
        return DOUBT
    return _KINDS.get(_tag(text), TEXT)


def doubtful_value(text: str) -> object:
    """Say what PyYAML makes of a word of kind DOUBT; None if that is not worth telling."""
    if len(text) > 24:
        return None
    value: object = yaml.safe_load(text)
    return None if isinstance(value, str) else value


def _tag(text: str) -> str:
    # The resolver wants a loader; the first character selects the few patterns to try, as in yaml.resolver.
    resolvers = yaml.SafeLoader.yaml_implicit_resolvers.get(text[:1], [])
    tags = (tag for tag, pattern in resolvers if pattern.match(text))
    return next(tags, "str").rpartition(":")[2]


class _Composer:
    def __init__(self, text: str) -> None:
        self.events: Iterator[Any] = yaml.parse(text, Loader=yaml.SafeLoader)
        self.anchors: dict[str, Node | None] = {}  # None while the anchored node is still being read

    def document(self) -> Node | None:
        next(self.events)  # the stream starts
        if isinstance(next(self.events), yaml.StreamEndEvent):
            return None
        root = self.node(next(self.events), 0)
        next(self.events)  # the document ends
        after = next(self.events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise Unreadable("a second document starts here; a spec is only one", *_place(after))
        return root

    def node(self, event: Any, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise Unreadable(f"this is nested more than {MAX_DEPTH} levels deep", *_place(event))
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event)
        if event.tag is not None:
            tag = _short(event.tag.replace("tag:yaml.org,2002:", "!!"))
            message = f"tags such as {tag} are not read in a spec; write the value alone"
            raise Unreadable(message, *_place(event))
        if event.anchor:
            self.anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            node = _scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = Node(LIST, *_place(event), items=tuple(self.items(depth)))
        else:
            node = Node(BLOCK, *_place(event), pairs=tuple(self.pairs(depth)))
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def alias(self, event: Any) -> Node:
        line, column = _place(event)
        name = _short(event.anchor)
        if event.anchor not in self.anchors:
            raise Unreadable(f"*{name} has no &{name} before it; quote text that starts with *", line, column)
        node = self.anchors[event.anchor]
        if node is None:
            raise Unreadable(f"*{name} stands inside the value it repeats", line, column)
        return replace(node, line=line, column=column)

    def items(self, depth: int) -> Iterator[Node]:
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            yield self.node(event, depth + 1)

    def pairs(self, depth: int) -> Iterator[tuple[Node, Node]]:
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key, value = self.node(event, depth + 1), self.node(next(self.events), depth + 1)
            # What has no text on the key's own line is best looked for at the key.
            if value.line > key.line or (value.kind == NULL and not value.text):
                value = replace(value, line=key.line, column=key.column)
            yield key, value


def _scalar(event: Any) -> Node:
    if unsavable := _UNSAVABLE.search(event.value):
        raise Unreadable(f"the character {unsavable[0]!a} cannot stand in text", *_place(event))
    return Node(TEXT if event.style else kind_of(event.value), *_place(event), text=event.value)


def _place(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _short(text: str) -> str:
    return ascii(text if len(text) <= 40 else text[:37] + "...")[1:-1]


def _undecodable(text: str, position: int) -> Unreadable:
    before, character = text[:position], text[position]
    if "\udc80" <= character <= "\udcff":  # a byte kept by open(errors="surrogateescape")
        message = f"the byte 0x{ord(character) - 0xDC00:02x} is not UTF-8; save the file as UTF-8"
    else:
        message = f"the character {character!a} cannot stand in a YAML file"
    return Unreadable(message, before.count("\n") + 1, position - before.rfind("\n"))


# PyYAML's words -> a newcomer's. The first that is found in the problem wins.
_SYNTAX = (
    (r"character '\t'", "a tab stands here; indent with spaces"),
    (
        "mapping values are not allowed",
        "this ':' cannot stand here; check the indentation, or quote text that holds ': '",
    ),
    ("unexpected end of stream", "the quote that opens here is never closed"),
    ("document separator", "the quote that opens here is never closed"),
    ("expected <block end>", "this does not line up with the lines above; check the indentation"),
    ("sequence entries are not allowed", "a list cannot start here; put it on its own lines below the key"),
    ("block sequence entries", "a list cannot start here; put it on its own lines below the key"),
    ("could not find expected ':'", "a ':' is missing after the key that begins here; write `key: value`"),
    ("expected ',' or ']'", "this list is not closed; a ',' or a ']' is missing"),
    ("expected ',' or '}'", "this block is not closed; a ',' or a '}' is missing"),
    ("unknown escape character", "in double quotes a backslash starts an escape; use single quotes, or \\\\"),
    ("expected escape sequence", "in double quotes a backslash starts an escape; use single quotes, or \\\\"),
    ("that cannot start any token", "text cannot start with this character; write it in quotes"),
    ("expected alphabetic or numeric", "text cannot start with this character; write it in quotes"),
)


def _syntax(error: yaml.MarkedYAMLError) -> Unreadable:
    problem = error.problem or "cannot be read"
    known = next((message for words, message in _SYNTAX if words in problem), "")
    began = any(words in known for words in ("opens here", "begins here", "is not closed"))
    mark = (error.context_mark if began else error.problem_mark) or error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return Unreadable(known or f"this is not valid YAML: {_short(problem)}", line, column)
