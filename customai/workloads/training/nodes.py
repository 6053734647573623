"""N nodes that train one model together: `python -m customai.workloads.training.nodes {"nodes": N, ...} SCRIPT ...`.

A node is torchrun in a process of its own, with one worker; the nodes find each other at a meeting point (c10d) that this
process keeps, as a cluster's head does, so that every node may go. When a worker dies, all begin again from the last
checkpoint; when a node dies, the others wait until another one is there in its place.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from customai.errors import CustomAIError, NotInstalled, RunFailed
from customai.workloads.job.run import FOLDER_VARIABLE, Run, main, read_json
from customai.workloads.training import lifeline
from customai.workloads.training.node import store

LOOPBACK = "127.0.0.1"
TICK = 0.05  # seconds
KEEP_ALIVE = 1  # seconds between two signs of life of a node; after three missed ones it counts as lost
TAKEN_AWAY = (-signal.SIGKILL, -signal.SIGTERM, 128 + signal.SIGTERM)  # exit codes of a node that did not give up
STOP = 10.0  # seconds that nodes may take to end when they are told to


@dataclass
class Nodes:
    """The nodes of one training, in this folder."""

    folder: Path
    script: list[str]
    count: int
    restarts: int = 3
    came_back: int = 0
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        (self.folder / "error.json").unlink(missing_ok=True)
        # A meeting point of its own for each attempt: what an earlier one left behind is not met there.
        try:
            self._meeting_point = store(LOOPBACK)
        except ImportError:
            hint = "pip install 'customai[train]'"
            raise NotInstalled("several nodes need torch, which is not installed here", hint=hint) from None
        self._id = _new_id()
        self.processes = [self._node() for _ in range(self.count)]

    def stop(self) -> None:
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP
        while any(node.poll() is None for node in self.processes) and time.monotonic() < deadline:
            time.sleep(TICK)
        self._signal(signal.SIGKILL)
        for node in self.processes:
            node.wait()

    def step(self) -> bool:
        """Looks after the nodes once. Gives whether they are done.

        Raises:
            CustomAIError: the script failed, or too many nodes were lost.
        """
        if told := read_json(self.folder / "error.json"):
            raise _revived(told)
        result = self.folder / "result.json"
        if result.exists() and time.time() - result.stat().st_mtime > STOP:
            return True  # a worker that died on its way out waits in vain for those that are done
        codes = [node.poll() for node in self.processes]
        lost = [number for number, code in enumerate(codes) if code not in (None, 0)]
        if any(codes[number] not in TAKEN_AWAY for number in lost):
            self.stop()  # torchrun gave up by itself, and closed the meeting point for all
            lost = list(range(self.count))
        if lost:
            self._replace(lost)
        return all(code == 0 for code in codes)

    def evict(self, number: int, notice: float) -> None:
        """Takes a node away as a spot eviction does: told to end, then ended. Returns when it is gone."""
        node = self.processes[number]
        _signal_group(node, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            node.wait(notice)
        _signal_group(node, signal.SIGKILL)
        node.wait()

    def _replace(self, lost: list[int]) -> None:
        if self.came_back == self.restarts:
            hint = (
                "run the same command again to go on from the last checkpoint; is there enough memory for every node?"
            )
            raise RunFailed(f"nodes were lost {self.came_back + 1} times, and `restarts` is {self.restarts}", hint=hint)
        self.came_back += 1
        if len(lost) == self.count:
            self._id = _new_id()
        for number in lost:
            print(f"node {number} was lost; another one takes its place", flush=True)
            self.processes[number] = self._node()

    def _node(self) -> subprocess.Popen[bytes]:
        settings = f"is_host=false,keep_alive_interval={KEEP_ALIVE},keep_alive_max_attempt=3"
        torchrun = [
            f"--nnodes={self.count}",
            "--nproc-per-node=1",
            "--rdzv-backend=c10d",
            f"--rdzv-endpoint={LOOPBACK}:{self._meeting_point.port}",
            f"--rdzv-id={self._id}",
            f"--rdzv-conf={settings}",
            f"--local-addr={LOOPBACK}",
            f"--max-restarts={self.restarts}",
            "--monitor-interval=0.1",
            "--module",
            "customai.workloads.training",
        ]
        env = {
            **os.environ,
            FOLDER_VARIABLE: str(self.folder),
            lifeline.VARIABLE: "1",
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
            "GLOO_SOCKET_IFNAME": "lo0" if sys.platform == "darwin" else "lo",
            "TORCH_CPP_LOG_LEVEL": "ERROR",
        }
        return subprocess.Popen(
            [sys.executable, "-m", "customai.workloads.training.node", *torchrun, *self.script],
            stdin=subprocess.DEVNULL,
            env=env,
            start_new_session=True,  # a group of its own, which goes as a whole when the node does
        )

    def _signal(self, number: signal.Signals) -> None:
        for node in self.processes:
            if node.poll() is None:
                _signal_group(node, number)


@contextlib.contextmanager
def started(nodes: Nodes) -> Iterator[Nodes]:
    """The nodes, which are gone afterwards."""
    try:
        nodes.start()
        yield nodes
    finally:
        nodes.stop()


def _signal_group(leader: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader.pid, number)


def _revived(told: dict[str, Any]) -> CustomAIError:
    from customai import errors

    error: CustomAIError = getattr(errors, told["type"], RunFailed)(
        told["message"], where=told["where"], hint=told["hint"]
    )
    return error


def _new_id() -> str:
    return f"{os.getpid()}-{time.time_ns()}"


def work(run: Run, arguments: list[str]) -> dict[str, Any]:
    asked, *script = json.loads(arguments[0]), *arguments[1:]
    began = time.time()
    with started(Nodes(run.folder, script, asked["nodes"], asked["restarts"])) as nodes:
        while not nodes.step():
            time.sleep(TICK)
    return {
        **read_json(run.folder / "result.json"),
        "nodes": asked["nodes"],
        "seconds": round(time.time() - began, 1),
    }


if __name__ == "__main__":
    main(work)
