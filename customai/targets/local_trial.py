"""A scoring server on this machine for as long as it is measured: on a port of its own, and gone with us, however we end."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from customai.errors import NoQuota, RunFailed, TimedOut
from customai.model import Json, dumps
from customai.targets.base import Watch
from customai.targets.local_process import last_line
from customai.targets.local_store import revived

HOST = "127.0.0.1"
# Below those that Linux gives to outgoing connections, where what was free a moment ago may be another's.
PORTS = range(20_000, 32_000)
PATIENCE = 300  # seconds for all replicas to load the model
DRAIN = 1.0  # seconds that a replica may take to end: nobody waits for its answers
END = 30.0  # seconds beyond that


def memory() -> int | None:
    """Bytes that are free; None where the system does not tell."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None


def cores() -> int:
    """As the scoring server counts them."""
    return os.cpu_count() or 1


@contextlib.contextmanager
def serving(folder: Path, server: Json, watch: Watch) -> Iterator[Json]:
    """Serves what server.json says, but here and without a key; gives what its state.json says, and its port.

    Args:
        folder: an empty one, for this server alone.
        server: as of an `endpoint` step; its models are in their folders.
        watch: asked whether to stop.
    """
    kept = {name: value for name, value in server.items() if name not in ("tls", "tracing")}
    config = kept | {"host": HOST, "port": _port(), "key_sha256": None, "digest": "trial", "drain": DRAIN}
    try:
        (folder / "server.json").write_text(dumps(config))
        with open(folder / "server.log", "ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "customai.workloads.scoring.supervisor", str(folder), "--attached"],
                stdin=subprocess.PIPE,  # it ends when this does
                stdout=log,
                stderr=log,
                cwd=folder,
                start_new_session=True,
            )
    except OSError as error:
        raise NoQuota(f"the server cannot be started: {error.strerror}", where=str(folder)) from error
    try:
        yield _ready(process, folder, config, watch) | {"port": config["port"]}
    finally:
        assert process.stdin is not None  # noqa: S101 (for the type checker)
        process.stdin.close()
        try:
            process.wait(DRAIN + END)
        except subprocess.TimeoutExpired:
            process.kill()  # its replicas end with it
            process.wait()


def _ready(process: subprocess.Popen[bytes], folder: Path, config: Json, watch: Watch) -> Json:
    deadline = time.monotonic() + PATIENCE
    while True:
        ended = process.poll() is not None
        state: Json = {}
        with contextlib.suppress(OSError, ValueError):
            state = json.loads((folder / "state.json").read_bytes())
        if state.get("failure"):
            raise revived(state["failure"])
        if sum(replica["ready"] for replica in state.get("replicas", ())) >= config["replicas"]:
            return state
        log = folder / "server.log"
        if ended:
            raise RunFailed("the server ended before it was ready", hint=last_line(log))
        if time.monotonic() > deadline:
            raise TimedOut(f"the server was not ready within {PATIENCE} s", hint=last_line(log))
        watch.pause(0.02)


def _port() -> int:
    while True:
        port = random.choice(PORTS)  # noqa: S311 (no secret)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port
