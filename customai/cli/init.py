from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from customai import paths, ui
from customai.cli import options
from customai.errors import SpecError, StateError
from customai.model import Json
from customai.planner import FILE

if TYPE_CHECKING:
    from customai.convert import Converted

SCHEMA = "customai.schema.json"
OLD_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
OLD_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command("init")
@click.argument("path", metavar="PATH", required=False, shell_complete=options.complete_path)
@click.argument("folder", metavar="DIR", required=False, type=click.Path(path_type=Path))
@click.option(
    "--from-azureml-v1", metavar="OLD", type=OLD_FOLDER, help="A folder with a *.runconfig or a deployment of SDK v1."
)
@click.option("--from-batchai", metavar="CLUSTER.json", type=OLD_FILE, help="Batch AI's cluster; JOB.json comes next.")
@click.option("--from-aztk", metavar="CLUSTER.yaml", type=OLD_FILE, help="AZTK's cluster; JOB.yaml may come next.")
@options.output
def command(
    path: str | None,
    folder: Path | None,
    *,
    from_azureml_v1: Path | None,
    from_batchai: Path | None,
    from_aztk: Path | None,
    output: str,
) -> None:
    """Copy a path's folder to DIR, to make it your own; `customai deploy DIR` then runs your copy.

    PATH is the number of a path, such as 2-5. DIR is a new or an empty folder; the copy's deployment is named after it.

    \b
    From the files of services that are gone, with a list of what has no equal today:
      customai init --from-batchai cluster.json job.json DIR
      customai init --from-aztk cluster.yaml [job.yaml] DIR
      customai init --from-azureml-v1 OLD DIR
    """  # noqa: D301 (click reads the \\b)
    old = [each for each in (from_azureml_v1, from_batchai, from_aztk) if each is not None]
    if len(old) > 1:
        raise click.UsageError("one of --from-azureml-v1, --from-batchai and --from-aztk")
    words = [Path(word) for word in (path, folder) if word is not None]
    if old:
        few, most = (2, 2) if from_batchai else (1, 2) if from_aztk else (1, 1)
        if not few <= len(words) <= most:
            raise click.UsageError("Missing argument 'DIR'." if len(words) < few else "Too many arguments.")
        _from_old(_converted(from_azureml_v1, from_batchai, from_aztk, words[:-1]), old[0], words[-1], output)
        return
    if path is None or folder is None:
        raise click.UsageError(f"Missing argument '{'PATH' if path is None else 'DIR'}'.")
    options.in_group(path)
    paths.module_of(paths.find(path))
    name = _copy(path, folder)
    spec = folder / FILE
    files = sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())
    lines = [
        f"{folder} is yours: path {path}, deployment '{name}'.",
        f"Next: edit {spec}, then: customai deploy {shlex.quote(str(folder))}",
    ]
    ui.show({"path": path, "folder": str(folder), "name": name, "files": files}, lines, output)


def _copy(path: str, folder: Path) -> str:
    """Copies the path's folder; gives the deployment's name."""
    _is_new(folder)
    try:
        shutil.copytree(
            paths.folders() / path, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
        )
        shutil.copy(paths.folders() / SCHEMA, folder / SCHEMA)
        spec, name = folder / FILE, _name(folder)
        spec.write_text(_own(spec.read_text(encoding="utf-8"), name), encoding="utf-8")
    except OSError as error:
        raise StateError(f"the folder cannot be written: {error.strerror or error}", where=str(folder)) from error
    return name


def _is_new(folder: Path) -> None:
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise SpecError(f"{folder} is already there, and not an empty folder", hint="choose a new folder")
    except OSError as error:
        raise StateError(f"the folder cannot be read: {error.strerror or error}", where=str(folder)) from error


def _converted(v1: Path | None, batchai_: Path | None, aztk_: Path | None, more: list[Path]) -> list[Converted]:
    from customai.convert import aztk, azureml_v1, batchai
    from customai.convert.old import read

    if v1 is not None:
        return azureml_v1.convert(v1)
    if batchai_ is not None:
        return [batchai.convert(read(batchai_), read(more[0]))]
    assert aztk_ is not None  # noqa: S101 (for the type checker)
    return [aztk.convert(read(aztk_), read(more[0]) if more else None, aztk_.parent)]


def _from_old(found: list[Converted], old: Path, folder: Path, output: str) -> None:
    """Writes the specs: in the folder, or each in one of its own below it where there are several."""
    for each in found:
        options.in_group(each.path)
    _is_new(folder)
    below = {each.path: paths.find(each.path).group if len(found) > 1 else "" for each in found}
    made = [_write(each, old, folder / below[each.path], _name(folder, below[each.path])) for each in found]
    lines = [line for told in made for line in _told(told)]
    ui.show({"made": made}, lines, output)


def _write(found: Converted, old: Path, folder: Path, name: str) -> Json:
    from customai.convert import spec as writer

    values = {"path": found.path, "name": name}
    if found.example:
        example = (paths.folders() / found.path / FILE).read_text(encoding="utf-8")
        values = writer.merged(writer.example(example), values)
    values = writer.merged(values, found.values)
    text, more = writer.written(values, paths.specs()[found.path], folder / FILE)
    left = [*found.left, *more]
    notes = "".join(f"#   {each.file}: {each.key + ': ' if each.key else ''}{each.why}\n" for each in left)
    head = f"# yaml-language-server: $schema={SCHEMA}\n# Made by `customai init` from {old.name}.\n"
    head += f"# What is not in it:\n{notes}" if notes else ""
    near = old if old.is_dir() else old.parent
    try:
        if found.example:
            _copy(found.path, folder)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(paths.folders() / SCHEMA, folder / SCHEMA)
        (folder / FILE).write_text(head + text, encoding="utf-8")
        missing = {}
        for file, where in found.bring.items():
            beside = [place for place in (near / file, near / where) if "$" not in str(place) and place.is_file()]
            if beside:
                shutil.copy(beside[0], folder / file)
            else:
                missing[file] = where
    except OSError as error:
        raise StateError(f"the folder cannot be written: {error.strerror or error}", where=str(folder)) from error
    told = {"path": found.path, "folder": str(folder), "name": name, "missing": missing}
    return told | {"left": [each.to_json() for each in left]}


def _told(made: Json) -> Iterator[str]:
    yield f"{made['folder']} is yours: path {made['path']}, deployment '{made['name']}'."
    if made["left"]:
        yield ""
        yield "What has no equal today, or another one:"
        yield from ui.table([(each["file"], each["key"], each["why"]) for each in made["left"]])
        yield ""
    for name, where in made["missing"].items():
        yield f"Still missing: {name}, which was {where}: put it into {made['folder']}"
    yield f"Next: customai check {shlex.quote(made['folder'])}, then: customai deploy {shlex.quote(made['folder'])}"


def _name(folder: Path, part: str = "") -> str:
    """A deployment's name made of the folder's, so that the copy does not replace the original's deployment."""
    words = re.sub(r"[^a-z0-9]+", "-", f"{folder.resolve().name} {part}".lower()).strip("-")
    if len(words) < 2 or not words[0].isalpha():  # a name starts with a letter and has at least two characters
        words = f"my-{words}".rstrip("-")
    return words[:32].rstrip("-")


def _own(text: str, name: str) -> str:
    text = re.sub(r"\$schema=\S+", f"$schema={SCHEMA}", text, count=1)
    return re.sub(r"(?m)^name:.*$", f'name: "{name}"', text, count=1)
