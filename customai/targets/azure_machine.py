"""A machine in Azure, reached by OpenSSH: with the deployment's key, and the machine's own key as Azure tells it.

What the machine shows of itself is not taken on trust where it need not be: the first time, Azure is asked for the
machine's host keys (a run command, over TLS), and ssh accepts no others from then on. They are pinned to the machine's id:
another machine at the same address is another machine.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from customai.errors import NotAvailable, NotFound, NotInstalled, RunFailed, TargetError, TimedOut
from customai.model import Json, Step
from customai.targets.azure_wait import Followed, Tries

KNOWN_HOSTS = "known_hosts"  # in the state folder
ASKED = {"commandId": "RunShellScript", "script": ["cat /etc/ssh/ssh_host_*_key.pub"]}
HOST_KEY = re.compile(r"(?m)^((?:ssh-|ecdsa-)\S+ [A-Za-z0-9+/=]+)")
NO_CONNECTION = 255  # ssh's own exit code


@dataclass(frozen=True)
class Machine:
    """Where it is, and who logs in how.

    Args:
        identity: the file of the key, its public half where an agent holds the other; None: whatever ssh finds.
        alias: what its host keys are pinned to.
    """

    user: str
    address: str
    alias: str
    identity: Path | None
    known_hosts: Path

    @property
    def is_pinned(self) -> bool:
        try:
            return any(
                line.split()[:1] == [self.alias] for line in self.known_hosts.read_text(encoding="utf-8").splitlines()
            )
        except OSError:
            return False

    def ssh(self, *options: str, asks: bool = False) -> list[str]:
        """The command line that logs in; `asks`: it may ask for the passphrase of the key."""
        program = shutil.which("ssh")
        if program is None:
            raise NotInstalled("ssh is not installed here", hint="apt install openssh-client, or your system's OpenSSH")
        checking = "yes" if self.is_pinned else "accept-new"
        settings = {
            "User": self.user,
            "HostKeyAlias": self.alias,
            "UserKnownHostsFile": f'"{self.known_hosts}"',
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": checking,
            "PasswordAuthentication": "no",
            "ConnectTimeout": "20",
            "ServerAliveInterval": "15",
            **({} if asks else {"BatchMode": "yes"}),
            **({"IdentitiesOnly": "yes", "IdentityFile": f'"{self.identity}"'} if self.identity is not None else {}),
        }
        words = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
        return [program, *words, *options, self.address]

    def run(self, command: str, given: bytes = b"", *, timeout: float = 600) -> bytes:
        """What the command prints there.

        Raises:
            TargetError: the machine is not reached. RunFailed: the command failed.
        """
        try:
            done = subprocess.run(
                [*self.ssh(), command], input=given, capture_output=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired:
            raise TimedOut(f"the machine did not answer within {timeout:g} s", where=self.address) from None
        if done.returncode:
            raise self._failed(done.returncode, done.stderr)
        return done.stdout

    def lines(self, command: str) -> Iterator[str]:
        """What the command prints there, line by line; whoever stops listening ends it."""
        with subprocess.Popen(
            [*self.ssh(), command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            try:
                yield from (line.decode(errors="replace") for line in _of(process.stdout))
                told = b"".join(_of(process.stderr))
                if process.wait():
                    raise self._failed(process.returncode, told)
            finally:
                process.kill()

    def _failed(self, code: int, said: bytes) -> TargetError | RunFailed:
        lines = said.decode(errors="replace").strip().splitlines() or [f"exit code {code}"]
        if code != NO_CONNECTION:
            return RunFailed(f"a command on the machine failed: {lines[-1]}", where=self.address)
        text = " ".join(lines)
        hint = "does it run? customai status; has your address changed? customai deploy lets the present one in"
        if "Permission denied" in text:
            hint = "is it the key of `azure.vm.ssh_key`? Has it a passphrase? ssh-add FILE, and try again"
        elif "Host key verification failed" in text:
            hint = f"another machine answers there than the one that was deployed; if that is right, remove {self.known_hosts}"
        return TargetError(f"the machine is not reached by ssh: {lines[-1]}", where=self.address, hint=hint)


def _of(stream: IO[bytes] | None) -> Iterable[bytes]:
    return stream if stream is not None else ()


def found(steps: Iterable[Step], outputs: Json, folder: Path, keys: Iterable[Path]) -> tuple[Step, Machine]:
    """The machine that these steps have made, and its step.

    Args:
        steps: what is known of the deployment.
        outputs: of each step that is done.
        folder: the state folder.
        keys: the files of public keys, among which the machine's is looked for.

    Raises:
        NotAvailable, NotFound: there is no machine, or no way to it.
    """
    by_kind = {step.kind: step for step in steps}
    step = by_kind.get("dsvm")
    if step is None:
        raise NotAvailable(
            "it has no machine to log in to", hint="path 1-1 has, on Azure: customai deploy 1-1 --target azure"
        )
    if "nat_gateway" in by_kind:
        hint = "set azure.vm.public_ip to true, or log in from a machine in its network (a VPN, Azure Bastion)"
        raise NotAvailable("the machine has no public address: it is reached from its own network only", hint=hint)
    address = by_kind.get("public_ip")
    if address is None or outputs.get(step.id) is None or outputs.get(address.id) is None:
        raise NotFound("the machine is not deployed to its end", hint="run deploy again to continue")
    login = step.inputs["body"]["properties"]["osProfile"]
    public = login["linuxConfiguration"]["ssh"]["publicKeys"][0]["keyData"]
    machine = Machine(
        user=login["adminUsername"],
        address=outputs[address.id]["address"],
        alias=f"vm-{outputs[step.id]['vm_id']}".lower(),
        identity=_identity(public, keys),
        known_hosts=folder / KNOWN_HOSTS,
    )
    return step, machine


def _identity(public: str, keys: Iterable[Path]) -> Path | None:
    """The file of the private key whose public half this is; of the public one, where an agent has the other."""
    for file in keys:
        try:
            words = file.read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError):
            continue
        if words[:2] == public.split()[:2]:
            private = file.with_suffix("")
            return private if private.is_file() else file
    return None


def pinned(machine: Machine, followed: Followed) -> bool:
    """Asks Azure for the machine's host keys, and keeps them; whether it told any."""
    tries = Tries(followed.where, followed.watch, followed.pace)
    followed.watch.report("asking Azure for the machine's host key")
    while True:
        try:
            operation = followed.arm.act(followed.url, "runCommand", ASKED)
            followed.ended(operation)
            break
        except Exception as error:  # noqa: BLE001 (what is no error of Azure's is raised as it is)
            tries.again(error)
    messages = [str(each.get("message", "")) for each in (operation.result() or {}).get("value") or ()]
    keys = [key for message in messages for key in HOST_KEY.findall(message)]
    if keys:
        machine.known_hosts.write_text("".join(f"{machine.alias} {key}\n" for key in keys), encoding="utf-8")
    return bool(keys)


def quoted(*words: str) -> str:
    """A command line for the machine's shell; ~ and $HOME are written by whoever asks, outside."""
    return " ".join(shlex.quote(word) for word in words)
