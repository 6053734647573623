"""A run's folder appears as a whole, or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from customai.errors import StateError
from customai.workloads.spark.output import Output


def write(output: Output, text: str) -> None:
    folder = output.begin()
    folder.mkdir()
    (folder / "part").write_text(text)


def test_a_run_replaces_the_one_of_the_same_name_as_a_whole(tmp_path: Path) -> None:
    output = Output(tmp_path, "run=a")
    write(output, "old")
    assert not output.final.exists()
    output.commit({"rows": 1})
    write(output, "new")
    assert (output.final / "part").read_text() == "old"  # until the new one is whole
    output.commit()
    assert [file.name for file in output.final.iterdir()] == ["part"]
    assert (output.final / "part").read_text() == "new"
    assert [each.name for each in tmp_path.iterdir()] == ["run=a"]


def test_the_summary_is_part_of_the_run(tmp_path: Path) -> None:
    output = Output(tmp_path, "run=a")
    write(output, "x")
    output.commit({"rows": 3})
    assert json.loads((output.final / "_summary.json").read_text()) == {"rows": 3}


def test_what_a_killed_run_left_is_cleared_away(tmp_path: Path) -> None:
    write(Output(tmp_path, "run=a"), "half")
    folder = Output(tmp_path, "run=a").begin()
    assert not folder.exists()
    assert list(tmp_path.iterdir()) == []


def test_killed_between_the_two_renames_the_old_run_comes_back(tmp_path: Path) -> None:
    output = Output(tmp_path, "run=a")
    write(output, "old")
    output.commit()
    write(output, "new")
    output.final.rename(tmp_path / ".run=a.old")  # as commit() does first
    Output(tmp_path, "run=a").begin()
    assert (output.final / "part").read_text() == "old"


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_an_output_that_is_a_file_is_told_before_any_work(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="output cannot be written") as caught:
        Output(tmp_path / place, "run=a").begin()
    assert caught.value.where == str(tmp_path / place)
