"""Columns -> tensors: types, nulls, dictionaries, and what is refused."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from customai.errors import SpecError
from customai.workloads.batch.request import Request
from customai.workloads.scoring.signature import Signature, Tensor

pa = pytest.importorskip("pyarrow", reason="batch scoring needs: pip install 'customai[batch]'")
from customai.workloads.batch.rows import batch_of, kept_schema, layout_of  # noqa: E402

MATRIX = Signature((Tensor("x", "FP32", (-1, 3)),), (Tensor("y", "FP32", (-1, 1)),))
MIXED = Signature(
    (
        Tensor("age", "FP32", (-1, 1)),
        Tensor("visits", "INT64", (-1, 1)),
        Tensor("city", "BYTES", (-1, 1)),
        Tensor("member", "BOOL", (-1,)),
    ),
    (),
)


def batch(signature: Signature, table: Any, **asked: Any) -> Any:
    request = Request("rows", "r", "in", "out", **asked)
    layout = layout_of(signature, request, table.schema, "file", text=False)
    kept = kept_schema(layout, table.schema, as_text=False)
    (record,) = table.combine_chunks().to_batches()
    return batch_of(record, np.arange(table.num_rows) + 10, "file", kept, layout)


def test_all_numeric_columns_in_order_become_one_matrix() -> None:
    table = pa.table(
        {
            "name": ["a", "b"],
            "p": pa.array([1, 2], pa.int8()),
            "q": pa.array([0.5, None], pa.float64()),
            "r": pa.array([True, False]),
        }
    )
    made = batch(MATRIX, table, keep=("name",))
    np.testing.assert_array_equal(made.feed["x"], np.array([[1, 0.5, 1], [2, np.nan, 0]], np.float32))
    assert made.feed["x"].flags.c_contiguous
    assert made.kept.to_pylist() == [{"name": "a"}, {"name": "b"}]


def test_without_anything_kept_the_output_says_which_row_it_was() -> None:
    table = pa.table({"p": [1.0], "q": [2.0], "r": [3.0]})
    assert batch(MATRIX, table).kept.to_pylist() == [{"file": "file", "row": 10}]


def test_columns_by_name_with_nulls() -> None:
    table = pa.table(
        {
            "city": pa.array(["Oslo", None, "Rome"]).dictionary_encode(),
            "age": pa.array([41.5, None, 7], pa.float64()),
            "visits": pa.array([3, 4, None], pa.int32()),
            "member": [True, False, True],
            "id": [1, 2, 3],
        }
    )
    made = batch(MIXED, table, keep=("id",), null_text="?")
    assert made.kept.to_pylist() == [{"id": 1}, {"id": 2}]
    assert made.refused == [("file", 12, "column visits is null")]
    assert made.feed["city"].tolist() == [["Oslo"], ["?"]]
    np.testing.assert_array_equal(made.feed["age"], np.array([[41.5], [np.nan]], np.float32))
    assert (made.feed["visits"].tolist(), made.feed["visits"].dtype) == ([[3], [4]], np.int64)
    assert made.feed["member"].tolist() == [True, False]


def test_a_slice_of_a_larger_buffer_is_read_from_its_own_place() -> None:
    whole = pa.table({"age": np.arange(10.0), "visits": np.arange(10), "city": ["x"] * 10, "member": [True] * 10})
    made = batch(MIXED, whole.slice(6, 2))
    assert made.feed["age"].tolist() == [[6.0], [7.0]]
    assert made.feed["visits"].tolist() == [[6], [7]]


@pytest.mark.parametrize(
    ("columns", "asked", "told"),
    [
        ({"p": [1.0], "q": [1.0]}, {}, "the model takes 3 numbers a row, but the file's numeric columns are 2: p, q"),
        ({"p": [1.0], "q": [1.0]}, {"columns": ("p", "q", "z")}, "missing column: z"),
        ({"p": [1.0]}, {"columns": ("p",)}, "`columns` names 1: p"),
        ({"p": ["x"], "q": [1.0], "r": [1.0]}, {"columns": ("p", "q", "r")}, "column p is string"),
    ],
)
def test_what_does_not_fit_the_model_is_told(columns: Any, asked: Any, told: str) -> None:
    with pytest.raises(SpecError, match=re.escape(told)):
        batch(MATRIX, pa.table(columns), **asked)


def test_a_fraction_is_no_whole_number() -> None:
    table = pa.table({"age": [1.0], "visits": [1.5], "city": ["x"], "member": [True]})
    with pytest.raises(SpecError, match="column visits is double"):
        batch(MIXED, table)
