"""Training on a single node (1-1): a script, run to its end in a folder of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Literal

from customai.model import Json, Step, digest
from customai.paths import Files, azure_training
from customai.paths.azure_section import Training
from customai.provisioning import job
from customai.spec import Scalar
from customai.spec import key as spec_key

NAME = r"^[a-z][a-z0-9-]{0,30}[a-z0-9]$"
PARAMETER = re.compile(r"[A-Za-z][\w-]*")


@dataclass(frozen=True)
class Train:
    """What is trained, and how."""

    script: str = spec_key(
        "The Python script that trains.", examples=("train.py",), pattern=r".+\.py$", expected="the path of a .py file"
    )
    parameters: dict[str, Scalar] = spec_key(
        "Handed to the script as --name value, named as the script names them; true gives a bare --name.", default=dict
    )
    files: tuple[str, ...] = spec_key("What else the script depends on: a change in one trains again.", default=())

    def problems(self) -> Iterable[tuple[str, str]]:
        yield from wrong_names("parameters", self.parameters)


@dataclass(frozen=True)
class Tracking:
    """Who is told of each run."""

    mlflow: bool = spec_key("Whether MLflow is told; needs the extra `tracking`.", default=False)
    uri: str | None = spec_key(
        "Where MLflow keeps its runs; by default a folder beside the run folders, on this machine.",
        default=None,
        examples=("http://127.0.0.1:5000",),
        pattern=r"^[a-z]+:\S+$",
        expected="an address, such as http://127.0.0.1:5000 or file:///data/mlruns",
    )

    def problems(self) -> Iterable[tuple[str, str]]:
        if self.uri is not None and not self.mlflow:
            yield "uri", "it is for MLflow: add `mlflow: true`, or leave it out"
        if self.uri is not None and re.match(r"\w+://[^/]*@", self.uri):
            yield "uri", "no name or password in it: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead"

    def env(self, experiment: str) -> dict[str, str]:
        return {"CUSTOMAI_TRACKING": json.dumps({"experiment": experiment, "uri": self.uri})} if self.mlflow else {}


@dataclass(frozen=True)
class Spec:
    """Path 1-1: training on a single node."""

    path: Literal["1-1"] = spec_key("The learning path.")
    name: str = spec_key(
        "The deployment's name, and the experiment's in MLflow.",
        pattern=NAME,
        examples=("digits-training",),
        expected="2 to 32 small letters, digits and hyphens, a letter first",
    )
    train: Train = spec_key("What is trained, and how.")
    tracking: Tracking = spec_key("Who is told of each run.", default=Tracking)
    azure: Training | None = spec_key("With --target azure: where, and on what machine.", default=None)


def files(spec: Spec) -> tuple[tuple[str, str], ...]:
    """(key path, file) of every file of the user's own that the spec names."""
    return named(spec.train)


def named(train: Train) -> tuple[tuple[str, str], ...]:
    others = ((f"train.files[{number}]", file) for number, file in enumerate(train.files))
    return (("train.script", train.script), *others)


def steps(spec: Spec, files: Files) -> tuple[Step, ...]:
    command = ["python", "-m", "customai.workloads.training", *script_of(spec.train, files)]
    why = f"{spec.train.script}, from its last checkpoint if there is one"
    return (step(command, spec.train, spec.tracking.env(spec.name), files, why),)


def azure_steps(spec: Spec, files: Files, surroundings: Json) -> tuple[Step, ...]:
    """A machine to train on."""
    return azure_training.steps(
        spec.azure or Training(),
        name=spec.name,
        path=spec.path,
        spec_digest=digest(asdict(spec)),
        subscription=surroundings["subscription"],
        files=files,
    )


def step(command: list[Json], train: Train, env: Mapping[str, str], files: Files, why: str) -> Step:
    """The one step of a training, whatever the command that sees it through."""
    uses = {files.absolute(file): files.sha256(file) for _, file in named(train)}
    folder = str(PurePath(files.absolute(train.script)).parent)
    return job.step("train", argv=command, cwd=folder, env={"PYTHONUNBUFFERED": "1", **env}, uses=uses, why=why)


def script_of(train: Train, files: Files) -> list[str]:
    return [files.absolute(train.script), *arguments(train.parameters)]


def arguments(parameters: Mapping[str, Scalar]) -> list[str]:
    """{"epochs": 60, "fast": True} -> --epochs 60 --fast."""
    found: list[str] = []
    for name, value in parameters.items():
        if value is True:
            found.append(f"--{name}")
        elif value is not False:
            found += [f"--{name}", str(value)]
    return found


def wrong_names(place: str, parameters: Json) -> Iterable[tuple[str, str]]:
    for name in parameters:
        if not PARAMETER.fullmatch(name):
            yield f"{place}.{name}", "expected a name of letters, digits, - and _, without the leading --"
