"""Where a stream comes from, as data: Kafka and Event Hubs need jars that a test cannot fetch."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="the extra spark is not installed")

from customai.errors import NotFound
from customai.workloads.spark import source
from customai.workloads.spark.request import StreamRequest

EVENT_HUBS = StreamRequest(
    "s", "out", source="event_hubs", servers="mine.servicebus.windows.net", topic="rows", connection="env:CONNECTION"
)
KAFKA = StreamRequest("s", "out", source="kafka", servers="a:9092,b:9092", topic="rows")


def test_a_folder_is_read_as_lines_and_no_file_is_too_old() -> None:
    name, options = source.options(StreamRequest("s", "out", input="/in", files=7))
    assert name == "text"
    assert options == {"path": "file:///in", "maxFilesPerTrigger": "7", "maxFileAge": "36500d"}


def test_kafka_is_read_from_its_beginning_and_loses_nothing_silently() -> None:
    assert source.options(KAFKA) == (
        "kafka",
        {
            "kafka.bootstrap.servers": "a:9092,b:9092",
            "subscribe": "rows",
            "startingOffsets": "earliest",
            "failOnDataLoss": "true",
        },
    )


def test_options_of_the_users_own_come_last() -> None:
    asked = StreamRequest("s", "out", source="kafka", options={"startingOffsets": "latest", "groupIdPrefix": "x"})
    assert source.options(asked)[1].items() >= {"startingOffsets": "latest", "groupIdPrefix": "x"}.items()


def test_event_hubs_is_kafka_with_the_connection_string_as_password() -> None:
    name, options = source.options(EVENT_HUBS, 'Endpoint=sb://x;Key="a\\b"')
    assert name == "kafka"
    assert options["kafka.bootstrap.servers"] == "mine.servicebus.windows.net:9093"
    assert (options["kafka.security.protocol"], options["kafka.sasl.mechanism"]) == ("SASL_SSL", "PLAIN")
    login = options["kafka.sasl.jaas.config"]
    assert login.endswith('username="$ConnectionString" password="Endpoint=sb://x;Key=\\"a\\\\b\\"";')


def test_the_connection_string_is_read_where_it_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONNECTION", "from the environment")
    assert source.secret(EVENT_HUBS) == "from the environment"
    (tmp_path / "c").write_text("from a file\n")
    assert source.secret(StreamRequest("s", "out", connection=f"file:{tmp_path}/c")) == "from a file"
    assert source.secret(KAFKA) == ""


@pytest.mark.parametrize("place", ["env:NOT_SET", "file:/not/there"])
def test_a_connection_string_that_is_not_there_is_named(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    with pytest.raises(NotFound) as caught:
        source.secret(StreamRequest("s", "out", connection=place))
    assert caught.value.where in place


def test_the_connector_is_fetched_unless_its_jars_are_named() -> None:
    pytest.importorskip("pyspark", reason="the extra spark is not installed")
    assert source.settings(KAFKA)["spark.jars.packages"].startswith("org.apache.spark:spark-sql-kafka-0-10_2.13:4.")
    assert source.settings(StreamRequest("s", "out", source="kafka", conf={"spark.jars": "/a.jar"})) == {}
    assert source.settings(StreamRequest("s", "out")) == {}


def test_a_kept_column_that_the_model_takes_has_the_models_type() -> None:
    made = source.schema({"size": "number", "kind": "text"}, {"id": "long", "size": "int"})
    assert made == "`id` long, `size` double, `kind` string, `_corrupt` string"
