"""Parquet files: cut by row groups, read in small batches."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from customai.workloads.batch.rows import Batch, Layout, batch_of
from customai.workloads.batch.storage import Folder

BUFFER = 2**18  # bytes of each column that are read at a time


def opened(folder: Folder, name: str) -> pq.ParquetFile:
    """Raises pa.ArrowException or OSError for what is no Parquet file."""
    path = folder.path(name)
    if path is not None:
        # Not mapped into memory: the pages would count as ours, and grow with the row groups.
        return pq.ParquetFile(path, buffer_size=BUFFER, pre_buffer=False)
    return pq.ParquetFile(folder.open(name), pre_buffer=False)


def cut(file: pq.ParquetFile, size: int) -> Iterator[dict[str, Any]]:
    """Chunks of about `size` rows: several small row groups, or a part of a large one."""
    counts = [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]
    first = 0
    groups: list[int] = []
    waiting = 0
    for group, count in enumerate(counts):
        if waiting and waiting + count > size:
            yield {"groups": groups, "skip": 0, "rows": waiting, "first": first}
            first, groups, waiting = first + waiting, [], 0
        pieces = max(1, round(count / size))
        if pieces == 1:
            groups, waiting = [*groups, group], waiting + count
            continue
        edges = [count * piece // pieces for piece in range(pieces + 1)]
        for start, end in itertools.pairwise(edges):
            yield {"groups": [group], "skip": start, "rows": end - start, "first": first + start}
        first += count
    if waiting:
        yield {"groups": groups, "skip": 0, "rows": waiting, "first": first}


class Reader:
    """Reads chunks. One that begins where the one before it ended is read on: a large row group is decoded once."""

    def __init__(self, folder: Folder, layout: Layout, kept: pa.Schema, size: int) -> None:
        self.folder, self.layout, self.kept, self.size = folder, layout, kept, size
        self._place: tuple[Any, ...] = ()  # where it stands, if it may be read on from there
        self._tables: Iterator[pa.RecordBatch] = iter(())
        self._file: pq.ParquetFile | None = None

    def batches(self, chunk: dict[str, Any]) -> Iterator[Batch]:
        """The chunk's rows, `size` at a time."""
        left, number = chunk["rows"], chunk["first"]
        self._turn_to(chunk)
        while left:
            table = next(self._tables, None)
            if table is None:
                raise pa.ArrowInvalid(f"it ends {left} rows too early")
            part, rest = table.slice(0, left), table.slice(left)
            if rest.num_rows:
                self._tables = itertools.chain((rest,), self._tables)
            numbers = np.arange(number, number + part.num_rows, dtype=np.int64)
            yield batch_of(part, numbers, chunk["file"], self.kept, self.layout)
            number, left = number + part.num_rows, left - part.num_rows
        self._place = _place(chunk, chunk["skip"] + chunk["rows"])

    def _turn_to(self, chunk: dict[str, Any]) -> None:
        there, self._place = self._place, ()
        if there == _place(chunk, chunk["skip"]):
            return
        self.close()
        self._file = opened(self.folder, chunk["file"])
        # One thread: the other cores have chunks of their own.
        found = self._file.iter_batches(
            self.size, row_groups=chunk["groups"], columns=self.layout.needed, use_threads=False
        )
        self._tables = _from(found, chunk["skip"])

    def close(self) -> None:
        self._tables, self._place = iter(()), ()
        if self._file is not None:
            self._file.close()
            self._file = None


def _place(chunk: dict[str, Any], row: int) -> tuple[Any, ...]:
    """A row of a row group, of a file as it was when it was listed."""
    return chunk["file"], chunk["version"], tuple(chunk["groups"]), row


def _from(tables: Iterator[pa.RecordBatch], row: int) -> Iterator[pa.RecordBatch]:
    for table in tables:
        if row < table.num_rows:
            yield table.slice(row) if row else table
        row = max(0, row - table.num_rows)
