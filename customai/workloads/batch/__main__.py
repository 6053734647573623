"""`python -m customai.workloads.batch REQUEST [MODEL] [--dry-run | --rehearse-eviction SECONDS]`: a run, as a job."""

from __future__ import annotations

import os
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from customai.errors import CustomAIError, NotInstalled, RunFailed
from customai.workloads.batch.request import Request
from customai.workloads.job.run import Run, main

NEEDED = ("numpy", "onnxruntime", "orjson", "PIL", "pyarrow")
DRY_RUN = "--dry-run"
REHEARSAL = "--rehearse-eviction"  # followed by the seconds of notice
SHOWN = 3  # failed chunks that are named
EACH = 4 * 2**20  # bytes of input that are worth a process


def work(run: Run, arguments: list[str]) -> dict[str, Any]:
    missing = [module for module in NEEDED if find_spec(module) is None]
    if missing:
        hint = "pip install 'customai[batch]'"
        raise NotInstalled(f"batch scoring needs what is not installed here: {', '.join(missing)}", hint=hint)
    words = [argument for argument in arguments if not argument.startswith("--")]
    flags = [argument for argument in arguments if argument.startswith("--")]
    if flags == [DRY_RUN]:
        return dry_run(Request.from_json(*words))
    if flags == [REHEARSAL]:
        from customai.workloads.batch.rehearsal import rehearse

        *words, notice = words
        return rehearse(run, Request.from_json(*words), float(notice))
    return score(run, Request.from_json(*words))


def score(run: Run, request: Request) -> dict[str, Any]:
    """The run's summary, once it is in place."""
    from customai.workloads.batch import manifest, output
    from customai.workloads.batch.pool import Pool, cores
    from customai.workloads.batch.staging import Staging

    run.progress(0, None, "", message="listing the input")
    found = manifest.find(request)
    mark = manifest.fingerprint(request, found)
    staging = Staging(output.staging_of(request.output, request.run, run.folder))
    with staging.held():
        if not output.finished(staging, mark):
            output.put_back(staging, request.output, request.run)
        there = output.summary_of(request.output, request.run)
        if there is not None and there.get("fingerprint") == mark:
            output.tidy(staging)
            return _judged({**there, "unchanged": True}, request)
        if not output.finished(staging, mark):
            pool = Pool(request, staging, request.workers or cores())
            try:
                _see_through(run, request, found, mark=mark, staging=staging, pool=pool)
            finally:
                pool.close()
        output.publish(staging, request.output, request.run)
        summary = output.summary_of(request.output, request.run)
        if summary is None:
            raise RunFailed("the output went away while it was written", where=request.output)
        output.tidy(staging)
    return _judged({**summary, "unchanged": False}, request)


