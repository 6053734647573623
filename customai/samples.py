"""Files that are sent to be scored: images, or rows in JSON, JSON lines or CSV."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from customai.errors import NotFound, SpecError
from customai.model import Json

ROWS = (".json", ".jsonl", ".ndjson", ".csv")


@dataclass(frozen=True)
class Sample:
    """One image, as bytes, or one row, as JSON. number: of the row in its file, from 1; None for an image."""

    file: str
    number: int | None
    content: Json

    @property
    def name(self) -> str:
        return Path(self.file).name if self.number is None else f"{Path(self.file).name} row {self.number}"

    def to_json(self) -> Json:
        return {"image": self.file} if self.number is None else {"file": self.file, "row": self.number}


def has_rows(file: Path) -> bool:
    return file.suffix.lower() in ROWS


def read(file: Path, columns: Sequence[Json]) -> list[Sample]:
    """The file's samples. columns: what the model says its rows hold; text in a CSV file becomes what they are.

    Raises:
        NotFound: it is not there or cannot be read; SpecError: it is not what its name says.
    """
    try:
        if not has_rows(file):
            return [Sample(str(file), None, file.read_bytes())]
        text = file.read_text(encoding="utf-8-sig")
        rows = _from_csv(text, columns) if file.suffix.lower() == ".csv" else _from_json(text, file.suffix.lower())
    except OSError as error:
        raise NotFound(f"it cannot be read: {error.strerror}", where=str(file)) from None
    except UnicodeDecodeError:
        raise SpecError("it is not UTF-8 text", where=str(file)) from None
    except (ValueError, RecursionError, csv.Error) as error:
        raise SpecError(f"its rows cannot be read: {error}", where=str(file)) from None
    if not rows:
        raise SpecError("it holds no rows", where=str(file))
    return [Sample(str(file), number, row) for number, row in enumerate(rows, 1)]


def _from_json(text: str, suffix: str) -> list[Json]:
    """A list of rows, {"rows": [...]}, one row, or one row a line."""
    if suffix != ".json":
        return [_json(line) for line in text.splitlines() if line.strip()]
    document = _json(text)
    if isinstance(document, dict) and set(document) == {"rows"}:
        document = document["rows"]
    return document if isinstance(document, list) else [document]


def _json(text: str) -> Json:
    def refuse(constant: str) -> None:
        raise ValueError(f"JSON has no {constant}")

    return json.loads(text, parse_constant=refuse)


def _from_csv(text: str, columns: Sequence[Json]) -> list[Json]:
    header, *lines = list(csv.reader(text.splitlines(keepends=True), strict=True)) or [[]]
    by_name = {column["name"]: column for column in columns}
    rows = []
    for number, cells in enumerate(lines, 1):
        if cells and len(cells) != len(header):
            raise ValueError(f"row {number} has {len(cells)} cells, the header has {len(header)}")
        if cells:
            rows.append({name: _typed(cell, by_name.get(name)) for name, cell in zip(header, cells, strict=True)})
    return rows


def _typed(cell: str, column: Json) -> Json:
    """The cell as its column's type; as it stands where it is none, so that the endpoint says what is wrong with it."""
    if column is None or (cell == "" and not column["nullable"]):
        return cell
    if cell == "":
        return None
    try:
        return _OF_TYPE[column["type"]](cell)
    except (ValueError, KeyError):
        return cell


def _number(cell: str) -> float:
    if not math.isfinite(number := float(cell)):
        raise ValueError("JSON has neither NaN nor infinity")
    return number


_OF_TYPE: dict[str, Callable[[str], Json]] = {
    "integer": int,
    "number": _number,
    "boolean": lambda cell: {"true": True, "false": False}[cell.lower()],
    "text": str,
}
