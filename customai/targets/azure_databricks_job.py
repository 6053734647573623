"""A job of Databricks: what it needs is uploaded into a folder that its content names, then it is made, or set as it is to be.

A job has no name that is its alone: it is known again by its name and the deployment's tag, so that none is made twice.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from customai.errors import NotAvailable
from customai.model import Json, Step, dumps
from customai.provisioning.databricks_job import ENTRY, WHEEL
from customai.targets.azure_arm import Arm
from customai.targets.azure_compare import differences
from customai.targets.azure_databricks import NEW_ROLE, OURS, Workspace, told
from customai.targets.azure_databricks_wheel import written
from customai.targets.azure_image_context import laid_out
from customai.targets.base import Observed, Watch

WHOLE = ".complete"  # says that all of a folder is there


def read(step: Step, outputs: Json, arm: Arm) -> Observed:
    job = _Job(step, step.inputs | {"volumes": (outputs or {}).get("volumes", {})}, arm, Watch())
    found = job.found() if outputs is not None and job.client() is not None else None
    if found is None:
        return Observed(present=False, as_left=False)
    ways = [each.to_json() for each in differences(job.settings(), found.settings.as_dict())]
    if not ways and not job.is_uploaded():
        ways = [{"property": "files", "wanted": job.folder, "found": None}]
    return Observed(present=True, as_left=not ways, detail={"state": "", "differences": ways})


def apply(step: Step, inputs: Json, digest: str, arm: Arm, watch: Watch) -> Json:
    del digest  # the job's own settings say whether it is done
    job = _Job(step, inputs, arm, watch)
    job.is_offered()
    if not job.is_uploaded():
        job.upload()
    return {"job_id": str(job.brought_about()), "folder": job.folder, "volumes": inputs["volumes"]}


def delete(step: Step, outputs: Json, arm: Arm) -> None:
    """What was uploaded goes with its container."""
    job = _Job(step, step.inputs | {"volumes": (outputs or {}).get("volumes", {})}, arm, Watch())
    if job.client() is not None:
        for each in job.every():
            job.until(lambda each=each: job.there().jobs.delete(each.job_id))  # type: ignore[misc]


class _Job(Workspace):
    def __init__(self, step: Step, inputs: Json, arm: Arm, watch: Watch) -> None:
        super().__init__(step, inputs, arm, watch)
        self.folder = f"{inputs['volumes'].get('volume')}/{inputs['folder']}"

    def settings(self) -> Json:
        text = dumps(self.inputs["settings"])
        for name, place in {"folder": self.folder, **self.inputs["volumes"]}.items():
            text = text.replace(f"{{{name}}}", str(place))
        return json.loads(text)

    def is_offered(self) -> None:
        """Raises NotAvailable where the workspace has no such runtime."""
        wanted = self.inputs["settings"]["job_clusters"][0]["new_cluster"]["spark_version"]
        offered = [each.key for each in self.until(self.there().clusters.spark_versions).versions or ()]
        if wanted not in offered:
            ours = sorted({key.partition(".x-")[0] for key in offered if key.endswith(".x-scala2.13")})
            hint = f"azure.runtime in the spec: {', '.join(ours)}"
            raise NotAvailable(f"Databricks does not offer the runtime {wanted}", where=self.step.id, hint=hint)

    def every(self) -> list[Any]:
        """The deployment's jobs of this name."""
        wanted = self.inputs["settings"]
        listed = self.until(lambda: list(self.there().jobs.list(name=wanted["name"])))
        return [each for each in listed if (each.settings.tags or {}).get(OURS) == wanted["tags"][OURS]]

    def found(self) -> Any:
        """The job, whole; None where there is none."""
        return next((self.until(lambda each=each: self.there().jobs.get(each.job_id)) for each in self.every()), None)  # type: ignore[misc]

    def brought_about(self) -> int:
        """Its id, once it is as wanted. A request that got no answer is not sent again before it is looked for."""
        tries, wanted = self.tries(), self.settings()
        while True:
            found = self.found()
            if found is not None and not list(differences(wanted, found.settings.as_dict())):
                return int(found.job_id)
            body = {"job_id": found.job_id, "new_settings": wanted} if found is not None else wanted
            action = "create" if found is None else "reset"
            try:
                told(lambda: self.there().api_client.do("POST", f"/api/2.2/jobs/{action}", body=body), self.step.id)  # noqa: B023 (called at once)
            except Exception as error:  # noqa: BLE001 (what is no refusal is raised as it is)
                tries.again(error)

    def is_uploaded(self) -> bool:
        from databricks.sdk.errors import NotFound

        try:
            self.until(lambda: self._files().get_metadata(f"{self.folder}/{WHOLE}"))
        except NotFound:
            return False
        return True

    def upload(self) -> None:
        with tempfile.TemporaryDirectory(prefix="customai-") as temporary:
            folder = Path(temporary)
            laid_out(self.inputs, folder, self.watch)
            written(folder, folder / WHEEL, ENTRY)
            (folder / WHOLE).touch()
            own = folder / "customai"
            every = [each for each in folder.rglob("*") if each.is_file() and own not in each.parents]
            every.sort(key=lambda each: (each.name == WHOLE, each))
            for each in every:
                self._send(each, f"{self.folder}/{each.relative_to(folder).as_posix()}")

    def _send(self, file: Path, place: str) -> None:
        self.watch.report(f"uploading {file.name}")
        above = place.rpartition("/")[0]
        self.until(lambda: self._files().create_directory(above), passes=NEW_ROLE)
        with open(file, "rb") as opened:

            def sent() -> None:
                opened.seek(0)
                self._files().upload(place, opened, overwrite=True)

            self.until(sent, passes=NEW_ROLE)

    def _files(self) -> Any:
        """Plain requests: what is uploaded is small."""
        from databricks.sdk.service.files import FilesAPI

        return FilesAPI(self.there().api_client)  # type: ignore[no-untyped-call]
