"""Path 2-1 on a stream: rows arrive, processes are killed, and each row is in the output once."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyspark", reason="the extra spark is not installed")
pytest.importorskip("pyarrow", reason="the extra spark is not installed")

import pyarrow.parquet as pq

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SEED = 3
KILLS = 4
ROW = json.loads((Path(__file__).parents[2] / "paths" / "2-1" / "failing.json").read_text())


@pytest.fixture(autouse=True)
def quick_java(monkeypatch: pytest.MonkeyPatch) -> None:
    """A JVM that starts with less work: these tests start many."""
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")


class Stream:
    """A copy of path 2-1 that is the test's own, in mode: stream."""

    def __init__(self, folder: Path, home: Path, cli: Callable[..., Any]) -> None:
        self.folder, self.cli = folder, cli
        self.state = home / "deployments" / "stream"
        cli("init", "2-1", folder)
        spec = folder / "customai.yaml"
        text = spec.read_text().replace("mode: serve", "mode: stream")
        text = re.sub(r"keep: .*", "keep: {number: long}\n  every: 0.2\nspark: {master: 'local[2]', memory: 1g}", text)
        spec.write_text(text)
        self.sent = 0

    def deploy(self, code: int = 0) -> Any:
        return self.cli("deploy", self.folder, code=code, timeout=400)

    def send(self, rows: int, *others: str) -> None:
        """A file of so many rows, moved in as a whole."""
        lines = [json.dumps({"number": self.sent + n, **ROW}) for n in range(rows)]
        self.sent += rows
        file = self.folder / f"{self.sent}.new"
        file.write_text("\n".join([*lines, *others]) + "\n")
        file.rename(self.folder / "incoming" / f"{self.sent:06d}.json")

    def rows(self) -> list[dict[str, Any]]:
        scored = self.folder / "scored"
        return pq.read_table(scored).to_pylist() if any(scored.glob("batch=*")) else []

    def told(self, name: str) -> Any:
        return json.loads((self.state / "streams" / "stream" / name).read_bytes())


@pytest.fixture
def stream(tmp_path: Path, home: Path, cli: Callable[..., Any]) -> Iterator[Stream]:
    made = Stream(tmp_path / "stream", home, cli)
    yield made
    cli("destroy", "stream", "--yes")
    assert not made.state.exists()


def test_each_row_is_scored_once_whatever_is_killed(stream: Stream, wait_for: Callable[..., Any]) -> None:
    chance = random.Random(SEED)
    stream.deploy()
    stream.send(20)
    wait_for(lambda: len(stream.rows()) == 20, 300)
    for kill in range(KILLS):
        for _ in range(chance.randint(1, 4)):
            stream.send(chance.randint(1, 50))
            time.sleep(chance.uniform(0, 0.7))
        state = stream.told("state.json")
        with suppress(ProcessLookupError):
            if kill % 2:  # all there is: nobody starts it again but the next deploy
                os.kill(state["pid"], signal.SIGKILL)
                os.killpg(state["work"], signal.SIGKILL)
                stream.deploy()
            else:  # the work alone: it is started again by itself
                os.kill(state["work"], signal.SIGKILL)
    stream.send(5)
    wait_for(lambda: len(stream.rows()) >= stream.sent, 300)
    time.sleep(1)
    assert Counter(row["number"] for row in stream.rows()) == dict.fromkeys(range(stream.sent), 1), f"seed {SEED}"
    assert {(row["label"], row["error"]) for row in stream.rows()} == {("failure", None)}


def test_a_line_that_cannot_be_scored_is_kept_with_the_reason(stream: Stream, wait_for: Callable[..., Any]) -> None:
    stream.deploy()
    stream.send(1, '{"number": 70, "ty', json.dumps({**ROW, "number": 71, "age": None}), "", json.dumps({"number": 72}))
    rows = wait_for(stream.rows, 300)
    told = {row["number"]: (row["label"], row["error"]) for row in rows}
    assert told == {
        0: ("failure", None),
        None: (None, 'it cannot be read: {"number": 70, "ty'),
        71: (None, "age is missing"),
        72: (None, "type is missing"),
    }
    status = stream.cli("status", stream.folder, "-o", "json").json["deployments"][0]["jobs"][0]
    assert status["status"] == "running"
    assert "nothing to do" in stream.deploy().out

    (stream.folder / "scored" / "_checkpoint").rename(stream.folder / "elsewhere")
    stream.cli("destroy", "stream", "--yes")
    stream.deploy(4).failed(4, "_checkpoint is gone", "another output")
    stream.deploy(4)
