"""Batch scoring with Spark (2-3): a data set in, a folder of Parquet out, by an ONNX model or by the SparkML pipeline."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any, Literal

from customai.model import Json, Step, digest, dumps
from customai.paths import Files, cron
from customai.paths.azure_spark_section import SparkBatch, ending_runtime, wrong_runtime
from customai.provisioning import data_factory_trigger, databricks_job, job, model, schedule
from customai.spec import key as spec_key

RUN = r"^[A-Za-z0-9][\w.-]{0,63}$"
URLS = ("abfss://", "abfs://", "wasbs://", "wasb://", "az://")
NAME = r"^[a-z][a-z0-9-]{0,30}[a-z0-9]$"
SHA256 = r"^[0-9a-f]{64}$"
MASTER = r"^(local(\[(\d+|\*)\])?|spark://[^\s:/]+:\d+(,[^\s:/]+:\d+)*)$"
ONCE = "the columns' names, each once"
SERVICES = {"databricks": "customai.paths.azure_databricks", "aml": "customai.paths.azure_spark"}  # on Azure


@dataclass(frozen=True)
class Model:
    """The trained model, in ONNX."""

    file: str = spec_key("The ONNX file.", examples=("model.onnx",))
    sha256: str | None = spec_key(
        "The file's SHA-256: another file is refused.", default=None, pattern=SHA256, expected="64 hex digits"
    )
    version: str = spec_key("Which version it is.", default="1", pattern=r"^[\w.-]{1,64}$")
    labels: str | None = spec_key(
        "A text file with one label a line, in the order of the model's outputs.", default=None
    )
    scores: Literal["probabilities", "logits"] = spec_key("What the model puts out.", default="probabilities")


@dataclass(frozen=True)
class Spark:
    """Where and how Spark runs."""

    master: str = spec_key(
        "local[*] is this machine with all its cores; spark://host:7077 a standalone cluster.",
        default="local[*]",
        pattern=MASTER,
        expected="local[*], local[N] or spark://host:port",
    )
    service: Literal["databricks", "aml"] = spec_key(
        "With --target azure: Azure Databricks, or the serverless Spark of Azure ML.", default="databricks"
    )
    memory: str = spec_key(
        "The driver's memory, on this machine.", default="2g", pattern=r"^\d+[mg]$", expected="such as 2g or 800m"
    )
    conf: dict[str, str] = spec_key(
        "Further settings of Spark's.", default=dict, examples=({"spark.executor.memory": "4g"},)
    )

    def problems(self) -> Iterable[tuple[str, str]]:
        for name in self.conf:
            if not name.startswith("spark."):
                yield f"conf.{name}", "expected the name of a setting of Spark's: it begins with spark."
            elif re.search(r"(?i)secret|password|token|account\.key", name):
                yield f"conf.{name}", "no secret in a spec: put it into Spark's own spark-defaults.conf"

    def to_json(self) -> Json:
        return {"master": self.master, "memory": self.memory, "conf": dict(self.conf)}


@dataclass(frozen=True)
class Spec:
    """Path 2-3: batch scoring of a machine learning model with Spark."""

    path: Literal["2-3"] = spec_key("The learning path.")
    name: str = spec_key(
        "The deployment's name.",
        pattern=NAME,
        examples=("maintenance-batch",),
        expected="2 to 32 small letters, digits and hyphens, a letter first",
    )
    input: str = spec_key("What is scored: a folder or a file, or an abfss:// or wasbs:// URL.", examples=("data",))
    output: str = spec_key(
        "A folder or a URL; each run has a folder `run=NAME` in it.", examples=("predictions",), default="predictions"
    )
    run: str = spec_key(
        "The name of deploy's own run. A run of the same name is replaced as a whole.",
        default="deploy",
        pattern=RUN,
        expected="at most 64 letters, digits, _ . and -, a letter or digit first",
    )
    scorer: Literal["onnx", "sparkml"] = spec_key(
        "What scores: onnxruntime in Spark's Python workers, or the saved pipeline itself.", default="onnx"
    )
    model: Model | None = spec_key("The trained model, for scorer: onnx.", default=None)
    pipeline: str | None = spec_key(
        "The folder of a pipeline that PipelineModel.save left, for scorer: sparkml.", default=None
    )
    pipeline_labels: str | None = spec_key("A text file with one label a line, for scorer: sparkml.", default=None)
    columns: tuple[str, ...] = spec_key(
        "The columns of a model that takes one matrix, in its order; other models name theirs.", default=()
    )
    keep: tuple[str, ...] = spec_key("Columns carried to the output.", default=(), examples=(["id"],))
    partition_by: tuple[str, ...] = spec_key("Columns whose values become folders of the output.", default=())
    format: Literal["auto", "parquet", "csv"] = spec_key(
        "Of the input's files; auto looks at their names.", default="auto"
    )
    delimiter: str = spec_key("What stands between a CSV's values.", default=",", pattern=r"^.$")
    nulls: Literal["error", "nan"] = spec_key(
        "A missing number: error names the row and gives it no answer, nan hands it to the model.", default="error"
    )
    limit_errors: int = spec_key(
        "With more rows and files in error than this, the run fails when all is done.", default=0, minimum=0
    )
    schedule: str | None = spec_key(
        "When to run again, as a cron expression in UTC.", default=None, examples=("30 2 * * mon-fri",)
    )
    spark: Spark = spec_key("Where and how Spark runs.", default=Spark)
    azure: SparkBatch | None = spec_key("With --target azure: where, and on what machines.", default=None)

    def problems(self) -> Iterable[tuple[str, str]]:
        if self.scorer == "onnx" and self.model is None:
            yield "model", "scorer: onnx needs it"
        if self.scorer == "sparkml" and self.pipeline is None:
            yield "pipeline", "scorer: sparkml needs the folder of the saved pipeline"
        for name in ("input", "output"):
            place = getattr(self, name)
            if "://" in place and not place.startswith(URLS):
                yield name, f"expected a path, or a URL with one of {', '.join(URLS)}"
        for name in ("columns", "keep", "partition_by"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                yield name, f"expected {ONCE}"
        yield from self._problems_of_the_schedule()
        if self.azure is not None and self.spark.service == "databricks":
            yield from wrong_runtime("azure.runtime", self.azure.runtime)

    def _problems_of_the_schedule(self) -> Iterable[tuple[str, str]]:
        if self.schedule is None:
            return
        try:
            times = cron.parsed(self.schedule)
        except ValueError as error:
            yield "schedule", str(error)
            return
        there = databricks_job if self.spark.service == "databricks" else data_factory_trigger
        if self.azure is not None and (problem := there.problem(times)):
            yield "schedule", problem

    def warnings(self) -> Iterable[tuple[str, str]]:
        if self.azure is not None and self.spark.service == "databricks":
            yield from ending_runtime("azure.runtime", self.azure.runtime)


def files(spec: Spec) -> tuple[tuple[str, str], ...]:
    """(key path, file) of every file of the user's own that the spec names."""
    if spec.scorer == "sparkml":
        return (("pipeline_labels", spec.pipeline_labels),) if spec.pipeline_labels else ()
    assert spec.model is not None  # noqa: S101 (problems() saw to it)
    return tuple((f"model.{key}", file) for key in ("file", "labels") if (file := getattr(spec.model, key)) is not None)


