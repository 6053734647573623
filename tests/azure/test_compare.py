from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customai.targets.azure_compare import differences

SHARED = Path(__file__).parents[3] / "shared" / "azure" / "recordings"
values = st.recursive(
    st.booleans() | st.integers() | st.text("abc", min_size=1),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abcd", min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=10,
)


def places(wanted: Any, found: Any) -> list[str]:
    return [difference.place for difference in differences(wanted, found)]


@given(values)
def test_anything_is_as_it_is(value: Any) -> None:
    assert places(value, json.loads(json.dumps(value))) == []


@given(st.dictionaries(st.text("abc", min_size=1), values), st.dictionaries(st.text("xyz", min_size=1), values))
def test_what_azure_adds_is_no_difference(wanted: dict[str, Any], added: dict[str, Any]) -> None:
    assert places(wanted, {**added, **wanted}) == []


@pytest.mark.parametrize(
    ("wanted", "found", "expected"),
    [
        ({"a": 1}, {"a": 2}, ["a"]),
        ({"a": {"b": {"c": "x"}}}, {"a": {"b": {"c": "y"}}}, ["a.b.c"]),
        ({"a": 1}, {}, ["a"]),
        ({"a": None}, {}, []),
        ({"a": {"b": None}}, {}, []),
        ({"A": "Standard"}, {"a": "standard"}, []),
        ({"location": "westeurope"}, {"location": "West Europe"}, []),
        ({"location": "westeurope"}, {"location": "northeurope"}, ["location"]),
        ({"on": False}, {}, []),
        ({"on": True}, {}, ["on"]),
        ({"on": True}, {"on": 1}, ["on"]),
        ({"n": 3}, {"n": "3"}, ["n"]),
        ({"ips": ["1", "2"]}, {"ips": ["2", "1"]}, []),
        ({"ips": ["1"]}, {"ips": ["1", "2"]}, ["ips"]),
        ({"ips": []}, {}, []),
        ({"pools": [{"name": "a", "n": 1}, {"name": "b", "n": 1}]}, {"pools": [{"name": "b", "n": 1}, {"name": "a", "n": 2}]}, ["pools[a].n"]),
        ({"pools": [{"name": "a"}]}, {"pools": [{"name": "c"}]}, ["pools[a]"]),
        ({"osProfile": {"customData": "x"}}, {"osProfile": {}}, []),
        ({"rules": [{"p": 1}, {"p": 2}]}, {"rules": [{"p": 1}, {"p": 3}]}, ["rules[1].p"]),
        ({"a": {"b": 1}}, {"a": "text"}, ["a"]),
    ],
)  # fmt: skip
def test_a_difference_is_told_by_its_property(wanted: Any, found: Any, expected: list[str]) -> None:
    assert places(wanted, found) == expected


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs recorded traffic, which is not in the project")
@pytest.mark.parametrize("cassette", ["Test_Networking_NetworkSecurityGroup_20240301_CRUD", "Test_ManagedIdentity_UserAssignedIdentity_20230131_CRUD", "Test_Networking_NatGateway_20240301_CRUD", "Test_ContainerRegistry_Registry_20230701_CRUD", "Test_Compute_VM_20220301_CRUD"])  # fmt: skip
def test_what_azure_really_tells_back_is_as_it_was_asked_for(cassette: str) -> None:
    import yaml

    recorded = yaml.load((SHARED / "aso" / f"{cassette}.yaml").read_text(), Loader=yaml.CSafeLoader)
    asked: dict[str, Any] = {}
    compared = 0
    for each in recorded["interactions"]:
        request, response = each["request"], each["response"]
        url = request["url"].split("?")[0].lower()
        if request["method"] == "PUT" and request["body"]:
            asked[url] = json.loads(request["body"])
        elif request["method"] == "GET" and url in asked and str(response.get("code", "")) == "200":
            told = json.loads(response["body"])
            if told.get("properties", {}).get("provisioningState", "Succeeded") == "Succeeded":
                wanted = {key: value for key, value in asked.pop(url).items() if key != "name"}
                assert places(wanted, told) == []
                compared += 1
    assert compared
