"""Checkpoints: all or nothing, and known by the digest in their names. Reading one never runs code that it holds."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from pathlib import Path
from typing import Any

KEEP = 2  # the newest may be damaged by whatever stopped the run
_NAME = re.compile(r"step-(\d+)-([0-9a-f]{16})\.(json|pt)")


def save(folder: Path, step: int, state: Any) -> None:
    """Writes it and removes those that are older than the last two."""
    data, kind = _encoded(state)
    folder.mkdir(exist_ok=True)
    temporary = folder / f".new-{os.getpid()}"
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / f"step-{step:09}-{_digest(data)}.{kind}")
    handle = os.open(folder, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)
    for old in _newest_first(folder)[KEEP:]:
        old.unlink(missing_ok=True)


def load(folder: Path) -> tuple[int, Any] | None:
    """(step, state) of the newest that is whole."""
    for file in _newest_first(folder):
        step, digest, kind = _parts(file)
        data = file.read_bytes()
        if _digest(data) == digest:
            return step, _decoded(data, kind)
    return None


def _newest_first(folder: Path) -> list[Path]:
    found = [file for file in folder.iterdir() if _NAME.fullmatch(file.name)] if folder.is_dir() else []
    return sorted(found, key=lambda file: (_parts(file)[0], file.stat().st_mtime_ns), reverse=True)


def _parts(file: Path) -> tuple[int, str, str]:
    match = _NAME.fullmatch(file.name)
    assert match is not None  # noqa: S101 (for the type checker)
    return int(match[1]), match[2], match[3]


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _encoded(state: Any) -> tuple[bytes, str]:
    """JSON where that says all of it; tensors as PyTorch saves them."""
    try:
        text = json.dumps(state, allow_nan=False)
        if json.loads(text) == state:
            return text.encode(), "json"
    except (TypeError, ValueError):
        pass
    import torch

    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue(), "pt"


def _decoded(data: bytes, kind: str) -> Any:
    if kind == "json":
        return json.loads(data)
    import torch

    return torch.load(io.BytesIO(data), weights_only=True)  # only tensors and plain values: no code
