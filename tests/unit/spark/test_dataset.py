# ruff: noqa: E402 (without the extra there is nothing to import)
"""What is to be scored, looked at before Spark starts."""

from __future__ import annotations

from pathlib import Path

import pytest

pa = pytest.importorskip("pyarrow", reason="the extra spark is not installed")
pq = pytest.importorskip("pyarrow.parquet")

from customai.errors import SpecError
from customai.workloads.spark.dataset import NUMBER, TEXT, look

FEATURES = {"size": NUMBER, "kind": TEXT}


def table(rows: int = 3, **columns: object) -> object:
    made = {"size": [float(n) for n in range(rows)], "kind": ["a"] * rows, "id": list(range(rows))}
    return pa.table(made | columns)


def parquet(folder: Path, name: str, made: object) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(made, file)
    return file


def test_files_rows_and_columns_are_told_and_hidden_ones_left_out(tmp_path: Path) -> None:
    for name in ("a.parquet", "day=1/b.parquet", "_SUCCESS/x.parquet", ".hidden.parquet"):
        parquet(tmp_path, name, table(rows=5))
    data = look(str(tmp_path), "auto", ",", FEATURES)
    assert [Path(file.path).name for file in data.files] == ["a.parquet", "b.parquet"]
    assert (data.format, data.rows, data.unreadable) == ("parquet", 10, ())
    assert data.columns == {"size": NUMBER, "kind": TEXT, "id": NUMBER}


def test_folders_that_name_a_column_are_columns(tmp_path: Path) -> None:
    parquet(tmp_path, "day=1/b.parquet", table())
    assert "day" in look(str(tmp_path), "auto", ",", FEATURES).columns


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda file: file.write_bytes(b""), "it is empty"),
        (lambda file: file.write_bytes(b"not Parquet at all"), "not a whole Parquet file"),
        (lambda file: file.write_bytes(file.read_bytes()[:-20]), "not a whole Parquet file"),
        (lambda file: pq.write_table(table(size=["x", "y", "z"]), file), "column size is text, the model takes number"),
        (lambda file: pq.write_table(table().drop_columns(["size"]), file), "it has no column 'size'"),
    ],
)
def test_one_bad_file_among_many_is_set_aside_with_the_reason(tmp_path: Path, spoil, reason: str) -> None:
    files = [parquet(tmp_path, f"{n}.parquet", table()) for n in range(4)]
    spoil(files[2])
    data = look(str(tmp_path), "auto", ",", FEATURES)
    assert [file.path for file in data.unreadable] == [str(files[2])]
    assert reason in data.unreadable[0].wrong
    assert (len(data.files), data.rows) == (3, 9)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: None, "there are no parquet files"),
        (lambda folder: (folder / "a.txt").write_text("x"), "there are no parquet files"),
        (lambda folder: parquet(folder, "a.parquet", table(rows=0)), "it has no rows"),
        (lambda folder: (folder / "a.parquet").write_bytes(b""), "none of the 1 files can be read: it is empty"),
        (lambda folder: (folder / "a.csv").write_text(""), "none of the 1 files can be read: it is empty"),
        (lambda folder: (folder / "a.csv").write_text("size,kind\n"), "it has no rows"),
    ],
)
def test_nothing_to_score_is_an_error_of_the_spec(tmp_path: Path, make, words: str) -> None:
    make(tmp_path)
    with pytest.raises(SpecError, match=words):
        look(str(tmp_path), "auto", ",", FEATURES)


@pytest.mark.parametrize(
    ("features", "keep", "words", "hint"),
    [
        ({"sise": NUMBER}, (), "no column 'sise'", "did you mean size?"),
        (FEATURES, ("nothing",), "no column 'nothing'", "it has size, kind, id"),
        ({"kind": NUMBER}, (), "column kind is text, the model takes number", ""),
        ({"size": TEXT}, (), "column size is number, the model takes text", ""),
    ],
)
def test_columns_that_do_not_fit_are_named(tmp_path: Path, features, keep, words: str, hint: str) -> None:
    parquet(tmp_path, "a.parquet", table())
    with pytest.raises(SpecError, match=words) as caught:
        look(str(tmp_path), "auto", ",", features).check(features, keep)
    assert hint in caught.value.hint


@pytest.mark.parametrize("odd", ["a.parquet", "b.parquet"])
def test_a_column_that_one_of_several_files_has_more_of_does_not_matter(tmp_path: Path, odd: str) -> None:
    for name in ("a.parquet", "b.parquet", "c.parquet"):
        parquet(tmp_path, name, table(2, remark=["", "x"]) if name == odd else table(2))
    data = look(str(tmp_path), "auto", ",", FEATURES)
    data.check(FEATURES, ["id"])
    assert (len(data.files), data.unreadable, data.rows) == (3, (), 6)


def test_csv_files_must_agree_on_their_columns(tmp_path: Path) -> None:
    for name, text in (
        ("a", "size;kind\n1;x\n"),
        ("b", "kind;size\nx;1\n"),
        ("c", "size;kind\n2;y\n"),
        ("d", "size;kind;more\n3;z;1\n"),
    ):
        (tmp_path / f"{name}.csv").write_text(text)
    data = look(str(tmp_path), "auto", ";", FEATURES)
    assert [Path(file.path).name for file in data.files] == ["a.csv", "c.csv"]
    assert [Path(file.path).name for file in data.unreadable] == ["b.csv", "d.csv"]
    assert all("in that order" in file.wrong for file in data.unreadable)
    assert data.rows is None
