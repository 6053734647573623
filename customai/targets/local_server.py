"""Scoring servers on this machine: one folder for each address, with a supervisor process that outlives us.

What is wanted is written to server.json; the supervisor brings it about and says what is in state.json (see
customai.workloads.scoring.supervisor). Nothing here signals a process by a number read from a file, except to end
one that still holds its lock: a number may since have become another's.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from customai.client import Endpoint, url_of
from customai.errors import CustomAIError, Interrupted, NoQuota, RunFailed, StateError, TimedOut
from customai.model import Json, dumps
from customai.targets.base import Observed, Watch
from customai.targets.local_process import follow_file, is_held, last_line, start_detached
from customai.targets.local_store import revived

READY_TIMEOUT = 300  # seconds for all replicas to load the model
STOP_TIMEOUT = 30  # seconds beyond the drain time
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EAGAIN)


def serve(servers: Path, config: Json, watch: Watch) -> Json:
    """Brings the server to this config and waits until every replica is ready; then ends those at other addresses.

    If that fails, a first start leaves nothing half-started, and an update leaves what was up before.
    """
    folder = _folder(servers, config["host"], config["port"])
    before = (folder / "server.json").read_text() if _serves(folder) else None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "server.json", dumps(config))
        state = _wait_until_ready(folder, config, watch)
    except (CustomAIError, OSError) as error:
        if before is None:
            stop(folder)
        elif isinstance(error, Interrupted | TimedOut):  # after any other error the supervisor stays with it by itself
            _write(folder / "server.json", before)
        if isinstance(error, OSError):
            kind = NoQuota if error.errno in NO_ROOM else StateError
            hint = "free some disk space and memory, then run the same command again" if kind is NoQuota else ""
            raise kind(f"the server cannot be started: {error.strerror}", where=str(folder), hint=hint) from error
        raise
    for other in _folders(servers):
        if other != folder:
            stop(other)
    instance = f"{config['digest'][:12]}@{state['since']:.3f}"
    url = url_of(config["host"], config["port"], tls="tls" in config)
    return {"url": url, "instance": instance, "revision": config["digest"]}


def _wait_until_ready(folder: Path, config: Json, watch: Watch) -> Json:
    supervisor: subprocess.Popen[bytes] | None = None
    deadline = time.monotonic() + READY_TIMEOUT
    while True:
        code = (
            supervisor.poll() if supervisor is not None else 0
        )  # 0: another was there; asked before its state is read
        held = is_held(folder)
        state = _state(folder)
        if state.get("seen") != (folder / "server.json").stat().st_mtime_ns:
            state = {}  # of an earlier server.json
        if state.get("failure"):
            raise revived(state["failure"])
        ready = [replica for replica in state.get("replicas", ()) if replica["ready"]]
        if held and state.get("digest") == config["digest"] and len(ready) >= config["replicas"]:
            return state
        if code:
            log = folder / "server.log"
            raise RunFailed("the server ended before it was ready", where=str(log), hint=last_line(log))
        if code == 0 and not is_held(folder, "alive"):
            supervisor = _start(folder)
        if time.monotonic() > deadline:
            raise TimedOut(f"the server was not ready within {READY_TIMEOUT} s", where=str(folder))
        watch.report(f"{len(ready)} of {config['replicas']} replicas ready")
        watch.pause(0.02)


def _start(folder: Path) -> subprocess.Popen[bytes]:
    """Its `alive` is locked from here on, until the last process of it is gone, the supervisor or a replica."""
    with open(folder / "alive", "ab") as alive:
        fcntl.flock(alive, fcntl.LOCK_SH)
        return start_detached("customai.workloads.scoring.supervisor", folder, "server.log", (alive.fileno(),))


def stop_all(servers: Path) -> None:
    for folder in _folders(servers):
        stop(folder)
    with contextlib.suppress(OSError):
        servers.rmdir()


def rest(servers: Path) -> bool:
    """Ends what serves, and keeps what it has written; whether anything did."""
    serving = [folder for folder in _folders(servers) if is_held(folder, "alive")]
    for folder in serving:
        _end(folder)
    return bool(serving)


def stop(folder: Path) -> None:
    """Ends the supervisor and its replicas, waits until they are gone, removes the folder."""
    _end(folder)
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        raise RunFailed("the server's folder cannot be removed", where=str(folder), hint="whose is it? ls -l")


def _end(folder: Path) -> None:
    drain = 10.0
    with contextlib.suppress(OSError, ValueError):
        drain = float(json.loads((folder / "server.json").read_bytes()).get("drain", drain))
    (folder / "server.json").unlink(missing_ok=True)  # the supervisor ends when it is gone
    deadline = time.monotonic() + drain + STOP_TIMEOUT
    while is_held(folder, "alive"):
        if time.monotonic() > deadline and is_held(folder):
            with contextlib.suppress(OSError, ValueError):
                os.kill(int((folder / "lock").read_text()), signal.SIGKILL)
        elif time.monotonic() > deadline + STOP_TIMEOUT:
            left = ", ".join(str(replica["pid"]) for replica in _state(folder).get("replicas", ()))
            raise RunFailed("a replica does not end", where=str(folder), hint=f"one of these processes: {left}")
        time.sleep(0.02)


def read(servers: Path, outputs: Json) -> Observed:
    """Whether it serves as it was left; detail: health, url, replicas, wanted, since, restarts, failure."""
    folder = next((folder for folder in _folders(servers) if is_held(folder)), None)
    if folder is None:
        return Observed(present=False, as_left=False, detail={"health": "stopped", "replicas": []})
    state = _state(folder)
    ready = [replica for replica in state.get("replicas", ()) if replica["ready"]]
    answers = (
        bool(ready)
        and outputs is not None
        and Endpoint(outputs["url"], timeout=2, certificate=state.get("tls")).ready()
    )
    wanted = state.get("wanted", 0)
    health = "healthy" if answers and len(ready) >= wanted else "degraded" if answers else "not ready"
    as_left = outputs is not None and health == "healthy" and state.get("digest") == outputs["revision"]
    return Observed(present=True, as_left=as_left, detail={**state, "health": health, "ready": len(ready)})


def runs_at(servers: Path, host: str, port: int) -> bool:
    return is_held(_folder(servers, host, port))


def hosts_at(servers: Path, port: int) -> list[str]:
    """The addresses that this deployment's servers listen on at this port."""
    return [
        folder.name.removesuffix(f"-{port}")
        for folder in _folders(servers)
        if folder.name.endswith(f"-{port}") and is_held(folder)
    ]


def models_in_use(servers: Path) -> set[str]:
    return {served["folder"] for folder in _folders(servers) for served in _state(folder).get("models", ())}


def logs(servers: Path, *, follow: bool) -> Iterator[str]:
    for folder in _folders(servers):
        yield from follow_file(folder / "server.log", lambda folder=folder: follow and folder.exists())  # type: ignore[misc]


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


def _write(path: Path, text: str) -> None:
    temporary = path.with_suffix(".new")
    try:
        temporary.write_text(text)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
