"""A function app's code: packed, published to the app's own site for that with the login's token, and known by its digest.

Azure keeps the package in the app's container; a blob beside it says which one was published last.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from customai.errors import Forbidden, NotFound, RunFailed, TargetError
from customai.model import Json, Step
from customai.targets.azure_arm import TIMEOUTS, Arm
from customai.targets.azure_login import is_loopback
from customai.targets.azure_upload import told
from customai.targets.azure_wait import Followed, Refusal, Tries, retry_after
from customai.targets.base import Observed, Watch

T = TypeVar("T")

RELEASED = "customai-released"  # the blob with the digest of what was published last
NEW = 600.0  # seconds within which a new app has its address, and its identity its roles
ENDED = {3: "failed", -1: "was cancelled", 5: "gave way to another one", 6: "was done in part"}  # Kudu's numbers
DONE = 4
STORAGE = re.compile(r"BlobUploadFailed|InaccessibleStorage|AuthorizationPermissionMismatch|\b403\b", re.IGNORECASE)
EPOCH = (1980, 1, 1, 0, 0, 0)  # of every file in the package: the same bytes whenever it holds the same


def read(step: Step, outputs: Json, arm: Arm) -> Observed:
    """Whether what was published is what is there; app or account may be gone with it."""
    if outputs is None:
        return Observed(present=False, as_left=False)
    code = _Code(step, step.inputs | {"endpoint": outputs["endpoint"]}, arm, Watch())
    found = code.released() if code.app() is not None else None
    return Observed(present=found is not None, as_left=found == outputs["package"])


def apply(step: Step, inputs: Json, digest: str, arm: Arm, watch: Watch) -> Json:
    del digest  # the package has its own
    code, content = _Code(step, inputs, arm, watch), packed(inputs)
    package = hashlib.sha256(content).hexdigest()
    if code.released() != package:
        code.publish(content)
        code.release(package)
    return {"endpoint": inputs["endpoint"], "package": package}


def delete(step: Step, outputs: Json, arm: Arm) -> None:
    """It goes with its app and its container."""


def packed(inputs: Json) -> bytes:
    """The package: the files, and the settings that they read.

    Raises:
        RunFailed: a file is not the one that was planned.
    """
    texts = inputs["texts"] | {"settings.json": json.dumps(inputs["settings"], sort_keys=True, indent=2)}
    contents = {name: text.encode() for name, text in texts.items()}
    for each in inputs["files"]:
        content = Path(each["source"]).read_bytes()
        if hashlib.sha256(content).hexdigest() != each["sha256"]:
            hint = "run the same command again: the plan is made anew"
            raise RunFailed("the file was changed since the plan was made", where=each["source"], hint=hint)
        contents[each["name"]] = content
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(contents.items()):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


class _Code:
    def __init__(self, step: Step, inputs: Json, arm: Arm, watch: Watch) -> None:
        self.step, self.inputs, self.arm, self.watch = step, inputs, arm, watch
        self.followed = Followed(arm, inputs["app"], step.id, watch, arm.pace)
        self.blob = arm.blobs(inputs["endpoint"], inputs["container"]).get_blob_client(RELEASED)

    def app(self) -> Json:
        return self.followed.found()

    def released(self) -> str | None:
        """The digest of what was published last."""
        from azure.core.exceptions import ResourceNotFoundError, ServiceRequestError

        def asked() -> str | None:
            try:
                return bytes(self.blob.download_blob().readall()).decode()
            except ResourceNotFoundError:
                return None

        try:
            return self._until(lambda: told(asked))
        except ServiceRequestError:
            return None

    def release(self, package: str) -> None:
        self._until(lambda: told(lambda: self.blob.upload_blob(package.encode(), overwrite=True)))

    def publish(self, content: bytes) -> None:
        """Sends the package and waits until Azure has built the app of it.

        Raises:
            NotFound: there is no app. RunFailed: it cannot be built; its log is in the hint.
        """
        app = self.app()
        if app is None:
            raise NotFound("the function app is not there", where=self.step.id, hint="deploy again")
        site = _Site(_publishing(app), self.arm)
        self.watch.report("publishing the function's code")
        id_ = self._until(lambda: site.send(content))
        while True:
            found = self._until(lambda: site.ask(f"/api/deployments/{id_}"))
            status = found.get("status")
            if status == DONE:
                return
            if status in ENDED:
                log = self._until(lambda: site.ask(f"/api/deployments/{id_}/log"))
                raise _failed(self.step.id, ENDED[status], found, log)
            self.watch.report(str(found.get("status_text") or "Azure builds the function app"))
            self.watch.pause(self.arm.pace.look)

    def _until(self, call: Callable[[], T]) -> T:
        return Tries(self.step.id, self.watch, self.arm.pace).until(call)


class _Site:
    """The site of an app that code is published to (Kudu): it takes the login's token, and no password."""

    def __init__(self, host: str, arm: Arm) -> None:
        from azure.core import PipelineClient

        is_here = is_loopback(f"http://{host.partition('/')[0]}")
        self.at = f"http://{host}" if is_here else f"https://{host}"
        self.arm, self.client = arm, PipelineClient(self.at, policies=[], **TIMEOUTS)

    def send(self, content: bytes) -> str:
        """Begins to publish; the id of it."""
        return str(self.ask("/api/publish?RemoteBuild=true&Deployer=customai", content)).strip('"')

    def ask(self, path: str, content: bytes | None = None) -> Json:
        from azure.core.exceptions import HttpResponseError
        from azure.core.rest import HttpRequest

        headers = {"Authorization": f"Bearer {self.arm.token(self.arm.scope)}"}
        if content is None:
            request = HttpRequest("GET", self.at + path, headers=headers)
        else:
            headers["Content-Type"] = "application/zip"
            request = HttpRequest("POST", self.at + path, headers=headers, content=content)
        response = self.client.send_request(request)
        if response.status_code < 400:
            return _json(response.text())
        error = HttpResponseError(response=response)
        _passing(response.status_code, response.text(), error)
        raise error


def _passing(status: int, text: str, error: Any) -> None:
    """Raises Refusal for what a new app says for a while."""
    if status in (401, 403) or (status == 400 and STORAGE.search(text)):
        hint = "a new role takes up to ten minutes: run the same command again"
        what: TargetError = Forbidden("the function's code may not be published yet", where="function/code", hint=hint)
    elif status in (404, 409, 502, 503):
        what = NotFound("the function app does not take code yet", where="function/code", hint="deploy again")
    else:
        return
    raise Refusal(what, NEW, retry_after(error), code=f"HTTP {status}") from None


def _publishing(app: Json) -> str:
    """The host that code is published to, which Azure names."""
    states = (app.get("properties") or {}).get("hostNameSslStates") or ()
    found = next((each["name"] for each in states if str(each.get("hostType")).lower() == "repository"), None)
    return str(found or f"{app['name']}.scm.azurewebsites.net")


def _failed(where: str, how: str, found: Json, log: Json) -> RunFailed:
    lines = [str(each.get("message", "")) for each in log or () if isinstance(each, dict)]
    said = str(found.get("status_text") or found.get("message") or "").strip()
    return RunFailed(
        f"publishing the function's code {how}{f': {said}' if said else ''}",
        where=where,
        hint="\n".join(["its log ends with:", *lines[-15:]]) if lines else "run the same command again",
    )


def _json(text: str) -> Json:
    try:
        return json.loads(text) if text else {}
    except ValueError:
        return text
