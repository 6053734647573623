"""Path 2-5 on Azure: the scoring server in a Kubernetes cluster, its image built beside it.

group -+- logs
       +- registry -+- image ----------------------------------------+
       |            +- pull role (nodes)                             |
       +- identities -+- operator role, network role -+              |
       +- security group - network -------------------+- cluster -+- pools, namespaces, roles - endpoint
                                                                  +- maintenance
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from customai.model import Json, Step
from customai.paths import Files, azure_base
from customai.paths.azure_section import Scoring
from customai.provisioning import (
    aks,
    endpoint,
    identity,
    image,
    kubernetes,
    maintenance,
    model,
    namespace,
    network,
    node_pool,
    registry,
    role,
    security_group,
)

KEY_VARIABLE = "SCORING_KEY"  # where the API key is, unless the spec says
PACKAGE = Path(__file__).parents[1]
NODES = "nodes"  # the subnet


def steps(
    section: Scoring,
    *,
    name: str,
    path: str,
    spec_digest: str,
    subscription: str | None,
    files: Files,
    models: Sequence[Step],
    served: Step,
) -> tuple[Step, ...]:
    """What has to be done for a cluster that scores.

    Args:
        section: the spec's `azure:` block.
        name: the deployment's.
        path: the learning path's id.
        spec_digest: written on the resource group.
        subscription: of the surroundings, where the spec names none.
        files: the spec's, which know the digests of the server's own files too.
        models: the path's steps of kind `model`.
        served: its step of kind `endpoint`: how the models are served.
    """
    place = section.where(name, subscription)
    gpu = node_pool.is_gpu(section.cluster.pools[0].size)
    return (
        *azure_base.steps(section, place, path=path, spec_digest=spec_digest, ask=_ask(section)),
        *_identities(place, name),
        *_network(section, place, name),
        *_registry(section, place, name, models, files, gpu=gpu),
        *_cluster(section, place, name),
        _endpoint(section, place, name, served, gpu=gpu),
    )


def _ask(section: Scoring) -> tuple[str, ...]:
    address = () if section.allow_from or section.cluster.private else ("address_prefix",)
    return (*address, "object_id", "object_type")


def _identities(place: Json, name: str) -> tuple[Step, ...]:
    return (
        identity.step("identity", place=place, name=f"id-{name}", after="group", why="what the cluster is to Azure"),
        identity.step(
            "node-identity", place=place, name=f"id-{name}-nodes", after="group", why="what its nodes are to Azure"
        ),
        _role(
            "operator-role",
            place,
            scope=identity.id_of(place, f"id-{name}-nodes"),
            role_="Managed Identity Operator",
            who=f"id-{name}",
            principal="identity",
            after=("node-identity",),
            why="the cluster may give its nodes their identity",
        ),
    )


def _network(section: Scoring, place: Json, name: str) -> tuple[Step, ...]:
    group = security_group.id_of(place, f"nsg-{name}")
    subnet = {"name": NODES, "prefix": section.cluster.network, "security_group": group, "nat_gateway": None}
    return (
        security_group.step(
            "security-group",
            place=place,
            name=f"nsg-{name}",
            ssh_from=(),
            after=("group",),
            why="nothing from outside reaches the nodes",
        ),
        network.step(
            "network",
            place=place,
            name=f"vnet-{name}",
            prefix=section.cluster.network,
            subnets=[subnet],
            after=("security-group",),
            why=f"a private network, {section.cluster.network}",
        ),
        _role(
            "network-role",
            place,
            scope=network.subnet_id(place, f"vnet-{name}", NODES),
            role_="Network Contributor",
            who=f"id-{name}",
            principal="identity",
            after=("network",),
            why="the cluster may put nodes and a load balancer into its subnet",
        ),
    )


def _registry(
    section: Scoring, place: Json, name: str, models: Sequence[Step], files: Files, *, gpu: bool
) -> tuple[Step, ...]:
    made = registry.step("registry", place=place, tier=section.registry, after="group", why="where the image is kept")
    pull = _role(
        "pull-role",
        place,
        scope=registry.id_of(place),
        role_="AcrPull",
        who=f"id-{name}-nodes",
        principal="node-identity",
        after=("registry",),
        why="the nodes may pull images, and not push",
    )
    built = image.step(
        "image",
        registry={"id": registry.id_of(place), "login_server": {"$ref": "registry#login_server"}},
        repository=name,
        code=code(files),
        models={step.id: model.local(step.inputs) for step in models},
        gpu=gpu,
        after=("registry",),
        why="the scoring server and its model, built and checked in the registry",
    )
    return made, pull, built


def code(files: Files) -> list[Json]:
    """The scoring server's own files, as they stand in the image."""
    names = ["__init__.py", "errors.py", "workloads/__init__.py"]
    names += sorted(str(file.relative_to(PACKAGE)) for file in (PACKAGE / "workloads" / "scoring").glob("*.*"))
    sources = {f"customai/{name}": str(PACKAGE / name) for name in names}
    return [{"name": name, "source": source, "sha256": files.sha256(source)} for name, source in sources.items()]


