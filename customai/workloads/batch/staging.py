"""Where a run is put together, aside from its output, and the journal that says which chunks are done.

OUTPUT/_run=NAME/      (readers of data sets pass over names that begin with _; for a URL it is in the run folder)
    lock               held by the run and its workers
    manifest.jsonl     the chunks
    chunks.jsonl       a line when a chunk is begun, one when it is done, fsynced after its files
    tmp/               files that are being written
    errors/            refused inputs, a file for each chunk that has any
    output/            what becomes OUTPUT/run=NAME/
    old/               the run that was there before, until the new one is in its place
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from customai.errors import Conflict, CustomAIError, Forbidden, NoQuota, RunFailed
from customai.workloads.batch.manifest import Cut

PATIENCE = 30.0  # seconds for the workers of a run that was killed to come to their end


@dataclass
class Tally:
    """What the journal says."""

    done: dict[int, tuple[int, int]] = field(default_factory=dict)  # chunk -> rows in the output, errors
    begun: dict[int, int] = field(default_factory=dict)  # chunk -> how often
    attempts: int = 0
    seconds: float = 0.0

    @property
    def rows(self) -> int:
        return sum(rows for rows, _ in self.done.values())

    @property
    def errors(self) -> int:
        return sum(errors for _, errors in self.done.values())

    def redone(self) -> int:
        """How often a chunk was begun that came to nothing."""
        return sum(self.begun.values()) - len(self.done)


class Staging:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = folder / "output"
        self.lock = -1
        self.tally = Tally()
        self._journal: IO[str] | None = None
        self._started = time.monotonic()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else writes this run; its workers hold on to it too, so that those of a killed run are waited for."""
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self.lock = self._take()
        try:
            yield
        finally:
            os.close(self.lock)

    def _take(self) -> int:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except FileNotFoundError:  # a run of this name has just ended and tidied up
                self.folder.mkdir(parents=True, exist_ok=True)
                continue
            if self._is_ours(handle):
                return handle
            os.close(handle)
            if time.monotonic() > deadline:
                hint = "wait for it, cancel it, or give this one another --name"
                raise Conflict("another run of this name is going on", where=str(self.folder), hint=hint)
            time.sleep(0.05)

    def _is_ours(self, handle: int) -> bool:
        """Locked, and still the file of that name: one that has just been taken away locks nothing."""
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return os.fstat(handle).st_ino == os.stat(self.folder / "lock").st_ino
        except (BlockingIOError, FileNotFoundError):
            return False

    def cut(self, mark: str) -> Cut | None:
        """The manifest of an earlier attempt at the same work."""
        try:
            found = Cut.read(self.folder / "manifest.jsonl")
        except (OSError, ValueError, StopIteration):
            return None
        return found if found.head["fingerprint"] == mark else None

    def clear(self) -> None:
        """Takes everything away but the lock."""
        for each in self.folder.iterdir():
            if each.name != "lock":
                shutil.rmtree(each) if each.is_dir() else each.unlink()

    def begin(self, fresh: Cut | None) -> None:
        """Starts an attempt: at the beginning with this manifest, or where the last one was."""
        with writing(self.folder):
            if fresh is not None:
                self.clear()
                for name in ("tmp", "errors", "output"):
                    (self.folder / name).mkdir()
                fresh.write(self.folder / "manifest.new")
                fsync(self.folder / "manifest.new")
                (self.folder / "manifest.new").replace(self.folder / "manifest.jsonl")
            shutil.rmtree(self.folder / "tmp", ignore_errors=True)
            (self.folder / "tmp").mkdir()
            path = self.folder / "chunks.jsonl"
            self.tally = read(path)
            whole = path.read_bytes().rpartition(b"\n")[0] + b"\n" if path.exists() else b""
            if whole.strip():
                os.truncate(path, len(whole))  # a line that was cut short was never acted on
            elif path.exists():
                os.truncate(path, 0)
            self._journal = open(path, "a", encoding="utf-8")  # noqa: SIM115 (closed with the process)
            self._append({"attempt": self.tally.attempts + 1, "time": time.time()})
            self.tally.attempts += 1
            self._started = time.monotonic()

    def begun(self, chunk: int) -> None:
        self.tally.begun[chunk] = self.tally.begun.get(chunk, 0) + 1
        self._append({"begun": chunk})

    def done(self, chunk: int, rows: int, errors: int) -> None:
        self.tally.done[chunk] = (rows, errors)
        self._append({"done": chunk, "rows": rows, "errors": errors, "time": time.time()}, durable=True)

    def seconds(self) -> float:
        """Of all attempts together."""
        return self.tally.seconds + time.monotonic() - self._started

    def _append(self, line: dict[str, Any], *, durable: bool = False) -> None:
        assert self._journal is not None  # noqa: S101 (begin() opens it)
        with writing(self.folder):
            self._journal.write(json.dumps(line) + "\n")
            self._journal.flush()
            if durable:
                os.fsync(self._journal.fileno())


def read(journal: Path) -> Tally:
    """What was done so far; a last line that was cut short does not count."""
    tally = Tally()
    started = last = 0.0
    try:
        lines = journal.read_bytes().split(b"\n")[:-1]
    except OSError:
        return tally
    for line in lines:
        said = json.loads(line)
        if "attempt" in said:
            tally.attempts = said["attempt"]
            tally.seconds += last - started
            started = last = said["time"]
        elif "begun" in said:
            tally.begun[said["begun"]] = tally.begun.get(said["begun"], 0) + 1
        else:
            tally.done[said["done"]] = (said["rows"], said["errors"])
            last = said["time"]
    tally.seconds += last - started
    return tally


@contextlib.contextmanager
def writing(place: Path) -> Iterator[None]:
    """What the disk refuses, in our words."""
    try:
        yield
    except OSError as error:
        raise refused(error, place) from error


def refused(error: OSError, place: Path) -> CustomAIError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "free some space and run it again: it goes on where it was"
        return NoQuota("the disk is full", where=str(place), hint=hint)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        hint = "choose an `output` that you may write to"
        return Forbidden(f"the output cannot be written: {error.strerror}", where=str(place), hint=hint)
    return RunFailed(f"the output cannot be written: {error.strerror or error}", where=str(place))


def fsync(path: Path) -> None:
    """Of a file, or of the names in a folder: on disk when this comes back."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
