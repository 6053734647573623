"""Keeps the replicas of a scoring server as its server.json says, behind one listening socket.

server.json is what is wanted, state.json is what is; this process holds `lock` and the socket as long as it lives.
A new server.json rolls over replica by replica: a new one is started and ready (model loaded, known answer right)
before an old one is drained, so no request is refused. If the new one fails, the old ones stay. A replica that dies is
started again. Removing server.json, SIGTERM or SIGINT ends it all.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import selectors
import signal
import socket
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from customai.workloads.scoring.process import Replica

FORMAT = 1
TICK = 0.1  # seconds between two looks at server.json
BACKOFF = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)  # seconds before a replica that keeps dying is started again
STABLE = 30.0  # seconds after which earlier deaths are forgotten
LOG_LIMIT = 16 * 2**20  # bytes of server.log before it becomes server.log.1


class Supervisor:
    def __init__(self, folder: Path, listener: socket.socket) -> None:
        self.folder = folder
        self.listener = listener
        self._alive = os.open(folder / "alive", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._alive, fcntl.LOCK_SH)  # passed on: held until the last replica is gone, even if we are killed
        self._config_mark = self._mark()  # before reading: a later change is seen as one
        self.wanted: dict[str, Any] = json.loads((folder / "server.json").read_bytes())
        self.serving: dict[str, Any] | None = None  # the last config all of whose replicas were ready
        self.failure: dict[str, Any] | None = None
        self.replicas: list[Replica] = []
        self.deaths: list[float] = []
        self.restarts = 0
        self.since = time.time()
        self.stopping = False
        self.selector = selectors.DefaultSelector()
        self._state = ""

    def run(self) -> int:
        while not self.stopping:
            self._hear(TICK)
            self._bury()
            self._look_for_config()
            self._reconcile()
            if self.failure is not None and self.serving is None:
                self._publish()  # whoever waits for us reads why
                self._stop_all()
                return 1
            self._publish()
            self._limit_log()
        self._stop_all()
        with contextlib.suppress(OSError):
            (self.folder / "state.json").unlink()
        return 0

    def stop(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        self.stopping = True

    # What is wanted

    def _mark(self) -> tuple[int, int, int] | None:
        try:
            found = (self.folder / "server.json").stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _look_for_config(self) -> None:
        mark = self._mark()
        if mark is None:
            self.stopping = True
        elif mark != self._config_mark:
            self._config_mark = mark
            self.failure = None
            self.deaths.clear()
            try:
                self.wanted = json.loads((self.folder / "server.json").read_bytes())
            except FileNotFoundError:  # since we looked
                self.stopping = True

    def _goal(self) -> dict[str, Any]:
        failed = self.failure is not None and self.serving is not None
        return self.serving if failed and self.serving is not None else self.wanted

    # What is

    def attach(self, file: int) -> None:
        """Ends when this file does: with whoever holds its other side."""
        self.selector.register(file, selectors.EVENT_READ, None)

    def _hear(self, timeout: float) -> None:
        for key, _ in self.selector.select(timeout):
            if key.data is None:
                self.stopping = True
                continue
            replica: Replica = key.data
            replica.hear()
            if replica.silent:
                self.selector.unregister(replica.reports)

    def _bury(self) -> None:
        for replica in self.replicas:
            if replica.overdue():
                replica.kill()
        for replica in [replica for replica in self.replicas if replica.ended()]:
            self.replicas.remove(replica)
            replica.hear()
            with contextlib.suppress(KeyError):
                self.selector.unregister(replica.reports)
            replica.close()
            if replica.draining:
                continue
            self._say(f"replica {replica.pid} ended: {replica.last_words()['message']}")
            self._died(replica.config, replica.last_words(), was_ready=replica.ready)

    def _died(self, config: dict[str, Any], words: dict[str, Any], *, was_ready: bool) -> None:
        """One that has worked before is started again, later each time; one that never did is a failed change."""
        settled = self.serving is not None and self.serving is self._goal()
        if was_ready or (self.serving is not None and settled and config == _replica_config(self.serving)):
            self.deaths.append(time.monotonic())
            self.restarts += 1
        else:
            self.failure = words

    # From what is to what is wanted

    def _reconcile(self) -> None:
        goal = self._goal()
        config = _replica_config(goal)
        live = [replica for replica in self.replicas if not replica.draining]
        fresh = [replica for replica in live if replica.config == config]
        stale = [replica for replica in live if replica.config != config]
        ready = [replica for replica in fresh if replica.ready]
        missing = goal["replicas"] - len(fresh)
        if missing > 0 and self._may_start():
            # At first all at once; while others serve, one more than wanted at a time, to bound the memory.
            at_once = missing if not stale else 1 if len(fresh) == len(ready) else 0
            for _ in range(at_once):
                self._start(config)
        for replica in stale[: max(0, len(ready) + len(stale) - goal["replicas"])] if ready else ():
            replica.drain()
        if len(ready) >= goal["replicas"]:
            for replica in stale + ready[goal["replicas"] :]:
                replica.drain()
            if not stale:
                self.serving = goal

    def _may_start(self) -> bool:
        now = time.monotonic()
        if self.deaths and now - self.deaths[-1] > STABLE:
            self.deaths.clear()
        wait = BACKOFF[min(max(len(self.deaths) - 1, 0), len(BACKOFF) - 1)]
        return not self.deaths or now - self.deaths[-1] >= wait

    def _start(self, config: dict[str, Any]) -> None:
        try:
            replica = Replica(config, self.folder, self.listener, self._alive)
        except OSError as error:  # no room for a process or a file: those that run go on
            words = {"type": "NoQuota", "message": f"a replica cannot be started: {error.strerror}", "where": ""}
            self._say(words["message"])
            self._died(config, {**words, "hint": "see the limits: ulimit -a"}, was_ready=False)
            return
        self.selector.register(replica.reports, selectors.EVENT_READ, replica)
        self.replicas.append(replica)
        self._say(f"replica {replica.pid} started")

    def _stop_all(self) -> None:
        self.listener.close()
        for replica in self.replicas:
            replica.drain()
        while any(not replica.ended() for replica in self.replicas):
            for replica in self.replicas:
                if replica.overdue():
                    replica.kill()
            time.sleep(0.01)
        self._say("stopped")

    # For others to read

    def _publish(self) -> None:
        settled = self.serving is not None and self.serving is self._goal()
        state = {
            "format": FORMAT,
            "pid": os.getpid(),
            "since": self.since,
            "digest": self.serving["digest"] if self.serving is not None and settled else None,
            "models": (self.serving or self.wanted)["models"],
            "wanted": self._goal()["replicas"],
            "threads": _threads(self.serving or self.wanted),
            "pace": next((replica.pace for replica in self.replicas if replica.ready), []),
            "tls": ((self.serving or self.wanted).get("tls") or {}).get("certificate"),
            "restarts": self.restarts,
            "seen": self._config_mark[1] if self._config_mark else 0,
            "failure": self.failure,
            "replicas": [replica.to_json() for replica in self.replicas],
        }
        text = json.dumps(state)
        if text == self._state:
            return
        temporary = self.folder / f"state.json.{os.getpid()}"
        with contextlib.suppress(OSError):  # a full disk must not end the service
            temporary.write_text(text)
            temporary.replace(self.folder / "state.json")
            self._state = text

    def _limit_log(self) -> None:
        log = self.folder / "server.log"
        with contextlib.suppress(OSError):
            if log.stat().st_size > LOG_LIMIT:
                (self.folder / "server.log.1").write_bytes(log.read_bytes())
                os.truncate(log, 0)  # everyone writes in append mode

    def _say(self, message: str) -> None:
        with contextlib.suppress(OSError):  # a full disk must not end the service
            print(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} supervisor: {message}", flush=True)


def _replica_config(config: dict[str, Any]) -> dict[str, Any]:
    """What a replica is started with; two configs equal here need no new replica.

    The replicas share the cores: more threads than cores only wait for each other.
    """
    return {key: value for key, value in config.items() if key not in ("replicas", "digest")} | {
        "threads": _threads(config)
    }


def _threads(config: dict[str, Any]) -> int:
    return int(config.get("threads") or max(1, (os.cpu_count() or 1) // config["replicas"]))


def listen(host: str, port: int, patience: float = 3.0) -> socket.socket:
    """The one socket of all replicas. Waits a little for a predecessor's replicas to let go of the port."""
    deadline = time.monotonic() + patience
    while True:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(4096)
        except OSError:
            listener.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return listener


