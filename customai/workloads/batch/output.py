"""From a staging folder to OUTPUT/run=NAME: errors gathered, the summary written, then all of it in place at once.

On this machine that is a rename. Blob storage has no rename of folders: there the summary is taken away first and
written last, so that a run is whole where its _summary.json is.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from customai.workloads.batch.staging import Staging, fsync, writing
from customai.workloads.batch.storage import connected, is_url, reaching

SUMMARY = "_summary.json"
ERRORS = "_errors.parquet"
ERRORS_TEXT = "_errors.csv"
_ERROR_SCHEMA = pa.schema([("file", pa.string()), ("row", pa.int64()), ("reason", pa.string())])
_AT_ONCE = 10_000  # errors in memory


def place_of(output: str, run: str) -> str:
    return f"{output.rstrip('/')}/run={run}"


def staging_of(output: str, run: str, run_folder: Path) -> Path:
    """Beside the output, so that a rename is enough; for a URL in the job's own folder."""
    return run_folder / "staging" if is_url(output) else Path(output) / f"_run={run}"


def summary_of(output: str, run: str) -> dict[str, Any] | None:
    """That of the run which is there, if it is whole."""
    place = place_of(output, run)
    try:
        if is_url(output):
            files, path = connected(place)
            with reaching(place):
                if not files.exists(f"{path}/{SUMMARY}"):
                    return None
                data: bytes = files.cat_file(f"{path}/{SUMMARY}")
        else:
            data = (Path(place) / SUMMARY).read_bytes()
        found: dict[str, Any] = json.loads(data)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return found


def finish(staging: Staging, refused: list[list[str]], schema: pa.Schema, summary: dict[str, Any]) -> None:
    """Makes staging/output what the run will be; the summary last."""
    with writing(staging.folder):
        if not list(staging.output.glob("part-*.parquet")):  # everything was refused: still a table, with its columns
            pq.write_table(schema.empty_table(), staging.output / "part-00000.parquet")
        if refused or any((staging.folder / "errors").iterdir()):
            _write_errors(staging, refused)
        _write(staging.output / SUMMARY, json.dumps(summary, indent=2) + "\n")


def _write_errors(staging: Staging, refused: list[list[str]]) -> None:
    with (
        pq.ParquetWriter(staging.output / ERRORS, _ERROR_SCHEMA) as parquet,
        open(staging.output / ERRORS_TEXT, "w", encoding="utf-8", newline="") as text,
    ):
        lines = csv.writer(text)
        lines.writerow(_ERROR_SCHEMA.names)
        for some in _in_parts(_refusals(staging.folder, refused)):
            columns = [
                pa.array(list(values), kind)
                for values, kind in zip(zip(*some, strict=True), _ERROR_SCHEMA.types, strict=True)
            ]
            parquet.write_batch(pa.RecordBatch.from_arrays(columns, schema=_ERROR_SCHEMA))
            lines.writerows(some)
        text.flush()
        os.fsync(text.fileno())


def _refusals(folder: Path, refused: list[list[str]]) -> Iterator[tuple[str, int | None, str]]:
    for file, reason in refused:
        yield file, None, reason
    for path in sorted((folder / "errors").glob("*.jsonl")):
        with open(path) as lines:
            for line in lines:
                file, row, reason = json.loads(line)
                yield file, row, reason


def _in_parts(items: Iterator[tuple[str, int | None, str]]) -> Iterator[list[tuple[str, int | None, str]]]:
    some = []
    for item in items:
        some.append(item)
        if len(some) == _AT_ONCE:
            yield some
            some = []
    if some:
        yield some


def finished(staging: Staging, mark: str) -> bool:
    """Whether all that is left to do is to put it in place."""
    try:
        return bool(json.loads((staging.output / SUMMARY).read_bytes())["fingerprint"] == mark)
    except (OSError, ValueError, KeyError):
        return False


def publish(staging: Staging, output: str, run: str) -> None:
    """The run in place, as a whole: what was there under its name is gone."""
    if is_url(output):
        _upload(staging.output, place_of(output, run))
    else:
        with writing(staging.folder):
            _swap(staging, Path(place_of(output, run)))


def _swap(staging: Staging, place: Path) -> None:
    old = staging.folder / "old"
    if staging.output.exists():
        if place.exists():
            shutil.rmtree(old, ignore_errors=True)
            place.rename(old)
        staging.output.rename(place)
    fsync(place.parent)


def put_back(staging: Staging, output: str, run: str) -> None:
    """A run that was taken aside for one that never came: it is what counts."""
    if not is_url(output):
        old, place = staging.folder / "old", Path(place_of(output, run))
        if old.exists() and not place.exists():
            with writing(staging.folder):
                old.rename(place)


def tidy(staging: Staging) -> None:
    """Nothing of the staging folder is needed any more."""
    with contextlib.suppress(OSError):
        staging.clear()
        (staging.folder / "lock").unlink()
        staging.folder.rmdir()


def _upload(folder: Path, place: str) -> None:
    files, path = connected(place)
    with reaching(place):
        there = set(files.find(path)) if files.exists(path) else set()
        if f"{path}/{SUMMARY}" in there:
            files.rm_file(f"{path}/{SUMMARY}")
        made = sorted(each for each in folder.rglob("*") if each.is_file() and each.name != SUMMARY)
        names = {f"{path}/{each.relative_to(folder).as_posix()}": each for each in made}
        for old in sorted(there - names.keys() - {f"{path}/{SUMMARY}"}):
            files.rm_file(old)
        for name, each in names.items():
            files.put_file(str(each), name, overwrite=True)
        files.pipe_file(f"{path}/{SUMMARY}", (folder / SUMMARY).read_bytes(), overwrite=True)


def _write(path: Path, text: str) -> None:
    temporary = path.parent.parent / "tmp" / path.name
    temporary.write_text(text)
    fsync(temporary)
    temporary.replace(path)
    fsync(path.parent)
