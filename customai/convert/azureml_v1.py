"""The SDK and CLI of Azure ML, version 1 (support ended on 2026-06-30): a folder of their files.

A *.runconfig -> path 1-1, or 1-2 where it asks for several nodes. A deployment configuration for AKS or ACI -> path 2-5.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from customai.convert import Converted, Left
from customai.convert.old import Old, arguments, read, size
from customai.errors import SpecError

FOLDERS = ("", ".azureml", "aml_config", ".config")
LIMIT = 100  # files of a folder that are looked at
ENDINGS = (".runconfig", ".json", ".yml", ".yaml")
WHY = (
    (
        r"environment|conda|runtime|baseImage|docker",
        "what it installed belongs into the environment: pip install, or an image",
    ),
    (r"data|path_on_?compute", "nothing is mounted: data are read from blob storage, or beside the script"),
    (r"target", "--target says where it runs: local or azure"),
    (
        r"entryScript|sourceDirectory|extraDocker|execution",
        "2-5 serves an ONNX model without a script: the model's README",
    ),
    (r"auth|token", "customai's endpoints ask for a key or Entra's token: endpoint.key in the spec"),
    (r"ssl|cname|cert|dns", "the endpoint's TLS is the spec's: endpoint.tls"),
    (r"appInsights|modelDataCollection|collectModelData", "each answer's time and status are in the access log"),
    (r"scoringTimeout|maxQueueWait|maxConcurrent", "the server takes in as many as it can answer: endpoint.max_queue"),
    (r"gpu", "a pool of GPU nodes: azure.cluster.pools in the spec"),
    (r"maxRunDuration", "a run goes on until it has ended or is cancelled"),
)
SILENT = (
    r"(^|\.)(history|spark|hdi|hdinsight|tensorflow|mpi|pytorch|paralleltask|batchai|aisupercomputer|kubernetescompute|"
    r"containerinstance|communicator|framework|useAbsolutePath|autoPrepareEnvironment|outputCollection|priority|"
    r"credentialPassthrough|autoscaleEnabled|refreshPeriodInSeconds|namespace|tags|description|properties|name|version|"
    r"amlcompute|jobName|identity|command|cmk\w*|sourceDirectoryDataStore|instanceTypes|datacaches)($|\.)"
)


def convert(folder: Path) -> list[Converted]:
    """The specs of what is in the folder: a training, an endpoint, or both.

    Raises:
        SpecError: there is neither.
    """
    runs, inferences, deployments = [], [], []
    for file in _files(folder):
        old = read(file) if file.suffix == ".runconfig" else _readable(file)
        if old is None:
            continue
        body = old.or_block("configuration")
        if file.suffix == ".runconfig" or ("script" in body.value and "target" in body.value):
            runs.append(old)
        elif body.get("computeType"):
            deployments.append(old)
        elif body.get("entryScript"):
            inferences.append(old)
    if not runs and not deployments:
        hint = "a *.runconfig, or a deploymentconfig with computeType AKS or ACI, there or in its .azureml"
        raise SpecError("there is nothing of Azure ML's version 1 there", where=str(folder), hint=hint)
    found = [_training(runs[0], runs[1:])] if runs else []
    return found + ([_endpoint(_chosen(deployments), deployments, inferences)] if deployments else [])


def _files(folder: Path) -> list[Path]:
    places = [folder / name for name in FOLDERS]
    files = [file for place in places if place.is_dir() for file in sorted(place.iterdir()) if file.is_file()]
    return [file for file in files if file.suffix in ENDINGS][:LIMIT]


def _readable(file: Path) -> Old | None:
    """What is no configuration is somebody's own business."""
    try:
        return read(file)
    except SpecError:
        return None


def _training(old: Old, others: list[Old]) -> Converted:
    run = old.or_block("configuration")
    place = str(run.get("script") or "train.py")
    script = PurePosixPath(place).name
    parameters, left = arguments(run.get("arguments"), old.file, "arguments")
    nodes = run.number("nodeCount") or 1
    train: dict[str, Any] = {"script": script} | ({"parameters": parameters} if parameters else {})
    values: dict[str, Any] = {"path": "1-2", "nodes": nodes} if nodes > 1 else {"path": "1-1"}
    values["train"] = train
    machine = run.block("amlcompute")
    wanted, told = size(machine.get("vmSize"), old.file, "amlcompute.vmSize")
    spot = str(machine.get("vmPriority") or "").lower() == "lowpriority"
    if wanted:
        values["azure"] = (
            {"cluster": {"size": wanted, "max": nodes}}
            if nodes > 1
            else {"vm": {"size": wanted} | ({"spot": True} if spot else {})}
        )
    left += [*told, *old.left(WHY, SILENT)]
    left += [Left(other.file, "", f"another run configuration: only {old.file} was taken") for other in others]
    return Converted(values["path"], values, tuple(left), bring={script: place})


def _chosen(deployments: list[Old]) -> Old:
    """That for AKS, where there are several."""
    on_aks = [old for old in deployments if str(old.or_block("configuration").get("computeType")).upper() == "AKS"]
    return (on_aks or deployments)[0]


def _endpoint(old: Old, deployments: list[Old], inferences: list[Old]) -> Converted:
    body = old.or_block("configuration")
    scale, needs = body.block("autoScaler"), body.block("containerResourceRequirements")
    fixed = body.number("numReplicas")
    scales = scale.get("autoscaleEnabled") not in (False, "False", "false") and bool(scale)
    replicas = {
        "min": (scale.number("minReplicas") if scales else None) or fixed,
        "max": (scale.number("maxReplicas") if scales else None) or fixed,
        "cpu": needs.get("cpu"),
        "memory_gb": needs.get("memoryInGB"),
        "cpu_percent": scale.number("targetUtilization") if scales else None,
    }
    kept = {key: value for key, value in replicas.items() if value is not None}
    left = [each for one in (old, *inferences) for each in one.left(WHY, SILENT)]
    left += [
        Left(each.file, "", f"another deployment: only {old.file} was taken") for each in deployments if each is not old
    ]
    left += [Left(each.file, "entryScript", reason) for each in inferences for reason in (WHY[3][1],)]
    values: dict[str, Any] = {"path": "2-5"} | ({"azure": {"replicas": kept}} if kept else {})
    return Converted("2-5", values, tuple(left), example=True)
