"""tests/cases/azure/requests: what a kind is asked for (inputs), and what it asks of Azure (asked).

The API versions and the machine's first-start script are left out: they have tests of their own.
"""

from __future__ import annotations

import base64
import importlib
import json
from pathlib import Path

import pytest

from customai.provisioning import KINDS, dsvm, lowering

CASES = sorted((Path(__file__).parents[2] / "cases" / "azure" / "requests").glob("*.json"))


def asked(case):
    found = json.loads(json.dumps(lowering(case["kind"], "azure")(case["inputs"])))
    if "url" in found:
        found["url"], _, query = found["url"].partition("?")
        assert query.startswith("api-version=20")
    if case["kind"] == "dsvm" and "osProfile" in found["body"]["properties"]:
        login = found["body"]["properties"]["osProfile"]
        assert base64.b64decode(login["customData"]).decode() == dsvm.cloud_init()
        login["customData"] = "(cloud-init)"
    return found


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_a_kind_asks_what_its_case_says(file):
    case = json.loads(file.read_text(encoding="utf-8"))
    assert asked(case) == case["asked"]


def test_every_kind_on_azure_has_a_case():
    kinds = {kind for kind in KINDS if lowering(kind, "azure") is not None}
    assert {json.loads(file.read_text(encoding="utf-8"))["kind"] for file in CASES} == kinds


@pytest.mark.parametrize("kind", sorted(kind for kind in KINDS if lowering(kind, "azure") is not None))
def test_what_azure_fixes_or_moves_stands_in_a_request(kind):
    module = importlib.import_module(KINDS[kind])
    bodies = [json.loads(file.read_text(encoding="utf-8"))["asked"].get("body") for file in CASES]
    places = {place for name in ("FIXED", "OWN") for place in getattr(module, name, ())}
    assert {place for place in places if not any(is_there(body, place.split(".")) for body in bodies)} == set()


def is_there(value, place):
    if not place:
        return True
    if place[0] == "[]":
        return any(is_there(each, place[1:]) for each in value)
    return isinstance(value, dict) and place[0] in value and is_there(value[place[0]], place[1:])
