"""Tells how far Spark is, by the tasks that are done."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

from customai.workloads.job.run import Run

TICK = 0.3  # seconds


class Progress:
    """While the block runs; of `rows` (None: nobody knows), `before` were scored by earlier attempts."""

    def __init__(self, spark: Any, run: Run, rows: int | None, before: int) -> None:
        self._application = spark.sparkContext.applicationId
        self._tracker, self._run = spark.sparkContext.statusTracker(), run
        self._rows, self._before = rows, before
        self._started = time.monotonic()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._tell, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _tell(self) -> None:
        while not self._done.wait(TICK):
            with contextlib.suppress(Exception):  # a JVM that has just gone tells no more
                self._say(*self._tasks())

    def _tasks(self) -> tuple[float, int]:
        """The share that is done, and how many are being done."""
        stages = [self._tracker.getStageInfo(stage) for stage in self._tracker.getActiveStageIds()]
        stages = [stage for stage in stages if stage is not None]
        total = sum(stage.numTasks for stage in stages)
        active = sum(stage.numActiveTasks for stage in stages)
        return (sum(stage.numCompletedTasks for stage in stages) / total if total else 0.0), active

    def _say(self, share: float, active: int) -> None:
        if self._rows is None:
            self._run.progress(round(100 * share), 100, "%", active=active, application=self._application)
            return
        left = self._rows - self._before
        seconds = time.monotonic() - self._started
        pace = f"{left * share / seconds:,.0f} rows/s, {seconds / share - seconds:,.0f} s left" if share else ""
        self._run.progress(
            self._before + int(left * share),
            self._rows,
            "rows",
            message=pace,
            active=active,
            application=self._application,
        )
