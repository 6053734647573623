"""Batch AI (retired on 2019-03-31): cluster.json and job.json -> path 1-2, training on many nodes."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

from customai.convert import Converted, Left
from customai.convert.old import Old, arguments, size

TOOLKITS = ("pyTorch", "tensorFlow", "horovod", "chainer", "caffe2", "caffe", "cntk")
COMMANDS = ("customToolkitSettings", "customMpiSettings")
TORCHRUN = r"world-size|rank|dist-url|dist-backend|local-rank|job_name|task_index|ps_hosts|worker_hosts"
WHY = (
    (
        r"nodeSetup\.mountVolumes|mountVolumes",
        "nothing is mounted: data are read from blob storage, or beside the script",
    ),
    (r"nodeSetup|jobPreparation", "what it installed belongs into the environment: pip install, or an image"),
    (r"userAccount", "nobody logs in to a node"),
    (r"virtualMachineConfiguration|image", "Azure ML chooses the nodes' image"),
    (r"containerSettings", "the image is built from the environment; old ones hold old CUDA"),
    (r"inputDirectories|outputDirectories|stdOutErr", "each run has a folder of its own for all that it writes"),
    (r"environmentVariables", "set it in the script; a secret comes from the surroundings"),
    (r"secrets", "a secret never stands in a spec"),
    (r"subnet", "the network is made with the rest"),
    (r"processCount", "one process on each node"),
    (r"pythonInterpreterPath|communicationBackend", "Python and torchrun choose it"),
    (
        r"masterCommandLineArgs|workerCommandLineArgs|parameterServer|workerCount",
        "there are no parameter servers: torchrun",
    ),
    (r"constraints|priority|schedulingPriority", "a run goes on until it has ended or is cancelled"),
)
SILENT = r"\$schema|(^|\.)(id|name|type|apiVersion|tags|experimentName|cluster|provisioningState)$"


def convert(cluster: Old, job: Old) -> Converted:
    """The spec of the same training today."""
    machine, work = cluster.or_block("properties"), job.or_block("properties")
    place, line, key = _script(work)
    script = PurePosixPath(place).name
    parameters, left = arguments(line, job.file, key)
    for name in [name for name in parameters if re.fullmatch(TORCHRUN, name)]:
        del parameters[name]
        left.append(Left(job.file, key, f"--{name}: torchrun tells it to the script in its surroundings"))
    count = work.number("nodeCount") or 2
    nodes, left_nodes = _nodes(machine, cluster.file, count)
    if location := cluster.get("location") or machine.get("location"):
        nodes["region"] = str(location).lower().replace(" ", "")
    train = {"script": script} | ({"parameters": parameters} if parameters else {})
    values: dict[str, Any] = {"path": "1-2", "nodes": count, "train": train}
    values |= {"azure": nodes} if nodes else {}
    left = [*left_nodes, *left, *cluster.left(WHY, SILENT), *job.left(WHY, SILENT)]
    return Converted("1-2", values, tuple(left), bring={script: place})


def _script(work: Old) -> tuple[str, Any, str]:
    """Where the script was, its arguments, and the key that they stand under."""
    for toolkit in TOOLKITS:
        settings = work.block(f"{toolkit}Settings")
        path = settings.get("pythonScriptFilePath")
        if path:
            return str(path), settings.get("commandLineArgs"), f"{settings.place}.commandLineArgs"
    for name in COMMANDS:
        settings = work.block(name)
        found = re.search(r"([^\s;&|]+\.py)(?!\S)([^;&|]*)", str(settings.get("commandLine") or ""))
        if found:
            return found[1], found[2], f"{settings.place}.commandLine"
    return "train.py", None, ""


def _nodes(machine: Old, file: str, count: int) -> tuple[dict[str, Any], list[Left]]:
    """The nodes in the spec's words; as many at least as train together."""
    wanted, left = size(machine.get("vmSize"), file, "vmSize")
    scale = machine.block("scaleSettings")
    auto, manual = scale.block("autoScale"), scale.block("manual")
    auto.get("initialNodeCount")
    manual.get("nodeDeallocationOption")
    most = auto.number("maximumNodeCount") or manual.number("targetNodeCount")
    few = auto.number("minimumNodeCount") or 0
    found = {"size": wanted, "min": few if most else None, "max": max(most or 0, few, count)}
    if str(machine.get("vmPriority") or "").lower() == "lowpriority":
        left.append(Left(file, "vmPriority", "low-priority nodes ended on 2026-03-31: dedicated ones, which cost more"))
    kept = {key: value for key, value in found.items() if value is not None}
    return ({"cluster": kept} if kept else {}), left
