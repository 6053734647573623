"""customai.yaml -> frozen dataclasses, or all its problems at once, each with its place.

    a class declared with `key`  (keys)        says what may stand in the file; schema.py turns it into a JSON Schema
    text -> nodes                (yaml_nodes)  knows YAML, its traps, and where everything stands
    nodes -> instance            (reader)      collects what is wrong
    what is wrong, in words      (wording)

A key's type is one of: str, int, float, bool, Scalar (any of these four), Literal[...], X | None, tuple[X, ...], tuple[X, Y], dict[str, X],
another such class, or Secret. Text is never taken for a number nor a number for text.

Importing this module is cheap: YAML is loaded when a spec is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any, TypeVar

from customai.errors import SpecError
from customai.spec.keys import Rule, Scalar, Secret, key

__all__ = ["InvalidSpec", "Problem", "Scalar", "Secret", "invalid", "key", "load", "read_path", "warnings"]

T = TypeVar("T")


@dataclass(frozen=True)
class Problem:
    file: str
    line: int
    column: int
    key: str  # "endpoint.labels[2]"; "" for the file as a whole
    message: str

    def __str__(self) -> str:
        key = f"{self.key}: " if self.key else ""
        return f"{self.file}:{self.line}:{self.column}: {key}{self.message}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class InvalidSpec(SpecError):
    def __init__(self, file: str, problems: tuple[Problem, ...]) -> None:
        first, count = problems[0], len(problems)
        super().__init__(
            f"{file} has {count} problem{'s' if count > 1 else ''}", where=f"{file}:{first.line}:{first.column}"
        )
        self.problems = problems

    def to_json(self) -> dict[str, object]:
        return {**super().to_json(), "problems": [problem.to_json() for problem in self.problems]}


def load(text: str, cls: type[T], *, file: str) -> T:
    """Read `text` as a `cls`, or raise InvalidSpec. `file` only names it.

    Decode the file with errors="surrogateescape": a byte that is not UTF-8 then is a problem with a place.
    """
    from customai.spec import wording, yaml_nodes
    from customai.spec.reader import Reader

    try:
        root = yaml_nodes.read(text)
    except yaml_nodes.Unreadable as error:
        raise InvalidSpec(file, (Problem(file, error.line, error.column, "", error.message),)) from None
    if root is None or root.kind == yaml_nodes.NULL:
        message = f"the file is empty: expected {wording.expected(cls, Rule())}"
        raise InvalidSpec(file, (Problem(file, 1, 1, "", message),))
    reader = Reader()
    built: T = reader.root(root, cls)
    if reader.wrong:
        problems = [Problem(file, node.line, node.column, key, message) for node, key, message in reader.wrong]
        raise InvalidSpec(file, tuple(sorted(problems, key=lambda each: (each.line, each.column))))
    return built


def invalid(text: str, problems: Iterable[tuple[str, str]], *, file: str) -> InvalidSpec:
    """What is wrong beyond the text itself, such as a file that is not there: (key path, message) -> with its place."""
    from customai.spec import yaml_nodes
    from customai.spec.reader import nearest

    root = yaml_nodes.read(text)
    found = []
    for place, message in problems:
        node = nearest(root, place) if root is not None else None
        line, column = (node.line, node.column) if node is not None else (1, 1)
        found.append(Problem(file, line, column, place, message))
    return InvalidSpec(file, tuple(sorted(found, key=lambda each: (each.line, each.column))))


def warnings(text: str, found: Any, *, file: str) -> tuple[Problem, ...]:
    """What is right and yet to be known: each block's own `warnings`, (key, message), with its place."""
    told = list(_warned(found, ""))
    return invalid(text, told, file=file).problems if told else ()


def _warned(found: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(found, tuple):
        for at, item in enumerate(found):
            yield from _warned(item, f"{place}[{at}]")
    elif isinstance(found, dict):
        for name, item in found.items():
            yield from _warned(item, f"{place}.{name}")
    elif is_dataclass(found):
        before = f"{place}." if place else ""
        yield from ((before + relative, message) for relative, message in getattr(found, "warnings", tuple)())
        for each in fields(found):
            yield from _warned(getattr(found, each.name), before + each.name)


_PATH_LINE = re.compile(
    r"""^\ufeff?(?:path|"path"|'path')[ \t]*:[ \t]+(["']?)([\w./-]+)\1[ \t]*(?:[ \t]\#.*)?\r?$""",
    re.MULTILINE | re.VERBOSE,
)


def read_path(text: str, *, file: str) -> str | None:
    """Read the top-level key `path`, which chooses the class; None if it is not there, or the file cannot be read.

    One line `path: 2-5` is enough, whatever is wrong elsewhere: load() will tell.
    """
    del file  # part of the signature so that a caller can hand over the same arguments as to load()
    if line := _PATH_LINE.search(text):
        return line[2]
    from customai.spec import yaml_nodes

    try:
        root = yaml_nodes.read(text)
    except yaml_nodes.Unreadable:
        return None
    pairs = root.pairs if root else ()
    return next((value.text or None for key, value in pairs if key.text == "path" and value.kind != "null"), None)
