"""The image of 2-5, built by a simulated registry: once for what goes into it, whoever ends the process that waits for it."""

from __future__ import annotations

import gzip
import io
import re
import tarfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from customai.engine import StepsFailed
from customai.errors import RunFailed
from customai.targets.base import Watch
from customai.ui import Silent
from tests.azure.simulator import Simulator, faults

pytest.importorskip("azure.mgmt.compute", reason="the extra azure is not installed")
from customai.targets import azure_image, azure_image_context
from tests.azure import driven as module

KUBERNETES = ("kubernetes",)


def step_of(one: Any) -> Any:
    return next(step for step in one.plan().steps if step.kind == "image")


def archive(inputs: Any) -> bytes:
    with azure_image_context.packed(inputs, Watch()) as file:
        return file.read()


class Heard(Silent):
    def __init__(self) -> None:
        self.told: list[str] = []

    def progress(self, step: Any, message: str) -> None:
        self.told.append(f"{step.id}: {message}")


@pytest.fixture
def one(driven: Any) -> Any:
    return driven("2-5", without=KUBERNETES)


def test_what_goes_in_is_the_same_bytes_every_time(one: Any) -> None:
    inputs = step_of(one).inputs
    first, second = archive(inputs), archive(inputs)
    assert first == second
    assert int.from_bytes(first[4:8], "little") == 0  # gzip's own time
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(first))) as packed:
        entries = packed.getmembers()
    assert {(entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname, entry.mode) for entry in entries} == {
        (0, 0, 0, "", "", 0o644)
    }
    names = {entry.name for entry in entries}
    code = {name for name in names if name.startswith("customai/")}
    assert names - code == {
        "Dockerfile",
        "requirements.txt",
        "start",
        "models/model/model.json",
        "models/model/model.onnx",
        "models/model/smoke-test",
    }
    assert {"customai/errors.py", "customai/workloads/scoring/supervisor.py"} <= code


def test_the_tag_is_of_what_goes_in_and_not_of_where_it_lies(one: Any, tmp_path: Path) -> None:
    inputs = step_of(one).inputs
    elsewhere = tmp_path / "errors.py"
    moved = [each | {"source": str(elsewhere)} for each in inputs["files"]]
    assert azure_image.content(inputs | {"files": moved}) == azure_image.content(inputs)
    other = [{**inputs["files"][0], "sha256": "0" * 64}, *inputs["files"][1:]]
    assert azure_image.content(inputs | {"files": other}) != azure_image.content(inputs)


def test_a_file_that_has_changed_since_it_was_planned_is_not_sent(one: Any, tmp_path: Path) -> None:
    inputs = step_of(one).inputs
    changed = tmp_path / "changed.py"
    changed.write_text("print()")
    files = [{**inputs["files"][0], "source": str(changed)}]
    with pytest.raises(RunFailed, match="changed since the plan was made"):
        archive(inputs | {"files": files})


def test_it_is_built_from_what_was_uploaded_and_known_by_its_digest(azure: Simulator, one: Any) -> None:
    heard = Heard()
    assert one.deploy(heard)["image"] == "created"
    (run,) = azure.cloud.runs.all.values()
    assert run.source == archive(step_of(one).inputs)
    reference = one.outputs("image")["reference"]
    assert re.fullmatch(r"customaidigits\w+\.azurecr\.io/digits@sha256:[0-9a-f]{64}", reference)
    (task,) = [entry for entry in azure.log.of("PUT") if "/tasks/" in entry.path]
    assert task.body["properties"]["platform"] == {"os": "Linux", "architecture": "amd64"}
    assert [line for line in heard.told if line.startswith("image: Run ID: ca1")]


def test_what_the_run_does_not_tell_stands_in_its_log(azure: Simulator, one: Any) -> None:
    azure.cloud.runs.tells = False
    one.deploy()
    assert one.outputs("image")["reference"].endswith(azure.cloud.runs.all["ca1"].digest)


