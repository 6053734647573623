"""How kubectl reaches a cluster with its user's own login: an address, a certificate authority, and no secret at all.

`kubelogin` asks the Azure CLI for a token each time, so there is nothing in the file that opens anything.
"""

from __future__ import annotations

import base64

import yaml

from customai.errors import RunFailed
from customai.model import Json
from customai.targets.azure_arm import Arm
from customai.targets.azure_wait import Tries
from customai.targets.base import Watch

SERVER_ID = "6dae42f8-4368-4678-94ff-3960e28e3630"  # the API servers of AKS, to Entra, in every tenant
INSTALL = "kubelogin is not installed: az aks install-cli"


def kubeconfig(arm: Arm, url: str, name: str) -> str:
    """The text of a kubeconfig for the cluster of this URL; `name` is what its context is called."""
    path, _, query = url.partition("?")
    tries = Tries("cluster", Watch(), arm.pace)
    found = tries.until(lambda: arm.ask("POST", f"{path}/listClusterUserCredential?{query}"))
    try:
        given = yaml.safe_load(base64.b64decode(found["kubeconfigs"][0]["value"]))["clusters"][0]["cluster"]
        cluster = {key: given[key] for key in ("server", "certificate-authority-data") if key in given}
        return yaml.safe_dump(_config(cluster, name), sort_keys=False)
    except (KeyError, IndexError, TypeError, ValueError, yaml.YAMLError):
        raise RunFailed("Azure's answer is no kubeconfig", where=path, hint="run the same command again") from None


def _config(cluster: Json, name: str) -> Json:
    login = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "kubelogin",
        "args": ["get-token", "--login", "azurecli", "--server-id", SERVER_ID],
        "env": None,
        "installHint": INSTALL,
        "interactiveMode": "IfAvailable",
        "provideClusterInfo": False,
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": f"{name}-you", "user": {"exec": login}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": f"{name}-you", "namespace": "scoring"}}],
        "current-context": name,
    }
