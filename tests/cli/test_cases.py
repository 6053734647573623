"""Whole outputs: tests/cases/cli/*.txt are transcripts, each run again from its files and commands and compared as a whole.

    === file NAME      a file there is, up to the next ===
    === $ COMMAND      a command; below it what it gave: --- exit CODE, --- stdout, --- stderr

After a change that is meant: CUSTOMAI_WRITE_CASES=1 pytest tests/cli, then read the diff.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest

from customai import __version__

REPOSITORY = Path(__file__).parents[2]
CASES = sorted((REPOSITORY / "tests" / "cases" / "cli").glob("*.txt"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_every_command_says_what_it_said(case, customai, tmp_path):
    text = case.read_text(encoding="utf-8")
    actual = "".join(again(section, customai, tmp_path) for section in re.split(r"(?m)^(?==== )", text) if section)
    if os.environ.get("CUSTOMAI_WRITE_CASES"):
        case.write_text(actual, encoding="utf-8")
    assert actual == text


def again(section, customai, folder):
    head, _, body = section.partition("\n")
    if head.startswith("=== file "):
        file = folder / head.removeprefix("=== file ")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(body, encoding="utf-8")
        return section
    program, *arguments = shlex.split(head.removeprefix("=== $ "))
    assert program == "customai"
    done = customai(*arguments)
    streams = (("stdout", done.stdout), ("stderr", done.stderr))
    said = "".join(f"--- {name}\n{normal(text, folder)}" for name, text in streams if text)
    return f"{head}\n--- exit {done.returncode}\n{said}"


def normal(text, folder):
    text = re.sub(r"what runs today: \d[\d, -]*", "what runs today: PATHS", text)
    text = text.replace(str(folder), "HERE").replace(str(REPOSITORY), "REPOSITORY").replace(__version__, "VERSION")
    return text if text.endswith("\n") else text + "\\ no newline at the end\n"
