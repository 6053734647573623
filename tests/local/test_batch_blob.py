"""Data sets in blob storage: Azurite, the storage service's own emulator, through adlfs. The same spec as for folders."""

from __future__ import annotations

import base64
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.local.azurite import KEY, REPOSITORY, Container

pytest.importorskip("adlfs", reason="blob storage needs: pip install 'customai[blob]'")

pytestmark = pytest.mark.slow


def test_rows_of_a_container_are_scored_into_it(azurite: str, tmp_path: Path, cli: Any) -> None:
    container = Container(azurite, tmp_path, "2-4", "data")
    container.at("abfss")
    environment = {"AZURE_STORAGE_CONNECTION_STRING": azurite}
    cli("deploy", container.spec, **environment)
    assert sorted(row["reading"] for row in container.table()) == list(range(9216))
    assert "run=deploy/_summary.json" in container.names()
    again = cli("score-batch", "run", container.spec, "-o", "json", **environment).json
    assert (again["unchanged"], again["rows"]) == (True, 9216)
    first = next(iter(container.files.find(f"{container.name}/in")))
    container.files.rm_file(first)  # the input has changed: the run is replaced as a whole
    less = cli("score-batch", "run", container.spec, "-o", "json", **environment).json
    assert (less["unchanged"], less["rows"], less["files"]) == (False, 6912, 3)
    assert len(container.table()) == 6912
    for scheme in ("wasbs", "az"):  # other names of the same place
        container.at(scheme)
        assert cli("score-batch", "run", container.spec, "--dry-run", "-o", "json", **environment).json["rows"] == 6912
    state = Path(os.environ["CUSTOMAI_HOME"])
    kept = [file for file in state.rglob("*") if file.is_file() and KEY.encode() in file.read_bytes()]
    assert kept == [], "the account's key is written nowhere"
    cli("destroy", container.spec, "--yes", **environment)


def test_images_of_a_container_and_of_a_zip_in_it_are_scored(azurite: str, tmp_path: Path, cli: Any) -> None:
    container = Container(azurite, tmp_path, "2-6", "images")
    container.at("az")
    environment = {"AZURE_STORAGE_CONNECTION_STRING": azurite}
    cli("deploy", container.spec, **environment)
    rows = container.table()
    assert len(rows) == 100
    archive = shutil.make_archive(str(tmp_path / "images"), "zip", REPOSITORY / "paths" / "2-6" / "images")
    container.files.put_file(archive, f"{container.name}/images.zip")
    url = f"az://{container.name}/images.zip"
    cli("score-batch", "run", container.spec, "--input", url, "--name", "zipped", **environment)
    assert container.table("zipped") == rows
    cli("destroy", container.spec, "--yes", **environment)


def test_what_is_wrong_with_the_storage_is_told_in_words(azurite: str, tmp_path: Path, cli: Any) -> None:
    container = Container(azurite, tmp_path, "2-4", "data")
    container.at("az")
    other = base64.b64encode(bytes(64)).decode()
    failed = cli("deploy", container.spec, code=3, AZURE_STORAGE_CONNECTION_STRING=azurite.replace(KEY, other))
    failed.failed(3, "no right to this storage", "AZURE_STORAGE_ACCOUNT_KEY")
    container.spec.write_text(container.spec.read_text().replace("/in ", "/nowhere "))
    failed = cli("deploy", container.spec, code=2, AZURE_STORAGE_CONNECTION_STRING=azurite)
    failed.failed(2, "there is nothing under this URL", "nowhere")
    cli("destroy", container.spec, "--yes")
