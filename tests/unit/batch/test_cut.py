"""Chunks: together they are the whole, none overlaps another, and none is much larger than asked."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pa = pytest.importorskip("pyarrow", reason="batch scoring needs: pip install 'customai[batch]'")
import pyarrow.parquet as pq  # noqa: E402

from customai.workloads.batch import delimited, parquet  # noqa: E402
from customai.workloads.batch.storage import Local  # noqa: E402


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=8), st.integers(1, 30))
def test_row_groups_are_cut_and_put_together(groups: list[int], size: int) -> None:
    buffer = io.BytesIO()
    schema = pa.schema([("id", pa.int64())])
    with pq.ParquetWriter(buffer, schema) as writer:
        for count in groups:
            writer.write_table(pa.table({"id": pa.array(range(count), pa.int64())}))
    chunks = list(parquet.cut(pq.ParquetFile(io.BytesIO(buffer.getvalue())), size))
    assert sum(chunk["rows"] for chunk in chunks) == sum(groups)
    assert [chunk["first"] for chunk in chunks] == [sum(c["rows"] for c in chunks[:i]) for i in range(len(chunks))]
    assert all(0 < chunk["rows"] <= 1.5 * size + 1 for chunk in chunks)
    taken = [(group, chunk["skip"]) for chunk in chunks for group in chunk["groups"]]
    assert len(taken) == len(set(taken))


CELLS = st.lists(st.text(alphabet='ab"\n, ', max_size=6), min_size=2, max_size=2)


def quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


@settings(max_examples=80, deadline=None)
@given(st.lists(CELLS, min_size=1, max_size=12), st.integers(1, 5), st.booleans())
def test_records_of_a_csv_are_cut_at_their_ends(records: list[list[str]], size: int, newline: bool) -> None:
    text = "x,y\n" + "\n".join(",".join(map(quoted, record)) for record in records) + "\n" * newline
    data = text.encode()

    class Folder(Local):
        def open(self, name: str) -> Any:
            return io.BytesIO(data)

    chunks = list(delimited.cut(Folder(Path()), "f", 4, len(data), size))
    assert [chunk["start"] for chunk in chunks] == [4, *(chunk["end"] for chunk in chunks[:-1])]
    assert chunks[-1]["end"] == len(data)
    assert [chunk["rows"] for chunk in chunks] == [min(size, len(records) - i) for i in range(0, len(records), size)]
    for chunk in chunks:
        part = (
            data[chunk["start"] : chunk["end"]].rstrip(b"\n")
            if chunk is chunks[-1]
            else data[chunk["start"] : chunk["end"]]
        )
        assert part.count(b'"') % 2 == 0
