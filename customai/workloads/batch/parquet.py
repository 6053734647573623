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

SUFFIXES = (".parquet", ".pq")
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


def batches(folder: Folder, chunk: dict[str, Any], layout: Layout, kept: pa.Schema, size: int) -> Iterator[Batch]:
    """The chunk's rows, `size` at a time."""
    skip, left, number = chunk["skip"], chunk["rows"], chunk["first"]
    with opened(folder, chunk["file"]) as file:
        # One thread: the other cores have chunks of their own.
        found = file.iter_batches(size, row_groups=chunk["groups"], columns=layout.needed, use_threads=False)
        for table in found:
            if skip >= table.num_rows:
                skip -= table.num_rows
                continue
            part = table.slice(skip, left)
            skip = 0
            numbers = np.arange(number, number + part.num_rows, dtype=np.int64)
            yield batch_of(part, numbers, chunk["file"], kept, layout)
            number, left = number + part.num_rows, left - part.num_rows
            if not left:
                return
    if left:
        raise pa.ArrowInvalid(f"it ends {left} rows too early")
