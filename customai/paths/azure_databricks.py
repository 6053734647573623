"""Path 2-3 on Azure Databricks: the batch job's own code, on a cluster that comes with a run and goes with it.

group -+- logs
       +- security group, NAT gateway - network - workspace -+
       +- storage - container -+- data role - connector -----+- volume - job - first run
       +- data identity -------+

A schedule is the job's own, in Databricks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

from customai.errors import SpecError
from customai.model import Json, Step, digest
from customai.paths import Files, azure_base, azure_ml, cron
from customai.paths.azure_section import Place
from customai.paths.azure_spark_section import RUNTIME, SIZE_THERE, SparkBatch
from customai.provisioning import (
    azure_names,
    blob_service,
    container,
    databricks_connector,
    databricks_job,
    databricks_run,
    databricks_storage,
    databricks_workspace,
    identity,
    model,
    nat_gateway,
    network,
    public_ip,
    security_group,
    storage_account,
    upload,
)

RANGE, HOSTS, CONTAINERS = "10.30.0.0/23", "10.30.0.0/24", "10.30.1.0/24"  # two addresses a machine
SERVICE = "Microsoft.Databricks/workspaces"
FOLDERS = ("batch", "job", "scoring", "spark")
LIBRARIES = ("onnxruntime>=1.20,<2",)  # the rest is in the runtime
INPUT, OUTPUT, PIPELINE = "input", "predictions", "pipeline"  # folders of the container
GIVEN = ("run", "input", "output")  # what each run may be given
NOTHING = digest([])  # the listing of what is not there
SCHEDULED = "scheduled-{{job.run_id}}"


def steps(
    section: SparkBatch,
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
        spec: of customai.paths.score_batch_spark.
        request: what the batch scorer is asked on this machine.
        models: the path's steps of kind `model`.
    """
    place = section.where(name, subscription)
    local = {each: getattr(spec, each) for each in _local(spec)}
    for source in local.values():
        if files.listing(source) == NOTHING:
            hint = "a file, a folder with files in it, or an abfss:// URL"
            raise SpecError(f"there is nothing in {source}", where=files.absolute(source), hint=hint)
    asked_of_the_caller = ("object_id", "object_type") if local else ()
    own = base(section, place, name=name, path=path, spec_digest=spec_digest, ask=asked_of_the_caller)
    others = _containers(place, spec)
    asked = _there(spec, request, files, others)
    job = _job(section, place, spec, asked, others=others, models=models, files=files)
    return (
        *own,
        *others.values(),
        *(_data(place, local, files) if local else ()),
        job,
        _run(place, spec, asked, job, files, after=tuple(local)),
    )


def base(
    section: Place, place: Json, *, name: str, path: str, spec_digest: str, ask: Sequence[str] = ()
) -> tuple[Step, ...]:
    """Everything up to the workspace, and a container that it has as a volume."""
    who = identity.id_of(place, f"id-{name}-data")
    return (
        *azure_base.steps(section, place, path=path, spec_digest=spec_digest, ask=ask),
        *_network(place, name),
        *_storage(place, name, who),
        databricks_workspace.step(
            "workspace",
            place=place,
            network=network.id_of(place, f"vnet-{name}"),
            subnets=("hosts", "containers"),
            after=("network",),
            why="Databricks: premium, its machines in this network, without public addresses",
        ),
        databricks_storage.step(
            "volume",
            place=place,
            workspace=databricks_workspace.id_of(place),
            name=f"customai_{azure_names.storage(place)}",
            url=azure_ml.account(place),
            connector=databricks_connector.id_of(place),
            identity=who,
            after=("workspace", "connector", "container", "data-role"),
            why="the container as Unity Catalog knows it: a volume, reached by identity",
        ),
    )


