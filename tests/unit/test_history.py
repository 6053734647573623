"""The way back: which plan was there before."""

from __future__ import annotations

import json

import pytest

from customai import history
from customai.errors import StateError
from customai.model import Plan, Step


def plan(share):
    inputs = {"server": {"models": ({"folder": {"$ref": "model#folder"}, "traffic": share},)}}
    return Plan(
        "churn", "2-2", "local", "d", (Step("endpoint", "serve", "endpoint", "service", inputs, why="it serves"),)
    )


def shares(*plans):
    return [found and found.steps[0].inputs["server"]["models"][0]["traffic"] for found in plans]


def deploy(folder, share, *, ends=True):
    history.ask(folder, plan(share))
    if ends:
        history.reach(folder, plan(share))


@pytest.mark.parametrize(
    ("story", "now", "before"),
    [
        ([], None, None),
        ([(1, False)], None, None),
        ([(1, True)], 1, None),
        ([(1, True), (1, True)], 1, None),  # nothing changed
        ([(1, True), (2, True)], 2, 1),
        ([(1, True), (2, True), (3, True)], 3, 2),
        ([(1, True), (2, True), (2, True)], 2, 1),
        ([(1, True), (2, True), (1, True)], 1, 2),  # rolled back: forward is the other way
        ([(1, True), (2, False)], None, 1),  # the try that failed changed something, perhaps
        ([(1, True), (2, False), (2, False)], None, 1),
        ([(1, True), (2, False), (1, True)], 1, None),
        ([(1, True), (2, True), (3, False)], None, 2),
        ([(1, True), (2, False), (3, True)], 3, 1),
    ],
)
def test_what_is_and_what_was_before(tmp_path, story, now, before):
    for share, ends in story:
        deploy(tmp_path, share, ends=ends)
    found = history.read(tmp_path)
    assert shares(found.now, found.before) == [now, before]


def test_a_kept_plan_comes_back_whole(tmp_path):
    deploy(tmp_path, 90)
    assert history.read(tmp_path).now.to_json() == json.loads(json.dumps(plan(90).to_json()))
    assert (tmp_path / history.FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 1}', '{"format": 1, "asked": 1, "reached": []}'])
def test_a_spoilt_file_is_told_with_its_place(tmp_path, text):
    (tmp_path / history.FILE).write_text(text)
    with pytest.raises(StateError, match="the kept plans cannot be read") as caught:
        history.read(tmp_path)
    assert caught.value.where == str(tmp_path / history.FILE)


def test_a_later_format_is_not_guessed_at(tmp_path):
    (tmp_path / history.FILE).write_text('{"format": 2}')
    with pytest.raises(StateError, match="format 2; this version reads up to 1"):
        history.read(tmp_path)
