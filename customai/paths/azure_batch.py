"""Paths 2-4 and 2-6 on Azure: the batch scorer's own image, on nodes of Azure ML that come when there is work.

workspace -+- cluster ---------------------------------+
           +- environment - component - pipeline ------+- deployment - default - schedule
           |                                 endpoint -+
           +- environment, data ------------------------- first run

With spot there is no cluster and no endpoint: each run is a job on nodes of its own.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from customai.errors import SpecError
from customai.model import Json, Step, digest
from customai.paths import Files, azure_function, azure_ml, azure_schedule, cron
from customai.paths.azure_ml_section import CPU, GPU, Batch
from customai.provisioning import (
    azure_names,
    batch_deployment,
    batch_endpoint,
    data_factory_pipeline,
    identity,
    image,
    job_image,
    ml_component,
    ml_compute,
    ml_environment,
    ml_job,
    model,
    node_pool,
    storage_account,
    traffic,
    upload,
)

FOLDERS = ("batch", "job", "scoring")
INPUT, OUTPUT = "input", "predictions"  # folders of the container
NOTHING = digest([])  # the listing of what is not there
GIVEN = ("run", "input", "output")  # what each request to the endpoint says
SCHEDULED = "scheduled"
COMPONENT, PIPELINE, DEPLOYMENT = "score", "score-pipeline", "scorer"


def steps(
    section: Batch,
    *,
    name: str,
    path: str,
    spec_digest: str,
    subscription: str | None,
    files: Files,
    spec: Any,
    request: Json,
    models: Sequence[Step],
) -> tuple[Step, ...]:
    """What has to be done to score data sets.

    Args:
        section: the spec's `azure:` block.
        name: the deployment's.
        path: the learning path's id.
        spec_digest: written on the resource group.
        subscription: of the surroundings, where the spec names none.
        files: the spec's.
        spec: of customai.paths.score_batch.
        request: what the batch scorer is asked on this machine.
        models: the path's steps of kind `model`.
    """
    place = section.where(name, subscription)
    size = section.cluster.size or (GPU if path == "2-6" else CPU)
    built = _image(place, name, request, models, files, gpu=node_pool.is_gpu(size))
    version = job_image.content(built.inputs)
    asked = _there(place, spec, request, files)
    is_local, timed = "://" not in spec.input, spec.schedule is not None
    if is_local and files.listing(spec.input) == NOTHING:
        hint = "a file, a folder with files in it, or an abfss:// URL"
        raise SpecError("there is nothing to score", where=files.absolute(spec.input), hint=hint)
    uploads = is_local or (timed and section.schedule.service == "functions")
    own = (
        *azure_ml.steps(
            section,
            place,
            name=name,
            path=path,
            spec_digest=spec_digest,
            ask=("object_id", "object_type") if uploads else (),
        ),
        built,
        _environment(place, name, version),
        *((_upload_role(place),) if uploads else ()),
        *((_data(spec, files),) if is_local else ()),
    )
    data = ("data",) if is_local else ()
    ran = _run(section, place, name, spec, asked, version=version, size=size, files=files, after=data)
    if section.cluster.spot:
        return *own, ran
    cluster, endpoint = _cluster(section, place, name, size), _endpoint(place, name, asked, version)
    return (
        *own,
        cluster,
        *endpoint,
        ran,
        *(_schedule(section, place, name, spec=spec, asked=asked, files=files) if timed else ()),
    )


def _image(place: Json, name: str, request: Json, models: Sequence[Step], files: Files, *, gpu: bool) -> Step:
    several = [
        {"name": f"files/models/{PurePath(file).name}", "source": file, "sha256": sha256}
        for file, sha256 in request.get("models", {}).values()
    ]
    return job_image.step(
        "image",
        registry=azure_ml.registry_of(place),
        repository=name,
        code=[*azure_ml.workloads(files, *FOLDERS), *several],
        models={step.id: model.local(step.inputs) for step in models},
        packages=(*job_image.REQUIREMENTS["batch"], *job_image.REQUIREMENTS["blob"]),
        gpu=gpu,
        after=("registry",),
        why="the batch scorer and its models, built and checked in the registry",
    )


def _environment(place: Json, name: str, version: str) -> Step:
    return ml_environment.step(
        "environment",
        place=place,
        workspace=azure_names.ml_workspace(place),
        name=name,
        version=version,
        image={"$ref": "image#reference"},
        routes=None,
        after=("workspace", "image"),
        why="what jobs run in: the image, by its digest",
    )


def _there(place: Json, spec: Any, request: Json, files: Files) -> Json:
    """The same request, with the places that things have in Azure."""
    account = azure_ml.account(place)
    asked = dict(request)
    local = f"{account}/{_folder(spec, files)}/{PurePath(files.absolute(spec.input)).name}"
    asked["input"] = spec.input if "://" in spec.input else local
    asked["output"] = spec.output if "://" in spec.output else f"{account}/{OUTPUT}"
    if "models" in asked:
        asked["models"] = {
            key: [f"{job_image.APP}/files/models/{PurePath(file).name}", sha256]
            for key, (file, sha256) in asked["models"].items()
        }
    return asked


def _text(asked: Json) -> str:
    """The command, in a shell's words."""
    words = ["python", "-m", "customai.workloads.batch", json.dumps(asked, sort_keys=True)]
    return shlex.join(words if "models" in asked else [*words, f"{image.MODELS}/model"])