def _network(place: Json, name: str) -> tuple[Step, ...]:
    subnet = {
        "security_group": security_group.id_of(place, f"nsg-{name}"),
        "nat_gateway": nat_gateway.id_of(place, f"nat-{name}"),
        "delegated": SERVICE,
    }
    return (
        security_group.step(
            "security-group", place=place, name=f"nsg-{name}", ssh_from=(), after=("group",), why="nobody comes in"
        ),
        public_ip.step(
            "nat-ip", place=place, name=f"pip-{name}", after=("group",), why="the address that the machines go out by"
        ),
        nat_gateway.step(
            "nat",
            place=place,
            name=f"nat-{name}",
            public_ip=public_ip.id_of(place, f"pip-{name}"),
            after=("nat-ip",),
            why="the way out, and no way in",
        ),
        network.step(
            "network",
            place=place,
            name=f"vnet-{name}",
            prefix=RANGE,
            subnets=[
                {"name": "hosts", "prefix": HOSTS, **subnet},
                {"name": "containers", "prefix": CONTAINERS, **subnet},
            ],
            after=("security-group", "nat"),
            why=f"a private network, {RANGE}, with two subnets for Databricks alone",
        ),
    )


def _storage(place: Json, name: str, who: str) -> tuple[Step, ...]:
    return (
        storage_account.step(
            "storage", place=place, hierarchical=True, after="group", why="data in and out, with folders; no keys"
        ),
        blob_service.step(
            "blobs", place=place, after=("storage",), why="what is deleted can be brought back for 7 days"
        ),
        container.step("container", place=place, name=azure_ml.DATA, after=("blobs",), why="data in and out"),
        identity.step(
            "data-identity", place=place, name=f"id-{name}-data", after="group", why="what Databricks is to storage"
        ),
        databricks_connector.step(
            "connector",
            place=place,
            identity=who,
            after=("data-identity",),
            why="how Databricks is that identity, without a key",
        ),
        azure_ml.given(
            "data-role",
            place,
            scope=storage_account.id_of(place),
            wanted=azure_ml.DATA_ROLE,
            who=f"id-{name}-data",
            principal="data-identity",
            after=("storage",),
            why="it may read data, and write what comes of them",
        ),
    )


def _local(spec: Any) -> tuple[str, ...]:
    """What of the spec is on this machine, and has to be put there."""
    wanted = (INPUT,) if spec.scorer == "onnx" else (INPUT, PIPELINE)
    return tuple(each for each in wanted if "://" not in getattr(spec, each))


def _containers(place: Json, spec: Any) -> dict[str, Step]:
    """The containers of others that the spec names, each as a volume of its own: URL of the container -> its step."""
    found: dict[str, Step] = {}
    for each in (spec.input, spec.output):
        if "://" in each and (url := _container(each)) not in found:
            id_ = f"volume-{len(found) + 1}"
            found[url] = databricks_storage.step(
                id_,
                place=place,
                workspace=databricks_workspace.id_of(place),
                name=f"customai_{azure_names.storage(place)}_{len(found) + 1}",
                url=url,
                connector=databricks_connector.id_of(place),
                identity=identity.id_of(place, f"id-{spec.name}-data"),
                after=("workspace", "connector"),
                why=f"{url}, as a volume: id-{spec.name}-data needs a role there, which its owner gives",
            )
    return found


def others_ids(others: dict[str, Step]) -> tuple[str, ...]:
    return tuple(step.id for step in others.values())


def _container(url: str) -> str:
    """abfss://CONTAINER@ACCOUNT.dfs.core.windows.net of any URL in it.

    Raises:
        SpecError: it does not name its account.
    """
    parts = urlsplit(url)
    bucket, _, host = parts.netloc.partition("@")
    if not host:
        hint = "abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/FOLDER"
        raise SpecError("on Databricks a URL names its storage account", where=url, hint=hint)
    return f"abfss://{bucket}@{host.replace('.blob.', '.dfs.')}"


