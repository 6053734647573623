"""JupyterLab on this machine's loopback, found if it runs and started if not: `python -m customai.workloads.notebook FOLDER`.

Prints {"port", "token"} on one line. It outlives whoever asked; its token stands in a file that only its user can read.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

STATE = Path("~/.customai/jupyter")
PATIENCE = 120.0  # seconds for it to start


def running(state: Path) -> dict[str, Any] | None:
    """What a server that lives has told of itself."""
    for file in (state / "runtime").glob("jpserver-*.json"):
        try:
            told: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            os.kill(told["pid"], 0)
        except (OSError, ValueError, KeyError):
            continue
        return told
    return None


def started(state: Path, folder: Path) -> dict[str, Any]:
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--ServerApp.ip=127.0.0.1", "--ServerApp.port=0"),
        *(f"--ServerApp.root_dir={folder}", *(["--allow-root"] if os.geteuid() == 0 else [])),
    ]
    with open(state / "jupyter.log", "ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "JUPYTER_RUNTIME_DIR": str(state / "runtime")},
        )
    deadline = time.monotonic() + PATIENCE
    while (told := running(state)) is None:
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"JupyterLab did not start: see {state / 'jupyter.log'} on the machine")
        time.sleep(0.1)
    return told


def main(folder: Path) -> None:
    state = STATE.expanduser()
    told = running(state) or started(state, folder)
    print(json.dumps({"port": told["port"], "token": told["token"]}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).expanduser())
