"""Path 2-2 on Azure: the scoring server's own image behind an online endpoint, a deployment for each version of the model.

workspace -+- environment -+
           +- endpoint ----+- deployments - traffic

One image holds all versions; each deployment serves one of them. Azure splits the requests as `traffic` says, and takes
Entra tokens alone, so the server in the image asks for no key.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from customai.model import Json, Step, dumps
from customai.paths import Files, azure_ml, azure_scoring
from customai.paths.azure_ml_section import Online
from customai.provisioning import (
    azure_names,
    identity,
    image,
    kubernetes,
    ml_environment,
    model,
    online_deployment,
    online_endpoint,
    traffic,
)

READER = "Storage Blob Data Reader"  # what Azure ML asks of whatever serves
RUN = "/tmp/scoring"  # noqa: S108 (in a container of its own)
ROUTES = {"port": kubernetes.PORT, "score": "/score", "live": "/v2/health/live", "ready": "/v2/health/ready"}
AT_ONCE = 50  # requests that a machine takes at the same time; the server makes batches of them


def steps(
    section: Online,
    *,
    name: str,
    path: str,
    spec_digest: str,
    subscription: str | None,
    files: Files,
    models: Sequence[Step],
    served: Step,
) -> tuple[Step, ...]:
    """What has to be done for an endpoint that serves; see azure_scoring.steps."""
    place = section.where(name, subscription)
    base = azure_ml.steps(section, place, name=name, path=path, spec_digest=spec_digest, data_role=READER)
    return *base, *_serving(section, place, name, models, served, files=files)


def _serving(
    section: Online, place: Json, name: str, models: Sequence[Step], served: Step, *, files: Files
) -> tuple[Step, ...]:
    """What serves, in the workspace that is there."""
    built = image.step(
        "image",
        registry=azure_ml.registry_of(place),
        repository=name,
        code=azure_scoring.code(files),
        models={step.id: model.local(step.inputs) for step in models},
        gpu=False,
        after=("registry",),
        why="the scoring server and its models, built and checked in the registry",
    )
    workspace, endpoint = azure_names.ml_workspace(place), azure_names.ml_endpoint(place)
    version = azure_names.version_of({key: value for key, value in built.inputs.items() if key != "registry"})
    environment = ml_environment.step(
        "environment",
        place=place,
        workspace=workspace,
        name=name,
        version=version,
        image={"$ref": "image#reference"},
        routes=ROUTES,
        after=("workspace", "image"),
        why="what serves: the image, by its digest",
    )
    made = online_endpoint.step(
        "endpoint",
        place=place,
        workspace=workspace,
        name=endpoint,
        private=section.private,
        identity=identity.id_of(place, f"id-{name}-nodes"),
        after=("workspace", "pull-role", "data-role"),
        why="an address with TLS; Entra tokens alone are taken",
    )
    shares = {deployment_of(each["version"]): each["traffic"] for each in served.inputs["models"]}
    deployments = [
        _deployment(section, place, name, served, each, environment=version) for each in served.inputs["models"]
    ]
    split = traffic.step(
        "traffic",
        endpoint=online_endpoint.id_of(place, workspace, endpoint),
        wanted={"traffic": shares},
        after=tuple(step.id for step in deployments),
        why=", ".join(f"{share} % to {deployment}" for deployment, share in shares.items()),
    )
    return built, environment, made, *deployments, split


def _deployment(section: Online, place: Json, name: str, served: Step, one: Json, *, environment: str) -> Step:
    workspace, machines = azure_names.ml_workspace(place), section.instances
    whole = azure_scoring.server(served)
    mine = next(each for each in whole["models"] if each["version"] == one["version"])
    server = {key: value for key, value in whole.items() if key != "key_sha256"}
    server["models"] = [mine | {"traffic": 100}]
    called = deployment_of(one["version"])
    return online_deployment.step(
        f"deployment/{called}",
        place=place,
        workspace=workspace,
        endpoint=azure_names.ml_endpoint(place),
        name=called,
        environment=ml_environment.id_of(place, workspace, name, environment),
        variables={"CUSTOMAI_SERVER": dumps(server), "CUSTOMAI_RUN": RUN, "HOME": RUN},
        machines={"size": machines.size, "count": machines.count},
        requests={"at_once": AT_ONCE, "seconds": 60},
        after=("endpoint", "environment"),
        why=f"version {one['version']}, on {machines.count} of {machines.size}",
    )


def deployment_of(version: str) -> str:
    """A name that Azure takes, the same for the same version and another for any other."""
    plain = re.sub("[^a-z0-9]+", "-", version.lower()).strip("-")
    if plain == version and len(plain) <= 20:
        return f"version-{plain}"
    return f"version-{plain[:12].strip('-')}-{azure_names.version_of(version)[:8]}".replace("--", "-")