def _folder(spec: Any, files: Files) -> str:
    """Where the input goes: other data have another folder, so that no run ever reads what is being replaced."""
    return f"{INPUT}/{files.listing(spec.input)[:12]}"


def _upload_role(place: Json) -> Step:
    return azure_ml.given_to_the_caller(
        "upload-role",
        place,
        scope=storage_account.id_of(place),
        wanted=azure_ml.DATA_ROLE,
        after="storage",
        why="you may put data into the account",
    )


def _data(spec: Any, files: Files) -> Step:
    return upload.step(
        "data",
        endpoint={"$ref": "storage#blob_endpoint"},
        container=azure_ml.DATA,
        folder=_folder(spec, files),
        source=files.absolute(spec.input),
        listing=files.listing(spec.input),
        after=("container", "upload-role"),
        why=f"{spec.input}, for the nodes to read",
    )


def _cluster(section: Batch, place: Json, name: str, size: str) -> Step:
    wanted = section.cluster
    return ml_compute.step(
        "cluster",
        place=place,
        workspace=azure_names.ml_workspace(place),
        name=azure_names.ml_compute(place),
        nodes={"size": size, "min": wanted.min, "max": wanted.max},
        identity=identity.id_of(place, f"id-{name}-nodes"),
        after=("workspace", "nodes-identity"),
        why=f"the nodes that score, {wanted.min} to {wanted.max} of {size}",
    )


def _endpoint(place: Json, name: str, asked: Json, version: str) -> tuple[Step, ...]:
    workspace, endpoint = azure_names.ml_workspace(place), azure_names.ml_endpoint(place)
    where = {"place": place, "workspace": workspace}
    environment = ml_environment.id_of(place, workspace, name, version)
    inputs = {each: {"type": "string", "default": asked[each]} for each in GIVEN}
    text = _text(asked | {each: f"${{{{inputs.{each}}}}}" for each in GIVEN})
    command = ml_component.command(text=text, environment=environment, inputs=inputs)
    component = azure_names.asset(f"{name}-{COMPONENT}"), azure_names.version_of(command)
    pipeline = ml_component.pipeline(
        name=COMPONENT,
        component=ml_component.id_of(place, workspace, *component),
        inputs=inputs,
        variables={"AZURE_CLIENT_ID": {"$ref": "nodes-identity#client_id"}},
    )
    whole = azure_names.asset(f"{name}-{PIPELINE}"), azure_names.version_of(pipeline)
    return (
        ml_component.step(
            "component",
            **where,
            name=component[0],
            version=component[1],
            spec=command,
            after=("environment",),
            why="the batch scorer, as Azure ML runs it",
        ),
        ml_component.step(
            "pipeline",
            **where,
            name=whole[0],
            version=whole[1],
            spec=pipeline,
            after=("component", "nodes-identity"),
            why="the same, as an endpoint takes it",
        ),
        batch_endpoint.step(
            "endpoint",
            **where,
            name=endpoint,
            identity=identity.id_of(place, f"id-{name}-nodes"),
            after=("workspace", "nodes-identity"),
            why="an address that begins a run; Entra tokens alone are taken",
        ),
        batch_deployment.step(
            "deployment",
            **where,
            endpoint=endpoint,
            name=DEPLOYMENT,
            component=ml_component.id_of(place, workspace, *whole),
            compute=azure_names.ml_compute(place),
            after=("endpoint", "pipeline", "cluster"),
            why="what the endpoint runs, and where",
        ),
        traffic.step(
            "default",
            endpoint=batch_endpoint.id_of(place, workspace, endpoint),
            wanted={"defaults": {"deploymentName": DEPLOYMENT}},
            after=("deployment",),
            why="the endpoint runs it unless a request names another",
        ),
    )


