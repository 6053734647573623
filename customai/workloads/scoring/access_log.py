"""One JSON line per request, written off the hot path.

A request costs one tuple in a list. Half a second after the first, or when there are many, the list goes to a thread
that encodes and writes it, so neither a slow terminal nor a full pipe holds up the event loop. When writing cannot keep up, lines are
counted and dropped instead of kept.
"""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timezone
from typing import NamedTuple

import orjson

INTERVAL = 0.5
CHUNK = 512  # encoding these holds the interpreter for a millisecond; thousands at once would show in the latency
MAX_ENTRIES = 20_000
_MAX_PATH = 256


class Entry(NamedTuple):
    """time: seconds since 1970; ms: from the request's first byte seen by the app to its last byte handed on."""

    time: float
    method: str
    path: str
    status: int
    ms: float
    bytes: int


class AccessLog:
    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._entries: list[Entry] = []
        self._dropped = 0
        self._armed = False
        self._thread = ThreadPoolExecutor(1, "access-log")
        self._writing: Future[None] | None = None

    def add(self, entry: Entry) -> None:
        if len(self._entries) >= MAX_ENTRIES:
            self._dropped += 1
            return
        self._entries.append(entry)
        if len(self._entries) >= CHUNK and self._idle():
            self._hand_over()
        elif not self._armed:
            self._armed = True
            asyncio.get_running_loop().call_later(INTERVAL, self._flush)

    def close(self) -> None:
        """Write what is left and wait for it, at most a second: a reader that is stuck must not keep the server up."""
        self._armed = True  # nothing more is timed
        self._hand_over()
        self._thread.shutdown(wait=False)
        if self._writing is not None:
            with contextlib.suppress(Exception):  # the log's reader is gone; there is nowhere left to say so
                self._writing.result(timeout=1)

    def _idle(self) -> bool:
        return self._writing is None or self._writing.done()

    def _flush(self) -> None:
        self._armed = False
        if self._idle():
            self._hand_over()
        else:  # the last write still waits for its reader
            self._armed = True
            asyncio.get_running_loop().call_later(INTERVAL, self._flush)

    def _hand_over(self) -> None:
        entries, self._entries = self._entries, []
        dropped, self._dropped = self._dropped, 0
        if entries:
            self._writing = self._thread.submit(self._put, entries, dropped)

    def _put(self, entries: list[Entry], dropped: int) -> None:
        self._write(lines(entries, dropped))


def lines(entries: list[Entry], dropped: int = 0) -> bytes:
    """The entries as JSON lines, then how many were dropped, if any."""
    documents: list[dict[str, object]] = []
    second, text = -1, ""
    for entry in entries:
        if int(entry.time) != second:  # most lines share their second, and formatting it costs more than all the rest
            second = int(entry.time)
            text = datetime.fromtimestamp(second, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
        document = {
            "time": f"{text}.{int(entry.time % 1 * 1000):03}Z",
            "method": entry.method,
            "path": entry.path[:_MAX_PATH],
            "status": entry.status,
            "ms": round(entry.ms, 3),
            "bytes": entry.bytes,
        }
        documents.append(document)
    if dropped:
        documents.append({"dropped": dropped})
    return b"".join(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE) for document in documents)
