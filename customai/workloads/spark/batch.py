"""Scores a data set with Spark, as a job: `python -m customai.workloads.spark.batch REQUEST [MODEL_FOLDER]`.

The run's folder appears as a whole, with a `_summary.json`, or not at all: a run that is killed begins anew.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from customai.errors import NotAvailable, RunFailed, SpecError
from customai.workloads.batch import storage
from customai.workloads.job.run import Run, main
from customai.workloads.spark import dataset, remote
from customai.workloads.spark.dataset import Dataset
from customai.workloads.spark.output import Output
from customai.workloads.spark.request import BatchRequest
from customai.workloads.spark.scorer import ERROR, OnnxScorer, PipelineScorer, check_keep, prepared
from customai.workloads.spark.session import Unreadable, check, in_our_words, session

SPLIT = 32 * 2**20  # bytes of a task: scoring is work, and progress is told by tasks
OPENING = 2**20  # bytes that opening a file counts for, when files are put together into tasks
DRY_RUN, REHEARSE = "--dry-run", "--rehearse-eviction"
TICK = 0.3  # seconds
MOST_NAMED = 20  # unreadable files in the summary


def work(run: Run, arguments: list[str]) -> dict[str, Any]:
    request = BatchRequest.from_json(arguments[0])
    if REHEARSE in arguments:
        hint = "kill it yourself: a run that is killed leaves the old output as it was, and the next one begins anew"
        raise NotAvailable("an eviction cannot be rehearsed with Spark yet", hint=hint)
    check("onnxruntime")
    started = time.time()
    output = Output(run.folder if storage.is_url(request.output) else Path(request.output), f"run={request.run}")
    if DRY_RUN not in arguments:
        output.begin()
    scorer = OnnxScorer.load(Path(arguments[1]), request.columns) if request.scorer == "onnx" else None
    run.progress(0, None, message="looking at the data set")
    place = remote.fetched(request.input, run) if storage.is_url(request.input) else request.input
    data = _look(place, request, scorer) if scorer is not None else None  # what is wrong is told before Spark starts
    if scorer is not None and data is not None and DRY_RUN in arguments:
        return _would(request, data, scorer)
    conf = {"spark.sql.files.maxPartitionBytes": str(SPLIT), "spark.sql.files.openCostInBytes": str(OPENING)}
    with session(request.name, master=request.master, conf=conf | request.settings) as spark:
        scores = scorer or PipelineScorer.load(request.pipeline, request.labels)
        data = data or _look(place, request, scores)
        if DRY_RUN in arguments:
            return _would(request, data, scores)
        with _progress(spark, data.rows, run):
            counts, data = _score(spark, data, scores, request, output)
    summary = _summary(request, data, counts, started, scorer)
    output.commit(summary)
    if storage.is_url(request.output):
        remote.send(output.final, f"{request.output.rstrip('/')}/run={request.run}", run)
        shutil.rmtree(output.final)
    if summary["errors"] > request.limit_errors:
        raise _too_many(summary, request)
    return summary


def _look(place: str, request: BatchRequest, scorer: OnnxScorer | PipelineScorer) -> Dataset:
    data = dataset.look(place, request.format, request.delimiter, scorer.features)
    data.check(scorer.features, (*request.keep, *request.partition_by))
    check_keep((*request.keep, *request.partition_by), tuple(scorer.answer))
    return data


def _score(
    spark: Any, data: Dataset, scorer: OnnxScorer | PipelineScorer, request: BatchRequest, output: Output
) -> tuple[dict[str, int], Dataset]:
    """Writes the scored rows aside; a file that turns out to be damaged is set aside, and the others scored anew."""
    keep = tuple(dict.fromkeys((*request.keep, *request.partition_by)))
    while data.files:
        try:
            with in_our_words():
                frame, by = read(spark, data, request), request.partition_by
                return write(frame, scorer, keep, output.begin(), by=by, nulls=request.nulls), data
        except Unreadable as error:
            known = {file.path for file in data.files}
            if error.file not in known:
                raise
            data = data.without(error.file, error.reason)
    first = data.unreadable[0]
    raise SpecError(f"none of the {len(data.unreadable)} files can be read: {first.wrong}", where=first.path)


def read(spark: Any, data: Dataset, request: BatchRequest) -> Any:
    """The data set as a DataFrame; a CSV's values stay texts until each is looked at."""
    reader = spark.read.option("basePath", data.root if Path(data.root).is_dir() else str(Path(data.root).parent))
    paths = [f"file://{file.path}" for file in data.files]
    if data.format == "parquet":
        return reader.parquet(*paths)
    reader = reader.option("header", True).option("sep", request.delimiter).option("mode", "PERMISSIVE")
    return reader.csv(paths)


