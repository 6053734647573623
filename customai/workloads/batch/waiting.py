"""The chunks that wait, and which one is whose next: neighbours go to the same worker, which reads on where it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

Chunk = dict[str, Any]


class Waiting:
    def __init__(self, chunks: Iterable[Chunk] = ()) -> None:
        self._chunks = {chunk["id"]: chunk for chunk in chunks}

    def __len__(self) -> int:
        return len(self._chunks)

    def put(self, chunk: Chunk) -> None:
        self._chunks[chunk["id"]] = chunk

    def clear(self) -> None:
        self._chunks.clear()

    def take(self, after: int | None, busy: Iterable[int]) -> Chunk:
        """The next chunk of a worker whose last one was `after`, while others do the chunks `busy`.

        The one that follows its last; else the longest stretch's first, or its middle if another worker is about to come
        to its beginning.
        """
        if after is not None and after + 1 in self._chunks:
            return self._chunks.pop(after + 1)
        first, end = max(self._stretches(), key=lambda stretch: stretch[1] - stretch[0])
        if first - 1 in set(busy):
            first = (first + end) // 2
        return self._chunks.pop(first)

    def _stretches(self) -> Iterator[tuple[int, int]]:
        """(first, end) of the ids without a gap between."""
        first = before = None
        for number in sorted(self._chunks):
            if before is None or number != before + 1:
                if first is not None and before is not None:
                    yield first, before + 1
                first = number
            before = number
        if first is not None and before is not None:
            yield first, before + 1
