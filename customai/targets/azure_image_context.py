"""What goes into an image, as one archive: the same bytes whenever it holds the same, with no times and no owners."""

from __future__ import annotations

import gzip
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from customai.errors import RunFailed
from customai.model import Json
from customai.targets import local_store
from customai.targets.base import Watch


@contextmanager
def packed(inputs: Json, watch: Watch) -> Iterator[IO[bytes]]:
    """The archive (tar.gz) of an image's build context, open for reading.

    Raises:
        NotFound, RunFailed: a file is not there, or not the one that was planned.
    """
    with tempfile.TemporaryDirectory(prefix="customai-") as folder, tempfile.TemporaryFile() as file:
        laid_out(inputs, Path(folder), watch)
        with (
            gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as zipped,
            tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as archive,
        ):
            for path in sorted(Path(folder).rglob("*")):
                if path.is_file():
                    _add(archive, path, path.relative_to(folder).as_posix())
        file.seek(0)
        yield file


def laid_out(inputs: Json, folder: Path, watch: Watch) -> None:
    """The texts, files and models of these inputs in a folder, each as it was planned."""
    for name, text in inputs["texts"].items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    for each in inputs["files"]:
        place = folder / each["name"]
        place.parent.mkdir(parents=True, exist_ok=True)
        if local_store.fetch(each["source"], place, watch) != each["sha256"]:
            hint = "run the same command again: the plan is made anew"
            raise RunFailed("the file was changed since the plan was made", where=each["source"], hint=hint)
    for name, model in inputs["models"].items():
        (folder / name).mkdir(parents=True)
        local_store.fill(folder / name, model, watch)


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.mode, entry.size = 0o644, path.stat().st_size
    with open(path, "rb") as file:
        archive.addfile(entry, file)
