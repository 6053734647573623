"""Numbers that several processes count and any one of them can tell: a row of doubles in a file each, mapped into memory.

Counting is an addition in memory; nothing is written at any moment, and what a process that was killed has counted is
still there. A file is locked as long as its process lives. The files of those that ended are added up into one.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

Values = dict[str, float]  # by the series' name and labels
_WORD = 8
_ENDED = "ended.json"


class Series:
    """values[i] is the number of keys[i]. folder: where the other processes' are; None: there are no others."""

    def __init__(self, keys: Sequence[str], folder: Path | None = None) -> None:
        self.keys = tuple(keys)
        self.folder = folder
        self._file: int | None = None
        self._path: Path | None = None
        if folder is None:
            self.values: memoryview[float] = memoryview(bytearray(_WORD * len(keys))).cast("d")
            return
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            _fold(folder)
            head = json.dumps(keys).encode()
            head += b" " * (-len(head) % _WORD)
            self._path = folder / f"{os.getpid()}-{time.time_ns()}.series"
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX)
            os.write(self._file, len(head).to_bytes(_WORD, "little") + head + bytes(_WORD * len(keys)))
        mapped = mmap.mmap(self._file, 0)
        self.values = memoryview(mapped)[_WORD + len(head) :].cast("d")

    def read(self) -> tuple[list[tuple[int, Values]], Values]:
        """(process id, its numbers) of all that live, this one first; and the sums of those that ended."""
        own: tuple[int, Values] = (os.getpid(), dict(zip(self.keys, self.values.tolist(), strict=True)))
        if self.folder is None:
            return [own], {}
        with _locked(self.folder):
            _fold(self.folder)
            others = [
                (int(path.name.partition("-")[0]), _read(path))
                for path in self.folder.glob("*.series")
                if path != self._path
            ]
            return [own, *others], _ended(self.folder)["values"]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _fold(folder: Path) -> None:
    """Adds the numbers of those that have ended to the others', then removes their files. A crash between is no harm."""
    ended = _ended(folder)
    gone = [path for path in sorted(folder.glob("*.series")) if not _lives(path)]
    if not gone:
        return
    for path in gone:
        if path.name not in ended["files"]:
            for key, value in _read(path).items():
                ended["values"][key] = ended["values"].get(key, 0.0) + value
    ended["files"] = [path.name for path in gone]
    temporary = folder / f"{_ENDED}.new"
    temporary.write_text(json.dumps(ended))
    temporary.replace(folder / _ENDED)
    for path in gone:
        path.unlink(missing_ok=True)


def _ended(folder: Path) -> dict[str, Any]:
    """The sums so far, and the files of the last time, which may not have been removed yet."""
    with suppress(OSError, ValueError):
        found: dict[str, Any] = json.loads((folder / _ENDED).read_bytes())
        return found
    return {"files": [], "values": {}}


def _lives(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return True  # not ours to fold
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _read(path: Path) -> Values:
    try:
        data = path.read_bytes()
        length = int.from_bytes(data[:_WORD], "little")
        keys = json.loads(data[_WORD : _WORD + length])
        values = memoryview(data)[_WORD + length :].cast("d")
        return dict(zip(keys, values.tolist(), strict=True))
    except (OSError, ValueError, TypeError):  # killed while it was written
        return {}
