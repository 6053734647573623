"""A job of Azure ML: one run of a command, over as many nodes as it asks for, or a sweep of them.

A job is never changed: its name ends in a digest of all that it depends on, so another one is another job.
"""

from __future__ import annotations

from customai.model import Json, Step, digest
from customai.provisioning import azure_names
from customai.provisioning.api_versions import put

TYPE = "Microsoft.MachineLearningServices/workspaces/jobs"
OUTPUTS: dict[str, str] = {}
PART = True  # it goes with what it stands in
FIXED = ("properties",)
DIGEST = 8


def step(
    id_: str, *, place: Json, workspace: str, name: str, job: Json, depends: Json, after: tuple[str, ...], why: str
) -> Step:
    """The step that begins the job; Azure sees it to its end.

    Args:
        id_: the step's id.
        place: the deployment's.
        workspace: the workspace's name.
        name: what people call it.
        job: what command() or sweep() makes.
        depends: what else makes it another job: the digest of its input's files.
        after: the steps that make what it runs in and on.
        why: one line for people.
    """
    ending = digest([job, depends])[:DIGEST]
    inputs = {"place": place, "workspace": workspace, "name": f"{name}-{ending}", "display": name, "job": job}
    return Step(id_, "run", "ml_job", "job", inputs, after, why)


def command(
    *,
    text: str,
    environment: str,
    compute: Json,
    identity: Json,
    nodes: int = 1,
    processes: int | None = None,
    variables: Json = None,
    inputs: Json = None,
    outputs: Json = None,
) -> Json:
    """A command. `compute` is {"id"} of a cluster, or {"size", "spot"} of nodes that come for this job alone."""
    job: Json = {
        "jobType": "Command",
        "command": text,
        "environmentId": environment,
        "environmentVariables": dict(variables or {}),
        "inputs": dict(inputs or {}),
        "outputs": dict(outputs or {}),
        "resources": {"instanceCount": nodes},
        "identity": {"identityType": "Managed", "clientId": identity},
    }
    if processes is not None:
        job["distribution"] = {"distributionType": "PyTorch", "processCountPerInstance": processes}
    if "id" in compute:
        return job | {"computeId": compute["id"]}
    job["resources"]["instanceType"] = compute["size"]
    return job | {"queueSettings": {"jobTier": "Spot" if compute["spot"] else "Standard"}}


def sweep(*, trial: Json, space: Json, sampling: Json, objective: Json, most: int, at_once: int) -> Json:
    """Trials of a command: `trial` is what command() makes, `space` the values of each parameter."""
    own = ("command", "environmentId", "environmentVariables", "resources")
    rest = {key: value for key, value in trial.items() if key not in (*own, "jobType", "distribution")}
    return rest | {
        "jobType": "Sweep",
        "trial": {key: trial[key] for key in own},
        "searchSpace": {name: ["choice", [values]] for name, values in space.items()},
        "samplingAlgorithm": sampling,
        "objective": objective,
        "limits": {"jobLimitsType": "Sweep", "maxTotalTrials": most, "maxConcurrentTrials": at_once},
    }


def azure(inputs: Json) -> Json:
    place = inputs["place"]
    named = {
        "displayName": inputs["display"],
        "experimentName": place["deployment"],
        "tags": azure_names.tags(place),
        "isArchived": False,
    }
    id_ = azure_names.resource_id(place, TYPE, inputs["workspace"], inputs["name"])
    return put(id_, {"properties": inputs["job"] | named})
