"""Model folders on this machine: fetched, checked, then put in place at once and named by their digest."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from customai import errors
from customai.errors import CustomAIError, NoQuota, NotFound, NotInstalled, RunFailed, StateError
from customai.model import Json, digest, dumps
from customai.targets.base import Observed, Watch

BLOCK = 2**20  # bytes read at a time
TIMEOUT = 30  # seconds without a byte from a download


def put(store: Path, inputs: Json, watch: Watch, *, keep: set[str]) -> Json:
    """Makes the model folder, or finds the one that is there, and removes those that are neither used nor new.

    Returns:
        folder, sha256 (of the model), bytes, signature (the model's inputs and outputs).
    """
    try:
        store.mkdir(parents=True, exist_ok=True)
        for left_over in store.glob(".new-*"):  # by a process that was killed: we hold the deployment's lock
            shutil.rmtree(left_over)
        fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=store))
        try:
            outputs = _fill(fresh, inputs, watch)
            folder = store / f"model-{digest(json.loads((fresh / 'model.json').read_bytes()))[:12]}"
            if not folder.exists():
                fresh.rename(folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        for other in store.glob("model-*"):
            if other != folder and str(other) not in keep:
                shutil.rmtree(other)
    except OSError as error:
        raise _unusable(store, error) from error
    return {"folder": str(folder), **outputs}


def read(outputs: Json) -> Observed:
    model = Path(outputs["folder"]) / "model.onnx"
    try:
        size = model.stat().st_size
    except OSError:
        return Observed(present=False, as_left=False)
    return Observed(present=True, as_left=size == outputs["bytes"], detail=outputs)


def _fill(folder: Path, inputs: Json, watch: Watch) -> Json:
    card = dict(inputs["model"])
    for file in inputs["files"]:
        found = fetch(file["source"], folder / file["name"], watch)
        if file["sha256"] and found != file["sha256"]:
            raise RunFailed(
                f"the file's digest is sha256 {found}, not {file['sha256']}",
                where=file["source"],
                hint="it was changed or cut short; if this is the file you want, write its digest into the spec",
            )
        if file["name"] == "model.onnx":
            card["sha256"] = found
    (folder / "model.json").write_text(dumps(card))
    watch.report("checking the model")
    signature = inspect(folder)["signature"]
    return {"sha256": card["sha256"], "bytes": (folder / "model.onnx").stat().st_size, "signature": signature}


def inspect(folder: Path) -> Json:
    """What the scoring server says of the model folder, in a process of its own: a bad file must not take us along."""
    command = [sys.executable, "-m", "customai.workloads.scoring.inspect", str(folder)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, cwd=folder, check=False)
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise RunFailed(f"the model cannot be loaded: {last[0]}", where=str(folder)) from None
    if not answer["ok"]:
        raise revived(answer["error"])
    return answer


def revived(error: Json) -> CustomAIError:
    """The error that another of our processes told of in JSON."""
    kind = getattr(errors, error["type"], RunFailed)
    revived_error: CustomAIError = kind(error["message"], where=error["where"], hint=error["hint"])
    return revived_error


def fetch(source: str, destination: Path, watch: Watch) -> str:
    """Copies or downloads a file; gives its SHA-256."""
    if source.startswith("https://"):
        return _download(source, destination, watch)
    if source.startswith("hf://"):
        return _from_hub(source, destination, watch)
    try:
        with open(source, "rb") as file:
            return _copy(file, destination, watch, lambda _done: None)
    except FileNotFoundError:
        raise NotFound("the file is not there", where=source) from None


def _download(source: str, destination: Path, watch: Watch) -> str:
    try:
        with urllib.request.urlopen(source, timeout=TIMEOUT) as response:
            if not response.url.startswith("https://"):
                raise RunFailed("the download was redirected away from https", where=source)
            total = int(response.headers.get("content-length") or 0)

            def progress(done: int) -> None:
                of = f" of {total / 1e6:.1f}" if total else ""
                watch.report(f"downloading: {done / 1e6:.1f}{of} MB")

            found = _copy(response, destination, watch, progress)
    except OSError as error:  # URLError, HTTPError and timeouts are OSErrors
        hint = "is the address right, and is there a way to it from here (proxy)?"
        raise NotFound(f"the file cannot be downloaded: {error}", where=source, hint=hint) from None
    if total and destination.stat().st_size != total:
        raise RunFailed("the download was cut short", where=source, hint="run the same command again")
    return found


def _from_hub(source: str, destination: Path, watch: Watch) -> str:
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        hint = "pip install 'customai[hub]'"
        raise NotInstalled("models from the Hugging Face hub need an extra", where=source, hint=hint) from None
    path, _, revision = source.removeprefix("hf://").partition("@")
    owner, repository, file = path.split("/", 2)
    watch.report("downloading from the hub")
    with tempfile.TemporaryDirectory(dir=destination.parent) as folder:
        try:
            found = hf_hub_download(f"{owner}/{repository}", file, revision=revision or None, local_dir=folder)
        except (OSError, ValueError) as error:  # its own errors are of these two
            reason = str(error).strip().splitlines()[0]
            raise NotFound(f"the hub does not give the file: {reason}", where=source) from None
        with open(found, "rb") as downloaded:
            return _copy(downloaded, destination, watch, lambda _done: None)


def _copy(source: BinaryIO, destination: Path, watch: Watch, progress: Callable[[int], None]) -> str:
    hashed = hashlib.sha256()
    done = 0
    with open(destination, "wb") as file:
        while block := source.read(BLOCK):
            watch.pause(0)
            file.write(block)
            hashed.update(block)
            done += len(block)
            progress(done)
        file.flush()
        os.fsync(file.fileno())
    return hashed.hexdigest()


def _unusable(store: Path, error: OSError) -> CustomAIError:
    if isinstance(error, FileNotFoundError):
        return StateError("the store's folder went away while it was used", where=str(store))
    kind = NoQuota if error.errno in (28, 122) else StateError  # ENOSPC, EDQUOT
    return kind(f"the store cannot be written: {error.strerror}", where=str(store), hint="free some disk space")
