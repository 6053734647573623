"""How long a user waits: `python -m benchmarks` measures on this machine and prints the goals beside the numbers.

Bytecode is compiled first, as it is after an install. Nothing fails here: a number that misses its goal says so.
"""

from __future__ import annotations

import os
import platform
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import customai
from customai.client import Endpoint
from customai.errors import CustomAIError

CUSTOMAI = str(Path(sys.executable).with_name("customai"))
TIMES, DEPLOYS = 20, 5
HELP, BESIDE_CLICK, STATUS, DEPLOY = 80.0, 2.0, 300.0, 4000.0  # the goals; ms, and a ratio


@dataclass(frozen=True)
class Row:
    """One line of the table, in ms."""

    what: str
    times: list[float]
    goal: float | None = None

    @property
    def median(self) -> float:
        return median(self.times)

    def __str__(self) -> str:
        spread = f"{min(self.times):.0f}-{max(self.times):.0f}"
        goal = "" if self.goal is None else f"{self.goal:.0f} ms: {'met' if self.median <= self.goal else 'MISSED'}"
        return f"{self.what:<44}{self.median:>8.0f} ms {spread:>12}   {goal}".rstrip()


def timed(action: Callable[[], object]) -> Iterator[float]:
    for _ in range(TIMES):
        started = time.perf_counter()
        action()
        yield (time.perf_counter() - started) * 1000


class Bench:
    """Commands in a state folder of their own, on a port of their own."""

    def __init__(self, folder: Path) -> None:
        self.environment = os.environ | {"CUSTOMAI_HOME": str(folder / "home")}
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self.run(sys.executable, "-m", "compileall", "-q", str(Path(customai.__file__).parent))
        self.spec = folder / "bench" / "customai.yaml"
        self.run(CUSTOMAI, "init", "2-5", str(self.spec.parent))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.spec.write_text(re.sub(r"port: \d+", f"port: {self.port}", self.spec.read_text()))

    def run(self, *command: str) -> None:
        subprocess.run(command, env=self.environment, check=True, capture_output=True)

    def start(self, what: str, *command: str, goal: float | None = None) -> Row:
        self.run(*command)  # once, so that all bytecode is there
        return Row(what, list(timed(lambda: self.run(*command))), goal)

    def deploy(self) -> Row:
        return Row(
            "customai deploy 2-5, to the first prediction", [self.first_prediction() for _ in range(DEPLOYS)], DEPLOY
        )

    def first_prediction(self) -> float:
        """From pressing Enter to the first right answer, asked for all the while, in ms; then everything is removed."""
        image = (self.spec.parent / "samples" / "3.png").read_bytes()
        endpoint = Endpoint(f"http://127.0.0.1:{self.port}")
        started = time.perf_counter()
        deploy = subprocess.Popen(
            [CUSTOMAI, "deploy", str(self.spec)],
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not _answers(endpoint, image):
            if deploy.poll():
                sys.exit(f"customai deploy {self.spec} failed: exit code {deploy.returncode}")
            time.sleep(0.002)
        took = (time.perf_counter() - started) * 1000
        deploy.wait()
        self.run(CUSTOMAI, "destroy", str(self.spec), "--yes")
        return took

    def status(self) -> Row:
        self.run(CUSTOMAI, "deploy", str(self.spec))
        try:
            return self.start("customai status, one deployment", CUSTOMAI, "status", goal=STATUS)
        finally:
            self.run(CUSTOMAI, "destroy", str(self.spec), "--yes")


def _answers(endpoint: Endpoint, image: bytes) -> bool:
    try:
        return bool(endpoint.score(image)["predictions"][0]["label"] == "3")
    except CustomAIError:
        return False


def main() -> None:
    packages = ", ".join(f"{name} {version(name)}" for name in ("customai", "click", "onnxruntime", "uvloop"))
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, load {load}")
    print(f"Python {platform.python_version()}, {packages}\n")
    print(f"{'':<44}{'median':>11} {'min-max':>12}   goal")
    with TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        print(bench.start("python -c pass", sys.executable, "-c", "pass"))
        click = bench.start('python -c "import click"', sys.executable, "-c", "import click")
        print(click)
        help_ = bench.start("customai --help", CUSTOMAI, "--help", goal=HELP)
        print(help_)
        ratio = help_.median / click.median
        said = f"{BESIDE_CLICK:.0f} times: {'met' if ratio <= BESIDE_CLICK else 'MISSED'}"
        print(f"{'    beside import click':<44}{ratio:>8.2f} times {'':>9}   {said}")
        print(bench.status())
        print(bench.deploy())


if __name__ == "__main__":
    main()
