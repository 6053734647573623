"""What the READMEs show is what happens: every `$ ` line of their console blocks is run, and what it prints compared.

In an expected output, `...` stands for anything. Durations, process ids and where the clone is may differ.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
BLOCK = re.compile(r"(?ms)^```console\n(.*?)^```")


def commands(page):
    """(command, what it is said to print) for each, in order."""
    text = "".join(BLOCK.findall((REPOSITORY / page).read_text(encoding="utf-8")))
    for each in re.split(r"(?m)^\$ ", text)[1:]:
        command, _, printed = each.partition("\n")
        yield command, printed


def normal(text):
    text = re.sub(r"(?m)^[a-z-]+: .*\n", "", text)  # "model: ...": on a terminal, there only while the step runs
    text = re.sub(r"\d+(\.\d+)? (s|min|h|ms)\b", "N s", text)
    text = re.sub(r"process \d+", "process N", text)
    return re.sub(r"/\S*/(?=paths/2-5/)", "/somewhere/", text)


def matches(expected, printed):
    pattern = re.escape(normal(expected)).replace(re.escape("...\n"), "(.*\n)*?").replace(re.escape("..."), ".*")
    return re.fullmatch(pattern, normal(printed)) is not None


@pytest.fixture
def there(tmp_path, home, shipped_port):
    """A folder like a clone, in which `customai` is on the path; whatever is still deployed in the end is destroyed."""
    (tmp_path / "paths").symlink_to(REPOSITORY / "paths")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    def run(command):
        return subprocess.run(
            command, shell=True, cwd=tmp_path, env=os.environ | {"PATH": path}, text=True, timeout=120, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    yield run
    for deployment in (home / "deployments").glob("*"):
        run(f"customai destroy {deployment.name} --yes")


@pytest.mark.parametrize("page", ["README.md", "paths/2-5/README.md"])
def test_a_walk_through_the_readme(page, there, home):
    for command, expected in commands(page):
        if command.startswith("curl ") and shutil.which("curl") is None:
            continue
        done = there(command)
        assert done.returncode == 0, f"$ {command}\n{done.stdout}"
        printed = done.stdout if done.stdout.endswith("\n") else done.stdout + "\n"
        assert matches(expected, printed), f"$ {command}\n--- expected\n{expected}--- printed\n{printed}"
    assert not home.exists(), "the walk ends with everything taken away"


def test_the_comparison_notices_a_difference():
    assert matches("a for 3 s\n...\nend\n", "a for 12 s\nb\nc\nend\n")
    assert matches("...\n", "anything\n")
    assert not matches("label 3\n", "label 4\n")
    assert not matches("...\nend\n", "end\nmore\n")
