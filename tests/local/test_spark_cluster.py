"""Path 2-3 on a standalone cluster: a master and two workers as processes, and one of its executors taken away."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyspark", reason="the extra spark is not installed")
pa = pytest.importorskip("pyarrow", reason="the extra spark is not installed")

import pyarrow.parquet as pq  # noqa: E402

from tests.local.conftest import processes  # noqa: E402
from tests.local.spark_cluster import started  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
PATIENCE = 600
EACH = 100  # rows of a file: many tasks, so that there is something to disturb
EXECUTORS = re.compile(r"CoarseGrainedExecutorBackend|pyspark\.daemon")
ENDED = re.compile(r"Executor (app-\S+) finished with state EXITED .* exitStatus (?:137|143)\b")


@pytest.fixture
def cluster(tmp_path: Path, wait_for: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
    with started(tmp_path, wait_for) as url:
        yield url


def test_a_cluster_scores_it_and_an_executor_that_is_taken_away_changes_nothing(
    cluster: str, tmp_path: Path, cli: Callable[..., Any], wait_for: Callable[..., Any]
) -> None:
    folder = tmp_path / "batch"
    cli("init", "2-3", folder)
    spec = folder / "customai.yaml"
    conf = "{spark.executor.memory: 512m, spark.sql.files.maxPartitionBytes: 32k, spark.sql.files.openCostInBytes: 32k}"
    on = f"spark:\n  master: {cluster}\n  memory: 700m\n  conf: {conf}\n"
    spec.write_text(re.sub(r"(?m)^spark:\n(  .*\n?)+", on, spec.read_text()))
    parts = sorted((folder / "data").glob("*.parquet"))
    table = pa.concat_tables([pq.read_table(part) for part in parts])
    for part in parts:
        part.unlink()
    for first in range(0, table.num_rows, EACH):
        pq.write_table(table.slice(first, EACH), folder / "data" / f"{first:05}.parquet")

    summary = cli("deploy", folder, "-o", "json", timeout=PATIENCE).json["outputs"]["score"]["result"]
    assert (summary["rows"], summary["errors"]) == (table.num_rows, 0)
    keys = [("machine", "ascending"), ("hour", "ascending")]
    scored = pq.read_table(summary["output"]).sort_by(keys)
    assert scored.select(["machine", "hour"]).equals(table.select(["machine", "hour"]).sort_by(keys))
    assert scored["error"].null_count == table.num_rows
    worked = {place.parents[1].name for place in tmp_path.glob("worker-*/app-*/*")}
    assert worked == {"worker-1", "worker-2"}, "both workers had an executor"
    log = tmp_path / "cluster.log"
    assert not ENDED.findall(log.read_text())

    for _ in range(3):  # the moment is left to chance: right at the run's end, the master hears of nothing
        words = ("--rehearse-eviction", "--notice", "5")
        told = cli("score-batch", "run", folder, *words, timeout=PATIENCE).out
        assert "Result: equal to that of an undisturbed run." in told
        assert f"of {table.num_rows:,} rows" in told
        lost = re.search(r"work lost +([\d,]+) rows, done again", told)
        assert lost, told
        assert 0 <= int(lost[1].replace(",", "")) <= 4 * EACH
        if ENDED.search(log.read_text()):
            break
    assert len(ENDED.findall(log.read_text())) == 1, "one executor was ended, and none by itself"
    assert [each.name for each in (folder / "predictions").iterdir()] == ["run=deploy"]
    wait_for(lambda: not EXECUTORS.search(" ".join(processes(tmp_path).values())), 60)
    cli("destroy", "batch", "--yes")


def test_where_no_executor_is_on_this_machine_it_says_so_before_anything_is_taken_away(tmp_path: Path) -> None:
    from customai.errors import NotAvailable
    from customai.workloads.batch.rehearsal import Attempt
    from customai.workloads.spark.rehearsal import _executors

    staging = tmp_path / "_run=r"
    (staging / "attempt-1").mkdir(parents=True)
    attempt = Attempt(tmp_path / "run", "this")  # it has nothing on a cluster
    attempt.end()
    (attempt.folder / "progress.json").write_text('{"active": 2, "application": "app-20260101000000-0000"}')
    assert _executors(attempt, staging) == [], "the run is over: nothing to say"
    (staging / "attempt-1" / "chunks.json").write_text('{"0": [["file:/a", 0, 9]]}')
    with pytest.raises(NotAvailable, match="no executor of this run is on this machine"):
        _executors(attempt, staging)
