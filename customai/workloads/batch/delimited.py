"""CSV files: cut at ends of records, whatever stands inside quotes, and read with the types that the model takes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc_csv
from numpy.typing import NDArray

from customai.errors import SpecError
from customai.workloads.batch.rows import Batch, Layout, Refused, batch_of
from customai.workloads.batch.storage import Folder
from customai.workloads.scoring.tensors import DATATYPES

SAMPLE = 2**20  # bytes that the columns' types are guessed from, where `columns` leaves it open
BLOCK = 2**20
MOST = 64 * 2**20  # bytes of a record: beyond it a quote was never closed


def schema(folder: Folder, name: str, delimiter: str) -> tuple[pa.Schema, int]:
    """(columns and the types they seem to have, where the first record begins)."""
    with folder.open(name) as file:
        head = file.read(SAMPLE)
    body = head.removeprefix(b"\xef\xbb\xbf")
    line, end, rest = body.partition(b"\n")
    if not line.strip():
        raise pa.ArrowInvalid("it is empty: expected a line with the columns' names")
    names = _record(line, delimiter)
    if len(set(names)) != len(names):
        raise SpecError(f"column {next(n for n in names if names.count(n) > 1)} stands there twice", where=name)
    start = len(head) - len(rest)
    sample = rest if len(head) < SAMPLE else rest[: _last_end(rest)]
    if not sample.strip():
        return pa.schema([(each, pa.null()) for each in names]), start if end else len(head)
    found = pc_csv.read_csv(
        io.BytesIO(sample),
        pc_csv.ReadOptions(column_names=names, use_threads=False),
        pc_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=lambda _row: "skip"),
        pc_csv.ConvertOptions(strings_can_be_null=True),
    )
    return found.schema, start


def cut(folder: Folder, name: str, start: int, size: int, rows: int) -> Iterator[dict[str, Any]]:
    """Chunks of about `rows` records: byte ranges that begin and end with a record. Reads the file once."""
    begin, first, count, position, odd = start, 0, 0, start, 0
    with folder.open(name) as file:
        file.seek(start)
        while block := file.read(BLOCK):
            ends = _ends(block, odd)
            odd = (odd + block.count(b'"')) % 2
            while count + len(ends) >= rows:  # the chunk ends inside this block
                cut_at = position + int(ends[rows - count - 1]) + 1
                yield {"start": begin, "end": cut_at, "rows": rows, "first": first}
                ends, begin, first, count = ends[rows - count :], cut_at, first + rows, 0
            count += len(ends)
            position += len(block)
            if position - begin > max(MOST, 4096 * rows):
                raise pa.ArrowInvalid(f"a record of more than {MOST // 2**20} MB: a quote that is never closed?")
    if position > begin:
        last_is_open = size > start and not _ends_with_newline(folder, name, size)
        if count + last_is_open:
            yield {"start": begin, "end": position, "rows": count + last_is_open, "first": first}


def batches(
    folder: Folder, chunk: dict[str, Any], layout: Layout, kept: pa.Schema, *, size: int, delimiter: str
) -> Iterator[Batch]:
    """The chunk's records, `size` at a time; those that are not what the columns promise are refused."""
    with folder.open(chunk["file"]) as file:
        file.seek(chunk["start"])
        data = file.read(chunk["end"] - chunk["start"])
    types = {name: kept.field(name).type for name in layout.keep}
    types |= {name: _type(layout, name) for name in layout.features}
    types.setdefault(layout.key, pa.string())
    table, gone = _read(data, chunk["names"], {name: types[name] for name in layout.needed}, delimiter)
    refused = [Refused(chunk["file"], chunk["first"] + index, reason) for index, reason in gone]
    wanted = np.ones(table.num_rows + len(gone), dtype=bool)
    wanted[[index for index, _ in gone]] = False
    numbers = chunk["first"] + np.flatnonzero(wanted)
    if table.schema.types != [types[name] for name in table.schema.names]:  # something is not what it should be
        table, numbers, more = _converted(table, types, numbers, chunk["file"])
        refused += more
    done = 0
    for part in table.combine_chunks().to_batches(max_chunksize=size):
        made = batch_of(part, numbers[done : done + part.num_rows], chunk["file"], kept, layout)
        made.refused += refused
        yield made
        done, refused = done + part.num_rows, []
    if refused:
        nothing = kept.empty_table().combine_chunks()
        empty = pa.RecordBatch.from_arrays([pa.array([], kind) for kind in nothing.schema.types], schema=kept)
        yield Batch(chunk["file"], numbers[:0], empty, {}, refused=refused)


