"""Path 1-2 on Batch AI, the service of 2018, which ended on 2019-03-31: for whoever still has an endpoint that speaks it.

workspace -+- file server - cluster -+- job
           +- experiment ------------+
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path, PurePath
from typing import Any

from customai.errors import SpecError
from customai.model import Json, Step
from customai.paths import Files, azure_base, azure_ml
from customai.paths.azure_ml_section import CPU, Together
from customai.paths.azure_training import public_key
from customai.paths.train_single import arguments
from customai.provisioning import (
    batchai_cluster,
    batchai_experiment,
    batchai_file_server,
    batchai_job,
    batchai_workspace,
    job_image,
    node_pool,
)

CLUSTER, FILE_SERVER = "nodes", "files"
FOLDERS = ("training", "job")
BEGINS = f"{batchai_job.APP}/customai/workloads/training/batchai.py"


def steps(section: Together, place: Json, *, path: str, spec_digest: str, files: Files, spec: Any) -> tuple[Step, ...]:
    """What has to be done to train on several nodes; `spec` is customai.paths.train_multi's."""
    wanted, size = section.cluster, section.cluster.size or CPU
    key = public_key(files, wanted.ssh_key)
    ask = () if section.allow_from else ("address_prefix",)
    return (
        *azure_base.steps(section, place, path=path, spec_digest=spec_digest, ask=ask, logs=False),
        batchai_workspace.step(
            "workspace",
            place=place,
            after=("group",),
            why="Batch AI, which ended on 2019-03-31: clusters and their jobs",
        ),
        batchai_file_server.step(
            "file-server",
            place=place,
            name=FILE_SERVER,
            size=CPU,
            ssh_key=key,
            ssh_from=section.allowed(),
            after=("workspace", *(("caller",) if ask else ())),
            why="the disk that all nodes mount, and that runs are written to; ssh from you, by key",
        ),
        batchai_cluster.step(
            "cluster",
            place=place,
            name=CLUSTER,
            nodes={"size": size, "min": wanted.min, "max": wanted.max},
            file_server=batchai_file_server.id_of(place, FILE_SERVER),
            ssh_key=key,
            after=("file-server",),
            why=f"the nodes that train, {wanted.min} to {wanted.max} of {size}",
        ),
        batchai_experiment.step("experiment", place=place, after=("workspace",), why="the jobs of this deployment"),
        _job(section, place, files, spec, gpu=node_pool.is_gpu(size)),
    )


def _job(section: Together, place: Json, files: Files, spec: Any, *, gpu: bool) -> Step:
    script = [f"{batchai_job.APP}/files/{PurePath(spec.train.script)}", *arguments(spec.train.parameters)]
    nodes, per_node = 1 if spec.sweep is not None else spec.together, section.cluster.processes
    if spec.sweep is not None:
        asked = json.dumps(asdict(spec.sweep), sort_keys=True)
        toolkit = batchai_job.alone(["python3", "-m", "customai.workloads.training.sweep", asked, *script])
        why = f"begins trials of {spec.train.script}, {spec.sweep.slots} at a time on one node: they go on in Batch AI"
    else:
        count = nodes * per_node
        words = [str(count), str(per_node), *script]
        toolkit = batchai_job.together(script=BEGINS, arguments=words, processes=count)
        why = f"begins {spec.train.script} on {nodes} node{'s' * (nodes > 1)}: it goes on in Batch AI"
    return batchai_job.step(
        "train",
        place=place,
        name="train",
        cluster=batchai_cluster.id_of(place, CLUSTER),
        nodes=nodes,
        toolkit=toolkit,
        packages=[job_image.on_gpu(each) if gpu else each for each in job_image.REQUIREMENTS["train"]],
        code=_code(spec, files),
        after=("cluster", "experiment"),
        why=why,
    )


def _code(spec: Any, files: Files) -> str:
    """The script, its files and customai's own workloads, in one text that goes along with the job.

    Raises:
        SpecError: they are too large for that.
    """
    sources = {str(each["name"]): str(each["source"]) for each in azure_ml.workloads(files, *FOLDERS)}
    for file in map(str, map(PurePath, (spec.train.script, *spec.train.files))):
        sources[f"files/{file}"] = files.absolute(file)
    packed = batchai_job.packed({name: Path(source).read_bytes() for name, source in sources.items()})
    if len(packed) > batchai_job.LONGEST:
        raise SpecError(
            f"the script and its files are {len(packed) / 1000:.0f} kB when packed: what goes along with a job of "
            f"Batch AI may be {batchai_job.LONGEST // 1000}",
            where="train.files",
            hint="name fewer or smaller files; with azure.cluster.service: aml they go into an image, of any size",
        )
    return packed
