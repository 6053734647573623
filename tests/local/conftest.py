"""What runs on this machine, really: the CLI as a user calls it, its processes, its port. None of our own parts is mocked."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port as next_free_port

CUSTOMAI = [sys.executable, "-m", "customai"]
PATIENCE = 20.0


@dataclass(frozen=True)
class Run:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)  # one document, or this fails

    def failed(self, code: int, *words: str) -> Run:
        """As it should be after an error: the code, every word somewhere in the message, no traceback, no result."""
        assert self.code == code, self
        assert not [word for word in words if word not in self.err], self.err
        assert "Traceback" not in self.err, self.err
        assert "mistake in customai" not in self.err, self.err
        assert not self.out, self.out
        return self


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | more


def call(*arguments: object, code: int | None = 0, cwd: Path | None = None, timeout: float = 60, **more: str) -> Run:
    """Runs customai to its end; `more` are environment variables."""
    command = [*CUSTOMAI, *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=timeout, cwd=cwd, env=environment(**more)
    )
    assert code is None or done.returncode == code, (arguments, done)
    return Run(done.returncode, done.stdout, done.stderr)


def eventually(true: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """Waits for it; gives what it gave."""
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, f"still not so after {seconds:g} s"
        time.sleep(0.01)
    return found


def processes(home: Path) -> dict[int, str]:
    """The command lines of every process that works in or on a state folder, by process id."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            if command and (str(home) in command or str((folder / "cwd").readlink()).startswith(str(home))):
                found[int(folder.name)] = command
    return found


class Deployment:
    """A copy of a real-time path that is the test's own: `spec` in `folder`, on a free port."""

    def __init__(self, folder: Path, home: Path, path: str = "2-5") -> None:
        self.folder = folder
        self.home = home
        self.spec = folder / "customai.yaml"
        self.name = folder.name
        self.state = home / "deployments" / self.name
        self.port = next_free_port()
        call("init", path, folder)
        self.edit(port=self.port, replicas=1)

    def edit(self, **values: object) -> None:
        """Gives keys of the spec other values, or puts them where none was: `key=None` takes the line away."""
        text = self.spec.read_text()
        for key, value in values.items():
            line = rf"(?m)^( +){key}: .*\n"
            assert re.search(line, text), f"no {key} in the spec"
            text = re.sub(line, "" if value is None else rf"\g<1>{key}: {value}\n", text, count=1)
        self.spec.write_text(text)

    def edit_endpoint(self, line: str) -> None:
        self.spec.write_text(re.sub(r"(?m)^endpoint:\n", f"endpoint:\n  {line}\n", self.spec.read_text()))

    def deploy(self, code: int | None = 0, **more: str) -> Run:
        return call("deploy", self.spec, code=code, **more)

    def redeploy(self, **more: str) -> dict[str, str]:
        """What became of each step."""
        steps = call("deploy", self.spec, "--output", "json", **more).json["steps"]
        return {step["id"]: step["action"] for step in steps}

    def status(self) -> Any:
        return call("status", self.spec, "-o", "json").json["deployments"][0]

    def replicas(self) -> list[int]:
        """Those that are ready."""
        return [replica["pid"] for replica in self.status()["endpoint"]["replicas"] if replica["ready"]]

    def score(self, digit: int, **more: str) -> str:
        image = self.folder / "samples" / f"{digit}.png"
        return str(call("score", self.spec, image, "-o", "json", **more).json["predictions"][0].get("label"))

    def processes(self, module: str = "") -> list[int]:
        return [pid for pid, command in processes(self.home).items() if module in command]

    @property
    def supervisor(self) -> int:
        (pid,) = self.processes("scoring.supervisor")
        return pid

    @property
    def server(self) -> Path:
        """The state folder of its server."""
        (folder,) = (self.state / "servers").iterdir()
        return folder

    def events(self) -> list[dict[str, Any]]:
        """The journal's whole lines but the header."""
        with suppress(FileNotFoundError):
            return [json.loads(line) for line in (self.state / "journal.jsonl").read_bytes().split(b"\n")[1:-1]]
        return []

    def listens(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def assert_nothing_is_left(self) -> None:
        """No process, no port, no file."""
        eventually(lambda: not processes(self.home))
        assert not self.listens()
        assert not self.state.exists(), list(self.state.rglob("*"))


@pytest.fixture
def deployment(tmp_path: Path, home: Path) -> Iterator[Deployment]:
    """Path 2-5 on a free port, not deployed yet, with one replica; destroyed in the end, which must leave nothing."""
    yield from _clean(Deployment(tmp_path / "digits", home), home)


@pytest.fixture
def churn(tmp_path: Path, home: Path) -> Iterator[Deployment]:
    """The same of path 2-2."""
    yield from _clean(Deployment(tmp_path / "churn", home, "2-2"), home)


def _clean(made: Deployment, home: Path) -> Iterator[Deployment]:
    try:
        yield made
        call("destroy", made.name, "--yes")
        made.assert_nothing_is_left()
    finally:
        for pid in processes(home):  # only after a failure
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def die(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A uvloop that ends its process at once, with the exit code in this file, as long as there is one: a broken install."""
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "uvloop.py").write_text(
        "import os, pathlib, sys\n"
        "here = pathlib.Path(__file__).parent\n"
        "if (here / 'die').exists():\n"
        "    print('uvloop is broken', file=sys.stderr, flush=True)\n"
        "    os._exit(int((here / 'die').read_text()))\n"
        "sys.path.remove(str(here))\n"
        "del sys.modules['uvloop']\n"
        "import uvloop\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    return folder / "die"


@pytest.fixture
def unprivileged() -> Callable[..., Run]:
    """Runs customai without some capabilities of root's: as any other user, who has none anyway."""

    def run(capabilities: str, *arguments: object) -> Run:
        drop = [f"--bounding-set=-{capabilities.replace(',', ',-')}"]
        if os.getuid() == 0 and shutil.which("setpriv") is None:
            pytest.skip("needs another user than root, or setpriv (util-linux)")
        command = [*(["setpriv", *drop] if os.getuid() == 0 else []), *CUSTOMAI, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment())
        return Run(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The connection string of an Azurite of the tests' own; installed by npm, unless `make azurite` has."""
    from tests.local.azurite import started

    with started(tmp_path_factory) as connection:
        yield connection


@pytest.fixture
def cli() -> Callable[..., Run]:
    return call


@pytest.fixture
def wait_for() -> Callable[..., Any]:
    return eventually


@pytest.fixture
def free_port() -> Callable[[], int]:
    return next_free_port


@pytest.fixture
def background() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a command beside the test; it is ended at the latest with the test."""
    started = []

    def start(*arguments: object) -> subprocess.Popen[str]:
        command = [*CUSTOMAI, *map(str, arguments)]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def shipped_port() -> Iterator[int]:
    """The port of path 2-5 as it is shipped, for one test at a time; skipped where another program has it."""
    with open(Path(tempfile.gettempdir()) / "customai-test-port", "w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", 8025)) == 0:
                pytest.skip("port 8025, which the example uses, is taken by another program")
        yield 8025
