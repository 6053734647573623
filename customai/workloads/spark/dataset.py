"""What is to be scored, looked at before Spark starts: which files can be read, which columns they have, how many rows."""

from __future__ import annotations

import csv
import difflib
import gzip
import io
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from customai.errors import SpecError
from customai.workloads.batch.storage import Entry, Folder, of

NUMBER, TEXT, OTHER = "number", "text", "other"
ENDINGS = {"parquet": (".parquet", ".parq"), "csv": (".csv", ".csv.gz", ".tsv")}
THREADS = 8  # that look into files


@dataclass(frozen=True)
class File:
    """A file of the data set; `wrong` says why it cannot be scored."""

    path: str
    rows: int | None = None  # None: only reading it would tell
    columns: Mapping[str, str] | None = None  # name -> number | text | other
    wrong: str = ""


@dataclass(frozen=True)
class Dataset:
    """The files of one format; those that cannot be read are set aside, with the reason."""

    root: str
    format: str
    columns: Mapping[str, str]
    files: tuple[File, ...]
    unreadable: tuple[File, ...]

    @property
    def rows(self) -> int | None:
        counts = [file.rows for file in self.files if file.rows is not None]
        return sum(counts) if len(counts) == len(self.files) else None

    def without(self, path: str, reason: str) -> Dataset:
        """The rest, after Spark could not read this one to its end."""
        kept = tuple(file for file in self.files if file.path != path)
        return Dataset(self.root, self.format, self.columns, kept, (*self.unreadable, File(path, wrong=reason)))

    def check(self, features: Mapping[str, str], others: Iterable[str]) -> None:
        """Raises SpecError for a column that is missing, or that cannot be what the model takes."""
        for name in (*features, *others):
            if name not in self.columns:
                near = difflib.get_close_matches(name, self.columns, 1)
                also = f"did you mean {near[0]}? " if near else ""
                raise SpecError(
                    f"the data set has no column '{name}'",
                    where=self.root,
                    hint=f"{also}it has {', '.join(self.columns)}",
                )
        for name, kind in features.items():
            if not _fits(self.columns[name], kind, self.format):
                raise SpecError(f"column {name} is {self.columns[name]}, the model takes {kind}", where=self.root)


def look(
    place: str,
    format_: str,
    delimiter: str,
    features: Mapping[str, str],
    where: tuple[Folder, str | None] | None = None,
) -> Dataset:
    """Looks into every file, at its columns and its number of rows.

    Args:
        place: a folder or a file.
        format_: parquet, csv, or auto: what there is most of.
        features: column -> number | text: a file in which one of them is something else is set aside.
        where: what opens the files, and the one that is meant; found by itself on this machine.

    Raises:
        SpecError: there is nothing to read.
    """
    folder, single = where or of(place)
    entries = [folder.entry(single)] if single else folder.entries()
    format_ = format_ if format_ != "auto" else _most([entry.name for entry in entries])
    entries = [entry for entry in entries if single or entry.name.lower().endswith(ENDINGS[format_])]
    if not entries:
        raise SpecError(f"there are no {format_} files", where=place, hint=f"looked for {', '.join(ENDINGS[format_])}")
    seen = _parquet if format_ == "parquet" else _csv
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(lambda entry: seen(folder, entry, delimiter), entries))
    first = next((file for file in found if file.columns is not None), None)
    if first is None or first.columns is None:
        raise SpecError(f"none of the {len(found)} files can be read: {found[0].wrong}", where=found[0].path)
    columns = {**first.columns, **_partitions(folder.where, first.path)}
    checked = [_checked(file, first, features, format_) for file in found]
    files, wrong = ([file for file in checked if bool(file.wrong) is bad] for bad in (False, True))
    dataset = Dataset(place, format_, columns, tuple(files), tuple(wrong))
    if dataset.rows == 0 and not wrong:
        raise SpecError("the data set is empty: it has no rows", where=place)
    return dataset


def _most(names: list[str]) -> str:
    return max(ENDINGS, key=lambda format_: sum(name.lower().endswith(ENDINGS[format_]) for name in names))


def _path(folder: Folder, entry: Entry) -> str:
    """What Spark knows the file by."""
    return folder.path(entry.name) or f"{folder.where.rstrip('/')}/{entry.name}"


def _parquet(folder: Folder, entry: Entry, _delimiter: str) -> File:
    path = _path(folder, entry)
    if entry.size == 0:
        return File(path, wrong="it is empty")
    try:
        read = pq.ParquetFile(folder.path(entry.name) or folder.open(entry.name))
    except (pa.ArrowException, OSError) as error:
        return File(path, wrong=f"not a whole Parquet file: {str(error).splitlines()[0]}")
    with read:
        return File(path, read.metadata.num_rows, {field.name: _kind(field.type) for field in read.schema_arrow})


def _kind(type_: pa.DataType) -> str:
    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    if pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_):
        return NUMBER
    is_text = pa.types.is_string(type_) or pa.types.is_large_string(type_)
    return TEXT if is_text else NUMBER if pa.types.is_boolean(type_) else OTHER


def _csv(folder: Folder, entry: Entry, delimiter: str) -> File:
    path = _path(folder, entry)
    try:
        with folder.open(entry.name) as raw, io.TextIOWrapper(_plain(raw, path), "utf-8-sig", newline="") as file:
            header = next(csv.reader(file, delimiter=delimiter), None)
            first = next(file, None)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        return File(path, wrong=f"not a CSV file in UTF-8: {error}")
    if not header:
        return File(path, wrong="it is empty: no line with the columns' names")
    return File(path, 0 if first is None else None, dict.fromkeys(header, TEXT))


def _plain(raw: BinaryIO, path: str) -> BinaryIO:
    return cast("BinaryIO", gzip.open(raw)) if path.endswith(".gz") else raw


def _partitions(root: str, path: str) -> dict[str, str]:
    """The columns that Spark reads from the folders' names: day=2026-11-24."""
    between = PurePath(path).relative_to(root).parent.parts
    return {part.partition("=")[0]: OTHER for part in between if "=" in part}


def _checked(file: File, first: File, features: Mapping[str, str], format_: str) -> File:
    """A file that differs from the first where it matters cannot be read with it."""
    if file.wrong or file.columns is None or first.columns is None:
        return file
    for name, kind in features.items():
        if name in first.columns and name not in file.columns:
            return File(file.path, wrong=f"it has no column '{name}'")
        if _fits(first.columns.get(name, ""), kind, format_) and not _fits(file.columns.get(name, ""), kind, format_):
            return File(file.path, wrong=f"column {name} is {file.columns[name]}, the model takes {kind}")
    if format_ == "csv" and list(file.columns) != list(first.columns):
        return File(file.path, wrong=f"its columns are not those of {Path(first.path).name}, in that order")
    return file


def _fits(found: str, wanted: str, format_: str) -> bool:
    return found == wanted or format_ == "csv"  # texts of a CSV are read as numbers row by row
