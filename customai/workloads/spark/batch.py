"""Scores a data set with Spark, as a job: `python -m customai.workloads.spark.batch REQUEST [MODEL_FOLDER]`.

With `--dry-run` it tells what would be read; with `--rehearse-eviction SECONDS`, what it costs when the machine goes.
The run's folder appears as a whole, with a `_summary.json`, or not at all. A run that was killed goes on where it was.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from customai.errors import RunFailed, SpecError
from customai.workloads.batch import output, storage
from customai.workloads.batch.staging import Staging
from customai.workloads.job.run import Run, main
from customai.workloads.spark import attempts, dataset, remote
from customai.workloads.spark.attempts import Attempts, Chunk
from customai.workloads.spark.dataset import Dataset
from customai.workloads.spark.progress import Progress
from customai.workloads.spark.request import BatchRequest
from customai.workloads.spark.scorer import OnnxScorer, PipelineScorer, check_keep, prepared
from customai.workloads.spark.session import EXISTING, Unreadable, address, check, in_our_words, session
from customai.workloads.spark.summary import judged, summary_of, would

SPLIT = 32 * 2**20  # bytes of a task: scoring is work, and what is lost when a machine goes are tasks
OPENING = 2**20  # bytes that opening a file counts for, when files are put together into tasks
TRIES = 3  # of a task on this machine: Spark would give up at once; on a cluster it has four
DRY_RUN, REHEARSE = "--dry-run", "--rehearse-eviction"


def work(run: Run, arguments: list[str]) -> dict[str, Any]:
    if REHEARSE in arguments:
        from customai.workloads.spark.rehearsal import rehearse

        place = arguments.index(REHEARSE)
        found: dict[str, Any] = rehearse(run, arguments[:place], float(arguments[place + 1]))
        return found
    request = BatchRequest.from_json(arguments[0])
    model = Path(arguments[1]) if request.scorer == "onnx" else None
    if request.master == EXISTING:
        from customai.workloads.spark.shared import SharedJob

        return SharedJob(run, request, model).score()
    check("onnxruntime")
    job = Job(run, request, model)
    return job.dry_run() if DRY_RUN in arguments else job.score()


class Job:
    """A run of a request; what it needs of Spark comes late, as Spark starts slowly."""

    def __init__(self, run: Run, request: BatchRequest, model: Path | None) -> None:
        self.run, self.request = run, request
        self.started = time.time()
        self.scorer: Any = OnnxScorer.load(model, request.columns) if model else None
        self.data: Dataset | None = None
        self.mark = ""

    def score(self) -> dict[str, Any]:
        """The run's summary, once it is in place."""
        request = self.request
        staging = Staging(output.staging_of(request.output, request.run, self.run.folder))
        with staging.held():
            self._see()
            if not output.finished(staging, self.mark):
                output.put_back(staging, request.output, request.run)
            there = output.summary_of(request.output, request.run)
            if there is not None and there.get("fingerprint") == self.mark:
                output.tidy(staging)
                return judged({**there, "unchanged": True}, request)
            if not output.finished(staging, self.mark):
                self._see_through(Attempts(staging, self.mark))
            output.publish(staging, request.output, request.run)
            summary = output.summary_of(request.output, request.run)
            if summary is None:
                raise RunFailed("the output went away while it was written", where=request.output)
            output.tidy(staging)
        return judged({**summary, "unchanged": False}, request)

    def dry_run(self) -> dict[str, Any]:
        self._see()
        if self.scorer is None:
            with self._session():
                self._look()
        return would(self.request, self._look(), self.scorer, self.mark)

    def _see(self) -> None:
        """What is there to be scored; its fingerprint."""
        request = self.request
        self.run.progress(0, None, message="looking at the data set")
        is_url = storage.is_url(request.input)
        self.place = remote.fetched(request.input, self.run) if is_url else request.input
        self.mark = self._fingerprint()
        if self.scorer is not None:
            self._look()  # what is wrong is told before Spark starts

    def _look(self) -> Dataset:
        request = self.request
        self.scorer = self.scorer or PipelineScorer.load(request.pipeline, request.labels)
        if self.data is None:
            self.data = dataset.look(self.place, request.format, request.delimiter, self.scorer.features)
            self.data.check(self.scorer.features, (*request.keep, *request.partition_by))
            check_keep((*request.keep, *request.partition_by), tuple(self.scorer.answer))
        return self.data

    def _fingerprint(self) -> str:
        """Of everything that decides what comes out: two runs with the same one have the same rows."""
        request = self.request
        model = self.scorer.sha256 if request.scorer == "onnx" else _listed(request.pipeline)
        return hashlib.sha256(json.dumps([request.mark(), model, _listed(request.input)]).encode()).hexdigest()

    def _session(self) -> contextlib.AbstractContextManager[Any]:
        sizes = {"spark.sql.files.maxPartitionBytes": str(SPLIT), "spark.sql.files.openCostInBytes": str(OPENING)}
        master = re.sub(r"^local(?:\[(.+)\])?$", lambda found: f"local[{found[1] or 1},{TRIES}]", self.request.master)
        return session(self.request.name, master=master, conf=sizes | self.request.settings)

    def _see_through(self, tries: Attempts) -> None:
        """Everything scored, and the output made ready to be put in place."""
        done = tries.done()
        if self.scorer is None or not tries.number or _left(self._look(), done):
            with self._session() as spark:
                done = self._attempts(spark, tries)
        data = self._look()
        self._is_whole(data, done)
        told = {
            "fingerprint": self.mark,
            "attempts": tries.number,
            "model_sha256": getattr(self.scorer, "sha256", None),
        }
        seconds = tries.seconds() + time.time() - self.started
        tries.assemble(done, summary_of(self.request, data, done, seconds) | told)

    def _attempts(self, spark: Any, tries: Attempts) -> list[Chunk]:
        """A file that turns out to be damaged is set aside, and what its rows were part of is scored anew."""
        while True:
            data = self._look()
            damaged = [file.path for file in data.unreadable]
            done = tries.done(damaged)
            left = _left(data, done)
            if not left:
                break
            try:
                with in_our_words():
                    self._attempt(spark, tries, data, left, done)
            except Unreadable as error:
                if error.file not in {file.path for file in data.files}:
                    raise
                self.data = data.without(error.file, error.reason)
                continue
            finally:
                tries.end()
            return tries.done(damaged)
        if not data.files:
            first = data.unreadable[0]
            raise SpecError(f"none of the {len(data.unreadable)} files can be read: {first.wrong}", where=first.path)
        return done

    def _attempt(self, spark: Any, tries: Attempts, data: Dataset, left: Sequence[str], done: list[Chunk]) -> None:
        split = tries.split or _split(spark, data)
        spark.conf.set("spark.sql.files.minPartitionNum", "1")  # where files are split depends on `split` alone
        spark.conf.set("spark.sql.files.maxPartitionBytes", str(split))
        frame = attempts.without(read(spark, data, left, self.request), done)
        chunks = attempts.chunks_of(frame)
        folder = tries.begin(chunks, done, split)
        keep = tuple(dict.fromkeys((*self.request.keep, *self.request.partition_by)))
        rows = sum(chunk.rows for chunk in done)
        with Progress(spark, self.run, data.rows, rows):
            write(
                frame, self.scorer, keep, folder, by=self.request.partition_by, nulls=self.request.nulls, mode="append"
            )

    def _is_whole(self, data: Dataset, done: list[Chunk]) -> None:
        if self._fingerprint() != self.mark:
            hint = "run it again: it begins anew"
            raise RunFailed("the input was changed while it was scored", where=self.request.input, hint=hint)
        rows = sum(chunk.rows for chunk in done)
        if data.rows is not None and rows != data.rows:
            raise RunFailed(f"{data.rows:,} rows went in, {rows:,} came out", where=self.request.input)


