"""An environment of Azure ML: the image that jobs run in, or that an endpoint serves from, by its digest."""

from __future__ import annotations

from customai.model import Json, Step
from customai.provisioning import azure_names
from customai.provisioning.api_versions import put

TYPE = "Microsoft.MachineLearningServices/workspaces/environments/versions"
OUTPUTS: dict[str, str] = {}
PART = True  # it goes with what it stands in
FIXED = ("properties",)  # a version is never changed


def step(
    id_: str,
    *,
    place: Json,
    workspace: str,
    name: str,
    version: str,
    image: Json,
    routes: Json,
    after: tuple[str, ...],
    why: str,
) -> Step:
    """The step that registers the version.

    Args:
        id_: the step's id.
        place: the deployment's.
        workspace: the workspace's name.
        name: the environment's.
        version: a digest of what is in the image: another image is another version.
        image: the image's reference, usually one that is known later.
        routes: {"port", "score", "live", "ready"} of a server in it; None where it serves nothing.
        after: the steps that make the workspace and the image.
        why: one line for people.
    """
    inputs = {
        "place": place,
        "workspace": workspace,
        "name": name,
        "version": version,
        "image": image,
        "routes": routes,
    }
    return Step(id_, "put", "ml_environment", "service", inputs, after, why)


def id_of(place: Json, workspace: str, name: str, version: str) -> str:
    return azure_names.resource_id(place, TYPE, workspace, name, version)


def azure(inputs: Json) -> Json:
    place, routes = inputs["place"], inputs["routes"]
    properties = {
        "image": inputs["image"],
        "osType": "Linux",
        "isAnonymous": False,
        "tags": azure_names.tags(place),
    }
    if routes is not None:
        properties["inferenceConfig"] = {
            f"{azure}Route": {"path": routes[ours], "port": routes["port"]}
            for azure, ours in (("liveness", "live"), ("readiness", "ready"), ("scoring", "score"))
        }
    id_ = id_of(place, inputs["workspace"], inputs["name"], inputs["version"])
    return put(id_, {"properties": properties})
