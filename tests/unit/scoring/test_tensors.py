import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from customai.workloads.scoring.answers import RequestError
from customai.workloads.scoring.tensors import DATATYPES, castable, index_path, to_array

NUMBERS = [name for name in DATATYPES if name != "BYTES"]


@pytest.mark.parametrize(
    ("datatype", "data", "shape", "field", "expected"),
    [
        ("FP32", [1, "2"], [2], "data[1]", "a number no larger than 3.403e+38 (FP32)"),
        ("FP32", [1.5, True], [2], "data[1]", "a number"),
        ("FP32", [None, 1], [2], "data[0]", "a number"),
        ("FP32", [1.0, 1e39], [2], "data[1]", "a number no larger than 3.403e+38"),
        ("FP16", [65520, 1], [2], "data[0]", "a number no larger than 6.55e+04"),
        ("FP64", [1, [2]], [2], "data[1]", "a number"),
        ("INT32", [1, 2.0], [2], "data[1]", "an integer from -2147483648 to 2147483647 (INT32)"),
        ("UINT8", [0, 255, 300], [3], "data[2]", "an integer from 0 to 255 (UINT8)"),
        ("UINT8", [-1], [1], "data[0]", "an integer from 0 to 255"),
        ("INT64", [2**63], [1], "data[0]", "an integer"),
        ("INT8", [True], [1], "data[0]", "an integer"),
        ("BOOL", [True, 1], [2], "data[1]", "true or false (BOOL)"),
        ("BYTES", ["a", 1], [2], "data[1]", "a string (BYTES)"),
        ("FP32", [[1, 2], [3, "x"]], [2, 2], "data[1][1]", "a number"),
        ("FP32", [[1, 2], [3]], [2, 2], "data[1]", "an array of 2, as shape [2, 2] says"),
        ("FP32", [[1, 2], 3], [2, 2], "data[1]", "an array of 2"),
        ("FP32", [[[1], [2]], [[3], 4]], [2, 2, 1], "data[1][1]", "an array of 1"),
        ("FP32", [[1, 2]], [2, 2], "data", "an array of 2, as shape [2, 2] says"),
        ("FP32", [1, 2, 3], [2, 2], "data", "4 values"),
        ("FP32", [1, [2], 3, 4], [2, 2], "data[1]", "a number"),
        ("FP32", "1", [1], "data", "1 values"),
        ("FP32", None, [1], "data", "1 values"),
    ],
)
def test_the_wrong_element_is_named(datatype, data, shape, field, expected):
    with pytest.raises(RequestError) as caught:
        to_array(data, shape, DATATYPES[datatype], "data")
    assert (caught.value.status, caught.value.field) == (400, field)
    assert expected in caught.value.expected


def test_integers_are_numbers_and_both_forms_of_data_are_read():
    for data in ([1, 2.5, 3, 4], [[1, 2.5], [3, 4]]):
        assert to_array(data, [2, 2], DATATYPES["FP32"], "data").tolist() == [[1, 2.5], [3, 4]]


def arrays(name):
    dtype = DATATYPES[name].dtype
    shape = hnp.array_shapes(max_dims=3, max_side=4)
    options = {"allow_nan": False, "allow_infinity": False} if dtype.kind == "f" else None
    return hnp.arrays(dtype, shape, elements=options)


@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_survives_the_way_through_json(name):
    @given(arrays(name))
    def check(array):
        for data in (array.tolist(), array.ravel().tolist()):
            read = to_array(json.loads(json.dumps(data)), array.shape, DATATYPES[name], "data")
            assert read.dtype == array.dtype
            assert np.array_equal(read, array)

    check()


@given(st.lists(st.text(), min_size=1))
def test_every_text_survives(texts):
    assert to_array(texts, [len(texts)], DATATYPES["BYTES"], "data").tolist() == texts


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)


@given(
    st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3), max_leaves=12),
    st.lists(st.integers(1, 3), max_size=3),
    st.sampled_from(sorted(DATATYPES)),
)
def test_any_data_is_an_array_or_a_refusal_that_names_its_place(data, shape, name):
    try:
        array = to_array(data, shape, DATATYPES[name], "data")
    except RequestError as error:
        assert error.status == 400
        assert error.field.startswith("data")
    else:
        assert array.shape == tuple(shape)


def test_only_casts_that_keep_every_value_are_made():
    assert castable("INT32", "FP64")
    assert castable("FP16", "FP32")
    assert castable("UINT8", "INT16")
    assert not castable("FP64", "FP32")
    assert not castable("INT64", "INT32")
    assert not castable("BYTES", "FP32")
    assert not castable("FP32", "BYTES")


def test_an_index_becomes_a_path():
    assert index_path(7, (2, 5)) == "[1][2]"
    assert index_path(0, ()) == ""
