"""`customai init` makes a folder that stands on its own, with a deployment of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

PATHS = Path(__file__).parents[2] / "paths"


def test_the_copy_has_every_file_and_points_at_its_own_schema(customai, tmp_path):
    assert customai("init", "2-5", "mine").returncode == 0
    copy, original = tmp_path / "mine", PATHS / "2-5"
    for file in (file for file in original.rglob("*") if file.is_file() and "__pycache__" not in file.parts):
        if file.name != "customai.yaml":
            assert (copy / file.relative_to(original)).read_bytes() == file.read_bytes()
    assert (copy / "customai.schema.json").read_bytes() == (PATHS / "customai.schema.json").read_bytes()
    first = (copy / "customai.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=customai.schema.json"


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("digits", "digits"),
        ("My Digits!", "my-digits"),
        ("a", "my-a"),
        ("7", "my-7"),
        ("2-5", "my-2-5"),
        ("été", "my-t"),
        ("数字", "my"),
        ("yes", "yes"),
        ("null", "null"),
        ("n", "my-n"),
        ("x" * 31 + "-y", "x" * 31),
        ("deep/er/down", "down"),
    ],
)
def test_the_deployment_is_named_after_the_folder(customai, tmp_path, folder, name):
    done = customai("init", "2-5", folder, "--output", "json")
    assert json.loads(done.stdout)["name"] == name
    assert yaml.safe_load((tmp_path / folder / "customai.yaml").read_text())["name"] == name
    assert customai("check", folder).returncode == 0


def test_an_empty_folder_is_taken(customai, tmp_path):
    (tmp_path / "here").mkdir()
    assert customai("init", "2-5", "here").returncode == 0


def test_a_folder_with_something_in_it_is_left_alone(customai, tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "thesis.txt").write_text("years of work")
    assert customai("init", "2-5", "here").returncode == 2
    assert [file.name for file in (tmp_path / "here").iterdir()] == ["thesis.txt"]


def test_a_place_that_cannot_be_written(customai):
    done = customai("init", "2-5", "/proc/mine")
    assert done.returncode == 4
    assert done.stderr.startswith("Error: the folder cannot be written: ")
