"""How long a deployment on Azure takes beside what Azure itself takes: `python -m benchmarks.azure [SCALE]`.

A simulated Azure takes as long over each thing as the recordings say (tests/azure/simulator/table.py), times SCALE; the
time between two looks is scaled alike. The critical path is the longest chain of such times through the plan: no deployment
is quicker. Building the image and applying manifests are left out: how long they take, no recording says. Nothing fails here:
a number that misses its goal says so.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from customai import engine
from customai.model import Plan, Step
from customai.provisioning.api_versions import type_of
from customai.targets.azure import AzureTarget
from customai.targets.azure_arm import Arm, Pace
from customai.targets.azure_login import NOBODY, Nobody
from tests.azure.driven import Driven, spec
from tests.azure.simulator import Simulator
from tests.azure.simulator.table import TYPES

CUSTOMAI = str(Path(sys.executable).with_name("customai"))
SCALE, PATH_GOAL, PLAN_GOAL = 0.1, 1.05, 1500.0  # of the real seconds; times the critical path; ms
LEFT_OUT = ("image", "kubernetes")
PLANS = 5


@dataclass
class Scaled(Driven):
    """A deployment that looks as often as it does on Azure, in scaled time."""

    scale: float = SCALE

    def target(self) -> AzureTarget:
        pace = Pace(look=Pace.look * self.scale)

        def connect(subscription: str, _tenant: str | None) -> Arm:
            return Arm(Nobody(), subscription, endpoint=self.url, polling_interval=pace.look, soon=0.5 * self.scale)

        return AzureTarget(self.folder, connect, pace)


def azures_own(step: Step) -> float:
    """Real seconds that Azure takes to make it; a change to what is there is an update."""
    if not step.is_request:
        return 0.0
    create, update, _ = TYPES[type_of(step.inputs["url"].partition("?")[0]).lower()].seconds
    return float(create if step.inputs["method"] == "PUT" else update)


def critical_path(plan: Plan) -> tuple[float, list[str]]:
    """The longest chain of steps, in real seconds."""
    longest: dict[str, tuple[float, list[str]]] = {}
    for step in engine.ordered(plan.steps, missing=True):
        before = max((longest[need] for need in step.needs if need in longest), default=(0.0, []))
        longest[step.id] = (before[0] + azures_own(step), [*before[1], step.id])
    return max(longest.values())


def timed(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def deployed(path: str, scale: float, folder: Path) -> None:
    with Simulator() as azure:
        azure.cloud.times.scale = scale
        azure.cloud.catalog.caller = NOBODY
        driven = Scaled(azure.url, spec(folder, path), folder / "state" / path, without=LEFT_OUT, scale=scale)
        least, chain = critical_path(driven.plan())
        took = timed(driven.deploy)
        ratio = took / (least * scale)
        said = "met" if ratio <= PATH_GOAL else "MISSED"
        print(
            f"{path}: deploy {took:.1f} s, critical path {least * scale:.1f} s ({least:.0f} s of Azure's)", flush=True
        )
        print(f"     {ratio:.3f} times; goal {PATH_GOAL}: {said}\n     {' > '.join(chain)}", flush=True)
        print(f"     again, with nothing to do: {timed(driven.deploy):.2f} s", flush=True)
        print(f"     destroy, the group as a whole: {timed(driven.destroy):.1f} s", flush=True)


def planned(path: str, folder: Path) -> None:
    environment = os.environ | {"CUSTOMAI_HOME": str(folder / "home"), "AZURE_CONFIG_DIR": str(folder / "nobody")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [CUSTOMAI, "plan", str(spec(folder, path)), "--target", "azure"]

    def plan() -> None:
        subprocess.run(command, env=environment, check=True, capture_output=True)

    plan()  # once, so that all bytecode is there
    times = [timed(plan) * 1000 for _ in range(PLANS)]
    said = "met" if median(times) <= PLAN_GOAL else "MISSED"
    print(f"{path}: plan {median(times):.0f} ms ({min(times):.0f}-{max(times):.0f}); goal {PLAN_GOAL:.0f} ms: {said}")


def main() -> None:
    scale = float(sys.argv[1]) if len(sys.argv) > 1 else SCALE
    os.environ["NO_PROXY"] = "127.0.0.1"
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"{os.cpu_count()} cores, load {load}; Azure's seconds times {scale:g}", flush=True)
    with TemporaryDirectory() as folder:
        for path in ("1-1", "2-5"):
            planned(path, Path(folder))
        for path in ("1-1", "2-5"):
            deployed(path, scale, Path(folder))


if __name__ == "__main__":
    main()