def _listed(place: str) -> list[Any]:
    folder, single = storage.of(place)
    entries = [folder.entry(single)] if single else folder.entries()
    return [(entry.name, entry.size, entry.version) for entry in entries]


def _left(data: Dataset, done: list[Chunk]) -> list[str]:
    """The files that are not scored to their end."""
    bytes_: dict[str, int] = {}
    for split in {split for chunk in done for split in chunk.splits}:
        bytes_[split.path] = bytes_.get(split.path, 0) + split.end - split.start
    return [file.path for file in data.files if bytes_.get(file.path, 0) < Path(file.path).stat().st_size]


def _split(spark: Any, data: Dataset) -> int:
    """Bytes of a task: enough tasks for all cores, and none too large, as Spark itself would choose."""
    known = spark._jsparkSession.sessionState().conf()  # noqa: SLF001 (it reads sizes such as 64k)
    opening = int(known.filesOpenCostInBytes())
    size: int = sum(Path(file.path).stat().st_size + opening for file in data.files)
    each = size // max(1, int(spark.sparkContext.defaultParallelism))
    return min(int(known.filesMaxPartitionBytes()), max(opening, each))


def read(spark: Any, data: Dataset, files: Sequence[str], request: BatchRequest) -> Any:
    """Files of the data set as a DataFrame; a CSV's values stay texts until each is looked at."""
    root = data.root if Path(data.root).is_dir() else str(Path(data.root).parent)
    reader = spark.read.option("basePath", root)
    paths = [address(file) for file in files]
    if data.format == "parquet":
        return reader.parquet(*paths)
    reader = reader.option("header", True).option("sep", request.delimiter).option("mode", "PERMISSIVE")
    return reader.csv(paths)


def write(
    frame: Any,
    scorer: Any,
    keep: Sequence[str],
    folder: Path,
    *,
    by: Sequence[str] = (),
    nulls: str,
    corrupt: str = "",
    mode: str = "error",
) -> None:
    """Scores a DataFrame into a folder of Parquet files."""
    scored = scorer.score(prepared(frame, scorer.features, keep, nulls=nulls, corrupt=corrupt), keep)
    writer = scored.write.mode(mode)
    (writer.partitionBy(*by) if by else writer).parquet(address(folder))


if __name__ == "__main__":
    main(work)
