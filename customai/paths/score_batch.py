"""Batch scoring without Spark (2-4: rows, 2-6: images): models, a job that scores a whole data set, perhaps a schedule."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

from customai.model import Json, Step, digest
from customai.paths import Files, azure_batch, cron
from customai.paths.azure_ml_section import Batch
from customai.paths.served_model import A_VERSION, SHA256, VERSION, Preprocessing, Version
from customai.provisioning import data_factory_trigger, function_app, job, model, schedule
from customai.spec import key as spec_key

URLS = ("abfss://", "abfs://", "wasbs://", "wasb://", "az://")
RUN = r"^[A-Za-z0-9][\w.-]{0,63}$"
FORMAT = 1  # of a request, read by customai.workloads.batch
KEY = "{key}"
RUN_NAME = job.RUN_NAME


@dataclass(frozen=True)
class Model:
    """The trained model, in ONNX."""

    file: str = spec_key(
        "A path, an https:// URL (with sha256), or hf://owner/repo/file.onnx (with @revision if you like).",
        examples=("model.onnx", "https://example.org/model.onnx", "hf://owner/repo/model.onnx"),
    )
    sha256: str | None = spec_key(
        "The file's SHA-256: another file is refused.", default=None, pattern=SHA256, expected="64 hex digits"
    )
    version: str = spec_key("Which version it is.", default="1", pattern=VERSION, expected=A_VERSION)
    labels: str | None = spec_key(
        "A text file with one label a line, in the order of the model's outputs.", default=None
    )
    scores: Literal["probabilities", "logits"] = spec_key("What the model puts out.", default="probabilities")
    preprocessing: Preprocessing | None = spec_key("For models of images.", default=None)

    def problems(self) -> Iterable[tuple[str, str]]:
        return Version(self.version, self.file, self.sha256).problems()


@dataclass(frozen=True)
class Models:
    """One model for each value of a column."""

    files: str = spec_key(
        "The models' files, with {key} where the column's value stands.", examples=("models/{key}.onnx",)
    )
    key: str = spec_key("The column whose value chooses the model.")
    scores: Literal["probabilities", "logits"] = spec_key("What the models put out.", default="probabilities")
    labels: str | None = spec_key("A text file with one label a line, the same for all models.", default=None)

    def problems(self) -> Iterable[tuple[str, str]]:
        if self.files.count(KEY) != 1 or "://" in self.files:
            yield "files", "expected a path with {key} once in it, such as models/{key}.onnx"


@dataclass(frozen=True)
class Spec:
    """Batch scoring: every row or image of a data set, exactly once."""

    path: Literal["2-4", "2-6"] = spec_key("The learning path.")
    name: str = spec_key(
        "The deployment's name.",
        pattern=r"^[a-z][a-z0-9-]{0,30}[a-z0-9]$",
        examples=("sensors",),
        expected="2 to 32 small letters, digits and hyphens, a letter first",
    )
    input: str = spec_key(
        "What is scored: a file, a folder (for 2-6 also a zip) or an abfss://, wasbs:// or az:// URL.",
        examples=("data", "abfss://container@account.dfs.core.windows.net/data"),
    )
    output: str = spec_key(
        "A folder or a URL; each run has a folder `run=NAME` in it.", examples=("predictions",), default="predictions"
    )
    model: Model | None = spec_key("The trained model.", default=None)
    models: Models | None = spec_key("Many models, one for each value of a column.", default=None)
    columns: tuple[str, ...] = spec_key(
        "The columns that the model takes, in the order it was trained with; by default all numeric ones.", default=()
    )
    keep: tuple[str, ...] = spec_key("Columns that are carried to the output, such as an id.", default=())
    predictions: Literal["auto", "label", "outputs"] = spec_key(
        "label and probability, or the model's outputs as they are; auto: label where the model has classes.",
        default="auto",
    )
    delimiter: str = spec_key("What separates the values of a CSV.", default=",", pattern=r"^[^\r\n\"]$")
    null_text: str = spec_key("What a null is to an input of texts.", default="")
    csv: bool = spec_key("Write the predictions as CSV too.", default=False)
    limit_errors: int = spec_key(
        "How many inputs may be unreadable; with more the run fails, when all others are done.", default=0, minimum=0
    )
    run: str = spec_key(
        "The name of deploy's own run.",
        default="deploy",
        pattern=RUN,
        expected="at most 64 letters, digits, _ . and -, a letter or digit first",
    )
    schedule: str | None = spec_key(
        "When to run again, as a cron expression in UTC.", default=None, examples=("*/5 * * * *", "30 2 * * mon-fri")
    )
    workers: int = spec_key("Processes that score; 0: one for each core.", default=0, minimum=0, maximum=256)
    batch: int = spec_key("Rows in one call of the model; 0: chosen.", default=0, minimum=0, maximum=1_000_000)
    chunk: int = spec_key(
        "Rows of a part, which is what is done again at most; 0: chosen.", default=0, minimum=0, maximum=10_000_000
    )

    azure: Batch | None = spec_key("With --target azure: where, and on what nodes.", default=None)

    def problems(self) -> Iterable[tuple[str, str]]:
        for name, place in (("input", self.input), ("output", self.output)):
            if "://" in place and not place.startswith(URLS):
                yield name, f"expected a path, or a URL with one of {', '.join(URLS)}"
        yield from self._problems_of_the_schedule()
        if (self.model is None) == (self.models is None):
            yield "model", "expected exactly one of model and models"
        yield from self._problems_of_images() if self.path == "2-6" else self._problems_of_rows()

    def _problems_of_the_schedule(self) -> Iterable[tuple[str, str]]:
        own = self.azure.schedule if self.azure is not None else None
        if self.azure is not None and self.azure.cluster.spot and self.schedule is not None:
            yield "azure.cluster.spot", "a schedule needs the cluster's endpoint: leave one of the two out"
        if self.schedule is None:
            return
        try:
            times = cron.parsed(self.schedule)
        except ValueError as error:
            yield "schedule", str(error)
            return
        if own is None:
            return
        knows = function_app if own.service == "functions" else data_factory_trigger
        if problem := knows.problem(times):
            yield "schedule", problem

    def _problems_of_rows(self) -> Iterable[tuple[str, str]]:
        if self.model is not None and self.model.preprocessing is not None:
            yield "model.preprocessing", "it is for images: that is path 2-6"
        if len(set(self.columns)) != len(self.columns):
            yield "columns", "expected each column once"

    def _problems_of_images(self) -> Iterable[tuple[str, str]]:
        if self.models is not None:
            yield "models", "they are for rows: that is path 2-4"
        elif self.model is not None and self.model.preprocessing is None:
            yield "model.preprocessing", "it is missing: it says how an image becomes the model's input"
        for name, value in (("columns", self.columns), ("keep", self.keep)):
            if value:
                yield name, "an image has no columns: that is for path 2-4"


def files(spec: Spec) -> tuple[tuple[str, str], ...]:
    """(key path, file) of every file of the user's own that the spec names."""
    named: list[tuple[str, str | None]] = []
    if spec.model is not None:
        if "://" not in spec.model.file:
            named.append(("model.file", spec.model.file))
        named.append(("model.labels", spec.model.labels))
    if spec.models is not None:
        named.append(("models.labels", spec.models.labels))
    return tuple((place, file) for place, file in named if file is not None)


