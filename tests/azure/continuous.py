"""Runs the shell steps of docs/ci as GitHub Actions and Azure Pipelines run them: one job, step after step."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[2] / "docs" / "ci"
STRICT = ("bash", "--noprofile", "--norc", "-eo", "pipefail")  # `shell: bash` of GitHub Actions
PLAIN = ("bash", "--noprofile", "--norc")  # both tasks of Azure Pipelines: the script itself says what it ends at
RECORD = '#!/bin/sh\necho "$(basename "$0") $*" >> "{file}"\n'  # what stands for a tool that is not to be run


@dataclass(frozen=True)
class Shell:
    """A step that runs something: what, with which shell, and what it is given."""

    text: str
    command: tuple[str, ...]
    env: Mapping[str, str]


def read(file: str) -> Any:
    """The file, whose `on` YAML takes for true."""
    found = yaml.safe_load((FOLDER / file).read_text(encoding="utf-8"))
    return {"on" if key is True else key: value for key, value in found.items()}


def jobs(file: str) -> dict[str, Any]:
    """Each job by its name, with its condition."""
    found = read(file)
    if "jobs" in found:
        return dict(found["jobs"])
    return {stage["stage"]: stage for stage in found["stages"]}


def steps(file: str, job: str) -> list[dict[str, Any]]:
    found = jobs(file)[job]
    if "steps" in found:
        return list(found["steps"])
    (one,) = found["jobs"]
    return list(one["steps"] if "steps" in one else one["strategy"]["runOnce"]["deploy"]["steps"])


def shells(file: str, job: str) -> list[Shell]:
    """The steps of this job that run something, in order."""
    found = []
    for step in steps(file, job):
        if "run" in step:
            found.append(Shell(step["run"], STRICT, step.get("env", {})))
        elif "bash" in step:
            found.append(Shell(step["bash"], PLAIN, step.get("env", {})))
        elif step.get("task") == "AzureCLI@2":
            found.append(Shell(step["inputs"]["inlineScript"], PLAIN, step.get("env", {})))
    return found


@dataclass(frozen=True)
class Runner:
    """A machine of theirs: `values` is what their expressions come to; python and az are only written down."""

    folder: Path
    values: Mapping[str, str]

    def run(self, file: str, job: str, *, replace: tuple[str, str] = ("", "")) -> subprocess.CompletedProcess[str]:
        """Runs the job's steps to its end, or to the first that fails; everything that they have printed."""
        told = ""
        found = read(file)
        common = {name: self._filled(str(value)) for name, value in (found.get("env") or found["variables"]).items()}
        for at, step in enumerate(shells(file, job)):
            script = self.folder / f"step-{at}.sh"
            script.write_text(step.text.replace(*replace) if replace[0] else step.text, encoding="utf-8")
            own = {name: self._filled(str(value)) for name, value in step.env.items()}
            done = subprocess.run(
                [*step.command, script], cwd=self.folder, env=self._environment(common | own), text=True, timeout=300,
                check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            told += done.stdout
            if done.returncode:
                break
        return subprocess.CompletedProcess([file, job], done.returncode, told)

    @property
    def recorded(self) -> list[str]:
        file = self.folder / "recorded"
        return file.read_text(encoding="utf-8").splitlines() if file.is_file() else []

    @property
    def summary(self) -> str:
        return (self.folder / "summary.md").read_text(encoding="utf-8")

    def _environment(self, given: Mapping[str, str]) -> dict[str, str]:
        tools = self.folder / "tools"
        if not tools.is_dir():
            tools.mkdir()
            (tools / "customai").symlink_to(Path(sys.executable).parent / "customai")
            for name in ("az", "python"):
                (tools / name).write_text(RECORD.format(file=self.folder / "recorded"), encoding="utf-8")
                (tools / name).chmod(0o755)
        own = {
            "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary.md"),
        }
        return os.environ | given | own

    def _filled(self, text: str) -> str:
        """The value with their expressions filled in, ${{ github.x }} and $(Pipeline.X); an unknown one is an error."""
        return re.sub(r"\$\{\{ *([\w.]+) *\}\}|\$\(([\w.]+)\)", lambda found: self.values[found[1] or found[2]], text)
