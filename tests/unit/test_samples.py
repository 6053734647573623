"""Files of rows and images, as they are sent to be scored."""

from __future__ import annotations

import pytest

from customai import samples
from customai.errors import NotFound, SpecError

COLUMNS = [
    {"name": "age", "type": "number", "nullable": True},
    {"name": "visits", "type": "integer", "nullable": False},
    {"name": "city", "type": "text", "nullable": False},
    {"name": "note", "type": "text", "nullable": True},
    {"name": "member", "type": "boolean", "nullable": False},
]
ROW = {"age": 41.5, "visits": 3, "city": "Oslo", "note": None, "member": True}


@pytest.mark.parametrize(
    ("name", "text", "rows"),
    [
        ("a.json", '[{"x": 1}, {"x": 2}]', [{"x": 1}, {"x": 2}]),
        ("a.json", '{"rows": [{"x": 1}]}', [{"x": 1}]),
        ("a.json", '{"x": 1}', [{"x": 1}]),
        ("a.json", '{"rows": 1, "x": 2}', [{"rows": 1, "x": 2}]),
        ("a.JSON", "[[1, 2], 3]", [[1, 2], 3]),
        ("a.jsonl", '{"x": 1}\n\n{"x": 2}\n', [{"x": 1}, {"x": 2}]),
        ("a.ndjson", '{"x": "é"}', [{"x": "é"}]),
        ("a.csv", "age,visits,city,note,member\n41.5,3,Oslo,,TRUE\n", [ROW]),
        (
            "a.csv",
            "\ufeffvisits,age\r\n3,\r\n\r\n-4,1e3\r\n",
            [{"visits": 3, "age": None}, {"visits": -4, "age": 1000.0}],
        ),
        ("a.csv", 'city,note\n"a,b\nc",""\n', [{"city": "a,b\nc", "note": None}]),
        ("a.csv", "city\n\n", None),
        # what is not of its type stays as it is: the endpoint says what is wrong with it
        (
            "a.csv",
            "age,visits,member,other\nx,3.0,yes,5\n",
            [{"age": "x", "visits": "3.0", "member": "yes", "other": "5"}],
        ),
        ("a.csv", "age,visits\nnan,\n", [{"age": "nan", "visits": ""}]),
        ("a.csv", "age,visits\ninf,1\n", [{"age": "inf", "visits": 1}]),
    ],
)
def test_rows_are_read_as_they_are_meant(tmp_path, name, text, rows):
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    if rows is None:
        with pytest.raises(SpecError, match="it holds no rows"):
            samples.read(tmp_path / name, COLUMNS)
        return
    found = samples.read(tmp_path / name, COLUMNS)
    assert [sample.content for sample in found] == rows
    assert [sample.number for sample in found] == list(range(1, len(rows) + 1))
    assert found[0].name == f"{name} row 1"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.json", b"{", "its rows cannot be read"),
        ("a.json", b"", "its rows cannot be read"),
        ("a.json", b"[]", "it holds no rows"),
        ("a.json", b"[NaN]", "JSON has no NaN"),
        ("a.json", b"[" * 100_000, "its rows cannot be read"),
        ("a.jsonl", b'{"x": 1}\n{', "its rows cannot be read"),
        ("a.jsonl", b"", "it holds no rows"),
        ("a.csv", b"", "it holds no rows"),
        ("a.csv", b"a,b\n1,2,3\n", "row 1 has 3 cells, the header has 2"),
        ("a.csv", b'a\n"1\n', "its rows cannot be read"),
        ("a.csv", b"a\n\xff\n", "it is not UTF-8 text"),
    ],
)
def test_what_is_not_rows_is_told_so(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(SpecError, match=message) as caught:
        samples.read(tmp_path / name, COLUMNS)
    assert caught.value.where == str(tmp_path / name)


def test_anything_else_is_an_image(tmp_path):
    (tmp_path / "3.png").write_bytes(b"\x89PNG")
    [image] = samples.read(tmp_path / "3.png", [])
    assert (image.content, image.number, image.name) == (b"\x89PNG", None, "3.png")


@pytest.mark.parametrize("name", ["no.csv", "no.png", "."])
def test_a_file_that_cannot_be_read_is_not_found(tmp_path, name):
    with pytest.raises(NotFound, match="it cannot be read"):
        samples.read(tmp_path / name, [])
