"""Several versions behind one address: shares, changes of them, and the way back. No request is refused meanwhile."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import threading
from collections import Counter
from pathlib import Path

import onnx
import pytest

FOLDER = Path(__file__).parents[2] / "paths" / "2-2"
KNOWN = json.loads((FOLDER / "samples" / "leaves.json").read_text())
BODY = json.dumps({"rows": [KNOWN]}).encode()
SPEC = {"1": 90, "2": 10}


class Clients:
    """Threads that ask without a pause, over connections that they keep; every answer is counted by its version."""

    def __init__(self, port, count=3):
        self.port, self.versions, self.mistakes = port, Counter(), []
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self.run) for _ in range(count)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            while not self.stop.is_set():
                connection.request("POST", "/score", BODY, {"content-type": "application/json"})
                response = connection.getresponse()
                answer = json.loads(response.read())
                assert response.status == 200, answer
                assert answer["predictions"][0]["label"] == "leaves", answer
                self.versions[answer["model"]["version"]] += 1
        except Exception as error:  # noqa: BLE001 (each is a finding)
            self.mistakes.append(repr(error))
        finally:
            connection.close()


def answered(churn, count=100, **headers):
    """How many of so many requests each version answers; the sha256 that stands for each."""
    connection = http.client.HTTPConnection("127.0.0.1", churn.port, timeout=10)
    versions, digests = Counter(), {}
    for _ in range(count):
        lines = {"content-type": "application/json", **headers}
        connection.request("POST", "/score", BODY, lines)
        model = json.loads(connection.getresponse().read())["model"]
        versions[model["version"]] += 1
        digests[model["version"]] = model["sha256"]
    connection.close()
    return dict(versions), digests


def shares(churn):
    return {one["version"]: one["traffic"] for one in churn.status()["versions"]}


def planned(cli, churn):
    return {change["id"]: change["action"] for change in cli("plan", churn.spec, "-o", "json").json["changes"]}


def actions(result):
    return {step["id"]: step["action"] for step in result.json["steps"]}


KEPT = {"model/1": "kept", "model/2": "kept", "endpoint": "changed", "smoke-test": "changed"}


def test_shares_are_kept_exactly_and_a_version_can_be_asked_for(churn):
    churn.deploy()
    assert answered(churn, 200)[0] == {"1": 180, "2": 20}
    assert answered(churn, 10, **{"x-model-version": "2"})[0] == {"2": 10}
    assert len(answered(churn, 10, **{"x-request-id": "customer 17"})[0]) == 1


def test_traffic_is_shared_out_anew_and_rolled_back_without_a_refused_request(churn, cli):
    churn.edit(replicas=2)
    churn.deploy()
    with Clients(churn.port) as clients:
        changed = cli("score-realtime", "traffic", churn.spec, "1=0", "2=100", "-o", "json")
        assert actions(changed) == KEPT
        assert changed.json["traffic"] == shares(churn) == {"1": 0, "2": 100}
        assert answered(churn, 20)[0] == {"2": 20}
        back = cli("score-realtime", "rollback", churn.spec, "-o", "json")
        assert actions(back) == KEPT
        assert back.json["traffic"] == shares(churn) == SPEC
        again = cli("score-realtime", "rollback", churn.name)
        assert "churn is back at what was deployed before" in again.out
        assert "version 2, 100 % of the requests" in again.out
        assert shares(churn) == {"1": 0, "2": 100}
    assert clients.mistakes == []
    assert clients.versions.total() > 200
    assert set(clients.versions) == {"1", "2"}


def test_the_journal_stays_true_so_that_deploy_brings_back_what_the_spec_says(churn, cli):
    churn.deploy()
    cli("score-realtime", "traffic", churn.spec, "1=50", "2=50")
    assert planned(cli, churn) == {"model/1": "keep", "model/2": "keep", "endpoint": "change", "smoke-test": "change"}
    assert churn.redeploy() == KEPT
    assert shares(churn) == SPEC
    assert set(planned(cli, churn).values()) == {"keep"}
    cli("score-realtime", "rollback", churn.spec)
    assert shares(churn) == {"1": 50, "2": 50}


def test_rollback_brings_back_a_model_whose_file_has_been_written_over(churn, cli):
    churn.deploy()
    before = answered(churn)[1]
    model = onnx.load(churn.folder / "models" / "2.onnx")
    model.metadata_props.add(key="retouched", value="yes")
    onnx.save(model, churn.folder / "models" / "2.onnx")
    after = hashlib.sha256((churn.folder / "models" / "2.onnx").read_bytes()).hexdigest()
    churn.spec.write_text(churn.spec.read_text().replace(before["2"], after))
    assert churn.redeploy() == KEPT | {"model/2": "changed"}
    assert answered(churn)[1]["2"] == after
    cli("score-realtime", "rollback", churn.spec)
    assert answered(churn)[1] == before
    assert planned(cli, churn)["model/2"] == "change"
    cli("score-realtime", "rollback", churn.spec)
    assert answered(churn)[1]["2"] == after
    assert set(planned(cli, churn).values()) == {"keep"}


def test_a_version_comes_and_goes_and_comes_back(churn, cli):
    churn.deploy()
    text = churn.spec.read_text()
    alone = re.sub(r'(?s)    - version: "1".*?(?=    - version: "2")', "", text).replace("traffic: 10", "traffic: 100")
    churn.spec.write_text(alone)
    assert churn.redeploy() == {"model/2": "kept", "model/1": "deleted", "endpoint": "changed", "smoke-test": "changed"}
    assert answered(churn, 10)[0] == {"2": 10}
    (churn.folder / "models" / "1.onnx").unlink()  # the way back does not need it
    cli("score-realtime", "rollback", churn.spec)
    assert answered(churn)[0] == SPEC
    churn.redeploy()
    assert shares(churn) == {"2": 100}
    stored = {folder.name for folder in (churn.state / "store").iterdir()}
    assert len(stored) == 2  # what is served, and what was before


def test_after_a_deploy_that_failed_rollback_goes_back_to_the_last_that_did_not(churn, cli):
    churn.deploy()
    right = churn.spec.read_text()
    (churn.folder / "models" / "2.onnx").write_bytes(b"not a model")
    broken = hashlib.sha256(b"not a model").hexdigest()
    churn.spec.write_text(broken.join(re.split(r"(?<=sha256: )\w+(?=\n      traffic: 10)", right)))
    churn.deploy(None).failed(1, "the file is not ONNX")
    assert answered(churn)[0] == SPEC  # it never stopped
    cli("score-realtime", "traffic", churn.spec, "1=50", "2=50", code=None).failed(4, "was not brought to its end")
    assert actions(cli("score-realtime", "rollback", churn.spec, "-o", "json"))["model/2"] == "changed"
    assert churn.status()["complete"]
    assert answered(churn)[0] == SPEC
    cli("score-realtime", "rollback", churn.spec, code=None).failed(3, "churn has no earlier deployment")


def test_wrong_words_change_nothing(churn, cli):
    cli("score-realtime", "rollback", churn.name, code=None).failed(3, "churn is not deployed")
    churn.deploy()
    before = churn.events()
    for arguments, code, words in (
        (["traffic", churn.spec, "1=50", "3=50"], 2, "there is no version '3'"),
        (["traffic", churn.spec, "1=50"], 2, "add up to 100"),
        (["traffic", churn.spec, "1=50", "1=50"], 2, "each version once"),
        (["traffic", churn.spec, "1:50"], 2, "'1:50' is not VERSION=PERCENT"),
        (["traffic", churn.spec, "1=1000"], 2, "is not VERSION=PERCENT"),
        (["traffic", churn.spec], 2, "Missing argument"),
        (["rollback", "nobody"], 3, "nobody is not deployed"),
        (["rollback", churn.spec], 3, "churn has no earlier deployment"),
    ):
        cli("score-realtime", *arguments, code=None).failed(code, words)
    for version in ("3", "x y"):
        told = cli("score", churn.spec, FOLDER / "samples" / "stays.json", "--model-version", version, code=1)
        assert "model 'churn' has no such version (expected version 1 | 2)" in told.out
    assert churn.events() == before


def test_one_block_with_a_file_goes_on_working(churn, cli):
    text = re.sub(r"(?s)  versions:.*?\n\n", "  file: models/2.onnx\n  version: blue\n\n", churn.spec.read_text())
    churn.spec.write_text(text)
    assert churn.redeploy() == {"model": "created", "endpoint": "created", "smoke-test": "created"}
    assert answered(churn, 5)[0] == {"blue": 5}
    cli("score-realtime", "traffic", churn.spec, "blue=100")
    assert set(planned(cli, churn).values()) == {"keep"}


@pytest.mark.parametrize("wrong", ["traffic", "rollback"])
def test_what_has_no_versions_has_no_such_command(cli, wrong):
    cli("train-single", wrong, "1-1", code=2)
