"""This machine as a target: model folders, supervised server processes, requests. No account, no Docker."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from customai import secret
from customai.client import Endpoint
from customai.errors import CustomAIError, RunFailed
from customai.model import Json, Plan, Step
from customai.provisioning import lowering
from customai.targets import (
    local_checks,
    local_doctor,
    local_job,
    local_schedule,
    local_server,
    local_store,
    local_stream,
)
from customai.targets.base import Observed, Watch
from customai.targets.findings import Finding, stand


class LocalTarget:
    """Everything of a deployment lives in its state folder: `store/` for files, `servers/` and `jobs/` for processes."""

    name = "local"
    costs = False

    def __init__(self, folder: Path) -> None:
        self.store = folder / "store"
        self.servers = folder / "servers"
        self.jobs = folder / "jobs"
        self.schedules = folder / "schedules"
        self.streams = folder / "streams"

    def lowers(self, kind: str) -> bool:
        return lowering(kind, self.name) is not None

    def surroundings(self, spec: Any) -> Json:
        return {}

    def lower(self, step: Step) -> Json:
        lower = lowering(step.kind, self.name)
        if lower is None:
            raise KeyError(step.kind)
        return lower(step.inputs)

    def asked(self, step: Step) -> Json:
        return step.inputs

    def can_read(self) -> bool:
        return True

    def carries_out(self, plan: Plan) -> None:
        """Every kind that is lowered."""

    def check(self, plan: Plan) -> None:
        for finding in local_doctor.of_plan(plan, self.store, self.servers, self.secret):
            stand([finding])

    def findings(self, plan: Plan | None) -> list[Finding]:
        return local_doctor.findings(plan, self.store, self.servers, self.secret)

    def register(self, providers: Sequence[str], watch: Watch) -> None:
        """There is nobody to register with."""

    def read(self, step: Step, outputs: Json) -> Observed:
        if step.verb == "upload":
            return local_store.read(outputs)
        if step.verb == "serve":
            return local_server.read(self.servers, outputs)
        if step.kind == "job":
            return local_job.read(self.jobs, step.id, outputs)
        if step.kind == "schedule":
            return local_schedule.read(self.schedules / step.id, outputs and outputs["folder"])
        if step.kind == "stream":
            return local_stream.read(self.streams, step.id, outputs)
        return Observed(present=True, as_left=True)

    def apply(self, step: Step, inputs: Json, digest: str, watch: Watch) -> Json:
        if step.verb == "upload":
            return local_store.put(self.store, inputs, watch)
        if step.verb == "serve":
            key = inputs["key"]
            hashed = hashlib.sha256(key.encode()).hexdigest() if key is not None else None
            return self._serve(inputs["server"] | {"key_sha256": hashed, "digest": digest}, watch)
        if step.kind == "job":
            return local_job.run(self.jobs, step.id, inputs, digest, watch)
        if step.kind == "schedule":
            return local_schedule.keep(self.schedules / step.id, self.jobs, inputs, digest, watch)
        if step.kind == "stream":
            return local_stream.start(self.streams, step.id, inputs, digest, watch)
        return _smoke_test(inputs)

    def delete(self, step: Step, outputs: Json) -> None:
        if step.verb == "serve":
            local_server.stop_all(self.servers)
        elif step.kind == "job":
            local_job.delete(self.jobs, step.id)
        elif step.kind == "schedule":
            local_schedule.delete(self.schedules / step.id)
        elif step.kind == "stream":
            local_stream.delete(self.streams, step.id)
        elif step.verb == "upload" and not local_server.models_in_use(self.servers):
            local_store.delete(self.store, outputs)

    def beside(self, steps: Sequence[Step]) -> list[str]:
        return []

    def sweep(self, steps: Sequence[Step], watch: Watch) -> None:
        """Everything is quick, one by one."""

    def purge(self, steps: Sequence[Step], watch: Watch) -> list[str]:
        return []  # nothing is kept

    def stops(self, kind: str) -> bool:
        return kind in ("endpoint", "stream", "schedule")

    def stop(self, step: Step, outputs: Json, watch: Watch) -> bool:
        if step.kind == "endpoint":
            return local_server.rest(self.servers)
        if step.kind == "schedule":
            return local_schedule.rest(self.schedules / step.id)
        return local_stream.rest(self.streams, step.id)

    def start(self, step: Step, inputs: Json, digest: str, watch: Watch) -> Json:
        """Nothing of what stands still is kept but what is wanted of it: it is brought about again."""
        if self._runs(step, digest):
            return None
        if step.kind == "endpoint":
            local_checks.serving(step.inputs["server"], self.servers)
        return self.apply(step, inputs, digest, watch)

    def _runs(self, step: Step, digest: str) -> bool:
        if step.kind == "endpoint":
            return local_server.read(self.servers, None).present
        if step.kind == "schedule":
            return local_schedule.read(self.schedules / step.id, digest).as_left
        return local_stream.read(self.streams, step.id, {"revision": digest}).as_left

    def _serve(self, server: Json, watch: Watch) -> Json:
        """Serves; the models of before stay until the next ones come, so that there is a way back to them."""
        before, wanted = local_server.models_in_use(self.servers), {model["folder"] for model in server["models"]}
        if before and before != wanted:  # beforehand, so that a run that continues a killed one keeps the same
            local_store.prune(self.store, keep=before | wanted)
        return local_server.serve(self.servers, server, watch)

    def runs(self, step: str) -> list[Json]:
        return local_job.history(self.jobs, step)

    def cancel(self, step: str, digest: str) -> None:
        for told in local_job.history(self.jobs, step):
            if told["digest"] == digest:
                local_job.cancel(Path(told["log"]).parent)

    def secret(self, name: str) -> str:
        return secret.read(name)

    def logs(self, step: Step, outputs: Json, *, follow: bool) -> Iterator[str]:
        if step.kind == "job":
            return local_job.logs(self.jobs, step.id, follow=follow)
        if step.kind == "schedule":
            return local_schedule.logs(self.schedules / step.id, follow=follow)
        if step.kind == "stream":
            return local_stream.logs(self.streams, step.id, follow=follow)
        return local_server.logs(self.servers, follow=follow) if step.verb == "serve" else iter(())


def _smoke_test(inputs: Json) -> Json:
    file = Path(inputs["file"])
    try:
        known = file.read_bytes()
        body = known if inputs["kind"] == "image" else b'{"rows": [%s]}' % known
        answer = Endpoint(inputs["url"], inputs["key"], certificate=inputs.get("certificate")).score(
            body, name=file.name
        )
        best = answer["predictions"][0]
    except OSError as error:
        raise RunFailed(f"the smoke test's file cannot be read: {error.strerror}", where=str(file)) from None
    except (TypeError, KeyError, IndexError):
        raise RunFailed("the smoke test's answer is not a prediction", where=inputs["url"]) from None
    except CustomAIError as error:
        raise RunFailed(f"the smoke test failed: {error.message}", where=error.where, hint=error.hint) from None
    if best["label"] != inputs["label"]:
        raise RunFailed(
            f"the smoke test failed: expected '{inputs['label']}', got '{best['label']}' ({best['probability']:.1%})",
            where=str(file),
            hint="does the spec's preprocessing match how the model was trained?",
        )
    return {"label": best["label"], "probability": best["probability"]}
