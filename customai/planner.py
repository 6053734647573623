"""From a spec file to a plan: (spec, target) -> the path's steps, each lowered to the target's request.

Reads the spec and the files it names, and nothing else.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from customai import paths, spec
from customai.errors import NotAvailable, SpecError
from customai.model import Plan, Step, digest
from customai.spec import Problem
from customai.targets.base import Target

FILE = "customai.yaml"


@dataclass(frozen=True)
class Source:
    """A spec file that was read and is right."""

    file: Path
    text: str
    path: paths.Path
    spec: Any
    warnings: tuple[Problem, ...] = ()

    @property
    def name(self) -> str:
        return str(self.spec.name)


class SpecFiles:
    """The files that a spec names, relative to the spec's own folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def absolute(self, name: str) -> str:
        return str((self.folder / Path(name).expanduser()).resolve())

    def output(self, name: str) -> str:
        """Where results go: beside the spec; for a path's own spec, which is no place of the user's, where they are."""
        folder = Path.cwd() if is_packaged(self.folder) else self.folder
        return str((folder / Path(name).expanduser()).resolve())

    def sha256(self, name: str) -> str:
        return _sha256(self.absolute(name))

    def lines(self, name: str) -> list[str]:
        return Path(self.absolute(name)).read_text(encoding="utf-8").splitlines()

    def listing(self, name: str) -> str:
        """A digest of the names, sizes and times of the files below; of a URL, or where nothing is, of nothing."""
        place = Path(self.absolute(name))
        below = [place, *sorted(place.rglob("*"))] if "://" not in name and place.exists() else []
        found = [(str(file), file.stat()) for file in below if file.is_file()]
        return digest([[name, state.st_size, state.st_mtime_ns] for name, state in found])

    def matching(self, pattern: str) -> dict[str, str]:
        """The files whose names are the pattern's, by what stands in place of its {key}."""
        whole = Path(self.absolute(pattern))
        start, _, end = whole.name.partition("{key}")
        names = [file.name for file in whole.parent.glob("*")] if whole.parent.is_dir() else []
        matching = [name for name in names if name.startswith(start) and name.endswith(end)]
        keys = {name[len(start) : len(name) - len(end)]: str(whole.parent / name) for name in matching}
        if not keys:
            raise SpecError("there is no such model file", where=str(whole), hint="see `models.files` in the spec")
        return keys


def is_packaged(folder: Path) -> bool:
    """Whether it is a path's own folder, which is no place of the user's."""
    return folder.resolve().parent == paths.folders().resolve()


def locate(given: str) -> Path:
    """The spec file that a user means by a path's id, a file, or a folder with a customai.yaml in it."""
    if given in paths.PATHS:
        paths.module_of(paths.PATHS[given])  # says so, if it does not run yet
        return paths.folders() / given / FILE
    file = Path(given)
    if file.is_dir():
        file = file / FILE
    if not file.is_file():
        hint = f"give a path's id ({', '.join(paths.PATHS)}) or a customai.yaml; to make one: customai init 2-5 DIR"
        what = f"there is no {FILE} in {given}" if Path(given).is_dir() else f"there is no spec '{given}'"
        raise SpecError(what, hint=hint)
    return file


def read(file: Path) -> Source:
    """The spec in this file.

    Raises:
        InvalidSpec: with every problem, those of the files it names included.
        NotAvailable: its path does not run yet.
    """
    try:
        text = file.read_text(encoding="utf-8", errors="surrogateescape")  # load() tells where it is not UTF-8
    except OSError as error:
        raise SpecError(f"the spec cannot be read: {error.strerror}", where=str(file)) from None
    path = _path(text, file)
    module = paths.module_of(path)
    found = spec.load(text, module.Spec, file=str(file))
    problems = [
        (place, message)
        for place, name in module.files(found)
        if (message := _problem_of_file(place, SpecFiles(file.parent).absolute(name), found))
    ]
    if problems:
        raise spec.invalid(text, problems, file=str(file))
    return Source(file, text, path, found, spec.warnings(text, found, file=str(file)))