def write(
    frame: Any, scorer: Any, keep: Sequence[str], folder: Path, *, by: Sequence[str] = (), nulls: str, corrupt: str = ""
) -> dict[str, int]:
    """Scores a DataFrame into a folder of Parquet files; gives how many rows there were, and how many in error."""
    from pyspark.sql import Observation
    from pyspark.sql import functions as f

    seen = Observation("seen")
    scored = scorer.score(prepared(frame, scorer.features, keep, nulls=nulls, corrupt=corrupt), keep)
    counted = scored.observe(seen, f.count(f.lit(1)).alias("rows"), f.count(ERROR).alias("errors"))
    writer = counted.write.partitionBy(*by) if by else counted.write
    writer.parquet(f"file://{folder}")
    return {name: int(value) for name, value in seen.get.items()}


@contextlib.contextmanager
def _progress(spark: Any, rows: int | None, run: Run) -> Iterator[None]:
    """Tells how far Spark is, by the tasks that are done, while the block runs."""
    done = threading.Event()
    started = time.monotonic()

    def tell() -> None:
        while not done.wait(TICK):
            with contextlib.suppress(Exception):  # a JVM that has just gone tells no more
                share = _share(spark.sparkContext.statusTracker())
                if rows is None:
                    run.progress(round(100 * share), 100, "%")
                else:
                    run.progress(
                        int(rows * share), rows, "rows", message=_pace(rows, share, time.monotonic() - started)
                    )

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _share(tracker: Any) -> float:
    stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
    stages = [stage for stage in stages if stage is not None]
    total = sum(stage.numTasks for stage in stages)
    return sum(stage.numCompletedTasks for stage in stages) / total if total else 0.0


def _pace(rows: int, share: float, seconds: float) -> str:
    if not share:
        return ""
    return f"{rows * share / seconds:,.0f} rows/s, {seconds / share - seconds:,.0f} s left"


def _summary(
    request: BatchRequest, data: Dataset, counts: dict[str, int], started: float, scorer: OnnxScorer | None
) -> dict[str, Any]:
    seconds = time.time() - started
    return {
        "run": request.run,
        "input": request.input,
        "output": f"{request.output.rstrip('/')}/run={request.run}",
        "rows": counts["rows"],
        "errors": counts["errors"] + len(data.unreadable),
        "errors_file": f"{request.output.rstrip('/')}/run={request.run} (column `{ERROR}`)",
        "rows_in_error": counts["errors"],
        "files": len(data.files),
        "unreadable": [{"file": file.path, "reason": file.wrong} for file in data.unreadable[:MOST_NAMED]],
        "seconds": round(seconds, 3),
        "rows_per_second": round(counts["rows"] / seconds, 1),
        "scorer": request.scorer,
        "model_sha256": scorer.sha256 if scorer else None,
    }


def _would(request: BatchRequest, data: Dataset, scorer: Any) -> dict[str, Any]:
    """What a run would do: read, and write nothing."""
    unused = [name for name in data.columns if name not in {*scorer.features, *request.keep, *request.partition_by}]
    there = (Path(request.output) / f"run={request.run}").exists()
    return {
        "would": "replace the run that is there" if there else "score",
        "run": request.run,
        "input": request.input,
        "output": f"{request.output.rstrip('/')}/run={request.run}",
        "files": len(data.files),
        "rows": data.rows or 0,
        "chunks": 0,
        "columns": list(scorer.features),
        "ignored_columns": unused,
        "ignored_files": 0,
        "predictions": list(scorer.answer),
        "unreadable": [{"file": file.path, "reason": file.wrong} for file in data.unreadable],
    }


def _too_many(summary: dict[str, Any], request: BatchRequest) -> RunFailed:
    parts = []
    if summary["rows_in_error"]:
        parts.append(f"{summary['rows_in_error']:,} of {summary['rows']:,} rows could not be scored")
    if summary["unreadable"]:
        first = summary["unreadable"][0]
        parts.append(
            f"{summary['errors'] - summary['rows_in_error']} files could not be read: {first['file']}: {first['reason']}"
        )
    return RunFailed(
        f"{'; '.join(parts)} (allowed: {request.limit_errors})",
        where=summary["output"],
        hint="the rest is scored and in place; each row's reason stands in the column `error`; or allow more: limit_errors",
    )


if __name__ == "__main__":
    main(work)
