"""AZTK, Spark on Azure Batch (last changed in 2020): cluster.yaml and job.yaml -> path 2-3, batch scoring with Spark."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from customai.convert import Converted, Left
from customai.convert.old import SECRET, Old, size

WHY = (
    (r"toolkit", "today's Spark is 4: the path's README says what changes"),
    (r"size_low_pri|mixed_mode", "low-priority nodes of Azure Batch ended on 2025-09-30"),
    (r"username|ssh", "nobody logs in to a node"),
    (
        r"plugins|custom_script",
        "notebooks and the like are the workspace's own; what a script needs goes into the environment",
    ),
    (r"docker_repo", "the image is built from the environment; an old one holds an old Spark"),
    (r"subnet_id", "the network is made with the rest"),
    (r"file_shares", "nothing is mounted: data are read from blob storage"),
    (r"application_args|main_class|py_files|files", "it goes with the application"),
    (r"spark_env_sh|core_site_xml|spark_defaults_conf|jars", "say it in spark.conf, one setting a line"),
    (r"scheduling_target|max_wait_time", "a run goes on until it has ended or is cancelled"),
)
SILENT = r"(^|\.)(id|wait|worker_on_master|data_disks)$"


def convert(cluster: Old, job: Old | None, folder: Path) -> Converted:
    """The spec of a Spark job that scores today; `folder` is where the old files' own files may be."""
    blocks = [cluster.or_block("cluster_configuration")]
    left: list[Left] = []
    conf: dict[str, str] = {}
    spark: dict[str, Any] = {}
    if job is not None:
        work = job.or_block("job")
        blocks.append(work.block("cluster_configuration"))
        conf, left = _defaults(work.block("spark_configuration"), folder)
        for number, each in enumerate(work.get("applications") or ()):
            application = Old(job.file, each, f"applications[{number}]")
            conf |= _settings(application)
            if memory := _memory(application.get("driver_memory")):
                spark["memory"] = memory
            left += _script(application)
    for block in blocks:
        wanted, told = size(block.get("vm_size"), block.file, "vm_size")
        left += told
        nodes = (block.number("size") or 0) + (block.number("size_low_priority", "size_low_pri") or 0)
        if nodes:
            many = f"{nodes} nodes of {wanted}" if wanted else f"{nodes} nodes"
            left.append(
                Left(block.file, "size", f"{many}: spark.master names a cluster; on this machine, it is all cores")
            )
    spark |= {"conf": conf} if conf else {}
    left += [each for old in (cluster, job) if old is not None for each in old.left(WHY, SILENT)]
    values = {"path": "2-3"} | ({"spark": spark} if spark else {})
    return Converted("2-3", values, tuple(dict.fromkeys(left)), example=True)


def _script(application: Old) -> list[Left]:
    """An application is a script of its own; 2-3 scores with a model, and has no place for one."""
    application.get("name")
    named = Path(str(application.get("application") or "the application")).name
    why = f"{named} is a program of its own: 2-3 scores data with a model; the rest of it runs before or after"
    told = [Left(application.file, f"{application.place}.application", why)] if application else []
    return told + list(application.left(WHY, SILENT))


def _settings(application: Old) -> dict[str, str]:
    names = {"executor_memory": "executor.memory", "executor_cores": "executor.cores", "driver_cores": "driver.cores"}
    found = {f"spark.{new}": application.get(old) for old, new in names.items()}
    return {name: str(value) for name, value in found.items() if value is not None}


def _memory(given: Any) -> str | None:
    """As Spark writes it, "2g"; None for what is no amount."""
    text = str(given or "").lower().removesuffix("b")
    return text if re.fullmatch(r"\d+[mg]", text) else None


def _defaults(spark: Old, folder: Path) -> tuple[dict[str, str], list[Left]]:
    """The settings in the old spark-defaults.conf, if it is there."""
    named = spark.get("spark_defaults_conf")
    if not named:
        return {}, []
    file = next((each for each in (folder / str(named), folder / Path(str(named)).name) if each.is_file()), None)
    if file is None:
        return {}, [Left(spark.file, f"{spark.place}.spark_defaults_conf", f"there is no {named} beside it")]
    found, left = {}, []
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        setting = re.match(r"\s*(spark\.[\w.-]+)(?:\s*=\s*|\s+)(\S.*?)\s*$", line)
        if setting and SECRET.search(setting[1]):
            left.append(Left(file.name, setting[1], "no secret in a spec: put it into Spark's own spark-defaults.conf"))
        elif setting:
            found[setting[1]] = setting[2]
    return found, left
