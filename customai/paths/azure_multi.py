"""Path 1-2 on Azure: the training script in an image of its own, on nodes of Azure ML that train together, or try side by side.

workspace -+- environment -+- job
           +- cluster -----+
"""

from __future__ import annotations

import json
import shlex
from pathlib import PurePath
from typing import Any

from customai.model import Json, Step
from customai.paths import Files, azure_batchai, azure_ml
from customai.paths.azure_ml_section import CPU, Together
from customai.paths.train_single import arguments
from customai.provisioning import azure_names, identity, job_image, ml_compute, ml_environment, ml_job, node_pool

FOLDERS = ("training", "job")
FINAL = "final_"  # what customai.workloads.training.tracking calls a result's number
GOALS = {"max": "Maximize", "min": "Minimize"}


def steps(
    section: Together,
    *,
    name: str,
    path: str,
    spec_digest: str,
    subscription: str | None,
    files: Files,
    spec: Any,
) -> tuple[Step, ...]:
    """What has to be done to train on several nodes; `spec` is customai.paths.train_multi's."""
    place = section.where(name, subscription)
    wanted, size = section.cluster, section.cluster.size or CPU
    if wanted.service == "batchai":
        return azure_batchai.steps(section, place, path=path, spec_digest=spec_digest, files=files, spec=spec)
    built = _image(place, name, spec, files, gpu=node_pool.is_gpu(size))
    version = job_image.content(built.inputs)
    workspace = azure_names.ml_workspace(place)
    environment = ml_environment.step(
        "environment",
        place=place,
        workspace=workspace,
        name=name,
        version=version,
        image={"$ref": "image#reference"},
        routes=None,
        after=("workspace", "image"),
        why="what the script runs in: the image, by its digest",
    )
    base = azure_ml.steps(section, place, name=name, path=path, spec_digest=spec_digest)
    job = _job(section, place, name, spec, size=size, version=version)
    if wanted.spot:
        return *base, built, environment, job
    cluster = ml_compute.step(
        "cluster",
        place=place,
        workspace=workspace,
        name=azure_names.ml_compute(place),
        nodes={"size": size, "min": wanted.min, "max": wanted.max},
        identity=identity.id_of(place, f"id-{name}-nodes"),
        after=("workspace", "nodes-identity"),
        why=f"the nodes that train, {wanted.min} to {wanted.max} of {size}",
    )
    return *base, built, environment, cluster, job


def _image(place: Json, name: str, spec: Any, files: Files, *, gpu: bool) -> Step:
    own = (spec.train.script, *spec.train.files)
    code = [
        {"name": f"files/{file}", "source": files.absolute(file), "sha256": files.sha256(file)}
        for file in map(str, map(PurePath, own))
    ]
    return job_image.step(
        "image",
        registry=azure_ml.registry_of(place),
        repository=name,
        code=[*azure_ml.workloads(files, *FOLDERS), *code],
        models={},
        packages=(*job_image.REQUIREMENTS["train"], *job_image.TRACKING),
        gpu=gpu,
        after=("registry",),
        why="the script, and what it needs, built in the registry",
    )


def _job(section: Together, place: Json, name: str, spec: Any, *, size: str, version: str) -> Step:
    wanted, workspace = section.cluster, azure_names.ml_workspace(place)
    who = "identity" if wanted.spot else "nodes-identity"
    cluster = {"id": ml_compute.id_of(place, workspace, azure_names.ml_compute(place))}
    nodes = 1 if spec.sweep is not None else spec.together
    command = ml_job.command(
        text=_text(spec),
        environment=ml_environment.id_of(place, workspace, name, version),
        compute={"size": size, "spot": True} if wanted.spot else cluster,
        identity={"$ref": f"{who}#client_id"},
        nodes=nodes,
        processes=wanted.processes,
        variables={
            "CUSTOMAI_RUN_FOLDER": "outputs",  # what Azure ML keeps of a job
            "CUSTOMAI_TRACKING": json.dumps({"experiment": name, "uri": None}),
        },
    )
    why = f"begins {spec.train.script} on {nodes} node{'s' * (nodes > 1)}: it goes on in Azure ML"
    if spec.sweep is not None:
        command = _sweep(spec, command)
        why = f"begins trials of {spec.train.script}, {spec.sweep.slots} at a time: they go on in Azure ML"
    return ml_job.step(
        "train",
        place=place,
        workspace=workspace,
        name="train",
        job=command,
        depends=None,
        after=("environment", "pull-role", "data-role", who, *(() if wanted.spot else ("cluster",))),
        why=why,
    )


def _text(spec: Any) -> str:
    """The command in a shell's words; a sweep's parameters are Azure ML's to fill in."""
    words = ["python", "-m", "customai.workloads.training", f"{job_image.APP}/files/{PurePath(spec.train.script)}"]
    text = shlex.join([*words, *arguments(spec.train.parameters)])
    tried = [f"${{{{search_space.{each}}}}}" for each in spec.sweep.parameters] if spec.sweep is not None else []
    return " ".join(["mkdir -p outputs &&", text, *tried])


def _sweep(spec: Any, command: Json) -> Json:
    """Each trial gets whole arguments: `--lr 0.1`, or for a switch `--fast` or nothing."""
    sweep = spec.sweep
    space = {
        name: [shlex.join(arguments({name: value})) for value in values] for name, values in sweep.parameters.items()
    }
    every = 1
    for values in space.values():
        every *= len(values)
    chosen = {"samplingAlgorithmType": "Random", "seed": sweep.seed, "rule": "Random"}
    return ml_job.sweep(
        trial=command,
        space=space,
        sampling={"samplingAlgorithmType": "Grid"} if sweep.trials is None else chosen,
        objective={"goal": GOALS[sweep.goal], "primaryMetric": f"{FINAL}{sweep.metric}"},
        most=sweep.trials or every,
        at_once=sweep.slots,
    )
