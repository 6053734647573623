from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customai.model import Plan, Ref, Step, digest, dumps, refs, resolve

names = st.text("abcdefgh/-", min_size=1, max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=12,
)
steps = st.builds(Step, names, names, names, names, values, st.lists(names, max_size=2).map(tuple), names)


@given(st.builds(Plan, names, names, names, names, st.lists(steps, max_size=3).map(tuple)))
def test_a_plan_is_the_same_after_a_trip_through_json(plan: Plan) -> None:
    text = dumps(plan.to_json())
    assert dumps(Plan.from_json(json.loads(text)).to_json()) == text


def test_a_step_needs_what_it_refers_to_and_what_it_says() -> None:
    step = Step("c", "put", "k", "r", {"x": [{"$ref": "a#id"}, {"deep": {"$ref": "b#url"}}]}, after=("z",))
    assert step.needs == ("a", "b", "z")
    assert list(refs(step.inputs)) == [Ref("a", "id"), Ref("b", "url")]


def test_references_and_secrets_are_filled_in_wherever_they_stand() -> None:
    inputs = {"a": {"$ref": "net#id"}, "b": [{"$secret": "env:KEY"}, 1], "c": {"$ref": "net#id", "more": 1}}
    found = resolve(inputs, {"net": {"id": 7}}, lambda name: f"<{name}>")
    assert found == {"a": 7, "b": ["<env:KEY>", 1], "c": {"$ref": "net#id", "more": 1}}


def test_a_reference_to_what_is_not_there_is_an_error() -> None:
    with pytest.raises(KeyError):
        resolve({"$ref": "net#id"}, {}, str)


@given(st.dictionaries(st.text(max_size=4), values, max_size=4))
def test_a_digest_does_not_depend_on_the_order_of_keys(value: dict[str, object]) -> None:
    assert digest(value) == digest(dict(reversed(value.items())))


def test_a_digest_tells_values_apart() -> None:
    assert len({digest(value) for value in (1, "1", [1], {"1": 1}, None, True)}) == 6
