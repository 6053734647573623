"""Work that would hold up the event loop, done in the one thread kept for it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from customai.workloads.scoring.answers import RequestError

T = TypeVar("T")


class Aside:
    def __init__(self, limit: int) -> None:
        """limit: pieces of work that may wait."""
        self._limit = limit
        self._working = 0
        self._thread = ThreadPoolExecutor(1, "aside")

    async def __call__(self, work: Callable[..., T], *arguments: Any) -> T:
        """Raises RequestError 503 when too much waits, or whatever the work raises."""
        if self._working >= self._limit:
            message = f"{self._working} requests are waiting already"
            raise RequestError(503, message, expected="try again in a second", headers=((b"retry-after", b"1"),))
        self._working += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
        finally:
            self._working -= 1

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
