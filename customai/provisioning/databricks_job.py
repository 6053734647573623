"""A job of Databricks: the code that runs on this machine, as a wheel, on a cluster that comes and goes with each run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from customai import __version__
from customai.model import Json, Step, digest

OUTPUTS = {"job_id": "", "folder": ""}
WHEEL = f"customai-{__version__}-py3-none-any.whl"
ENTRY = "customai"  # of the wheel: customai.workloads.spark.there
CLUSTER, TASK = "cluster", "work"
RUN = "customai_run"  # a parameter of every job: which run it is, so that it is known again


def step(
    id_: str,
    *,
    place: Json,
    workspace: str,
    name: str,
    volumes: Mapping[str, Json],
    code: Sequence[Json],
    files: Sequence[Json] = (),
    models: Mapping[str, Json],
    cluster: Json,
    work: str,
    arguments: Sequence[str],
    parameters: Mapping[str, str],
    libraries: Sequence[str],
    schedule: str | None = None,
    continuous: bool = False,
    after: tuple[str, ...],
    why: str,
) -> Step:
    """The step that uploads what the job needs, and makes the job.

    Args:
        id_: the step's id.
        place: the deployment's.
        workspace: the workspace's id.
        name: the job's; with the deployment's it is known again.
        volumes: name -> a volume's path, usually a reference: what {NAME} stands for in the arguments. One is `volume`:
            what is uploaded goes there, into a folder that {folder} stands for.
        code: customai's own, {"name", "source", "sha256"}: what becomes the wheel.
        files: other ones of the same kind; a name is below {folder}.
        models: name -> what model.local() gives: the folder {folder}/models/NAME.
        cluster: what cluster() makes.
        work: a module with a function `work`, or a script: {folder}/NAME.py.
        arguments: its own; {{job.parameters.NAME}} is what a run is given.
        parameters: name -> what it is where a run does not say.
        libraries: what pip installs besides.
        schedule: when it runs besides, as quartz() writes it.
        continuous: whether it runs at all times, and is started again when it fails.
        after: the steps that make the workspace and the volumes.
        why: one line for people.
    """
    settings = {
        "name": name,
        "parameters": [{"name": each, "default": value} for each, value in sorted({RUN: "", **parameters}.items())],
        "max_concurrent_runs": 1,
        "job_clusters": [{"job_cluster_key": CLUSTER, "new_cluster": cluster}],
        "tasks": [
            {
                "task_key": TASK,
                "job_cluster_key": CLUSTER,
                "python_wheel_task": {"package_name": ENTRY, "entry_point": ENTRY, "parameters": [work, *arguments]},
                "libraries": [{"whl": f"{{folder}}/{WHEEL}"}, *({"pypi": {"package": each}} for each in libraries)],
            }
        ],
    }
    settings |= {"continuous": {"pause_status": "UNPAUSED"}} if continuous else {"queue": {"enabled": True}}
    if schedule is not None:
        settings["schedule"] = {"quartz_cron_expression": schedule, "timezone_id": "UTC", "pause_status": "UNPAUSED"}
    inputs = {
        "workspace": workspace,
        "owner": place["deployment"],
        "volumes": dict(volumes),
        "files": [*code, *files],
        "models": dict(models),
        "settings": settings,
    }
    return Step(id_, "upload", "databricks_job", "job", inputs, after, why)


def cluster(*, size: str, min: int, max: int, spot: bool, runtime: str, conf: Mapping[str, str] | None = None) -> Json:  # noqa: A002 (as in the spec)
    """Machines of this size: one that drives, and workers; nobody but who runs the job may use them."""
    workers: Json = {"num_workers": min} if min == max else {"autoscale": {"min_workers": min, "max_workers": max}}
    return {
        "spark_version": spark_version(runtime),
        "node_type_id": size,
        "driver_node_type_id": size,
        "data_security_mode": "SINGLE_USER",
        "enable_local_disk_encryption": True,
        "azure_attributes": {
            "availability": "SPOT_WITH_FALLBACK_AZURE" if spot else "ON_DEMAND_AZURE",
            "first_on_demand": 1,  # the one that drives is never taken back
        },
        **({"spark_conf": dict(conf)} if conf else {}),
        "spark_env_vars": {"ORT_DISABLE_TELEMETRY": "1"},
        **workers,
    }


def problem(times: Json) -> str | None:
    """Why Databricks has no such times; None where it has."""
    if times["either"]:
        return "Databricks takes days of the month or of the week, and not both"
    return None


def quartz(times: Json) -> str:
    """Times as Databricks writes them: seconds first, Sunday is 1, and one of the two days is left open."""
    weekdays = [day + 1 for day in times["weekday"]]
    days = "?" if len(weekdays) < 7 else _list(times["day"], 31)
    return " ".join(
        [
            "0",
            _list(times["minute"], 60),
            _list(times["hour"], 24),
            days,
            _list(times["month"], 12),
            "?" if days != "?" else _list(weekdays, 7),
        ]
    )


def _list(values: Sequence[int], every: int) -> str:
    return "*" if len(values) == every else ",".join(map(str, values))


def spark_version(runtime: str) -> str:
    """Databricks' own key of a runtime, such as 17.3: those with Spark 4 are of Scala 2.13."""
    return f"{runtime}.x-scala2.13"


def content(inputs: Json) -> str:
    """A digest of what is uploaded, wherever on this machine it comes from: the name of the folder it goes to."""
    files = [[each["name"], each["sha256"]] for each in inputs["files"]]
    models = {
        folder: [model["model"], [[each["name"], each["sha256"]] for each in model["files"]]]
        for folder, model in inputs["models"].items()
    }
    return digest([files, models])[:16]


def azure(inputs: Json) -> Json:
    marks = {"customai-deployment": inputs["owner"], "customai-content": content(inputs)}
    return {
        "workspace": inputs["workspace"],
        "volumes": inputs["volumes"],
        "folder": f"customai/{inputs['settings']['name']}/{content(inputs)}",
        "texts": {},
        "files": inputs["files"],
        "models": {f"models/{name}": model for name, model in inputs["models"].items()},
        "settings": inputs["settings"] | {"tags": marks},
    }
