"""Azurite, the storage service's own emulator, as a process of the tests' own; and a path whose data are in it."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port

REPOSITORY = Path(__file__).parents[2]
ACCOUNT = "devstoreaccount1"
# The emulator's well-known account key: published, the same everywhere, no secret.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@contextmanager
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The connection string of an Azurite of the test's own; installed by npm, unless `make azurite` has."""
    program = shutil.which("azurite-blob") or _installed(tmp_path_factory.mktemp("npm"))
    port = free_port()
    data = tmp_path_factory.mktemp("azurite")
    where = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(data)]
    process = subprocess.Popen(
        [program, *where, "--silent", "--skipApiVersionCheck", "--disableTelemetry"], stdout=subprocess.DEVNULL
    )
    try:
        _wait_for(port)
        yield (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
            f"BlobEndpoint=http://127.0.0.1:{port}/{ACCOUNT};"
        )
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _installed(folder: Path) -> str:
    made = REPOSITORY / ".azurite" / "node_modules" / ".bin" / "azurite-blob"
    if made.exists():
        return str(made)
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("Azurite needs npm, which is not installed here")
    command = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder), "azurite@3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    if done.returncode != 0:
        pytest.skip(f"npm cannot install Azurite here: {done.stderr.strip()[-200:]}")
    return str(folder / "node_modules" / ".bin" / "azurite-blob")


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("Azurite does not listen")


class Container:
    """A container of its own, and a copy of a path whose input and output are in it."""

    def __init__(self, connection: str, tmp_path: Path, path: str, folder: str) -> None:
        adlfs = pytest.importorskip("adlfs", reason="blob storage needs: pip install 'customai[blob]'")
        self.files = adlfs.AzureBlobFileSystem(connection_string=connection, skip_instance_cache=True)
        self.name = f"test-{uuid.uuid4().hex[:12]}"
        self.files.mkdir(self.name)
        self.connection = connection
        self.spec = tmp_path / path / "customai.yaml"
        shutil.copytree(REPOSITORY / "paths" / path, self.spec.parent, ignore=shutil.ignore_patterns("predictions"))
        for file in sorted((self.spec.parent / folder).iterdir()):
            self.files.put_file(str(file), f"{self.name}/in/{file.name}")
        shutil.rmtree(self.spec.parent / folder)

    def at(self, scheme: str) -> None:
        """The spec's input and output, as URLs of this scheme."""
        host = f"@{ACCOUNT}.blob.core.windows.net" if scheme != "az" else ""
        text = self.spec.read_text()
        for key, folder in (("input", "in"), ("output", "out")):
            text = re.sub(rf"(?m)^{key}: \S+", f"{key}: {scheme}://{self.name}{host}/{folder}", text)
        self.spec.write_text(text)

    def names(self) -> list[str]:
        self.files.invalidate_cache()
        return sorted(name.removeprefix(f"{self.name}/out/") for name in self.files.find(f"{self.name}/out"))

    def table(self, run: str = "deploy") -> Any:
        names = [name for name in self.names() if name.startswith(f"run={run}/part-")]
        import pyarrow.parquet as pq

        parts = [pq.ParquetFile(self.files.open(f"{self.name}/out/{name}")).read() for name in names]
        return [row for part in parts for row in part.to_pylist()]