def steps(spec: Spec, files: Files) -> tuple[Step, ...]:
    made = []
    if spec.model is not None:
        made.append(_model(spec, spec.model, files))
    request = _request(spec, files)
    where = "images" if spec.path == "2-6" else "rows"
    made.append(
        job.step(
            "score",
            argv=_argv(request, spec),
            cwd=files.absolute("."),
            env={job.RUN_NAME: spec.run},
            uses={request["input"]: files.listing(spec.input)},
            why=f"scores all {where} of {spec.input} into {spec.output}/run={spec.run}",
        )
    )
    if spec.schedule is not None:
        made.append(
            schedule.step(
                "schedule",
                cron=spec.schedule,
                times=cron.parsed(spec.schedule),
                argv=_argv({**request, "run": schedule.NAME}, spec),
                cwd=files.absolute("."),
                jobs="score",
                why=f"runs it again at {spec.schedule} (UTC)",
            )
        )
    return tuple(made)


def azure_steps(spec: Spec, files: Files, surroundings: Json) -> tuple[Step, ...]:
    """Nodes that score the same data set with the same request."""
    return azure_batch.steps(
        spec.azure or Batch(),
        name=spec.name,
        path=spec.path,
        spec_digest=digest(asdict(spec)),
        subscription=surroundings["subscription"],
        files=files,
        spec=spec,
        request=_request(spec, files),
        models=() if spec.model is None else (_model(spec, spec.model, files),),
    )


def _argv(request: Json, spec: Spec) -> list[Json]:
    command: list[Json] = ["python", "-m", "customai.workloads.batch", json.dumps(request, sort_keys=True)]
    return command if spec.model is None else [*command, {"$ref": "model#folder"}]


def _model(spec: Spec, trained: Model, files: Files) -> Step:
    is_local = "://" not in trained.file
    return model.step(
        "model",
        source=files.absolute(trained.file) if is_local else trained.file,
        sha256=files.sha256(trained.file) if is_local else trained.sha256 or "",
        name=spec.name,
        version=trained.version,
        labels=files.lines(trained.labels) if trained.labels is not None else None,
        scores=trained.scores,
        preprocessing=trained.preprocessing.to_json() if trained.preprocessing is not None else None,
        smoke_test=None,
        why="the trained model, fetched and verified",
    )


def _request(spec: Spec, files: Files) -> Json:
    """What customai.workloads.batch is asked, the model folder aside: that is known later."""
    asked: Json = {
        "format": FORMAT,
        "kind": "images" if spec.path == "2-6" else "rows",
        "run": spec.run,
        "input": spec.input if "://" in spec.input else files.absolute(spec.input),
        "output": spec.output if "://" in spec.output else files.output(spec.output),
        **{name: list(getattr(spec, name)) for name in ("columns", "keep")},
        **{name: getattr(spec, name) for name in ("predictions", "delimiter", "null_text", "csv", "limit_errors")},
        **{name: getattr(spec, name) for name in ("workers", "batch", "chunk")},
    }
    if spec.models is not None:
        found = files.matching(spec.models.files)
        asked["models"] = {key: [file, files.sha256(file)] for key, file in sorted(found.items())}
        asked["key"] = spec.models.key
        labels = spec.models.labels
        asked["card"] = {
            "format": model.FORMAT,
            "name": spec.name,
            "version": "1",
            "labels": files.lines(labels) if labels is not None else None,
            "scores": spec.models.scores,
            "preprocessing": None,
            "smoke_test": None,
        }
    return asked
