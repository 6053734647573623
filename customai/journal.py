"""What was begun, done, failed and taken away, on disk before the next thing happens.

One folder a deployment, with `journal.jsonl` in it: a header line, then one record a line, appended and fsynced.
A line cut short by a crash was never acted on, so it is dropped. Whoever writes holds the folder's lock.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Lock

from customai.errors import StateError
from customai.model import Json, Step, dumps

FORMAT = 1
FILE = "journal.jsonl"


@dataclass(frozen=True)
class Header:
    """Whose journal it is."""

    name: str
    path: str
    target: str
    spec: str
    format: int = FORMAT


@dataclass(frozen=True)
class Record:
    """One line: `event` is begin | done | failed | kept | gone; `asked` is the step as JSON, kept with its begin.

    kept: it was taken away, and the target keeps it for a while, to be brought back.
    """

    step: str
    event: str
    digest: str = ""
    outputs: Json = None
    error: Json = None
    asked: Json = None
    time: float = 0.0


@dataclass(frozen=True)
class Known:
    """What the journal knows of one step now: its last event, and the outputs of the last time it was done."""

    step: Step
    event: str
    digest: str
    outputs: Json
    error: Json
    time: float

    @property
    def done(self) -> bool:
        return self.event == "done"


class Journal:
    def __init__(self, folder: Path, header: Header, known: dict[str, Known]) -> None:
        self.folder = folder
        self.header = header
        self.known = known
        self._writing = Lock()

    @classmethod
    def read(cls, folder: Path) -> Journal | None:
        """What was written, or None where nothing was.

        Raises:
            StateError: not a journal, or one of a later format.
        """
        try:
            lines = (folder / FILE).read_bytes().split(b"\n")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unusable(folder, error) from error
        if len(lines) < 2:  # the header itself was cut short: nothing had been begun
            return None
        where = str(folder / FILE)
        known: dict[str, Known] = {}
        try:
            header = _header(json.loads(lines[0]), where)
            for line in lines[1:-1]:  # the last piece is empty, or a record cut short
                _fold(known, Record(**json.loads(line)))
        except (ValueError, TypeError, KeyError) as error:
            raise StateError(
                "the journal cannot be read",
                where=where,
                hint="it was changed by hand or damaged; move it away to start anew, after stopping what still runs",
            ) from error
        return cls(folder, header, known)

    @classmethod
    def start(cls, folder: Path, header: Header) -> Journal:
        """The folder's journal, ready to append to; made if it is not there."""
        journal = cls.read(folder)
        if journal is None:
            _write(folder / FILE, (dumps(asdict(header)) + "\n").encode(), os.O_CREAT | os.O_TRUNC)
            return cls(folder, header, {})
        _cut_unfinished_line(folder / FILE)
        return journal

    def append(self, record: Record) -> None:
        record = replace(record, time=time.time())
        line = dumps({key: value for key, value in asdict(record).items() if value is not None})
        with self._writing:
            _write(self.folder / FILE, (line + "\n").encode(), os.O_APPEND)
            _fold(self.known, record)


def _header(data: Json, where: str) -> Header:
    if data["format"] > FORMAT:
        raise StateError(
            f"the journal has format {data['format']}; this version reads up to {FORMAT}",
            where=where,
            hint="it was written by a later customai: pip install --upgrade customai",
        )
    return Header(data["name"], data["path"], data["target"], data["spec"], data["format"])


def _fold(known: dict[str, Known], record: Record) -> None:
    before = known.get(record.step)
    if record.event == "gone":
        known.pop(record.step, None)
        return
    step = Step.from_json(record.asked) if record.asked is not None else before.step if before else None
    if step is None:
        raise ValueError(f"{record.step}: {record.event} without begin")
    outputs = record.outputs if record.event in ("done", "kept") else before.outputs if before else None
    known[record.step] = Known(step, record.event, record.digest, outputs, record.error, record.time)


def _write(path: Path, data: bytes, flags: int) -> None:
    try:
        with open(os.open(path, os.O_WRONLY | flags, 0o600), "wb", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            try:
                if file.write(data) != len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
            except OSError:
                file.truncate(size)  # half a line would spoil the next one
                raise
    except OSError as error:
        raise _unusable(path.parent, error) from error


def _cut_unfinished_line(path: Path) -> None:
    data = path.read_bytes()
    if not data.endswith(b"\n"):
        os.truncate(path, data.rfind(b"\n") + 1)


def _unusable(folder: Path, error: OSError) -> StateError:
    return StateError(
        f"the state folder cannot be used: {error.strerror}",
        where=str(folder),
        hint="free some disk space, make it writable, or set CUSTOMAI_HOME to another folder",
    )


@contextlib.contextmanager
def locked(folder: Path, command: str) -> Iterator[None]:
    """Holds the deployment's lock; makes the folder if it is not there, removes it again if left with nothing in it.

    Raises:
        StateError: another process holds it (which, since when), or the folder cannot be written.
    """
    handle = _acquire(folder, command)
    try:
        yield
    finally:
        if os.listdir(folder) == ["lock"]:  # removed while held: whoever opened it meanwhile tries again
            (folder / "lock").unlink()
            with contextlib.suppress(OSError):
                folder.rmdir()
        os.close(handle)


def _acquire(folder: Path, command: str) -> int:
    path = folder / "lock"
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue  # another process removed the folder between the two calls
        except OSError as error:
            raise _unusable(folder, error) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _same_file(handle, path):
                holder = {"pid": os.getpid(), "command": command, "since": time.time()}
                os.ftruncate(handle, 0)
                os.pwrite(handle, dumps(holder).encode(), 0)
                return handle
            os.close(handle)
        except BlockingIOError:
            holder_text = os.pread(handle, 1000, 0)
            os.close(handle)
            raise _held(folder, holder_text) from None
        except OSError as error:
            os.close(handle)
            raise _unusable(folder, error) from error


def _same_file(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def _held(folder: Path, holder: bytes) -> StateError:
    try:
        data = json.loads(holder)
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(data["since"]))
        who = f"`{data['command']}` (process {data['pid']}) since {since}"
    except (ValueError, KeyError, TypeError):
        who = "another process, which has just started"
    return StateError(
        f"{folder.name} is locked by {who}",
        where=str(folder),
        hint="wait until it has ended, or stop it with Ctrl-C where it runs",
    )


def home() -> Path:
    """Where customai keeps what it remembers: CUSTOMAI_HOME, or the system's place for state."""
    chosen = os.environ.get("CUSTOMAI_HOME")
    if chosen:
        return Path(chosen).absolute()
    from platformdirs import user_state_path  # noqa: PLC0415, RUF100 (only where it is needed)

    return user_state_path("customai", appauthor=False)


def deployments() -> list[Journal]:
    """Every deployment that is known, by name."""
    folder = home() / "deployments"
    found = (Journal.read(path) for path in sorted(folder.iterdir())) if folder.is_dir() else ()
    return [journal for journal in found if journal is not None]


def folder_of(name: str) -> Path:
    return home() / "deployments" / name
