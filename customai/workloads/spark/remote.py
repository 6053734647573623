"""Data sets in Azure blob storage, brought here by fsspec: Spark's own connectors are jars that are not at hand.

The predictions are sent back as those of all batch runs: workloads/batch/output.py.

On Databricks, where the connectors are, none of this is needed: the same URLs go to Spark itself.
"""

from __future__ import annotations

import shutil

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
