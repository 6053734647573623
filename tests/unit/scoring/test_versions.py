"""Several versions of one model in one server."""

import asyncio
import hashlib
import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from customai.errors import RunFailed
from customai.workloads.scoring.app import create
from customai.workloads.scoring.config import ServedModel, ServerConfig
from customai.workloads.scoring.model import load
from customai.workloads.scoring.traffic import Traffic, turns

JSON = {"content-type": "application/json"}
INFER = "/v2/models/tiny/infer"
INPUT = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}
ROWS = {"rows": [[1, 2]]}


@st.composite
def shares(draw):
    cuts = sorted(draw(st.lists(st.integers(0, 100), max_size=4)))
    return [end - start for start, end in zip([0, *cuts], [*cuts, 100], strict=True)]


@settings(deadline=None)
@given(shares())
def test_a_hundred_turns_hold_each_share_exactly(found):
    counted = Counter(turns(found))
    assert [counted[i] for i in range(len(found))] == found


@settings(deadline=None)
@given(shares(), st.integers(1, 100))
def test_turns_are_spread_evenly(found, count):
    """Never more than one request away per other version from what the share asks for."""
    counted = Counter(turns(found)[:count])
    assert all(abs(counted[i] - share * count / 100) <= len(found) - 1 for i, share in enumerate(found))


def test_turns_start_again_after_a_hundred():
    traffic = Traffic([90, 10])
    assert Counter(traffic.next() for _ in range(1000)) == {0: 900, 1: 100}


def test_an_identity_keeps_its_version_and_identities_share_as_asked():
    names = [str(i).encode() for i in range(5000)]
    before, after = Traffic([90, 10]), Traffic([80, 20])
    chosen = [before.of(name) for name in names]
    assert chosen == [before.of(name) for name in names]
    assert 400 < sum(chosen) < 600
    moved = [(a, b) for a, b in zip(chosen, map(after.of, names), strict=True) if a != b]
    assert set(moved) == {(0, 1)}  # a larger share takes over some; nobody goes back
    assert 400 < len(moved) < 600


@pytest.fixture
def start(tmp_path, models):
    """start([shares], **model.json keys of each) -> an App; the model of version i+1 gives its input times i+1."""
    apps = []

    def make(*traffic, keys=()):
        loaded = []
        for i in range(len(traffic)):
            node = models.onnx_bytes(
                [helper.make_node("Mul", ["x", "k"], ["y"])],
                [models.tensor("x", 1, ["n", 2])],
                [models.tensor("y", 1, ["n", 2])],
                {"k": np.array([i + 1], np.float32)},
            )
            folder = tmp_path / str(i)
            folder.mkdir(exist_ok=True)
            (folder / "model.onnx").write_bytes(node)
            said = {"format": 1, "name": "tiny", "version": str(i + 1), "sha256": hashlib.sha256(node).hexdigest()}
            (folder / "model.json").write_text(json.dumps(said | (keys[i] if keys else {})))
            loaded.append(load(folder))
        config = ServerConfig(tuple(ServedModel("x", share) for share in traffic))
        apps.append(create(loaded, config, lambda _data: None))
        return apps[-1]

    yield make
    for app in apps:
        app.close()


@pytest.fixture
def client(start, client_of):
    """A client of a server with version 1 at 75 % and version 2 at 25 %."""
    client = client_of(start(75, 25))

    def send(method, path, document=None, **headers):
        return asyncio.run(call(client, method, path, document, **headers))

    return send


async def call(client, method, path, document=None, **headers):
    body = json.dumps(document).encode() if document is not None else b""
    lines = {**JSON, **{name.replace("_", "-"): value for name, value in headers.items()}}
    status, _, answer = await client.request(method, path, body, lines)
    return status, answer


def test_each_request_goes_to_a_version_by_its_share(client):
    scored = Counter(client("POST", "/score", ROWS)[1]["model"]["version"] for _ in range(100))
    assert scored == {"1": 75, "2": 25}
    inferred = Counter(client("POST", INFER, INPUT)[1]["model_version"] for _ in range(100))
    assert inferred == {"1": 75, "2": 25}


def test_the_version_that_is_told_is_the_one_that_answered(client):
    for _ in range(8):
        answer = client("POST", INFER, INPUT)[1]
        factor = int(answer["model_version"])
        assert answer["outputs"][0]["data"] == [factor, 2 * factor]


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_version_is_asked_for_by_header_or_path(client, version):
    for _ in range(5):
        assert client("POST", "/score", ROWS, x_model_version=version)[1]["model"]["version"] == version
        assert client("POST", INFER, INPUT, x_model_version=version)[1]["model_version"] == version
        path = f"/v2/models/tiny/versions/{version}"
        assert client("POST", f"{path}/infer", INPUT)[1]["model_version"] == version
        assert client("GET", path)[1]["versions"] == [version]


def test_a_request_id_keeps_to_one_version(client):
    of = {str(i): client("POST", "/score", ROWS, x_request_id=str(i))[1]["model"]["version"] for i in range(40)}
    assert set(of.values()) == {"1", "2"}
    again = {i: client("POST", INFER, INPUT, x_request_id=i)[1]["model_version"] for i in of}
    assert again == of


@pytest.mark.parametrize("version", ["3", "", "1 ", "one"])
def test_a_version_that_is_not_there_is_404_and_the_others_are_named(client, version):
    status, answer = client("POST", "/score", ROWS, x_model_version=version)
    assert (status, answer["field"], answer["expected"]) == (404, "x-model-version", "version 1 | 2")
    status, answer = client("POST", "/v2/models/tiny/versions/3/infer", INPUT)
    assert (status, answer["expected"]) == (404, "version 1 | 2")


def test_versions_and_shares_are_told(client):
    answer = client("GET", "/")[1]
    assert [(each["version"], each["traffic"]) for each in answer["versions"]] == [("1", 75), ("2", 25)]
    assert answer["model"]["version"] == "1"
    assert "POST /v2/models/tiny/versions/2/infer" in answer["routes"]
    assert client("GET", "/v2/models/tiny")[1]["versions"] == ["1", "2"]


def test_a_version_without_traffic_answers_only_who_asks_for_it(start, client_of):
    app = client_of(start(0, 100))

    async def run():
        answers = [await call(app, "POST", "/score", ROWS) for _ in range(50)]
        asked = await call(app, "POST", "/score", ROWS, x_model_version="1")
        return {answer["model"]["version"] for _, answer in answers}, asked[1]["model"]["version"]

    assert asyncio.run(run()) == ({"2"}, "1")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ([{}, {"version": "1"}], "two versions of the model have the same name"),
        ([{}, {"name": "other"}], "one server has one model, not 2: other, tiny"),
    ],
)
def test_what_is_not_versions_of_one_model_does_not_start(start, keys, message):
    with pytest.raises(RunFailed, match=message):
        start(50, 50, keys=keys)
