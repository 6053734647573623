"""A worker process: reads, scores and writes one chunk after the other, as it is told on stdin, and tells on stdout.

It ends when stdin does. Signals are its parent's business: a chunk that was begun is brought to its end.
"""

from __future__ import annotations

import gc
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from customai.errors import CustomAIError, NotInstalled, RunFailed
from customai.workloads.batch import images, manifest, parquet, storage
from customai.workloads.batch.part import Part
from customai.workloads.batch.request import Request
from customai.workloads.batch.rows import Batch, Layout, Refused
from customai.workloads.batch.scorer import Scorer
from customai.workloads.batch.staging import refused, writing
from customai.workloads.batch.storage import Folder, reaching

OUT_OF_MEMORY = 77  # this process's exit code
T = TypeVar("T")


class Worker:
    def __init__(self, request: Request, staging: Path) -> None:
        self.request = request
        self.staging = staging
        self.scorer = Scorer(request)
        self.folder = _folder(request)
        self.layout: Layout | None = None
        self.reader: parquet.Reader | None = None
        self.kept = images.KEPT

    def learn(self, head: dict[str, Any]) -> None:
        """How the columns feed the model, as the manifest has it."""
        if self.request.kind == "rows":
            tensors = self.scorer.model.signature.inputs
            asked = self.request
            self.layout = Layout(tuple(head["matrix"]), tensors, asked.keep, asked.key, asked.null_text)
            self.kept = manifest.revived(head["kept"])
            size = self.layout.batch_rows(asked.batch)
            self.reader = parquet.Reader(self.folder, self.layout, self.kept, size)

    def score(self, chunk: dict[str, Any]) -> tuple[int, int]:
        """(rows written, inputs refused)."""
        self._is_as_listed(chunk)
        schema = pa.schema([*self.kept, *self.scorer.fields])
        part = Part(self.staging, chunk["id"], schema, csv=self.request.csv)
        try:
            for batch in ahead(_read(self._batches(chunk))):
                with writing(self.staging):
                    table, wrong = self.scorer.score(batch)
                    part.write(table)
                part.refused += batch.refused + wrong
        except pa.ArrowException as error:
            part.close()
            part = Part(self.staging, chunk["id"], schema, csv=self.request.csv)
            part.refused.append(_unreadable(chunk, error))
        finally:
            part.close()
        with writing(self.staging):
            part.commit()
        return part.rows, len(part.refused)

    def _batches(self, chunk: dict[str, Any]) -> Iterator[Batch]:
        if self.request.kind == "images":
            how = self.scorer.model.config.preprocessing
            if how is None:
                raise RunFailed("the model takes no images: it has no preprocessing", where=self.request.model)
            tensor = self.scorer.model.signature.inputs[0]
            size = images.batch_images(how, self.request.batch)
            model = self.scorer.model.config.sha256
            return images.batches(self.folder, chunk, tensor, how, size=size, model=model)
        layout, reader = self.layout, self.reader
        assert layout is not None  # noqa: S101 (learnt before the first chunk)
        assert reader is not None  # noqa: S101 (as well)
        if manifest.is_csv(chunk["file"]):
            from customai.workloads.batch import delimited

            size = layout.batch_rows(self.request.batch)
            delimiter = self.request.delimiter
            return delimited.batches(self.folder, chunk, layout, self.kept, size=size, delimiter=delimiter)
        return reader.batches(chunk)

    def _is_as_listed(self, chunk: dict[str, Any]) -> None:
        if "file" not in chunk:
            return
        with reaching(self.request.input):
            now = self.folder.entry(chunk["file"])
        if (now.size, now.version) != (chunk["size"], chunk["version"]):
            where = f"{self.folder.where}/{chunk['file']}"
            hint = "run it again: it begins anew with the input as it is now"
            raise Changed("the input was changed while it was scored", where=where, hint=hint)


class Changed(RunFailed):
    pass


def _folder(request: Request) -> Folder:
    folder, only = storage.of(request.input)
    if request.kind == "images" and only is not None and only.lower().endswith(".zip"):
        return manifest.unzipped(folder, only)
    return folder


