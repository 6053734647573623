"""The eight learning paths: a line here, a function that composes kinds into steps, and a folder a user copies.

A path's module has a `Spec` (what its customai.yaml may say) and `steps(spec, files)` (what has to be done for it).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path as FilePath
from typing import Any, Protocol

from customai.errors import SpecError
from customai.model import Step
from customai.spec import key


@dataclass(frozen=True)
class Path:
    """A learning path; `module` composes its steps."""

    id: str
    group: str
    title: str
    service: str
    module: str


PATHS = {
    path.id: path
    for path in (
        Path(
            "1-1",
            "train-single",
            "Training on a single node",
            "Data Science Virtual Machine",
            "customai.paths.train_single",
        ),
        Path(
            "1-2",
            "train-multi",
            "Training on many nodes",
            "Azure ML compute cluster, after Batch AI",
            "customai.paths.train_multi",
        ),
        Path(
            "2-1",
            "score-realtime",
            "Real-time scoring, machine learning with Spark",
            "Azure Databricks + ONNX endpoint",
            "customai.paths.score_realtime_spark",
        ),
        Path(
            "2-2",
            "score-realtime",
            "Real-time scoring, machine learning",
            "Azure ML online endpoint",
            "customai.paths.score_online",
        ),
        Path(
            "2-3",
            "score-batch",
            "Batch scoring, machine learning with Spark",
            "Azure Databricks job, after AZTK",
            "customai.paths.score_batch_spark",
        ),
        Path(
            "2-4",
            "score-batch",
            "Batch scoring, machine learning",
            "Azure ML batch endpoint",
            "customai.paths.score_batch",
        ),
        Path(
            "2-5",
            "score-realtime",
            "Real-time scoring, deep learning",
            "Azure Kubernetes Service",
            "customai.paths.score_realtime",
        ),
        Path(
            "2-6",
            "score-batch",
            "Batch scoring, deep learning",
            "Azure ML GPU cluster, after Batch AI",
            "customai.paths.score_batch",
        ),
    )
}


# What runs on another target than this machine: its module then composes TARGET_steps(spec, files, surroundings).
ELSEWHERE: dict[str, tuple[str, ...]] = {"azure": ("1-1", "1-2", "2-1", "2-2", "2-3", "2-4", "2-5", "2-6")}


@dataclass(frozen=True)
class AnySpec:
    """What every path's customai.yaml has: the path, which decides what else there is."""

    path: str = key("The learning path.", expected=f"one of {', '.join(PATHS)}")


class Files(Protocol):
    """The files that a spec names, relative to its own folder."""

    def absolute(self, name: str) -> str: ...
    def output(self, name: str) -> str: ...
    def sha256(self, name: str) -> str: ...
    def lines(self, name: str) -> list[str]: ...
    def listing(self, name: str) -> str: ...
    def matching(self, pattern: str) -> dict[str, str]: ...


class Module(Protocol):
    """What a path's module offers."""

    Spec: type

    @staticmethod
    def steps(spec: Any, files: Files) -> tuple[Step, ...]: ...

    @staticmethod
    def files(spec: Any) -> tuple[tuple[str, str], ...]:
        """(key path, file) of every file of the user's own that the spec names."""


def find(id_: str) -> Path:
    if id_ not in PATHS:
        raise SpecError(f"there is no path '{id_}'", hint=f"the paths are {', '.join(PATHS)}: customai paths")
    return PATHS[id_]


def module_of(path: Path) -> Any:
    """What composes the path's steps: a Module."""
    return import_module(path.module)


def specs() -> dict[str, type]:
    """What the customai.yaml of every path may say: path id -> the class of its spec."""
    return {path.id: module_of(path).Spec for path in PATHS.values()}


def folders() -> FilePath:
    """Where the paths' folders are: inside the installed package, or beside it in a checkout."""
    package = FilePath(__file__).parent.parent
    installed = package / "_paths"
    return installed if installed.is_dir() else package.parent / "paths"
