"""What holds for every command: exit codes, one JSON document, no traceback, and odd surroundings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BROKEN = """
import sys
from customai import cli, planner
def broken(file):
    raise ZeroDivisionError("an accident")
planner.read = broken
sys.argv[0] = "customai"
cli.main()
"""

RIGHT = "path: 2-5\nname: pets\nmodel: {file: model.onnx}\n"


@pytest.fixture
def accident(tmp_path):
    """`customai check 2-5`, in which something happens that nobody thought of."""

    def run(*options):
        command = [sys.executable, "-c", BROKEN, "check", "2-5", *options]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    return run


def test_an_accident_is_told_without_a_traceback(accident):
    done = accident()
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        "Error: this is a mistake in customai: ZeroDivisionError: an accident\n"
        "  hint:  see where with --debug, and please report it\n"
    )


def test_debug_shows_the_traceback(accident):
    done = accident("--debug")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert "ZeroDivisionError: an accident" in done.stderr


def test_debug_leaves_stdout_to_the_json(accident):
    done = accident("--debug", "--output", "json")
    assert json.loads(done.stdout)["error"]["type"] == "ZeroDivisionError"
    assert "Traceback" in done.stderr


def test_debug_shows_the_traceback_of_a_known_error_too(customai):
    assert "Traceback" not in customai("check", "9-9").stderr
    assert "Traceback" in customai("--debug", "check", "9-9").stderr
    assert "Traceback" in customai("score-realtime", "--debug", "check", "9-9").stderr


@pytest.mark.parametrize(
    "arguments", [("paths",), ("check", "2-5"), ("plan", "2-5"), ("init", "2-5", "mine"), ("status",)], ids=" ".join
)
def test_a_result_is_one_json_document(customai, arguments):
    done = customai(*arguments, "--output", "json")
    assert (done.returncode, done.stderr) == (0, "")
    assert "error" not in json.loads(done.stdout)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("check", "9-9"), 2),
        (("chekc", "2-5"), 2),
        (("check",), 2),
        (("plan", "2-5", "--target", "mars"), 3),
        (("logs", "2-5"), 3),
    ],
)
def test_an_error_is_one_json_document(customai, arguments, code):
    done = customai(*arguments, "--output", "json")
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["exit_code"], done.stderr) == (code, code, "")
    assert set(error) == {"type", "message", "where", "hint", "exit_code"}


def test_the_plan_in_json_has_what_will_be_done(customai):
    plan = json.loads(customai("plan", "2-5", "-o", "json").stdout)
    assert set(plan) == {"name", "path", "target", "spec_digest", "steps", "changes", "sheet", "warnings"}
    assert [step["id"] for step in plan["steps"]] == ["model", "endpoint", "smoke-test"]
    assert {change["action"] for change in plan["changes"]} == {"create"}


@pytest.mark.parametrize("arguments", ["paths", "--help", "plan 2-5", "completion bash"])
def test_a_reader_that_goes_away_is_no_accident(arguments, tmp_path):
    command = f"{sys.executable} -m customai {arguments} | head -c 0"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_closed_stdout_is_no_accident(customai, tmp_path):
    done = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m customai paths >&-"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "code"), [("paths", 4), ("paths -o json", 4), ("--help", 4), ("check 9-9 -o json", 2)]
)
def test_a_full_disk_is_no_accident(arguments, code, tmp_path):
    command = f"exec {sys.executable} -m customai {arguments} > /dev/full"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code
    assert done.stderr.startswith(
        "Error: there is no spec" if code == 2 else "Error: the result cannot be written: No space"
    )
    assert "Traceback" not in done.stderr


def test_a_spec_that_is_not_utf8_has_its_place_told(customai, tmp_path):
    (tmp_path / "customai.yaml").write_bytes(b"path: 2-5\nname: caf\xe9\n")
    done = customai("check", "customai.yaml")
    assert done.returncode == 2
    assert "customai.yaml:2:" in done.stderr
    assert "UTF-8" in done.stderr


def test_a_file_that_cannot_be_read(customai, tmp_path):
    (tmp_path / "customai.yaml").symlink_to("/proc/self/mem")  # a file, and reading it fails, even for root
    if not Path("/proc/self/mem").is_file():
        pytest.skip("this system has no /proc")
    done = customai("check", ".")
    assert (done.returncode, done.stderr) == (
        2,
        "Error: the spec cannot be read: Input/output error\n  where: customai.yaml\n",
    )


@pytest.mark.parametrize("output", ["text", "json"])
def test_a_file_name_that_is_not_utf8(customai, tmp_path, output):
    (tmp_path / "model.onnx").touch()
    name = b"caf\xe9.yaml"
    (tmp_path / os.fsdecode(name)).write_text(RIGHT)
    done = customai("check", name, "--output", output)
    assert (done.returncode, done.stderr) == (0, "")
    assert "caf\\udce9.yaml" in done.stdout


def test_a_terminal_that_does_not_know_every_character(customai, monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    (tmp_path / "model.onnx").touch()
    (tmp_path / "数字.yaml").write_text(RIGHT, encoding="utf-8")
    done = customai("check", "数字.yaml")
    assert (done.returncode, done.stdout) == (0, "\\u6570\\u5b57.yaml is right: path 2-5, deployment pets, 2 steps\n")