def _unreadable(chunk: dict[str, Any], error: Exception) -> Refused:
    last = chunk["first"] + chunk["rows"] - 1
    reason = f"{manifest.CORRUPT}, rows {chunk['first']} to {last}: {manifest.first_line(error)}"
    return Refused(chunk["file"], None, reason)


def _read(batches: Iterator[Batch]) -> Iterator[Batch]:
    """What cannot be read, told apart: data that are damaged, and a disk or a network that fails."""
    try:
        yield from batches
    except OSError as error:
        if error.errno is None:  # Arrow's own word for data that it cannot decode
            raise pa.ArrowInvalid(str(error)) from error
        raise RunFailed(f"the input cannot be read: {error.strerror}", where=str(error.filename or "")) from error


def ahead(items: Iterator[T], depth: int = 2) -> Iterator[T]:
    """The items, made in a thread of their own: reading and decoding go on while the model computes."""
    made: queue.Queue[Future[T] | None] = queue.Queue(depth)
    gone = threading.Event()
    filler = threading.Thread(target=_fill, args=(made, items, gone), name="ahead")
    filler.start()
    try:
        while (item := made.get()) is not None:
            yield item.result()
    finally:
        gone.set()
        with suppress(queue.Empty):  # it may wait for room
            while True:
                made.get_nowait()
        filler.join()


def _fill(made: queue.Queue[Future[T] | None], items: Iterator[T], gone: threading.Event) -> None:
    """What is made, or what went wrong; None is the end."""
    while not gone.is_set():
        item: Future[T] = Future()
        try:
            item.set_result(next(items))
        except StopIteration:
            made.put(None)
            return
        except BaseException as error:  # noqa: BLE001 - raised again where the items are used
            item.set_exception(error)
        made.put(item)
        if item.exception() is not None:
            return


class WithoutPandas(MetaPathFinder):
    """Arrow imports pandas, where it is installed, at its first array: time and memory that nothing here needs."""

    def find_spec(self, fullname: str, _path: object, _target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("batch scoring works without pandas", name=fullname)


def main() -> None:
    sys.meta_path.insert(0, WithoutPandas())
    with suppress(NotImplementedError):  # where Arrow was built with it: a tenth less processor time than its default
        pa.set_memory_pool(pa.jemalloc_memory_pool())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    tell = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints must not stand among what we tell
    setup = json.loads(sys.stdin.readline())
    try:
        worker = Worker(Request.from_json(json.dumps(setup["request"])), Path(setup["staging"]))
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent has to tell it
        print(json.dumps({"error": _told(error)}), file=tell)
        return
    fields = pa.schema(worker.scorer.fields).serialize().to_pybytes().hex()
    print(json.dumps({"signature": worker.scorer.model.signature.to_json(), "fields": fields}), file=tell)
    gc.freeze()
    for line in sys.stdin:
        asked = json.loads(line)
        if "head" in asked:
            worker.learn(asked["head"])
            continue
        try:
            rows, errors = worker.score(asked)
            said: dict[str, Any] = {"chunk": asked["id"], "rows": rows, "errors": errors}
        except MemoryError:
            os._exit(OUT_OF_MEMORY)
        except Exception as error:  # noqa: BLE001 - as above
            said = {"chunk": asked["id"], "error": _told(error)}
        print(json.dumps(said), file=tell)


def _told(error: Exception) -> dict[str, object]:
    if isinstance(error, pa.ArrowMemoryError | MemoryError):
        os._exit(OUT_OF_MEMORY)
    if isinstance(error, CustomAIError):
        return error.to_json()
    if isinstance(error, ImportError):
        hint = "pip install 'customai[batch]'"
        return NotInstalled(f"batch scoring needs what is not installed here: {error.name}", hint=hint).to_json()
    if isinstance(error, OSError):
        return refused(error, Path(error.filename or "")).to_json()
    return RunFailed(f"{type(error).__name__}: {error}").to_json()


if __name__ == "__main__":
    main()
