"""What is written: a spec that its own reader finds right, with what has no equal as comments on top."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from customai import spec
from customai.convert import Left

Values = dict[str, Any]


def written(values: Values, cls: type, file: Path) -> tuple[str, list[Left]]:
    """The spec's text; what its reader does not take is left out of it, and told.

    Raises:
        InvalidSpec: something that it needs is missing.
    """
    left: list[Left] = []
    while True:
        text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)
        try:
            spec.load(text, cls, file=str(file))
        except spec.InvalidSpec as error:
            gone = [problem for problem in error.problems if _removed(values, problem.key)]
            gone = gone or [problem for problem in error.problems if _removed(values, problem.key.rpartition(".")[0])]
            if not gone:
                raise
            left += [Left(file.name, problem.key, problem.message) for problem in gone]
        else:
            return text, left


def _removed(values: Values, place: str) -> bool:
    """Takes the key of this path away, with what is in a list with it; whether it was there."""
    parts: list[str] = re.findall(r"[^.\[\]]+", place)
    inside: Any = values
    for part in parts[:-1]:
        if isinstance(inside, list):
            break
        if not isinstance(inside, dict) or part not in inside:
            return False
        if isinstance(inside[part], list):
            inside.pop(part)
            return True
        inside = inside[part]
    return isinstance(inside, dict) and parts != [] and inside.pop(parts[-1], None) is not None


def merged(below: Values, above: Values) -> Values:
    """Two specs in one; where both say something, the second counts."""
    found = dict(below)
    for key, value in above.items():
        old = found.get(key)
        found[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return found


def example(text: str) -> Values:
    """The values of a path's own spec."""
    return dict(yaml.safe_load(text))
