"""Path 2-3 with its data set in blob storage, and its predictions too: Azurite through adlfs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyspark", reason="the extra spark is not installed")
pytest.importorskip("adlfs", reason="blob storage needs: pip install 'customai[blob]'")

from tests.local.azurite import KEY, Container

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
PATIENCE = 900


def test_a_container_is_scored_into_it_as_a_whole(
    azurite: str, tmp_path: Path, cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
    container = Container(azurite, tmp_path, "2-3", "data")
    container.spec.write_text(container.spec.read_text().replace("partition_by: [type]", "partition_by: []"))
    container.at("abfss")
    more: dict[str, Any] = {"AZURE_STORAGE_CONNECTION_STRING": azurite, "timeout": PATIENCE}

    def run(*words: object) -> Any:
        return cli("score-batch", "run", container.spec, *words, "-o", "json", **more).json

    cli("deploy", container.spec, **more)
    rows = container.table()
    assert len({(row["machine"], row["hour"]) for row in rows}) == len(rows) == 8000
    assert "run=deploy/_summary.json" in container.names()
    again = run()
    assert (again["unchanged"], again["rows"]) == (True, 8000)
    before = set(container.names())
    container.files.rm_file(next(iter(container.files.find(f"{container.name}/in"))))
    for scheme in ("wasbs", "az"):  # other names of the same place
        container.at(scheme)
        told = run("--dry-run")
        assert (told["rows"], told["would"]) == (6000, "replace")
    less = run()  # the input has changed: the run is replaced as a whole
    assert (less["unchanged"], less["rows"], less["files"]) == (False, 6000, 3)
    assert len(container.table()) == 6000
    assert set(container.names()) & before == {"run=deploy/_summary.json"}
    state = Path(os.environ["CUSTOMAI_HOME"])
    kept = [file for file in state.rglob("*") if file.is_file() and KEY.encode() in file.read_bytes()]
    assert kept == [], "the account's key is written nowhere"
    cli("destroy", container.spec, "--yes", **more)