def plan(source: Source, target: Target) -> Plan:
    """The path's steps as this target's requests; steps of a kind that does not exist there are left out.

    Raises:
        NotAvailable: the path does not run on this target yet.
    """
    asked = _steps(source, target)
    steps = [step for step in asked if target.lowers(step.kind)]
    there = {step.id for step in steps}
    return Plan(
        name=source.name,
        path=source.path.id,
        target=target.name,
        spec_digest=digest([step.to_json() for step in asked]),
        steps=tuple(
            replace(step, inputs=target.lower(step), after=tuple(need for need in step.needs if need in there))
            for step in steps
        ),
    )


def _steps(source: Source, target: Target) -> tuple[Step, ...]:
    module, files = paths.module_of(source.path), SpecFiles(source.file.parent)
    steps: tuple[Step, ...]
    if target.name == "local":
        steps = module.steps(source.spec, files)
        return steps
    compose = getattr(module, f"{target.name}_steps", None)
    if compose is None or source.path.id not in paths.ELSEWHERE[target.name]:
        ready = ", ".join(paths.ELSEWHERE.get(target.name, ())) or "none yet"
        raise NotAvailable(
            f"path {source.path.id} does not run on target {target.name} yet",
            hint=f"what does: {ready}; on this machine: --target local",
        )
    not_there = tuple(getattr(module, f"{target.name}_problems", _none)(source.spec))
    if not_there:
        raise spec.invalid(source.text, not_there, file=str(source.file))
    steps = compose(source.spec, files, target.surroundings(source.spec))
    return steps


def _none(_spec: Any) -> tuple[tuple[str, str], ...]:
    return ()


def _path(text: str, file: Path) -> paths.Path:
    id_ = spec.read_path(text, file=str(file))
    if id_ in paths.PATHS:
        return paths.PATHS[id_]
    if id_ is not None:
        message = f"there is no path '{id_}': expected one of {', '.join(paths.PATHS)}"
        raise spec.invalid(text, [("path", message)], file=str(file))
    try:
        spec.load(text, paths.AnySpec, file=str(file))
    except spec.InvalidSpec as error:  # without a path, nobody knows which other keys there are
        raise spec.InvalidSpec(str(file), tuple(each for each in error.problems if each.key in ("", "path"))) from None
    raise AssertionError("a spec without a path was accepted")


def _problem_of_file(place: str, file: str, found: Any) -> str | None:
    try:
        if not Path(file).is_file():
            return f"there is no file {file}"
        if place == "model.labels":
            return (
                None
                if Path(file).read_text(encoding="utf-8").strip()
                else f"{file} is empty: expected one label a line"
            )
        if _promised(found, place) not in (None, actual := _sha256(file)):
            return f"its SHA-256 is {actual}, not the one that `sha256` names: was the file changed?"
    except UnicodeDecodeError:
        return f"{file} is not UTF-8 text"
    except OSError as error:
        return f"{file} cannot be read: {error.strerror}"
    return None


def _promised(found: Any, place: str) -> str | None:
    """The `sha256` beside this `file`, if there is one: in "model.versions[1].file" that of the second version."""
    *parents, name = re.findall(r"\w+", place)
    if name != "file":
        return None
    for part in parents:
        found = found[int(part)] if part.isdigit() else getattr(found, part)
    return getattr(found, "sha256", None)


def _sha256(file: str) -> str:
    found = os.stat(file)
    return _sha256_of(file, found.st_mtime_ns, found.st_size)


@cache
def _sha256_of(file: str, _modified: int, _size: int) -> str:
    hashed = hashlib.sha256()
    with open(file, "rb") as opened:
        while block := opened.read(2**20):
            hashed.update(block)
    return hashed.hexdigest()
