from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Each test hears Ctrl-C as a program of its own does, even in a gate that runs in the background."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, signal.SIG_DFL if handler is None else handler)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has a state folder and a home of its own: none sees the user's, or another test's."""
    folder = tmp_path / "customai-home"
    monkeypatch.setenv("CUSTOMAI_HOME", str(folder))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")
    return folder


@pytest.fixture
def customai(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command line in a process of its own, in an empty folder, with nothing of the user's in sight."""

    def run(*arguments: str | bytes, **settings: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "customai", *arguments]
        settings = {"cwd": tmp_path, "stdin": subprocess.DEVNULL, "timeout": 120} | settings
        return subprocess.run(command, capture_output=True, text=True, check=False, **settings)

    return run
