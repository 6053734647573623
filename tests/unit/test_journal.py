from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from customai.errors import StateError
from customai.journal import FILE, Header, Journal, Record, deployments, folder_of, home, locked
from customai.model import Step

HEADER = Header("digits", "2-5", "local", "/spec.yaml")
STEP = Step("model", "upload", "model", "store", {"a": 1}, why="the model")
CASES = Path(__file__).parent.parent / "cases" / "journal"


def begun(step: Step = STEP, digest: str = "d1") -> Record:
    return Record(step.id, "begin", digest, asked=step.to_json())


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    journal = Journal.start(tmp_path, HEADER)
    journal.append(begun())
    journal.append(Record("model", "done", "d1", outputs={"folder": "/x"}))
    again = Journal.read(tmp_path)
    assert again is not None
    assert again.header == HEADER
    assert again.known == journal.known
    assert again.known["model"].step == STEP
    assert again.known["model"].done
    assert again.known["model"].outputs == {"folder": "/x"}


def test_every_record_is_on_disk_before_the_next_thing_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bytes] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append((tmp_path / FILE).read_bytes().splitlines()[-1]))
    journal = Journal.start(tmp_path, HEADER)
    journal.append(begun())
    assert [json.loads(line).get("event") for line in synced] == [None, "begin"]


def test_the_outputs_of_the_last_success_outlive_a_later_failure(tmp_path: Path) -> None:
    journal = Journal.start(tmp_path, HEADER)
    journal.append(begun())
    journal.append(Record("model", "done", "d1", outputs={"n": 1}))
    journal.append(begun(digest="d2"))
    journal.append(Record("model", "failed", "d2", error={"message": "no"}))
    known = journal.known["model"]
    assert (known.event, known.digest, known.outputs, known.error) == ("failed", "d2", {"n": 1}, {"message": "no"})


def test_what_is_gone_is_forgotten(tmp_path: Path) -> None:
    journal = Journal.start(tmp_path, HEADER)
    journal.append(begun())
    journal.append(Record("model", "gone"))
    assert Journal.read(tmp_path).known == {}  # type: ignore[union-attr]


def test_a_journal_cut_at_any_byte_gives_the_records_before_the_cut(tmp_path: Path) -> None:
    journal = Journal.start(tmp_path, HEADER)
    for number in range(3):
        journal.append(begun(digest=f"d{number}"))
    whole = (tmp_path / FILE).read_bytes()
    for size in range(len(whole) + 1):
        (tmp_path / FILE).write_bytes(whole[:size])
        complete = whole[:size].count(b"\n")
        read = Journal.read(tmp_path)
        if complete == 0:
            assert read is None
        else:
            assert read is not None
            assert [known.digest for known in read.known.values()] == ([f"d{complete - 2}"] if complete > 1 else [])


def test_writing_goes_on_after_a_line_cut_short(tmp_path: Path) -> None:
    Journal.start(tmp_path, HEADER).append(begun())
    with (tmp_path / FILE).open("ab") as file:
        file.write(b'{"step":"mod')
    journal = Journal.start(tmp_path, HEADER)
    journal.append(Record("model", "done", "d1", outputs={}))
    assert Journal.read(tmp_path).known["model"].done  # type: ignore[union-attr]


def test_a_damaged_journal_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    Journal.start(tmp_path, HEADER).append(begun())
    damaged = (tmp_path / FILE).read_bytes().replace(b'"begin"', b'"begi') + b"{}\n"
    (tmp_path / FILE).write_bytes(damaged)
    with pytest.raises(StateError, match="cannot be read") as caught:
        Journal.start(tmp_path, HEADER)
    assert caught.value.where == str(tmp_path / FILE)
    assert (tmp_path / FILE).read_bytes() == damaged


def test_a_file_kept_from_format_1_is_readable(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes((CASES / "format-1.jsonl").read_bytes())
    journal = Journal.read(tmp_path)
    assert journal is not None
    assert journal.header == Header("digits", "2-5", "local", "/home/ada/digits/customai.yaml", 1)
    assert list(journal.known) == ["model", "endpoint"]
    assert journal.known["model"].outputs == {"folder": "/state/store/model-1", "sha256": "ff"}
    assert journal.known["model"].time == 1780000001.5
    assert journal.known["endpoint"].step.needs == ("model",)
    assert journal.known["endpoint"].error["type"] == "Conflict"


def test_a_journal_of_a_later_format_says_to_upgrade(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"format":99,"name":"x","path":"2-5","target":"local","spec":"","new":1}\n')
    with pytest.raises(StateError, match="format 99") as caught:
        Journal.read(tmp_path)
    assert "upgrade" in caught.value.hint


def test_a_full_disk_is_an_error_and_leaves_no_half_line(tmp_path: Path) -> None:
    journal = Journal.start(tmp_path, HEADER)
    before = (tmp_path / FILE).read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limits[1]))
    try:
        with pytest.raises(StateError, match="cannot be used"):
            journal.append(begun())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / FILE).read_bytes() == before
    assert journal.known == {}


def test_an_unwritable_folder_is_an_error_with_a_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_more: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StateError, match="Read-only file system") as caught, locked(tmp_path / "x", "test"):
        pass
    assert "CUSTOMAI_HOME" in caught.value.hint


def test_a_second_process_is_told_who_holds_the_lock_and_since_when(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from customai.journal import locked; from customai.errors import StateError\n"
        "try:\n"
        f"    with locked(Path({str(tmp_path / 'd')!r}), 'other'): print('got it')\n"
        "except StateError as error: print(error.message)\n"
    )
    with locked(tmp_path / "d", "customai deploy 2-5"):
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert f"d is locked by `customai deploy 2-5` (process {os.getpid()}) since 20" in said
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "got it\n"


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    code = (
        "import os, signal; from pathlib import Path; from customai.journal import locked\n"
        f"with locked(Path({str(tmp_path / 'd')!r}), 'doomed'): os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    with locked(tmp_path / "d", "next"):
        assert json.loads((tmp_path / "d" / "lock").read_text())["command"] == "next"


def test_a_lock_leaves_no_empty_folder_behind_and_only_one_holder_at_a_time(tmp_path: Path) -> None:
    folder, holders, most = tmp_path / "d", [], []

    def hold() -> None:
        for _ in range(200):
            try:
                with locked(folder, "test"):
                    holders.append(1)
                    most.append(len(holders))
                    holders.pop()
            except StateError:
                pass

    threads = [threading.Thread(target=hold) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert not folder.exists()


def test_the_state_folder_can_be_chosen(home: Path) -> None:
    assert deployments() == []
    folder = folder_of("digits")
    assert folder == home / "deployments" / "digits"
    folder.mkdir(parents=True)
    Journal.start(folder, HEADER)
    assert [journal.header.name for journal in deployments()] == ["digits"]


def test_without_a_choice_it_is_the_systems_place_for_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CUSTOMAI_HOME")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    expected = tmp_path / "state" / "customai" if sys.platform == "linux" else None
    if expected is None:
        pytest.skip("the place differs on this system")
    assert home() == expected
