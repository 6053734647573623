"""Deployments on a simulated Azure, driven by the engine: in this process, or in one of their own that may be killed."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from customai import engine, planner
from customai.journal import Header, Journal
from customai.model import Plan
from customai.targets.azure import AzureTarget
from customai.targets.azure_arm import TYPED, Arm, Pace
from customai.targets.azure_login import Nobody
from customai.ui import Silent
from tests.azure.simulator import SUBSCRIPTION, Remote

REPOSITORY = Path(__file__).parents[2]
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGq0Xkz9aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa someone@somewhere"
KEY = "s3cret-k3y-value-of-the-tests"
BESIDE = ("image", "kubernetes")  # what is no resource of Azure Resource Manager's
FROM = "203.0.113.7/32"


def spec(folder: Path, path: str, more: str = "", **changes: str) -> Path:
    """A copy of the path's folder; `more` goes into its azure: block, `changes` replace words of the whole."""
    made = folder / path
    if not made.exists():
        shutil.copytree(REPOSITORY / "paths" / path, made)
        (made / "key.pub").write_text(PUBLIC_KEY, encoding="utf-8")
    text = (REPOSITORY / "paths" / path / "customai.yaml").read_text(encoding="utf-8")
    block = f"\nazure:\n  subscription: {SUBSCRIPTION}\n  allow_from: [{FROM}]\n"
    block += "".join(f"  {line}\n" for line in more.splitlines())
    if path == "1-1" and "vm:" not in more:
        block += "  vm: {ssh_key: key.pub}\n"
    for old, new in changes.items():
        block = block.replace(old, new)
    file = made / "customai.yaml"
    file.write_text(text + block, encoding="utf-8")
    return file


@dataclass
class Driven:
    """One deployment: its spec, its state folder, the Azure it is on."""

    url: str
    file: Path
    folder: Path
    patience: float = 20.0
    without: tuple[str, ...] = ()  # kinds of steps that are left out

    def target(self) -> AzureTarget:
        def connect(subscription: str, _tenant: str | None) -> Arm:
            return Arm(Nobody(), subscription, endpoint=self.url, polling_interval=0.02)

        return AzureTarget(self.folder, connect, Pace(look=0.02, patience=self.patience))

    def plan(self) -> Plan:
        plan = planner.plan(planner.read(self.file), self.target())
        return replace(plan, steps=tuple(step for step in plan.steps if step.kind not in self.without))

    def deploy(self, observer: Any = None) -> dict[str, str]:
        """Makes it so; step -> what became of it."""
        plan = self.plan()
        self.folder.mkdir(parents=True, exist_ok=True)
        journal = Journal.start(self.folder, Header(plan.name, plan.path, plan.target, str(self.file)))
        results = engine.up(plan, self.target(), journal, observer or Silent())
        return {result.step.id: result.action for result in results}

    def destroy(self, *, sweep: bool = True) -> dict[str, str]:
        journal = Journal.read(self.folder)
        assert journal is not None
        journal, target = Journal.start(self.folder, journal.header), self.target()
        if sweep:
            target.sweep([known.step for known in journal.known.values()], engine.Watch())
        results = engine.down(target, journal, Silent())
        return {result.step.id: result.action for result in results}

    def outputs(self, step: str) -> Any:
        """What the journal says that a step has put out."""
        journal = Journal.read(self.folder)
        assert journal is not None
        return journal.known[step].outputs

    def compared(self) -> dict[str, engine.Change]:
        return {each.step.id: each for each in engine.compare(self.plan(), self.target(), Journal.read(self.folder))}


def in_a_process(url: str, file: str, folder: str, without: tuple[str, ...], fault: dict[str, Any]) -> None:
    """Deploys in this process, which the fault kills."""
    os.environ["NO_PROXY"] = "127.0.0.1"
    os.environ["SCORING_KEY"] = KEY
    Remote(url).fault("kill", pid=os.getpid(), **{"method": ".*", "url": "/subscriptions/.*"} | fault)
    Driven(url, Path(file), Path(folder), without=without).deploy()


with contextlib.suppress(ImportError):  # every client beforehand: a process that is forked from here is quick
    for used, *_ in TYPED.values():
        import_module(used)
    import_module("azure.storage.blob")
    import_module("kubernetes.client")
