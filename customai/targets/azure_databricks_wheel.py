"""A wheel of customai's own workloads: what pip installs on every machine of a Databricks cluster. The same bytes for the same code."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

from customai import __version__

INFO = f"customai-{__version__}.dist-info"
WORK = "customai.workloads.spark.there:main"
EPOCH = (2020, 1, 1, 0, 0, 0)


def written(folder: Path, wheel: Path, entry: str) -> None:
    """Packs the folder's `customai` into a wheel, with one command, `entry`."""
    files = {each.relative_to(folder).as_posix(): each.read_bytes() for each in sorted(folder.glob("customai/**/*.*"))}
    files |= {
        f"{INFO}/METADATA": f"Metadata-Version: 2.1\nName: customai\nVersion: {__version__}\n".encode(),
        f"{INFO}/WHEEL": b"Wheel-Version: 1.0\nGenerator: customai\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{INFO}/entry_points.txt": f"[console_scripts]\n{entry} = {WORK}\n".encode(),
    }
    record = "".join(f"{name},sha256={_hashed(data)},{len(data)}\n" for name, data in files.items())
    files[f"{INFO}/RECORD"] = f"{record}{INFO}/RECORD,,\n".encode()
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, EPOCH), data, zipfile.ZIP_DEFLATED)


def _hashed(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
