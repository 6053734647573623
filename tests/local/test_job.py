"""Jobs on this machine: real processes, killed at bad moments."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from customai.errors import Interrupted, NoQuota, NotInstalled, RunFailed
from customai.targets import local_job
from customai.targets.base import Watch
from customai.targets.local_process import is_held
from customai.workloads.job.run import read_json

COUNTS = """
import sys, time
from customai.workloads.job.run import main
def work(run, arguments):
    with open(run.folder / "starts", "a") as file: file.write(".")
    done = run.folder / "done"
    for number in range(len(done.read_text()) if done.exists() else 0, 10):
        time.sleep(float(arguments[0]))
        with open(done, "a") as file: file.write(str(number))
        run.progress(number + 1, 10, "things")
    return {"counted": done.read_text()}
main(work)
"""
FAILS = """
from customai.errors import NoQuota
from customai.workloads.job.run import main
def work(run, arguments): raise NoQuota("no room", where="the disk", hint="make some")
main(work)
"""


def request(code: str, *arguments: str) -> dict[str, object]:
    return {"argv": ["python", "-c", code, *arguments], "cwd": "/", "env": {}, "grace": 2.0}


def run(folder: Path, asked: dict[str, object], watch: Watch | None = None) -> dict[str, object]:
    found: dict[str, object] = local_job.run(folder, "work", asked, "d1" * 32, watch or Watch())
    return found


def in_background(call: Callable[[], object]) -> threading.Thread:
    def quietly() -> None:
        with contextlib.suppress(RunFailed, Interrupted):
            call()

    thread = threading.Thread(target=quietly)
    thread.start()
    return thread


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return local_job.folder_of(tmp_path, "work", "d1" * 32)


def test_a_job_runs_once_and_its_result_is_kept(tmp_path: Path, folder: Path) -> None:
    told: list[str] = []
    first = run(tmp_path, request(COUNTS, "0.03"), Watch(told.append))
    assert first == {"folder": str(folder), "result": {"counted": "0123456789"}}
    assert any(" of 10 things" in line for line in told)
    assert run(tmp_path, request(COUNTS, "0.03")) == first
    assert (folder / "starts").read_text() == "."
    assert local_job.read(tmp_path, "work", first).as_left


def test_a_jobs_own_error_arrives_whole(tmp_path: Path) -> None:
    with pytest.raises(NoQuota, match="no room") as caught:
        run(tmp_path, request(FAILS))
    assert (caught.value.where, caught.value.hint, caught.value.exit_code) == ("the disk", "make some", 3)


@pytest.mark.parametrize(
    ("code", "message", "hint"),
    [
        ("import sys; print('the last line'); sys.exit(7)", "exit code 7", "the last line"),
        ("1/0", "exit code 1", "ZeroDivisionError: division by zero"),
        ("import os; os.kill(os.getpid(), 9)", "ended by SIGKILL", "memory"),
    ],
)
def test_any_commands_failure_is_told_with_its_last_words(tmp_path: Path, code: str, message: str, hint: str) -> None:
    with pytest.raises(RunFailed, match=message) as caught:
        run(tmp_path, request(code))
    assert hint in caught.value.hint


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotInstalled, match="no-such-program"):
        run(tmp_path, {"argv": ["no-such-program"], "cwd": "/", "env": {}})


def test_a_failed_job_is_started_again_when_asked_again(tmp_path: Path) -> None:
    once = "import os, sys; there = os.path.exists(sys.argv[1]); open(sys.argv[1], 'w'); sys.exit(0 if there else 3)"
    asked = request(once, str(tmp_path / "mark"))
    with pytest.raises(RunFailed, match="exit code 3"):
        run(tmp_path, asked)
    run(tmp_path, asked)


def test_an_interrupt_stops_the_work_and_the_next_run_goes_on_where_it_was(tmp_path: Path, folder: Path) -> None:
    watch = Watch()
    threading.Timer(1.0, watch.stop.set).start()
    with pytest.raises(Interrupted):
        run(tmp_path, request(COUNTS, "0.25"), watch)
    assert not is_held(folder)
    assert read_json(folder / "state.json")["status"] == "cancelled"
    assert run(tmp_path, request(COUNTS, "0.25"))["result"] == {"counted": "0123456789"}
    assert (folder / "starts").read_text() == ".."


def test_work_that_does_not_stop_when_asked_is_ended_after_its_grace(tmp_path: Path, folder: Path) -> None:
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"
    watch = Watch()
    waiting = in_background(lambda: run(tmp_path, request(stubborn), watch))
    until(lambda: (folder / "job.log").exists() and "on" in (folder / "job.log").read_text())
    started = time.monotonic()
    watch.stop.set()
    waiting.join()
    assert 1.5 < time.monotonic() - started < 50  # it sleeps a minute
    assert not is_held(folder)


def test_who_asks_while_it_runs_waits_for_the_same_run(tmp_path: Path, folder: Path) -> None:
    others = [in_background(lambda: run(tmp_path, request(COUNTS, "0.1"))) for _ in range(3)]
    assert run(tmp_path, request(COUNTS, "0.1"))["result"] == {"counted": "0123456789"}
    for other in others:
        other.join()
    assert (folder / "starts").read_text() == "."


def test_a_killed_runner_leaves_its_work_alone_and_nothing_starts_beside_it(tmp_path: Path, folder: Path) -> None:
    waiting = in_background(lambda: run(tmp_path, request(COUNTS, "0.15")))
    until(lambda: read_json(folder / "progress.json").get("done", 0) >= 2)
    os.kill(read_json(folder / "state.json")["pid"], signal.SIGKILL)
    waiting.join()
    assert run(tmp_path, request(COUNTS, "0.15"))["result"] == {"counted": "0123456789"}
    assert (folder / "starts").read_text() == "."


def test_when_everything_is_killed_the_next_run_goes_on_where_it_was(tmp_path: Path, folder: Path) -> None:
    waiting = in_background(lambda: run(tmp_path, request(COUNTS, "0.15")))
    until(lambda: read_json(folder / "progress.json").get("done", 0) >= 2)
    state = read_json(folder / "state.json")
    os.kill(state["pid"], signal.SIGKILL)
    os.killpg(state["work"], signal.SIGKILL)
    waiting.join()
    assert run(tmp_path, request(COUNTS, "0.15"))["result"] == {"counted": "0123456789"}
    assert (folder / "starts").read_text() == ".."
    assert read_json(folder / "state.json")["attempt"] == 2


def test_what_the_work_leaves_running_ends_with_it(tmp_path: Path) -> None:
    leaves = "import subprocess, sys; p = subprocess.Popen(['sleep', '300']); open(sys.argv[1], 'w').write(str(p.pid))"
    run(tmp_path, request(leaves, str(tmp_path / "child")))
    child = int((tmp_path / "child").read_text())
    until(lambda: not Path(f"/proc/{child}").exists() or "zombie" in Path(f"/proc/{child}/status").read_text())


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_delete_ends_what_runs_and_leaves_nothing(tmp_path: Path, folder: Path) -> None:
    waiting = in_background(lambda: run(tmp_path, request(COUNTS, "0.2")))
    until(lambda: read_json(folder / "state.json").get("work"))
    work = read_json(folder / "state.json")["work"]
    local_job.delete(tmp_path, "work")
    waiting.join()
    assert not (tmp_path / "work").exists()
    assert not Path(f"/proc/{work}").exists()
    local_job.delete(tmp_path, "work")  # missing is success


def test_logs_are_followed_while_it_runs(tmp_path: Path, folder: Path) -> None:
    speaks = "import time\nfor n in range(5): print('line', n, flush=True); time.sleep(0.1)"
    waiting = in_background(lambda: run(tmp_path, request(speaks)))
    until(lambda: is_held(folder))
    assert list(local_job.logs(tmp_path, "work", follow=True)) == [f"line {n}\n" for n in range(5)]
    waiting.join()
