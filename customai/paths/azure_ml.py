"""What every path on Azure ML begins with: a workspace, and what it works with, each reached by a role and by no key.

group -+- logs - insights ----------------------+
       +- identity - its roles -----------------+
       +- storage - container ------------------+- workspace
       +- vault --------------------------------+
       +- registry -----------------------------+
       +- nodes' identity - pull role, data role
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from customai.model import Json, Step
from customai.paths import Files, azure_base
from customai.paths.azure_ml_section import MachineLearning
from customai.provisioning import (
    app_insights,
    azure_names,
    blob_service,
    container,
    identity,
    key_vault,
    ml_workspace,
    registry,
    role,
    storage_account,
)

PACKAGE = Path(__file__).parents[1]
DATA = "data"  # the container of what goes in and comes out
DATA_ROLE = "Storage Blob Data Contributor"
WORKSPACE_ROLES = {  # what Microsoft asks for where a workspace has an identity of its own: (on, role)
    "storage": ("storage", "Contributor"),
    "blobs": ("storage", DATA_ROLE),
    "files": ("storage", "Storage File Data Privileged Contributor"),
    "vault": ("vault", "Contributor"),
    "secrets": ("vault", "Key Vault Administrator"),
    "insights": ("insights", "Contributor"),
    "registry": ("registry", "Contributor"),
}


def steps(
    section: MachineLearning,
    place: Json,
    *,
    name: str,
    path: str,
    spec_digest: str,
    ask: Sequence[str] = (),
    data_role: str = DATA_ROLE,
) -> tuple[Step, ...]:
    """Everything up to the workspace. `data_role` is what the nodes may do with the account's blobs."""
    asked = ("tenant_id", *ask)
    return (
        *azure_base.steps(section, place, path=path, spec_digest=spec_digest, ask=asked),
        *_identities(place, name),
        *_stores(section, place, name),
        *_roles_of_the_workspace(place, name),
        *_roles_of_the_nodes(place, name, data_role),
        ml_workspace.step(
            "workspace",
            place=place,
            name=azure_names.ml_workspace(place),
            uses={"identity": identity.id_of(place, f"id-{name}"), **_ids(place, name)},
            after=("insights", "blobs", *(each.id for each in _roles_of_the_workspace(place, name))),
            why="Azure ML: jobs, endpoints, and what they leave",
        ),
    )


def _ids(place: Json, name: str) -> dict[str, str]:
    return {
        "storage": storage_account.id_of(place),
        "vault": key_vault.id_of(place),
        "insights": app_insights.id_of(place, f"appi-{name}"),
        "registry": registry.id_of(place),
    }


def _identities(place: Json, name: str) -> Iterator[Step]:
    for id_, ending, what in (("identity", "", "the workspace is"), ("nodes-identity", "-nodes", "its nodes are")):
        yield identity.step(id_, place=place, name=f"id-{name}{ending}", after="group", why=f"what {what} to Azure")


def _stores(section: MachineLearning, place: Json, name: str) -> tuple[Step, ...]:
    return (
        storage_account.step(
            "storage", place=place, hierarchical=False, after="group", why="data, and what jobs leave; no keys"
        ),
        blob_service.step(
            "blobs", place=place, after=("storage",), why="what is deleted can be brought back for 7 days"
        ),
        container.step("container", place=place, name=DATA, after=("blobs",), why="data in and out"),
        key_vault.step(
            "vault",
            place=place,
            tenant={"$ref": "caller#tenant_id"},
            after=("group",),
            why="what Azure ML keeps secret; its name is taken for 7 days after it is deleted",
        ),
        app_insights.step(
            "insights",
            place=place,
            name=f"appi-{name}",
            logs=f"log-{name}",
            after=("logs",),
            why="what Azure ML tells of its services",
        ),
        registry.step("registry", place=place, tier=section.registry, after="group", why="where the image is kept"),
    )


def _roles_of_the_workspace(place: Json, name: str) -> tuple[Step, ...]:
    ids = _ids(place, name)
    return tuple(
        given(
            f"workspace-role/{short}",
            place,
            scope=ids[on],
            wanted=wanted,
            who=f"id-{name}",
            principal="identity",
            after=(on,),
            why=f"the workspace is {wanted} of {on}",
        )
        for short, (on, wanted) in WORKSPACE_ROLES.items()
    )


def _roles_of_the_nodes(place: Json, name: str, data_role: str) -> tuple[Step, ...]:
    who = f"id-{name}-nodes"
    return (
        given(
            "pull-role",
            place,
            scope=registry.id_of(place),
            wanted="AcrPull",
            who=who,
            principal="nodes-identity",
            after=("registry",),
            why="the nodes may pull images, and not push",
        ),
        given(
            "data-role",
            place,
            scope=storage_account.id_of(place),
            wanted=data_role,
            who=who,
            principal="nodes-identity",
            after=("storage",),
            why="the nodes may read data and write what comes of them"
            if data_role == DATA_ROLE
            else "the nodes may read what the workspace keeps",
        ),
    )


def given(
    id_: str,
    place: Json,
    *,
    scope: str,
    wanted: str,
    who: str,
    principal: str,
    after: tuple[str, ...],
    why: str,
    output: str = "principal_id",
) -> Step:
    """The role, given to what the step `principal` makes."""
    return role.step(
        id_,
        place=place,
        scope=scope,
        role=wanted,
        who=who,
        principal={"$ref": f"{principal}#{output}"},
        principal_type="ServicePrincipal",
        after=after,
        why=why,
    )


def given_to_the_caller(id_: str, place: Json, *, scope: str, wanted: str, after: str, why: str) -> Step:
    return role.step(
        id_,
        place=place,
        scope=scope,
        role=wanted,
        who="caller",
        principal={"$ref": "caller#object_id"},
        principal_type={"$ref": "caller#object_type"},
        after=(after,),
        why=why,
    )


def workloads(files: Files, *folders: str) -> list[Json]:
    """The code of customai's own in these folders of workloads/, as it stands in an image."""
    names = ["__init__.py", "errors.py", "workloads/__init__.py"]
    for folder in folders:
        found = (PACKAGE / "workloads" / folder).glob("*")
        names += sorted(
            str(file.relative_to(PACKAGE)) for file in found if file.suffix in (".py", ".html", ".properties")
        )
    sources = {f"customai/{name}": str(PACKAGE / name) for name in names}
    return [{"name": name, "source": source, "sha256": files.sha256(source)} for name, source in sources.items()]


def registry_of(place: Json) -> Json:
    return {"id": registry.id_of(place), "login_server": {"$ref": "registry#login_server"}}


def account(place: Json) -> str:
    """The container of data, as a URL that customai's workloads read and write."""
    return f"abfss://{DATA}@{azure_names.storage(place)}.dfs.core.windows.net"