def _read(
    data: bytes, names: list[str], types: dict[str, pa.DataType], delimiter: str
) -> tuple[pa.Table, list[tuple[int, str]]]:
    """The records with these types, or all as text where a value is of another; and (index, reason) of broken ones."""
    for asked in (types, dict.fromkeys(types, pa.string())):
        gone: list[tuple[int, str]] = []

        def skip(row: Any, gone: list[tuple[int, str]] = gone) -> str:
            gone.append((row.number - 1, f"{row.actual_columns} values, expected {row.expected_columns}"))
            return "skip"

        convert = pc_csv.ConvertOptions(
            include_columns=list(asked), column_types=asked, strings_can_be_null=True, quoted_strings_can_be_null=False
        )
        parse = pc_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=skip)
        # One block: rows are numbered within a block.
        read = pc_csv.ReadOptions(column_names=names, use_threads=False, block_size=max(len(data), 1) + 1)
        try:
            return pc_csv.read_csv(pa.BufferReader(data), read, parse, convert), gone
        except pa.ArrowInvalid:
            if asked is not types:
                raise
    raise AssertionError("both ways are tried above")


def _converted(
    texts: pa.Table, types: dict[str, pa.DataType], numbers: NDArray[np.int64], file: str
) -> tuple[pa.Table, NDArray[np.int64], list[Refused]]:
    """The rows all of whose values can be had in these types; the others are refused, with the value that cannot."""
    good = np.ones(texts.num_rows, dtype=bool)
    refused = []
    columns = {}
    for name in texts.schema.names:
        column = texts.column(name).combine_chunks()
        try:
            columns[name] = column.cast(types[name])
        except pa.ArrowInvalid:
            made = []
            for index, value in enumerate(column):
                try:
                    made.append(value.cast(types[name]))
                except pa.ArrowInvalid:
                    made.append(pa.scalar(None, types[name]))
                    if good[index]:
                        refused.append(
                            Refused(file, int(numbers[index]), f"column {name} is '{value}', no {types[name]}")
                        )
                    good[index] = False
            columns[name] = pa.array(made, types[name])
    return pa.table(columns).filter(pa.array(good.tolist())), numbers[good], refused


def _type(layout: Layout, name: str) -> pa.DataType:
    dtype = DATATYPES[layout.tensor_of(name).datatype].dtype
    if dtype.kind == "O":
        return pa.string()
    return (
        pa.bool_() if dtype.kind == "b" else pa.from_numpy_dtype(np.dtype(np.float32) if dtype == np.float16 else dtype)
    )


def _record(line: bytes, delimiter: str) -> list[str]:
    parsed = csv.reader([line.decode("utf-8").strip("\r\n")], delimiter=delimiter)
    return [name.strip() for name in next(parsed)]


def _ends(block: bytes, odd: int) -> NDArray[np.int64]:
    """Where records end: newlines with an even number of quotes before them."""
    found = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(found == ord("\n"))
    if odd or b'"' in block:
        quotes = np.flatnonzero(found == ord('"'))
        ends = ends[(np.searchsorted(quotes, ends) + odd) % 2 == 0]
    return ends


def _last_end(block: bytes) -> int:
    ends = _ends(block, 0)
    return int(ends[-1]) + 1 if len(ends) else len(block)


def _ends_with_newline(folder: Folder, name: str, size: int) -> bool:
    with folder.open(name) as file:
        file.seek(size - 1)
        return file.read(1) == b"\n"
