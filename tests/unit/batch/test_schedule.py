"""What happens when a time has come: a run is started, or skipped and said why."""

from __future__ import annotations

import fcntl
import json
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from customai.paths.cron import parsed
from customai.workloads.job.schedule import Schedule

DUE = datetime(2026, 11, 24, 22, 45, tzinfo=timezone.utc)


@pytest.fixture
def asked(tmp_path: Path) -> dict[str, Any]:
    argv = ["sh", "-c", "echo {run} > out"]
    return {
        "times": parsed("* * * * *"),
        "argv": argv,
        "cwd": str(tmp_path),
        "jobs": str(tmp_path / "jobs"),
        "grace": 1,
    }


def log(folder: Path) -> list[tuple[str, str, str]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [(line["run"], line["event"], line["reason"]) for line in lines]


def test_a_run_has_the_time_for_its_name_and_a_folder_of_its_own(tmp_path: Path, asked: dict[str, Any]) -> None:
    schedule = Schedule(tmp_path)
    schedule._come(asked, DUE, DUE)
    (runner,) = schedule.runners
    assert runner.wait(20) == 0
    assert (tmp_path / "out").read_text() == "2026-11-24T22-45Z\n"
    job = json.loads((tmp_path / "jobs" / "2026-11-24T22-45Z" / "job.json").read_bytes())
    assert job["env"] == {"CUSTOMAI_RUN_NAME": "2026-11-24T22-45Z"}
    assert log(tmp_path) == [("2026-11-24T22-45Z", "started", "")]


def test_a_time_at_which_the_last_run_still_goes_on_is_skipped(tmp_path: Path, asked: dict[str, Any]) -> None:
    running = tmp_path / "jobs" / "2026-11-24T22-40Z"
    running.mkdir(parents=True)
    handle = os.open(running / "lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(handle, fcntl.LOCK_EX)
    schedule = Schedule(tmp_path)
    schedule._come(asked, DUE, DUE)
    os.close(handle)
    assert log(tmp_path) == [("2026-11-24T22-45Z", "skipped", "run 2026-11-24T22-40Z was still going on")]
    assert schedule.runners == []


def test_a_time_that_was_slept_through_is_not_made_up_for(tmp_path: Path, asked: dict[str, Any]) -> None:
    Schedule(tmp_path)._come(asked, DUE, DUE + timedelta(hours=3))
    assert log(tmp_path) == [("2026-11-24T22-45Z", "skipped", "this machine slept, or was too busy")]
