"""What Spark has finished of a run that was stopped is kept, and the next attempt scores only the rest.

Beside what workloads/batch/staging.py tells of, the staging folder holds

    run.json               what the run is, and where its files are split: the same for every attempt
    attempt-N/             the attempt that goes on
        chunks.json        what each task reads: [file, first byte, byte after the last], ...
        output/            Spark's output folder; its _temporary is a link to ../tasks
        tasks/             Spark's committer puts the files of a task that is done here, as a folder, by one rename
    ended-N/               an attempt that is over

A chunk is what one task reads, and is done if its task's files are there: Spark's own record, atomic and free of charge.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from customai.workloads.batch.output import SUMMARY
from customai.workloads.batch.staging import Staging, fsync, writing
from customai.workloads.spark.scorer import ERROR

PART = re.compile(r"part-(\d+)-.*\.parquet$")  # the number is the task's
SPLIT = re.compile(r"path: (.*?), range: (\d+)-(\d+), partition values:")
THREADS = 8  # that read footers


class Split(NamedTuple):
    """A part of a file that one task reads; `uri` is Spark's name of the file."""

    uri: str
    start: int
    end: int

    @property
    def path(self) -> str:
        return unquote(self.uri.removeprefix("file:"))

    @property
    def key(self) -> str:
        return f"{self.uri}|{self.start}"


@dataclass(frozen=True)
class Chunk:
    """One that is done: what it read, its files (where they are, and where they go), its rows, and those in error."""

    splits: tuple[Split, ...]
    files: tuple[tuple[Path, Path], ...]
    rows: int
    errors: int


class Attempts:
    def __init__(self, staging: Staging, mark: str) -> None:
        """Goes on with earlier attempts at the same work; what another work left is cleared away."""
        self.staging, self.mark, self.folder = staging, mark, staging.folder
        self.split: int | None = None
        self._own: set[str] = set()  # the attempts of this process
        said = _read(self.folder / "run.json")
        with writing(self.folder):
            if said.get("fingerprint") == mark:
                self.split = said["split"]
                self.end()
            else:
                staging.clear()

    @property
    def number(self) -> int:
        """How many there were."""
        return len(list(self.folder.glob("ended-*")))

    def seconds(self) -> float:
        """Of the earlier attempts, from their beginning to the last task that was done."""
        return sum(_seconds(folder) for folder in self.folder.glob("ended-*") if folder.name not in self._own)

    def begin(self, chunks: list[list[Split]], done: Iterable[Chunk], split: int) -> Path:
        """The folder for Spark to write into; it scores what the chunks hold beyond those that are done."""
        past = {each for chunk in done for each in chunk.splits}
        chunks = [[each for each in splits if each not in past] for splits in chunks]
        folder = self.folder / f"attempt-{self.number + 1}"
        self._own.add(f"ended-{self.number + 1}")
        with writing(self.folder):
            if self.split is None:
                _write(self.folder / "run.json", {"fingerprint": self.mark, "split": split})
                self.split = split
            (folder / "output").mkdir(parents=True)
            (folder / "tasks").mkdir()
            # An attempt that fails takes away its _temporary, and with it all that was done: so it is only a link.
            (folder / "output" / "_temporary").symlink_to("../tasks")
            _write(folder / "chunks.json", chunks)
        return folder / "output"

    def end(self) -> None:
        """Renamed, so that no process of a killed attempt that still lives can change it."""
        for folder in self.folder.glob("attempt-*"):
            over = folder.with_name(folder.name.replace("attempt", "ended"))
            if over.exists():  # made anew by such a process: there is nothing in it
                shutil.rmtree(folder, ignore_errors=True)
            else:
                folder.rename(over)

    def done(self, damaged: Iterable[str] = ()) -> list[Chunk]:
        """The chunks that are done; those that hold rows of a damaged file do not count."""
        damaged, found = set(damaged), []
        for folder in sorted(self.folder.glob("ended-*")):
            chunks = _read(folder / "chunks.json")
            for number, files in sorted(_parts(folder).items()):
                splits = tuple(Split(*split) for split in chunks[str(number)])
                if not any(split.path in damaged for split in splits):
                    found.append((splits, tuple(files)))
        with ThreadPoolExecutor(THREADS) as pool:
            return [chunk for chunk in pool.map(_chunk, found) if chunk is not None]

    def assemble(self, chunks: list[Chunk], summary: dict[str, Any]) -> None:
        """Makes staging/output what the run will be; the summary last."""
        output = self.staging.output
        with writing(self.folder):
            shutil.rmtree(output, ignore_errors=True)
            output.mkdir()
            for source, name in (file for chunk in chunks for file in chunk.files):
                (output / name).parent.mkdir(parents=True, exist_ok=True)
                _link(source, output / name)
                fsync(output / name)
            for root, _, _ in os.walk(output):
                fsync(Path(root))
            _write(output / SUMMARY, summary, indent=2)


