"""Model folders on this machine: fetched, checked, then put in place at once and named by their digest."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from customai import errors
from customai.errors import CustomAIError, NoQuota, NotFound, NotInstalled, RunFailed, StateError
from customai.model import Json, digest, dumps
from customai.targets.base import Observed, Watch

BLOCK = 2**20  # bytes read at a time
TIMEOUT = 30  # seconds without a byte from a download


def put(store: Path, inputs: Json, watch: Watch) -> Json:
    """Makes the model folder, or finds the one that is there, even if the files it was made of have since changed.

    Returns:
        folder, sha256 (of the model), bytes, signature (the model's inputs and outputs).
    """
    try:
        store.mkdir(parents=True, exist_ok=True)
        ours = f".new-{os.getpid()}-"
        for left_over in store.glob(".new-*"):  # by a process that was killed: we hold the deployment's lock
            if not left_over.name.startswith(ours):
                shutil.rmtree(left_over)
        folder = store / _named(inputs["model"])
        if _is_whole(folder, inputs["files"]):
            return {"folder": str(folder), **_checked(folder, watch)}
        fresh = Path(tempfile.mkdtemp(prefix=ours, dir=store))
        try:
            outputs = _fill(fresh, inputs, watch)
            folder = store / _name(fresh)
            if folder.exists():  # as it should be, or cut short and mended by this
                for file in fresh.iterdir():
                    file.replace(folder / file.name)
            else:
                fresh.rename(folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    except OSError as error:
        raise _unusable(store, error) from error
    return {"folder": str(folder), **outputs}


def prune(store: Path, keep: set[str]) -> None:
    """Removes the model folders that are not among these."""
    for folder in store.glob("model-*"):
        if str(folder) not in keep:
            shutil.rmtree(folder, ignore_errors=True)


def delete(store: Path, outputs: Json) -> None:
    """Removes a model folder, and the store with the last of them."""
    folder = Path(outputs["folder"]) if outputs is not None else None
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
    for left_over in store.glob(".new-*"):
        shutil.rmtree(left_over, ignore_errors=True)
    if folder is not None and folder.exists():
        raise RunFailed("the files cannot be removed", where=str(store), hint="whose are they? ls -l")
    with contextlib.suppress(OSError):
        store.rmdir()


def read(outputs: Json) -> Observed:
    if outputs is None:  # begun, never done
        return Observed(present=False, as_left=False)
    folder = Path(outputs["folder"])
    try:
        whole = (folder / "model.onnx").stat().st_size == outputs["bytes"] and folder.name == _name(folder)
    except (OSError, ValueError):
        return Observed(present=folder.exists(), as_left=False)
    return Observed(present=True, as_left=whole, detail=outputs)


def _name(folder: Path) -> str:
    """A model folder's name: its card says all there is to know of it, the files' digests included."""
    return _named(json.loads((folder / "model.json").read_bytes()))


def _named(card: Json) -> str:
    return f"model-{digest(card)[:12]}"


def _is_whole(folder: Path, files: Json) -> bool:
    """Whether the folder holds these files, as their digests say."""
    try:
        whole = _name(folder) == folder.name
        return whole and all(_sha256(folder / file["name"]) == file["sha256"] for file in files)
    except (OSError, ValueError):
        return False


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        hashed = hashlib.sha256()
        while block := file.read(BLOCK):
            hashed.update(block)
    return hashed.hexdigest()


def _fill(folder: Path, inputs: Json, watch: Watch) -> Json:
    fill(folder, inputs, watch)
    return _checked(folder, watch)


def fill(folder: Path, inputs: Json, watch: Watch) -> None:
    """Fetches the files, verifies them and writes the card; the model is not loaded."""
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


def _checked(folder: Path, watch: Watch) -> Json:
    watch.report("checking the model")
    signature = inspect(folder, watch)["signature"]
    sha256 = json.loads((folder / "model.json").read_bytes())["sha256"]
    return {"sha256": sha256, "bytes": (folder / "model.onnx").stat().st_size, "signature": signature}


def inspect(folder: Path, watch: Watch) -> Json:
    """What the scoring server says of the model folder, in a process of its own: a bad file must not take us along."""
    command = [sys.executable, "-m", "customai.workloads.scoring.inspect", str(folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, cwd=folder) as process:
        while True:
            try:
                told, said = process.communicate(timeout=0.1)
                break
            except subprocess.TimeoutExpired:
                if watch.stop.is_set():
                    process.kill()
    watch.pause(0)
    try:
        answer = json.loads(told)
    except ValueError:
        last = said.decode(errors="replace").strip().splitlines()[-1:] or [f"exit code {process.returncode}"]
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


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *request: Any) -> Any:
        if not request[-1].startswith("https://"):
            hint = "give the address that it leads to, if that is right and speaks https"
            where = request[0].full_url
            raise RunFailed(f"the download was redirected away from https, to {request[-1]}", where=where, hint=hint)
        return super().redirect_request(*request)


def _download(source: str, destination: Path, watch: Watch) -> str:
    try:
        with urllib.request.build_opener(_OnlyHttps).open(source, timeout=TIMEOUT) as response:
            total = int(response.headers.get("content-length") or 0)

            def progress(done: int) -> None:
                of = f" of {total / 1e6:.1f}" if total else ""
                watch.report(f"downloading: {done / 1e6:.1f}{of} MB")

            found = _copy(response, destination, watch, progress)
    except http.client.IncompleteRead:
        raise _cut_short(source) from None
    except (OSError, http.client.HTTPException) as error:  # URLError, HTTPError and timeouts are OSErrors
        hint = "is the address right, and is there a way to it from here (proxy)?"
        raise NotFound(f"the file cannot be downloaded: {error}", where=source, hint=hint) from None
    if total and destination.stat().st_size != total:
        raise _cut_short(source)
    return found


def _cut_short(source: str) -> RunFailed:
    return RunFailed("the download was cut short", where=source, hint="run the same command again")


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
        except Exception as error:
            if not (isinstance(error, OSError | ValueError) or type(error).__module__.startswith("httpx")):
                raise
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]  # its own are of the first two
            hint = "is the name right, and is the repository public? A private one needs HF_TOKEN"
            raise NotFound(f"the hub does not give the file: {reason}", where=source, hint=hint) from None
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
