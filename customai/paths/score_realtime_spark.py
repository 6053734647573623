"""Real-time scoring of a model trained with Spark (2-1): behind an endpoint, or on a stream of rows.

The model is an ONNX file, so no request waits for Spark: the endpoint is the one of the other real-time paths.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from customai.model import Json, Step, dumps
from customai.paths import Files, azure_online
from customai.paths import score_realtime as serving
from customai.paths.azure_ml_section import Online
from customai.paths.score_batch_spark import Spark
from customai.paths.score_realtime import Endpoint, SmokeTest
from customai.paths.served_model import Model
from customai.provisioning import job, stream
from customai.spec import Secret
from customai.spec import key as spec_key

TYPE = re.compile(
    r"string|boolean|byte|short|int|integer|long|bigint|float|double|date|timestamp|decimal(\(\d+,\d+\))?"
)


@dataclass(frozen=True)
class Train:
    """Train anew with Spark, instead of serving the kept model."""

    script: str = spec_key("The script that trains.", default="train.py")
    uses: tuple[str, ...] = spec_key(
        "Other files that it needs: a change in one trains anew.", default=("generate.py",)
    )
    rows: int = spec_key("How many rows are generated to learn from.", default=1_000_000, minimum=1000)
    trees: int = spec_key("How many trees.", default=30, minimum=1, maximum=1000)
    depth: int = spec_key("How many questions a tree may ask.", default=5, minimum=1, maximum=12)
    memory: str = spec_key("Spark's memory.", default="2g", pattern=r"^\d+[mg]$", expected="such as 2g or 800m")


@dataclass(frozen=True)
class Kafka:
    """A topic of Kafka's."""

    servers: str = spec_key("host:port, with commas between several.", pattern=r"^[^\s,:]+:\d+(,[^\s,:]+:\d+)*$")
    topic: str = spec_key("The topic's name.", pattern=r"^[\w.-]+$")
    options: dict[str, str] = spec_key(
        "Further options of Spark's Kafka source.", default=dict, examples=({"startingOffsets": "latest"},)
    )


@dataclass(frozen=True)
class EventHubs:
    """An Azure event hub, read as Kafka."""

    namespace: str = spec_key("The namespace's host.", pattern=r"^[\w.-]+$", examples=("mine.servicebus.windows.net",))
    hub: str = spec_key("The event hub's name.", pattern=r"^[\w.-]+$")
    connection: Secret = spec_key("Where the connection string is.")
    options: dict[str, str] = spec_key("Further options of Spark's Kafka source.", default=dict)


@dataclass(frozen=True)
class Stream:
    """Where rows come from, and where they go with their answers. A row is one JSON object: a line, or a message."""

    folder: str | None = spec_key("A folder in which files of JSON lines arrive.", default=None, examples=("incoming",))
    kafka: Kafka | None = spec_key("A topic of Kafka's.", default=None)
    event_hubs: EventHubs | None = spec_key("An Azure event hub.", default=None)
    output: str = spec_key("The folder that gets a folder of Parquet files for each batch.", default="scored")
    keep: dict[str, str] = spec_key(
        "Keys that are carried to the output, and their types in Spark's words.",
        default=dict,
        examples=({"machine": "long", "at": "timestamp"},),
    )
    nulls: Literal["error", "nan"] = spec_key(
        "A missing number: error gives the row no answer and says why, nan hands it to the model.", default="error"
    )
    columns: tuple[str, ...] = spec_key(
        "The keys of a model that takes one matrix, in its order; other models name theirs.", default=()
    )
    every: float = spec_key("Seconds from one batch to the next.", default=1.0, minimum=0.0, maximum=3600.0)
    files: int = spec_key("Most files in a batch.", default=100, minimum=1)

    def problems(self) -> Iterable[tuple[str, str]]:
        if sum(source is not None for source in (self.folder, self.kafka, self.event_hubs)) != 1:
            yield "", "expected exactly one of folder, kafka and event_hubs"
        for name, type_ in self.keep.items():
            if not TYPE.fullmatch(type_):
                yield (
                    f"keep.{name}",
                    f"expected a type of Spark's such as long, double, string or timestamp, got {type_}",
                )


@dataclass(frozen=True)
class Spec:
    """Path 2-1: real-time scoring of a machine learning model trained with Spark."""

    path: Literal["2-1"] = spec_key("The learning path.")
    name: str = spec_key(
        "The deployment's name, and the model's in requests.",
        pattern=r"^[a-z][a-z0-9-]{0,30}[a-z0-9]$",
        examples=("maintenance",),
        expected="2 to 32 small letters, digits and hyphens, a letter first",
    )
    model: Model = spec_key("The trained model.")
    mode: Literal["serve", "stream"] = spec_key(
        "serve answers requests at once; stream scores what arrives, with Spark.", default="serve"
    )
    train: Train | None = spec_key("Train anew with Spark, instead of serving the kept model.", default=None)
    endpoint: Endpoint = spec_key("For mode: serve.", default=Endpoint)
    smoke_test: SmokeTest | None = spec_key("A request with a known answer.", default=None)
    stream: Stream | None = spec_key("For mode: stream.", default=None)
    spark: Spark = spec_key("Where and how Spark runs, for mode: stream.", default=Spark)
    azure: Online | None = spec_key("With --target azure: where, and on what machines.", default=None)

    def problems(self) -> Iterable[tuple[str, str]]:
        if self.mode == "stream" and self.stream is None:
            yield "stream", "mode: stream needs it"
        if self.model.versions and (self.train is not None or self.mode == "stream"):
            yield "model.versions", "expected a single file: what is trained anew, or scores a stream, is one model"
        if self.model.preprocessing is not None:
            yield "model.preprocessing", "it is for images: that is path 2-5"


