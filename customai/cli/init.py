from __future__ import annotations

import re
import shutil
from pathlib import Path

import click

from customai import paths, ui
from customai.cli import options
from customai.errors import SpecError, StateError
from customai.planner import FILE

SCHEMA = "customai.schema.json"


@click.command("init")
@click.argument("path", metavar="PATH")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@options.output
def command(path: str, folder: Path, output: str) -> None:
    """Copy a path's folder to DIR, to make it your own; `customai deploy DIR` then runs your copy."""
    options.in_group(path)
    paths.module_of(paths.find(path))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SpecError(f"{folder} is already there and not empty", hint="choose a new folder")
    try:
        shutil.copytree(
            paths.folders() / path, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
        )
        shutil.copy(paths.folders() / SCHEMA, folder / SCHEMA)
        spec = folder / FILE
        name = _name(folder)
        spec.write_text(_own(spec.read_text(encoding="utf-8"), name), encoding="utf-8")
    except OSError as error:
        raise StateError(f"the folder cannot be written: {error.strerror}", where=str(folder)) from error
    files = sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())
    lines = [
        f"{folder} is yours: path {path}, deployment '{name}'.",
        f"Next: edit {spec}, then: customai deploy {folder}",
    ]
    ui.show({"path": path, "folder": str(folder), "name": name, "files": files}, lines, output)


def _name(folder: Path) -> str:
    """A deployment's name made of the folder's, so that the copy does not replace the original's deployment."""
    words = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")
    return (words if words[:1].isalpha() else f"my-{words}".strip("-"))[:32].rstrip("-") or "mine"


def _own(text: str, name: str) -> str:
    text = re.sub(r"\$schema=\S+", f"$schema={SCHEMA}", text, count=1)
    return re.sub(r"(?m)^name:.*$", f"name: {name}", text, count=1)
