"""Plans of whole paths for Azure: a path's own customai.yaml, with lines of it replaced and others added."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from customai import paths, spec
from customai.model import Step
from customai.planner import SpecFiles

REPOSITORY = Path(__file__).parents[2]
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGq0Xkz9 someone@somewhere"


class Files(SpecFiles):
    """A path's folder, with a public key in it."""

    def lines(self, name: str) -> list[str]:
        return [PUBLIC_KEY] if name.endswith(".pub") else super().lines(name)


@dataclass(frozen=True)
class Whole:
    """A path's spec with `more` at its end, in place of its lines that begin with one of `without`."""

    path: str
    more: str = ""
    without: tuple[str, ...] = ()

    def spec(self) -> Any:
        text = (self._folder / "customai.yaml").read_text(encoding="utf-8")
        kept, gone = [], False
        for line in text.splitlines():
            if line and not line.startswith((" ", "#", "-")):
                gone = line.startswith(self.without) if self.without else False
            if not gone:
                kept.append(line)
        whole = "\n".join([*kept, self.more])
        return spec.load(whole, paths.module_of(paths.PATHS[self.path]).Spec, file="customai.yaml")

    def steps(self) -> tuple[Step, ...]:
        module = paths.module_of(paths.PATHS[self.path])
        steps: tuple[Step, ...] = module.azure_steps(self.spec(), Files(self._folder), {"subscription": None})
        return steps

    @property
    def _folder(self) -> Path:
        return REPOSITORY / "paths" / self.path


URL = "abfss://mine@account.dfs.core.windows.net"
SWEEP = "sweep: {parameters: {lr: [0.01, 0.1], fast: [true, false]}"
VARIANTS = {
    "1-2": Whole("1-2"),
    "1-2 four GPU nodes": Whole("1-2", "nodes: 4\nazure: {cluster: {size: Standard_NC4as_T4_v3, max: 4}}", ("nodes:",)),
    "1-2 batchai": Whole("1-2", "azure: {cluster: {service: batchai}}"),
    "1-2 batchai, GPU nodes": Whole(
        "1-2",
        "nodes: 3\nazure: {allow_from: [203.0.113.0/24], cluster: {service: batchai, size: Standard_NC4as_T4_v3, "
        "min: 1, max: 4, processes: 2}}",
        ("nodes:",),
    ),
    "1-2 batchai, sweep": Whole("1-2", f"{SWEEP}}}\nazure: {{cluster: {{service: batchai}}}}", ("nodes:",)),
    "1-2 spot": Whole("1-2", "azure: {cluster: {spot: true}}"),
    "1-2 sweep": Whole("1-2", f"{SWEEP}}}", ("nodes:",)),
    "1-2 sweep, three trials": Whole(
        "1-2", f"{SWEEP}, trials: 3, goal: min}}\nazure: {{cluster: {{spot: true}}}}", ("nodes:",)
    ),
    "2-1": Whole("2-1"),
    "2-1 private, three machines": Whole("2-1", "azure: {private: true, instances: {count: 3}}"),
    "2-2": Whole("2-2"),
    "2-2 private, three machines": Whole(
        "2-2", "azure: {private: true, instances: {count: 3, size: Standard_F4as_v6}}"
    ),
    "2-2 one version": Whole("2-2", "model: {file: models/1.onnx, version: A.b_c}", ("model:",)),
    "2-3": Whole("2-3"),
    "2-3 pipeline, spot": Whole(
        "2-3", "scorer: sparkml\nazure: {workers: {size: Standard_E8ds_v5, min: 2, max: 2, spot: true}}", ("scorer:",)
    ),
    "2-3 scheduled, from a URL": Whole(
        "2-3", f'schedule: "30 2 * * mon-fri"\ninput: {URL}/in\nazure: {{runtime: "18.0"}}', ("input:",)
    ),
    "2-4": Whole("2-4"),
    "2-4 one model": Whole("2-4", "model: {file: models/pump-1.onnx}", ("models:",)),
    "2-4 every five minutes": Whole("2-4", 'schedule: "*/5 * * * *"'),
    "2-4 on weekdays": Whole("2-4", 'schedule: "30 2 * * mon-fri"\nazure: {cluster: {min: 1, max: 4}}'),
    "2-4 monthly, from a URL": Whole(
        "2-4", f'schedule: "@monthly"\ninput: {URL}/in\noutput: {URL}/out', ("input:", "output:")
    ),
    "2-4 by Functions": Whole("2-4", 'schedule: "30 2 * * mon-fri"\nazure: {schedule: {service: functions}}'),
    "2-4 by Functions in January, from a URL": Whole(
        "2-4",
        f'schedule: "0 6 1 jan *"\ninput: {URL}/in\nazure: {{schedule: {{service: functions, python: "3.13"}}}}',
        ("input:",),
    ),
    "2-4 spot": Whole("2-4", "azure: {cluster: {spot: true, size: Standard_D8ds_v5}}"),
    "2-6": Whole("2-6", "azure: {region: westeurope, registry: premium}"),
    "2-6 spot": Whole("2-6", "azure: {cluster: {spot: true}}"),
    "2-6 on CPUs": Whole("2-6", "azure: {cluster: {size: Standard_D4ds_v5}}"),
}