def files(spec: Spec) -> tuple[tuple[str, str], ...]:
    """(key path, file) of every file of the user's own that the spec names."""
    named = list(serving.files(_served(spec)))
    if spec.train is not None:
        named = [(place, file) for place, file in named if place != "model.file"]
        named += [("train.script", spec.train.script), *(("train.uses", file) for file in spec.train.uses)]
    hub = spec.stream.event_hubs if spec.stream is not None else None
    if hub is not None and hub.connection.file is not None:
        named.append(("stream.event_hubs.connection.file", hub.connection.file))
    return tuple(named)


def steps(spec: Spec, files: Files) -> tuple[Step, ...]:
    served = _served(spec)
    if spec.train is not None:
        # Where the trained model lies is known when it is trained; its digest is the training's own business.
        kept = replace(served.model, file="hf://to/be/trained.onnx", sha256=None)
        made = serving.steps(replace(served, model=kept), files)
        source = {"source": {"$ref": "train#result/model"}, "sha256": ""}
        made = tuple(replace(s, inputs=s.inputs | source) if s.kind == "model" else s for s in made)
        made = (_train(spec.train, files), *made)
    else:
        made = serving.steps(served, files)
    if spec.mode == "serve" or spec.stream is None:
        return made
    return (*(step for step in made if step.kind in ("job", "model")), _stream(spec, spec.stream, files))


def azure_problems(spec: Spec) -> Iterable[tuple[str, str]]:
    """(key path, message) of what is right on this machine and would be left undone on Azure."""
    yield from serving.azure_problems(_served(spec))
    if spec.mode == "stream":
        yield "mode", "a stream runs on this machine only: serve answers there, or --target local"
    if spec.train is not None:
        yield (
            "train",
            "on Azure the kept model is served: train it here (customai deploy trains, --target local), and leave this out",
        )


def azure_steps(spec: Spec, files: Files, surroundings: Json) -> tuple[Step, ...]:
    """An online endpoint that serves the kept model in the same way: no Spark is paid for to answer."""
    section = spec.azure or Online()
    return serving.composed(
        azure_online.steps, section, spec, serving.steps(_served(spec), files), files=files, surroundings=surroundings
    )


def _served(spec: Spec) -> serving.Spec:
    return serving.Spec(
        path="2-2", name=spec.name, model=spec.model, endpoint=spec.endpoint, smoke_test=spec.smoke_test
    )


def _train(train: Train, files: Files) -> Step:
    named = (train.script, *train.uses)
    given = {"rows": train.rows, "trees": train.trees, "depth": train.depth, "memory": train.memory}
    return job.step(
        "train",
        argv=["python", files.absolute(train.script), *(word for k, v in given.items() for word in (f"--{k}", str(v)))],
        cwd=files.absolute("."),
        uses={files.absolute(file): files.sha256(file) for file in named},
        why=f"Spark trains on {train.rows:,} rows, and writes the model as ONNX",
    )


def _stream(spec: Spec, asked: Stream, files: Files) -> Step:
    request = {
        "name": spec.name,
        "output": files.output(asked.output),
        "columns": asked.columns,
        "keep": list(asked.keep),
        "types": asked.keep,
        "nulls": asked.nulls,
        "every": asked.every,
        "files": asked.files,
        **spec.spark.to_json(),
        **_source(asked, files),
    }
    return stream.step(
        "stream",
        argv=["python", "-m", "customai.workloads.spark.stream", dumps(request), {"$ref": "model#folder"}],
        cwd=files.absolute("."),
        why=f"Spark scores what arrives into {asked.output}, each row once",
    )


def _source(asked: Stream, files: Files) -> Json:
    if asked.kafka is not None:
        kafka = asked.kafka
        return {"source": "kafka", "servers": kafka.servers, "topic": kafka.topic, "options": dict(kafka.options)}
    if asked.event_hubs is not None:
        hub = asked.event_hubs
        where = (
            f"env:{hub.connection.env}" if hub.connection.env else f"file:{files.absolute(hub.connection.file or '')}"
        )
        found = {"source": "event_hubs", "servers": hub.namespace, "topic": hub.hub, "options": dict(hub.options)}
        return {**found, "connection": where}
    return {"source": "folder", "input": files.absolute(asked.folder or "")}