def _there(spec: Any, request: Json, files: Files, others: dict[str, Step]) -> Json:
    """The same request, with the places that things have on Databricks: {NAME} is a volume's path."""
    asked = {key: value for key, value in request.items() if key != "memory"} | {"master": "existing"}
    asked["input"] = (
        _in_volume(spec.input, others)
        if "://" in spec.input
        else f"{{volume}}/{_folder(INPUT, spec.input, files)}/{PurePath(files.absolute(spec.input)).name}"
    )
    asked["output"] = _in_volume(spec.output, others) if "://" in spec.output else f"{{volume}}/{OUTPUT}"
    if "pipeline" in asked:
        own = PurePath(files.absolute(spec.pipeline)).name
        asked["pipeline"] = f"{{volume}}/{_folder(PIPELINE, spec.pipeline, files)}/{own}"
    return asked


def _in_volume(url: str, others: dict[str, Step]) -> str:
    return f"{{{others[_container(url)].id}}}{urlsplit(url).path.rstrip('/')}"


def _folder(what: str, source: str, files: Files) -> str:
    """Where it goes: other data have another folder, so that no run ever reads what is being replaced."""
    return f"{what}/{files.listing(source)[:12]}"


def _data(place: Json, local: dict[str, str], files: Files) -> tuple[Step, ...]:
    given = azure_ml.given_to_the_caller(
        "upload-role",
        place,
        scope=storage_account.id_of(place),
        wanted=azure_ml.DATA_ROLE,
        after="storage",
        why="you may put data into the account",
    )
    sent = (
        upload.step(
            what,
            endpoint={"$ref": "storage#blob_endpoint"},
            container=azure_ml.DATA,
            folder=_folder(what, source, files),
            source=files.absolute(source),
            listing=files.listing(source),
            after=("container", "upload-role"),
            why=f"{source}, for Spark to read",
        )
        for what, source in local.items()
    )
    return given, *sent


def _job(
    section: SparkBatch,
    place: Json,
    spec: Any,
    asked: Json,
    *,
    others: dict[str, Step],
    models: Sequence[Step],
    files: Files,
) -> Step:
    wanted = section.workers
    given = {each: asked[each] for each in GIVEN} | {"run": SCHEDULED}  # who begins one by hand says its name
    text = json.dumps(asked | {each: f"{{{{job.parameters.{each}}}}}" for each in GIVEN}, sort_keys=True)
    volumes = {"volume": {"$ref": "volume#path"}, **{id_: {"$ref": f"{id_}#path"} for id_ in others_ids(others)}}
    return databricks_job.step(
        "job",
        place=place,
        workspace=databricks_workspace.id_of(place),
        name=spec.name,
        volumes=volumes,
        code=azure_ml.workloads(files, *FOLDERS),
        models={step.id: model.local(step.inputs) for step in models},
        schedule=None if spec.schedule is None else databricks_job.quartz(cron.parsed(spec.schedule)),
        cluster=databricks_job.cluster(
            size=wanted.size or SIZE_THERE,
            min=wanted.min,
            max=wanted.max,
            spot=wanted.spot,
            runtime=section.runtime or RUNTIME,
            conf=asked["conf"],
        ),
        work="customai.workloads.spark.batch",
        arguments=[text, *("{folder}/models/model" for _ in models)],
        parameters=given,
        libraries=LIBRARIES,
        after=("volume", *others_ids(others)),
        why=f"the batch job, on {wanted.min} to {wanted.max} workers{' on spot' if wanted.spot else ''} while it runs"
        + (f"; at {spec.schedule} (UTC)" if spec.schedule else ""),
    )


def _run(place: Json, spec: Any, asked: Json, job: Step, files: Files, *, after: tuple[str, ...]) -> Step:
    """Another request, model or data set is another run; other machines are none."""
    return databricks_run.step(
        "score",
        workspace=databricks_workspace.id_of(place),
        job={"$ref": "job#job_id"},
        parameters={"run": asked["run"]},
        depends=[asked, files.listing(spec.input), databricks_job.content(job.inputs)],
        wait=False,
        after=("job", *after),
        why=f"begins to score {spec.input}: it goes on in Databricks",
    )
