"""One chunk's files: written aside, on disk, then in their place; so that each is there whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc_csv
import pyarrow.parquet as pq

from customai.workloads.batch.rows import Refused
from customai.workloads.batch.staging import fsync

FLUSH = 32 * 2**20  # bytes of output that wait to become a row group


class Part:
    def __init__(self, staging: Path, chunk: int, schema: pa.Schema, *, csv: bool) -> None:
        self.staging = staging
        self.name = f"part-{chunk:05}"
        self.schema = schema
        self.csv = csv
        self.rows = 0
        self.refused: list[Refused] = []
        self._waiting: list[pa.RecordBatch] = []
        self._size = 0
        self._parquet: pq.ParquetWriter | None = None
        self._text: pc_csv.CSVWriter | None = None

    def write(self, batch: pa.RecordBatch) -> None:
        self._waiting.append(batch)
        self._size += batch.nbytes
        self.rows += batch.num_rows
        if self._size > FLUSH:
            self._flush()

    def _flush(self) -> None:
        table = pa.Table.from_batches(self._waiting, self.schema)
        self._waiting, self._size = [], 0
        if self._parquet is None:
            self._parquet = pq.ParquetWriter(
                self._aside("parquet"), self.schema, compression="zstd", use_dictionary=_repeating(self.schema)
            )
        self._parquet.write_table(table)
        if self.csv:
            flat = _flat(table)
            if self._text is None:
                self._text = pc_csv.CSVWriter(self._aside("csv"), flat.schema)
            self._text.write_table(flat)

    def commit(self) -> None:
        """Puts the files in their place, the errors first."""
        if self._waiting:
            self._flush()
        errors = self.staging / "errors" / f"{self.name}.jsonl"
        if self.refused:
            self._aside("jsonl").write_text("".join(json.dumps(each) + "\n" for each in self.refused))
            self._place("jsonl", errors)
        else:
            errors.unlink(missing_ok=True)
        self.close()
        if self.rows and self.csv:
            self._place("csv", self.staging / "output" / "_csv" / f"{self.name}.csv")
        if self.rows:
            self._place("parquet", self.staging / "output" / f"{self.name}.parquet")

    def close(self) -> None:
        for writer in (self._parquet, self._text):
            if writer is not None:
                writer.close()
        self._parquet = self._text = None

    def _aside(self, kind: str) -> Path:
        return self.staging / "tmp" / f"{self.name}.{os.getpid()}.{kind}"

    def _place(self, kind: str, path: Path) -> None:
        """On disk, then under its own name, then that name on disk."""
        path.parent.mkdir(exist_ok=True)
        fsync(self._aside(kind))
        self._aside(kind).replace(path)
        fsync(path.parent)


def _repeating(schema: pa.Schema) -> list[str]:
    """The columns worth a dictionary: building one of numbers that hardly repeat costs more than all the rest."""
    return [field.name for field in schema if field.name == "label" or not _is_number(field.type)]


def _is_number(kind: pa.DataType) -> bool:
    inner = kind.value_type if pa.types.is_list(kind) else kind
    return bool(pa.types.is_integer(inner) or pa.types.is_floating(inner))


def _flat(table: pa.Table) -> pa.Table:
    """A CSV has no lists: their elements become columns, name_0, name_1, ..."""
    columns = {}
    for name, column in zip(table.schema.names, table.columns, strict=True):
        if not pa.types.is_list(column.type):
            columns[name] = column
            continue
        values = column.combine_chunks()
        width = len(values.flatten()) // max(len(values), 1)
        for place in range(width):
            columns[f"{name}_{place}"] = values.flatten()[place::width]
    return pa.table(columns)
