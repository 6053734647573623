"""Which settings are worth a measurement, which is best, and that it is written without harm."""

from __future__ import annotations

import pytest

from customai import planner, tuning_run
from customai.errors import SpecError, StateError
from customai.load import Load
from customai.tuning import Measured, Setting, batches, best, placements, search


def measured(setting, rate, failed=0, chosen=64):
    return Measured(setting, Load(rate, 1.0, 2.0, failed), chosen)


@pytest.mark.parametrize(
    ("now", "cores", "most", "expected"),
    [
        ((2, 0, 0), 2, 64, [(2, 0, 0), (1, 1, 0), (1, 2, 0)]),
        ((2, 1, 8), 2, 64, [(2, 1, 8), (1, 1, 0), (1, 2, 0), (2, 1, 0)]),
        ((1, 0, 0), 1, 64, [(1, 0, 0)]),
        ((1, 0, 0), 8, 64, [(1, 0, 0), (1, 1, 0), (2, 4, 0), (4, 2, 0), (7, 1, 0), (8, 1, 0)]),
        ((1, 0, 0), 8, 2, [(1, 0, 0), (1, 1, 0), (2, 4, 0)]),
        ((1, 1, 0), 512, 64, [(1, 1, 0), (2, 256, 0)]),
    ],
)
def test_the_cores_are_shared_out_as_far_as_memory_and_spec_allow(now, cores, most, expected):
    assert list(placements(Setting(*now), cores, most)) == [Setting(*each) for each in expected]


def test_fewer_and_more_rows_a_run_are_tried_around_the_servers_own_choice():
    assert [each.max_batch for each in batches(measured(Setting(2, 1, 0), 1, chosen=64))] == [1, 32, 128]
    assert [each.max_batch for each in batches(measured(Setting(2, 1, 0), 1, chosen=1))] == [2]
    assert [each.max_batch for each in batches(measured(Setting(2, 1, 0), 1, chosen=4096))] == [1, 2048]


def test_the_best_is_the_fastest_that_refuses_nothing_and_what_is_hardly_faster_is_no_reason():
    a, b, c = Setting(1, 1, 0), Setting(2, 1, 0), Setting(4, 1, 0)
    assert best([measured(a, 100), measured(b, 109)]).setting == a
    assert best([measured(a, 100), measured(b, 130), measured(c, 131)]).setting == b
    assert best([measured(a, 100), measured(b, 900, failed=1)]).setting == a
    assert best([measured(a, 100, failed=1), measured(b, 900, failed=1)]).setting == b


def test_what_would_take_the_place_of_the_present_setting_must_win_twice():
    now, lucky, third = Setting(1, 0, 0), Setting(2, 1, 0), Setting(1, 1, 0)
    rates = {now: [100, 300], lucky: [200, 100], third: [175]}
    found, winner = search(now, 2, 64, lambda setting: measured(setting, rates.get(setting, [50]).pop(0), chosen=1))
    assert (found[0].setting, found[0].load.rate) == (now, 200)
    assert winner is found[0]
    rates = {now: [100, 100], lucky: [200, 150], third: [175]}
    found, winner = search(now, 2, 64, lambda setting: measured(setting, rates.get(setting, [50]).pop(0), chosen=1))
    assert (winner.setting, winner.load.rate) == (lucky, 175)
    assert winner in found


@pytest.fixture
def source(tmp_path, customai):
    assert customai("init", "2-5", "mine").returncode == 0
    return planner.read(tmp_path / "mine" / "customai.yaml")


def test_the_best_is_written_and_the_spec_is_right_and_keeps_its_comments(source):
    before = source.file.read_text()
    source.file.chmod(0o640)
    tuning_run.write(source, {"replicas": 1, "threads": 2, "max_batch": 32})
    after = source.file.read_text()
    old = before.splitlines()
    at = old.index("  replicas: 2")
    assert after.splitlines() == [*old[:at], "  replicas: 1", "  threads: 2", "  max_batch: 32", *old[at + 1 :]]
    endpoint = planner.read(source.file).spec.endpoint
    assert (endpoint.replicas, endpoint.threads, endpoint.max_batch) == (1, 2, 32)
    assert source.file.stat().st_mode & 0o777 == 0o640
    assert [file.name for file in source.file.parent.glob(".*")] == []


def test_a_spec_that_was_changed_meanwhile_is_left_alone(source):
    changed = source.file.read_text().replace("port: 8025", "port: 8026")
    source.file.write_text(changed)
    with pytest.raises(StateError, match="was changed while"):
        tuning_run.write(source, {"replicas": 1})
    assert source.file.read_text() == changed


def test_a_spec_that_cannot_be_edited_safely_is_left_alone_and_told(source):
    """Where a value is an alias, changing it would not change what it stands for."""
    text = source.file.read_text().replace("replicas: 2", "max_queue: &two 2\n  replicas: *two")
    source.file.write_text(text)
    with pytest.raises(SpecError) as told:
        tuning_run.write(planner.read(source.file), {"replicas": 1})
    assert "replicas: 1" in told.value.hint
    assert source.file.read_text() == text


def test_a_file_that_nobody_may_write_is_told_before_anything_is_measured(source, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(StateError, match="cannot be written"):
        tuning_run.may_be_written(source, "mine")


@pytest.mark.parametrize(("failed", "changes"), [(0, {"replicas": 4, "threads": 1}), (3, {})])
def test_what_refuses_requests_is_never_written(source, monkeypatch, failed, changes):
    found = measured(Setting(4, 1, 0), 900, failed=failed)
    monkeypatch.setattr(tuning_run, "_server", lambda *_: ({}, 64))
    monkeypatch.setattr(tuning_run.tuning, "search", lambda *_: ([found], found))
    result = tuning_run.tuned(source, None, connections=4, seconds=1, tell=lambda _: None)
    assert (result["changes"], result["best"]["failed"], result["input"]) == (changes, failed, "3.png")
