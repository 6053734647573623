"""Tells of a run from afar: `python3 -m customai.workloads.job.tell RUN [--once | --log [--follow]]`.

One line of JSON whenever something has changed, until the run has ended; or what it has written. Plain Python, nothing else.
"""

from __future__ import annotations

import fcntl
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from customai.workloads.job.run import read_json

TICK = 0.3  # seconds
LOCKS = ("begin.lock", "lock")  # of what prepares it, and of its runner


def seen(run: Path) -> dict[str, Any]:
    """What there is to tell of it now; asked first whether it goes on, so that nothing it wrote at its end is missed."""
    alive = any(_held(run / lock) for lock in LOCKS)
    told = {name: read_json(run / f"{name}.json") or None for name in ("state", "progress", "result", "error")}
    return {"alive": alive, "last": _last_line(run / "job.log"), **told}


def _held(lock: Path) -> bool:
    try:
        with open(lock, "rb+") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()[-1:] if log.exists() else []
    return lines[0] if lines else ""


def changes(run: Path) -> Iterator[dict[str, Any]]:
    before = None
    while True:
        now = seen(run)
        if now != before:
            yield now
        if not now["alive"]:
            return
        before = now
        time.sleep(TICK)


def log(run: Path, *, follow: bool) -> Iterator[str]:
    path = run / "job.log"
    if not path.exists():
        return
    with open(path, encoding="utf-8", errors="replace") as file:
        while True:
            more = follow and seen(run)["alive"]
            yield from iter(file.readline, "")
            if not more:
                return
            time.sleep(TICK)


def main(run: Path, how: list[str]) -> None:
    if "--log" in how:
        for line in log(run, follow="--follow" in how):
            print(line, end="", flush=True)
    elif "--once" in how:
        print(json.dumps(seen(run)), flush=True)
    else:
        for change in changes(run):
            print(json.dumps(change), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
