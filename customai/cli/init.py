from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import click

from customai import paths, ui
from customai.cli import options
from customai.errors import SpecError, StateError
from customai.planner import FILE

SCHEMA = "customai.schema.json"


@click.command("init")
@click.argument("path", metavar="PATH", shell_complete=options.complete_path)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@options.output
def command(path: str, folder: Path, output: str) -> None:
    """Copy a path's folder to DIR, to make it your own; `customai deploy DIR` then runs your copy.

    PATH is the number of a path, such as 2-5. DIR is a new or an empty folder; the copy's deployment is named after it.
    """
    options.in_group(path)
    paths.module_of(paths.find(path))
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise SpecError(f"{folder} is already there, and not an empty folder", hint="choose a new folder")
        shutil.copytree(
            paths.folders() / path, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
        )
        shutil.copy(paths.folders() / SCHEMA, folder / SCHEMA)
        spec = folder / FILE
        name = _name(folder)
        spec.write_text(_own(spec.read_text(encoding="utf-8"), name), encoding="utf-8")
    except OSError as error:
        raise StateError(f"the folder cannot be written: {error.strerror or error}", where=str(folder)) from error
    files = sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())
    lines = [
        f"{folder} is yours: path {path}, deployment '{name}'.",
        f"Next: edit {spec}, then: customai deploy {shlex.quote(str(folder))}",
    ]
    ui.show({"path": path, "folder": str(folder), "name": name, "files": files}, lines, output)


def _name(folder: Path) -> str:
    """A deployment's name made of the folder's, so that the copy does not replace the original's deployment."""
    words = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")
    if len(words) < 2 or not words[0].isalpha():  # a name starts with a letter and has at least two characters
        words = f"my-{words}".rstrip("-")
    return words[:32].rstrip("-")


def _own(text: str, name: str) -> str:
    text = re.sub(r"\$schema=\S+", f"$schema={SCHEMA}", text, count=1)
    return re.sub(r"(?m)^name:.*$", f'name: "{name}"', text, count=1)
