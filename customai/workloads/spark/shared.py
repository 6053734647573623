"""A batch run on a cluster that is there already, over data that all of its machines see: /Volumes/... of Databricks, or a URL.

Spark reads and writes them itself, and what this process has to see of them it sees by Spark's own file system, with the
identity that Spark has: there need be no other. No folder is renamed there as a whole, so a run is one where its
_summary.json is: it is taken away first and written last. A run that was killed begins anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from customai.errors import CustomAIError, Forbidden, RunFailed, SpecError
from customai.workloads.batch import output
from customai.workloads.batch.storage import Entry, Folder, Local, is_url
from customai.workloads.job.run import Run
from customai.workloads.spark import dataset
from customai.workloads.spark.attempts import Chunk, count
from customai.workloads.spark.dataset import Dataset
from customai.workloads.spark.request import BatchRequest
from customai.workloads.spark.scorer import OnnxScorer, PipelineScorer, check_keep, prepared
from customai.workloads.spark.session import EXISTING, Unreadable, address, check, in_our_words, session
from customai.workloads.spark.summary import judged, summary_of

BUFFER = 2**18  # bytes that are asked of Spark's file system at once
RIGHTS = ("AuthorizationPermissionMismatch", "AuthorizationFailure", "AccessControlException", "403")
ROLE = "give the identity that the job runs as the role Storage Blob Data Contributor"


class Place(Folder, Protocol):
    """A folder that can be written to."""

    def write(self, name: str, data: bytes) -> None: ...
    def remove(self, name: str) -> None: ...


class Mounted(Local):
    """A folder that every machine of the cluster has under the same name."""

    def write(self, name: str, data: bytes) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_bytes(data)

    def remove(self, name: str) -> None:
        (self.root / name).unlink(missing_ok=True)


class Hadoop:
    """A folder at a URL, as Spark's own file system sees it."""

    def __init__(self, spark: Any, url: str) -> None:
        self.where = url.rstrip("/")
        self._name = spark._jvm.org.apache.hadoop.fs.Path  # noqa: SLF001 (there is no other way to it)
        with self._reached():
            self._files = self._name(self.where).getFileSystem(spark._jsc.hadoopConfiguration())  # noqa: SLF001

    def entries(self) -> list[Entry]:
        with self._reached():
            root, found = self._files.makeQualified(self._name(self.where)).toString(), []
            listed = self._files.listFiles(self._name(self.where), True)
            while listed.hasNext():
                status = listed.next()
                name = status.getPath().toString()[len(root) :].lstrip("/")
                if not any(part.startswith((".", "_")) for part in name.split("/")):
                    found.append(Entry(name, status.getLen(), str(status.getModificationTime())))
        return sorted(found, key=lambda entry: entry.name)

    def entry(self, name: str) -> Entry:
        with self._reached():
            status = self._files.getFileStatus(self._at(name))
            return Entry(name, status.getLen(), str(status.getModificationTime()))

    def is_file(self) -> bool:
        with self._reached():
            return bool(self._files.getFileStatus(self._name(self.where)).isFile())

    def open(self, name: str) -> BinaryIO:
        with self._reached():
            stream = _Stream(self._files.open(self._at(name)), self.entry(name).size)
        return cast("BinaryIO", io.BufferedReader(stream, BUFFER))

    def path(self, name: str) -> str | None:
        return None

    def write(self, name: str, data: bytes) -> None:
        with self._reached():
            stream = self._files.create(self._at(name), True)
            stream.write(bytearray(data))
            stream.close()

    def remove(self, name: str) -> None:
        with self._reached():
            self._files.delete(self._at(name), False)

    def _at(self, name: str) -> Any:
        return self._name(f"{self.where}/{name}")

    @contextlib.contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            with in_our_words(self.where):
                yield
        except CustomAIError as error:
            if "does not exist" in error.message or "FileNotFound" in error.message or "404" in error.message:
                raise SpecError("there is nothing under this URL", where=self.where) from None
            if any(word in error.message for word in RIGHTS):
                raise Forbidden(f"no right to this storage: {error.message}", where=self.where, hint=ROLE) from None
            raise


class _Stream(io.RawIOBase):
    """A file of Hadoop's, to be read here and there."""

    def __init__(self, stream: Any, size: int) -> None:
        self._stream, self._size, self._place = stream, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        return self._place

    def readinto(self, buffer: Any) -> int:
        wanted = max(0, min(len(buffer), self._size - self._place))
        if not wanted:
            return 0
        self._stream.seek(self._place)
        data = self._stream.readNBytes(wanted)
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


def at(spark: Any, place: str) -> Place:
    """The folder, there or not."""
    return Hadoop(spark, place) if is_url(place) else Mounted(Path(place))


def found(spark: Any, place: str) -> tuple[Place, str | None]:
    """The folder that is meant, and the one file in it, if a file is."""
    parent, _, name = place.rstrip("/").rpartition("/")
    if is_url(place):
        whole = Hadoop(spark, place)
        return (Hadoop(spark, parent), name) if whole.is_file() else (whole, None)
    if Path(place).is_file():
        return Mounted(Path(parent)), name
    if not Path(place).is_dir():
        raise SpecError("the input is not there", where=place)
    return Mounted(Path(place)), None


