"""Completion in real shells, where they are installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from customai.paths import PATHS

RUNNING = list(PATHS)

# What bash does at <TAB>: look up the command's completion function, call it, show COMPREPLY.
TAB = """
eval "$(customai completion bash)"
COMP_WORDS=({words} "{start}")
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
function_name=$(complete -p customai | sed 's/.*-F \\([^ ]*\\).*/\\1/')
$function_name customai
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def tab(tmp_path, monkeypatch):
    """What `customai WORDS START<TAB>` offers in a real bash."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")

    def offers(line):
        *words, start = line.split(" ")
        script = TAB.format(words=" ".join(words), start=start)
        done = subprocess.run(
            ["bash", "--norc", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout.split()

    return offers


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("customai de", ["deploy", "destroy"]),
        ("customai score", ["score", "score-realtime", "score-batch"]),
        ("customai deploy 2-5", ["2-5"]),
        ("customai deploy 2", [id_ for id_ in RUNNING if id_.startswith("2")]),
        ("customai score-realtime deploy 2", [id_ for id_ in RUNNING if PATHS[id_].group == "score-realtime"]),
        ("customai score-batch check 2", [id_ for id_ in RUNNING if PATHS[id_].group == "score-batch"]),
        ("customai init 2-5", ["2-5"]),
        ("customai deploy 2-5 --tar", ["--target"]),
        ("customai deploy 2-5 --target l", ["local"]),
        ("customai plan 2-5 --output j", ["json"]),
        ("customai completion z", ["zsh"]),
    ],
)
def test_bash_offers(tab, line, offered):
    assert tab(line) == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_one_the_shell_can_read(customai, shell, tmp_path):
    done = customai("completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert "_CUSTOMAI_COMPLETE" in done.stdout
    if shutil.which(shell):
        (tmp_path / "script").write_text(done.stdout)
        subprocess.run([shell, "-n", tmp_path / "script"], check=True, timeout=60)
