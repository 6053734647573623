"""Chunks in any order give their own rows; one after the other they are read on, and workers get neighbours."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pa = pytest.importorskip("pyarrow", reason="batch scoring needs: pip install 'customai[batch]'")
import pyarrow.parquet as pq  # noqa: E402

from customai.workloads.batch import parquet  # noqa: E402
from customai.workloads.batch.rows import Layout, kept_schema  # noqa: E402
from customai.workloads.batch.storage import Local  # noqa: E402
from customai.workloads.batch.waiting import Waiting  # noqa: E402
from customai.workloads.scoring.signature import Tensor  # noqa: E402

SCHEMA = pa.schema([("id", pa.int64()), ("x", pa.float32()), ("y", pa.float32())])
LAYOUT = Layout(("x", "y"), (Tensor("X", "FP32", (-1, 2)),), ("id",), "", "")


def written(file: Path, groups: list[int]) -> None:
    first = 0
    with pq.ParquetWriter(file, SCHEMA) as writer:
        for count in groups:
            ids = range(first, first + count)
            table = pa.table([ids, [float(each) for each in ids], [0.5] * count], schema=SCHEMA)
            writer.write_table(table, row_group_size=max(count, 1))
            first += count


def chunks_of(file: Path, size: int) -> list[dict[str, Any]]:
    with pq.ParquetFile(file) as opened:
        return [{"file": file.name, "version": "1", **chunk} for chunk in parquet.cut(opened, size)]


def reader_of(folder: Path, size: int) -> parquet.Reader:
    return parquet.Reader(Local(folder), LAYOUT, kept_schema(LAYOUT, SCHEMA, as_text=False), size)


def read(reader: parquet.Reader, chunk: dict[str, Any]) -> Iterator[int]:
    for batch in reader.batches(chunk):
        ids = batch.kept.column("id").to_pylist()
        assert batch.rows is not None
        assert batch.rows.tolist() == ids
        assert batch.feed["X"].tolist() == [[float(each), 0.5] for each in ids]
        yield from ids


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=4), st.integers(1, 15), st.integers(1, 9), st.randoms())
def test_chunks_in_any_order_give_their_own_rows(groups: list[int], size: int, rows: int, random: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        written(Path(folder, "f.parquet"), groups)
        chunks = chunks_of(Path(folder, "f.parquet"), size)
        if random.random() < 0.5:  # else as they come, where one is read on
            random.shuffle(chunks)
        reader = reader_of(Path(folder), rows)
        for chunk in chunks:
            assert list(read(reader, chunk)) == list(range(chunk["first"], chunk["first"] + chunk["rows"]))
        reader.close()


def test_a_row_group_is_opened_once_for_all_its_chunks_in_turn(tmp_path: Path) -> None:
    written(tmp_path / "f.parquet", [100, 100])
    chunks = chunks_of(tmp_path / "f.parquet", 10)
    reader = reader_of(tmp_path, 7)
    with mock.patch.object(parquet, "opened", wraps=parquet.opened) as opened:
        assert [row for chunk in chunks for row in read(reader, chunk)] == list(range(200))
        assert opened.call_count == 2


def test_one_that_was_left_in_the_middle_is_read_from_its_beginning(tmp_path: Path) -> None:
    written(tmp_path / "f.parquet", [100])
    chunks = chunks_of(tmp_path / "f.parquet", 25)
    reader = reader_of(tmp_path, 5)
    assert next(iter(read(reader, chunks[0]))) == 0
    assert list(read(reader, chunks[0])) == list(range(25))
    assert list(read(reader, chunks[1])) == list(range(25, 50))


def test_a_file_that_is_another_by_now_is_opened_anew(tmp_path: Path) -> None:
    written(tmp_path / "f.parquet", [100])
    first, second, *_ = chunks_of(tmp_path / "f.parquet", 25)
    reader = reader_of(tmp_path, 5)
    assert list(read(reader, first)) == list(range(25))
    with mock.patch.object(parquet, "opened", wraps=parquet.opened) as opened:
        assert list(read(reader, {**second, "version": "2"})) == list(range(25, 50))
        assert opened.call_count == 1


@given(st.sets(st.integers(0, 60), min_size=1), st.integers(1, 5), st.randoms())
def test_every_chunk_is_handed_out_once_and_mostly_to_who_had_the_one_before(
    ids: set[int], workers: int, random: Any
) -> None:
    waiting = Waiting({"id": number} for number in ids)
    last: list[int | None] = [None] * workers
    taken: list[int] = []
    while waiting:
        worker = random.randrange(workers)
        follows = last[worker] is not None and last[worker] + 1 in ids - set(taken)  # type: ignore[operator]
        busy = [each for number, each in enumerate(last) if each is not None and number != worker]
        chunk = waiting.take(last[worker], busy)["id"]
        assert chunk == (last[worker] + 1 if follows else chunk)  # type: ignore[operator]
        last[worker] = chunk
        taken.append(chunk)
    assert sorted(taken) == sorted(ids)


def test_two_workers_begin_at_the_beginning_and_in_the_middle() -> None:
    waiting = Waiting({"id": number} for number in range(10))
    assert waiting.take(None, [])["id"] == 0
    assert waiting.take(None, [0])["id"] == 5
    assert waiting.take(0, [5])["id"] == 1
    assert waiting.take(5, [1])["id"] == 6