def _see_through(run: Run, request: Request, found: Any, *, mark: str, staging: Any, pool: Any) -> None:
    """Everything scored, and the output made ready to be put in place."""
    from customai.workloads.batch import manifest, output

    size = sum(entry.size for entry in found.entries)
    pool.start(max(1, min(pool.size, size // EACH)))  # they load the model while the input is being cut
    told = pool.told()
    cut = staging.cut(mark)
    if cut is None:
        fresh = cut = manifest.cut(request, found, told, mark)
    else:
        fresh = None
    staging.begin(fresh)
    left = [chunk for chunk in cut.chunks if chunk["id"] not in staging.tally.done]
    pace = Pace(run, cut.rows, sum(chunk["rows"] for chunk in left), request.kind)
    pool.score(cut.head, left, lambda: pace.tell(staging.tally.rows + staging.tally.errors))
    if pool.failed:
        raise _unfinished(pool.failed, len(cut.chunks), staging)
    output.finish(staging, cut.head["refused"], manifest.schema(cut.head), _summary(request, found, cut, staging))


def _summary(request: Request, found: Any, cut: Any, staging: Any) -> dict[str, Any]:
    from customai.workloads.batch import output

    tally, seconds = staging.tally, staging.seconds()
    errors = tally.errors + len(cut.head["refused"])
    place = output.place_of(request.output, request.run)
    return {
        "format": 1,
        "run": request.run,
        "fingerprint": cut.head["fingerprint"],
        "input": request.input,
        "output": place,
        "errors_file": f"{place}/{output.ERRORS_TEXT}" if errors else None,
        "model": request.model_sha256(),
        "files": len(found.entries),
        "ignored_files": found.ignored,
        "chunks": len(cut.chunks),
        "rows": tally.rows,
        "errors": errors,
        "seconds": round(seconds, 3),
        "rows_per_second": round(tally.rows / seconds, 1) if seconds else 0.0,
        "attempts": tally.attempts,
        "chunks_redone": tally.redone(),
        "ended": time.time(),
    }


def _judged(summary: dict[str, Any], request: Request) -> dict[str, Any]:
    """Raises RunFailed where more inputs were refused than the limit allows. All others are in the output."""
    if summary["errors"] <= request.limit_errors:
        return summary
    counted = f"{summary['errors']:,} of {summary['rows'] + summary['errors']:,} inputs could not be scored"
    hint = f"see why there; the other {summary['rows']:,} are scored. To accept it: --limit-errors {summary['errors']}"
    raise RunFailed(f"{counted}, {request.limit_errors:,} are allowed", where=summary["errors_file"], hint=hint)


def _unfinished(failed: dict[int, str], chunks: int, staging: Any) -> CustomAIError:
    named = "; ".join(list(failed.values())[:SHOWN]) + (
        f"; and {len(failed) - SHOWN} more" if len(failed) > SHOWN else ""
    )
    hint = "run it again: only these are done again. If it is the memory: fewer `workers`, or a smaller `chunk`"
    message = f"{len(failed)} of {chunks} chunks could not be scored, the others are done: {named}"
    return RunFailed(message, where=str(staging.folder), hint=hint)


def dry_run(request: Request) -> dict[str, Any]:
    """What a run would read and do. Writes nothing."""
    from customai.workloads.batch import manifest, output
    from customai.workloads.batch.pool import Pool
    from customai.workloads.batch.staging import Staging

    found = manifest.find(request)
    mark = manifest.fingerprint(request, found)
    pool = Pool(request, Staging(Path(os.devnull)), 1)
    try:
        pool.start(1)
        cut = manifest.cut(request, found, pool.told(), mark)
    finally:
        pool.close()
    there = output.summary_of(request.output, request.run)
    refused = [{"file": file, "reason": reason} for file, reason in cut.head["refused"]]
    return {
        "run": request.run,
        "input": request.input,
        "output": output.place_of(request.output, request.run),
        "files": len(found.entries),
        "ignored_files": found.ignored,
        "chunks": len(cut.chunks),
        "rows": cut.rows,
        "columns": list(cut.head.get("features", ())),
        "ignored_columns": list(cut.head.get("ignored_columns", ())),
        "unreadable": refused,
        "predictions": manifest.schema(cut.head).names,
        "would": _would(there, mark),
    }


def _would(there: dict[str, Any] | None, mark: str) -> str:
    if there is None:
        return "score"
    return "do nothing" if there.get("fingerprint") == mark else "replace"


class Pace:
    """Tells how far it is, how fast it goes and how long it takes yet."""

    def __init__(self, run: Run, total: int, left: int, unit: str) -> None:
        self.run, self.total, self.unit = run, total, unit
        self.before = total - left
        self.started = time.monotonic()

    def tell(self, done: int) -> None:
        seconds = time.monotonic() - self.started
        rate = max(0, done - self.before) / seconds if seconds else 0.0
        more: dict[str, Any] = {"rate": round(rate, 1), "seconds_left": None}
        if rate:
            left = max(0, self.total - done) / rate
            more |= {"seconds_left": round(left, 1), "message": f"{rate:,.0f} a second, {_span(left)} left"}
        self.run.progress(min(done, self.total), self.total, self.unit, **more)


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


if __name__ == "__main__":
    main(work)
