"""This machine as a target: model folders, supervised server processes, requests. No account, no Docker."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from customai import secret
from customai.client import Endpoint
from customai.errors import CustomAIError, RunFailed
from customai.model import Json, Plan, Step
from customai.provisioning import lowering
from customai.targets import local_checks, local_job, local_server, local_store
from customai.targets.base import Observed, Watch


class LocalTarget:
    """Everything of a deployment lives in its state folder: `store/` for files, `servers/` and `jobs/` for processes."""

    name = "local"

    def __init__(self, folder: Path) -> None:
        self.store = folder / "store"
        self.servers = folder / "servers"
        self.jobs = folder / "jobs"

    def lowers(self, kind: str) -> bool:
        return lowering(kind, self.name) is not None

    def lower(self, step: Step) -> Json:
        lower = lowering(step.kind, self.name)
        if lower is None:
            raise KeyError(step.kind)
        return lower(step.inputs)

    def check(self, plan: Plan) -> None:
        for step in plan.steps:
            if step.verb == "serve":
                local_checks.serving(step.inputs["server"], self.servers)
                if step.inputs["key"] is not None:
                    self.secret(step.inputs["key"]["$secret"])
            elif step.verb == "upload":
                local_checks.uploading(step.inputs["files"], self.store)

    def read(self, step: Step, outputs: Json) -> Observed:
        if step.verb == "upload":
            return local_store.read(outputs)
        if step.verb == "serve":
            return local_server.read(self.servers, outputs)
        if step.kind == "job":
            return local_job.read(self.jobs, step.id, outputs)
        return Observed(present=True, as_left=True)

    def apply(self, step: Step, inputs: Json, digest: str, watch: Watch) -> Json:
        if step.verb == "upload":
            return local_store.put(self.store, inputs, watch, keep=local_server.models_in_use(self.servers))
        if step.verb == "serve":
            key = inputs["key"]
            hashed = hashlib.sha256(key.encode()).hexdigest() if key is not None else None
            return local_server.serve(self.servers, inputs["server"] | {"key_sha256": hashed, "digest": digest}, watch)
        if step.kind == "job":
            return local_job.run(self.jobs, step.id, inputs, digest, watch)
        return _smoke_test(inputs)

    def delete(self, step: Step, outputs: Json) -> None:
        if step.verb == "serve":
            local_server.stop_all(self.servers)
        elif step.kind == "job":
            local_job.delete(self.jobs, step.id)
        elif step.verb == "upload":
            shutil.rmtree(self.store, ignore_errors=True)
            if self.store.exists():
                raise RunFailed("the files cannot be removed", where=str(self.store), hint="whose are they? ls -l")

    def secret(self, name: str) -> str:
        return secret.read(name)

    def logs(self, step: Step, outputs: Json, *, follow: bool) -> Iterator[str]:
        if step.kind == "job":
            return local_job.logs(self.jobs, step.id, follow=follow)
        return local_server.logs(self.servers, follow=follow) if step.verb == "serve" else iter(())


def _smoke_test(inputs: Json) -> Json:
    image = Path(inputs["image"])
    try:
        answer = Endpoint(inputs["url"], inputs["key"]).score(image.read_bytes(), name=image.name)
        best = answer["predictions"][0]
    except OSError as error:
        raise RunFailed(f"the smoke test's image cannot be read: {error.strerror}", where=str(image)) from None
    except (TypeError, KeyError, IndexError):
        raise RunFailed("the smoke test's answer is not a prediction", where=inputs["url"]) from None
    except CustomAIError as error:
        raise RunFailed(f"the smoke test failed: {error.message}", where=error.where, hint=error.hint) from None
    if best["label"] != inputs["label"]:
        raise RunFailed(
            f"the smoke test failed: expected '{inputs['label']}', got '{best['label']}' ({best['probability']:.1%})",
            where=str(image),
            hint="does the spec's preprocessing match how the model was trained?",
        )
    return {"label": best["label"], "probability": best["probability"]}
