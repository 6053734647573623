"""The API of Databricks workspaces, behind the same HTTP: Unity Catalog, files of volumes, jobs and their runs. Not in the recordings.

What is sent is held against the SDK's own classes: a key that they do not know is refused. What is in the catalog outlives
its workspace, as it does there: it is the metastore's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .messages import Answer, Request

if TYPE_CHECKING:
    from .cloud import Cloud

Body = dict[str, Any]
CATALOG = "main"
RUNTIMES = ("16.4.x-scala2.13", "17.3.x-scala2.13", "18.0.x-scala2.13", "17.3.x-photon-scala2.13")


class Refused(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.answer = Answer(status, {"error_code": code, "message": message})


@dataclass
class Run:
    body: Body
    began: float
    fails: str = ""
    cancelled: bool = False


@dataclass
class Hosted:
    """What is in one workspace, and goes with it."""

    jobs: dict[int, Body] = field(default_factory=dict)
    runs: dict[int, Run] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)


class Databricks:
    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.catalog: dict[str, Body] = {}  # "storage-credentials/NAME", "external-locations/NAME", "volumes/FULL.NAME"
        self.files: dict[str, bytes] = {}
        self.folders: set[str] = set()
        self.hosted: dict[int, Hosted] = {}  # by the workspace's resource
        self.denials = 0  # how many more requests for a location a new role is unknown to
        self.fails = ""  # what the next runs fail with
        self.says = '{"rows": 8000}'  # the last line of a run's log
        self.number = 100

    def handle(self, request: Request) -> Answer:
        workspace = self.cloud.store.get(request.headers.get("x-databricks-azure-workspace-resource-id", "").lower())
        if workspace is None or not workspace.stands:
            return Answer(404, b"<html>no such workspace</html>", {"Content-Type": "text/html"})
        hosted = self.hosted.setdefault(id(workspace), Hosted())
        try:
            for method, pattern, answer in ROUTES:
                found = re.fullmatch(pattern, request.path)
                if found and method == request.method:
                    result = answer(self, hosted, request, found)
                    return result if isinstance(result, Answer) else Answer(200, result)
        except Refused as refused:
            return refused.answer
        return Answer(404, {"error_code": "ENDPOINT_NOT_FOUND", "message": f"No API found for {request.path}"})

    def _next(self) -> int:
        self.number += 1
        return self.number

    # Unity Catalog

    def metastore(self, hosted: Hosted, request: Request, found: re.Match[str]) -> Body:
        return {"metastore_id": "m", "workspace_id": 1, "default_catalog_name": CATALOG}

    def read(self, hosted: Hosted, request: Request, found: re.Match[str]) -> Body:
        there = self.catalog.get(f"{found['kind']}/{found['name']}")
        if there is None:
            code = found["kind"].upper().replace("-", "_").rstrip("S") + "_DOES_NOT_EXIST"
            raise Refused(404, code, f"{found['kind']} '{found['name']}' does not exist.")
        return there

    def make(self, hosted: Hosted, request: Request, found: re.Match[str]) -> Body:
        kind, body = found["kind"], request.body
        named = (
            f"{body.get('catalog_name')}.{body.get('schema_name')}.{body['name']}"
            if kind == "volumes"
            else body["name"]
        )
        if f"{kind}/{named}" in self.catalog:
            raise Refused(409, "RESOURCE_ALREADY_EXISTS", f"{kind} '{named}' already exists")
        if kind == "external-locations":
            self._credential(body["credential_name"])
            if self.denials > 0:
                self.denials -= 1
                raise Refused(
                    403, "PERMISSION_DENIED", "The Managed Identity does not have READ permissions on the url."
                )
            if any(each.get("url") == body["url"] for key, each in self.catalog.items() if key.startswith(kind)):
                raise Refused(409, "LOCATION_OVERLAP", f"Input path url '{body['url']}' overlaps with another location")
        if kind == "volumes":
            known = [each["url"] for key, each in self.catalog.items() if key.startswith("external-locations/")]
            if not any(body["storage_location"].startswith(url) for url in known):
                raise Refused(400, "INVALID_PARAMETER_VALUE", "no external location covers the path")
        shown = {**body, "full_name": named, "owner": self.cloud.catalog.caller}
        self.catalog[f"{kind}/{named}"] = shown
        return shown

    def _credential(self, name: str) -> None:
        made = self.catalog.get(f"storage-credentials/{name}")
        if made is None:
            raise Refused(404, "STORAGE_CREDENTIAL_DOES_NOT_EXIST", f"Storage credential '{name}' does not exist.")
        connector = self.cloud.store.get(made["azure_managed_identity"]["access_connector_id"].lower())
        if connector is None:
            raise Refused(400, "INVALID_PARAMETER_VALUE", "the access connector does not exist")

    def remove(self, hosted: Hosted, request: Request, found: re.Match[str]) -> Body:
        self.read(hosted, request, found)
        name = found["name"]
        used = [key for key, each in self.catalog.items() if each.get("credential_name") == name]
        if found["kind"] == "storage-credentials" and used and request.query.get("force") != "true":
            raise Refused(400, "INVALID_STATE", f"'{name}' has dependent objects")
        del self.catalog[f"{found['kind']}/{name}"]
        return {}

    # Files of volumes

    def folder(self, hosted: Hosted, request: Request, found: re.Match[str]) -> Answer:
        self._in_a_volume(found["path"])
        parts = found["path"].split("/")
        self.folders |= {"/".join(parts[: end + 1]) for end in range(4, len(parts))}
        return Answer(204)

    def write(self, hosted: Hosted, request: Request, found: re.Match[str]) -> Answer:
        self._in_a_volume(found["path"])
        if found["path"].rpartition("/")[0] not in self.folders:
            raise Refused(404, "NOT_FOUND", "The parent directory does not exist.")
        if found["path"] in self.files and request.query.get("overwrite") != "true":
            raise Refused(409, "ALREADY_EXISTS", "The file is there already.")
        self.files[found["path"]] = request.raw
        return Answer(204)

    def look(self, hosted: Hosted, request: Request, found: re.Match[str]) -> Answer:
        if found["path"] not in self.files:
            return Answer(404)
        return Answer(200, None, {"Last-Modified": "Wed, 25 Nov 2026 04:00:00 GMT"})

    def _in_a_volume(self, path: str) -> None:
        if f"volumes/{'.'.join(path.split('/')[2:5])}" not in self.catalog:
            raise Refused(404, "NOT_FOUND", f"The volume of {path} does not exist.")

    # Jobs and runs

    def runtimes(self, hosted: Hosted, request: Request, found: re.Match[str]) -> Body:
        return {"versions": [{"key": key, "name": key} for key in RUNTIMES]}

    def jobs(self, hosted: Hosted, request: Request, found: re.Match[str]) -> Body:
        name = request.query.get("name")
        every = [each for each in hosted.jobs.values() if name is None or each["settings"]["name"] == name]
        left_out = ("tasks", "job_clusters", "parameters")  # a list shows the head of each
        shown = [
            each | {"settings": {k: v for k, v in each["settings"].items() if k not in left_out}} for each in every
        ]
        return {"jobs": shown} if shown else {}

    def job(self, hosted: Hosted, request: Request, found: re.Match[str]) -> Body:
        return self._job(hosted, int(request.query["job_id"]))

    def create(self, hosted: Hosted, request: Request, found: re.Match[str]) -> Body:
        number = self._next()
        hosted.jobs[number] = {"job_id": number, "settings": self._settings(request.body)}
        return {"job_id": number}

    def reset(self, hosted: Hosted, request: Request, found: re.Match[str]) -> Body:
        self._job(hosted, request.body["job_id"])["settings"] = self._settings(request.body["new_settings"])
        return {}

    def delete(self, hosted: Hosted, request: Request, found: re.Match[str]) -> Body:
        self._job(hosted, request.body["job_id"])
        del hosted.jobs[request.body["job_id"]]
        return {}

    def run_now(self, hosted: Hosted, request: Request, found: re.Match[str]) -> Body:
        token = request.body.get("idempotency_token", "")
        if len(token) > 64:
            raise Refused(400, "INVALID_PARAMETER_VALUE", "idempotency_token has at most 64 characters")
        if token in hosted.tokens:
            return {"run_id": hosted.tokens[token]}
        job = self._job(hosted, request.body["job_id"])
        declared = {each["name"]: each["default"] for each in job["settings"].get("parameters", [])}
        given = request.body.get("job_parameters", {})
        if unknown := given.keys() - declared.keys():
            raise Refused(
                400, "INVALID_PARAMETER_VALUE", f"Job parameters {sorted(unknown)} are not defined in the job"
            )
        number = self._next()
        values = [
            {"name": name, "default": default, "value": given.get(name, default)} for name, default in declared.items()
        ]
        body = {"run_id": number, "job_id": job["job_id"], "job_parameters": values}
        body["run_page_url"] = f"{request.base}/jobs/{job['job_id']}/runs/{number}"
        body["tasks"] = [{"run_id": self._next(), "task_key": each["task_key"]} for each in job["settings"]["tasks"]]
        hosted.runs[number] = Run(body, self.cloud.clock(), self.fails)
        if token:
            hosted.tokens[token] = number
        return {"run_id": number}

    def runs(self, hosted: Hosted, request: Request, found: re.Match[str]) -> Body:
        job = int(request.query["job_id"])
        every = [self._shown(run) for run in reversed(list(hosted.runs.values())) if run.body["job_id"] == job]
        return {"runs": [{k: v for k, v in each.items() if k != "tasks"} for each in every]} if every else {}

    def run(self, hosted: Hosted, request: Request, found: re.Match[str]) -> Body:
        return self._shown(self._run(hosted, int(request.query["run_id"])))

    def output(self, hosted: Hosted, request: Request, found: re.Match[str]) -> Body:
        wanted = int(request.query["run_id"])
        for run in hosted.runs.values():
            if wanted in [task["run_id"] for task in run.body["tasks"]]:
                log = run.fails or f"Spark begins\n{self.says}"
                return {"logs": f"{log}\n", **({"error": "SystemExit: 1"} if run.fails else {})}
        raise Refused(
            400, "INVALID_PARAMETER_VALUE", "Retrieving the output of runs with multiple tasks is not supported"
        )

    def cancel(self, hosted: Hosted, request: Request, found: re.Match[str]) -> Body:
        self._run(hosted, request.body["run_id"]).cancelled = True
        return {}

    def _job(self, hosted: Hosted, number: int) -> Body:
        if number not in hosted.jobs:
            raise Refused(400, "INVALID_PARAMETER_VALUE", f"Job {number} does not exist.")
        return hosted.jobs[number]

    def _run(self, hosted: Hosted, number: int) -> Run:
        if number not in hosted.runs:
            raise Refused(400, "INVALID_PARAMETER_VALUE", f"Run {number} does not exist.")
        return hosted.runs[number]

    def _shown(self, run: Run) -> Body:
        passed, whole = self.cloud.clock() - run.began, self.cloud.times.plain(300)
        if run.cancelled:
            state = {"life_cycle_state": "TERMINATED", "result_state": "CANCELED"}
        elif passed >= whole:
            state = {"life_cycle_state": "TERMINATED", "result_state": "FAILED" if run.fails else "SUCCESS"}
        else:
            state = {"life_cycle_state": "PENDING" if passed < whole / 2 else "RUNNING"}
        return {**run.body, "state": state | {"state_message": ""}}

    def _settings(self, body: Body) -> Body:
        """As Databricks keeps it; what the SDK does not know, nobody does."""
        from databricks.sdk.service.jobs import JobSettings

        kept = JobSettings.from_dict(body).as_dict()
        if kept != body:
            raise Refused(400, "MALFORMED_REQUEST", f"unknown: {json.dumps(body)} is read as {json.dumps(kept)}")
        for each in body["job_clusters"]:
            if each["new_cluster"]["spark_version"] not in RUNTIMES:
                raise Refused(400, "INVALID_PARAMETER_VALUE", "Invalid spark version")
        return {"timeout_seconds": 0, "format": "MULTI_TASK", **body}


Handler = Callable[[Databricks, Hosted, Request, "re.Match[str]"], Any]
UC, J, FS = "/api/2.1/unity-catalog", "/api/2.2/jobs", "/api/2.0/fs"
KIND = "(?P<kind>storage-credentials|external-locations|volumes)"
ROUTES: list[tuple[str, str, Handler]] = [
    ("GET", f"{UC}/current-metastore-assignment", Databricks.metastore),
    ("GET", f"{UC}/{KIND}/(?P<name>[^/]+)", Databricks.read),
    ("POST", f"{UC}/{KIND}", Databricks.make),
    ("DELETE", f"{UC}/{KIND}/(?P<name>[^/]+)", Databricks.remove),
    ("PUT", f"{FS}/directories(?P<path>/Volumes/.+)", Databricks.folder),
    ("PUT", f"{FS}/files(?P<path>/Volumes/.+)", Databricks.write),
    ("HEAD", f"{FS}/files(?P<path>/Volumes/.+)", Databricks.look),
    ("GET", "/api/2.1/clusters/spark-versions", Databricks.runtimes),
    ("GET", f"{J}/list", Databricks.jobs),
    ("GET", f"{J}/get", Databricks.job),
    ("POST", f"{J}/create", Databricks.create),
    ("POST", f"{J}/reset", Databricks.reset),
    ("POST", f"{J}/delete", Databricks.delete),
    ("POST", f"{J}/run-now", Databricks.run_now),
    ("GET", f"{J}/runs/list", Databricks.runs),
    ("GET", f"{J}/runs/get", Databricks.run),
    ("GET", f"{J}/runs/get-output", Databricks.output),
    ("POST", f"{J}/runs/cancel", Databricks.cancel),
]