def main(folder: Path, *, attached: bool = False) -> int:
    """Supervises the server of this folder until told to stop; attached: or until standard input ends.

    Returns:
        0 after a stop or if another supervisor is there already; 1 if no replica could be made ready;
        3 if the address cannot be had.
    """
    if not _lock(folder):
        return 0
    try:
        seen = (folder / "server.json").stat().st_mtime_ns
        config = json.loads((folder / "server.json").read_bytes())
    except FileNotFoundError:
        return 0  # stopped before it began
    try:
        listener = listen(config["host"], config["port"])
    except OSError as error:
        state = {"format": FORMAT, "seen": seen, "failure": _cannot_listen(config, error), "replicas": []}
        (folder / "state.json").write_text(json.dumps(state))
        return 3
    supervisor = Supervisor(folder, listener)
    if attached:
        supervisor.attach(sys.stdin.fileno())
    signal.signal(signal.SIGTERM, supervisor.stop)
    signal.signal(signal.SIGINT, supervisor.stop)
    return supervisor.run()


def _lock(folder: Path, patience: float = 0.5) -> bool:
    """Takes the lock for the life of this process. Patient, because whoever asks if it is held takes it for a moment."""
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        else:
            os.ftruncate(handle, 0)
            os.pwrite(handle, str(os.getpid()).encode(), 0)
            return True


def _cannot_listen(config: dict[str, Any], error: OSError) -> dict[str, Any]:
    address = f"{config['host']}:{config['port']}"
    return {
        "type": "Conflict",
        "message": f"cannot listen on {address}: {error.strerror or error}",
        "where": "endpoint.port",
        "hint": "stop what uses the port, or choose another endpoint.port in the spec",
    }


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), attached="--attached" in sys.argv))
