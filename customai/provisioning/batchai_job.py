"""A job of Batch AI: one run of a command, over as many nodes as it asks for.

It needs no registry and no storage: what it installs and the code that it runs stand in its preparation, and what it
writes goes to the file server. A job is never changed: its name ends in a digest of all that it depends on.
"""

from __future__ import annotations

import base64
import bz2
import io
import shlex
import tarfile
from collections.abc import Mapping, Sequence

from customai.model import Json, Step, digest
from customai.provisioning import azure_names
from customai.provisioning.api_versions import put
from customai.provisioning.batchai_cluster import MOUNTED
from customai.provisioning.image import BASE

TYPE = "Microsoft.BatchAI/workspaces/experiments/jobs"
OUTPUTS: dict[str, str] = {}
FIXED = ("properties",)
DIGEST = 8
APP = "/app"  # where the code is, in the container
OUTPUT = "RUN"  # the job finds its folder on the file server in $AZ_BATCHAI_OUTPUT_RUN
LONGEST = 120_000  # characters: Linux takes 128 KiB in one argument
UNPACK = (
    "import base64, io, sys, tarfile; "
    'tarfile.open(fileobj=io.BytesIO(base64.b64decode(sys.argv[1])), mode="r:bz2").extractall(sys.argv[2], filter="data")'
)


def step(
    id_: str,
    *,
    place: Json,
    name: str,
    cluster: str,
    nodes: int,
    toolkit: Json,
    packages: Sequence[str],
    code: str,
    after: tuple[str, ...],
    why: str,
) -> Step:
    """The step that begins the job; Batch AI sees it to its end.

    Args:
        id_: the step's id.
        place: the deployment's.
        name: what people call it.
        cluster: the id of what it runs on.
        nodes: how many of its nodes.
        toolkit: what together() or alone() makes.
        packages: what pip installs.
        code: what packed() makes.
        after: the steps that make the cluster and the experiment.
        why: one line for people.
    """
    job = {"nodes": nodes, "toolkit": toolkit, "packages": sorted(packages), "code": code}
    inputs = {"place": place, "name": f"{name}-{digest(job)[:DIGEST]}", "cluster": cluster, **job}
    return Step(id_, "run", "batchai_job", "job", inputs, after, why)


def together(*, script: str, arguments: Sequence[str], processes: int) -> Json:
    """A Python script that as many processes run as one training."""
    return {
        "pyTorchSettings": {
            "pythonScriptFilePath": script,
            "pythonInterpreterPath": "python3",
            "commandLineArgs": shlex.join(arguments),
            "processCount": processes,
            "communicationBackend": "gloo",
        }
    }


def alone(command: Sequence[str]) -> Json:
    """A command on one node, which it tells where to write."""
    return {
        "customToolkitSettings": {
            "commandLine": f"CUSTOMAI_RUN_FOLDER=$AZ_BATCHAI_OUTPUT_{OUTPUT} {shlex.join(command)}",
        }
    }


def packed(files: Mapping[str, bytes]) -> str:
    """Files as one text, the same wherever and whenever it is made."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size = len(files[name])
            tar.addfile(entry, io.BytesIO(files[name]))
    return base64.b64encode(bz2.compress(archive.getvalue())).decode()


def preparation(packages: Sequence[str], code: str, folder: str = APP) -> str:
    """The command that makes a container ready, before the job is begun in it."""
    install = shlex.join(["python3", "-m", "pip", "install", "--no-cache-dir", *packages])
    return f"{install} && {shlex.join(['python3', '-c', UNPACK, code, folder])}"


def azure(inputs: Json) -> Json:
    place, name = inputs["place"], inputs["place"]["deployment"]
    properties = {
        "cluster": {"id": inputs["cluster"]},
        "nodeCount": inputs["nodes"],
        "containerSettings": {"imageSourceRegistry": {"image": BASE}},
        "jobPreparation": {"commandLine": preparation(inputs["packages"], inputs["code"])},
        **inputs["toolkit"],
        "environmentVariables": [
            {"name": "PYTHONPATH", "value": APP},
            {"name": "PYTHONUNBUFFERED", "value": "1"},
            {"name": "ORT_DISABLE_TELEMETRY", "value": "1"},
        ],
        "stdOutErrPathPrefix": MOUNTED,
        "outputDirectories": [{"id": OUTPUT, "pathPrefix": MOUNTED, "pathSuffix": "run"}],
    }
    return put(azure_names.resource_id(place, TYPE, name, name, inputs["name"]), {"properties": properties})