def under_way(staging: Path) -> tuple[dict[int, int], set[int]] | None:
    """Of the first attempt while it goes on: the bytes that each chunk reads, and those that are done."""
    folder = staging / "attempt-1"
    chunks = _read(folder / "chunks.json")
    sizes = {int(number): sum(end - start for _, start, end in splits) for number, splits in chunks.items()}
    return (sizes, set(_parts(folder))) if chunks else None


def _parts(folder: Path) -> dict[int, list[tuple[Path, Path]]]:
    """The files of an attempt's tasks, and their places in the output; an attempt that was ending has moved some already."""
    found: dict[int, list[tuple[Path, Path]]] = {}
    for base in (folder / "output", *folder.glob("tasks/*/task_*")):
        for file in _files(base):
            if number := PART.match(file.name):
                found.setdefault(int(number[1]), []).append((file, file.relative_to(base)))
    return found


def _seconds(folder: Path) -> float:
    times = [file.stat().st_mtime for files in _parts(folder).values() for file, _ in files]
    return max(0.0, max(times) - (folder / "chunks.json").stat().st_mtime) if times else 0.0


def _files(base: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(base):
        folders[:] = [name for name in folders if name != "_temporary"]
        yield from (Path(root) / name for name in names)


def _chunk(done: tuple[tuple[Split, ...], tuple[tuple[Path, Path], ...]]) -> Chunk | None:
    """None where a file is not whole: a machine that lost its power."""
    splits, files = done
    try:
        counts = [count(file) for file, _ in files]
    except (pa.ArrowException, OSError):
        return None
    return Chunk(splits, files, sum(rows for rows, _ in counts), sum(errors for _, errors in counts))


def counted(folder: Path) -> dict[str, int]:
    """Of all files of a folder."""
    counts = [count(file) for file in folder.glob("part-*.parquet")]
    return {"rows": sum(rows for rows, _ in counts), "errors": sum(errors for _, errors in counts)}


def count(file: Path | BinaryIO) -> tuple[int, int]:
    """Rows, and those in error, as a file's footer tells them."""
    with pq.ParquetFile(file) as read:
        place, errors = read.metadata.num_columns - 1, 0  # `error` is the last
        for number in range(read.metadata.num_row_groups):
            group = read.metadata.row_group(number)
            known = group.column(place).statistics
            if known is not None and known.has_null_count:
                errors += group.num_rows - known.null_count
            else:
                errors += group.num_rows - read.read_row_group(number, [ERROR])[ERROR].null_count
        return read.metadata.num_rows, errors


def chunks_of(frame: Any) -> list[list[Split]]:
    """What each of the tasks will read that score the DataFrame, as Spark has planned it."""
    chunks = []
    for partition in frame._jdf.queryExecution().toRdd().partitions():  # noqa: SLF001 (there is no other way to ask)
        said = [SPLIT.match(file.toString()) for file in partition.files()]
        chunks.append(
            [Split(re.sub("^file:/+", "file:/", each[1]), int(each[2]), int(each[3])) for each in said if each]
        )
    return chunks


def without(frame: Any, chunks: Iterable[Chunk]) -> Any:
    """The rows that are in none of the chunks."""
    from pyspark.sql import functions as f

    keys = [split.key for chunk in chunks for split in chunk.splits]
    if not keys:
        return frame
    place = frame.metadataColumn("_metadata")
    return frame.where(~f.concat_ws("|", place["file_path"], place["file_block_start"].cast("string")).isin(keys))


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copyfile(source, target)


def _write(path: Path, value: Any, indent: int | None = None) -> None:
    """All or nothing, and on disk."""
    if isinstance(value, list):
        value = {str(number): each for number, each in enumerate(value)}
    aside = path.with_name(f".{path.name}.new")
    aside.write_text(json.dumps(value, indent=indent) + "\n", encoding="utf-8")
    fsync(aside)
    aside.replace(path)
    fsync(path.parent)


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found
