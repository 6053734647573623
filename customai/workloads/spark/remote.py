"""Data sets in Azure blob storage, brought here and sent back by fsspec: Spark's own connectors are jars to be fetched.

On Databricks, where the connectors are, none of this is needed: the same URLs go to Spark itself.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from customai.errors import SpecError
from customai.workloads.batch import storage
from customai.workloads.job.run import Run


def fetched(url: str, run: Run) -> str:
    """A folder of this machine with the URL's files; those that are there already are not fetched again."""
    folder, single = storage.of(url)
    entries = [folder.entry(single)] if single else folder.entries()
    if not entries:
        raise SpecError("there is nothing under this URL", where=url)
    here = run.folder / "input"
    for number, entry in enumerate(entries):
        run.progress(number, len(entries), "files fetched")
        file = here / entry.name
        mark = file.with_name(f".{file.name}.version")
        if mark.exists() and mark.read_text() == entry.version:
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        with storage.reaching(url), folder.open(entry.name) as source, open(file, "wb") as copy:
            shutil.copyfileobj(source, copy, 2**20)
        mark.write_text(entry.version)
    names = {entry.name for entry in entries}
    for left_over in [each for each in here.rglob("*") if each.is_file() and not each.name.startswith(".")]:
        if str(left_over.relative_to(here)) not in names:
            left_over.unlink()
    return str(here)


def send(folder: Path, url: str, run: Run) -> None:
    """The folder's files under the URL; the old ones go after the new ones are there, the summary comes last."""
    files, root = storage.connected(url)
    with storage.reaching(url):
        before = set(files.find(root)) if files.exists(root) else set()
        found = sorted((each for each in folder.rglob("*") if each.is_file()), key=_last)
        for number, file in enumerate(found):
            run.progress(number, len(found), "files sent")
            files.put_file(str(file), f"{root}/{file.relative_to(folder).as_posix()}")
        sent = {f"{root}/{file.relative_to(folder).as_posix()}" for file in found}
        for old in sorted(before - sent):
            files.rm_file(old)


def _last(file: Path) -> tuple[bool, str]:
    return file.name.startswith("_"), str(file)
