"""Images of a folder or a zip: read, decoded and scored batch by batch, each with where it came from."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from customai.workloads.batch.rows import Batch, Refused
from customai.workloads.batch.storage import Entry, Folder
from customai.workloads.scoring.answers import RequestError
from customai.workloads.scoring.config import Preprocessing
from customai.workloads.scoring.image import open_image, to_row
from customai.workloads.scoring.signature import Tensor
from customai.workloads.scoring.tensors import DATATYPES

MOST_BYTES = 256 * 2**20  # of one file: more is no image that anybody wants decoded here
MOST_AT_ONCE = 256
BATCH_BYTES = 8 * 2**20
KEPT = pa.schema([("image", pa.string()), ("bytes", pa.int64()), ("sha256", pa.string()), ("model", pa.string())])


class Zip:
    """The files of a zip, as a folder."""

    def __init__(self, file: BinaryIO, where: str) -> None:
        self.archive = zipfile.ZipFile(file)
        self.where = where

    def entries(self) -> list[Entry]:
        found = [
            Entry(info.filename, info.file_size, f"{info.CRC:08x}")
            for info in self.archive.infolist()
            if not info.is_dir() and not any(part.startswith((".", "_")) for part in info.filename.split("/"))
        ]
        return sorted(found, key=lambda entry: entry.name)

    def entry(self, name: str) -> Entry:
        info = self.archive.getinfo(name)
        return Entry(name, info.file_size, f"{info.CRC:08x}")

    def open(self, name: str) -> BinaryIO:
        return self.archive.open(name)  # type: ignore[return-value]

    def path(self, name: str) -> str | None:
        return None


def batch_images(how: Preprocessing, asked: int) -> int:
    pixels = int(np.prod(how.row_shape)) * 4
    return asked or max(1, min(MOST_AT_ONCE, BATCH_BYTES // pixels))


def cut(entries: list[Entry], size: int) -> Iterator[dict[str, Any]]:
    for start in range(0, len(entries), size):
        part = entries[start : start + size]
        yield {"files": [[entry.name, entry.size, entry.version] for entry in part], "rows": len(part)}


def batches(
    folder: Folder, chunk: dict[str, Any], tensor: Tensor, how: Preprocessing, *, size: int, model: str
) -> Iterator[Batch]:
    """The chunk's images, `size` at a time; those that cannot be decoded are refused."""
    dtype = DATATYPES[tensor.datatype].dtype
    for start in range(0, len(chunk["files"]), size):
        rows, names, sizes, digests = [], [], [], []
        refused = []
        for file, length, _ in chunk["files"][start : start + size]:
            try:
                data = _bytes(folder, file, length)
                rows.append(to_row(open_image(data, "it"), how, dtype, "it"))
            except (RequestError, Unreadable) as error:
                refused.append(Refused(shown(file), None, error.error))
                continue
            names.append(shown(file))
            sizes.append(len(data))
            digests.append(hashlib.sha256(data).hexdigest())
        columns = [pa.array(names, pa.string()), pa.array(sizes, pa.int64()), pa.array(digests, pa.string())]
        kept = pa.RecordBatch.from_arrays([*columns, pa.repeat(model, len(names)).cast(pa.string())], schema=KEPT)
        feed = {tensor.name: np.stack(rows)} if rows else {}
        yield Batch("", None, kept, feed, names=names, refused=refused)


class Unreadable(Exception):
    """This one file cannot be read; the others can."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


def _bytes(folder: Folder, name: str, size: int) -> bytes:
    if size > MOST_BYTES:
        raise Unreadable(f"it is too large: {size / 1e6:.0f} MB")
    try:
        with folder.open(name) as file:
            data = file.read(MOST_BYTES + 1)
    except (FileNotFoundError, KeyError):
        raise Unreadable("it is gone: it was there when the run began") from None
    except PermissionError:
        raise Unreadable("no right to read it") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise Unreadable(f"the zip does not give it: {error}") from None
    if len(data) != size:
        raise Unreadable(f"it was changed while the run went on: {len(data)} bytes, not {size}")
    return data


def shown(name: str) -> str:
    r"""A file name as text: bytes that are no UTF-8 as \\udc80 and the like."""
    return name.encode("utf-8", "backslashreplace").decode()
