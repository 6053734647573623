"""A real OpenSSH server on loopback that stands in for a machine in Azure: real ssh, real tunnels, a home of its own."""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from customai.targets.azure_run import requirements
from tests.ports import free_port

SSHD = shutil.which("sshd") or next((path for path in ("/usr/sbin/sshd",) if Path(path).exists()), None)
CLIENT = shutil.which("ssh")
MISSING = "OpenSSH is not installed: apt-get install openssh-server"


@dataclass(frozen=True)
class StandIn:
    home: Path  # of whoever logs in
    folder: Path
    port: int
    bin: Path  # with an `ssh` that comes out here, whatever the address

    @property
    def public_key(self) -> str:
        return (self.folder / "user.pub").read_text(encoding="utf-8").strip()

    @property
    def host_key(self) -> str:
        return (self.folder / "host.pub").read_text(encoding="utf-8").strip()


@contextmanager
def machine(folder: Path) -> Iterator[StandIn]:
    assert SSHD is not None
    folder.mkdir(parents=True)
    made = StandIn(folder / "home", folder, free_port(), folder / "bin")
    for name in ("host", "user", "stranger"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
        subprocess.run(command, check=True)
    _home(made.home)
    _client(made)
    log = open(folder / "sshd.log", "wb")  # noqa: SIM115
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(_server(made))], stdin=subprocess.DEVNULL, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while not _listens(made.port):
            assert server.poll() is None, (folder / "sshd.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield made
    finally:
        server.terminate()
        server.wait(30)
        log.close()
        _end_what_is_left(made.home)


def _end_what_is_left(home: Path) -> None:
    """After a test that failed: what runs there is detached, and would outlive it."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(home).encode() in (folder / "cmdline").read_bytes() and folder.name != str(os.getpid()):
                os.kill(int(folder.name), signal.SIGKILL)


def _home(home: Path) -> None:
    """With a Python that has everything installed already, and says so."""
    python = home / ".customai" / "python"
    (python / "bin").mkdir(parents=True)
    _script(python / "bin" / "python", f'exec {sys.executable} "$@"')
    for extras in (("train",), ("train", "tracking"), ("notebook",)):
        text = "".join(f"{line}\n" for line in requirements(*extras))
        (python / f"ready-{hashlib.sha256(text.encode()).hexdigest()}").touch()


def _client(made: StandIn) -> None:
    made.bin.mkdir()
    here = f"-o HostName=127.0.0.1 -o Port={made.port} -o User={getpass.getuser()}"
    _script(made.bin / "ssh", f'exec {CLIENT} -F none {here} "$@"')


def _server(made: StandIn) -> Path:
    if os.geteuid() == 0:  # where Debian's separates its privileges
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    (made.folder / "authorized_keys").write_text(made.public_key + "\n", encoding="utf-8")
    login = made.folder / "login"
    _script(login, f'export HOME={made.home}; cd "$HOME"; exec sh -c "${{SSH_ORIGINAL_COMMAND:-sh}}"')
    config = f"""\
Port {made.port}
ListenAddress 127.0.0.1
HostKey {made.folder / "host"}
AuthorizedKeysFile {made.folder / "authorized_keys"}
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
ForceCommand {login}
"""
    file = made.folder / "sshd_config"
    file.write_text(config, encoding="utf-8")
    return file


def _script(file: Path, line: str) -> None:
    file.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
    file.chmod(0o755)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
