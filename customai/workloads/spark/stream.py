"""Scores what arrives, for as long as it is kept up: `python -m customai.workloads.spark.stream REQUEST MODEL_FOLDER`.

Spark writes down which lines make up a batch before it begins, and that it is done after it is. In between, OUTPUT/batch=N
appears as a whole. So a batch that is begun again after a crash has the same lines and replaces its own folder: whoever
reads the output, with Spark or without, finds each line once. The checkpoint stands in the output: they belong together.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from customai.errors import StateError
from customai.workloads.job.run import Run, main
from customai.workloads.spark import source
from customai.workloads.spark.attempts import counted
from customai.workloads.spark.batch import write
from customai.workloads.spark.output import Output
from customai.workloads.spark.request import StreamRequest
from customai.workloads.spark.scorer import OnnxScorer
from customai.workloads.spark.session import check, in_our_words, session

CHECKPOINT = "_checkpoint"
LISTENING = 1.0  # seconds between two looks at the query


def work(run: Run, arguments: list[str]) -> dict[str, Any]:
    request = StreamRequest.from_json(arguments[0])
    check("onnxruntime")
    output = Path(request.output or run.folder / "output")
    Output(output, "batch=0").begin()
    _belong_together(output)
    scorer = OnnxScorer.load(Path(arguments[1]), request.columns)
    settings = source.settings(request) | request.settings
    with session(request.name, master=request.master, conf=settings) as spark, in_our_words(request.input):
        told = {"rows": 0, "errors": 0, "batches": 0}
        query = (
            source.read(spark, request, scorer.features)
            .writeStream.foreachBatch(_batch(run, request, scorer, output, told))
            .option("checkpointLocation", f"file://{output / CHECKPOINT}")
            .trigger(processingTime=f"{request.every} seconds")
            .start()
        )
        try:
            while not query.awaitTermination(LISTENING):  # raises what made it end
                _tell(run, told)
        finally:
            with contextlib.suppress(Exception):  # a JVM that was stopped along with us
                query.stop()
    return {"output": str(output), **told}


def _belong_together(output: Path) -> None:
    """Batches whose checkpoint is gone would be overwritten by those of a new one."""
    if not (output / CHECKPOINT).exists() and any(output.glob("batch=*")):
        raise StateError(
            f"the output holds batches, but its {CHECKPOINT} is gone",
            where=str(output),
            hint="move the batches away, or give another output: a new checkpoint begins at batch 0",
        )


def _batch(
    run: Run, request: StreamRequest, scorer: OnnxScorer, output: Path, told: dict[str, int]
) -> Callable[[Any, int], None]:
    def score(frame: Any, number: int) -> None:
        folder = Output(output, f"batch={number:09d}")
        started = time.monotonic()
        write(frame, scorer, request.keep, folder.begin(), nulls=request.nulls, corrupt=source.CORRUPT)
        counts = counted(folder.aside)
        folder.commit()
        told.update(rows=told["rows"] + counts["rows"], errors=told["errors"] + counts["errors"])
        told["batches"] += 1
        seconds = time.monotonic() - started
        print(f"batch {number}: {counts['rows']} rows, {counts['errors']} in error, {seconds:.2f} s", flush=True)
        _tell(run, told)

    return score


def _tell(run: Run, told: dict[str, int]) -> None:
    run.progress(told["rows"], None, "rows", message=f"{told['errors']} in error", **told)


if __name__ == "__main__":
    main(work)
