"""How a spec is declared: a frozen dataclass whose fields are made with `key`, and what can be asked of such a class.

A class with a field named `key` needs the function under another name: `from customai import spec`, then `spec.key`.
"""

from __future__ import annotations

import types
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


# A value that is handed on as it is: what a script takes as an argument.
Scalar = bool | int | float | str


@dataclass(frozen=True)
class Rule:
    """What a key says beside its type. Bounds and pattern hold for each value inside a list or a dict."""

    doc: str = ""
    minimum: float | None = None
    maximum: float | None = None
    pattern: str = ""  # of the whole text
    examples: tuple[Any, ...] = ()
    expected: str = ""  # said in place of what the type would say

    def of_each_item(self) -> Rule:
        return Rule(minimum=self.minimum, maximum=self.maximum, pattern=self.pattern)


def key(
    doc: str,
    *,
    default: Any = MISSING,
    minimum: float | None = None,
    maximum: float | None = None,
    pattern: str | None = None,
    examples: Sequence[Any] = (),
    expected: str = "",
) -> Any:
    """Declare a key of a spec: a dataclass field. Without a default it is required; a callable makes the default."""
    metadata = {Rule: Rule(doc, minimum, maximum, pattern or "", tuple(examples), expected)}
    if default is MISSING:
        return field(metadata=metadata)
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Secret:
    """Where a secret is found; the secret itself is never written into a spec."""

    env: str | None = key(
        "The environment variable that holds it.",
        default=None,
        pattern="[A-Za-z_][A-Za-z0-9_]*",
        expected="the name of an environment variable (letters, digits and _)",
    )
    file: str | None = key("The file that holds it.", default=None, pattern=".+", expected="the path of a file")

    def problems(self) -> Iterable[tuple[str, str]]:
        if (self.env is None) == (self.file is None):
            yield "", "expected exactly one of env and file"


@dataclass(frozen=True)
class Key:
    """One key of a class, as declared."""

    name: str
    type: Any
    rule: Rule
    required: bool
    default: Any  # None if required


@cache
def keys_of(cls: type) -> dict[str, Key]:
    if not is_dataclass(cls):
        raise TypeError(f"{cls!r} is not a dataclass")
    hints = get_type_hints(cls)
    found = {}
    for each in fields(cls):
        if each.init:
            required = each.default is MISSING and each.default_factory is MISSING
            made = each.default_factory() if each.default_factory is not MISSING else each.default
            rule = each.metadata.get(Rule, Rule())
            found[each.name] = Key(each.name, hints[each.name], rule, required, None if required else made)
    return found


def without_none(tp: Any) -> tuple[Any, bool]:
    """Split `X | None` into X and True; any other type is itself and False."""
    if tp == Scalar or get_origin(tp) not in (Union, types.UnionType):
        return tp, False
    others = [each for each in get_args(tp) if each is not type(None)]
    if others == list(get_args(Scalar)):
        return Scalar, True
    if len(others) != 1 or len(others) == len(get_args(tp)):
        raise unsupported(tp)
    return others[0], True


def unsupported(tp: Any) -> TypeError:
    return TypeError(f"a spec cannot hold {tp!r}: see customai/spec.py for the types it can")