def _schedule(section: Batch, place: Json, name: str, *, spec: Any, asked: Json, files: Files) -> tuple[Step, ...]:
    endpoint, wanted = azure_names.ml_endpoint(place), section.schedule
    request = {
        "url": {"$ref": "endpoint#scoring_uri"},
        "headers": {"Content-Type": "application/json", "azureml-model-deployment": DEPLOYMENT},
        "audience": "https://ml.azure.com",
    }
    if wanted.service == "functions":
        return azure_function.steps(
            place,
            name=name,
            schedule=wanted,
            workspace=azure_names.ml_workspace(place),
            times=cron.parsed(spec.schedule),
            settings=request | {"run": SCHEDULED, "body": _body(asked, ("input", "output"))},
            files=files,
            after=("default", "upload-role"),
            why=f"{endpoint} at {spec.schedule} (UTC)",
        )
    run = {"run": f"{SCHEDULED}-{data_factory_pipeline.STARTED}"}
    body = json.dumps(_body(asked | run, GIVEN), sort_keys=True)
    return azure_schedule.steps(
        place,
        workspace=azure_names.ml_workspace(place),
        times=cron.parsed(spec.schedule),
        request=request | {"name": SCHEDULED, "method": "POST", "body": body},
        after=("default",),
        why=f"{endpoint} at {spec.schedule} (UTC)",
    )


def _body(asked: Json, names: Sequence[str]) -> Json:
    """What an endpoint is asked: these of its inputs."""
    given = {each: {"JobInputType": "Literal", "Value": asked[each]} for each in names}
    return {"properties": {"InputData": given}}


def _run(
    section: Batch,
    place: Json,
    name: str,
    spec: Any,
    asked: Json,
    *,
    version: str,
    size: str,
    files: Files,
    after: tuple[str, ...],
) -> Step:
    workspace, spot = azure_names.ml_workspace(place), section.cluster.spot
    # Nodes of a cluster are what it says; those of a job alone are what the workspace is.
    who = "identity" if spot else "nodes-identity"
    cluster = {"id": ml_compute.id_of(place, workspace, azure_names.ml_compute(place))}
    job = ml_job.command(
        text=_text(asked),
        environment=ml_environment.id_of(place, workspace, name, version),
        compute={"size": size, "spot": True} if spot else cluster,
        identity={"$ref": f"{who}#client_id"},
        variables={"AZURE_CLIENT_ID": {"$ref": f"{who}#client_id"}},
    )
    roles = ("data-role", "pull-role", "container", who)
    return ml_job.step(
        "score",
        place=place,
        workspace=workspace,
        name=spec.run.replace(".", "-"),
        job=job,
        depends=files.listing(spec.input),
        after=("environment", *roles, *(() if spot else ("cluster",)), *after),
        why=f"begins to score {spec.input}{', on a spot node' if spot else ''}: it goes on in Azure ML",
    )
