"""A command starts quickly because it imports only what it needs. What it imported is asked of the process itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

THEN_TELL = """
import atexit, os, sys
atexit.register(lambda: os.write(2, " ".join(sys.modules).encode()))
from customai.cli import main
sys.argv[0] = "customai"
main()
"""

HEAVY = {
    "numpy",
    "onnxruntime",
    "PIL",
    "httptools",
    "uvloop",
    "orjson",
    "torch",
    "huggingface_hub",
    "azure",
    "rich",
    "asyncio",
}
YAML = {"yaml", "_yaml"}
TO_ACT = {
    "subprocess",
    "http.client",
    "ssl",
    "socket",
    "tempfile",
    "concurrent.futures",
    "urllib.request",
    "platformdirs",
}
OWN = {"customai.paths", "customai.planner", "customai.engine", "customai.journal", "customai.ui", "customai.targets"}


@pytest.mark.parametrize(
    ("command", "unwanted"),
    [
        ("--help", HEAVY | YAML | TO_ACT | OWN),
        ("--version", HEAVY | YAML | TO_ACT | OWN),
        ("score-realtime --help", HEAVY | YAML | TO_ACT | OWN),
        ("paths", HEAVY | YAML | TO_ACT),
        ("status", HEAVY | YAML),
        ("check 2-5", HEAVY),
        ("plan 2-5", HEAVY),
    ],
)
def test_nothing_is_imported_that_is_not_needed(command, unwanted, tmp_path):
    tell = [sys.executable, "-c", THEN_TELL, *command.split()]
    done = subprocess.run(tell, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    imported = set(done.stderr.split())
    assert "click" in imported
    click_alone = [sys.executable, "-c", "import sys, click; print(*sys.modules)"]  # on 3.10 it brings subprocess along
    unwanted = unwanted - set(subprocess.check_output(click_alone, text=True).split())
    assert sorted(unwanted & imported) == []
