"""Work that would hold up the event loop, done in the one thread kept for it."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import inf
from typing import Any, TypeVar

from customai.workloads.scoring.answers import busy

T = TypeVar("T")
SMOOTH = 0.1  # how much one piece of work says of those to come


class Aside:
    def __init__(self, limit: int, max_wait: float = inf) -> None:
        """limit: pieces of work that may wait; max_wait: seconds that they may take together."""
        self._limit = limit
        self._max_wait = max_wait
        self._working = 0
        self._seconds = 0.0  # that a piece takes, of late
        self._thread = ThreadPoolExecutor(1, "aside")

    async def __call__(self, work: Callable[..., T], *arguments: Any) -> T:
        """Raises RequestError 503 when too much waits, or whatever the work raises."""
        if self._working >= self._limit or self._working * self._seconds > self._max_wait:
            raise busy(f"{self._working} requests are waiting already", self._working * self._seconds)
        self._working += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._timed, work, arguments)
        finally:
            self._working -= 1

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _timed(self, work: Callable[..., T], arguments: tuple[Any, ...]) -> T:
        started = time.perf_counter()
        try:
            return work(*arguments)
        finally:
            taken = min(
                time.perf_counter() - started, 1.5 * self._seconds + 1e-3
            )  # one large piece says little of the rest
            self._seconds += SMOOTH * (taken - self._seconds)
