"""The paths on Azure ML, on a simulated Azure: made, kept, changed and taken away; killed and refused on the way."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from customai import engine
from customai.engine import StepsFailed
from tests.azure.simulator import Simulator
from tests.azure.test_target_faults import LASTING, PASSING, handled_twice
from tests.azure.test_target_kill import killed, made_twice

pytest.importorskip("azure.mgmt.compute", reason="the extra azure is not installed")
from tests.azure import driven as module

ML = ".*/Microsoft.MachineLearningServices/workspaces"
SCHEDULE = '\nschedule: "*/5 * * * *"\n'
PATHS = {  # path -> (what is added to its spec, what one change is, and what is put again then)
    "1-2": ("", ("epochs: 60", "epochs: 61"), {"train"}),
    "2-1": ("", ("replicas: 2", "replicas: 2\n  max_rows: 20"), {"deployment/version-1"}),
    "2-2": ("", ("traffic: 90", "traffic: 60|traffic: 10|traffic: 40"), {"traffic"}),
    "2-4": (SCHEDULE, ("*/5 * * * *", "*/10 * * * *"), {"factory/trigger", "schedule"}),
}


def rewritten(file: Path, *words: str) -> None:
    text = file.read_text(encoding="utf-8")
    for old, new in zip(words[::2], words[1::2], strict=True):
        assert old in text
        text = text.replace(old, new)
    file.write_text(text, encoding="utf-8")


@pytest.fixture
def deployment(driven: Any) -> Any:
    def make(path: str, **more: Any) -> Any:
        one = driven(path, **more)
        added, *_ = PATHS.get(path, ("",))
        one.file.write_text(one.file.read_text(encoding="utf-8") + added, encoding="utf-8")
        return one

    return make


@pytest.mark.parametrize("path", PATHS)
def test_what_is_made_is_kept_changed_where_it_differs_and_taken_away(
    azure: Simulator, deployment: Any, path: str
) -> None:
    one = deployment(path)
    assert set(one.deploy().values()) == {"created"}
    assert {change.action for change in one.compared().values()} == {"keep"}
    azure.log.clear()
    assert set(one.deploy().values()) == {"kept"}
    assert azure.log.writes() == []

    _, (old, new), touched = PATHS[path]
    rewritten(one.file, old, *new.split("|"))
    results = one.deploy()
    changed = {step for step, action in results.items() if action not in ("kept", "deleted")}
    assert changed >= touched
    assert changed <= touched | {"group", "image", "environment"}  # the group's tags name the spec
    assert {change.action for change in one.compared().values()} == {"keep"}

    assert set(one.destroy(sweep=False).values()) == {"deleted"}
    assert azure.standing() == []


def test_a_trigger_runs_once_it_stands_and_is_stopped_to_be_changed(azure: Simulator, deployment: Any) -> None:
    one = deployment("2-4")
    one.deploy()
    rewritten(one.file, "*/5 * * * *", "*/10 * * * *")
    one.deploy()
    posts = [entry.path.rpartition("/")[2] for entry in azure.log.of("POST") if "/triggers/" in entry.path]
    assert posts == ["start", "stop", "start"]
    azure.log.clear()
    one.destroy(sweep=False)
    assert [e.path.rpartition("/")[2] for e in azure.log.of("POST") if "/triggers/" in e.path] == ["stop"]


def test_requests_are_split_when_the_deployments_stand(azure: Simulator, deployment: Any) -> None:
    one = deployment("2-2")
    one.deploy()
    puts = [(entry.path, entry.body) for entry in azure.log.of("PUT") if "/onlineEndpoints/" in entry.path]
    assert re.search(r"/onlineEndpoints/[^/]+$", puts[0][0])
    assert "traffic" not in puts[0][1]["properties"]
    assert re.search(r"/onlineEndpoints/[^/]+$", puts[-1][0])
    assert puts[-1][1]["properties"]["traffic"] == {"version-1": 90, "version-2": 10}
    assert puts[-1][1]["properties"]["authMode"] == "AADToken"
    azure.cloud.change(puts[-1][0], {"properties": {"traffic": {"version-1": 0, "version-2": 100}}})
    assert {step for step, change in one.compared().items() if change.action != "keep"} == {"traffic"}
    assert one.deploy()["traffic"] != "kept"


def test_data_are_put_there_once(azure: Simulator, deployment: Any) -> None:
    one = deployment("2-4")
    one.deploy()
    sent = {name.split("/", 4)[-1] for name in azure.cloud.uploads if "/data/input/" in name}
    there = {f"data/{each.name}" for each in (one.file.parent / "data").iterdir()}
    assert sent == there | {".complete"}
    azure.log.clear()
    one.deploy()
    assert azure.log.of("PUT") == []


def test_a_workspace_is_deleted_for_good_and_a_vault_is_brought_back(azure: Simulator, deployment: Any) -> None:
    one = deployment("1-2")
    one.deploy()
    one.destroy()
    target, steps = one.target(), {step.id: step for step in one.plan().steps}
    assert target.delete(steps["vault"], None) is True  # it is kept, and that is said
    assert target.purge([steps["vault"]], engine.Watch()) == []
    kept = {key.split("/")[7] for key in azure.cloud.store.deleted}
    assert kept == {"workspaces", "vaults"}
    assert not any("machinelearning" in key for key in azure.cloud.store.deleted)
    azure.log.clear()
    assert set(one.deploy().values()) == {"created"}
    modes = [e.body["properties"].get("createMode") for e in azure.log.of("PUT") if re.search("/vaults/[^/]+$", e.path)]
    assert modes == [None, "recover"]


def test_a_workspaces_name_in_soft_delete_is_said_and_nothing_is_lost(azure: Simulator, deployment: Any) -> None:
    one = deployment("1-2")
    request = next(step for step in one.plan().steps if step.kind == "ml_workspace").inputs
    id_ = request["url"].partition("?")[0]
    azure.cloud.store.deleted[id_.lower()] = azure.cloud.seed(id_, {"location": "eastus"})
    azure.cloud.store.remove(id_)
    with pytest.raises(StepsFailed, match="is in soft-deleted state: recover it or purge it") as error:
        one.deploy()
    assert error.value.exit_code == 3
    assert "soft delete" in error.value.hint
    del azure.cloud.store.deleted[id_.lower()]  # purged
    results = one.deploy()
    assert {step for step, action in results.items() if action == "created"} >= {"workspace", "cluster", "train"}
    assert results["storage"] == results["vault"] == "kept"


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["before it is handled", "after it is handled"])
@pytest.mark.parametrize("path", ["2-2"])
def test_killed_on_the_way_the_next_run_goes_on(
    azure: Simulator, deployment: Any, tmp_path: Path, path: str, *, after: bool
) -> None:
    whole = deployment(path)
    whole.deploy()
    expected = azure.standing()
    whole.destroy()
    for nth in range(15, 400, 40):
        azure.log.clear()
        azure.cloud.times.seconds = 0.03
        one = module.Driven(azure.url, whole.file, tmp_path / f"killed-{path}-{nth}")
        went_on = killed(azure, one, nth, after=after)
        one.deploy()
        assert azure.standing() == expected, f"killed at request {nth}"
        assert [each for each in made_twice(azure) if not re.search(r"Endpoints/[^/]+$|/vaults/", each)] == []
        one.destroy()
        assert azure.standing() == []
        if not went_on:
            return
    pytest.fail("it never came to its end")


AT = {  # what is refused, by path
    "1-2": (f"{ML}/[^/]+$",),
    "2-2": (f"{ML}/[^/]+/onlineEndpoints/[^/]+/deployments/.*",),
    "2-4": (f"{ML}/[^/]+/batchEndpoints/[^/]+$",),
}
PLACES = [(path, url) for path, urls in AT.items() for url in urls]


@pytest.mark.slow
@pytest.mark.parametrize("name", PASSING)
@pytest.mark.parametrize(("path", "url"), PLACES)
def test_what_passes_by_itself_is_waited_for(azure: Simulator, deployment: Any, path: str, url: str, name: str) -> None:
    fault = azure.fault(PASSING[name](method="PUT", url=url))
    one = deployment(path)
    assert set(one.deploy().values()) == {"created"}
    assert fault.struck == 1
    assert [each for each in handled_twice(azure) if not re.search("Endpoints/[^/]+$", each)] == []
    assert {change.action for change in one.compared().values()} == {"keep"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["policy", "no right"])
@pytest.mark.parametrize(("path", "url"), PLACES)
def test_what_lasts_is_said_and_leaves_a_way_on(
    azure: Simulator, deployment: Any, path: str, url: str, name: str
) -> None:
    make, words, code = LASTING[name]
    azure.fault(make(method="PUT", url=url))
    one = deployment(path)
    with pytest.raises(StepsFailed, match=words) as error:
        one.deploy()
    assert error.value.exit_code == code
    azure.calm()
    one.deploy()
    assert {change.action for change in one.compared().values()} == {"keep"}
    one.destroy()
    assert azure.standing() == []
