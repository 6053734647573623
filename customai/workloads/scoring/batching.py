"""Requests that wait are scored together, and batching never adds latency.

A run starts at once when none is running; what arrives meanwhile is taken together next. Nobody waits for company.

    inline      quick models run on the event loop. The run is put behind everything that is ready in this turn of the
                loop (`call_soon`), so all requests read in one turn share it. One run per turn: reading goes on between.
    in a thread slower ones run in the batcher's one thread (onnxruntime releases the GIL) while the loop reads on.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import inf

import numpy as np

from customai.workloads.scoring.answers import busy
from customai.workloads.scoring.pace import Pace
from customai.workloads.scoring.signature import Feed
from customai.workloads.scoring.tensors import Array

Outputs = list[Array]
SMOOTH = 0.1  # how much one run says of those to come


@dataclass(slots=True, eq=False)
class _Waiting:
    feed: Feed
    rows: int
    key: Hashable  # requests with the same key can share a run
    future: "asyncio.Future[Outputs]"


class Batcher:
    """One model's queue. Everything but the run itself happens on the event loop.

    The queue is bounded by its rows and by how long they will take, so that whoever is let in is answered soon.
    runs and rows count what was done since the start; told hears of each run's rows and seconds.
    """

    def __init__(
        self,
        run: Callable[[Feed], Outputs],
        pace: Pace,
        max_queue: int,
        max_wait: float = inf,
        told: Callable[[int, float], None] | None = None,
    ) -> None:
        self.inline = pace.inline
        self.runs = self.rows = 0
        self._told = told
        self._max_wait = max_wait
        self._row_seconds = pace.row_seconds  # what a row takes in a run with others, of late
        self._run = run
        self._pace = pace
        self._max_queue = max_queue
        self._waiting: deque[_Waiting] = deque()
        self._waiting_rows = 0
        self._busy = False  # a run is scheduled or going on
        self._thread = None if pace.inline else ThreadPoolExecutor(1, "score")

    @property
    def waiting(self) -> int:
        """Rows that wait for a run."""
        return self._waiting_rows

    async def score(self, feed: Feed, rows: int) -> Outputs:
        """The outputs for this feed. More rows than one run takes go as several.

        Raises RequestError 503 when the queue is full, or whatever the model raises on this feed alone.
        """
        self._admit(rows)
        piece = self._pace.piece
        if not piece or rows <= piece:
            return await self._enqueue(feed, rows)
        starts = range(0, rows, piece)
        pieces = [{name: array[i : i + piece] for name, array in feed.items()} for i in starts]
        futures = [self._enqueue(part, min(piece, rows - i)) for part, i in zip(pieces, starts, strict=True)]
        try:
            return _joined(await asyncio.gather(*futures))
        finally:
            for future in futures:
                future.cancel()

    def close(self) -> None:
        """Drop what waits; a run that is going on ends by itself."""
        for waiting in self._waiting:
            waiting.future.cancel()
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)

    def _admit(self, rows: int) -> None:
        """An empty queue takes any request: a bound that could never be met would make 503 a lie."""
        if not self._waiting_rows or self._has_room(rows):
            return
        self._forget_cancelled()
        if self._waiting_rows and not self._has_room(rows):
            seconds = self._waiting_rows * self._row_seconds
            raise busy(f"{self._waiting_rows} rows are waiting already", seconds)

    def _has_room(self, rows: int) -> bool:
        waiting = self._waiting_rows
        return waiting + rows <= self._max_queue and waiting * self._row_seconds <= self._max_wait

    def _forget_cancelled(self) -> None:
        self._waiting = deque(waiting for waiting in self._waiting if not waiting.future.done())
        self._waiting_rows = sum(waiting.rows for waiting in self._waiting)

    def _enqueue(self, feed: Feed, rows: int) -> "asyncio.Future[Outputs]":
        loop = asyncio.get_running_loop()
        waiting = _Waiting(feed, rows, tuple([array.shape[1:] for array in feed.values()]), loop.create_future())
        self._waiting.append(waiting)
        self._waiting_rows += rows
        if not self._busy:
            self._busy = True
            loop.call_soon(self._next)
        return waiting.future

    def _next(self) -> None:
        batch = self._take()
        if not batch:
            self._busy = False
        elif self._thread is None:
            self._finish(batch, *_attempt(self._score, batch))
        else:
            loop = asyncio.get_running_loop()
            job = loop.run_in_executor(self._thread, _attempt, self._score, batch)
            job.add_done_callback(lambda done: None if done.cancelled() else self._finish(batch, *done.result()))

    def _take(self) -> list[_Waiting]:
        """The oldest request, and those behind it that can share its run and fit."""
        batch: list[_Waiting] = []
        passed_over: list[_Waiting] = []
        rows, limit = 0, self._pace.max_batch
        while self._waiting and rows < limit:
            waiting = self._waiting.popleft()
            if waiting.future.done():  # cancelled: the client is gone
                self._waiting_rows -= waiting.rows
            elif not batch or (waiting.key == batch[0].key and rows + waiting.rows <= limit):
                batch.append(waiting)
                rows += waiting.rows
            else:
                passed_over.append(waiting)
        self._waiting.extendleft(reversed(passed_over))
        self._waiting_rows -= rows
        return batch

    def _score(self, batch: list[_Waiting]) -> list[Outputs]:
        if len(batch) == 1:
            return [self._run(batch[0].feed)]
        feed = {name: np.concatenate([waiting.feed[name] for waiting in batch]) for name in batch[0].feed}
        return _split(self._run(feed), [waiting.rows for waiting in batch])

    def _finish(self, batch: list[_Waiting], result: "list[Outputs] | Exception", seconds: float) -> None:
        rows = batch[0].rows if len(batch) == 1 else sum(waiting.rows for waiting in batch)
        self.runs += 1
        self.rows += rows
        known = self._row_seconds
        self._row_seconds += SMOOTH * (min(seconds / rows, 1.5 * known + 1e-4) - known)  # one hiccup is no slow model
        if self._told is not None:
            self._told(rows, seconds)
        if not isinstance(result, Exception):
            for waiting, outputs in zip(batch, result, strict=True):
                if not waiting.future.done():
                    waiting.future.set_result(outputs)
        elif len(batch) == 1:
            if not batch[0].future.done():
                batch[0].future.set_exception(result)
        else:
            self._separate(batch)
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._next)
        else:
            self._busy = False

    def _separate(self, batch: list[_Waiting]) -> None:
        """One request fails the run of all: each goes again by itself, before anything newer."""
        for waiting in reversed(batch):
            waiting.key = object()
            self._waiting.appendleft(waiting)
            self._waiting_rows += waiting.rows


def _attempt(
    score: Callable[[list[_Waiting]], list[Outputs]], batch: list[_Waiting]
) -> "tuple[list[Outputs] | Exception, float]":
    """What came of it, and how long it took."""
    started = time.perf_counter()
    try:
        return score(batch), time.perf_counter() - started
    except Exception as error:  # noqa: BLE001 - whatever the model raises is told to those who asked
        return error, time.perf_counter() - started


def _split(outputs: Outputs, rows: list[int]) -> list[Outputs]:
    ends = np.cumsum(rows).tolist()
    if any(len(array) != ends[-1] for array in outputs):
        raise ValueError("the model's outputs do not have one row per input row")
    return [[array[end - count : end] for array in outputs] for end, count in zip(ends, rows, strict=True)]


def _joined(parts: list[Outputs]) -> Outputs:
    return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
