"""What is asked of a Spark job, as it stands in its arguments: JSON, no secrets."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

from customai.errors import StateError

T = TypeVar("T", bound="Request")
# What changes how a batch run is done, but not what comes out of it.
_NOT_THE_RESULT = ("name", "run", "output", "limit_errors", "master", "memory")


@dataclass(frozen=True)
class Request:
    """What batch runs and streams have in common.

    Attributes:
        name: the application's name in Spark.
        columns: of a model that takes one matrix, in its order; the others name their columns themselves.
        keep: columns carried to the output.
        nulls: error | nan: what a missing feature is.
        master: local[*], local[2], spark://host:7077, ...; existing: the session that is there
        memory: the driver's, as Spark writes it: 2g.
        conf: further settings of Spark.
    """

    name: str
    output: str
    columns: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    nulls: str = "error"
    master: str = "local[*]"
    memory: str = "2g"
    conf: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls: type[T], text: str) -> T:  # noqa: PYI019 (Self is not in Python 3.10)
        asked: dict[str, Any] = json.loads(text)
        if unknown := asked.keys() - {each.name for each in fields(cls)}:
            raise StateError(f"a request of another version of customai: {', '.join(sorted(unknown))}")
        made: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in asked.items()
        }
        return cls(**made)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def settings(self) -> dict[str, str]:
        return {"spark.driver.memory": self.memory, **self.conf}


@dataclass(frozen=True)
class BatchRequest(Request):
    """A data set in, OUTPUT/run=RUN out.

    Attributes:
        scorer: onnx | sparkml.
        pipeline: the saved SparkML pipeline's folder, for sparkml.
        labels: of its classes.
        limit_errors: with more rows and files in error than this, the run fails when all is done.
    """

    run: str = "latest"
    input: str = ""
    format: str = "auto"
    delimiter: str = ","
    scorer: str = "onnx"
    pipeline: str = ""
    labels: tuple[str, ...] = ()
    partition_by: tuple[str, ...] = ()
    limit_errors: int = 0

    def mark(self) -> dict[str, Any]:
        """What decides what comes out, the input's content and the model aside."""
        return {name: value for name, value in self.to_json().items() if name not in _NOT_THE_RESULT}


@dataclass(frozen=True)
class StreamRequest(Request):
    """What arrives in, OUTPUT/batch=NUMBER out.

    Attributes:
        source: folder | kafka | event_hubs.
        input: the folder of files of JSON lines, for a folder.
        servers: of Kafka, host:port with commas between; or the Event Hubs namespace's host.
        topic: of Kafka, or the event hub.
        connection: env:NAME or file:PATH of an Event Hubs connection string; never the string itself.
        options: further ones of Spark's Kafka source.
        types: of the kept columns, in Spark's words: {"machine": "long"}.
        every: seconds between two batches.
        files: most files in a batch.
    """

    source: str = "folder"
    input: str = ""
    servers: str = ""
    topic: str = ""
    connection: str = ""
    options: dict[str, str] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    every: float = 1.0
    files: int = 100
