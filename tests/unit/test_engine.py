"""The engine against a target made of dictionaries: it knows no kind and no real target, so any will do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from customai import engine
from customai.errors import Conflict, CustomAIError, Interrupted, NoQuota, StateError
from customai.journal import Header, Journal
from customai.model import Json, Plan, Step
from customai.targets.base import Observed, Watch
from customai.ui import Silent

HEADER = Header("x", "2-5", "memory", "")


class Memory:
    """Remembers what was done, in order; `hooks` run inside apply or delete of a step."""

    name = "memory"

    def __init__(self) -> None:
        self.there: dict[str, Json] = {}
        self.calls: list[str] = []
        self.hooks: dict[str, Callable[[Watch], object]] = {}
        self.secrets = {"env:KEY": "first"}

    def lowers(self, kind: str) -> bool:
        return True

    def lower(self, step: Step) -> Json:
        return step.inputs

    def asked(self, step: Step) -> Json:
        return step.inputs

    def check(self, plan: Plan) -> None: ...

    def read(self, step: Step, outputs: Json) -> Observed:
        return Observed(step.id in self.there, step.id in self.there)

    def apply(self, step: Step, inputs: Json, digest: str, watch: Watch) -> Json:
        self.calls.append(f"+{step.id}")
        self.hooks.get(step.id, lambda _watch: None)(watch)
        self.there[step.id] = inputs
        return {"id": f"{step.id}-id", "given": inputs}

    def delete(self, step: Step, outputs: Json) -> None:
        self.calls.append(f"-{step.id}")
        self.hooks.get(f"-{step.id}", lambda _watch: None)(Watch())
        self.there.pop(step.id, None)

    def secret(self, name: str) -> str:
        return self.secrets[name]

    def logs(self, step: Step, outputs: Json, *, follow: bool) -> Iterator[str]:
        return iter(())


def step(id_: str, *needs: str, **inputs: Any) -> Step:
    return Step(id_, "put", "thing", "service", inputs, after=needs)


def plan(*steps: Step) -> Plan:
    return Plan("x", "2-5", "memory", "", steps)


def up(target: Memory, folder: Path, *steps: Step) -> list[tuple[str, str]]:
    results = engine.up(plan(*steps), target, Journal.start(folder, HEADER), Silent())
    return [(result.step.id, result.action) for result in results]


def fail_with(error: CustomAIError) -> Callable[[Watch], object]:
    def hook(_watch: Watch) -> object:
        raise error

    return hook


CHAIN = (step("a"), step("b", "a", of={"$ref": "a#id"}), step("c", "b"))


def test_steps_are_done_in_the_order_of_their_needs(tmp_path: Path) -> None:
    target = Memory()
    assert up(target, tmp_path, *reversed(CHAIN)) == [("c", "created"), ("b", "created"), ("a", "created")]
    assert target.calls == ["+a", "+b", "+c"]
    assert target.there["b"] == {"of": "a-id"}


def test_nothing_is_done_again_when_nothing_changed(tmp_path: Path) -> None:
    target = Memory()
    up(target, tmp_path, *CHAIN)
    target.calls.clear()
    assert {action for _, action in up(target, tmp_path, *CHAIN)} == {"kept"}
    assert target.calls == []


def test_only_what_differs_is_done_again(tmp_path: Path) -> None:
    target = Memory()
    up(target, tmp_path, step("a"), step("b", n=1), step("c", "b"))
    target.calls.clear()
    assert up(target, tmp_path, step("a"), step("b", n=2), step("c", "b")) == [
        ("a", "kept"),
        ("b", "changed"),
        ("c", "kept"),
    ]
    assert target.calls == ["+b"]


def test_what_uses_a_changed_output_is_done_again(tmp_path: Path) -> None:
    target = Memory()
    up(target, tmp_path, step("a", n=1), step("b", of={"$ref": "a#given"}))
    assert up(target, tmp_path, step("a", n=2), step("b", of={"$ref": "a#given"})) == [
        ("a", "changed"),
        ("b", "changed"),
    ]


def test_what_disappeared_is_made_again(tmp_path: Path) -> None:
    target = Memory()
    up(target, tmp_path, *CHAIN)
    del target.there["b"]
    assert up(target, tmp_path, *CHAIN) == [("a", "kept"), ("b", "changed"), ("c", "kept")]


def test_a_new_value_of_a_secret_is_a_change_and_the_value_is_not_written_down(tmp_path: Path) -> None:
    target = Memory()
    keyed = step("a", key={"$secret": "env:KEY"})
    target.hooks["a"] = lambda _watch: None
    target.apply = lambda step, inputs, digest, watch: {"ok": True}  # type: ignore[method-assign]
    target.read = lambda step, outputs: Observed(present=True, as_left=True)  # type: ignore[method-assign]
    up(target, tmp_path, keyed)
    assert up(target, tmp_path, keyed) == [("a", "kept")]
    target.secrets["env:KEY"] = "second-value"
    assert up(target, tmp_path, keyed) == [("a", "changed")]
    assert "second-value" not in (tmp_path / "journal.jsonl").read_text()


def test_what_left_the_plan_is_taken_away_what_needs_others_first(tmp_path: Path) -> None:
    target = Memory()
    up(target, tmp_path, *CHAIN)
    target.calls.clear()
    assert up(target, tmp_path, step("a")) == [("a", "kept"), ("c", "deleted"), ("b", "deleted")]
    assert target.calls == ["-c", "-b"]


def test_steps_that_do_not_need_each_other_run_at_the_same_time(tmp_path: Path) -> None:
    target = Memory()
    meeting = threading.Barrier(5, timeout=10)
    names = [f"s{number}" for number in range(5)]
    for name in names:
        target.hooks[name] = lambda _watch: meeting.wait()
    assert len(up(target, tmp_path, *map(step, names))) == 5


def test_a_failed_step_stops_only_what_needs_it(tmp_path: Path) -> None:
    target = Memory()
    target.hooks["b"] = fail_with(Conflict("taken", where="port", hint="choose another"))
    with pytest.raises(engine.StepsFailed) as caught:
        up(target, tmp_path, *CHAIN, step("d"), step("e", "d"))
    assert {result.step.id: result.action for result in caught.value.results} == {
        "a": "created",
        "b": "failed",
        "c": "skipped",
        "d": "created",
        "e": "created",
    }
    assert caught.value.message == "taken (never started: c)"
    assert (caught.value.where, caught.value.hint) == ("step b, port", "choose another")
    assert caught.value.exit_code == 3


def test_several_failures_are_all_told(tmp_path: Path) -> None:
    target = Memory()
    for name in "ab":
        target.hooks[name] = fail_with(NoQuota(f"no {name}"))
    with pytest.raises(engine.StepsFailed, match="1 more failed: b"):
        up(target, tmp_path, step("a"), step("b"))


def test_running_again_continues_where_it_failed(tmp_path: Path) -> None:
    target = Memory()
    target.hooks["b"] = fail_with(Conflict("taken"))
    with pytest.raises(engine.StepsFailed):
        up(target, tmp_path, *CHAIN)
    del target.hooks["b"]
    target.calls.clear()
    assert up(target, tmp_path, *CHAIN) == [("a", "kept"), ("b", "created"), ("c", "created")]


def test_a_step_that_was_begun_and_not_ended_is_asked_for_again(tmp_path: Path) -> None:
    target = Memory()
    target.hooks["a"] = lambda _watch: (_ for _ in ()).throw(SystemError("as if killed"))
    with pytest.raises(SystemError):
        up(target, tmp_path, step("a"))
    assert Journal.read(tmp_path).known["a"].event == "begin"  # type: ignore[union-attr]
    del target.hooks["a"]
    assert up(target, tmp_path, step("a")) == [("a", "created")]


def test_down_takes_everything_away_in_the_opposite_order(tmp_path: Path) -> None:
    target = Memory()
    up(target, tmp_path, *CHAIN)
    journal = Journal.start(tmp_path, HEADER)
    results = engine.down(target, journal, Silent())
    assert [(result.step.id, result.action) for result in results] == [(id_, "deleted") for id_ in "cba"]
    assert target.there == {}
    assert journal.known == {}


def test_down_keeps_what_something_still_needs(tmp_path: Path) -> None:
    target = Memory()
    up(target, tmp_path, *CHAIN, step("d"))
    target.hooks["-b"] = fail_with(StateError("busy"))
    journal = Journal.start(tmp_path, HEADER)
    results = {result.step.id: result.action for result in engine.down(target, journal, Silent())}
    assert results == {"a": "skipped", "b": "failed", "c": "deleted", "d": "deleted"}
    assert set(journal.known) == {"a", "b"}


def test_down_takes_away_what_was_only_begun(tmp_path: Path) -> None:
    target = Memory()
    target.hooks["a"] = fail_with(Conflict("half done"))
    with pytest.raises(engine.StepsFailed):
        up(target, tmp_path, step("a"))
    assert [result.action for result in engine.down(target, Journal.start(tmp_path, HEADER), Silent())] == ["deleted"]
    assert target.calls == ["+a", "-a"]


def test_diff_tells_what_up_would_do_and_does_nothing(tmp_path: Path) -> None:
    target = Memory()
    assert [change.action for change in engine.diff(plan(*CHAIN), target, None)] == ["create"] * 3
    up(target, tmp_path, *CHAIN, step("old"))
    target.calls.clear()
    changed = plan(step("a"), step("b", "a", of={"$ref": "a#id"}, n=2), step("c", "b"), step("new"))
    changes = {change.step.id: change.action for change in engine.diff(changed, target, Journal.read(tmp_path))}
    assert changes == {"a": "keep", "b": "change", "c": "keep", "new": "create", "old": "delete"}
    assert target.calls == []


def test_an_interrupt_starts_nothing_new_and_completes_the_journal(tmp_path: Path) -> None:
    target = Memory()
    started = threading.Event()

    def wait_for_stop(watch: Watch) -> None:
        started.set()
        watch.pause(10)

    target.hooks["a"] = wait_for_stop
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(Interrupted):
        up(target, tmp_path, *CHAIN)
    assert started.is_set()
    assert target.calls == ["+a"]
    known = Journal.read(tmp_path).known  # type: ignore[union-attr]
    assert {id_: entry.event for id_, entry in known.items()} == {"a": "failed"}
    assert known["a"].error["exit_code"] == 130


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_graph_is_done_after_its_needs_and_undone_before_them(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    size = data.draw(st.integers(1, 8))
    steps = [
        step(f"s{n}", *data.draw(st.lists(st.sampled_from([f"s{m}" for m in range(n)]), unique=True)) if n else ())
        for n in range(size)
    ]
    target, folder = Memory(), tmp_path_factory.mktemp("any")
    up(target, folder, *data.draw(st.permutations(steps)))
    done = [call[1:] for call in target.calls]
    assert all(done.index(need) < done.index(each.id) for each in steps for need in each.needs)
    target.calls.clear()
    engine.down(target, Journal.start(folder, HEADER), Silent())
    gone = [call[1:] for call in target.calls]
    assert all(gone.index(need) > gone.index(each.id) for each in steps for need in each.needs)


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_engine import CHAIN, HEADER, Memory, engine, plan, Journal, Silent
folder, doomed = Path(sys.argv[1]), sys.argv[2]
target = Memory()
target.there = {{file.name: 1 for file in folder.glob("there-*")}}
def apply(step, inputs, digest, watch):
    if doomed == "before " + step.id: os.kill(os.getpid(), signal.SIGKILL)
    (folder / f"applied-{{step.id}}").open("a").write(".")
    if doomed == "after " + step.id: os.kill(os.getpid(), signal.SIGKILL)
    return {{"id": step.id}}
target.apply = apply
target.read = lambda step, outputs: engine_observed
from customai.targets.base import Observed
engine_observed = Observed(True, True)
engine.up(plan(*CHAIN), target, Journal.start(folder, HEADER), Silent())
"""


@pytest.mark.parametrize("doomed", [f"{moment} {id_}" for id_ in "abc" for moment in ("before", "after")])
def test_after_a_kill_at_any_step_the_next_run_ends_as_an_undisturbed_one(tmp_path: Path, doomed: str) -> None:
    command = [sys.executable, "-c", KILLED.format(tests=str(Path(__file__).parent)), str(tmp_path)]
    assert subprocess.run([*command, doomed], check=False).returncode == -signal.SIGKILL
    subprocess.run([*command, "nobody"], check=True)
    journal = Journal.read(tmp_path)
    assert journal is not None
    assert {id_: known.event for id_, known in journal.known.items()} == dict.fromkeys("abc", "done")
    moment, victim = doomed.split()
    applied = {id_: len((tmp_path / f"applied-{id_}").read_text()) for id_ in "abc"}
    assert applied == {id_: 2 if (moment, id_) == ("after", victim) else 1 for id_ in "abc"}
