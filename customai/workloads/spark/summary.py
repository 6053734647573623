"""What a batch run tells of itself: its summary, what it would do, and whether too much was in error."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from customai.errors import RunFailed
from customai.workloads.batch import output
from customai.workloads.spark.attempts import Chunk
from customai.workloads.spark.dataset import Dataset
from customai.workloads.spark.request import BatchRequest
from customai.workloads.spark.scorer import ERROR

MOST_NAMED = 20  # unreadable files


def summary_of(request: BatchRequest, data: Dataset, done: Sequence[Chunk], seconds: float) -> dict[str, Any]:
    """Of a run that is whole. Its seconds are those of all its attempts."""
    place = output.place_of(request.output, request.run)
    rows, in_error = sum(chunk.rows for chunk in done), sum(chunk.errors for chunk in done)
    return {
        "run": request.run,
        "input": request.input,
        "output": place,
        "rows": rows,
        "errors": in_error + len(data.unreadable),
        "errors_file": f"{place} (column `{ERROR}`)",
        "rows_in_error": in_error,
        "files": len(data.files),
        "unreadable": [{"file": file.path, "reason": file.wrong} for file in data.unreadable[:MOST_NAMED]],
        "chunks": len(done),
        "seconds": round(seconds, 3),
        "rows_per_second": round(rows / seconds, 1),
        "scorer": request.scorer,
        "ended": time.time(),
    }


def would(request: BatchRequest, data: Dataset, scorer: Any, mark: str) -> dict[str, Any]:
    """What a run would do: read, and write nothing."""
    unused = [name for name in data.columns if name not in {*scorer.features, *request.keep, *request.partition_by}]
    there = output.summary_of(request.output, request.run)
    what = "score" if there is None else "do nothing" if there.get("fingerprint") == mark else "replace"
    return {
        "would": what,
        "run": request.run,
        "input": request.input,
        "output": output.place_of(request.output, request.run),
        "files": len(data.files),
        "rows": data.rows or 0,
        "chunks": 0,
        "columns": list(scorer.features),
        "ignored_columns": unused,
        "ignored_files": 0,
        "predictions": list(scorer.answer),
        "unreadable": [{"file": file.path, "reason": file.wrong} for file in data.unreadable],
    }


def judged(summary: dict[str, Any], request: BatchRequest) -> dict[str, Any]:
    """Raises RunFailed where more is in error than the limit allows. The rest is in the output."""
    if summary["errors"] <= request.limit_errors:
        return summary
    parts = []
    if summary["rows_in_error"]:
        parts.append(f"{summary['rows_in_error']:,} of {summary['rows']:,} rows could not be scored")
    if summary["unreadable"]:
        first, count = summary["unreadable"][0], summary["errors"] - summary["rows_in_error"]
        parts.append(f"{count} files could not be read: {first['file']}: {first['reason']}")
    raise RunFailed(
        f"{'; '.join(parts)} (allowed: {request.limit_errors})",
        where=summary["output"],
        hint="the rest is scored and in place; each row's reason stands in the column `error`; or allow more: limit_errors",
    )
