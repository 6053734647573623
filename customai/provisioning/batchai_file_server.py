"""A file server of Batch AI: one machine whose disk all nodes mount by NFS, so that no key to any storage is needed."""

from __future__ import annotations

from collections.abc import Sequence

from customai.errors import SpecError
from customai.model import Json, Step
from customai.provisioning import azure_names
from customai.provisioning.api_versions import put

TYPE = "Microsoft.BatchAI/workspaces/fileServers"
OUTPUTS: dict[str, str] = {}
PART = True  # the API has no way to delete one: it goes with its workspace
FIXED = ("properties",)
USER = "azureuser"
DISK_GB = 128


def step(
    id_: str,
    *,
    place: Json,
    name: str,
    size: str,
    ssh_key: str | None,
    ssh_from: Sequence[Json],
    after: tuple[str, ...],
    why: str,
) -> Step:
    """The step that makes the file server.

    Args:
        id_: the step's id.
        place: the deployment's.
        name: the file server's.
        size: Standard_...
        ssh_key: the public key's text; None where there is no such file on this machine.
        ssh_from: the address ranges that may come in, may be references.
        after: the step that makes the workspace.
        why: one line for people.
    """
    inputs = {"place": place, "name": name, "size": size, "ssh_key": ssh_key, "ssh_from": list(ssh_from)}
    return Step(id_, "put", "batchai_file_server", "store", inputs, after, why)


def id_of(place: Json, name: str) -> str:
    return azure_names.resource_id(place, TYPE, place["deployment"], name)


def account(ssh_key: str | None) -> Json:
    """Who logs in, by key alone.

    Raises:
        SpecError: there is no key.
    """
    if ssh_key is None:
        raise SpecError(
            "there is no ssh key to log in with",
            where="azure.cluster.ssh_key",
            hint="make one: ssh-keygen -t ed25519; or name the .pub file of one",
        )
    return {"adminUserName": USER, "adminUserSshPublicKey": ssh_key}


def azure(inputs: Json) -> Json:
    properties = {
        "vmSize": inputs["size"],
        "sshConfiguration": {
            "publicIPsToAllow": inputs["ssh_from"],
            "userAccountSettings": account(inputs["ssh_key"]),
        },
        "dataDisks": {"diskSizeInGB": DISK_GB, "diskCount": 1, "storageAccountType": "Premium_LRS"},
    }
    return put(id_of(inputs["place"], inputs["name"]), {"properties": properties})