class SharedJob:
    """A run of a request, by the session that is there."""

    def __init__(self, run: Run, request: BatchRequest, model: Path | None) -> None:
        self.run, self.request = run, request
        self.started = time.time()
        self.scorer: Any = OnnxScorer.load(model, request.columns) if model else None

    def score(self) -> dict[str, Any]:
        """The run's summary, once it is in place."""
        check("onnxruntime", master=EXISTING)
        with session(self.request.name, master=EXISTING, conf=self.request.settings) as spark:
            return self._score(spark)

    def _score(self, spark: Any) -> dict[str, Any]:
        request, place = self.request, at(spark, output.place_of(self.request.output, self.request.run))
        self.run.progress(0, None, message="looking at the data set")
        self.scorer = self.scorer or PipelineScorer.load(request.pipeline, request.labels)
        mark = self._fingerprint(spark)
        there = _summary(place)
        if there.get("fingerprint") == mark:
            return judged({**there, "unchanged": True}, request)
        place.remove(output.SUMMARY)
        data = self._written(spark, self._look(spark), place)
        counts = [count(place.open(each.name)) for each in place.entries()]
        rows, errors = sum(rows for rows, _ in counts), sum(errors for _, errors in counts)
        if self._fingerprint(spark) != mark:
            hint = "run it again: it begins anew"
            raise RunFailed("the input was changed while it was scored", where=request.input, hint=hint)
        if data.rows is not None and rows != data.rows:
            raise RunFailed(f"{data.rows:,} rows went in, {rows:,} came out", where=request.input)
        seconds = time.time() - self.started
        summary = summary_of(request, data, [Chunk((), (), rows, errors)], seconds)
        told = {"fingerprint": mark, "attempts": 1, "model_sha256": getattr(self.scorer, "sha256", None)}
        place.write(output.SUMMARY, (json.dumps(summary | told, indent=2) + "\n").encode())
        return judged({**summary, **told, "unchanged": False}, request)

    def _look(self, spark: Any) -> Dataset:
        request = self.request
        where = found(spark, request.input)
        data = dataset.look(request.input, request.format, request.delimiter, self.scorer.features, where)
        data.check(self.scorer.features, (*request.keep, *request.partition_by))
        check_keep((*request.keep, *request.partition_by), tuple(self.scorer.answer))
        return data

    def _fingerprint(self, spark: Any) -> str:
        """Of everything that decides what comes out."""
        request = self.request
        model = self.scorer.sha256 if request.scorer == "onnx" else _listed(spark, request.pipeline)
        return hashlib.sha256(json.dumps([request.mark(), model, _listed(spark, request.input)]).encode()).hexdigest()

    def _written(self, spark: Any, data: Dataset, place: Place) -> Dataset:
        """Everything scored; a file that turns out to be damaged is set aside, and the rest scored anew."""
        while data.files:
            try:
                with in_our_words():
                    self._write(spark, data, place.where)
            except Unreadable as error:
                named = {file.path.removeprefix("file://"): file.path for file in data.files}
                if error.file not in named:
                    raise
                data = data.without(named[error.file], error.reason)
            else:
                return data
        first = data.unreadable[0]
        raise SpecError(f"none of the {len(data.unreadable)} files can be read: {first.wrong}", where=first.path)

    def _write(self, spark: Any, data: Dataset, place: str) -> None:
        request = self.request
        keep = tuple(dict.fromkeys((*request.keep, *request.partition_by)))
        frame = read(spark, data, request)
        scored = self.scorer.score(prepared(frame, self.scorer.features, keep, nulls=request.nulls), keep)
        writer = scored.write.mode("overwrite")
        (writer.partitionBy(*request.partition_by) if request.partition_by else writer).parquet(address(place))


def read(spark: Any, data: Dataset, request: BatchRequest) -> Any:
    """The data set as a DataFrame; a CSV's values stay texts until each is looked at."""
    paths = [file.path for file in data.files]
    root = data.root if data.root not in paths else data.root.rpartition("/")[0]
    paths, reader = [address(path) for path in paths], spark.read.option("basePath", address(root))
    if data.format == "parquet":
        return reader.parquet(*paths)
    reader = reader.option("header", True).option("sep", request.delimiter).option("mode", "PERMISSIVE")
    return reader.csv(paths)


def _summary(place: Place) -> dict[str, Any]:
    """That of the run which is there, if it is whole."""
    try:
        with place.open(output.SUMMARY) as file:
            said: dict[str, Any] = json.loads(file.read())
    except (OSError, ValueError, SpecError):
        return {}
    return said


def _listed(spark: Any, place: str) -> list[Any]:
    folder, single = found(spark, place)
    entries = [folder.entry(single)] if single else folder.entries()
    return [(entry.name, entry.size, entry.version) for entry in entries]
