"""Data of this machine, put into a container file by file; a marker beside them says that all of them are there.

Other data have another folder, so nothing is ever replaced, and what a crash has left is written once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from customai.errors import NotFound, RunFailed
from customai.model import Json, Step
from customai.targets.azure_arm import Arm
from customai.targets.azure_wait import Refusal, Tries, passes_in, retry_after
from customai.targets.base import Observed, Watch

T = TypeVar("T")

MARKER = ".complete"  # what begins with a point is no data to the workloads
RIGHT = "AuthorizationPermissionMismatch"  # a role that was given a moment ago is not known to storage yet
PASSES = 600.0  # seconds within which it is


def read(step: Step, outputs: Json, arm: Arm) -> Observed:
    """Whether it was put there; its account may be gone with it."""
    if outputs is None:
        return Observed(present=False, as_left=False)
    done = _Upload(step, step.inputs | {"endpoint": outputs["endpoint"]}, arm, Watch()).is_done()
    return Observed(present=done, as_left=done)


def apply(step: Step, inputs: Json, digest: str, arm: Arm, watch: Watch) -> Json:
    del digest  # the listing of what is uploaded stands in the inputs
    upload = _Upload(step, inputs, arm, watch)
    if not upload.is_done():
        upload.see_through()
    return {"endpoint": inputs["endpoint"]}


def delete(step: Step, outputs: Json, arm: Arm) -> None:
    """It goes with its container."""


class _Upload:
    def __init__(self, step: Step, inputs: Json, arm: Arm, watch: Watch) -> None:
        self.step, self.inputs, self.arm, self.watch = step, inputs, arm, watch
        self.container = arm.blobs(inputs["endpoint"], inputs["container"])

    def is_done(self) -> bool:
        from azure.core.exceptions import ResourceNotFoundError, ServiceRequestError

        def asked() -> bool:
            try:
                self._blob(MARKER).download_blob().readall()
            except ResourceNotFoundError:
                return False
            return True

        try:
            return self._until(asked)
        except ServiceRequestError:
            return False

    def see_through(self) -> None:
        source = Path(self.inputs["source"])
        every = list(_files(source))
        if not every:
            raise NotFound("there is nothing to upload", where=str(source), hint="see `input` in the spec")
        for number, (name, file) in enumerate(every, 1):
            self.watch.report(f"uploading {name} ({number} of {len(every)})")
            self._until(lambda file=file, name=name: self._send(name, file))  # type: ignore[misc]
        self._until(lambda: self._blob(MARKER).upload_blob(b"complete", overwrite=True))

    def _send(self, name: str, file: Path) -> None:
        try:
            with open(file, "rb") as opened:
                self._blob(name).upload_blob(opened, overwrite=True)
        except FileNotFoundError:
            hint = "run the same command again: the plan is made anew"
            raise RunFailed("the file went away while it was uploaded", where=str(file), hint=hint) from None

    def _blob(self, name: str) -> Any:
        return self.container.get_blob_client(f"{self.inputs['folder']}/{name}")

    def _until(self, call: Callable[[], T]) -> T:
        return Tries(self.step.id, self.watch, self.arm.pace).until(lambda: told(call))


def told(call: Callable[[], T]) -> T:
    """What the call gives; storage's own refusals as what they mean."""
    from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

    from customai.errors import Forbidden

    try:
        return call()
    except ResourceNotFoundError:
        raise
    except HttpResponseError as error:
        code = str(getattr(error, "error_code", None) or "")
        if code != RIGHT:
            raise
        hint = "a new role takes up to ten minutes: run the same command again"
        told = Forbidden("you may not write into the storage account yet", where="upload-role", hint=hint)
        raise Refusal(told, max(PASSES, passes_in(error)), retry_after(error), code=code) from None


def _files(source: Path) -> Iterator[tuple[str, Path]]:
    """(name below the folder that holds the source, file) of every file, in order."""
    if source.is_file():
        yield source.name, source
        return
    for file in sorted(source.rglob("*")):
        if file.is_file():
            yield f"{source.name}/{file.relative_to(source).as_posix()}", file