def test_only_other_content_is_built_and_going_back_builds_nothing(azure: Simulator, one: Any) -> None:
    one.deploy()
    labels = one.file.parent / "labels.txt"
    before = labels.read_text()
    labels.write_text(before.replace("3", "three"))
    one.file.write_text(one.file.read_text().replace('label: "3"', "label: three"))
    assert one.deploy()["image"] == "changed"
    labels.write_text(before)
    one.file.write_text(one.file.read_text().replace("label: three", 'label: "3"'))
    assert one.deploy()["image"] == "changed"
    assert len(azure.cloud.runs.all) == 2


def test_an_image_that_cannot_be_built_shows_its_log_and_is_built_when_it_can(azure: Simulator, one: Any) -> None:
    azure.cloud.runs.fails = "ERROR: no matching distribution found for onnxruntime"
    with pytest.raises(StepsFailed) as error:
        one.deploy()
    assert error.value.exit_code == 1
    assert "the image's build has ended: failed" in error.value.message
    assert "no matching distribution found for onnxruntime" in error.value.message
    assert error.value.hint
    azure.cloud.runs.fails = ""
    assert one.deploy()["image"] == "created"
    assert [run.fails for run in azure.cloud.runs.all.values()] == [
        "ERROR: no matching distribution found for onnxruntime",
        "",
    ]


def test_a_build_that_goes_on_is_waited_for_and_not_begun_again(azure: Simulator, one: Any) -> None:
    azure.cloud.runs.seconds = lambda: 3000.0
    one.without = module.BESIDE
    one.deploy()  # all but the image, so that nothing else is waited for
    one.without, one.patience = KUBERNETES, 0.5
    with pytest.raises(StepsFailed, match="still being built"):
        one.deploy()
    started = azure.cloud.runs.all["ca1"]
    azure.log.clear()
    one.patience = 60.0
    thread = threading.Thread(target=one.deploy)
    thread.start()
    deadline = time.monotonic() + 60
    while not [entry for entry in azure.log if entry.path.endswith("/runs/ca1")]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    started.ends = azure.cloud.clock()
    thread.join(60)
    assert one.outputs("image")["reference"].endswith(started.digest)
    assert len(azure.cloud.runs.all) == 1
    assert not azure.cloud.uploads.keys() - {f"{started.registry.name.lower()}/{started.path}"}


@pytest.mark.parametrize("after", [False, True])
def test_a_build_whose_request_got_no_answer_is_begun_once(azure: Simulator, one: Any, *, after: bool) -> None:
    fault = azure.fault(faults.reset(url=".*/scheduleRun", after=after))
    assert one.deploy()["image"] == "created"
    assert fault.struck == 1
    assert len(azure.cloud.runs.all) == 1


def test_no_signed_address_is_told_or_kept(azure: Simulator, one: Any) -> None:
    azure.fault(faults.reset(url="/_blob/.*", method="PUT"))
    azure.fault(faults.unavailable(url="/_blob/.*", method="GET"))
    azure.cloud.runs.fails = "it is broken"
    heard = Heard()
    with pytest.raises(StepsFailed) as error:
        one.deploy(heard)
    kept = [file.read_text(errors="replace") for file in one.folder.rglob("*") if file.is_file()]
    shown = [error.value.message, error.value.where, error.value.hint, *heard.told, *kept]
    assert [line for line in heard.told if "trying again" in line]
    assert not [text for text in shown if "sig=" in text or "SIMULATED-SECRET" in text]
    chain, causes = error.value, []
    while chain is not None:
        causes.append(str(chain))
        chain = chain.__cause__ or chain.__context__  # type: ignore[assignment]
    assert not [text for text in causes if "SIMULATED-SECRET" in text]


def test_its_tasks_are_taken_away_with_it(azure: Simulator, one: Any) -> None:
    one.deploy()
    step = step_of(one)
    azure.cloud.seed(f"{step.inputs['registry']['id']}/tasks/theirs", {"location": "eastus"})
    azure_image.delete(step, None, one.target().arm(step))
    assert [each.rpartition("/")[2] for each in azure.standing() if "/tasks/" in each] == ["theirs"]
    assert one.compared()["image"].action == "keep"  # the image is there, and so is the run that has built it


def test_an_image_of_another_build_is_a_difference(azure: Simulator, one: Any) -> None:
    one.deploy()
    azure.cloud.runs.all["ca1"].source = b"another"
    change = one.compared()["image"]
    assert change.action == "change"
    assert change.ways[0]["property"] == "image"
