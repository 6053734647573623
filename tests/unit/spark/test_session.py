"""Java found and checked, and Spark's errors in our words. No Spark is started."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from customai.errors import NoQuota, NotInstalled, RunFailed, TargetError
from customai.workloads.spark import session


def java(folder: Path, script: str) -> Path:
    program = folder / "java"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    ("script", "version"),
    [
        ("""echo 'openjdk version "17.0.15" 2025-04-15' >&2""", 17),
        ("""echo 'java version "1.8.0_392"' >&2""", 8),
        ("""echo 'openjdk version "21" 2023-09-19' >&2""", 21),
        ("""echo 'openjdk version "23-ea" 2024-09-17' >&2""", 23),
    ],
)
def test_javas_version_is_read_whatever_its_form(tmp_path: Path, script: str, version: int) -> None:
    assert session.java_version(str(java(tmp_path, script))) == version


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("""echo 'openjdk version "1.8.0_392"' >&2""", "Java 17 or later, this is Java 8"),
        ("""echo 'java version "11.0.2"' >&2""", "this is Java 11"),
        ("echo broken >&2; exit 3", "does not tell its version: broken"),
    ],
)
def test_a_java_that_will_not_do_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    pytest.importorskip("pyspark", reason="the extra spark is not installed")
    program = java(tmp_path, script)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(NotInstalled, match=words) as caught:
        session.check()
    assert caught.value.where == str(program)
    assert "JAVA_HOME" in caught.value.hint


@pytest.mark.parametrize("variable", ["PATH", "JAVA_HOME"])
def test_no_java_at_all_says_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    pytest.importorskip("pyspark", reason="the extra spark is not installed")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    with pytest.raises(NotInstalled, match="there is none") as caught:
        session.check()
    assert variable in caught.value.where


def test_a_missing_extra_says_the_one_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "find_spec", lambda name: None if name == "pyspark" else sys)
    with pytest.raises(NotInstalled, match="not installed here: pyspark") as caught:
        session.check()
    assert caught.value.hint == "pip install 'customai[spark]'"


class Java:
    """A Java exception, as py4j shows it."""

    def __init__(self, message: str | None, cause: Java | None = None) -> None:
        self.message, self.cause = message, cause

    def getMessage(self) -> str | None:  # noqa: N802
        return self.message

    def getCause(self) -> Java | None:  # noqa: N802
        return self.cause


class Spark(Exception):
    def __init__(self, *messages: str) -> None:
        super().__init__(messages[0])
        self.java_exception = None
        for message in reversed(messages[1:]):
            self.java_exception = Java(message, self.java_exception)


@pytest.mark.parametrize(
    ("messages", "kind", "words"),
    [
        (("Job aborted", "Task failed\nat x.scala", "division by zero"), RunFailed, "Spark failed: division by zero"),
        (
            ("Job aborted", "Traceback (most recent call last):\n  File x\n    y\nValueError: too wide\n"),
            RunFailed,
            "ValueError: too wide",
        ),
        (("All masters are unresponsive! Giving up.",), TargetError, "master does not answer"),
        (("Job aborted", "Java heap space"), NoQuota, "out of memory"),
        (("x", "No space left on device"), NoQuota, "disk is full"),
        (
            ("Failed to find data source: kafka. Please deploy", "kafka.DefaultSource"),
            NotInstalled,
            "connector to Kafka",
        ),
        (("[UNRESOLVED] no column x. SQLSTATE: 42703",), RunFailed, "no column x.$"),
    ],
)
def test_the_innermost_cause_is_told(messages: tuple[str, ...], kind: type[Exception], words: str) -> None:
    told = session.translated(Spark(*messages), "there")
    assert type(told) is kind
    assert told.where == "there"
    assert re.search(words, told.message)


def test_a_file_that_spark_cannot_read_is_named() -> None:
    message = "[FAILED_READ_FILE.NO_HINT] Encountered error while reading file file:///data/a%20b/part-3.parquet.  SQLSTATE: KD001"
    told = session.translated(Spark("Job aborted", message, "could not read page"))
    assert isinstance(told, session.Unreadable)
    assert (told.file, told.reason) == ("/data/a b/part-3.parquet", "could not read page")
