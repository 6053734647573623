"""Where a stream comes from: JSON lines, one object a line or a message, from a folder, Kafka or Azure Event Hubs.

Event Hubs speaks Kafka: the connection string is its password. Secrets are read here, in the process that needs them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from customai.errors import NotFound, SpecError
from customai.workloads.spark.dataset import TEXT
from customai.workloads.spark.request import StreamRequest

CORRUPT = "_corrupt"
FOREVER = "36500d"  # Spark otherwise overlooks a file that is a week older than the newest


def connector() -> str:
    """The jar that Kafka and Event Hubs need, as Maven names it."""
    import pyspark

    return f"org.apache.spark:spark-sql-kafka-0-10_2.13:{pyspark.__version__}"


def settings(request: StreamRequest) -> dict[str, str]:
    """What the session needs beside the request's own settings: the connector, unless its jars are named there."""
    if request.source == "folder" or {"spark.jars", "spark.jars.packages"} & request.conf.keys():
        return {}
    return {"spark.jars.packages": connector()}


def options(request: StreamRequest, secret: str = "") -> tuple[str, dict[str, str]]:
    """Spark's name of the source, and its options."""
    if request.source == "folder":
        return "text", {
            "path": f"file://{request.input}",
            "maxFilesPerTrigger": str(request.files),
            "maxFileAge": FOREVER,
        }
    found = {"subscribe": request.topic, "startingOffsets": "earliest", "failOnDataLoss": "true"}
    if request.source == "kafka":
        return "kafka", found | {"kafka.bootstrap.servers": request.servers} | dict(request.options)
    return "kafka", found | {
        "kafka.bootstrap.servers": f"{request.servers}:9093",
        "kafka.security.protocol": "SASL_SSL",
        "kafka.sasl.mechanism": "PLAIN",
        "kafka.sasl.jaas.config": _login(secret),
        **request.options,
    }


def _make(folder: Path) -> None:
    """Files are to arrive in it: it may be new, its parent is a typing mistake if it is not there."""
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise SpecError(f"the folder to read from cannot be made: {error.strerror}", where=str(folder)) from None


def _login(connection: str) -> str:
    quoted = re.sub(r'(["\\])', r"\\\1", connection)
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    return f'{module} required username="$ConnectionString" password="{quoted}";'


def secret(request: StreamRequest) -> str:
    """The connection string, from where the request says it is."""
    source, _, name = request.connection.partition(":")
    if not source:
        return ""
    try:
        found = os.environ.get(name, "") if source == "env" else Path(name).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise NotFound(f"the connection string cannot be read: {error.strerror}", where=name) from None
    if not found:
        raise NotFound("there is no connection string", where=request.connection, hint=f"export {name}=...")
    return found


def schema(features: Mapping[str, str], keep: Mapping[str, str]) -> str:
    """What a line holds, in Spark's words; a kept column that is a feature too has the feature's type."""
    types = {**keep, **{name: "string" if kind == TEXT else "double" for name, kind in features.items()}}
    return ", ".join(f"`{name}` {kind}" for name, kind in {**types, CORRUPT: "string"}.items())


def read(spark: Any, request: StreamRequest, features: Mapping[str, str]) -> Any:
    """The stream as a DataFrame of columns; a line that is no JSON object stands in the column `_corrupt`."""
    from pyspark.sql import functions as f

    name, given = options(request, secret(request))
    if name == "text":
        _make(Path(request.input))
    reader = spark.readStream.format(name)
    for option, value in given.items():
        reader = reader.option(option, value)
    line = f.col("value").cast("string")
    how = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": CORRUPT}
    types = schema(features, {column: request.types.get(column, "string") for column in request.keep})
    return reader.load().where(f.trim(line) != "").select(f.from_json(line, types, how).alias("row")).select("row.*")
