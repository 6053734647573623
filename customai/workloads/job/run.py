"""What work that runs as a job tells about itself. Works the same without a runner: then the folder is the current one."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from customai.errors import CustomAIError, Interrupted

FOLDER_VARIABLE = "CUSTOMAI_RUN_FOLDER"
EVERY = 0.2  # seconds between two writes of progress.json


class Run:
    """The run that this process works for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._told = 0.0

    @classmethod
    def current(cls) -> Run:
        return cls(Path(os.environ.get(FOLDER_VARIABLE, ".")).absolute())

    def progress(self, done: float, total: float | None = None, unit: str = "", **more: Any) -> None:
        """How far it is. Cheap enough to be called for every batch: it writes a few times a second."""
        now = time.monotonic()
        if now - self._told >= EVERY or done == total:
            self._told = now
            write_json(self.folder / "progress.json", {"done": done, "total": total, "unit": unit, **more})

    def finish(self, result: dict[str, Any]) -> None:
        """What came of it, all or nothing: a run whose result.json is there is complete."""
        write_json(self.folder / "result.json", result)


def main(work: Callable[[Run, list[str]], dict[str, Any]]) -> None:
    """Runs `work(run, arguments)` as this process's job; its errors become error.json and the exit code."""
    run = Run.current()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a cancelled job unwinds as on Ctrl-C
    try:
        run.finish(work(run, sys.argv[1:]))
    except KeyboardInterrupt:
        error: CustomAIError = Interrupted("it was cancelled", hint="run it again to continue where it was")
    except CustomAIError as known:
        error = known
    else:
        return
    write_json(run.folder / "error.json", error.to_json())
    hint = f" ({error.hint})" if error.hint else ""
    print(f"error: {error.message}{hint}", file=sys.stderr)
    sys.exit(error.exit_code)


def write_json(path: Path, value: Any) -> None:
    """All or nothing: a reader never sees half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    temporary.write_text(json.dumps(value))
    temporary.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """Nothing where it is not there, or cannot be read."""
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found
