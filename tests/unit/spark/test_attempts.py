"""What is kept of attempts at a run. No Spark is started: its committer's folders are made as it makes them."""

# ruff: noqa: E402 (without the extra there is nothing to import)

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

pa = pytest.importorskip("pyarrow", reason="the extra spark is not installed")
import pyarrow.parquet as pq

from customai.workloads.batch.staging import Staging
from customai.workloads.spark.attempts import Attempts, Chunk, Split, count, under_way

A, B, C = (Split(f"file:/data/{name}%20x.parquet", 0, 10) for name in "abc")


@pytest.fixture
def staging(tmp_path: Path) -> Iterator[Staging]:
    made = Staging(tmp_path / "_run=r")
    with made.held():
        yield made


def task(output: Path, number: int, errors: int = 0, by: str = "") -> Path:
    """A task of Spark's that is done, of ten rows."""
    folder = output / "_temporary" / "0" / f"task_2026_m_{number:06}" / by
    folder.mkdir(parents=True)
    table = pa.table({"id": range(10), "error": pa.array(["wrong"] * errors + [None] * (10 - errors), pa.string())})
    pq.write_table(table, folder / f"part-{number:05}-uuid{output.parent.name}.c000.parquet")
    return folder


def splits(chunks: list[Chunk]) -> list[tuple[Split, ...]]:
    return [chunk.splits for chunk in chunks]


def test_what_a_killed_attempt_had_done_is_kept_and_what_it_had_begun_is_not(staging: Staging) -> None:
    output = Attempts(staging, "m").begin([[A], [B], [C]], [], 32)
    task(output, 1, errors=3)
    begun = output / "_temporary" / "0" / "_temporary" / "attempt_2026_m_000000_0"
    shutil.copytree(task(output, 0), begun)
    shutil.rmtree(output / "_temporary" / "0" / "task_2026_m_000000")
    tries = Attempts(staging, "m")
    (chunk,) = tries.done()
    assert (chunk.splits, chunk.rows, chunk.errors, tries.split, tries.number) == ((B,), 10, 3, 32, 1)


def test_an_attempt_that_fails_takes_only_a_link_away(staging: Staging) -> None:
    tries = Attempts(staging, "m")
    output = tries.begin([[A]], [], 32)
    task(output, 0)
    (output / "_temporary").unlink()  # as the committer does when it gives up
    tries.end()
    assert splits(tries.done()) == [(A,)]


def test_killed_while_spark_moved_the_files_to_their_place_all_are_found(staging: Staging) -> None:
    output = Attempts(staging, "m").begin([[A], [B]], [], 32)
    moved = task(output, 0, by="type=mill")
    task(output, 1, by="type=mill")
    moved.rename(output / "type=mill")
    found = Attempts(staging, "m").done()
    assert splits(found) == [(A,), (B,)]
    assert {str(name.parent) for chunk in found for _, name in chunk.files} == {"type=mill"}


def test_another_request_model_or_input_begins_anew(staging: Staging) -> None:
    task(Attempts(staging, "m").begin([[A]], [], 32), 0)
    tries = Attempts(staging, "other")
    assert (tries.done(), tries.split, tries.number) == ([], None, 0)


def test_what_was_skipped_as_done_does_not_count_as_done_by_who_skipped_it(staging: Staging) -> None:
    """A file that turns out to be damaged takes the whole chunk away that its rows are in: the others must be redone."""
    tries = Attempts(staging, "m")
    task(tries.begin([[A, B]], [], 32), 0)
    tries.end()
    task(tries.begin([[A, C]], tries.done(), 32), 0)
    tries.end()
    assert splits(tries.done()) == [(A, B), (C,)]
    assert splits(tries.done(damaged=["/data/b x.parquet"])) == [(C,)]


def test_a_file_that_is_not_whole_is_done_again(staging: Staging) -> None:
    output = Attempts(staging, "m").begin([[A], [B]], [], 32)
    (file,) = task(output, 0).iterdir()
    file.write_bytes(file.read_bytes()[:-9])
    task(output, 1)
    assert splits(Attempts(staging, "m").done()) == [(B,)]


def test_a_process_of_a_killed_attempt_that_still_lives_changes_nothing(staging: Staging) -> None:
    old = Attempts(staging, "m").begin([[A], [B]], [], 32)
    task(old, 0)
    tries = Attempts(staging, "m")
    task(old, 1)  # it makes the folder anew
    task(tries.begin([[B]], tries.done(), 32), 0)
    tries.end()
    assert splits(tries.done()) == [(A,), (B,)]


def test_the_output_holds_every_file_once_and_the_summary(staging: Staging) -> None:
    tries = Attempts(staging, "m")
    task(tries.begin([[A], [B]], [], 32), 1)
    tries.end()
    task(tries.begin([[A]], tries.done(), 32), 0)
    tries.end()
    for _ in range(2):  # killed meanwhile, it is put together again
        tries.assemble(tries.done(), {"rows": 20})
    names = sorted(file.name for file in staging.output.iterdir())
    assert names == ["_summary.json", "part-00000-uuidattempt-2.c000.parquet", "part-00001-uuidattempt-1.c000.parquet"]


def test_rows_in_error_are_counted_also_where_no_footer_tells(tmp_path: Path) -> None:
    table = pa.table({"id": [1, 2, 3], "error": ["x", None, None]})
    for statistics in (True, False):
        pq.write_table(table, tmp_path / "part", write_statistics=statistics)
        assert count(tmp_path / "part") == (3, 1)


def test_an_attempt_that_goes_on_tells_what_is_done(staging: Staging) -> None:
    assert under_way(staging.folder) is None
    task(Attempts(staging, "m").begin([[A], [B, C]], [], 32), 0)
    assert under_way(staging.folder) == ({0: 10, 1: 20}, {0})
