"""A run's folder, put in place as a whole: written aside, then renamed. Whoever reads sees the old run or the new one."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from customai.errors import CustomAIError, Forbidden, NoQuota, StateError

SUMMARY = "_summary.json"


class Output:
    """OUTPUT/NAME, where NAME is run=... or batch=...; what begins with a dot is work in progress, which no reader sees."""

    def __init__(self, output: Path, name: str) -> None:
        self.final = output / name
        self.aside = output / f".{name}.new"
        self._old = output / f".{name}.old"

    def begin(self) -> Path:
        """The folder to write into: not there yet, its parent is."""
        try:
            self.final.parent.mkdir(parents=True, exist_ok=True)
            if self._old.exists() and not self.final.exists():
                self._old.rename(self.final)  # killed between the two renames: the old run is still the run
            for left_over in (self.aside, self._old):
                if left_over.exists():
                    shutil.rmtree(left_over)
            self.aside.mkdir()  # tells now whether it can be written, not after an hour's work
            self.aside.rmdir()
        except OSError as error:
            raise unwritable(error, self.final.parent) from None
        return self.aside

    def commit(self, summary: Mapping[str, Any] | None = None) -> None:
        try:
            if summary is not None:
                (self.aside / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
            for checksum in self.aside.rglob(".*.crc"):  # Hadoop's own, of no use to other readers
                checksum.unlink()
            _to_disk(self.aside)
            if self.final.exists():
                self.final.rename(self._old)
            self.aside.rename(self.final)
            _sync(self.final.parent)
            shutil.rmtree(self._old, ignore_errors=True)
        except OSError as error:
            raise unwritable(error, self.final) from None


def unwritable(error: OSError, where: Path) -> CustomAIError:
    if error.errno in (28, 122):  # ENOSPC, EDQUOT
        return NoQuota("the disk is full", where=str(where), hint="free some disk space")
    kind = Forbidden if isinstance(error, PermissionError) else StateError
    return kind(f"the output cannot be written: {error.strerror}", where=str(where), hint="whose is it? ls -ld")


def _to_disk(folder: Path) -> None:
    for root, _, files in os.walk(folder):
        for name in files:
            _sync(Path(root) / name)
        _sync(Path(root))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
