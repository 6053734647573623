"""What a run reads, cut into chunks: written before anything is scored, so that a run that goes on finds the same ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from customai.errors import CustomAIError, SpecError
from customai.workloads.batch import storage
from customai.workloads.batch.request import Request
from customai.workloads.batch.storage import Entry, Folder
from customai.workloads.scoring.signature import Signature, Tensor

ROWS = 2**17  # of a CSV's chunk
# A Parquet file's chunk is a small share of the input, so that no worker is left with a long one at the end; at most
# about a second's work, so that little is lost when a machine is; and not so little that writing it down counts.
SHARE, FEWEST, MOST = 1 / 32, 2**14, 2**18
IMAGES = 2_000
CORRUPT = "it cannot be read"


@dataclass(frozen=True)
class Input:
    """The files that a run reads, and those beside them that it does not."""

    folder: Folder
    entries: list[Entry]
    ignored: int

    def digest(self) -> str:
        """Of names, sizes and versions: another one is another input."""
        hashed = hashlib.sha256()
        for entry in self.entries:
            hashed.update(json.dumps([entry.name, entry.size, entry.version]).encode())
        return hashed.hexdigest()


def find(request: Request) -> Input:
    """Raises SpecError where there is nothing to score."""
    folder, only = storage.of(request.input)
    if request.kind == "images" and only is not None and only.lower().endswith(".zip"):
        found = unzipped(folder, only)
        return _chosen(found, found.entries(), request)
    if only is not None:
        return Input(folder, [folder.entry(only)], 0)
    return _chosen(folder, folder.entries(), request)


def unzipped(folder: Folder, name: str) -> Folder:
    import zipfile

    from customai.workloads.batch.images import Zip

    try:
        return Zip(folder.open(name), f"{folder.where}/{name}")
    except zipfile.BadZipFile:
        raise SpecError("this is no zip, or it is cut short", where=f"{folder.where}/{name}") from None


def _chosen(folder: Folder, entries: list[Entry], request: Request) -> Input:
    suffixes = suffixes_of(request.kind)
    chosen = [entry for entry in entries if entry.name.lower().endswith(suffixes)]
    if not chosen:
        what = f"no {' or '.join(suffixes)} file"
        beside = f" ({len(entries)} other files)" if entries else ""
        raise SpecError(f"the input is empty: there is {what} in it{beside}", where=folder.where)
    return Input(folder, chosen, len(entries) - len(chosen))


def suffixes_of(kind: str) -> tuple[str, ...]:
    return (".png", ".jpg", ".jpeg") if kind == "images" else (".parquet", ".pq", ".csv")


def fingerprint(request: Request, found: Input) -> str:
    """Of everything that decides what comes out: two runs with the same one have the same output."""
    return hashlib.sha256(json.dumps([request.mark(), found.digest()], sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Cut:
    """The manifest: chunks, files that cannot be read, and how columns and model fit together."""

    head: dict[str, Any]
    chunks: list[dict[str, Any]]

    @property
    def rows(self) -> int:
        return sum(chunk["rows"] for chunk in self.chunks)

    def write(self, path: Path) -> None:
        lines = [json.dumps(self.head), *(json.dumps(chunk) for chunk in self.chunks)]
        path.write_text("".join(f"{line}\n" for line in lines))

    @classmethod
    def read(cls, path: Path) -> Cut:
        with open(path) as file:
            head = json.loads(next(file))
            return cls(head, [json.loads(line) for line in file])


def cut(request: Request, found: Input, told: dict[str, Any], mark: str) -> Cut:
    """The input in chunks, for the model that a worker told of.

    Raises:
        SpecError: the columns do not fit the model, or there is no row.
    """
    signature = signature_of(told["signature"])
    head: dict[str, Any] = {"format": 1, "fingerprint": mark, "fields": told["fields"], "refused": []}
    if request.kind == "images":
        from customai.workloads.batch import images

        head["kept"] = images.KEPT.serialize().to_pybytes().hex()
        chunks = list(images.cut(found.entries, request.chunk or IMAGES))
    else:
        chunks = list(_rows(request, found, signature, head))
    for number, chunk in enumerate(chunks):
        chunk["id"] = number
    if not chunks and not head["refused"]:
        raise SpecError("the input is empty: its files have no rows", where=found.folder.where)
    names = schema(head).names
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise SpecError(f"the output would have two columns '{twice}': leave it out of `keep`", where=request.input)
    return Cut(head, chunks)


def _rows(request: Request, found: Input, signature: Signature, head: dict[str, Any]) -> Iterator[dict[str, Any]]:
    import pyarrow as pa

    from customai.workloads.batch.rows import kept_schema, layout_of

    wrong: CustomAIError | None = None
    layout = None
    for entry in found.entries:
        where, text = f"{found.folder.where}/{entry.name}", is_csv(entry.name)
        try:
            columns, chunks = _of_file(request, found, entry)
            if layout is None:
                layout = layout_of(signature, request, columns, where, text=text)
                kept = kept_schema(layout, columns, as_text=text)
                head |= {"matrix": layout.matrix, "features": layout.features}
                head["kept"] = kept.serialize().to_pybytes().hex()
                head["ignored_columns"] = [name for name in columns.names if name not in layout.needed]
            else:
                layout.check(columns, where, text=text)
        except SpecError as error:
            wrong = wrong or error
            head["refused"].append([entry.name, error.message])
            continue
        except (pa.ArrowException, OSError) as error:
            head["refused"].append([entry.name, f"{CORRUPT}: {first_line(error)}"])
            continue
        yield from ({"file": entry.name, "size": entry.size, "version": entry.version, **chunk} for chunk in chunks)
    if layout is None and wrong is not None:
        raise wrong  # no file fits: it is the spec that is wrong
    if layout is None:
        name, reason = head["refused"][0]
        raise SpecError(
            f"none of the {len(found.entries)} files can be read: {name}: {reason}", where=found.folder.where
        )


def _of_file(request: Request, input_: Input, entry: Entry) -> tuple[Any, list[dict[str, Any]]]:
    """(schema, chunks) of a Parquet or CSV file."""
    folder = input_.folder
    if is_csv(entry.name):
        from customai.workloads.batch import delimited

        found, start = delimited.schema(folder, entry.name, request.delimiter)
        return found, [
            {**chunk, "names": found.names}
            for chunk in delimited.cut(folder, entry.name, start, entry.size, request.chunk or ROWS)
        ]
    from customai.workloads.batch import parquet

    with parquet.opened(folder, entry.name) as file:
        # As many rows as it would have if all files were like this one.
        rows = file.metadata.num_rows * sum(each.size for each in input_.entries) / entry.size
        size = request.chunk or min(max(round(SHARE * rows), FEWEST), MOST)
        return file.schema_arrow, list(parquet.cut(file, size))


def is_csv(name: str) -> bool:
    return name.lower().endswith(".csv")


def first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__


def schema(head: dict[str, Any]) -> Any:
    """The Arrow schema of the output."""
    import pyarrow as pa

    return pa.schema([*revived(head["kept"]), *revived(head["fields"])])


def revived(text: str) -> Any:
    """An Arrow schema from its hex digits."""
    import pyarrow as pa

    return pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(text)))


def signature_of(said: dict[str, Any]) -> Signature:
    """The signature that a worker told in JSON."""
    inputs, outputs = (
        tuple(Tensor(each["name"], each["datatype"], tuple(each["shape"])) for each in said[side])
        for side in ("inputs", "outputs")
    )
    return Signature(inputs, outputs)