def _cluster(section: Scoring, place: Json, name: str) -> tuple[Step, ...]:
    wanted = section.cluster
    subnet = network.subnet_id(place, f"vnet-{name}", NODES)
    zones = [str(zone) for zone in wanted.zones]
    cluster = aks.step(
        "cluster",
        place=place,
        name=name,
        version=wanted.version,
        tier=wanted.tier,
        private=wanted.private,
        allow_from=() if wanted.private else section.allowed(),
        subnet=subnet,
        identity=identity.id_of(place, f"id-{name}"),
        kubelet={
            "id": identity.id_of(place, f"id-{name}-nodes"),
            "client_id": {"$ref": "node-identity#client_id"},
            "object_id": {"$ref": "node-identity#principal_id"},
        },
        ranges={"pods": wanted.pods, "services": wanted.services, "dns": dns_address(wanted.services)},
        system={"size": wanted.system.size, "min": wanted.system.min, "max": wanted.system.max, "zones": zones},
        after=("operator-role", "network-role"),
        why=f"Kubernetes, {wanted.system.min} to {wanted.system.max} nodes of {wanted.system.size} for itself",
    )
    pools = (
        node_pool.step(
            f"pool/{pool.name}",
            place=place,
            cluster=name,
            name=pool.name,
            pool={"size": pool.size, "min": pool.min, "max": pool.max, "spot": pool.spot, "zones": zones},
            subnet=subnet,
            after=("cluster",),
            why=f"the nodes that score, {pool.min} to {pool.max} of {pool.size}{', spot' if pool.spot else ''}",
        )
        for pool in wanted.pools
    )
    enter = _of_the_caller(
        "user-role", place, aks.id_of(place, name), "Azure Kubernetes Service Cluster User Role", after="cluster"
    )
    namespaces = (_namespace(place, name, *each) for each in _namespaces(section).items())
    return cluster, *pools, *_upgrades(place, name), enter, *(step for pair in namespaces for step in pair)


def _upgrades(place: Json, name: str) -> Iterator[Step]:
    for what, (window, day) in zip(("Kubernetes", "the nodes"), maintenance.DAYS.items(), strict=True):
        yield maintenance.step(
            f"maintenance/{what.removeprefix('the ').lower()}",
            place=place,
            cluster=name,
            name=window,
            after=("cluster",),
            why=f"when {what} may be upgraded: {day}s from 00:00 UTC",
        )


def _namespaces(section: Scoring) -> dict[str, str]:
    """Namespace -> the Pod Security Standard that its pods must meet."""
    gpu = node_pool.is_gpu(section.cluster.pools[0].size)
    return {kubernetes.NAMESPACE: "restricted"} | ({kubernetes.GPU_NAMESPACE: "privileged"} if gpu else {})


def _namespace(place: Json, name: str, called: str, level: str) -> tuple[Step, Step]:
    """The namespace, and the right to write in it, and in no other."""
    made = namespace.step(
        f"namespace/{called}",
        place=place,
        cluster=name,
        name=called,
        level=level,
        after=("cluster",),
        why=f"a namespace that nothing enters or leaves unasked; its pods are {level}",
    )
    scope = namespace.scope(place, name, called)
    return made, _of_the_caller(f"writer-role/{called}", place, scope, kubernetes.ROLE, after=made.id)


def _of_the_caller(id_: str, place: Json, scope: str, wanted: str, *, after: str) -> Step:
    return role.step(
        id_,
        place=place,
        scope=scope,
        role=wanted,
        who="caller",
        principal={"$ref": "caller#object_id"},
        principal_type={"$ref": "caller#object_type"},
        after=(after,),
        why=f"you are its {wanted.removeprefix('Azure Kubernetes Service ')}",
    )


def _endpoint(section: Scoring, place: Json, name: str, served: Step, *, gpu: bool) -> Step:
    pools = section.cluster.pools
    manifests = kubernetes.scoring(
        name=name,
        image={"$ref": "image#reference"},
        server=server(served) | ({"device": "gpu"} if gpu else {}),
        key=served.inputs["key"] or {"$secret": f"env:{KEY_VARIABLE}"},
        scale={
            "min": section.replicas.min,
            "max": section.replicas.max,
            "cpu_percent": section.replicas.cpu_percent,
        },
        pod={"cpu": section.replicas.cpu, "memory_gb": section.replicas.memory_gb},
        gpu=gpu,
        callers=section.cluster.network,
        spot=any(pool.spot for pool in pools),
    )
    needs = ("user-role", "pull-role", *(f"writer-role/{called}" for called in _namespaces(section)))
    return kubernetes.step(
        "kubernetes",
        cluster=aks.id_of(place, name),
        private=section.cluster.private,
        manifests=(*(kubernetes.gpus() if gpu else ()), *manifests),
        after=(*needs, *(f"pool/{pool.name}" for pool in pools)),
        why=f"{section.replicas.min} to {section.replicas.max} pods behind an address in the network",
    )


def server(served: Step) -> Json:
    """The server's configuration in a container: what the endpoint says, but for where, and one replica in each pod."""
    inputs = served.inputs
    folders = [each | {"folder": f"{image.MODELS}/{_step_of(each['folder'])}"} for each in inputs["models"]]
    here = inputs | {"models": folders, "host": "0.0.0.0", "port": kubernetes.PORT, "replicas": 1}
    return dict(endpoint.local(here)["server"]) | {"key_sha256": image.KEY_DIGEST, "digest": "container"}


def _step_of(reference: Json) -> str:
    return str(reference["$ref"]).partition("#")[0]


def dns_address(services: str) -> str:
    """The tenth address of the services' range, as is the custom."""
    first, *rest = services.partition("/")[0].rsplit(".", 1)
    return f"{first}.{int(rest[0]) + 10}"


def _role(
    id_: str, place: Json, *, scope: str, role_: str, who: str, principal: str, after: tuple[str, ...], why: str
) -> Step:
    return role.step(
        id_,
        place=place,
        scope=scope,
        role=role_,
        who=who,
        principal={"$ref": f"{principal}#principal_id"},
        principal_type="ServicePrincipal",
        after=after,
        why=why,
    )
