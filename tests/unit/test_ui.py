"""The only printer: what it makes of errors, and of moments and tables."""

from __future__ import annotations

import json
import time

import click
import pytest

from customai import errors, ui


def aborted_by(cause):
    """click's Abort, as its prompt raises it on Ctrl-C."""
    try:
        try:
            raise cause
        except (KeyboardInterrupt, EOFError):
            raise click.Abort from None
    except click.Abort as abort:
        return abort


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (errors.SpecError("the spec is wrong"), 2, "the spec is wrong"),
        (errors.NotFound("it is not there"), 3, "it is not there"),
        (errors.StateError("it is locked"), 4, "it is locked"),
        (errors.RunFailed("it failed"), 1, "it failed"),
        (KeyboardInterrupt(), 130, "stopped by Ctrl-C"),
        (aborted_by(KeyboardInterrupt()), 130, "stopped by Ctrl-C"),
        (click.Abort(), 1, "nothing was done: the answer was no"),
        (click.UsageError("no such thing"), 2, "no such thing"),
        (OSError(28, "No space left on device"), 4, "the result cannot be written: No space left on device"),
        (ZeroDivisionError("an accident"), 1, "this is a mistake in customai: ZeroDivisionError: an accident"),
    ],
)
def test_every_error_has_its_code_and_says_what_happened(error, code, message, capsys):
    assert ui.report(error, []) == code
    out, err = capsys.readouterr()
    assert (out, err.splitlines()[0]) == ("", f"Error: {message}")
    assert ui.report(error, ["-o", "json"]) == code
    out, err = capsys.readouterr()
    assert (json.loads(out)["error"]["message"], err) == (message, "")


def test_where_and_hint_stand_below(capsys):
    ui.report(errors.Conflict("the port is taken", where="endpoint.port", hint="choose another"), [])
    assert capsys.readouterr().err == (
        "Error: the port is taken\n  where: endpoint.port\n  hint:  choose another\n"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ("deploy 2-5 --output json", True),
        ("deploy 2-5 --output=json", True),
        ("deploy -o json 2-5", True),
        ("deploy -ojson 2-5", True),
        ("deploy 2-5 -o text", False),
        ("deploy json", False),
        ("deploy -o", False),
        ("", False),
    ],
)
def test_json_is_recognised_before_the_arguments_are_parsed(arguments, wanted, capsys):
    ui.report(errors.RunFailed("it failed"), arguments.split())
    assert capsys.readouterr().out.startswith("{") is wanted


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "59 min"), (5400, "1 h"), (86400 * 3, "3 d"), (-5, "0 s")],
)
def test_ago(seconds, said):
    assert ui.ago(time.time() - seconds) == said


def test_a_table_cuts_nothing_and_trails_nothing():
    lines = list(ui.table([("a", "long cell", ""), ("bb", "c", "d")], ("X", "Y", "Z")))
    assert [click.unstyle(line) for line in lines] == ["X   Y          Z", "a   long cell", "bb  c          d"]
    assert list(ui.table([])) == []