def steps(spec: Spec, files: Files) -> tuple[Step, ...]:
    request, models = _request(spec, files), _models(spec, files)
    return (*models, _score(spec, request, models, files), *_schedule(spec, request, models, files))


def azure_problems(spec: Spec) -> Iterable[tuple[str, str]]:
    """(key path, message) of what this version cannot do on Azure."""
    if spec.spark.service == "aml":
        yield "spark.service", "the serverless Spark of Azure ML is not there yet: take databricks"


def azure_steps(spec: Spec, files: Files, surroundings: Json) -> tuple[Step, ...]:
    """The same request, on the machines of a service."""
    made: tuple[Step, ...] = import_module(SERVICES[spec.spark.service]).steps(
        spec.azure or SparkBatch(),
        name=spec.name,
        path=spec.path,
        spec_digest=digest(asdict(spec)),
        subscription=surroundings["subscription"],
        files=files,
        spec=spec,
        request=_request(spec, files),
        models=_models(spec, files),
    )
    return made


def _request(spec: Spec, files: Files) -> Json:
    """What customai.workloads.spark.batch is asked, the model folder aside: that is known later."""
    request = {
        "name": spec.name,
        "input": _place(spec.input, files),
        "output": spec.output if "://" in spec.output else files.output(spec.output),
        "run": spec.run,
        "scorer": spec.scorer,
        "columns": spec.columns,
        "keep": spec.keep,
        "partition_by": spec.partition_by,
        "format": spec.format,
        "delimiter": spec.delimiter,
        "nulls": spec.nulls,
        "limit_errors": spec.limit_errors,
        **spec.spark.to_json(),
    }
    if spec.scorer == "sparkml":
        labels = files.lines(spec.pipeline_labels) if spec.pipeline_labels else []
        request |= {"pipeline": files.absolute(spec.pipeline or ""), "labels": labels}
    return request


def _models(spec: Spec, files: Files) -> tuple[Step, ...]:
    return () if spec.scorer == "sparkml" else (model_step(spec.name, spec.model, files),)


def model_step(name: str, kept: Any, files: Files) -> Step:
    return model.step(
        "model",
        source=files.absolute(kept.file),
        sha256=files.sha256(kept.file),
        name=name,
        version=kept.version,
        labels=files.lines(kept.labels) if kept.labels is not None else None,
        scores=kept.scores,
        preprocessing=None,
        smoke_test=None,
        why="the trained model, verified and checked",
    )


def _argv(request: Json, models: tuple[Step, ...]) -> list[Json]:
    folder = [{"$ref": f"{step.id}#folder"} for step in models]
    return ["python", "-m", "customai.workloads.spark.batch", dumps(request), *folder]


def _schedule(spec: Spec, request: Json, models: tuple[Step, ...], files: Files) -> tuple[Step, ...]:
    if spec.schedule is None:
        return ()
    again = schedule.step(
        "schedule",
        cron=spec.schedule,
        times=cron.parsed(spec.schedule),
        argv=_argv({**request, "run": schedule.NAME}, models),
        cwd=files.absolute("."),
        jobs="score",
        why=f"runs it again at {spec.schedule} (UTC)",
    )
    return (again,)


def _score(spec: Spec, request: Json, models: tuple[Step, ...], files: Files) -> Step:
    return job.step(
        "score",
        argv=_argv(request, models),
        cwd=files.absolute("."),
        env={job.RUN_NAME: spec.run},
        uses={request[place]: files.listing(request[place]) for place in ("input", "pipeline") if place in request},
        why=f"Spark scores {spec.input} into {spec.output}/run={spec.run}, on {spec.spark.master}",
    )


def _place(place: str, files: Files) -> str:
    """A URL as it is, a path made absolute."""
    return place if "://" in place else files.absolute(place)
