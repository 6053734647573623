"""Scoring servers on this machine: one folder for each address, with a supervisor process that outlives us.

What is wanted is written to server.json; the supervisor brings it about and says what is in state.json (see
customai.workloads.scoring.supervisor). Nothing here signals a process by a number read from a file, except to end
one that still holds its lock: a number may since have become another's.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from customai.client import Endpoint, url_of
from customai.errors import RunFailed, StateError, TimedOut
from customai.model import Json, dumps
from customai.targets.base import Observed, Watch
from customai.targets.local_store import revived

READY_TIMEOUT = 300  # seconds for all replicas to load the model
STOP_TIMEOUT = 30  # seconds beyond the drain time


def serve(servers: Path, config: Json, watch: Watch) -> Json:
    """Brings the server to this config and waits until every replica is ready; then ends those at other addresses."""
    folder = _folder(servers, config["host"], config["port"])
    served_before = _serves(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "server.json", config)
        state = _wait_until_ready(folder, config, watch)
    except (RunFailed, TimedOut, OSError) as error:
        if not served_before:  # a first start: leave nothing half-started; an update: the old replicas go on
            stop(folder)
        if isinstance(error, OSError):
            raise StateError(f"the server cannot be started: {error.strerror}", where=str(folder)) from error
        raise
    for other in _folders(servers):
        if other != folder:
            stop(other)
    instance = f"{config['digest'][:12]}@{state['since']:.3f}"
    return {"url": url_of(config["host"], config["port"]), "instance": instance, "revision": config["digest"]}


def _wait_until_ready(folder: Path, config: Json, watch: Watch) -> Json:
    supervisor: subprocess.Popen[bytes] | None = None
    deadline = time.monotonic() + READY_TIMEOUT
    while True:
        ended = supervisor is not None and supervisor.poll() not in (None, 0)
        held = is_held(folder)
        state = _state(folder)
        if state.get("seen") != (folder / "server.json").stat().st_mtime_ns:
            state = {}  # of an earlier server.json
        if state.get("failure"):
            raise revived(state["failure"])
        ready = [replica for replica in state.get("replicas", ()) if replica["ready"]]
        if held and state.get("digest") == config["digest"] and len(ready) >= config["replicas"]:
            return state
        if ended:
            raise RunFailed("the server ended before it was ready", where=str(folder), hint=_last_line(folder))
        if supervisor is None and not held:
            supervisor = _start(folder)
        if time.monotonic() > deadline:
            raise TimedOut(f"the server was not ready within {READY_TIMEOUT} s", where=str(folder))
        watch.report(f"{len(ready)} of {config['replicas']} replicas ready")
        watch.pause(0.02)


def _start(folder: Path) -> subprocess.Popen[bytes]:
    """A process of its own session: it survives the terminal and us."""
    command = [sys.executable, "-m", "customai.workloads.scoring.supervisor", str(folder)]
    with open(folder / "server.log", "ab") as log:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder, start_new_session=True
        )


def stop_all(servers: Path) -> None:
    for folder in _folders(servers):
        stop(folder)
    with contextlib.suppress(OSError):
        servers.rmdir()


def stop(folder: Path) -> None:
    """Ends the supervisor and its replicas, waits until they are gone, removes the folder."""
    drain = 10.0
    with contextlib.suppress(OSError, ValueError):
        drain = float(json.loads((folder / "server.json").read_bytes()).get("drain", drain))
    (folder / "server.json").unlink(missing_ok=True)  # the supervisor ends when it is gone
    deadline = time.monotonic() + drain + STOP_TIMEOUT
    while is_held(folder):
        if time.monotonic() > deadline:
            with contextlib.suppress(OSError, ValueError):
                os.kill(int((folder / "lock").read_text()), signal.SIGKILL)
        time.sleep(0.02)
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        raise RunFailed("the server's folder cannot be removed", where=str(folder), hint="whose is it? ls -l")


def read(servers: Path, outputs: Json) -> Observed:
    """Whether it serves as it was left; detail: health, url, replicas, wanted, since, restarts, failure."""
    folder = next((folder for folder in _folders(servers) if is_held(folder)), None)
    if folder is None:
        return Observed(present=False, as_left=False, detail={"health": "stopped", "replicas": []})
    state = _state(folder)
    ready = [replica for replica in state.get("replicas", ()) if replica["ready"]]
    answers = bool(ready) and outputs is not None and Endpoint(outputs["url"], timeout=2).ready()
    wanted = state.get("wanted", 0)
    health = "healthy" if answers and len(ready) >= wanted else "degraded" if answers else "not ready"
    as_left = outputs is not None and health == "healthy" and state.get("digest") == outputs["revision"]
    return Observed(present=True, as_left=as_left, detail={**state, "health": health, "ready": len(ready)})


def runs_at(servers: Path, host: str, port: int) -> bool:
    return is_held(_folder(servers, host, port))


def models_in_use(servers: Path) -> set[str]:
    return {state["model"] for folder in _folders(servers) if "model" in (state := _state(folder))}


def logs(servers: Path, *, follow: bool) -> Iterator[str]:
    for folder in _folders(servers):
        with (
            contextlib.suppress(FileNotFoundError),
            open(folder / "server.log", encoding="utf-8", errors="replace") as log,
        ):
            yield from log
            while follow:
                if line := log.readline():
                    yield line
                elif not folder.exists():
                    return
                else:
                    if log.tell() > os.fstat(log.fileno()).st_size:  # it was cut when it grew too long
                        log.seek(0)
                    time.sleep(0.1)


def is_held(folder: Path) -> bool:
    """Whether a supervisor lives: it alone holds this lock, until it ends in whatever way."""
    try:
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _folder(servers: Path, host: str, port: int) -> Path:
    return servers / f"{host.replace(':', '_')}-{port}"


def _folders(servers: Path) -> list[Path]:
    return sorted(servers.iterdir()) if servers.is_dir() else []


def _state(folder: Path) -> Json:
    try:
        return json.loads((folder / "state.json").read_bytes())
    except (OSError, ValueError):
        return {}


def _serves(folder: Path) -> bool:
    return is_held(folder) and any(replica["ready"] for replica in _state(folder).get("replicas", ()))


def _write(path: Path, value: Json) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_text(dumps(value))
    temporary.replace(path)


def _last_line(folder: Path) -> str:
    try:
        lines = (folder / "server.log").read_text(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""
