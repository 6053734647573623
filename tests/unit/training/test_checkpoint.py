"""Checkpoints: whole or not there, known by their digest, never code."""

from __future__ import annotations

import pytest

from customai.workloads.training import checkpoint


def test_the_newest_is_loaded_and_only_two_are_kept(tmp_path):
    for step in (1, 2, 10, 20):
        checkpoint.save(tmp_path, step, {"step": step, "scores": [0.5, step]})
    assert checkpoint.load(tmp_path) == (20, {"step": 20, "scores": [0.5, 20]})
    assert len(list(tmp_path.iterdir())) == 2


def test_where_there_is_none_there_is_none(tmp_path):
    assert checkpoint.load(tmp_path) is None
    assert checkpoint.load(tmp_path / "nowhere") is None


@pytest.mark.parametrize("spoil", [lambda data: data[:-1], lambda _: b"", lambda data: data.replace(b"2", b"3")])
def test_a_damaged_one_is_passed_over(tmp_path, spoil):
    checkpoint.save(tmp_path, 1, {"step": 1})
    checkpoint.save(tmp_path, 2, {"step": 2})
    newest = max(tmp_path.iterdir())
    newest.write_bytes(spoil(newest.read_bytes()))
    assert checkpoint.load(tmp_path) == (1, {"step": 1})


def test_what_a_killed_process_left_half_written_is_not_taken_for_one(tmp_path):
    checkpoint.save(tmp_path, 1, {"step": 1})
    (tmp_path / ".new-123").write_bytes(b'{"step": 7')
    assert checkpoint.load(tmp_path) == (1, {"step": 1})


@pytest.mark.parametrize("state", [{"a": [1, 2.5, None, "text", True]}, [], 7, {"nested": {"deep": [{"x": 1}]}}])
def test_plain_values_are_kept_as_json(tmp_path, state):
    checkpoint.save(tmp_path, 3, state)
    assert [file.suffix for file in tmp_path.iterdir()] == [".json"]
    assert checkpoint.load(tmp_path) == (3, state)


def test_tensors_and_what_json_would_change_come_back_as_they_were(tmp_path):
    torch = pytest.importorskip("torch", reason="comes with customai[train]")
    state = {"weights": torch.arange(6.0).reshape(2, 3), "moments": {0: (1, 2)}}
    checkpoint.save(tmp_path, 3, state)
    step, found = checkpoint.load(tmp_path)
    assert (step, found["moments"]) == (3, {0: (1, 2)})
    assert torch.equal(found["weights"], state["weights"])


def test_a_checkpoint_that_holds_code_is_refused_and_its_code_never_runs(tmp_path):
    torch = pytest.importorskip("torch", reason="comes with customai[train]")

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    checkpoint.save(tmp_path / "checkpoints", 1, {"evil": Evil()})
    with pytest.raises(Exception, match=r"[Ww]eights.only"):
        checkpoint.load(tmp_path / "checkpoints")
    assert not (tmp_path / "ran").exists()
    assert torch is not None
