"""Processes that outlive us: started in a session of their own, known by the lock they hold, never by a number alone."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path


def start_detached(module: str, folder: Path, log: str, keep: tuple[int, ...] = ()) -> subprocess.Popen[bytes]:
    """Runs `python -m module FOLDER` in a session of its own: it survives the terminal and us; `keep` stays open in it."""
    with open(folder / log, "ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", module, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder,
            start_new_session=True,
            pass_fds=keep,
        )


def is_held(folder: Path, lock: str = "lock") -> bool:
    """Whether a process lives that holds the folder's lock: it is let go when that ends, in whatever way."""
    handle = _opened(folder / lock)
    if handle is None:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _opened(lock: Path) -> int | None:
    for mode in (os.O_RDWR, os.O_RDONLY):  # the second for a file system that has become read-only
        with contextlib.suppress(OSError):
            return os.open(lock, mode | os.O_CLOEXEC)
    return None


def last_line(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""


def follow_file(path: Path, go_on: Callable[[], bool]) -> Iterator[str]:
    """The file's lines, and those that are added while `go_on()`."""
    if not path.exists():
        return
    with open(path, encoding="utf-8", errors="replace") as file:
        while True:
            more = go_on()  # asked first: what is written before the end is still read
            yield from iter(file.readline, "")
            if not more:
                return
            if file.tell() > os.fstat(file.fileno()).st_size:  # it was cut when it grew too long
                file.seek(0)
            time.sleep(0.1)
