"""A container as Databricks sees it, through Unity Catalog: a credential, an external location, a volume with a path."""

from __future__ import annotations

import re

from customai.model import Json, Step

OUTPUTS = {"path": ""}  # /Volumes/CATALOG/default/NAME
DELETED_WITH = "the catalog, which is not in the workspace's group"
SCHEMA = "default"


def step(
    id_: str,
    *,
    place: Json,
    workspace: str,
    name: str,
    url: str,
    connector: str,
    identity: str,
    after: tuple[str, ...],
    why: str,
) -> Step:
    """The step that makes the three.

    Args:
        id_: the step's id.
        place: the deployment's.
        workspace: the workspace's id.
        name: of each of them; a catalog has it once.
        url: abfss://container@account.dfs.core.windows.net.
        connector: the id of the access connector.
        identity: the id of the user-assigned identity that the connector is.
        after: the steps that make the workspace, the container and the identity's right to it.
        why: one line for people.
    """
    inputs = {
        "workspace": workspace,
        "owner": place["deployment"],
        "name": re.sub(r"[^a-z0-9_]", "_", name.lower()),
        "url": url,
        "connector": connector,
        "identity": identity,
    }
    return Step(id_, "put", "databricks_storage", "store", inputs, after, why)


def azure(inputs: Json) -> Json:
    comment = f"customai, {inputs['owner']}"
    credential = {
        "azure_managed_identity": {
            "access_connector_id": inputs["connector"],
            "managed_identity_id": inputs["identity"],
        }
    }
    return {
        "workspace": inputs["workspace"],
        "name": inputs["name"],
        "comment": comment,
        "schema": SCHEMA,
        "location": inputs["url"],
        "credential": credential,
    }
